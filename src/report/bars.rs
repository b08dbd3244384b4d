//! The reporter for terminals: a row for each source in progress, two for the total, and one line
//! that is kept up to date while nothing moves.
//!
//! Not here: the sentences (`wording`, `connection`), and drawing (`live_rows`).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::connection::{Change, Connection};
use super::failures::Failures;
use super::fitting::{shorten_and_pad, width, wrap};
use super::live_rows::{LiveRows, LogWriter, stderr_columns};
use super::options::Verbosity;
use super::output::Output;
use super::source_state::SourceState;
use super::sources::Sources;
use super::summary;
use super::text::{cut, fit};
use super::wording::{self, Motion};
use crate::event::Event;

/// The time between two updates of the rows. With thousands of sources, adding them up at each
/// event is too slow.
const REDRAW_INTERVAL: Duration = Duration::from_millis(100);
/// The most rows of sources; further sources count in the total only.
const MAX_ROWS: usize = 6;
/// The same if the sources are found in directories or lists.
const MAX_ROWS_OF_SET: usize = 4;
/// Columns for the name, if there are as many.
const MIN_NAME_COLUMNS: usize = 16;
/// Columns for the share (`100% of 1023 MiB`).
const SHARE_COLUMNS: usize = 16;
/// Columns of the smallest bar, with its ends.
const MIN_BAR_COLUMNS: usize = 4;
/// Columns for the rate of one source of several (`1023 MiB/s`).
const RATE_COLUMNS: usize = 10;
/// On a narrower screen, a row of several has neither bar nor rate.
const MIN_COLUMNS_FOR_RATE: usize = 64;
/// The most rows of the line about a lost connection.
const MAX_CONNECTION_ROWS: usize = 3;
/// Columns of a screen that does not report its width.
const DEFAULT_COLUMNS: usize = 80;

#[derive(Debug)]
pub struct Bars {
    screen: LiveRows,
    sources: Sources,
    failures: Failures,
    connection: Connection,
    verbosity: Verbosity,
    /// The sources that have a row.
    shown: BTreeSet<usize>,
    /// A source has a row, or had one.
    has_rows: bool,
    drawn_at: Option<Instant>,
}

impl Bars {
    pub fn new(verbosity: Verbosity, now: Instant) -> Self {
        Self::on_screen(LiveRows::new(), verbosity, now)
    }

    /// A reporter without a screen.
    #[cfg(test)]
    pub(super) fn hidden(verbosity: Verbosity, now: Instant) -> Self {
        Self::on_screen(LiveRows::hidden(), verbosity, now)
    }

    fn on_screen(screen: LiveRows, verbosity: Verbosity, now: Instant) -> Self {
        Self {
            screen,
            sources: Sources::new(now),
            failures: Failures::default(),
            connection: Connection::new(now),
            verbosity,
            shown: BTreeSet::new(),
            has_rows: false,
            drawn_at: None,
        }
    }

