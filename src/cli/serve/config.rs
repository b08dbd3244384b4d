//! Makes the configuration of a gateway from the flags of `upload serve`. Opens no files except
//! those of secrets and certificates.

use std::collections::BTreeSet;
use std::time::Duration;

use url::Url;

use super::{access, hooks, ledger_location, limit_rules};
use crate::cli::args::access::Subjects;
use crate::cli::args::serve::{ALL_ATTRIBUTES, ChecksumMode, ProbeMode, ServeOptions};
use crate::cli::backend_spec::{BackendSpec, PlainHttp};
use crate::cli::permissions::warn_if_others_can_read;
use crate::cli::secret_file::read_secret;
use crate::cli::secret_redaction::not_understood;
use crate::cli::settings::Settings;
use upload_gateway::{ClientKeys, Config, EventSource, ProbePolicy, StoreConfig, SubjectUse};
use upload_types::attributes::{Attribute, Encryption};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Proof;

/// How long a gateway that replaces another waits until that one releases the store.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// # Errors
/// [`Kind::Usage`] for a text that cannot be understood; [`Kind::Config`] for missing or
/// contradictory flags.
pub fn config(settings: &Settings, flags: &ServeOptions) -> Result<Config> {
    let public_url = flags.public_url.as_deref();
    for (file, noun) in [
        (&flags.hook_secret_file, "the secret for hooks"),
        (&flags.events_secret_file, "the secret for events"),
    ] {
        if let Some(file) = file {
            warn_if_others_can_read(file, noun);
        }
    }
    let cdn = flags.cdn.as_deref();
    let quota = flags.access.quota.as_deref().map(access::quota);
    let limits = flags.access.limits.iter();
    let limit_rules = limits.map(|text| limit_rules::rule(text));
    Ok(Config {
        listen: flags.listen,
        metrics_listen: flags.metrics_listen,
        public_url: public_url
            .map(|text| base_url("--public-url", text))
            .transpose()?,
        cdn_url: cdn.map(|text| base_url("--cdn", text)).transpose()?,
        store: store(settings, flags)?,
        store_credentials_file: flags.store_credentials.clone(),
        store_presigned_puts: flags.store_presigned_puts,
        ledger: ledger_location::resolve(settings, flags.ledger.ledger.as_deref())?,
        auth: access::auth(&flags.access, flags.listen)?,
        companion_path: flags.companion.clone(),
        allow_origins: flags.allow_origins.clone(),
        rate: flags.access.rate.as_deref().map(access::rate).transpose()?,
        quota: quota.transpose()?.unwrap_or_default(),
        limit_rules: limit_rules.collect::<Result<_>>()?,
        subjects: match flags.access.subjects {
            Subjects::All => SubjectUse::LogsAndHooks,
            Subjects::Hooks => SubjectUse::Hooks,
            Subjects::None => SubjectUse::Nowhere,
        },
        allow_types: flags.allow_types.clone(),
        allow_attributes: allow_attributes(&flags.allow_attributes),
        client_keys: if flags.client_keys {
            ClientKeys::ByPattern
        } else {
            ClientKeys::None
        },
        max_size: flags.max_size,
        url_ttl: flags.url_ttl,
        upload_ttl: flags.upload_ttl,
        lease_ttl: flags.lease,
        keep_ended: flags.keep_ended.duration(),
        sweep_interval: flags.sweep_every.duration(),
        events: events(flags)?,
        report_orphans: true,
        sse: flags.sse.as_deref().map(sse).transpose()?,
        required_headers: flags.required_headers.clone(),
        probe: match flags.store_probe {
            ProbeMode::Require => ProbePolicy::Require,
            ProbeMode::Warn => ProbePolicy::Warn,
            ProbeMode::Off => ProbePolicy::Off,
        },
        proof: match flags.store_checksum {
            ChecksumMode::Auto => None,
            ChecksumMode::Sha256 => Some(Proof::Sha256),
            ChecksumMode::Payload => Some(Proof::Payload),
            ChecksumMode::Md5 => Some(Proof::Md5),
            ChecksumMode::None => Some(Proof::None),
        },
        hooks: hooks::hooks(flags)?,
        hook_secret: hooks::secret(flags)?,
        on_reject: hooks::on_reject(&flags.on_reject)?,
        client_delete: flags.client_delete,
        network: settings.network(&flags.network)?,
        store_lock_timeout: LOCK_TIMEOUT,
        drain_time: flags.drain.unwrap_or_default(),
    })
}

