//! The state of one source.
//!
//! Not here: how it is gathered from events (`sources`).

use std::time::{Duration, Instant};

use super::pace::Pace;
use super::text::{STREAM_NAME, safe};
use crate::event::{Event, Forecast, Phase};
use upload_types::UploadId;
use upload_types::stream_waits::StreamWaits;

/// One source of the run.
#[derive(Debug, Clone, Default)]
pub struct SourceState {
    /// The path as it was given, or [`STREAM_NAME`]; empty until it is known.
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
    /// The waits of a stream; `None` for a file.
    pub waits: Option<StreamWaits>,
    pub phase: Phase,
    pub pace: Pace,
    /// The result of a dry run.
    pub forecast: Option<Forecast>,
    pub scope: Scope,
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

/// The sources that a state is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    One,
    All,
    /// All that were found so far.
    Found,
}

/// How a source ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Uploaded,
    /// The upload was complete before this run.
    AlreadyStored,
    /// It was complete according to the journal, and the store was not asked.
    InJournal,
    /// It was left out, because an object is at its key.
    Kept,
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
    pub(super) fn planned(event: &Event, now: Instant) -> Self {
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
            name: if *stream {
                STREAM_NAME.to_owned()
            } else {
                safe(path)
            },
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

    /// The bytes that were left to send when the source was opened.
    pub(super) fn left_at_start(&self) -> u64 {
        self.size.saturating_sub(self.resumed)
    }

    /// Adds another source to a sum.
    pub(super) fn add(&mut self, source: &Self) {
        let add = |sum: &mut u64, bytes: u64| *sum = sum.saturating_add(bytes);
        add(&mut self.size, source.size);
        add(&mut self.resumed, source.resumed);
        add(&mut self.hashed, source.hashed.max(source.confirmed));
        add(&mut self.sent, source.sent.max(source.confirmed));
        add(&mut self.confirmed, source.confirmed);
        add(&mut self.rate, source.rate);
        self.has_sent |= source.has_sent || source.end.is_some();
    }

    pub(super) fn confirm(&mut self, bytes: u64, now: Instant) {
        self.confirmed = bytes;
        self.pace.record(now, bytes.saturating_sub(self.resumed));
    }
}
