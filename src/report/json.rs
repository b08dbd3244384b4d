//! Events as JSON lines: all of them but the progress nobody needs.
//!
//! Border: which events become lines, and when; their shape is `event`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::{self, Event};

/// Progress of one upload is told at most this often, and once more at its end.
const EVERY: Duration = Duration::from_secs(1);

/// The reporter of `--json`.
#[derive(Debug, Default)]
pub struct Json {
    uploads: BTreeMap<usize, Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    told: Option<Instant>,
    /// Progress that came too early to be told.
    held: Option<Event>,
}

impl Json {
    /// The lines an event makes, at this instant, each without its newline.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        match &event {
            // No line of its own: `exit` tells the count.
            Event::Sources { .. } => return lines,
            Event::Progress { item, .. } => {
                let pace = self.uploads.entry(*item).or_default();
                if pace
                    .told
                    .is_some_and(|told| now.saturating_duration_since(told) < EVERY)
                {
                    pace.held = Some(event);
                    return lines;
                }
                *pace = Pace {
                    told: Some(now),
                    held: None,
                };
            }
            Event::Completed { item, .. } | Event::Failed { item, .. } => {
                // The last word on progress comes before the end.
                let held = self.uploads.remove(item).and_then(|pace| pace.held);
                lines.extend(held.iter().map(event::to_json_line));
            }
            Event::Exit { .. } => {
                let held = std::mem::take(&mut self.uploads)
                    .into_values()
                    .filter_map(|pace| pace.held);
                lines.extend(held.map(|event| event::to_json_line(&event)));
            }
            Event::Plan { .. }
            | Event::Part { .. }
            | Event::Retry { .. }
            | Event::Changed { .. }
            | Event::Waiting { .. } => {}
        }
        lines.push(event::to_json_line(&event));
        lines
    }
}
