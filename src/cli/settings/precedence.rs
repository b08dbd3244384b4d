//! The sources of each setting, in order of precedence: one function per setting.
//!
//! Not here: combining settings for a verb (`resolve`).

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::lookup::Settings;
use super::origin::{Origin, Setting};
use super::token::TokenSource;
use super::values::Proxy;
use crate::backend::StoreHost;
use crate::cli::args::{ConnectionArgs, IfExists, KeyStyle, NetworkArgs, S3Args};
use crate::cli::parse::{self, DurationOrNever, Jobs, LimitRate};
use upload_net::PROXY_VARIABLES;
use upload_types::Token;
use upload_types::error::{Error, Kind, Result};

/// Without a terminal, an upload without any confirmed byte ends after this long.
const GIVE_UP_WITHOUT_TERMINAL: Duration = Duration::from_mins(15);

impl Settings {
    pub(super) fn journal_setting(&self) -> Result<Setting<PathBuf>> {
        let found = self.path(self.journal.clone(), Some("UPLOAD_JOURNAL"), |keys| {
            keys.journal.clone()
        });
        if let Some(found) = found {
            return Ok(found);
        }
        let remedy = "name another file with --journal FILE";
        let directory = self.environment.state_directory("the journal", remedy)?;
        Ok(Setting::default(directory.join("journal.db")))
    }

    pub(super) fn backend_setting(&self, flag: Option<&str>) -> Result<Option<Setting<String>>> {
        if let Some(flag) = flag {
            return Ok(Some(Setting::flag(flag.to_owned())));
        }
        if let Some(value) = self.environment.text("UPLOAD_BACKEND")? {
            return Ok(Some(Setting::env(value, "UPLOAD_BACKEND")));
        }
        Ok(self.in_file(|keys| keys.backend.clone()))
    }

    pub(super) fn token_setting(
        &self,
        flags: &ConnectionArgs,
    ) -> Result<Option<Setting<TokenSource>>> {
        if let Some(path) = &flags.token_file {
            return Ok(Some(Setting::flag(TokenSource::File(path.clone()))));
        }
        if let Some(value) = self.environment.text("UPLOAD_TOKEN")? {
            let token = TokenSource::Value(Token::new(value));
            return Ok(Some(Setting::env(token, "UPLOAD_TOKEN")));
        }
        let found = self.path(None, Some("UPLOAD_TOKEN_FILE"), |keys| {
            keys.token_file.clone()
        });
        Ok(found.map(|found| found.map(TokenSource::File)))
    }

    pub(super) fn ca_cert_setting(&self, flags: &NetworkArgs) -> Option<Setting<PathBuf>> {
        self.path(flags.ca_cert.clone(), Some("AWS_CA_BUNDLE"), |keys| {
            keys.ca_cert.clone()
        })
    }

    /// `None` if the environment names a proxy for some URLs; see
    /// [`proxy_variable`](Settings::proxy_variable).
    pub(super) fn proxy_setting(&self, flags: &NetworkArgs) -> Result<Option<Setting<Proxy>>> {
        if flags.proxy.is_none() && self.proxy_variable().is_some() {
            return Ok(None);
        }
        self.text_flag_or_file(
            "proxy",
            flags.proxy.as_deref(),
            |keys| keys.proxy.clone(),
            Proxy::parse,
        )
    }

