//! The reporter of a run, in a thread of its own: a stopped terminal must not stop an upload.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::UnboundedReceiver;

use super::bars::Bars;
use super::errors::Errors;
use super::json::Json;
use super::live_rows::{LogWriter, stderr_columns};
use super::options::{Colors, Options, Screen};
use super::output::Output;
use super::plain::Plain;
use super::stderr;
use crate::event::Event;
use upload_types::error::{Error, Kind, Result};
use upload_types::sync::lock;

/// The longest time between two updates of what depends on the time only.
const TICK_INTERVAL: Duration = Duration::from_millis(250);

/// The most events whose lines are written together.
const MAX_EVENTS_PER_WRITE: usize = 256;

/// The reporter that the options choose.
#[derive(Debug)]
pub enum Reporter {
    Bars(Bars),
    Plain(Plain),
    Json(Json, Errors),
}

impl Reporter {
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let now = Instant::now();
        if options.json {
            Self::Json(Json::default(), Errors::new(now))
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
            Self::Plain(_) | Self::Json(..) => LogWriter::default(),
        }
    }

    fn on(&mut self, event: Event, now: Instant) -> Output {
        match self {
            Self::Bars(bars) => bars.on(&event, now),
            Self::Plain(plain) => plain.on(&event, now),
            Self::Json(json, errors) => Output {
                messages: errors.on(&event, now),
                data: json.on(event, now),
            },
        }
    }

    fn tick(&mut self, now: Instant) -> Output {
        match self {
            Self::Bars(bars) => bars.tick(now),
            Self::Plain(plain) => plain.tick(now),
            Self::Json(..) => Output::default(),
        }
    }
}

/// Reports events in a thread until the `exit` event, or until every sender is dropped.
///
/// # Errors
/// The thread returns [`Kind::Io`] if writing to standard output failed, except because it was
/// closed. The run continues in both cases.
pub fn start(
    reporter: Reporter,
    options: &Options,
    mut events: UnboundedReceiver<Event>,
) -> (JoinHandle<Result<()>>, Reported) {
    let (end, ended) = mpsc::channel();
    let mut streams = Streams {
        reporter,
        colors: options.colors(),
        is_terminal: options.screen != Screen::None,
        stdout_closed: false,
        failure: None,
    };
    let thread = thread::spawn(move || {
        let _end: mpsc::Sender<()> = end;
        let clock = Builder::new_current_thread().enable_time().build().ok();
        let mut ticked_at = Instant::now();
        loop {
            let event = next(&mut events, clock.as_ref());
            let now = Instant::now();
            if now.saturating_duration_since(ticked_at) >= TICK_INTERVAL {
                ticked_at = now;
                let output = streams.reporter.tick(now);
                streams.write(&output);
            }
            match event {
                Next::Event(event) => {
                    if streams.report(event, &mut events, now) {
                        break;
                    }
                }
                Next::Tick => {}
                Next::End => break,
            }
        }
        if let Reporter::Bars(bars) = &mut streams.reporter {
            bars.clear();
        }
        streams.failure.map_or(Ok(()), Err)
    });
    (thread, Reported(Arc::new(Mutex::new(ended))))
}

/// The end of a report. Clones wait for the same one.
#[derive(Debug, Clone)]
pub struct Reported(Arc<Mutex<mpsc::Receiver<()>>>);

impl Reported {
    /// Waits until everything is written.
    pub fn wait(&self) {
        // Fails when the thread has ended.
        let _ = lock(&self.0).recv();
    }
}

enum Next {
    Event(Event),
    Tick,
    End,
}

/// The next event, or a tick if none arrives in time. Without a clock, there are no ticks.
fn next(events: &mut UnboundedReceiver<Event>, clock: Option<&Runtime>) -> Next {
    if let Ok(event) = events.try_recv() {
        return Next::Event(event);
    }
    let event = match clock {
        Some(clock) => {
            let next = async { tokio::time::timeout(TICK_INTERVAL, events.recv()).await };
            match clock.block_on(next) {
                Ok(event) => event,
                Err(_) => return Next::Tick,
            }
        }
        None => events.blocking_recv(),
    };
    event.map_or(Next::End, Next::Event)
}

/// A reporter, and the state of the standard streams.
struct Streams {
    reporter: Reporter,
    colors: Colors,
    /// Standard error is a terminal.
    is_terminal: bool,
    stdout_closed: bool,
    failure: Option<Error>,
}

impl Streams {
    /// Reports an event, and those that have arrived since. Their lines for standard output are
    /// written together. Returns true after the last event of the run.
    fn report(
        &mut self,
        first: Event,
        events: &mut UnboundedReceiver<Event>,
        now: Instant,
    ) -> bool {
        let mut held = Vec::new();
        let mut next = Some(first);
        let mut reported = 0;
        while let Some(event) = next {
            let is_last = matches!(event, Event::Exit { .. });
            let mut output = self.reporter.on(event, now);
            held.append(&mut output.data);
            reported += 1;
            let ends = is_last || reported == MAX_EVENTS_PER_WRITE;
            // Messages follow the data of earlier events.
            if ends || !output.messages.is_empty() {
                output.data = std::mem::take(&mut held);
                self.write(&output);
            }
            if ends {
                return is_last;
            }
            next = events.try_recv().ok();
        }
        let rest = Output {
            data: held,
            ..Output::default()
        };
        self.write(&rest);
        false
    }

    fn write(&mut self, output: &Output) {
        if *output == Output::default() {
            return;
        }
        let columns = stderr_columns().filter(|_| self.is_terminal);
        let (data, text) = (output.stdout(), output.stderr(self.colors, columns));
        let write_data = !self.stdout_closed && self.failure.is_none();
        let write = || {
            let written = if write_data {
                write_stdout(&data)
            } else {
                Ok(())
            };
            stderr::write(text.as_bytes());
            written
        };
        let written = match &self.reporter {
            Reporter::Bars(bars) => bars.suspend(write),
            Reporter::Plain(_) | Reporter::Json(..) => write(),
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

/// Writes and flushes, so that a reader gets each line completely and at once.
fn write_stdout(data: &str) -> io::Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(data.as_bytes())?;
    stdout.flush()
}
