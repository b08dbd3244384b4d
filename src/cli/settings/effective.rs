//! Every setting as text with its origin, for `upload config`. The value of a token or header is
//! never included.

use std::fmt::Display;

use super::lookup::Settings;
use super::origin::{Origin, Setting};
use crate::cli::args::{ColorWhen, ConfigArgs, IfExists, KeyStyle, ProgressStyle};
use crate::cli::parse;
use upload_types::error::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// The key in the configuration file.
    pub key: &'static str,
    /// `None` if it is not set and has no default.
    pub value: Option<String>,
    pub origin: Origin,
}

impl Settings {
    /// Every setting, in the order of the documentation.
    ///
    /// # Errors
    /// As for the verbs that use the settings.
    pub fn effective(&self, flags: &ConfigArgs) -> Result<Vec<EffectiveSetting>> {
        let connection = &flags.connection;
        let s3 = &connection.s3;
        let path =
            |found: Setting<std::path::PathBuf>| found.map(|path| path.display().to_string());
        let store_hosts = self
            .store_hosts_setting(connection)?
            .map(|hosts| join(&hosts));
        // `Display` of a header writes its name only.
        let headers = self
            .headers_setting(connection)?
            .map(|headers| join(&headers));
        // Resolved completely, so that `upload config` finds every error that `upload put` would.
        let resolved = self.connection(connection)?;
        let backend = match self.backend_setting(flags.backend.as_deref())? {
            Some(found) => Some(Setting {
                value: self.target(flags.backend.as_deref(), &resolved)?.name(),
                origin: found.origin,
            }),
            None => None,
        };
        let token = self.token_setting(connection)?;
        let proxy = self.proxy_setting(&connection.network)?;
        // Its URL is not shown: the variables differ by the scheme of the URL that is requested.
        let proxy_variable = self.proxy_variable().map(|name| Setting::env("set", name));
        let proxy = proxy
            .map(|found| found.map(|proxy| proxy.to_string()))
            .or(proxy_variable.map(|found| found.map(str::to_owned)));
        let part_size = self.part_size_setting(flags.part_size)?;
        let key_style = self.key_style_setting(flags.key_style)?;
        let if_exists = self.if_exists_setting(flags.if_exists)?;
        let stall_after = self.stall_after_setting(connection)?;
        let not_empty = |found: &Setting<String>| !found.value.is_empty();
        Ok(vec![
            entry("backend", backend),
            entry("token", token.map(|found| found.map(|_| "set"))),
            entry("part_size", part_size.map(|found| found.map(size))),
            entry(
                "key_style",
                key_style.map(|found| found.map(KeyStyle::name)),
            ),
            entry("if_exists", Some(if_exists.map(IfExists::name))),
            entry("jobs", Some(self.jobs_setting(flags.jobs)?)),
            entry(
                "limit_rate",
                Some(self.limit_rate_setting(flags.limit_rate)?),
            ),
            entry(
                "give_up_after",
                Some(self.give_up_after_setting(flags.give_up_after)?),
            ),
            entry("store_hosts", Some(store_hosts).filter(not_empty)),
            entry("headers", Some(headers).filter(not_empty)),
            entry(
                "ca_cert",
                self.ca_cert_setting(&connection.network).map(path),
            ),
            entry("proxy", proxy),
            entry(
                "stall_after",
                stall_after.map(|found| found.map(parse::format_duration)),
            ),
            entry(
                "allow_insecure_http",
                Some(self.allow_insecure_http_setting(connection)),
            ),
            entry("s3_endpoint", self.s3_endpoint_setting(s3)?),
            entry("s3_region", self.s3_region_setting(s3)?),
            entry("s3_path_style", Some(self.s3_path_style_setting(s3))),
            entry("journal", Some(path(self.journal_setting()?))),
            entry("color", Some(self.color.clone().map(ColorWhen::name))),
            entry(
                "progress",
                Some(self.progress.clone().map(ProgressStyle::name)),
            ),
        ])
    }
}

fn join(values: &[impl Display]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

fn entry<T: Display>(key: &'static str, setting: Option<Setting<T>>) -> EffectiveSetting {
    match setting {
        Some(Setting { value, origin }) => EffectiveSetting {
            key,
            value: Some(value.to_string()),
            origin,
        },
        None => EffectiveSetting {
            key,
            value: None,
            origin: Origin::Default,
        },
    }
}

/// Bytes, in MiB if that is exact, as the configuration file accepts them.
fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes.is_multiple_of(MIB) {
        format!("{}MiB", bytes / MIB)
    } else {
        bytes.to_string()
    }
}
