//! What a person or a program gets to see of an upload: three reporters of one stream of events.
//!
//! Border: consumes events and writes to the standard streams; it stops and changes nothing. Standard output carries data
//! only (a location for each finished upload, or JSON lines), all else goes to standard error.

use std::io::{self, Write as _};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::Event;
use upload_types::error::{Error, Kind, Result};

mod bars;
mod item;
mod json;
mod plain;
#[cfg(test)]
mod tests;
pub mod text;

pub use bars::{Bars, Log};
pub use json::Json;
pub use plain::Plain;
pub use text::{escape, safe};

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Auto,
    Bar,
    Plain,
    None,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// What standard error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    Terminal,
    /// A terminal without escape codes (`TERM=dumb`).
    Dumb,
    /// A pipe, a file, or closed.
    None,
}

/// What was asked for, and what there is to show it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub json: bool,
    pub quiet: bool,
    pub verbose: u8,
    pub progress: Progress,
    pub color: Color,
    pub screen: Screen,
    /// `NO_COLOR` is set, or `CLICOLOR=0`.
    pub no_color: bool,
}

impl Options {
    /// Whether standard error takes colours. `--color always` means it, also in a pipe.
    #[must_use]
    pub fn colours(&self) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => self.screen == Screen::Terminal && !self.no_color,
        }
    }

    /// Whether standard error takes bars.
    #[must_use]
    pub fn bars(&self) -> bool {
        let wanted = matches!(self.progress, Progress::Auto | Progress::Bar);
        wanted && self.screen == Screen::Terminal && !self.quiet && !self.json
    }
}

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub struct Loudness {
    pub quiet: bool,
    pub verbose: u8,
}

/// What is to be written because of one event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Lines for standard output: a location, or JSON.
    data: Vec<String>,
    /// For standard error: an error and its hint.
    failure: Option<(String, Option<String>)>,
    /// For standard error.
    remarks: Vec<String>,
}

impl Said {
    /// What standard error gets, line by line.
    fn for_people(&self, colours: bool) -> String {
        let paint = |code: &str, word: &str| {
            if colours {
                format!("\x1b[{code}m{word}\x1b[0m")
            } else {
                word.to_owned()
            }
        };
        let mut said = self.remarks.clone();
        if let Some((what, hint)) = &self.failure {
            said.push(format!("{} {what}", paint("1;31", "error:")));
            said.extend(
                hint.as_ref()
                    .map(|hint| format!("{} {hint}", paint("1;36", "hint:"))),
            );
        }
        lines(&said)
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

/// Writes data to standard output and flushes it, so that each event is whole for whoever reads.
fn write_out(data: &str) -> io::Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(data.as_bytes())?;
    out.flush()
}

/// Who shows the events.
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
        let loudness = Loudness {
            quiet: options.quiet,
            verbose: options.verbose,
        };
        if options.json {
            Self::Json(Json::default())
        } else if options.bars() {
            Self::Bars(Bars::new(loudness, now))
        } else {
            Self::Plain(Plain::new(
                loudness,
                options.progress != Progress::None,
                now,
            ))
        }
    }

    /// Standard error for logs, which does not disturb the bars.
    #[must_use]
    pub fn log(&self) -> Log {
        match self {
            Self::Bars(bars) => Log(Some(bars.screen())),
            Self::Plain(_) | Self::Json(_) => Log(None),
        }
    }
}

/// A reporter and its streams: what could not be written, and whether anybody still reads.
struct Desk {
    reporter: Reporter,
    colours: bool,
    closed: bool,
    failed: Option<Error>,
}

/// Shows events until their sinks are gone, in a thread of its own: a terminal that is stopped stops no upload.
///
/// # Errors
/// The thread ends with [`Kind::Io`] if standard output failed other than by being closed, which changes nothing.
pub fn start(
    reporter: Reporter,
    options: &Options,
    events: UnboundedReceiver<Event>,
) -> JoinHandle<Result<()>> {
    let mut desk = Desk {
        reporter,
        colours: options.colours(),
        closed: false,
        failed: None,
    };
    let mut events = events;
    thread::spawn(move || {
        while let Some(event) = events.blocking_recv() {
            desk.on(event);
        }
        if let Reporter::Bars(bars) = &mut desk.reporter {
            bars.clear();
        }
        desk.failed.map_or(Ok(()), Err)
    })
}

impl Desk {
    fn on(&mut self, event: Event) {
        let now = Instant::now();
        let said = match &mut self.reporter {
            Reporter::Bars(bars) => bars.on(&event, now),
            Reporter::Plain(plain) => plain.on(&event, now),
            Reporter::Json(json) => Said {
                failure: item::failure(&event),
                data: json.on(event, now),
                ..Said::default()
            },
        };
        if said == Said::default() {
            return;
        }
        let data = lines(&said.data);
        let text = said.for_people(self.colours);
        let silent = self.closed || self.failed.is_some();
        let write = || {
            // Whoever closed standard error does not want to know.
            let _ = io::stderr().write_all(text.as_bytes());
            if silent { Ok(()) } else { write_out(&data) }
        };
        let written = match &self.reporter {
            Reporter::Bars(bars) => bars.beside(write),
            Reporter::Plain(_) | Reporter::Json(_) => write(),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => {
                self.failed = Some(
                    Error::new(Kind::Io, "could not write to standard output").with_source(error),
                );
            }
            Ok(()) => {}
        }
    }
}