    /// The first variable that names a proxy. The HTTP library reads these variables.
    pub(super) fn proxy_variable(&self) -> Option<&'static str> {
        let is_set = |name: &&'static str| self.environment.variable(name).is_some();
        PROXY_VARIABLES.into_iter().find(is_set)
    }

    pub(super) fn stall_after_setting(
        &self,
        flags: &ConnectionArgs,
    ) -> Result<Option<Setting<Duration>>> {
        self.parsed_flag_or_file(
            "stall_after",
            flags.stall_after,
            |keys| keys.stall_after.clone(),
            |text| parse::duration(&text),
        )
    }

    pub(super) fn allow_insecure_http_setting(&self, flags: &ConnectionArgs) -> Setting<bool> {
        self.switch(flags.allow_insecure_http, |keys| keys.allow_insecure_http)
    }

    pub(super) fn store_hosts_setting(
        &self,
        flags: &ConnectionArgs,
    ) -> Result<Setting<Vec<StoreHost>>> {
        let flag = (!flags.store_hosts.is_empty()).then(|| flags.store_hosts.clone());
        let found = self.parsed_flag_or_file(
            "store_hosts",
            flag,
            |keys| keys.store_hosts.clone(),
            |texts| texts.iter().map(|text| parse::store_host(text)).collect(),
        )?;
        Ok(found.unwrap_or_else(|| Setting::default(Vec::new())))
    }

    /// Without a flag, the AWS configuration applies: its variables, and its files after ours.
    pub(super) fn s3_endpoint_setting(&self, flags: &S3Args) -> Result<Option<Setting<Url>>> {
        let aws = self.aws();
        if let (None, Some(found)) = (&flags.s3_endpoint, aws.endpoint_variable) {
            return parsed_aws_endpoint(found).map(Some);
        }
        let found = self.text_flag_or_file(
            "s3_endpoint",
            flags.s3_endpoint.as_deref(),
            |keys| keys.s3_endpoint.clone(),
            s3_endpoint,
        )?;
        match (found, aws.endpoint_of_profile) {
            (None, Some(found)) => parsed_aws_endpoint(found).map(Some),
            (found, _) => Ok(found),
        }
    }

    /// Without a flag, the variables of other AWS tools apply.
    pub(super) fn s3_region_setting(&self, flags: &S3Args) -> Result<Option<Setting<String>>> {
        if flags.s3_region.is_none() {
            for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
                if let Some(region) = self.environment.text(name)? {
                    return Ok(Some(Setting::env(region, name)));
                }
            }
        }
        let flag = flags.s3_region.clone().map(Setting::flag);
        Ok(flag.or_else(|| self.in_file(|keys| keys.s3_region.clone())))
    }

    pub(super) fn s3_path_style_setting(&self, flags: &S3Args) -> Setting<bool> {
        let found = self.switch(flags.s3_path_style, |keys| keys.s3_path_style);
        match found.origin {
            Origin::Default => self.aws().path_style.unwrap_or(found),
            _ => found,
        }
    }

    pub(super) fn jobs_setting(&self, flag: Option<Jobs>) -> Result<Setting<Jobs>> {
        let found = self.parsed_flag_or_file(
            "jobs",
            flag,
            |keys| keys.jobs.clone(),
            |jobs| parse::jobs(&jobs.text()),
        )?;
        Ok(found.unwrap_or_else(|| Setting::default(Jobs::Auto)))
    }

    pub(super) fn limit_rate_setting(&self, flag: Option<LimitRate>) -> Result<Setting<LimitRate>> {
        if let (None, Some(text)) = (flag, self.environment.text("UPLOAD_LIMIT_RATE")?) {
            let value = parse::limit_rate(&text).map_err(|reason| {
                Error::new(Kind::Config, "could not use UPLOAD_LIMIT_RATE").with_source(reason)
            })?;
            return Ok(Setting::env(value, "UPLOAD_LIMIT_RATE"));
        }
        let found = self.parsed_flag_or_file(
            "limit_rate",
            flag,
            |keys| keys.limit_rate.clone(),
            |rate| parse::limit_rate(&rate.text()),
        )?;
        Ok(found.unwrap_or_else(|| Setting::default(LimitRate::None)))
    }

    pub(super) fn give_up_after_setting(
        &self,
        flag: Option<DurationOrNever>,
    ) -> Result<Setting<DurationOrNever>> {
        let found = self.parsed_flag_or_file(
            "give_up_after",
            flag,
            |keys| keys.give_up_after.clone(),
            |text| parse::duration_or_never(&text),
        )?;
        let default = if self.environment.terminals.stderr {
            DurationOrNever::Never
        } else {
            DurationOrNever::After(GIVE_UP_WITHOUT_TERMINAL)
        };
        Ok(found.unwrap_or_else(|| Setting::default(default)))
    }

    /// `None` lets the backend decide: see [`Settings::keys`](Settings::keys).
    pub(super) fn key_style_setting(
        &self,
        flag: Option<KeyStyle>,
    ) -> Result<Option<Setting<KeyStyle>>> {
        self.parsed_flag_or_file(
            "key_style",
            flag,
            |keys| keys.key_style.clone(),
            |text| KeyStyle::parse(&text),
        )
    }

    pub(super) fn if_exists_setting(&self, flag: Option<IfExists>) -> Result<Setting<IfExists>> {
        let found = self.parsed_flag_or_file(
            "if_exists",
            flag,
            |keys| keys.if_exists.clone(),
            |text| IfExists::parse(&text),
        )?;
        Ok(found.unwrap_or_else(|| Setting::default(IfExists::Same)))
    }

    pub(super) fn part_size_setting(&self, flag: Option<u64>) -> Result<Option<Setting<u64>>> {
        self.parsed_flag_or_file(
            "part_size",
            flag,
            |keys| keys.part_size.clone(),
            |size| parse::part_size(&size.text()),
        )
    }
}

/// `https://host[:port]`, or `http://`: a store in the same network often has no TLS, and requests
/// are signed in any case. No user, query or fragment.
fn s3_endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "https" | "http" if is_bare && url.has_host() => Ok(url),
        _ => Err(
            "an endpoint must be https://host[:port] without user, query or fragment".to_owned(),
        ),
    }
}

/// # Errors
/// [`Kind::Config`] with the place of the value.
fn parsed_aws_endpoint(found: Setting<String>) -> Result<Setting<Url>> {
    let url = s3_endpoint(&found.value).map_err(|reason| {
        let what = match &found.origin {
            Origin::Env(name) => format!("could not use the value of {name}"),
            origin => format!("could not use endpoint_url of {origin}"),
        };
        Error::new(Kind::Config, what)
            .with_source(reason)
            .with_hint("set it to the URL of the S3 service, or use --s3-endpoint URL")
    })?;
    Ok(found.map(|_| url))
}
