//! The state of each source, gathered from the events, for the reporters.
//!
//! Not here: sentences (`wording`, `summary`), and when they are shown (`plain`, `bars`).

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

use super::failures::INTERRUPTED;
use super::pace::Pace;
use super::source_state::{End, Scope, SourceState};
use super::text::{STREAM_NAME, files, number, safe};
use crate::event::{Event, Forecast, STREAM_PATH};
use upload_types::attributes::Attribute;
use upload_types::saturating;

/// Runs with more sources report each of them only with `-v`, except for failures.
const MAX_SHORT_REPORT: usize = 20;

/// The number of sources from which on those that have ended are only counted.
const MAX_DETAILED_SOURCES: usize = 1024;

/// The sources of the run, by item number. Of a long run, those that have ended are only counted.
#[derive(Debug)]
pub struct Sources {
    known: BTreeMap<usize, SourceState>,
    /// The sources that are only counted.
    counted: Counted,
    /// The number of known sources at which the ended ones are counted.
    max_known: usize,
    /// The search for the sources of a set.
    search: Option<Search>,
    /// The number of entries that were left out, by reason.
    skipped: BTreeMap<&'static str, u64>,
    /// The first source of a set with a key that the client has chosen.
    first_with_key: Option<usize>,
    /// The names of attributes that the store did not keep.
    not_kept: BTreeSet<String>,
    /// The patterns that matched nothing.
    unmatched: Vec<String>,
    /// Announced at the start: the paths and the bytes of all sources.
    paths: Vec<String>,
    bytes: u64,
    /// The bytes of these that are not sent, because an object is at the key.
    kept_bytes: u64,
    started_at: Instant,
    total_pace: Pace,
}

impl Sources {
    pub fn new(now: Instant) -> Self {
        Self {
            known: BTreeMap::new(),
            counted: Counted::default(),
            max_known: MAX_DETAILED_SOURCES,
            search: None,
            skipped: BTreeMap::new(),
            first_with_key: None,
            not_kept: BTreeSet::new(),
            unmatched: Vec::new(),
            paths: Vec::new(),
            bytes: 0,
            kept_bytes: 0,
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

    /// The name of the source at a path of an event.
    pub fn name_of(&self, path: &str) -> String {
        name_of(path, self.is_set())
    }

    pub fn has_several(&self) -> bool {
        self.is_set() || self.count() > 1
    }

    /// Whether the sources are found in directories or lists.
    pub fn is_set(&self) -> bool {
        self.search.is_some()
    }

    /// Whether this is the first source of a set with a key that the client has chosen.
    pub fn is_first_with_key(&self, item: usize) -> bool {
        self.first_with_key == Some(item)
    }

    /// Whether `resume` can continue the set.
    pub fn is_recorded_set(&self) -> bool {
        self.search.is_some_and(|search| search.is_recorded)
    }

    /// Whether more sources are being found.
    pub fn is_searching(&self) -> bool {
        self.search.is_some_and(|search| !search.is_complete)
    }

    /// The warnings at the end of a run: patterns that matched nothing, and attributes that the
    /// store did not keep.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let unmatched = self.unmatched.iter();
        let unmatched = unmatched.map(|rule| format!("warning: {rule} matched nothing"));
        let names: Vec<&str> = self.not_kept.iter().map(String::as_str).collect();
        let not_kept = (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("warning: the store did not keep: {names}; the receipts have it in `unproven`")
        });
        unmatched.chain(not_kept)
    }

