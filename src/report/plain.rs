//! The reporter for pipes, logs and `--progress plain`: a line for each result, a progress line at
//! most every 10 seconds, and one a minute while nothing moves.
//!
//! Writes neither escape codes nor carriage returns. Not here: the sentences (`wording`,
//! `connection`, `summary`).

use std::time::{Duration, Instant};

use super::connection::{Change, Connection};
use super::failures::Failures;
use super::options::{Progress, Verbosity};
use super::output::Output;
use super::sources::Sources;
use super::summary;
use super::wording::{self, Motion};
use crate::event::Event;

/// The time between two progress lines, for all sources together.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// The time between two lines about the same loss.
const LOSS_INTERVAL: Duration = Duration::from_mins(1);
/// A silence without a failure is reported after this time.
const SILENCE_DELAY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Plain {
    sources: Sources,
    failures: Failures,
    connection: Connection,
    verbosity: Verbosity,
    show_progress: bool,
    /// When the last progress line was written; at first, the start of the run.
    progress_at: Instant,
    last_progress: String,
    /// When the last line about the current loss was written.
    loss_at: Option<Instant>,
}

impl Plain {
    pub fn new(verbosity: Verbosity, progress: Progress, now: Instant) -> Self {
        Self {
            sources: Sources::new(now),
            failures: Failures::default(),
            connection: Connection::new(now),
            verbosity,
            show_progress: progress != Progress::None,
            progress_at: now,
            last_progress: String::new(),
            loss_at: None,
        }
    }

    pub fn on(&mut self, event: &Event, now: Instant) -> Output {
        let item = self.sources.record(event, now);
        let mut output = Output::default();
        let restored = self.connection.record(event, now);
        if let Event::Completed { receipt, .. } = event {
            let (sources, verbosity) = (&self.sources, self.verbosity);
            let line = wording::location(receipt, sources, item, verbosity);
            output.data.extend(line);
        }
        if !self.verbosity.quiet {
            output.notices(restored.and_then(|change| self.restored_line(change)));
            let verbose = self.verbosity.verbose;
            output.notices(wording::notice(event, &self.sources, verbose, None));
            match (event, item) {
                (Event::Progress { .. }, Some(item)) => {
                    output.notices(self.progress(item, now));
                }
                (Event::Completed { .. } | Event::Kept { .. }, Some(item)) => {
                    output.notices(wording::outcome(&self.sources, item, self.verbosity, None));
                }
                _ => {}
            }
        }
        if matches!(event, Event::Exit { .. }) {
            if !self.verbosity.quiet {
                output.notices(self.sources.warnings());
            }
            output.messages.extend(self.failures.groups());
            let summary = summary::summary(event, &self.sources, now);
            let summary =
                summary.filter(|summary| !self.verbosity.quiet || summary.is_interruption);
            output.notices(summary.map(|summary| summary.line));
        }
        self.failures
            .count_messages(output.messages.len() + output.data.len());
        let failures = self.failures.record(event, self.sources.has_several());
        output.messages.extend(failures);
        output
    }

    /// The line about a loss, if it is time for one.
    pub fn tick(&mut self, now: Instant) -> Output {
        let mut output = Output::default();
        if self.verbosity.quiet {
            return output;
        }
        let change = self.connection.tick(now);
        output.notices(change.and_then(|change| self.restored_line(change)));
        let is_recent = self
            .loss_at
            .is_some_and(|at| now.saturating_duration_since(at) < LOSS_INTERVAL);
        let is_due = self.connection.has_failed() || self.connection.pause(now) >= SILENCE_DELAY;
        let line = self.connection.line(now).filter(|_| is_due && !is_recent);
        if line.is_some() {
            self.loss_at = Some(now);
        }
        output.notices(line);
        output
    }

    /// The end of a loss that was reported.
    fn restored_line(&mut self, change: Change) -> Option<String> {
        match change {
            Change::Lost => None,
            Change::Restored(line) => line.filter(|_| self.loss_at.take().is_some()),
        }
    }

    /// The progress line, if it is time for one and it is a new one. A loss has a line of its own.
    fn progress(&mut self, item: usize, now: Instant) -> Option<String> {
        let elapsed = now.saturating_duration_since(self.progress_at);
        if !self.show_progress || elapsed < PROGRESS_INTERVAL || self.loss_at.is_some() {
            return None;
        }
        self.progress_at = now;
        let motion = if self.connection.is_moving(now) {
            Motion::Moving
        } else {
            Motion::Standing
        };
        let line = if self.sources.has_several() {
            wording::progress(&self.sources.total(now), motion, now)
        } else {
            wording::progress(self.sources.get(item)?, motion, now)
        };
        if line == self.last_progress {
            return None;
        }
        self.last_progress.clone_from(&line);
        Some(line)
    }
}
