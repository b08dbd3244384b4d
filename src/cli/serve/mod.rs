//! `upload serve`: makes a gateway's configuration of what was typed, runs it, and keeps its API tokens.
//!
//! Border: the door between command line and gateway; what a gateway does is `gateway`.

use std::time::Duration;

use url::Url;

use super::args::serve::{ChecksumMode, LogFormat, ProbeMode, Serve, ServeOptions, ServeVerb};
use super::backend_spec::BackendSpec;
use super::settings::{Settings, secret as secret_file};
use super::signals;
use crate::report::LogWriter;
use upload_gateway::events::Events;
use upload_gateway::{Config, Probe, StoreConfig};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Proof;

mod access;
pub mod config_file;
mod hooks;
mod ledger;
mod probe;
mod sweep;
mod token;

pub use ledger::ledger;

/// A gateway that is replaced by another waits this long for the store the old one still holds.
const LOCK_WAIT: Duration = Duration::from_secs(30);
const SOUND: &str = "the configuration is sound\n";
/// What stopping may take beyond what is waited for.
const MARGIN: Duration = Duration::from_secs(2);

/// Runs the gateway until a signal ends it, sweeps once, or does what was asked about tokens or the store.
///
/// # Errors
/// What the configuration, the start or the end of the gateway was.
pub async fn run(settings: &Settings, flags: &Serve) -> Result<()> {
    let options = match &flags.verb {
        Some(ServeVerb::Sweep(sweep)) => &sweep.options,
        Some(ServeVerb::Token(_)) | None => &flags.options,
    };
    super::log(
        settings.common.verbose,
        options.log_format == LogFormat::Json,
        LogWriter::default(),
    );
    match &flags.verb {
        Some(ServeVerb::Token(verb)) => token::run(settings, verb).await,
        Some(ServeVerb::Sweep(flags)) => {
            let config = config(settings, options)?;
            upload_gateway::check(&config)?;
            if options.check {
                super::config::print(SOUND)
            } else {
                sweep::run(settings, config, flags.dry_run).await
            }
        }
        None => {
            let config = config(settings, options)?;
            upload_gateway::check(&config)?;
            match (options.check, options.probe) {
                (true, _) => super::config::print(SOUND),
                (_, true) => probe::run(settings, &config).await,
                _ => serve(config).await,
            }
        }
    }
}

async fn serve(config: Config) -> Result<()> {
    let mut stop = signals::listen(config.drain + upload_gateway::STOP_WAIT + MARGIN, || ())?;
    let mut running = upload_gateway::start(config).await?;
    super::remark(&format!(
        "listening on {}",
        running.url.as_str().trim_end_matches('/')
    ));
    if let Some(url) = &running.metrics_url {
        super::remark(&format!("metrics on {url}metrics"));
    }
    tokio::select! {
        ended = running.wait() => return ended,
        _ = stop.wait_for(Option::is_some) => {}
    }
    running.stop().await;
    Ok(())
}

/// The gateway's configuration as the flags say it; opens nothing.
///
/// # Errors
/// [`Kind::Usage`] for a text that cannot be understood; [`Kind::Config`] for what this build cannot do, and for a gateway
/// away from loopback that lets everybody in.
pub fn config(settings: &Settings, flags: &ServeOptions) -> Result<Config> {
    Ok(Config {
        listen: flags.listen,
        metrics_listen: flags.metrics_listen,
        public_url: flags
            .public_url
            .as_deref()
            .map(|text| bare_url("--public-url", text))
            .transpose()?,
        cdn: flags
            .cdn
            .as_deref()
            .map(|text| bare_url("--cdn", text))
            .transpose()?,
        store: store(settings, flags)?,
        store_credentials: flags.store_credentials.clone(),
        ledger: ledger(settings, flags.ledger.ledger.as_deref())?,
        auth: access::auth(&flags.access, flags.listen)?,
        companion: flags.companion.clone(),
        allow_origins: flags.allow_origins.clone(),
        rate: flags.access.rate.as_deref().map(access::rate).transpose()?,
        quota: flags
            .access
            .quota
            .as_deref()
            .map(access::quota)
            .transpose()?
            .unwrap_or_default(),
        allow_types: flags.allow_types.clone(),
        max_size: flags.max_size,
        url_ttl: flags.url_ttl,
        upload_ttl: flags.upload_ttl,
        lease: flags.lease,
        sweep_every: flags.sweep_every.limit(),
        events: events(flags)?,
        survey: true,
        sse: flags.sse.as_deref().map(sse).transpose()?,
        required_headers: flags.required_headers.clone(),
        probe: match flags.store_probe {
            ProbeMode::Require => Probe::Require,
            ProbeMode::Warn => Probe::Warn,
            ProbeMode::Off => Probe::Off,
        },
        checksum: match flags.store_checksum {
            ChecksumMode::Auto => None,
            ChecksumMode::Sha256 => Some(Proof::Sha256),
            ChecksumMode::Payload => Some(Proof::Payload),
            ChecksumMode::Md5 => Some(Proof::Md5),
            ChecksumMode::None => Some(Proof::None),
        },
        hooks: hooks::list(flags)?,
        hook_secret: hooks::secret(flags)?,
        on_reject: hooks::on_reject(&flags.on_reject)?,
        lock_wait: LOCK_WAIT,
        drain: flags.drain.unwrap_or_default(),
    })
}

