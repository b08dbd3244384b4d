//! The reporter of a run, in a thread of its own: a stopped terminal must not stop an upload.

use std::io::{self, Write as _};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use super::bars::{Bars, LogWriter};
use super::json::Json;
use super::options::{Colors, Options};
use super::output::Output;
use super::plain::Plain;
use super::wording;
use crate::event::Event;
use upload_types::error::{Error, Kind, Result};

/// The reporter that the options choose.
#[derive(Debug)]
pub enum Reporter {
    Bars(Bars),
    Plain(Plain),
    Json(Json),
}

impl Reporter {
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let now = Instant::now();
        if options.json {
            Self::Json(Json::default())
        } else if options.use_bars() {
            Self::Bars(Bars::new(options.verbosity(), now))
        } else {
            Self::Plain(Plain::new(options.verbosity(), options.progress, now))
        }
    }

    /// A writer to standard error that keeps the bars intact.
    #[must_use]
    pub fn log_writer(&self) -> LogWriter {
        match self {
            Self::Bars(bars) => bars.log_writer(),
            Self::Plain(_) | Self::Json(_) => LogWriter::default(),
        }
    }

    fn on(&mut self, event: Event, now: Instant) -> Output {
        match self {
            Self::Bars(bars) => bars.on(&event, now),
            Self::Plain(plain) => plain.on(&event, now),
            Self::Json(json) => Output {
                failure: wording::failure(&event),
                data: json.on(event, now),
                ..Output::default()
            },
        }
    }
}

/// Reports events until every sender is dropped.
///
/// # Errors
/// The thread returns [`Kind::Io`] if writing to standard output failed, except because it was
/// closed. The run continues in both cases.
pub fn start(
    reporter: Reporter,
    options: &Options,
    mut events: UnboundedReceiver<Event>,
) -> JoinHandle<Result<()>> {
    let mut streams = Streams {
        reporter,
        colors: options.colors(),
        stdout_closed: false,
        failure: None,
    };
    thread::spawn(move || {
        while let Some(event) = events.blocking_recv() {
            streams.on(event);
        }
        if let Reporter::Bars(bars) = &mut streams.reporter {
            bars.clear();
        }
        streams.failure.map_or(Ok(()), Err)
    })
}

/// A reporter, and the state of the standard streams.
struct Streams {
    reporter: Reporter,
    colors: Colors,
    stdout_closed: bool,
    failure: Option<Error>,
}

impl Streams {
    fn on(&mut self, event: Event) {
        let output = self.reporter.on(event, Instant::now());
        if output == Output::default() {
            return;
        }
        let (data, text) = (output.stdout(), output.stderr(self.colors));
        let write_data = !self.stdout_closed && self.failure.is_none();
        let write = || {
            // Standard error may be closed.
            let _ = io::stderr().write_all(text.as_bytes());
            if write_data {
                write_stdout(&data)
            } else {
                Ok(())
            }
        };
        let written = match &self.reporter {
            Reporter::Bars(bars) => bars.suspend(write),
            Reporter::Plain(_) | Reporter::Json(_) => write(),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.stdout_closed = true,
            Err(error) => {
                self.failure = Some(
                    Error::new(Kind::Io, "could not write to standard output").with_source(error),
                );
            }
            Ok(()) => {}
        }
    }
}

/// Writes and flushes, so that a reader gets each event completely and at once.
fn write_stdout(data: &str) -> io::Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(data.as_bytes())?;
    stdout.flush()
}
