//! The errors of a run with `--json`, for standard error.

use std::time::Instant;

use super::failures::Failures;
use super::output::Message;
use super::sources::Sources;
use super::summary;
use crate::event::Event;

#[derive(Debug)]
pub struct Errors {
    sources: Sources,
    failures: Failures,
}

impl Errors {
    pub fn new(now: Instant) -> Self {
        Self {
            sources: Sources::new(now),
            failures: Failures::default(),
        }
    }

    /// The errors and hints of an event and, at the end of an interrupted run, how to continue it.
    pub fn on(&mut self, event: &Event, now: Instant) -> Vec<Message> {
        self.sources.record(event, now);
        let mut messages = self.failures.record(event, self.sources.has_several());
        if matches!(event, Event::Exit { .. }) {
            messages.extend(self.failures.groups());
            let summary = summary::summary(event, &self.sources, now);
            let stopped = summary.filter(|summary| summary.is_interruption);
            messages.extend(stopped.map(|summary| Message::Notice(summary.line)));
        }
        messages
    }
}
