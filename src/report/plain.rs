//! Calm lines, where nobody watches a terminal: what happened, and now and then where things stand.
//!
//! Border: sentences and when to say them; `item` words them, `report` writes them. No escape byte, no carriage return.

use std::time::{Duration, Instant};

use super::item::{Items, failure, remark};
use super::text::escape;
use super::{Loudness, Said};
use crate::event::Event;

/// Progress is told at most this often, over all sources.
const EVERY: Duration = Duration::from_secs(10);

/// The reporter for pipes, logs and `--progress plain`.
#[derive(Debug)]
pub struct Plain {
    items: Items,
    loudness: Loudness,
    /// Whether to tell progress at all.
    progress: bool,
    /// When something was told last; at first, when it began.
    told: Instant,
}

impl Plain {
    pub fn new(loudness: Loudness, progress: bool, now: Instant) -> Self {
        Self {
            items: Items::new(now),
            loudness,
            progress,
            told: now,
        }
    }

    /// What to say to an event, at this instant.
    pub fn on(&mut self, event: &Event, now: Instant) -> Said {
        let item = self.items.note(event);
        let mut said = Said::default();
        if let Event::Completed { receipt, .. } = event {
            said.data.push(escape(&receipt.location));
        }
        said.failure = failure(event);
        if self.loudness.quiet {
            return said;
        }
        said.remarks
            .extend(remark(event, &self.items, self.loudness.verbose));
        match event {
            Event::Progress { .. }
                if self.progress && now.saturating_duration_since(self.told) >= EVERY =>
            {
                self.told = now;
                let total = self.items.total();
                let shown = if self.items.several() {
                    Some(&total)
                } else {
                    item.and_then(|item| self.items.get(item))
                };
                said.remarks.extend(
                    shown.map(|shown| {
                        format!("{}: {}, {}", shown.name, shown.share(), shown.motion())
                    }),
                );
            }
            Event::Completed { .. } if self.items.several() => {
                said.remarks.extend(
                    item.and_then(|item| self.items.get(item))
                        .map(super::item::Item::ending),
                );
            }
            Event::Exit { .. } => said.remarks.extend(self.items.summary(event, now)),
            _ => {}
        }
        said
    }
}
