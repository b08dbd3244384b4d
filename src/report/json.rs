//! The reporter of `--json`: each event as a line, progress at most once a second for each upload.
//!
//! Not here: the shape of the lines (`event`).

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

use crate::event::{self, Event};

/// The time between two progress lines of one upload; its last progress is always reported.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Json {
    progress: BTreeMap<usize, Throttle>,
    /// The sources with a plan. Progress before the plan is not reported.
    planned: BTreeSet<usize>,
}

/// Progress of one upload.
#[derive(Debug, Default)]
struct Throttle {
    reported_at: Option<Instant>,
    /// Progress that came too early to be reported.
    held: Option<Event>,
}

impl Json {
    /// The lines of an event, without newlines.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        match &event {
            // Only for the other reporters: the `exit` line has the number of sources.
            Event::Sources { .. }
            | Event::Connecting { .. }
            | Event::Selected {
                is_complete: false, ..
            } => return lines,
            Event::Progress { item, .. } if !self.planned.contains(item) => return lines,
            Event::Progress { item, .. } => {
                let throttle = self.progress.entry(*item).or_default();
                let is_early = throttle
                    .reported_at
                    .is_some_and(|at| now.saturating_duration_since(at) < PROGRESS_INTERVAL);
                if is_early {
                    throttle.held = Some(event);
                    return lines;
                }
                *throttle = Throttle {
                    reported_at: Some(now),
                    held: None,
                };
            }
            Event::Completed { item, .. }
            | Event::Kept { item, .. }
            | Event::Failed { item, .. } => {
                self.planned.remove(item);
                let held = self.progress.remove(item).and_then(|entry| entry.held);
                lines.extend(held.iter().map(event::to_json_line));
            }
            Event::Exit { .. } => {
                let held = mem::take(&mut self.progress)
                    .into_values()
                    .filter_map(|entry| entry.held);
                lines.extend(held.map(|event| event::to_json_line(&event)));
            }
            Event::Plan {
                item,
                forecast: None,
                ..
            } => {
                self.planned.insert(*item);
            }
            // Nothing follows the plan of a dry run.
            Event::Plan {
                forecast: Some(_), ..
            }
            | Event::Selected { .. }
            | Event::Skipped { .. }
            | Event::Unmatched { .. }
            | Event::Part { .. }
            | Event::Retry { .. }
            | Event::Changed { .. }
            | Event::Comparing { .. }
            | Event::Restarted { .. }
            | Event::Blocked { .. }
            | Event::Moved { .. }
            | Event::Renamed { .. }
            | Event::Waiting { .. } => {}
        }
        lines.push(event::to_json_line(&event));
        lines
    }
}
