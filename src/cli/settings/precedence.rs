//! Which source wins for each setting, and where its value came from.
//!
//! Border: one function for each setting; what is made of them is `settings`.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::token;
use super::{Origin, Proxy, Setting, Settings};
use crate::backend::StoreHost;
use crate::cli::args;
use crate::cli::config_file::{ConfigFile, Keys};
use crate::cli::parse::{self, Jobs, LimitRate, Wait};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;

/// Without a terminal nobody watches, so an upload that gets nowhere ends after this long.
const GIVE_UP_UNWATCHED: Duration = Duration::from_mins(15);

/// Each setting by itself: who wins, and from where.
impl Settings {
    pub(super) fn journal_setting(&self) -> Result<Setting<PathBuf>> {
        let env = self
            .machine
            .var("UPLOAD_JOURNAL")
            .map(|value| (PathBuf::from(value), "UPLOAD_JOURNAL"));
        match self.path(self.journal.clone(), env, |keys| keys.journal.clone()) {
            Some(found) => Ok(found),
            None => Ok(default(
                self.machine.directories()?.state.join("journal.db"),
            )),
        }
    }

    pub(super) fn backend_setting(&self, flag: Option<&str>) -> Result<Option<Setting<String>>> {
        if let Some(flag) = flag {
            return Ok(Some(Setting {
                value: flag.to_owned(),
                origin: Origin::Flag,
            }));
        }
        if let Some(value) = self.machine.text("UPLOAD_BACKEND")? {
            return Ok(Some(Setting {
                value,
                origin: Origin::Env("UPLOAD_BACKEND"),
            }));
        }
        Ok(self.in_file(|keys| keys.backend.clone()))
    }

    pub(super) fn token_setting(
        &self,
        flags: &args::Connection,
    ) -> Result<Option<Setting<token::Place>>> {
        if let Some(path) = &flags.token_file {
            return Ok(Some(Setting {
                value: token::Place::File(path.clone()),
                origin: Origin::Flag,
            }));
        }
        if let Some(value) = self.machine.text("UPLOAD_TOKEN")? {
            let value = token::Place::Here(Token::new(value));
            return Ok(Some(Setting {
                value,
                origin: Origin::Env("UPLOAD_TOKEN"),
            }));
        }
        let env = self
            .machine
            .var("UPLOAD_TOKEN_FILE")
            .map(|value| (PathBuf::from(value), "UPLOAD_TOKEN_FILE"));
        let found = self.path(None, env, |keys| keys.token_file.clone());
        Ok(found.map(|found| Setting {
            value: token::Place::File(found.value),
            origin: found.origin,
        }))
    }

    pub(super) fn ca_cert_setting(&self, flags: &args::Connection) -> Option<Setting<PathBuf>> {
        self.path(flags.ca_cert.clone(), None, |keys| keys.ca_cert.clone())
    }

    pub(super) fn proxy_setting(&self, flags: &args::Connection) -> Result<Option<Setting<Proxy>>> {
        self.checked(
            "proxy",
            flags.proxy.as_deref(),
            |keys| keys.proxy.clone(),
            |text| {
                let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
                match url.scheme() {
                    "http" | "https" | "socks5" | "socks5h" if url.has_host() => Ok(Proxy(url)),
                    _ => Err(
                        "a proxy is http://, https://, socks5:// or socks5h://host[:port]"
                            .to_owned(),
                    ),
                }
            },
        )
    }

    pub(super) fn stall_after_setting(
        &self,
        flags: &args::Connection,
    ) -> Result<Option<Setting<Duration>>> {
        settle(
            flags.stall_after,
            self.file.get(|keys| keys.stall_after.clone()),
            &self.file,
            |text| from_file(&self.file, "stall_after", parse::duration(&text)),
        )
        .map(|found| found.0)
    }

