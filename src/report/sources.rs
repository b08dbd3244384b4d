//! The state of each source, gathered from the events, for the reporters.
//!
//! Not here: sentences (`wording`, `summary`), and when they are shown (`plain`, `bars`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::failures::INTERRUPTED;
use super::pace::Pace;
use super::text::safe;
use crate::event::{Event, Forecast, Phase};
use upload_types::UploadId;

/// Runs with more sources report each of them only with `-v`, except for failures.
const MAX_SHORT_REPORT: usize = 20;

/// One source of the run.
#[derive(Debug, Clone, Default)]
pub struct SourceState {
    /// The path as it was given; empty until it is known.
    pub name: String,
    pub upload: Option<UploadId>,
    pub size: u64,
    pub parts: u32,
    pub length: Length,
    /// Bytes that the store had before this run.
    pub resumed: u64,
    pub hashed: u64,
    pub sent: u64,
    pub confirmed: u64,
    /// Bytes of the parts of this run that the journal has recorded.
    pub acknowledged: u64,
    /// A byte was sent in this run.
    pub has_sent: bool,
    /// Recent bytes per second.
    pub rate: u64,
    pub phase: Phase,
    pub pace: Pace,
    /// The result of a dry run.
    pub forecast: Option<Forecast>,
    /// The object is complete; the checks of the backend are running.
    pub waiting: bool,
    pub end: Option<End>,
}

/// How much is known about the size of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Length {
    /// It is a file.
    #[default]
    Known,
    /// It is a stream, and has the expected size, or the bytes that were read if these are more.
    Expected,
    /// It is a stream, and has the bytes that were read.
    Unknown,
}

/// How a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Uploaded,
    /// The upload was complete before this run.
    AlreadyStored,
    Failed,
    Interrupted,
}

impl SourceState {
    pub fn is_stream(&self) -> bool {
        self.length != Length::Known
    }

    /// Whether the size is unknown before the end.
    pub fn is_endless(&self) -> bool {
        self.length == Length::Unknown && self.end.is_none()
    }

    /// The state after a plan; that of a source without a name after any other event.
    fn planned(event: &Event, now: Instant) -> Self {
        let Event::Plan {
            upload,
            path,
            size,
            parts,
            resumed_bytes,
            forecast,
            stream,
            ..
        } = event
        else {
            return Self::default();
        };
        let mut plan = Self {
            name: safe(path),
            upload: upload.clone(),
            size: *size,
            parts: *parts,
            length: match (*stream, *size) {
                (false, _) => Length::Known,
                (true, 0) => Length::Unknown,
                (true, _) => Length::Expected,
            },
            resumed: *resumed_bytes,
            forecast: *forecast,
            ..Self::default()
        };
        plan.confirm(*resumed_bytes, now);
        plan
    }

    /// The time that is left at the recent pace.
    pub fn time_left(&self, now: Instant) -> Option<Duration> {
        if self.is_endless() {
            return None;
        }
        let left = self.size.saturating_sub(self.confirmed);
        let in_flight = self.sent.saturating_sub(self.confirmed);
        self.pace.time_left(now, left, in_flight)
    }

    /// The bytes that the store has. The last progress of a source may be older than its last part.
    pub fn stored(&self) -> u64 {
        let parts = self.resumed.saturating_add(self.acknowledged);
        self.confirmed.max(parts).min(self.size)
    }

    fn confirm(&mut self, bytes: u64, now: Instant) {
        self.confirmed = bytes;
        self.pace.record(now, bytes.saturating_sub(self.resumed));
    }
}

/// All sources of the run, by item number.
#[derive(Debug)]
pub struct Sources {
    known: BTreeMap<usize, SourceState>,
    /// Announced at the start: the paths and the bytes of all sources.
    paths: Vec<String>,
    bytes: u64,
    started_at: Instant,
    total_pace: Pace,
}

impl Sources {
    pub fn new(now: Instant) -> Self {
        Self {
            known: BTreeMap::new(),
            paths: Vec::new(),
            bytes: 0,
            started_at: now,
            total_pace: Pace::default(),
        }
    }

    pub fn get(&self, item: usize) -> Option<&SourceState> {
        self.known.get(&item)
    }

    pub fn all(&self) -> impl Iterator<Item = &SourceState> {
        self.known.values()
    }

    /// The name of a source; empty if it is not known.
    pub fn name(&self, item: usize) -> &str {
        self.get(item).map_or("", |source| source.name.as_str())
    }

    pub fn has_several(&self) -> bool {
        self.count() > 1
    }

