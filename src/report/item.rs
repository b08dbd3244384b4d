//! What the human reporters remember of each source, and the words both use.
//!
//! Border: events in, sentences out; where and when a sentence is shown is `plain` and `bars`. Pure but for the instant.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::text::{duration, percent, rate, safe, size};
use crate::event::Event;

/// What there is to say of a source that is whole.
const WAITING: &str = "waiting for the backend's checks";

/// One source on its way.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and most are true together"
)]
pub struct Item {
    pub name: String,
    pub size: u64,
    pub parts: u32,
    /// Bytes that were in the store before.
    pub resumed: u64,
    pub hashed: u64,
    pub sent: u64,
    pub confirmed: u64,
    /// Bytes per second, of late.
    pub rate: u64,
    /// It was there before this command ran.
    pub already: bool,
    /// Whole, and being checked by the backend.
    pub waiting: bool,
    pub ended: bool,
    pub failed: bool,
}

/// Every source of one command.
#[derive(Debug)]
pub struct Items {
    known: BTreeMap<usize, Item>,
    /// How many there will be, and their bytes, as far as that is known.
    expected: (usize, u64),
    began: Instant,
}

impl Items {
    pub fn new(now: Instant) -> Self {
        Self {
            known: BTreeMap::new(),
            expected: (0, 0),
            began: now,
        }
    }

    pub fn get(&self, item: usize) -> Option<&Item> {
        self.known.get(&item)
    }

    /// Whether there is more than one, so that a total is worth showing.
    pub fn several(&self) -> bool {
        self.count() > 1
    }

    fn count(&self) -> usize {
        self.known.len().max(self.expected.0)
    }

    /// Remembers what an event tells; gives the source it is about.
    pub fn note(&mut self, event: &Event) -> Option<usize> {
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
                let known = self.known.entry(*item).or_default();
                *known = Item {
                    name: shown_name(path),
                    size: *size,
                    parts: *parts,
                    ..Item::default()
                };
                (known.resumed, known.confirmed) = (*resumed_bytes, *resumed_bytes);
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
                let known = self.known.entry(*item).or_default();
                (known.hashed, known.sent, known.confirmed) = (*hashed, *sent, *confirmed);
                (known.size, known.rate) = (*size, *rate);
                Some(*item)
            }
            Event::Completed {
                item,
                receipt,
                already,
                ..
            } => {
                let known = self.known.entry(*item).or_default();
                if known.name.is_empty() {
                    known.name = shown_name(receipt.key.as_str());
                }
                (known.size, known.confirmed, known.rate) = (receipt.size, receipt.size, 0);
                (known.parts, known.already, known.ended) = (receipt.parts, *already, true);
                Some(*item)
            }
            Event::Failed { item, path, .. } => {
                let known = self.known.entry(*item).or_default();
                if known.name.is_empty() {
                    known.name = shown_name(path);
                }
                (known.rate, known.ended, known.failed) = (0, true, true);
                Some(*item)
            }
            Event::Waiting { item, .. } => {
                self.known.entry(*item).or_default().waiting = true;
                Some(*item)
            }
            Event::Part { item, .. } | Event::Retry { item, .. } | Event::Changed { item, .. } => {
                Some(*item)
            }
            Event::Exit { .. } => None,
        }
    }

    /// All sources as if they were one.
    pub fn total(&self) -> Item {
        let mut total = Item::default();
        for item in self.known.values() {
            total.size = total.size.saturating_add(item.size);
            total.resumed = total.resumed.saturating_add(item.resumed);
            total.hashed = total.hashed.saturating_add(item.hashed.max(item.confirmed));
            total.sent = total.sent.saturating_add(item.sent.max(item.confirmed));
            total.confirmed = total.confirmed.saturating_add(item.confirmed);
            total.rate = total.rate.saturating_add(item.rate);
        }
        total.size = total.size.max(self.expected.1);
        let ended = self.known.values().filter(|item| item.ended).count();
        total.name = format!("{ended} of {} files", self.count());
        total
    }

    /// What was sent and what resuming saved, at the end; nothing if nothing was uploaded.
    pub fn summary(&self, event: &Event, now: Instant) -> Vec<String> {
        let Event::Exit {
            uploads,
            completed,
            bytes_sent,
            bytes_skipped,
            resumable,
            ..
        } = event
        else {
            return Vec::new();
        };
        let time = now.saturating_duration_since(self.began);
        let mut lines = Vec::new();
        let only = self
            .known
            .values()
            .next()
            .filter(|_| *uploads == 1 && *completed == 1);
        match only {
            Some(item) if item.already && *bytes_sent == 0 => {
                return vec![format!("{} is already there; nothing was sent", item.name)];
            }
            Some(item) => {
                let how = format!("{} in {}", size(item.size), parts(item.parts));
                lines.push(format!(
                    "uploaded {}: {how}, {}",
                    item.name,
                    sent(*bytes_sent, time)
                ));
            }
            None if *uploads > 1 => {
                lines.push(format!(
                    "uploaded {completed} of {uploads} files, {}",
                    sent(*bytes_sent, time)
                ));
            }
            None if *bytes_sent > 0 => lines.push(sent(*bytes_sent, time)),
            None => {}
        }
        if *bytes_skipped > 0 {
            let whole = self
                .known
                .values()
                .fold(0_u64, |sum, item| sum.saturating_add(item.size));
            let (known, whole) = (size(*bytes_skipped), size(whole.max(*bytes_skipped)));
            lines.push(format!("resumed: {known} of {whole} were already there"));
        }
        // Of a single source, its failure has said so.
        if *resumable && *uploads > 1 {
            lines.push(
                "what is missing stays in the journal: run `upload resume` to go on".to_owned(),
            );
        }
        lines
    }
}