    pub(super) fn allow_insecure_http_setting(&self, flags: &args::Connection) -> Setting<bool> {
        self.switch(flags.allow_insecure_http, |keys| keys.allow_insecure_http)
    }

    pub(super) fn store_hosts_setting(
        &self,
        flags: &args::Connection,
    ) -> Result<Setting<Vec<StoreHost>>> {
        let flag = Some(&flags.store_hosts)
            .filter(|hosts| !hosts.is_empty())
            .cloned();
        settle(
            flag,
            self.file.get(|keys| keys.store_hosts.clone()),
            &self.file,
            |texts| {
                let hosts: Result<Vec<_>, _> =
                    texts.iter().map(|text| parse::store_host(text)).collect();
                from_file(&self.file, "store_hosts", hosts)
            },
        )
        .map(|found| found.or(Vec::new()))
    }

    pub(super) fn s3_endpoint_setting(&self, flags: &args::S3) -> Result<Option<Setting<Url>>> {
        self.checked(
            "s3_endpoint",
            flags.s3_endpoint.as_deref(),
            |keys| keys.s3_endpoint.clone(),
            endpoint,
        )
    }

    pub(super) fn s3_region_setting(&self, flags: &args::S3) -> Option<Setting<String>> {
        let flag = flags.s3_region.clone().map(|value| Setting {
            value,
            origin: Origin::Flag,
        });
        flag.or_else(|| self.in_file(|keys| keys.s3_region.clone()))
    }

    pub(super) fn s3_path_style_setting(&self, flags: &args::S3) -> Setting<bool> {
        self.switch(flags.s3_path_style, |keys| keys.s3_path_style)
    }

    pub(super) fn jobs_setting(&self, flag: Option<Jobs>) -> Result<Setting<Jobs>> {
        settle(
            flag,
            self.file.get(|keys| keys.jobs.clone()),
            &self.file,
            |jobs| from_file(&self.file, "jobs", parse::jobs(&jobs.text())),
        )
        .map(|found| found.or(Jobs::Auto))
    }

    pub(super) fn limit_rate_setting(&self, flag: Option<LimitRate>) -> Result<Setting<LimitRate>> {
        if let (None, Some(text)) = (flag, self.machine.text("UPLOAD_LIMIT_RATE")?) {
            let wrong =
                |why| Error::new(Kind::Config, "could not use UPLOAD_LIMIT_RATE").with_source(why);
            let value = parse::limit_rate(&text).map_err(wrong)?;
            return Ok(Setting {
                value,
                origin: Origin::Env("UPLOAD_LIMIT_RATE"),
            });
        }
        settle(
            flag,
            self.file.get(|keys| keys.limit_rate.clone()),
            &self.file,
            |rate| from_file(&self.file, "limit_rate", parse::limit_rate(&rate.text())),
        )
        .map(|found| found.or(LimitRate::None))
    }

    pub(super) fn give_up_after_setting(&self, flag: Option<Wait>) -> Result<Setting<Wait>> {
        let found = settle(
            flag,
            self.file.get(|keys| keys.give_up_after.clone()),
            &self.file,
            |text| from_file(&self.file, "give_up_after", parse::wait(&text)),
        )?;
        let watched = self.machine.terminals.stderr;
        Ok(found.or(if watched {
            Wait::Never
        } else {
            Wait::After(GIVE_UP_UNWATCHED)
        }))
    }

    pub(super) fn part_size_setting(&self, flag: Option<u64>) -> Result<Option<Setting<u64>>> {
        settle(
            flag,
            self.file.get(|keys| keys.part_size.clone()),
            &self.file,
            |size| from_file(&self.file, "part_size", parse::part_size(&size.text())),
        )
        .map(|found| found.0)
    }

    /// A value of the configuration file as it stands there.
    pub(super) fn in_file<T>(&self, key: impl Fn(&Keys) -> Option<T>) -> Option<Setting<T>> {
        let (value, profile) = self.file.get(key)?;
        Some(Setting {
            value,
            origin: Origin::File(self.file.path.clone(), profile),
        })
    }

