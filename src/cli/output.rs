//! The standard streams, the exit code, and the log on standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::log_queue::{self, LogQueue};
use crate::report::{LogWriter, escape, safe, stderr, stderr_columns, wrap};
use upload_types::error::{Error, Kind, Result};

/// The width of a terminal that does not report one.
const DEFAULT_COLUMNS: usize = 80;

/// Writes text to standard output. A closed standard output is not an error.
///
/// # Errors
/// [`Kind::Io`] if writing fails in another way.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    if write_out(&mut stdout, text.as_bytes())? == Reader::Open {
        flush(&mut stdout)?;
    }
    Ok(())
}

/// Writes a page of a longer text to standard output.
///
/// # Errors
/// As [`print`].
pub fn print_page(text: &str) -> Result<Reader> {
    let mut stdout = io::stdout().lock();
    match write_out(&mut stdout, text.as_bytes())? {
        Reader::Open => flush(&mut stdout),
        Reader::Closed => Ok(Reader::Closed),
    }
}

/// Whether standard output still has a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Open,
    Closed,
}

/// The width of standard output in columns; `None` unless it is a terminal.
pub fn stdout_columns() -> Option<usize> {
    let stdout = io::stdout();
    stdout.is_terminal().then(|| {
        let size = rustix::termios::tcgetwinsize(stdout).map_or(0, |size| size.ws_col);
        match usize::from(size) {
            0 => DEFAULT_COLUMNS,
            columns => columns,
        }
    })
}

/// Writes bytes to standard output, which the caller has locked.
///
/// # Errors
/// As [`print`].
pub fn write_out(stdout: &mut io::StdoutLock<'_>, bytes: &[u8]) -> Result<Reader> {
    reader_of(stdout.write_all(bytes))
}

/// Flushes standard output, which the caller has locked.
///
/// # Errors
/// As [`print`].
pub fn flush(stdout: &mut io::StdoutLock<'_>) -> Result<Reader> {
    reader_of(stdout.flush())
}

fn reader_of(written: io::Result<()>) -> Result<Reader> {
    match written {
        Ok(()) => Ok(Reader::Open),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Closed),
        Err(error) => {
            Err(Error::new(Kind::Io, "could not write to standard output").with_source(error))
        }
    }
}

/// Writes a line to standard error, which may be closed, or have a reader that reads nothing.
pub fn eprint_line(text: &str) {
    stderr::write(format!("{text}\n").as_bytes());
}

/// Writes an error and its hint to standard error.
pub fn eprint_error(error: &Error) {
    eprint_wrapped(&format!("error: {}", safe(&error.to_string())));
    if let Some(hint) = error.hint() {
        // Not cut: a hint may contain a command. Some hints list forms, one per indented line.
        let lines = format!("hint: {hint}");
        for (index, line) in lines.split("\n  ").enumerate() {
            let indentation = if index == 0 { "" } else { "  " };
            eprint_wrapped(&format!("{indentation}{}", escape(line)));
        }
    }
}

/// Writes a line to standard error; on a terminal it is broken at words.
fn eprint_wrapped(text: &str) {
    match stderr_columns() {
        Some(columns) => eprint_line(&wrap(text, columns)),
        None => eprint_line(text),
    }
}

/// The exit code of a run. Writes the rest of the log, and its error, if any, to standard error.
#[must_use]
pub fn exit_code(result: anyhow::Result<u8>) -> u8 {
    log_queue::flush();
    let code = reported_code(result);
    stderr::finish();
    code
}

fn reported_code(result: anyhow::Result<u8>) -> u8 {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<Error>() {
        eprint_error(error);
        error.kind().exit_code()
    } else {
        eprint_wrapped(&format!("error: {}", safe(&format!("{error:#}"))));
        Kind::Other.exit_code()
    }
}

/// The process that writes the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOf {
    /// A client, with or without a gateway in its process.
    Client,
    /// `upload serve`.
    Gateway,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Writes the log to `writer`: by default warnings, with `-v` and `-vv` more of this program, with
