//! The command line: what was typed, what it means, and one file for each verb.
//!
//! Border: the one place where source, journal, backend, transfer and report meet.

use std::io::{self, Write as _};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

mod abort;
pub mod args;
mod backend_handle;
mod backend_spec;
mod cat;
pub mod completions;
pub mod config;
mod config_file;
mod list;
#[cfg(feature = "gateway")]
mod local_gateway;
pub mod man;
pub mod parse;
mod permissions;
mod prune;
mod put;
mod rate_signals;
mod receipt_file;
mod resource_limits;
mod resume;
mod resume_hint;
#[cfg(feature = "gateway")]
pub mod serve;
mod session;
pub mod settings;
mod signals;

pub use backend_spec::BackendSpec;

use crate::report::{LogWriter, safe};
use args::{Args, Verb};
use settings::{Machine, Settings};
use upload_types::error::{Error, Kind, Result};

/// Does what the command line says and gives the exit code.
///
/// # Errors
/// What could not be done; its kind is the exit code.
pub async fn run() -> anyhow::Result<u8> {
    resource_limits::settle();
    let args = Args::typed();
    #[cfg(feature = "gateway")]
    let args = serve::config_file::under(args)?;
    let done = verb(&args).await;
    if let (Err(error), Verb::Put(_) | Verb::Resume(_), true) =
        (&done, &args.verb, args.global.json)
    {
        // Whoever reads the stream is promised this last line, also where nothing could begin.
        session::tell_nothing_began(error)?;
    }
    Ok(done?)
}

async fn verb(args: &Args) -> Result<u8> {
    let settings = Settings::load(&args.global, Machine::here())?;
    if !speaks_for_itself(&args.verb) {
        log(settings.common.verbose, false, LogWriter::default());
    }
    let done = |()| 0;
    Ok(match &args.verb {
        Verb::Put(flags) => {
            let resume = resume_hint::resume(&args.global, &flags.connection, flags.transfer.wait);
            put::run(&settings, flags, resume).await?
        }
        Verb::Resume(flags) => {
            let resume = resume_hint::resume(&args.global, &flags.connection, flags.transfer.wait);
            resume::run(&settings, flags, resume).await?
        }
        Verb::List(flags) => list::list(&settings, flags).await.map(done)?,
        Verb::Status(flags) => list::status(&settings, flags).await.map(done)?,
        Verb::Abort(flags) => abort::run(&settings, flags).await?,
        Verb::Prune(flags) => prune::run(&settings, flags).await.map(done)?,
        Verb::Cat(flags) => cat::cat(&settings, flags).await.map(done)?,
        Verb::Url(flags) => cat::url(&settings, flags).await.map(done)?,
        Verb::Config(flags) => config::run(&settings, flags).map(done)?,
        #[cfg(feature = "gateway")]
        Verb::Serve(flags) => serve::run(&settings, flags).await.map(done)?,
        Verb::Completions(flags) => completions::run(flags).map(done)?,
        Verb::Man => man::run().map(done)?,
    })
}

/// Whether a verb says by itself where its log goes.
fn speaks_for_itself(verb: &Verb) -> bool {
    match verb {
        Verb::Put(_) | Verb::Resume(_) => true,
        #[cfg(feature = "gateway")]
        Verb::Serve(_) => true,
        _ => false,
    }
}

/// The exit code of what [`run`] came to; tells the error, if it is one.
#[must_use]
pub fn exit_code(done: anyhow::Result<u8>) -> u8 {
    let error = match done {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<Error>() {
        tell(error);
        error.kind().exit_code()
    } else {
        remark(&format!("error: {error:#}"));
        Kind::Other.exit_code()
    }
}

/// Tells of an error on standard error, and what to do next.
fn tell(error: &Error) {
    remark(&format!("error: {}", safe(&error.to_string())));
    if let Some(hint) = error.hint() {
        remark(&format!("hint: {}", safe(hint)));
    }
}

/// A line on standard error; one that is closed wants to know nothing.
fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Sends logs to standard error, as text or as lines of JSON: warnings, with `-v` more of ours, with `-vvv` all there is.
/// `RUST_LOG` is not looked at: what a library logs at its finest may hold what we redact.
fn log(verbose: u8, json: bool, screen: LogWriter) {
    let (others, ours) = match verbose {
        0 => (LevelFilter::WARN, LevelFilter::WARN),
        1 => (LevelFilter::WARN, LevelFilter::INFO),
        2 => (LevelFilter::WARN, LevelFilter::DEBUG),
        _ => (LevelFilter::INFO, LevelFilter::TRACE),
    };
    let filter = Targets::new()
        .with_default(others)
        .with_target("upload", ours);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false);
    let subscriber = subscriber.with_writer(move || screen.clone());
    // A second subscriber in one process is only ever a test's.
    let _ = if json {
        subscriber
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .finish()
            .with(filter)
            .try_init()
    } else {
        subscriber.finish().with(filter).try_init()
    };
}
