//! Runs the verb below `upload serve`, or the gateway.

use std::time::Duration;

use tokio::signal::unix::SignalKind;
use tokio::sync::watch;

use super::config::config;
use super::owners::{self, About};
use super::reload::reload;
use super::value_origins::with_origins;
use super::{probe, prune, remove, sweep, token, uploads};
use crate::cli::args::serve::{self, ServeArgs, ServeVerb, SweepArgs};
use crate::cli::output::{self, LogFormat, LogOf};
use crate::cli::settings::Settings;
use crate::cli::signals::{self, Hangup};
use crate::report::LogWriter;
use upload_gateway::{Config, SweepMode};
use upload_types::error::Result;

/// How long stopping may take beyond draining and requests in flight.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// # Errors
/// Those of the configuration, and of starting, running or stopping the gateway.
pub async fn run(settings: &Settings, flags: &ServeArgs) -> Result<()> {
    let options = flags.used_options();
    let format = match options.log_format {
        serve::LogFormat::Text => LogFormat::Text,
        serve::LogFormat::Json => LogFormat::Json,
    };
    output::init_log(
        LogOf::Gateway,
        settings.verbose(),
        format,
        LogWriter::default(),
    );
    match &flags.verb {
        Some(ServeVerb::Token(verb)) => return token::run(settings, verb).await,
        Some(ServeVerb::Uploads(flags)) => return uploads::run(settings, flags).await,
        Some(ServeVerb::Owners { ledger }) => {
            return owners::run(settings, ledger, About::Owners).await;
        }
        Some(ServeVerb::Usage { ledger }) => {
            return owners::run(settings, ledger, About::Usage).await;
        }
        Some(ServeVerb::Prune(arguments)) => return prune::run(settings, arguments).await,
        Some(ServeVerb::Sweep(_) | ServeVerb::Rm(_)) | None => {}
    }
    let config = config(settings, options).and_then(|config| {
        config.validate()?;
        Ok(config)
    });
    let config = config.map_err(|error| with_origins(error, &options.origins))?;
    match &flags.verb {
        _ if options.check => output::print("the configuration is valid\n"),
        Some(ServeVerb::Sweep(flags)) => sweep::run(settings, config, sweep_mode(flags)).await,
        Some(ServeVerb::Rm(flags)) => remove::run(settings, config, &flags.uploads).await,
        _ if options.probe => probe::run(settings, &config).await,
        _ => serve(config).await,
    }
}

fn sweep_mode(flags: &SweepArgs) -> SweepMode {
    if flags.dry_run {
        SweepMode::DryRun
    } else {
        SweepMode::Run
    }
}

/// Runs the gateway until a signal ends it. SIGHUP reloads its configuration.
async fn serve(config: Config) -> Result<()> {
    let (drain_time, drain) = watch::channel(config.drain_time);
    let stop_timeout = move || *drain.borrow() + upload_gateway::STOP_TIMEOUT + STOP_MARGIN;
    let mut stop = signals::listen(Hangup::Ignored, stop_timeout, || (), |_| ())?;
    let mut hangup = signals::subscribe(SignalKind::hangup())?;
    let mut running = Box::pin(upload_gateway::start(config)).await?;
    output::eprint_line(&format!(
        "listening on {}",
        running.url().as_str().trim_end_matches('/')
    ));
    if let Some(url) = &running.metrics_url() {
        output::eprint_line(&format!("metrics on {url}metrics"));
    }
    loop {
        tokio::select! {
            ended = running.wait() => return ended,
            _ = stop.wait_for(Option::is_some) => break,
            () = signals::receive(&mut hangup) => reload(&mut running, &drain_time),
        }
    }
    running.stop().await;
    Ok(())
}