fn store(settings: &Settings, flags: &ServeOptions) -> Result<StoreConfig> {
    let text = flags.store.as_str();
    if text == "embedded" {
        return Ok(StoreConfig::Embedded {
            dir: settings.store_dir()?,
        });
    }
    if let Some(dir) = text.strip_prefix("embedded:").filter(|dir| !dir.is_empty()) {
        return Ok(StoreConfig::Embedded { dir: dir.into() });
    }
    if !text.starts_with("s3://") {
        return Err(Error::new(Kind::Usage, "could not understand --store")
            .with_hint("it is embedded[:DIR] or s3://BUCKET[/PREFIX]"));
    }
    match BackendSpec::parse(text, false, Kind::Usage)? {
        BackendSpec::S3 { bucket, prefix } => {
            let s3 = settings.s3(&flags.s3)?;
            let (endpoint, region, path_style) = (s3.endpoint, s3.region, s3.path_style);
            Ok(StoreConfig::S3 {
                bucket,
                prefix,
                endpoint,
                region,
                path_style,
            })
        }
        BackendSpec::Embedded | BackendSpec::Url(_) | BackendSpec::Companion(_) => {
            Err(Error::new(Kind::Usage, "--store names no bucket"))
        }
    }
}

/// Where the store's events come from: `sqs:QUEUE_URL` or `webhook`.
///
/// # Errors
/// [`Kind::Usage`] for anything else, and for a secret without a webhook; [`Kind::Config`] for a webhook without a secret.
fn events(flags: &ServeOptions) -> Result<Option<Events>> {
    let wrong =
        |hint: &str| Error::new(Kind::Usage, "could not understand --events").with_hint(hint);
    let forms = "it is sqs:QUEUE_URL or webhook";
    let secret = flags.events_secret_file.as_deref();
    match flags.events.as_deref() {
        Some("webhook") => {
            let file = secret.ok_or_else(|| {
                Error::new(Kind::Config, "a webhook for events without a secret would take anybody's")
                    .with_hint("put a long random word into a file of mode 0600 and name it with --events-secret-file")
            })?;
            secret_file(file, "the secret for events")
                .map(Events::Webhook)
                .map(Some)
        }
        _ if secret.is_some() => Err(wrong("--events-secret-file goes with --events webhook")),
        None => Ok(None),
        Some(text) => {
            let url = text.strip_prefix("sqs:").ok_or_else(|| wrong(forms))?;
            Ok(Some(Events::Sqs(
                Url::parse(url).map_err(|error| wrong(forms).with_source(error))?,
            )))
        }
    }
}

fn bare_url(flag: &str, text: &str) -> Result<Url> {
    let wrong = || Error::new(Kind::Usage, format!("could not use the value of {flag}"));
    let url = Url::parse(text).map_err(|error| wrong().with_source(error))?;
    let bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "https" | "http" if bare && url.has_host() => Ok(url),
        _ => {
            Err(wrong()
                .with_source("it is https://host[:port][/base] without user, query or fragment"))
        }
    }
}

fn sse(text: &str) -> Result<String> {
    let key = text.strip_prefix("aws:kms:");
    let plain = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
    if matches!(text, "AES256" | "aws:kms") || key.is_some_and(plain) {
        Ok(text.to_owned())
    } else {
        Err(Error::new(Kind::Usage, "could not understand --sse")
            .with_hint("it is AES256, aws:kms or aws:kms:KEY-ID"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, Verb};
    use crate::cli::settings::{Directories, Machine, Terminals};
    use upload_gateway::LedgerConfig;

    pub(super) fn made(line: &[&str]) -> Result<Config> {
        let directories = Directories {
            config: "/nowhere/config".into(),
            state: "/nowhere/state".into(),
            data: "/nowhere/data".into(),
        };
        let machine = Machine {
            env: |_| None,
            terminals: Terminals {
                stdout: false,
                stderr: false,
            },
            directories: Some(directories),
        };
        let args = Args::of(&[&["serve"], line].concat());
        let Verb::Serve(serve) = args.verb else {
            panic!("serve")
        };
        config(&Settings::load(&args.global, machine)?, &serve.options)
    }

    #[test]
    fn nothing_said_is_the_embedded_store_on_loopback() {
        let config = made(&[]).unwrap();
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
        assert_eq!((config.probe, config.checksum), (Probe::Require, None));
    }

    #[test]
    fn a_bucket_is_taken_apart() {
        let line = [
            "--store",
            "s3://media/in/",
            "--s3-endpoint",
            "http://127.0.0.1:9000",
            "--s3-path-style",
        ];
        match made(&line).unwrap().store {
            StoreConfig::S3 {
                bucket,
                prefix,
                endpoint,
                region,
                path_style,
            } => {
                assert_eq!(
                    (bucket.as_str(), prefix.as_str(), path_style),
                    ("media", "in", true)
                );
                assert_eq!(endpoint.unwrap().as_str(), "http://127.0.0.1:9000/");
                assert_eq!(region, None);
            }
            StoreConfig::Embedded { .. } => panic!("embedded"),
        }
    }

    #[test]
    fn tokens_have_verbs_of_their_own() {
        for line in [
            &["token", "add", "alice", "--ledger", "sqlite:l.db"][..],
            &["token", "list", "--json"],
            &["token", "revoke", "ab12"],
        ] {
            let args = Args::of(&[&["serve"], line].concat());
            let Verb::Serve(serve) = args.verb else {
                panic!("serve")
            };
            assert!(matches!(serve.verb, Some(ServeVerb::Token(_))), "{line:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
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
            assert_eq!(made(&line).unwrap_err().kind(), Kind::Usage, "{line:?}");
        }
        // Whoever can reach the gateway could tell it anything.
        assert_eq!(
            made(&["--events", "webhook"]).unwrap_err().kind(),
            Kind::Config
        );
    }
}
