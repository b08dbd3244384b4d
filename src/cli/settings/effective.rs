//! Every setting with its value and where it comes from, for `upload config`.
//!
//! Border: a list of texts; how it is printed is the verb. The token's value is never among them.

use std::fmt::Display;

use super::{Origin, Setting, Settings};
use crate::cli::{args, parse};
use upload_types::error::Result;

/// One setting as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// As in the configuration file.
    pub key: &'static str,
    /// `None` where nobody set it and it has no default.
    pub value: Option<String>,
    pub origin: Origin,
}

impl Settings {
    /// Every setting, in the order of the documentation.
    ///
    /// # Errors
    /// The same as when the settings were to be used.
    pub fn effective(&self, flags: &args::Config) -> Result<Vec<Effective>> {
        let connection = &flags.connection;
        let path =
            |found: Setting<std::path::PathBuf>| found.map(|path| path.display().to_string());
        let hosts = self.store_hosts_setting(connection)?;
        let hosts = hosts.map(|hosts| {
            hosts
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        });
        // Their names alone.
        let headers = self.headers_setting(connection)?;
        let headers = headers.map(|headers| {
            headers
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        });
        // Checked in full, so that `upload config` finds what `upload put` would refuse.
        let reach = self.connection(connection)?;
        let backend = match self.backend_setting(flags.backend.as_deref())? {
            Some(found) => Some(Setting {
                value: self.backend(flags.backend.as_deref(), &reach)?.to_string(),
                origin: found.origin,
            }),
            None => None,
        };
        let token = match self.token_setting(connection)? {
            Some(found) => found.map(|_| "set"),
            None => super::precedence::default("not set"),
        };
        Ok(vec![
            line("backend", backend),
            line("token", Some(token)),
            line(
                "part_size",
                self.part_size_setting(flags.part_size)?
                    .map(|found| found.map(size)),
            ),
            line("jobs", Some(self.jobs_setting(flags.jobs)?)),
            line(
                "limit_rate",
                Some(self.limit_rate_setting(flags.limit_rate)?),
            ),
            line(
                "give_up_after",
                Some(self.give_up_after_setting(flags.give_up_after)?),
            ),
            line(
                "store_hosts",
                Some(hosts).filter(|hosts| !hosts.value.is_empty()),
            ),
            line(
                "headers",
                Some(headers).filter(|headers| !headers.value.is_empty()),
            ),
            line("ca_cert", self.ca_cert_setting(connection).map(path)),
            line("proxy", self.proxy_setting(connection)?),
            line(
                "stall_after",
                self.stall_after_setting(connection)?
                    .map(|found| found.map(parse::friendly)),
            ),
            line(
                "allow_insecure_http",
                Some(self.allow_insecure_http_setting(connection)),
            ),
            line("s3_endpoint", self.s3_endpoint_setting(&connection.s3)?),
            line("s3_region", self.s3_region_setting(&connection.s3)),
            line(
                "s3_path_style",
                Some(self.s3_path_style_setting(&connection.s3)),
            ),
            line("journal", Some(path(self.journal_setting()?))),
            line("color", Some(self.color.clone().map(args::When::name))),
            line(
                "progress",
                Some(self.progress.clone().map(args::Progress::name)),
            ),
        ])
    }
}

impl<T> Setting<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Setting<U> {
        Setting {
            value: f(self.value),
            origin: self.origin,
        }
    }
}

fn line<T: Display>(key: &'static str, setting: Option<Setting<T>>) -> Effective {
    match setting {
        Some(Setting { value, origin }) => Effective {
            key,
            value: Some(value.to_string()),
            origin,
        },
        None => Effective {
            key,
            value: None,
            origin: Origin::Default,
        },
    }
}

/// Bytes, in whole MiB where that is exact, as the configuration file may hold them.
fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes.is_multiple_of(MIB) {
        format!("{}MiB", bytes / MIB)
    } else {
        bytes.to_string()
    }
}