    /// The number of entries that were left out, by reason.
    pub fn skipped(&self) -> &BTreeMap<&'static str, u64> {
        &self.skipped
    }

    /// Whether each source may have a line of its own without `-v`.
    pub fn has_short_report(&self) -> bool {
        self.count() <= MAX_SHORT_REPORT && !self.is_searching()
    }

    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started_at)
    }

    pub fn count(&self) -> usize {
        let found = self.search.map_or(0, |search| search.files);
        let seen = self.known.len() + self.counted.count();
        seen.max(self.paths.len()).max(found)
    }

    fn entry(&mut self, item: usize) -> &mut SourceState {
        let (path, is_set) = (self.paths.get(item), self.is_set());
        self.known.entry(item).or_insert_with(|| SourceState {
            name: path.map_or_else(String::new, |path| name_of(path, is_set)),
            ..SourceState::default()
        })
    }

    fn named_entry(&mut self, item: usize, path: &str) -> &mut SourceState {
        let is_set = self.is_set();
        let source = self.entry(item);
        if source.name.is_empty() {
            source.name = name_of(path, is_set);
        }
        source
    }

    fn acknowledge(&mut self, item: usize, size: u64) -> usize {
        let source = self.entry(item);
        source.acknowledged = source.acknowledged.saturating_add(size);
        item
    }

    /// Records an event; returns the item that it is about.
    pub fn record(&mut self, event: &Event, now: Instant) -> Option<usize> {
        self.count_ended();
        self.record_search(event);
        match event {
            Event::Sources { paths, bytes } => {
                (self.paths, self.bytes) = (paths.clone(), *bytes);
                None
            }
            Event::Plan { item, key, .. } => {
                if key.is_some() && self.is_set() {
                    self.first_with_key.get_or_insert(*item);
                }
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
                waits,
                phase,
                ..
            } => {
                let source = self.entry(*item);
                (source.hashed, source.sent) = (*hashed, *sent);
                (source.size, source.rate, source.phase) = (*size, *rate, *phase);
                source.waits = *waits;
                source.upload.clone_from(upload);
                source.has_sent |= *sent > source.resumed;
                source.confirm(*confirmed, now);
                Some(*item)
            }
            Event::Completed { item, .. }
            | Event::Kept { item, .. }
            | Event::Failed { item, .. } => {
                self.record_end(event, now);
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
            Event::Selected { .. }
            | Event::Skipped { .. }
            | Event::Unmatched { .. }
            | Event::Connecting { .. }
            | Event::Exit { .. } => None,
        }
    }

    /// Records the end of a source.
    fn record_end(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Completed {
                item,
                path,
                receipt,
                already_stored,
                from_journal,
                ..
            } => {
                let unproven = receipt.unproven.iter();
                let not_kept = unproven.filter(|name| is_property(name));
                self.not_kept.extend(not_kept.map(|name| safe(name)));
                let source = self.named_entry(*item, path);
                if source.is_stream() {
                    source.name = safe(&receipt.name);
                }
                (source.size, source.rate, source.parts) = (receipt.size, 0, receipt.parts);
                source.end = Some(End::Uploaded);
                if *already_stored {
                    source.resumed = receipt.size;
                    source.end = Some(if *from_journal {
                        End::InJournal
                    } else {
                        End::AlreadyStored
                    });
                }
                source.confirm(receipt.size, now);
            }
            Event::Kept { item, path, .. } => {
                let source = self.named_entry(*item, path);
                source.rate = 0;
                source.end = Some(End::Kept);
                let bytes = mem::take(&mut source.size);
                self.kept_bytes = self.kept_bytes.saturating_add(bytes);
            }
            Event::Failed {
                item,
                upload,
                path,
                kind,
                ..
            } => {
                let source = self.named_entry(*item, path);
                (source.rate, source.upload) = (0, upload.clone());
                source.end = Some(match *kind {
                    INTERRUPTED => End::Interrupted,
                    _ => End::Failed,
                });
            }
            _ => {}
        }
    }

    /// Records an event about the search for the sources of a set.
    fn record_search(&mut self, event: &Event) {
        match event {
            Event::Selected {
                files,
                bytes,
                is_complete,
                set,
                others,
                ..
            } => {
                let files = files.saturating_add(others.files);
                self.bytes = bytes.saturating_add(others.bytes);
                self.search = Some(Search {
                    files: saturating::to_usize(files),
                    is_complete: *is_complete && !others.is_incomplete,
                    is_recorded: set.is_some(),
                });
            }
            Event::Unmatched { rule } => self.unmatched.push(safe(rule)),
            Event::Skipped { reason, .. } => *self.skipped.entry(reason).or_default() += 1,
            _ => {}
        }
    }

    /// Keeps only the sum of the sources that have ended, once there are many. Interrupted ones are
    /// kept for the summary.
    fn count_ended(&mut self) {
        if self.known.len() < self.max_known {
            return;
        }
        let counted = &mut self.counted;
        self.known.retain(|_, source| match source.end {
            Some(End::Interrupted) => true,
            None => source.forecast.is_none() || !counted.add(source, None),
            Some(end) => !counted.add(source, Some(end)),
        });
        self.max_known = (self.known.len() * 2).max(MAX_DETAILED_SOURCES);
    }

    /// The number of sources that ended in this way.
    pub fn ended(&self, end: End) -> usize {
        let ended = self.known.values();
        let known = ended.filter(|source| source.end == Some(end)).count();
        known + self.counted.ended(end)
    }

    /// The number of sources that have not ended, or were interrupted.
    pub fn not_ended(&self) -> usize {
        let ends = [
            End::Uploaded,
            End::AlreadyStored,
            End::InJournal,
            End::Kept,
            End::Failed,
        ];
        let ended: usize = ends.map(|end| self.ended(end)).into_iter().sum();
        self.count().saturating_sub(ended)
    }

    /// The number of sources with this result of a dry run, and the bytes that would be sent.
    pub fn forecast(&self, forecast: Forecast) -> (usize, u64) {
        let known = self.known.values();
        let known = known.filter(|source| source.forecast == Some(forecast));
        let start = self.counted.forecast(forecast);
        known.fold(start, |(count, bytes), source| {
            (count + 1, bytes.saturating_add(source.left_at_start()))
        })
    }

    /// The bytes that the store had of the sources that were uploaded.
    pub fn resumed(&self) -> u64 {
        let uploaded = |source: &&SourceState| source.end == Some(End::Uploaded);
        let known = self.known.values().filter(uploaded);
        known.fold(self.counted.resumed_of_uploaded, |sum, source| {
            sum.saturating_add(source.resumed)
        })
    }

    /// The sum of all sources. Its name has the number of those that have ended.
    pub fn total(&mut self, now: Instant) -> SourceState {
        let mut total = self.counted.sum.clone();
        let mut ended = self.counted.count();
        for source in self.known.values() {
            total.add(source);
            ended += usize::from(source.end.is_some());
        }
        total.size = total.size.max(self.bytes.saturating_sub(self.kept_bytes));
        total.scope = if self.is_searching() {
            Scope::Found
        } else {
            Scope::All
        };
        let all = self.count();
        total.name = if self.is_searching() {
            format!("{} of {} or more files", number(ended), number(all))
        } else {
            format!("{} of {}", number(ended), files(all))
        };
        let confirmed = total.confirmed.saturating_sub(total.resumed);
        self.total_pace.record(now, confirmed);
        total.pace = self.total_pace.clone();
        total
    }
}