    /// A writer of text above the bars.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter::above(self.screen.clone())
    }

    /// Updates the bars, and returns the text to show above them.
    pub fn on(&mut self, event: &Event, now: Instant) -> Output {
        let item = self.sources.record(event, now);
        let mut output = Output::default();
        let restored = self.connection.record(event, now).and_then(restored_line);
        self.take_restored(restored, &mut output);
        if let Event::Completed { receipt, .. } = event {
            let (sources, verbosity) = (&self.sources, self.verbosity);
            let line = wording::location(receipt, sources, item, verbosity);
            output.data.extend(line);
        }
        let verbose = self.verbosity.verbose;
        let columns = stderr_columns();
        let max_rows = if self.sources.is_set() {
            MAX_ROWS_OF_SET
        } else {
            MAX_ROWS
        };
        output.notices(wording::notice(event, &self.sources, verbose, columns));
        match (event, item) {
            (Event::Selected { .. }, _) => self.has_rows = true,
            (Event::Plan { forecast: None, .. } | Event::Progress { .. }, Some(item))
                if self.shown.len() < max_rows && !self.sources.name(item).is_empty() =>
            {
                self.shown.insert(item);
                self.has_rows = true;
            }
            (Event::Completed { .. } | Event::Kept { .. } | Event::Failed { .. }, Some(item)) => {
                self.shown.remove(&item);
                output.notices(wording::outcome(
                    &self.sources,
                    item,
                    self.verbosity,
                    columns,
                ));
            }
            (Event::Exit { .. }, _) => {
                self.clear();
                output.notices(self.sources.warnings());
                output.messages.extend(self.failures.groups());
                let summary = summary::summary(event, &self.sources, now);
                output.notices(summary.map(|summary| summary.line));
            }
            _ => {}
        }
        self.failures
            .count_messages(output.messages.len() + output.data.len());
        let failures = self.failures.record(event, self.sources.has_several());
        output.messages.extend(failures);
        if !matches!(event, Event::Exit { .. }) {
            self.draw_if_due(now);
        }
        output
    }

    /// Updates the rows that depend on the time.
    pub fn tick(&mut self, now: Instant) -> Output {
        let mut output = Output::default();
        let restored = self.connection.tick(now).and_then(restored_line);
        self.take_restored(restored, &mut output);
        self.draw_if_due(now);
        output
    }

    /// Runs `write` while the bars are off the screen.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.screen.suspend(write)
    }

    /// Removes every bar from the screen.
    pub fn clear(&mut self) {
        self.shown.clear();
        self.has_rows = false;
        self.screen.clear();
    }

    /// The rows that reported the loss are replaced together with the line about the return.
    fn take_restored(&mut self, line: Option<String>, output: &mut Output) {
        if line.is_some() {
            self.drawn_at = None;
        }
        output.notices(line);
    }

    fn draw_if_due(&mut self, now: Instant) {
        let is_recent = self
            .drawn_at
            .is_some_and(|at| now.saturating_duration_since(at) < REDRAW_INTERVAL);
        if !is_recent {
            self.drawn_at = Some(now);
            let columns = stderr_columns().unwrap_or(DEFAULT_COLUMNS);
            let rows = self.rows(columns, now);
            self.screen.draw(rows);
        }
    }

    /// The rows for a screen of this width.
    fn rows(&mut self, columns: usize, now: Instant) -> Vec<String> {
        // A row that fills the last column could be broken by the terminal.
        let columns = columns.saturating_sub(1);
        let motion = if self.connection.is_moving(now) {
            Motion::Moving
        } else {
            Motion::Standing
        };
        let shown = self.shown.iter().filter_map(|item| self.sources.get(*item));
        let mut rows: Vec<String> = if self.sources.has_several() {
            shown.map(|source| row(source, motion, columns)).collect()
        } else {
            shown
                .flat_map(|source| bar_and_motion(source, motion, columns, now))
                .collect()
        };
        if self.sources.has_several() && self.has_rows {
            let total = self.sources.total(now);
            rows.extend(bar_and_motion(&total, motion, columns, now));
        }
        if let Some(line) = self.connection.line(now) {
            rows.retain(|row| !row.is_empty());
            let line = wrap(&line, columns);
            let lines = line.lines().take(MAX_CONNECTION_ROWS);
            rows.extend(lines.map(|line| cut(line, columns)));
        }
        rows
    }
}

fn restored_line(change: Change) -> Option<String> {
    match change {
        Change::Lost => None,
        Change::Restored(line) => line,
    }
}

/// A source of several: name, share, bar and rate.
fn row(source: &SourceState, motion: Motion, columns: usize) -> String {
    if columns < MIN_COLUMNS_FOR_RATE {
        return cut(&head(source, columns, columns), columns);
    }
    let bar_columns = columns - RATE_COLUMNS - 1;
    let rate = wording::short_motion(source, motion);
    let rate = fit(&rate, RATE_COLUMNS);
    format!("{} {rate}", with_bar(source, usize::MAX, bar_columns))
        .trim_end()
        .to_owned()
}

