//! The reporter for pipes, logs and `--progress plain`: a line for each result, and a progress
//! line at most every 10 seconds.
//!
//! Writes neither escape codes nor carriage returns. Not here: the sentences (`wording`).

use std::time::{Duration, Instant};

use super::options::{Progress, Verbosity};
use super::output::Output;
use super::sources::Sources;
use super::text::escape;
use super::wording;
use crate::event::Event;

/// The time between two progress lines, for all sources together.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Plain {
    sources: Sources,
    verbosity: Verbosity,
    show_progress: bool,
    /// When the last progress line was written; at first, the start of the run.
    progress_at: Instant,
}

impl Plain {
    pub fn new(verbosity: Verbosity, progress: Progress, now: Instant) -> Self {
        Self {
            sources: Sources::new(now),
            verbosity,
            show_progress: progress != Progress::None,
            progress_at: now,
        }
    }

    pub fn on(&mut self, event: &Event, now: Instant) -> Output {
        let item = self.sources.record(event);
        let mut output = Output::default();
        if let Event::Completed { receipt, .. } = event {
            output.data.push(escape(&receipt.location));
        }
        output.failure = wording::failure(event);
        if self.verbosity.quiet {
            return output;
        }
        output.notices.extend(wording::notice(
            event,
            &self.sources,
            self.verbosity.verbose,
        ));
        match event {
            Event::Progress { item, .. } => {
                output.notices.extend(self.progress(*item, now));
            }
            Event::Completed { .. } if self.sources.has_several() => {
                let source = item.and_then(|item| self.sources.get(item));
                output.notices.extend(source.map(wording::outcome));
            }
            Event::Exit { .. } => {
                output
                    .notices
                    .extend(wording::summary(event, &self.sources, now));
            }
            _ => {}
        }
        output
    }

    /// The progress line, if it is time for one.
    fn progress(&mut self, item: usize, now: Instant) -> Option<String> {
        let elapsed = now.saturating_duration_since(self.progress_at);
        if !self.show_progress || elapsed < PROGRESS_INTERVAL {
            return None;
        }
        self.progress_at = now;
        if self.sources.has_several() {
            Some(wording::progress(&self.sources.total()))
        } else {
            self.sources.get(item).map(wording::progress)
        }
    }
}
