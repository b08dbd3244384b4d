//! Changes the configuration of a running gateway: applies the settings that can change, and names
//! the others.
//!
//! Not here: reading the configuration (`cli/serve` of the client).

use std::fmt::{self, Debug};
use std::sync::Arc;

use url::Url;

use crate::bootstrap;
use crate::config::Config;
use crate::events::EventSource;
use crate::routes::Gateway;
use crate::service::ServiceConfig;
use upload_types::Token;
use upload_types::error::{Error, Kind, Result};

/// The settings that a reload found changed, by the keys of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Settings with another value, which applies from now on.
    pub applied: Vec<&'static str>,
    /// Settings with another value that applies after a restart.
    pub needs_restart: Vec<&'static str>,
}

/// Applies another configuration to a gateway.
pub struct Reloader {
    gateway: Arc<Gateway>,
    public_url: Url,
    /// The values that apply.
    config: Box<Config>,
}

impl Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

impl Reloader {
    pub fn new(gateway: Arc<Gateway>, public_url: Url, config: Config) -> Self {
        Self {
            gateway,
            public_url,
            config: Box::new(config),
        }
    }

    /// The configuration that applies.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// # Errors
    /// As [`Config::validate`] and [`bootstrap::hooks`], also if the new configuration is valid but
    /// its settings that change now contradict those that wait for a restart. Then nothing has
    /// changed.
    pub fn reload(&mut self, new: Config) -> Result<Reloaded> {
        new.validate()?;
        let hooks = bootstrap::hooks(&new)?;
        let reloaded = compare(&self.config, &new);
        let merged = merge(&self.config, new);
        merged.validate().map_err(|error| {
            error.with_hint("restart the gateway: other settings that changed apply only then")
        })?;
        let service = self.gateway.service().ok_or_else(|| {
            let error = Error::new(Kind::Temporary, "the gateway is still starting");
            error.with_hint("send SIGHUP again when /readyz responds with 200")
        })?;
        let old = service.config();
        service.set_config(ServiceConfig {
            url_ttl: old.url_ttl,
            lease_terms: old.lease_terms,
            ..bootstrap::service_config(&merged, service.store(), &self.public_url, hooks)
        });
        self.gateway
            .authenticator()
            .set_limit_rules(&merged.limit_rules);
        *self.config = merged;
        Ok(reloaded)
    }
}

/// The old configuration with those settings of the new one that need no restart.
fn merge(old: &Config, new: Config) -> Config {
    Config {
        rate: new.rate,
        quota: new.quota,
        limit_rules: new.limit_rules,
        subjects: new.subjects,
        allow_types: new.allow_types,
        allow_attributes: new.allow_attributes,
        client_keys: new.client_keys,
        max_size: new.max_size,
        keep_ended: new.keep_ended,
        hooks: new.hooks,
        hook_secret: new.hook_secret,
        on_reject: new.on_reject,
        client_delete: new.client_delete,
        drain_time: new.drain_time,
        ..Config::clone(old)
    }
}

/// The settings that differ.
fn compare(old: &Config, new: &Config) -> Reloaded {
    let secret = |token: &Option<Token>| token.as_ref().map(|token| token.expose().to_owned());
    let differing = |settings: &[(&'static str, bool)]| {
        let differing = settings.iter().filter(|(_, differs)| *differs);
        differing.map(|(name, _)| *name).collect()
    };
    let applied = [
        ("rate", old.rate != new.rate),
        ("quota", old.quota != new.quota),
        ("limits", old.limit_rules != new.limit_rules),
        ("subjects", old.subjects != new.subjects),
        ("allow_type", old.allow_types != new.allow_types),
        (
            "allow_attribute",
            old.allow_attributes != new.allow_attributes,
        ),
        ("client_keys", old.client_keys != new.client_keys),
        ("max_size", old.max_size != new.max_size),
        ("keep_ended", old.keep_ended != new.keep_ended),
        ("hook", old.hooks != new.hooks),
        (
            "hook_secret_file",
            secret(&old.hook_secret) != secret(&new.hook_secret),
        ),
        ("on_reject", old.on_reject != new.on_reject),
        ("client_delete", old.client_delete != new.client_delete),
        ("drain", old.drain_time != new.drain_time),
    ];
    let event_secret = |config: &Config| match &config.events {
        Some(EventSource::Webhook(token)) => Some(token.expose().to_owned()),
        Some(EventSource::Sqs(_)) | None => None,
    };
    let restart = [
        ("listen", differ(&old.listen, &new.listen)),
        (
            "metrics_listen",
            differ(&old.metrics_listen, &new.metrics_listen),
        ),
        ("public_url", differ(&old.public_url, &new.public_url)),
        ("store", differ(&old.store, &new.store)),
        ("cdn", differ(&old.cdn_url, &new.cdn_url)),
        (
            "store_credentials",
            differ(&old.store_credentials_file, &new.store_credentials_file),
        ),
        (
            "store_presigned_puts",
            differ(&old.store_presigned_puts, &new.store_presigned_puts),
        ),
        ("ledger", differ(&old.ledger, &new.ledger)),
        ("auth", differ(&old.auth, &new.auth)),
        (
            "companion",
            differ(&old.companion_path, &new.companion_path),
        ),
        (
            "allow_origin",
            differ(&old.allow_origins, &new.allow_origins),
        ),
        ("url_ttl", differ(&old.url_ttl, &new.url_ttl)),
        ("upload_ttl", differ(&old.upload_ttl, &new.upload_ttl)),
        ("lease", differ(&old.lease_ttl, &new.lease_ttl)),
        (
            "sweep_every",
            differ(&old.sweep_interval, &new.sweep_interval),
        ),
        ("events", differ(&old.events, &new.events)),
        ("events_secret_file", event_secret(old) != event_secret(new)),
        ("sse", differ(&old.sse, &new.sse)),
        (
            "required_header",
            differ(&old.required_headers, &new.required_headers),
        ),
        ("store_probe", differ(&old.probe, &new.probe)),
        ("store_checksum", differ(&old.proof, &new.proof)),
        ("ca_cert or proxy", differ(&old.network, &new.network)),
    ];
    Reloaded {
        applied: differing(&applied),
        needs_restart: differing(&restart),
    }
}

/// Compares values that have no equality of their own. Their `Debug` shows no secret, so that a
/// difference in a secret is not found.
fn differ(old: &impl Debug, new: &impl Debug) -> bool {
    format!("{old:?}") != format!("{new:?}")
}
