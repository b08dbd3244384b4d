//! What was typed, turned into values once: flags over environment over configuration file over defaults.
//!
//! Border: every value is checked here and none is looked up anywhere else; nothing is opened but the configuration file
//! and the token's. Each value knows where it came from, for `upload config`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::args::{self, IfChanged, Progress, WaitState, When};
use super::backend_spec::BackendSpec;
use super::config_file::ConfigFile;
use super::parse::{Jobs, LimitRate};
use crate::backend::{Header, StoreHost, TokenFile};
use crate::report;
use crate::transfer::WaitFor;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;

mod effective;
mod environment;
mod headers;
mod precedence;
mod token;

pub use effective::Effective;
pub use environment::{Directories, Machine, Terminals};
use precedence::{blame, from_file, settle};
#[cfg(feature = "gateway")]
pub use token::file as secret;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Env(&'static str),
    /// The configuration file, and the profile in it.
    File(PathBuf, Option<String>),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::File(path, Some(profile)) => write!(f, "{} [profile.{profile}]", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

/// How every verb speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common {
    pub json: bool,
    pub quiet: bool,
    pub verbose: u8,
    pub color: When,
    pub progress: Progress,
    pub terminals: Terminals,
}

/// How to reach a backend and its store.
#[derive(Debug, Clone)]
pub struct Connection {
    pub token: Option<Token>,
    /// Where that token stands, and a newer one may.
    pub token_file: Option<TokenFile>,
    pub ca_cert: Option<PathBuf>,
    pub proxy: Option<Proxy>,
    /// How long nothing may move on a connection; `None` leaves it to the connection.
    pub stall_after: Option<Duration>,
    pub allow_insecure_http: bool,
    pub store_hosts: Vec<StoreHost>,
    /// As good as a token, and kept as one.
    pub headers: Vec<Header>,
    pub s3: S3,
}

/// Where an `s3://` store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    pub endpoint: Option<Url>,
    pub region: Option<String>,
    pub path_style: bool,
}

/// A proxy's URL, which may hold a password: it shows itself without.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl Proxy {
    /// The URL itself, user and password included.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.0.scheme(), self.0.host_str().unwrap_or_default());
        let user = if self.0.username().is_empty() && self.0.password().is_none() {
            ""
        } else {
            "REDACTED@"
        };
        match self.0.port() {
            Some(port) => write!(f, "{scheme}://{user}{host}:{port}"),
            None => write!(f, "{scheme}://{user}{host}"),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Parts in flight over all files; `None` leaves it to the engine.
    pub jobs: Option<usize>,
    /// Bytes per second, over all parts; `None` is no limit.
    pub limit_rate: Option<u64>,
    /// Time without any confirmed byte; `None` is never.
    pub give_up_after: Option<Duration>,
    pub receipt: Option<PathBuf>,
    pub wait: WaitFor,
}

/// What `put` alone takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOptions {
    pub paths: Vec<PathBuf>,
    /// Only ever set for a single path.
    pub name: Option<String>,
    /// A wish in bytes.
    pub part_size: Option<u64>,
    pub content_type: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub if_changed: IfChanged,
    pub force: bool,
    pub dry_run: bool,
}

/// The three places settings come from, and what all verbs share.
pub struct Settings {
    pub common: Common,
    machine: Machine,
    file: ConfigFile,
    journal: Option<PathBuf>,
    color: Setting<When>,
    progress: Setting<Progress>,
}

