//! The reporter for terminals: a bar for each source in progress, one for the total, and a line for
//! each source that ended.
//!
//! The only file that uses indicatif. Not here: the sentences (`wording`).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::options::Verbosity;
use super::output::Output;
use super::sources::{SourceState, Sources};
use super::text::{escape, fit};
use super::wording;
use crate::event::Event;

const MAX_REDRAWS_PER_SECOND: u8 = 10;
/// The time between two updates of the total: with thousands of sources, adding them up at each
/// event is too slow.
const TOTAL_INTERVAL: Duration = Duration::from_millis(100);
/// The most bars at once; further sources count in the total only.
const MAX_BARS: usize = 6;
/// Columns for the name.
const NAME_COLUMNS: usize = 24;
/// Columns in front of the bar: name, gap and share.
const HEAD_COLUMNS: usize = 44;
/// Columns of these for the share (`100% of 1023 MiB`) and the gap.
const SHARE_COLUMNS: usize = 18;
/// Columns of the smallest bar with its gap and its ends.
const MIN_BAR_COLUMNS: usize = 8;

#[derive(Debug)]
pub struct Bars {
    screen: MultiProgress,
    sources: Sources,
    verbosity: Verbosity,
    by_item: BTreeMap<usize, ProgressBar>,
    total: Option<ProgressBar>,
    total_at: Instant,
}

impl Bars {
    pub fn new(verbosity: Verbosity, now: Instant) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(MAX_REDRAWS_PER_SECOND);
        Self::on_target(target, verbosity, now)
    }

    /// A reporter without a screen.
    #[cfg(test)]
    pub(super) fn hidden(verbosity: Verbosity, now: Instant) -> Self {
        Self::on_target(ProgressDrawTarget::hidden(), verbosity, now)
    }

    fn on_target(target: ProgressDrawTarget, verbosity: Verbosity, now: Instant) -> Self {
        Self {
            screen: MultiProgress::with_draw_target(target),
            sources: Sources::new(now),
            verbosity,
            by_item: BTreeMap::new(),
            total: None,
            total_at: now,
        }
    }

    /// A writer of text above the bars.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter(Some(self.screen.clone()))
    }

    /// Updates the bars, and returns the text to show above them.
    pub fn on(&mut self, event: &Event, now: Instant) -> Output {
        let item = self.sources.record(event);
        let mut output = Output::default();
        if let Event::Completed { receipt, .. } = event {
            output.data.push(escape(&receipt.location));
        }
        output.failure = wording::failure(event);
        let notice = wording::notice(event, &self.sources, self.verbosity.verbose);
        output.notices.extend(notice);
        match (event, item) {
            (Event::Plan { .. } | Event::Progress { .. } | Event::Waiting { .. }, Some(item)) => {
                self.draw(item);
            }
            (Event::Completed { .. } | Event::Failed { .. }, Some(item)) => {
                if let Some(bar) = self.by_item.remove(&item) {
                    bar.finish_and_clear();
                    self.screen.remove(&bar);
                }
                output.notices.extend(self.outcome(item));
            }
            (Event::Exit { .. }, _) => {
                self.clear();
                let summary = wording::summary(event, &self.sources, now);
                output.notices.extend(summary);
            }
            _ => {}
        }
        self.draw_total(now);
        output
    }

    /// The line that replaces a bar. Returns `None` for a source that failed before it was opened,
    /// which has only its error, and for a single success, which the summary reports.
    fn outcome(&self, item: usize) -> Option<String> {
        let source = self.sources.get(item)?;
        let has_line = if source.failed {
            source.size > 0
        } else {
            self.sources.has_several()
        };
        has_line.then(|| wording::outcome(source))
    }

    /// Runs `write` while the bars are off the screen.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.screen.suspend(write)
    }

    /// Removes every bar from the screen.
    pub fn clear(&mut self) {
        let bars = mem::take(&mut self.by_item).into_values();
        for bar in bars.chain(self.total.take()) {
            bar.finish_and_clear();
        }
    }

    fn draw(&mut self, item: usize) {
        let Some(source) = self.sources.get(item).filter(|source| !source.ended) else {
            return;
        };
        if let Some(bar) = self.by_item.get(&item) {
            update(bar, source);
        } else if self.by_item.len() < MAX_BARS && !source.name.is_empty() {
            let bar = new_bar();
            update(&bar, source);
            let bar = match &self.total {
                Some(total) => self.screen.insert_before(total, bar),
                None => self.screen.add(bar),
            };
            self.by_item.insert(item, bar);
        }
    }

    fn draw_total(&mut self, now: Instant) {
        let is_recent = now.saturating_duration_since(self.total_at) < TOTAL_INTERVAL;
        let is_current = self.total.is_some() && is_recent;
        if !self.sources.has_several() || self.by_item.is_empty() || is_current {
            return;
        }
        self.total_at = now;
        let screen = &self.screen;
        let total = self.total.get_or_insert_with(|| screen.add(new_bar()));
        update(total, &self.sources.total());
    }
}

fn update(bar: &ProgressBar, source: &SourceState) {
    bar.set_length(source.size.max(1));
    let screen_columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
    let (name_columns, head_columns) = layout(screen_columns);
    let name = fit(&source.name, name_columns);
    let head = format!("{name}  {}", wording::share(source));
    bar.set_prefix(fit(&head, head_columns));
    bar.set_message(wording::motion(source));
    // An empty source is complete from the start.
    bar.set_position(if source.size == 0 {
        1
    } else {
        source.confirmed
    });
}

/// Columns for the name, and for everything in front of the bar; 0 is a screen of unknown width.
fn layout(screen_columns: u16) -> (usize, usize) {
    let head = match screen_columns {
        0 => HEAD_COLUMNS,
        columns => HEAD_COLUMNS.min(usize::from(columns).saturating_sub(MIN_BAR_COLUMNS)),
    };
    (NAME_COLUMNS.min(head.saturating_sub(SHARE_COLUMNS)), head)
}

/// A bar that is not on a screen yet.
fn new_bar() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style())
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} [{wide_bar}]\n    {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// Standard error for log lines, which appear above the bars, if there are any. Writing never
/// fails: a reader of the log that has ended must not end anything else.
#[derive(Debug, Clone, Default)]
pub struct LogWriter(Option<MultiProgress>);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || {
            let _ = io::stderr().write_all(bytes);
        };
        match &self.0 {
            Some(screen) => screen.suspend(write),
            None => write(),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_screen_shortens_the_name_first() {
        let full = (NAME_COLUMNS, HEAD_COLUMNS);
        assert_eq!((layout(0), layout(80)), (full, full));
        assert_eq!(layout(40), (14, 32));
        assert_eq!((layout(20), layout(1)), ((0, 12), (0, 0)));
    }
}