/// The only source, or all sources together: one row with the bar, and one with rate and time left.
fn bar_and_motion(
    source: &SourceState,
    motion: Motion,
    columns: usize,
    now: Instant,
) -> [String; 2] {
    let motion = wording::motion(source, motion, now);
    [
        with_bar(source, width(&source.name), columns),
        cut(&format!("    {motion}"), columns).trim_end().to_owned(),
    ]
}

/// Name, share and bar, in `columns`. The name has at most `name_columns`.
fn with_bar(source: &SourceState, name_columns: usize, columns: usize) -> String {
    let name_columns = (columns * 3 / 10)
        .max(MIN_NAME_COLUMNS)
        .min(name_columns)
        .min(columns.saturating_sub(2 + SHARE_COLUMNS + 1 + MIN_BAR_COLUMNS));
    let head_columns = name_columns + 2 + SHARE_COLUMNS;
    let head = head(source, name_columns, head_columns);
    match columns.checked_sub(head_columns + 1) {
        Some(bar_columns @ 3..) => format!("{head} {}", bar(source, bar_columns)),
        _ => cut(&head, columns),
    }
}

/// Name and share, in `columns`. The name has at most `name_columns`.
fn head(source: &SourceState, name_columns: usize, columns: usize) -> String {
    let share = wording::share(source);
    let rest = columns.saturating_sub(SHARE_COLUMNS + 2);
    let name = shorten_and_pad(&source.name, name_columns.min(rest));
    fit(&format!("{name}  {share}"), columns)
}

/// A bar in `columns`: `=` for bytes that the store has confirmed, `-` for bytes that were sent and
/// are not yet confirmed. An empty source is complete from the start.
fn bar(source: &SourceState, columns: usize) -> String {
    let columns = columns.saturating_sub(2);
    let scale = |bytes: u64| match source.size {
        0 => columns,
        size => {
            let share = u128::from(bytes.min(size)) * columns as u128 / u128::from(size);
            usize::try_from(share).unwrap_or(columns)
        }
    };
    if source.is_endless() {
        return String::new();
    }
    let confirmed = scale(source.confirmed);
    let sent = scale(source.sent).max(confirmed) - confirmed;
    format!(
        "[{}{}{}]",
        "=".repeat(confirmed),
        "-".repeat(sent),
        " ".repeat(columns - confirmed - sent)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SourceState {
        SourceState {
            name: "cards/2026-11/MVI_0003.MOV".into(),
            size: 1000 << 20,
            sent: 600 << 20,
            confirmed: 200 << 20,
            rate: 1023 << 20,
            ..SourceState::default()
        }
    }

    #[test]
    fn bar_shows_bytes_that_are_sent_and_not_confirmed() {
        assert_eq!(bar(&source(), 12), "[==----    ]");
        let empty = SourceState::default();
        assert_eq!(bar(&empty, 6), "[====]");
    }

    #[test]
    fn rows_fit_every_width_and_keep_the_end_of_the_name() {
        let now = Instant::now();
        for columns in 1..200 {
            let mut rows = vec![row(&source(), Motion::Moving, columns)];
            rows.extend(bar_and_motion(&source(), Motion::Moving, columns, now));
            for row in rows {
                assert!(width(&row) <= columns, "{columns}: {row:?}");
            }
        }
        for columns in [39, 79] {
            let row = with_bar(&source(), usize::MAX, columns);
            assert!(row.contains("003.MOV  20% of 1000 MiB"), "{row:?}");
            assert!(row.ends_with(']'), "{row:?}");
        }
        let row = row(&source(), Motion::Moving, 79);
        assert!(row.ends_with(" 1023 MiB/s"), "{row:?}");
    }
}