fn store(settings: &Settings, flags: &ServeOptions) -> Result<StoreConfig> {
    let wrong = || {
        not_understood("--store", &flags.store)
            .with_hint("write embedded, embedded:DIR or s3://BUCKET[/PREFIX]")
    };
    let text = flags.store.as_str();
    let public_endpoint = flags.s3_public_endpoint.as_deref();
    if public_endpoint.is_some() && !text.starts_with("s3://") {
        let error = Error::new(Kind::Config, "--s3-public-endpoint needs a store of s3://");
        return Err(error.with_hint("name the URL of an embedded store with --public-url"));
    }
    if text == "embedded" {
        return Ok(StoreConfig::Embedded {
            dir: settings.store_dir()?,
        });
    }
    if let Some(dir) = text.strip_prefix("embedded:").filter(|dir| !dir.is_empty()) {
        return Ok(StoreConfig::Embedded { dir: dir.into() });
    }
    if !text.starts_with("s3://") {
        return Err(wrong());
    }
    let spec = BackendSpec::parse(text, PlainHttp::OnThisMachine, Kind::Usage)?;
    let BackendSpec::S3 { bucket, prefix } = spec else {
        return Err(wrong());
    };
    let s3 = settings.s3(&flags.s3)?;
    Ok(StoreConfig::S3 {
        bucket,
        prefix,
        endpoint: s3.endpoint,
        public_endpoint: public_endpoint
            .map(|text| base_url("--s3-public-endpoint", text))
            .transpose()?,
        region: s3.region,
        path_style: s3.path_style,
    })
}

/// The source of store events: `sqs:QUEUE_URL` or `webhook`.
fn events(flags: &ServeOptions) -> Result<Option<EventSource>> {
    let wrong = || not_understood("--events", flags.events.as_deref().unwrap_or_default());
    let forms = "write sqs:QUEUE_URL or webhook";
    let secret_file = flags.events_secret_file.as_deref();
    match flags.events.as_deref() {
        Some("webhook") => {
            let file = secret_file.ok_or_else(|| {
                Error::new(
                    Kind::Config,
                    "--events webhook needs a secret: without one, any caller could send events",
                )
                .with_hint(
                    "put a long random word into a file of mode 0600, and name that file with --events-secret-file",
                )
            })?;
            let secret = read_secret(file, "the secret for events")?;
            Ok(Some(EventSource::Webhook(secret)))
        }
        _ if secret_file.is_some() => Err(Error::new(
            Kind::Usage,
            "--events-secret-file is for --events webhook",
        )
        .with_hint("add --events webhook, or leave out --events-secret-file")),
        None => Ok(None),
        Some(text) => {
            let url = text
                .strip_prefix("sqs:")
                .ok_or_else(|| wrong().with_hint(forms))?;
            let url =
                Url::parse(url).map_err(|error| wrong().with_hint(forms).with_source(error))?;
            Ok(Some(EventSource::Sqs(url)))
        }
    }
}

/// `https://host[:port][/base]`, or `http://`; no user, query or fragment.
fn base_url(flag: &str, text: &str) -> Result<Url> {
    let wrong = || Error::new(Kind::Usage, format!("could not use the value of {flag}"));
    let url = Url::parse(text).map_err(|error| wrong().with_source(error))?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "https" | "http" if is_bare && url.has_host() => Ok(url),
        _ => Err(wrong()
            .with_source("it must be https://host[:port][/base] without user, query or fragment")),
    }
}

/// The attributes of `--allow-attribute`, whose names are checked.
fn allow_attributes(names: &[String]) -> BTreeSet<Attribute> {
    if names.iter().any(|name| name == ALL_ATTRIBUTES) {
        return Attribute::ALL.into();
    }
    names
        .iter()
        .filter_map(|name| Attribute::from_name(name))
        .collect()
}

