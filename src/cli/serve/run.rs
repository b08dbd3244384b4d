//! Runs the verb below `upload serve`, or the gateway.

use std::time::Duration;

use super::config::config;
use super::{probe, prune, remove, sweep, token};
use crate::cli::args::serve::{self, ServeArgs, ServeVerb, SweepArgs};
use crate::cli::output::{self, LogFormat, LogOf};
use crate::cli::settings::Settings;
use crate::cli::signals;
use crate::report::LogWriter;
use upload_gateway::{Config, SweepMode};
use upload_types::error::Result;

/// How long stopping may take beyond draining and requests in flight.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// # Errors
/// Those of the configuration, and of starting, running or stopping the gateway.
pub async fn run(settings: &Settings, flags: &ServeArgs) -> Result<()> {
    let options = match &flags.verb {
        Some(ServeVerb::Sweep(sweep)) => &sweep.options,
        Some(ServeVerb::Rm(remove)) => &remove.options,
        Some(ServeVerb::Token(_) | ServeVerb::Prune(_)) | None => &flags.options,
    };
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
    if let Some(ServeVerb::Token(verb)) = &flags.verb {
        return token::run(settings, verb).await;
    }
    if let Some(ServeVerb::Prune(arguments)) = &flags.verb {
        return prune::run(settings, arguments).await;
    }
    let config = config(settings, options)?;
    config.validate()?;
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

/// Runs the gateway until a signal ends it.
async fn serve(config: Config) -> Result<()> {
    let stop_timeout = config.drain_time + upload_gateway::STOP_TIMEOUT + STOP_MARGIN;
    let mut stop = signals::listen(stop_timeout, || (), |_| ())?;
    let mut running = upload_gateway::start(config).await?;
    output::eprint_line(&format!(
        "listening on {}",
        running.url().as_str().trim_end_matches('/')
    ));
    if let Some(url) = &running.metrics_url() {
        output::eprint_line(&format!("metrics on {url}metrics"));
    }
    tokio::select! {
        ended = running.wait() => return ended,
        _ = stop.wait_for(Option::is_some) => {}
    }
    running.stop().await;
    Ok(())
}