    /// Whether each source may have a line of its own without `-v`.
    pub fn has_short_report(&self) -> bool {
        self.count() <= MAX_SHORT_REPORT
    }

    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started_at)
    }

    pub fn count(&self) -> usize {
        self.known.len().max(self.paths.len())
    }

    fn entry(&mut self, item: usize) -> &mut SourceState {
        let path = self.paths.get(item);
        self.known.entry(item).or_insert_with(|| SourceState {
            name: path.map_or_else(String::new, |path| safe(path)),
            ..SourceState::default()
        })
    }

    fn acknowledge(&mut self, item: usize, size: u64) -> usize {
        let source = self.entry(item);
        source.acknowledged = source.acknowledged.saturating_add(size);
        item
    }

    /// Records an event; returns the item that it is about.
    pub fn record(&mut self, event: &Event, now: Instant) -> Option<usize> {
        match event {
            Event::Sources { paths, bytes } => {
                (self.paths, self.bytes) = (paths.clone(), *bytes);
                None
            }
            Event::Plan { item, .. } => {
                self.known.insert(*item, SourceState::planned(event, now));
                Some(*item)
            }
            Event::Progress {
                item,
                upload,
                hashed,
                sent,
                confirmed,
                size,
                rate,
                phase,
                ..
            } => {
                let source = self.entry(*item);
                (source.hashed, source.sent) = (*hashed, *sent);
                (source.size, source.rate, source.phase) = (*size, *rate, *phase);
                source.upload.clone_from(upload);
                source.has_sent |= *sent > source.resumed;
                source.confirm(*confirmed, now);
                Some(*item)
            }
            Event::Completed {
                item,
                path,
                receipt,
                already_stored,
                ..
            } => {
                let source = self.entry(*item);
                if source.name.is_empty() {
                    source.name = safe(path);
                }
                (source.size, source.rate, source.parts) = (receipt.size, 0, receipt.parts);
                source.end = Some(End::Uploaded);
                if *already_stored {
                    source.resumed = receipt.size;
                    source.end = Some(End::AlreadyStored);
                }
                source.confirm(receipt.size, now);
                Some(*item)
            }
            Event::Failed {
                item,
                upload,
                path,
                kind,
                ..
            } => {
                let source = self.entry(*item);
                if source.name.is_empty() {
                    source.name = safe(path);
                }
                (source.rate, source.upload) = (0, upload.clone());
                source.end = Some(match *kind {
                    INTERRUPTED => End::Interrupted,
                    _ => End::Failed,
                });
                Some(*item)
            }
            Event::Waiting { item, .. } => {
                self.entry(*item).waiting = true;
                Some(*item)
            }
            Event::Part {
                item,
                size,
                skipped: true,
                ..
            } if self.entry(*item).is_stream() => {
                let source = self.entry(*item);
                source.resumed = source.resumed.saturating_add(*size);
                Some(*item)
            }
            Event::Part { item, size, .. } => Some(self.acknowledge(*item, *size)),
            Event::Retry { item, .. }
            | Event::Changed { item, .. }
            | Event::Restarted { item, .. }
            | Event::Blocked { item, .. }
            | Event::Comparing { item, .. }
            | Event::Moved { item, .. }
            | Event::Renamed { item, .. } => Some(*item),
            Event::Connecting { .. } | Event::Exit { .. } => None,
        }
    }

    /// The number of sources that ended in this way.
    pub fn ended(&self, end: End) -> usize {
        let ended = self.known.values();
        ended.filter(|source| source.end == Some(end)).count()
    }

    /// The sum of all sources. Its name has the number of those that have ended.
    pub fn total(&mut self, now: Instant) -> SourceState {
        let mut total = SourceState::default();
        let mut ended = 0;
        for source in self.known.values() {
            total.size = total.size.saturating_add(source.size);
            total.resumed = total.resumed.saturating_add(source.resumed);
            total.hashed = total
                .hashed
                .saturating_add(source.hashed.max(source.confirmed));
            total.sent = total.sent.saturating_add(source.sent.max(source.confirmed));
            total.confirmed = total.confirmed.saturating_add(source.confirmed);
            total.rate = total.rate.saturating_add(source.rate);
            total.has_sent |= source.has_sent || source.end.is_some();
            ended += usize::from(source.end.is_some());
        }
        total.size = total.size.max(self.bytes);
        total.name = format!("{ended} of {} files", self.count());
        let confirmed = total.confirmed.saturating_sub(total.resumed);
        self.total_pace.record(now, confirmed);
        total.pace = self.total_pace.clone();
        total
    }
}