/// The name of the source at a path of an event. In a set, a file may have the name `-`.
fn name_of(path: &str, is_set: bool) -> String {
    if path == STREAM_PATH && !is_set {
        STREAM_NAME.to_owned()
    } else {
        safe(path)
    }
}

/// Whether this entry of `unproven` is a property that the store did not keep.
fn is_property(name: &str) -> bool {
    // `encryption` stands for `sse`.
    ["metadata", "encryption"].contains(&name)
        || Attribute::ALL
            .iter()
            // Stores do not report whether they have kept an access list.
            .filter(|attribute| **attribute != Attribute::Acl)
            .any(|attribute| attribute.name() == name)
}

/// How far the search for the sources of a set is.
#[derive(Debug, Clone, Copy)]
struct Search {
    files: usize,
    is_complete: bool,
    /// The journal has the set, so that `resume` can continue it.
    is_recorded: bool,
}

/// The sources that are no longer known one by one.
#[derive(Debug, Default)]
struct Counted {
    sum: SourceState,
    uploaded: usize,
    already_stored: usize,
    in_journal: usize,
    kept: usize,
    failed: usize,
    would_send: usize,
    bytes_to_send: u64,
    /// The number of sources whose objects a dry run has found in the store.
    stored_before: usize,
    /// The number of sources that a dry run has found in the journal, without asking the store.
    in_journal_before: usize,
    resumed_of_uploaded: u64,
}

impl Counted {
    /// Adds a source that has ended. Returns true.
    fn add(&mut self, source: &SourceState, end: Option<End>) -> bool {
        self.sum.add(source);
        match (end, source.forecast) {
            (Some(End::Uploaded), _) => {
                self.uploaded += 1;
                self.resumed_of_uploaded = self.resumed_of_uploaded.saturating_add(source.resumed);
            }
            (Some(End::AlreadyStored), _) => self.already_stored += 1,
            (Some(End::InJournal), _) => self.in_journal += 1,
            (Some(End::Kept), _) => self.kept += 1,
            (Some(End::Failed | End::Interrupted), _) => self.failed += 1,
            (None, Some(Forecast::WouldSend)) => {
                self.would_send += 1;
                self.bytes_to_send = self.bytes_to_send.saturating_add(source.left_at_start());
            }
            (None, Some(Forecast::AlreadyStored)) => self.stored_before += 1,
            (None, Some(Forecast::InJournal)) => self.in_journal_before += 1,
            (None, None) => {}
        }
        true
    }

    fn count(&self) -> usize {
        let stored = self.uploaded + self.already_stored + self.in_journal;
        let forecast = self.would_send + self.stored_before + self.in_journal_before;
        stored + self.kept + self.failed + forecast
    }

    fn ended(&self, end: End) -> usize {
        match end {
            End::Uploaded => self.uploaded,
            End::AlreadyStored => self.already_stored,
            End::InJournal => self.in_journal,
            End::Kept => self.kept,
            End::Failed => self.failed,
            End::Interrupted => 0,
        }
    }

    fn forecast(&self, forecast: Forecast) -> (usize, u64) {
        match forecast {
            Forecast::WouldSend => (self.would_send, self.bytes_to_send),
            Forecast::AlreadyStored => (self.stored_before, 0),
            Forecast::InJournal => (self.in_journal_before, 0),
        }
    }
}