    /// A path, by flag, environment or configuration file.
    pub(super) fn path(
        &self,
        flag: Option<PathBuf>,
        env: Option<(PathBuf, &'static str)>,
        key: impl Fn(&Keys) -> Option<PathBuf>,
    ) -> Option<Setting<PathBuf>> {
        let flag = flag.map(|value| Setting {
            value,
            origin: Origin::Flag,
        });
        let env = env.map(|(value, name)| Setting {
            value,
            origin: Origin::Env(name),
        });
        flag.or(env).or_else(|| {
            let found = self.in_file(key)?;
            Some(Setting {
                value: self.file.resolve(&found.value),
                origin: found.origin,
            })
        })
    }

    /// A switch: the flag can only turn it on.
    pub(super) fn switch(&self, flag: bool, key: impl Fn(&Keys) -> Option<bool>) -> Setting<bool> {
        let flag = flag.then_some(Setting {
            value: true,
            origin: Origin::Flag,
        });
        flag.or_else(|| self.in_file(key))
            .unwrap_or_else(|| default(false))
    }

    /// A text that is checked wherever it comes from.
    pub(super) fn checked<T>(
        &self,
        key: &str,
        flag: Option<&str>,
        in_file: impl Fn(&Keys) -> Option<String>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Setting<T>>> {
        if let Some(text) = flag {
            let flag = key.replace('_', "-");
            let value = check(text).map_err(|why| {
                Error::new(Kind::Usage, format!("could not use the value of --{flag}"))
                    .with_source(why)
            })?;
            return Ok(Some(Setting {
                value,
                origin: Origin::Flag,
            }));
        }
        let Some(found) = self.in_file(in_file) else {
            return Ok(None);
        };
        let value = from_file(&self.file, key, check(&found.value))?;
        Ok(Some(Setting {
            value,
            origin: found.origin,
        }))
    }
}

/// A setting nobody made yet, or one that was.
pub(super) struct Settled<T>(Option<Setting<T>>);

impl<T> Settled<T> {
    pub(super) fn or(self, value: T) -> Setting<T> {
        self.0.unwrap_or_else(|| default(value))
    }
}

/// Takes the flag (which clap has checked) or else the file's value, checked by `check`.
pub(super) fn settle<T, Raw>(
    flag: Option<T>,
    in_file: Option<(Raw, Option<String>)>,
    file: &ConfigFile,
    check: impl FnOnce(Raw) -> Result<T>,
) -> Result<Settled<T>> {
    Ok(Settled(match (flag, in_file) {
        (Some(value), _) => Some(Setting {
            value,
            origin: Origin::Flag,
        }),
        (None, Some((raw, profile))) => Some(Setting {
            value: check(raw)?,
            origin: Origin::File(file.path.clone(), profile),
        }),
        (None, None) => None,
    }))
}

/// The error of a value in the configuration file names key and file.
pub(super) fn from_file<T>(file: &ConfigFile, key: &str, checked: Result<T, String>) -> Result<T> {
    checked.map_err(|why| {
        Error::new(
            Kind::Config,
            format!("could not use `{key}` of {}", file.path.display()),
        )
        .with_source(why)
    })
}

pub(super) fn default<T>(value: T) -> Setting<T> {
    Setting {
        value,
        origin: Origin::Default,
    }
}

/// Whose fault a wrong value is.
pub(super) fn blame(origin: &Origin) -> Kind {
    if *origin == Origin::Flag {
        Kind::Usage
    } else {
        Kind::Config
    }
}

/// An S3 endpoint: `https://host[:port]`, or `http://` (a store in the same network is often without TLS; what is sent to
/// it is signed all the same). No user, query or fragment.
fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "https" | "http" if bare && url.has_host() => Ok(url),
        _ => Err("an endpoint is https://host[:port] without user, query or fragment".to_owned()),
    }
}