impl Item {
    /// How much of it the store has.
    pub fn share(&self) -> String {
        format!(
            "{}% of {}",
            percent(self.confirmed, self.size),
            size(self.size)
        )
    }

    /// How it moves, the most important first: whoever shows it may cut the end.
    pub fn motion(&self) -> String {
        if self.waiting {
            return WAITING.to_owned();
        }
        let mut text = String::new();
        // Writing to a string cannot fail.
        if self.rate > 0 {
            let _ = write!(text, "{}, ", rate(self.rate));
            if let Some(eta) = self
                .size
                .saturating_sub(self.confirmed)
                .checked_div(self.rate)
                .filter(|eta| *eta > 0)
            {
                let _ = write!(text, "{} left, ", duration(Duration::from_secs(eta)));
            }
        }
        // Where bytes that were there before are not counted, they are still behind us.
        let (sent, hashed) = (
            self.sent.max(self.confirmed),
            self.hashed.max(self.confirmed),
        );
        let _ = write!(
            text,
            "sent {}%, hashed {}%",
            percent(sent, self.size),
            percent(hashed, self.size)
        );
        if self.resumed > 0 {
            let _ = write!(text, ", resumed {}", size(self.resumed));
        }
        text
    }

    /// One line on what became of it.
    pub fn ending(&self) -> String {
        let Self { name, .. } = self;
        if self.failed {
            format!("failed {name} at {}", self.share())
        } else if self.already {
            format!("{name} is already there, {}", size(self.size))
        } else if self.resumed > 0 {
            format!(
                "uploaded {name}, {}, resumed {}",
                size(self.size),
                size(self.resumed)
            )
        } else {
            format!("uploaded {name}, {}", size(self.size))
        }
    }
}

/// A failure in its own words, and what to do next.
pub fn failure(event: &Event) -> Option<(String, Option<String>)> {
    let Event::Failed {
        path,
        message,
        hint,
        ..
    } = event
    else {
        return None;
    };
    // Most errors about a file name it themselves.
    let named = path.is_empty() || message.contains(path.as_str());
    let place = if named {
        String::new()
    } else {
        format!("{}: ", safe(path))
    };
    Some((
        format!("{place}{}", safe(message)),
        hint.as_deref().map(safe),
    ))
}

/// A source's change, or an attempt that will be repeated.
pub fn remark(event: &Event, items: &Items, verbose: u8) -> Option<String> {
    match event {
        Event::Changed { message, .. } => Some(format!("changed: {}", safe(message))),
        // A hiccup is nobody's business; a third in a row is.
        Event::Retry {
            item,
            number,
            attempt,
            kind,
            wait_ms,
            message,
            ..
        } if verbose > 0 || *attempt > 2 => {
            let name = items.get(*item).map_or("", |item| item.name.as_str());
            let part = number.map_or_else(String::new, |number| format!(", part {number}"));
            let why = if message.is_empty() {
                (*kind).to_owned()
            } else {
                safe(message)
            };
            let wait = duration(Duration::from_millis(*wait_ms));
            Some(format!(
                "retry: {name}{part}: {why}; again in {wait} (attempt {attempt} failed)"
            ))
        }
        Event::Waiting { item, .. } if verbose > 0 || !items.several() => {
            let name = items.get(*item).map_or("", |item| item.name.as_str());
            Some(format!("{name}: {WAITING}"))
        }
        // What is there as a whole says so at its end.
        Event::Plan {
            item,
            resumed_bytes,
            size: whole,
            ..
        } if (1..*whole).contains(resumed_bytes) => {
            let name = items.get(*item).map_or("", |item| item.name.as_str());
            Some(format!(
                "resumed: {name}: {} of {} are already there",
                size(*resumed_bytes),
                size(*whole)
            ))
        }
        Event::Plan {
            item,
            size: whole,
            parts: count,
            ..
        } if verbose > 0 => {
            let name = items.get(*item).map_or("", |item| item.name.as_str());
            Some(format!("{name}: {} in {}", size(*whole), parts(*count)))
        }
        Event::Part {
            number,
            size: bytes,
            skipped,
            ..
        } if verbose > 1 => {
            let how = if *skipped { "was there" } else { "stored" };
            Some(format!("part {number}, {}: {how}", size(*bytes)))
        }
        _ => None,
    }
}

/// The last part of a path, made safe; the whole path where it has none.
fn shown_name(path: &str) -> String {
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty());
    safe(name.unwrap_or(path))
}

fn parts(count: u32) -> String {
    if count == 1 {
        "1 part".to_owned()
    } else {
        format!("{count} parts")
    }
}

fn sent(bytes: u64, time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let speed = rate(bytes.saturating_mul(1000) / millis);
    if bytes == 0 {
        "nothing was sent".to_owned()
    } else {
        format!("sent {} in {} ({speed})", size(bytes), duration(time))
    }
}