impl Settings {
    /// Reads the configuration file and settles what all verbs share.
    ///
    /// # Errors
    /// [`Kind::Config`] for a file named by `--config` that is not there, for a file that cannot be understood, and for a
    /// profile it does not have.
    pub fn load(flags: &args::Global, machine: Machine) -> Result<Self> {
        let profile = match &flags.profile {
            Some(name) => Some(name.clone()),
            None => machine.text("UPLOAD_PROFILE")?,
        };
        let default = machine
            .directories
            .as_ref()
            .map(|found| found.config.join("config.toml"));
        let file = match flags.config.as_deref().or(default.as_deref()) {
            Some(path) => ConfigFile::read(path, flags.config.is_some(), profile.as_deref())?,
            None => ConfigFile::parse("", Path::new("config.toml"), profile.as_deref())?,
        };
        let choice = |key, text: String| from_file(&file, key, When::parse(&text));
        let color = settle(
            flags.color,
            file.get(|keys| keys.color.clone()),
            &file,
            |text| choice("color", text),
        )?
        .or(When::Auto);
        let choice = |key, text: String| from_file(&file, key, Progress::parse(&text));
        let progress = settle(
            flags.progress,
            file.get(|keys| keys.progress.clone()),
            &file,
            |text| choice("progress", text),
        )?
        .or(Progress::Auto);
        let common = Common {
            json: flags.json,
            quiet: flags.quiet,
            verbose: flags.verbose,
            color: color.value,
            progress: progress.value,
            terminals: machine.terminals,
        };
        Ok(Self {
            common,
            machine,
            file,
            journal: flags.journal.clone(),
            color,
            progress,
        })
    }

    /// What a reporter has to know, environment included.
    #[must_use]
    pub fn report(&self) -> report::Options {
        let is = |name, value: &str| self.machine.var(name).is_some_and(|found| found == value);
        report::Options {
            json: self.common.json,
            quiet: self.common.quiet,
            verbose: self.common.verbose,
            progress: match self.common.progress {
                Progress::Auto => report::Progress::Auto,
                Progress::Bar => report::Progress::Bar,
                Progress::Plain => report::Progress::Plain,
                Progress::None => report::Progress::None,
            },
            color: match self.common.color {
                When::Auto => report::Color::Auto,
                When::Always => report::Color::Always,
                When::Never => report::Color::Never,
            },
            screen: match self.common.terminals.stderr {
                true if is("TERM", "dumb") => report::Screen::Dumb,
                true => report::Screen::Terminal,
                false => report::Screen::None,
            },
            no_color: self.machine.var("NO_COLOR").is_some() || is("CLICOLOR", "0"),
        }
    }

    /// Where the journal is.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] where nobody names it and there is no home directory.
    pub fn journal(&self) -> Result<PathBuf> {
        Ok(self.journal_setting()?.value)
    }

    /// Where the embedded store keeps its objects.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] where there is no home directory.
    pub fn store_dir(&self) -> Result<PathBuf> {
        Ok(self.machine.directories()?.data.join("store"))
    }

    /// Where a gateway of its own (`upload serve`) keeps its ledger.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] where there is no home directory.
    pub fn ledger(&self) -> Result<PathBuf> {
        Ok(self.machine.directories()?.state.join("gateway.db"))
    }

    /// Where the environment says that ledger is: a URL of a database may hold a password, which is nothing for an argument.
    ///
    /// # Errors
    /// [`Kind::Config`] for what is not UTF-8.
    pub fn ledger_variable(&self) -> Result<Option<String>> {
        self.machine.text("UPLOAD_LEDGER")
    }

    /// The password that goes with a ledger's URL without one.
    ///
    /// # Errors
    /// [`Kind::Config`] for what is not UTF-8.
    pub fn postgres_password(&self) -> Result<Option<String>> {
        self.machine.text("PGPASSWORD")
    }

    /// The backend of `put`: it has to be configured.
    ///
    /// # Errors
    /// [`Kind::Config`] where none is; else as [`BackendSpec::parse`].
    pub fn backend(&self, flag: Option<&str>, connection: &Connection) -> Result<BackendSpec> {
        let found = self
            .backend_setting(flag)?
            .ok_or_else(BackendSpec::missing)?;
        BackendSpec::parse(
            &found.value,
            connection.allow_insecure_http,
            blame(&found.origin),
        )
    }

    /// The backend `resume` is confined to: the one its flag names, else any.
    ///
    /// # Errors
    /// As [`BackendSpec::parse`].
    pub fn backend_filter(
        flag: Option<&str>,
        connection: &Connection,
    ) -> Result<Option<BackendSpec>> {
        flag.map(|text| BackendSpec::parse(text, connection.allow_insecure_http, Kind::Usage))
            .transpose()
    }