fn sse(text: &str) -> Result<String> {
    if Encryption::parse(text).is_some() {
        Ok(text.to_owned())
    } else {
        Err(not_understood("--sse", text).with_hint("write AES256, aws:kms or aws:kms:KEY-ID"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::args::serve::ServeVerb;
    use crate::cli::args::{CommandLine, Verb};
    use crate::cli::settings::{Directories, Environment, Terminals};
    use upload_gateway::LedgerConfig;

    /// The configuration of `upload serve ARGUMENTS`.
    pub(in crate::cli::serve) fn config_of(arguments: &[&str]) -> Result<Config> {
        let directories = Directories {
            config: Some("/nowhere/config".into()),
            state: Some("/nowhere/state".into()),
            data: Some("/nowhere/data".into()),
        };
        let environment = Environment {
            variable: |_| None,
            terminals: Terminals {
                stdout: false,
                stderr: false,
            },
            directories,
        };
        let CommandLine { global, verb } = CommandLine::of(&[&["serve"], arguments].concat());
        let Verb::Serve(serve) = verb else {
            panic!("serve")
        };
        config(&Settings::load(&global, environment)?, &serve.options)
    }

    #[test]
    fn defaults_are_the_embedded_store_on_loopback() {
        let config = config_of(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert!(
            matches!(config.store, StoreConfig::Embedded { dir } if dir.ends_with("data/store"))
        );
        assert!(
            matches!(config.ledger, LedgerConfig::Sqlite(path) if path.ends_with("state/gateway.db"))
        );
        assert!(matches!(config.auth, upload_gateway::Auth::None));
        assert_eq!(config.allow_types, ["*/*"]);
        assert_eq!(
            (config.url_ttl, config.upload_ttl),
            (Duration::from_mins(15), Duration::from_hours(168))
        );
        assert_eq!((config.probe, config.proof), (ProbePolicy::Require, None));
    }

    #[test]
    fn bucket_is_split_into_name_and_prefix() {
        let line = [
            "--store",
            "s3://media/in/",
            "--s3-endpoint",
            "http://127.0.0.1:9000",
            "--s3-path-style",
        ];
        match config_of(&line).unwrap().store {
            StoreConfig::S3 {
                bucket,
                prefix,
                endpoint,
                region,
                path_style,
                public_endpoint,
            } => {
                assert_eq!(
                    (bucket.as_str(), prefix.as_str(), path_style),
                    ("media", "in", true)
                );
                assert_eq!(endpoint.unwrap().as_str(), "http://127.0.0.1:9000/");
                assert_eq!((region, public_endpoint), (None, None));
            }
            StoreConfig::Embedded { .. } => panic!("embedded"),
        }
    }

    #[test]
    fn token_verbs_are_parsed() {
        for line in [
            &["token", "add", "alice", "--ledger", "sqlite:l.db"][..],
            &["token", "list", "--json"],
            &["token", "revoke", "ab12"],
        ] {
            let command_line = CommandLine::of(&[&["serve"], line].concat());
            let Verb::Serve(serve) = command_line.verb else {
                panic!("serve")
            };
            assert!(matches!(serve.verb, Some(ServeVerb::Token(_))), "{line:?}");
        }
    }

    #[test]
    fn wrong_values_are_usage_errors() {
        for line in [
            ["--store", "embedded:"],
            ["--store", "media"],
            ["--store", "https://media"],
            ["--ledger", "mysql:x"],
            ["--ledger", "sqlite:"],
            ["--ledger", "sqlitefile"],
            ["--ledger", "postgres://u@host/db?sslmode=no"],
            ["--sse", "rot13"],
            ["--events", "kafka:topic"],
            ["--events", "sqs:uploads"],
            ["--events-secret-file", "secret"],
            ["--public-url", "https://user@host"],
            ["--rate", "fast"],
            ["--quota", "much"],
            ["--cdn", "https://cdn.example.com/?key="],
        ] {
            assert_eq!(
                config_of(&line).unwrap_err().kind(),
                Kind::Usage,
                "{line:?}"
            );
        }
        assert_eq!(
            config_of(&["--events", "webhook"]).unwrap_err().kind(),
            Kind::Config
        );
    }
}
