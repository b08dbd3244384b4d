//! SIGHUP: reads flags, environment and configuration file again, and applies them to the running
//! gateway. A configuration that cannot be used changes nothing.

use std::time::Duration;

use tokio::sync::watch;

use super::config::config;
use super::config_file;
use super::value_origins::with_origins;
use crate::cli::args::{CommandLine, Verb};
use crate::cli::output;
use crate::cli::settings::{Environment, Settings};
use upload_gateway::{Reloaded, Running};
use upload_types::error::{Error, Kind, Result};

/// Applies the configuration as it is now, and logs what has changed. Sends a new `--drain` to
/// `drain_time`.
pub fn reload(running: &mut Running, drain_time: &watch::Sender<Duration>) {
    match apply(running, drain_time) {
        Ok(Reloaded {
            applied,
            needs_restart,
        }) => {
            tracing::info!(
                target: "upload_audit",
                event = "reloaded",
                applied = applied.join(" "),
                "configuration reloaded"
            );
            if !needs_restart.is_empty() {
                tracing::warn!(
                    settings = needs_restart.join(" "),
                    "these settings have changed, and apply after a restart"
                );
            }
        }
        Err(error) => tracing::error!(
            %error,
            "could not reload the configuration; the previous one still applies"
        ),
    }
}

fn apply(running: &mut Running, drain_time: &watch::Sender<Duration>) -> Result<Reloaded> {
    let unusable = || Error::new(Kind::Config, "the command line cannot be read again");
    let command_line = CommandLine::from_process().map_err(|_| unusable())?;
    let CommandLine { global, verb } = config_file::apply(command_line)?;
    let Verb::Serve(serve) = verb else {
        return Err(unusable());
    };
    let settings = Settings::without_file(&global, Environment::of_process())?;
    let config = config(&settings, &serve.options);
    let reloaded = config.and_then(|config| {
        let drain = config.drain_time;
        let reloaded = running.reload(config)?;
        if reloaded.applied.contains(&"drain") {
            drain_time.send_replace(drain);
        }
        Ok(reloaded)
    });
    let mut reloaded = reloaded.map_err(|error| with_origins(error, &serve.options.origins))?;
    if output::set_verbosity(settings.verbose()) {
        reloaded.applied.push("verbose");
    }
    Ok(reloaded)
}