    /// How to reach a backend and its store; reads the token.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Config`] for values that cannot be, and for a token's file that cannot be read.
    pub fn connection(&self, flags: &args::Connection) -> Result<Connection> {
        let token = self.token_setting(flags)?;
        Ok(Connection {
            token: token::read(token.as_ref())?,
            token_file: token.and_then(|found| found.value.file()),
            ca_cert: self.ca_cert_setting(flags).map(|found| found.value),
            proxy: self.proxy_setting(flags)?.map(|found| found.value),
            stall_after: self.stall_after_setting(flags)?.map(|found| found.value),
            allow_insecure_http: self.allow_insecure_http_setting(flags).value,
            store_hosts: self.store_hosts_setting(flags)?.value,
            headers: self.headers_setting(flags)?.value,
            s3: self.s3(&flags.s3)?,
        })
    }

    /// How to reach the backend that an upload of the journal names. Token and headers go only where they are meant for: where a
    /// backend is configured (or named by `flag`), to that one.
    ///
    /// # Errors
    /// As [`BackendSpec::parse`].
    pub fn toward(
        &self,
        spec: &BackendSpec,
        flag: Option<&str>,
        connection: &Connection,
    ) -> Result<Connection> {
        let meant = match self.backend_setting(flag)? {
            Some(found) => {
                BackendSpec::parse(
                    &found.value,
                    connection.allow_insecure_http,
                    blame(&found.origin),
                )? == *spec
            }
            None => true,
        };
        let (token, token_file) = (connection.token.clone(), connection.token_file.clone());
        Ok(Connection {
            token: token.filter(|_| meant),
            token_file: token_file.filter(|_| meant),
            headers: if meant {
                connection.headers.clone()
            } else {
                Vec::new()
            },
            ..connection.clone()
        })
    }

    /// Where an `s3://` store is.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Config`] for an endpoint that is no URL.
    pub fn s3(&self, flags: &args::S3) -> Result<S3> {
        Ok(S3 {
            endpoint: self.s3_endpoint_setting(flags)?.map(|found| found.value),
            region: self.s3_region_setting(flags).map(|found| found.value),
            path_style: self.s3_path_style_setting(flags).value,
        })
    }

    /// How to send.
    ///
    /// # Errors
    /// [`Kind::Config`] for values of the configuration file that cannot be.
    pub fn transfer(&self, flags: &args::Transfer) -> Result<Transfer> {
        Ok(Transfer {
            jobs: match self.jobs_setting(flags.jobs)?.value {
                Jobs::Auto => None,
                Jobs::Count(count) => Some(count),
            },
            limit_rate: match self.limit_rate_setting(flags.limit_rate)?.value {
                LimitRate::None => None,
                LimitRate::At(rate) => Some(rate),
            },
            give_up_after: self
                .give_up_after_setting(flags.give_up_after)?
                .value
                .limit(),
            receipt: flags.receipt.clone(),
            wait: match flags.wait {
                WaitState::None => WaitFor::Verified,
                WaitState::Ready => WaitFor::Ready(flags.wait_timeout.limit()),
            },
        })
    }

    /// What `put` alone takes.
    ///
    /// # Errors
    /// [`Kind::Usage`] for flags that do not go together; [`Kind::Config`] for a part size of the file that cannot be.
    pub fn put(&self, flags: &args::Put) -> Result<PutOptions> {
        if flags.name.is_some() && flags.paths.len() > 1 {
            return Err(Error::new(
                Kind::Usage,
                "--name names a single source, and there are several",
            ));
        }
        if flags.paths.iter().any(|path| path.as_os_str() == "-") {
            return Err(Error::new(
                Kind::Usage,
                "reading from standard input is not supported yet",
            )
            .with_hint("a file of that name is written ./-"));
        }
        let mut metadata = BTreeMap::new();
        for (key, value) in &flags.metadata {
            if metadata.insert(key.clone(), value.clone()).is_some() {
                return Err(Error::new(Kind::Usage, format!("--meta names {key} twice")));
            }
        }
        Ok(PutOptions {
            paths: flags.paths.clone(),
            name: flags.name.clone(),
            part_size: self
                .part_size_setting(flags.part_size)?
                .map(|found| found.value),
            content_type: flags.content_type.clone(),
            metadata,
            if_changed: flags.if_changed,
            force: flags.force,
            dry_run: flags.dry_run,
        })
    }
}

#[cfg(test)]
mod tests;