/// `-vvv` also more of the libraries. `RUST_LOG` is ignored, because the most detailed logs of
/// libraries may contain secrets.
pub fn init_log(log_of: LogOf, verbose: u8, format: LogFormat, writer: LogWriter) {
    let queue = LogQueue::start(writer);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        // The library would print them to standard error, and panic if that is closed.
        .log_internal_errors(false)
        .with_writer(move || queue.clone());
    match format {
        LogFormat::Json => {
            let json = subscriber.json().flatten_event(true).with_span_list(false);
            install(json.finish(), log_of, verbose);
        }
        LogFormat::Text => install(subscriber.finish(), log_of, verbose),
    }
}

/// The filter of the log of this process.
struct InstalledFilter {
    log_of: LogOf,
    verbose: AtomicU8,
    replace: Box<dyn Fn(Targets) -> bool + Send + Sync>,
}

static FILTER: OnceLock<InstalledFilter> = OnceLock::new();

fn install(subscriber: impl Subscriber + Send + Sync + 'static, log_of: LogOf, verbose: u8) {
    let (filter, handle) = reload::Layer::new(log_filter(log_of, verbose));
    // Initialising twice fails; only tests do that.
    if subscriber.with(filter).try_init().is_ok() {
        let _ = FILTER.set(InstalledFilter {
            log_of,
            verbose: AtomicU8::new(verbose),
            replace: Box::new(move |filter| handle.reload(filter).is_ok()),
        });
    }
}

/// Changes the verbosity of the log. Returns false if it has this verbosity already.
pub fn set_verbosity(verbose: u8) -> bool {
    FILTER.get().is_some_and(|filter| {
        filter.verbose.swap(verbose, Ordering::Relaxed) != verbose
            && (filter.replace)(log_filter(filter.log_of, verbose))
    })
}

fn log_filter(log_of: LogOf, verbose: u8) -> Targets {
    let (libraries, program) = match verbose {
        0 => (LevelFilter::WARN, LevelFilter::WARN),
        1 => (LevelFilter::WARN, LevelFilter::INFO),
        2 => (LevelFilter::WARN, LevelFilter::DEBUG),
        _ => (LevelFilter::INFO, LevelFilter::TRACE),
    };
    let filter = Targets::new()
        .with_default(libraries)
        .with_target("upload", program);
    // The audit log of a gateway is for its operator.
    let audit = match log_of {
        LogOf::Gateway => LevelFilter::INFO,
        LogOf::Client => LevelFilter::OFF,
    };
    let filter = filter.with_target("upload_audit", audit);
    if log_of == LogOf::Gateway || verbose > 0 {
        return filter;
    }
    // The client reports a failure of the disk of its store itself.
    let filter = filter.with_target("upload_disk", LevelFilter::OFF);
    // Warnings of a gateway are for its operator; one in a client's process has no operator.
    [
        "upload_gateway",
        "upload_s3",
        "upload_embedded_store",
        "s3s",
    ]
    .into_iter()
    .fold(filter, |filter, target| {
        filter.with_target(target, LevelFilter::ERROR)
    })
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn warnings_of_the_in_process_gateway_need_verbose() {
        let logs = |log_of, verbose, target: &str, level: Level| {
            log_filter(log_of, verbose).would_enable(target, &level)
        };
        for target in [
            "upload_gateway::probing",
            "upload_s3",
            "upload_embedded_store::files",
        ] {
            assert!(!logs(LogOf::Client, 0, target, Level::WARN), "{target}");
            assert!(logs(LogOf::Client, 0, target, Level::ERROR), "{target}");
            assert!(logs(LogOf::Client, 1, target, Level::WARN), "{target}");
            assert!(logs(LogOf::Gateway, 0, target, Level::WARN), "{target}");
        }
        for verbose in [0, 3] {
            let is_logged = |log_of| logs(log_of, verbose, "upload_audit", Level::INFO);
            assert!(is_logged(LogOf::Gateway) && !is_logged(LogOf::Client));
        }
        for target in ["upload::journal", "upload_sqlite"] {
            assert!(logs(LogOf::Client, 0, target, Level::WARN), "{target}");
        }
    }
}
