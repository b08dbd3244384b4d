//! Runs the command line: parses it, loads the settings, and runs the verb.

use super::args::{CommandLine, ConnectionArgs, Verb, WaitState};
use super::hint_commands::HintCommands;
use super::output::{self, LogFormat, LogOf};
#[cfg(feature = "gateway")]
use super::serve;
use super::settings::{Environment, Settings};
use super::{
    abort, cat, completions, config, hints, list, man, prune, put, put_stream, resource_limits,
    resume, session_events, status, url,
};
use crate::event;
use crate::report::LogWriter;
use upload_types::error::{Error, Result};

/// Runs the command line of this process, and returns the exit code.
///
/// # Errors
/// The error of the verb; its kind is the exit code.
pub async fn run() -> anyhow::Result<u8> {
    resource_limits::apply();
    let command_line = match CommandLine::from_process() {
        Ok(command_line) => command_line,
        Err(code) => {
            if code != 0 && CommandLine::process_wants_events() {
                session_events::print_exit_event(code)?;
            }
            return Ok(code);
        }
    };
    #[cfg(feature = "gateway")]
    let command_line = serve::config_file::apply(command_line)?;
    // The caller keeps a small future.
    let result = Box::pin(run_verb(&command_line)).await;
    if let (Err(error), Verb::Put(_) | Verb::Resume(_), true) =
        (&result, &command_line.verb, command_line.global.json)
    {
        // The event stream ends with an exit event even if the run fails before its session begins.
        session_events::print_exit_event(error.kind().exit_code())?;
    }
    Ok(result?)
}

async fn run_verb(command_line: &CommandLine) -> Result<u8> {
    let CommandLine { global, verb } = command_line;
    let environment = Environment::of_process();
    let settings = match verb {
        #[cfg(feature = "gateway")]
        Verb::Serve(_) => Settings::without_file(global, environment)?,
        _ => Settings::load(global, environment)?,
    };
    let settings = &settings;
    if !has_own_log(verb) {
        let writer = LogWriter::default();
        output::init_log(LogOf::Client, settings.verbose(), LogFormat::Text, writer);
    }
    let (connection, wait) = connection_and_wait(verb);
    let commands = HintCommands::new(global, &connection, wait);
    let done = |()| 0;
    let result = match verb {
        Verb::Put(flags) => match Box::pin(put_stream::run(settings, flags, &commands)).await {
            Ok(None) => Box::pin(put::run(settings, flags, commands.clone())).await,
            Ok(Some(code)) => Ok(code),
            Err(error) => Err(error),
        },
        Verb::Resume(flags) => Box::pin(resume::run(settings, flags, commands.clone())).await,
        Verb::List(flags) => Box::pin(list::run(settings, flags, &commands))
            .await
            .map(done),
        Verb::Status(flags) => Box::pin(status::run(settings, flags)).await.map(done),
        Verb::Abort(flags) => {
            Box::pin(abort::run(
                settings,
                flags,
                abort::Finished::Keep,
                &commands,
            ))
            .await
        }
        Verb::Rm(flags) => {
            Box::pin(abort::run(
                settings,
                flags,
                abort::Finished::Remove,
                &commands,
            ))
            .await
        }
        Verb::Prune(flags) => Box::pin(prune::run(settings, flags, &commands))
            .await
            .map(done),
        Verb::Cat(flags) => Box::pin(cat::run(settings, flags)).await.map(done),
        Verb::Url(flags) => Box::pin(url::run(settings, flags)).await.map(done),
        Verb::Config(flags) => config::run(settings, flags).map(done),
        #[cfg(feature = "gateway")]
        Verb::Serve(flags) => Box::pin(serve::run(settings, flags)).await.map(done),
        Verb::Completions(flags) => completions::run(flags).map(done),
        Verb::Man(flags) => man::run(flags).map(done),
        Verb::Version => print_version(settings).map(done),
    };
    result.map_err(|error| adapt_hint(verb, error, &commands))
}

fn print_version(settings: &Settings) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    output::print(&if settings.json() {
        let line = serde_json::json!({ "type": "version", "version": version });
        event::to_json_line(&line) + "\n"
    } else {
        format!("upload {version}\n")
    })
}

/// Whether a verb initialises the log itself: its writer depends on the reporter, or its format on
/// flags.
fn has_own_log(verb: &Verb) -> bool {
    match verb {
        Verb::Put(_) | Verb::Resume(_) => true,
        #[cfg(feature = "gateway")]
        Verb::Serve(_) => true,
        _ => false,
    }
}

/// The flags that the commands in hints repeat.
fn connection_and_wait(verb: &Verb) -> (ConnectionArgs, WaitState) {
    let (connection, wait) = match verb {
        Verb::Put(flags) => (&flags.connection, flags.transfer.wait),
        Verb::Resume(flags) => (&flags.connection, flags.transfer.wait),
        Verb::List(flags) => (&flags.connection, WaitState::default()),
        Verb::Status(flags) => (&flags.connection, WaitState::default()),
        Verb::Abort(flags) | Verb::Rm(flags) => (&flags.connection, WaitState::default()),
        Verb::Prune(flags) => (&flags.connection, WaitState::default()),
        Verb::Cat(flags) => (&flags.connection, WaitState::default()),
        Verb::Url(flags) => (&flags.connection, WaitState::default()),
        _ => return (ConnectionArgs::default(), WaitState::default()),
    };
    (connection.clone(), wait)
}

fn adapt_hint(verb: &Verb, error: Error, commands: &HintCommands) -> Error {
    match verb {
        Verb::Put(_) | Verb::Resume(_) => hints::with_commands(error, commands),
        #[cfg(feature = "gateway")]
        Verb::Serve(_) => error,
        _ => hints::for_query(error, commands),
    }
}
