//! The state of each source, gathered from the events, for the bars and the plain reporter.
//!
//! Not here: sentences (`wording`), and when they are shown (`plain`, `bars`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::text::safe;
use crate::event::Event;

/// One source of the run.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, several of which may be true at once"
)]
pub struct SourceState {
    /// Empty until the plan is known.
    pub name: String,
    pub size: u64,
    pub parts: u32,
    /// Bytes that the store had before this run.
    pub resumed: u64,
    pub hashed: u64,
    pub sent: u64,
    pub confirmed: u64,
    /// Recent bytes per second.
    pub rate: u64,
    /// The upload was complete before this run.
    pub already: bool,
    /// The object is complete; the checks of the backend are running.
    pub waiting: bool,
    pub ended: bool,
    pub failed: bool,
}

/// All sources of the run, by item number.
#[derive(Debug)]
pub struct Sources {
    known: BTreeMap<usize, SourceState>,
    /// Announced at the start: number and bytes of all sources.
    expected: (usize, u64),
    started_at: Instant,
}

impl Sources {
    pub fn new(now: Instant) -> Self {
        Self {
            known: BTreeMap::new(),
            expected: (0, 0),
            started_at: now,
        }
    }

    pub fn get(&self, item: usize) -> Option<&SourceState> {
        self.known.get(&item)
    }

    /// The name of a source; empty until its plan is known.
    pub fn name(&self, item: usize) -> &str {
        self.get(item).map_or("", |source| source.name.as_str())
    }

    pub fn has_several(&self) -> bool {
        self.count() > 1
    }

    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started_at)
    }

    fn count(&self) -> usize {
        self.known.len().max(self.expected.0)
    }

    /// Records an event; returns the item that it is about.
    pub fn record(&mut self, event: &Event) -> Option<usize> {
        match event {
            Event::Sources { count, bytes } => {
                self.expected = (*count, *bytes);
                None
            }
            Event::Plan {
                item,
                path,
                size,
                parts,
                resumed_bytes,
                ..
            } => {
                let plan = SourceState {
                    name: file_name(path),
                    size: *size,
                    parts: *parts,
                    resumed: *resumed_bytes,
                    confirmed: *resumed_bytes,
                    ..SourceState::default()
                };
                self.known.insert(*item, plan);
                Some(*item)
            }
            Event::Progress {
                item,
                hashed,
                sent,
                confirmed,
                size,
                rate,
                ..
            } => {
                let source = self.known.entry(*item).or_default();
                (source.hashed, source.sent, source.confirmed) = (*hashed, *sent, *confirmed);
                (source.size, source.rate) = (*size, *rate);
                Some(*item)
            }
            Event::Completed {
                item,
                receipt,
                already_stored,
                ..
            } => {
                let source = self.known.entry(*item).or_default();
                if source.name.is_empty() {
                    source.name = file_name(receipt.key.as_str());
                }
                (source.size, source.confirmed, source.rate) = (receipt.size, receipt.size, 0);
                (source.parts, source.already, source.ended) =
                    (receipt.parts, *already_stored, true);
                Some(*item)
            }
            Event::Failed { item, path, .. } => {
                let source = self.known.entry(*item).or_default();
                if source.name.is_empty() {
                    source.name = file_name(path);
                }
                (source.rate, source.ended, source.failed) = (0, true, true);
                Some(*item)
            }
            Event::Waiting { item, .. } => {
                self.known.entry(*item).or_default().waiting = true;
                Some(*item)
            }
            Event::Part { item, .. }
            | Event::Retry { item, .. }
            | Event::Changed { item, .. }
            | Event::Restarted { item, .. }
            | Event::Blocked { item, .. }
            | Event::Moved { item, .. } => Some(*item),
            Event::Exit { .. } => None,
        }
    }

    /// The only source of the run, if it is complete.
    pub fn only_completed(&self) -> Option<&SourceState> {
        let mut sources = self.known.values();
        match (sources.next(), sources.next()) {
            (Some(source), None) if source.ended && !source.failed => Some(source),
            _ => None,
        }
    }

    /// The bytes of all known sources.
    pub fn size(&self) -> u64 {
        self.known
            .values()
            .fold(0, |sum: u64, source| sum.saturating_add(source.size))
    }

    /// The sum of all sources. Its name has the number of those that have ended.
    pub fn total(&self) -> SourceState {
        let mut total = SourceState::default();
        for source in self.known.values() {
            total.size = total.size.saturating_add(source.size);
            total.resumed = total.resumed.saturating_add(source.resumed);
            total.hashed = total
                .hashed
                .saturating_add(source.hashed.max(source.confirmed));
            total.sent = total.sent.saturating_add(source.sent.max(source.confirmed));
            total.confirmed = total.confirmed.saturating_add(source.confirmed);
            total.rate = total.rate.saturating_add(source.rate);
        }
        total.size = total.size.max(self.expected.1);
        let ended = self.known.values().filter(|source| source.ended).count();
        total.name = format!("{ended} of {} files", self.count());
        total
    }
}

/// The last component of a path, made safe; the whole path if it has none.
fn file_name(path: &str) -> String {
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty());
    safe(name.unwrap_or(path))
}
