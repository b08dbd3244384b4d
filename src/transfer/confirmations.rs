//! Sources of which the same version was uploaded before, and that wait until the backend has found
//! their objects: many of them together, and none is open meanwhile. Pure: the clock is an
//! argument.
//!
//! Not here: which sources these are, and what follows from the response (`confirm_many`).

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

use upload_types::UploadId;
use upload_types::plan::Plan;
use upload_types::wire::{MAX_BATCH_PRESENT, Receipt};

use super::options::PutRequest;
use super::retry::Failures;

/// Calls under way at once.
const MAX_CALLS: usize = 2;
/// The most sources that wait, those of the calls included. Each takes some 2 KiB.
const MAX_SOURCES: usize = (MAX_CALLS + 1) * MAX_BATCH_PRESENT;
/// The most time for which the first source of a call waits for others.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// Fewer sources are asked about with their status: a page of the listing has 1000 objects.
const MIN_SOURCES: usize = 32;

/// A source of which the same version was uploaded before.
pub struct Unconfirmed {
    pub item: usize,
    pub put: PutRequest,
    /// The row of the finished upload in the journal.
    pub row: i64,
    pub id: UploadId,
    pub plan: Plan,
    pub receipt: Box<Receipt>,
}

/// Sources that are due.
pub enum Due {
    Nothing,
    /// Ask the backend about these. The response has the number of the call.
    Call(u64, Vec<UploadId>),
    /// They are too few: ask for the status of each.
    OneByOne(Vec<Unconfirmed>),
}

/// Whether more sources may come soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    Possible,
    Excluded,
}

#[derive(Default)]
pub struct Confirmations {
    waiting: Vec<Unconfirmed>,
    /// Since when the first of `waiting` waits.
    since: Option<Instant>,
    /// The sources of each call under way.
    asked: BTreeMap<u64, Vec<Unconfirmed>>,
    calls: u64,
    /// The failures of the last calls.
    pub failures: Failures,
    /// No call is made before this time.
    not_before: Option<Instant>,
    /// Items that are confirmed one by one.
    one_by_one: BTreeSet<usize>,
    /// The backend has no such call.
    is_unsupported: bool,
}

impl Confirmations {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty()
    }

    /// Whether more sources may wait.
    pub fn has_room(&self) -> bool {
        let asked: usize = self.asked.values().map(Vec::len).sum();
        self.waiting.len() + asked < MAX_SOURCES
    }

    /// Whether an item may be confirmed together with others. After [`Confirmations::leave`], this
    /// returns false, once.
    pub fn accepts(&mut self, item: usize) -> bool {
        !self.one_by_one.remove(&item) && !self.is_unsupported
    }

    pub fn add(&mut self, source: Unconfirmed, now: Instant) {
        self.since.get_or_insert(now);
        self.waiting.push(source);
    }

    /// Takes the sources that are due. Calls are as large as possible, so that they need few pages
    /// of the listing.
    pub fn due(&mut self, more: More, now: Instant) -> Due {
        let has_waited = |since| now.saturating_duration_since(since) >= MAX_WAIT;
        let is_full = self.waiting.len() >= MAX_BATCH_PRESENT;
        let is_due = is_full || more == More::Excluded || self.since.is_some_and(has_waited);
        let may_call = self.not_before.is_none_or(|time| time <= now);
        if self.waiting.is_empty() || !is_due || !may_call || self.asked.len() >= MAX_CALLS {
            return Due::Nothing;
        }
        let rest = self
            .waiting
            .split_off(self.waiting.len().min(MAX_BATCH_PRESENT));
        let batch = mem::replace(&mut self.waiting, rest);
        self.since = (!self.waiting.is_empty()).then_some(now);
        if batch.len() < MIN_SOURCES {
            return Due::OneByOne(self.leave(batch));
        }
        self.calls += 1;
        let ids = batch.iter().map(|source| source.id.clone()).collect();
        self.asked.insert(self.calls, batch);
        Due::Call(self.calls, ids)
    }

    /// Takes the sources of a call that has ended.
    pub fn take(&mut self, call: u64) -> Vec<Unconfirmed> {
        self.asked.remove(&call).unwrap_or_default()
    }

    /// The last call has succeeded.
    pub fn reset_failures(&mut self) {
        self.failures = Failures::default();
        self.not_before = None;
    }

    /// Asks again about these sources, at `time`.
    pub fn ask_again(&mut self, mut sources: Vec<Unconfirmed>, time: Instant) {
        sources.append(&mut self.waiting);
        self.waiting = sources;
        self.since = Some(time);
        self.not_before = Some(time);
    }

    /// The calls under way were aborted: asks again about their sources.
    pub fn ask_all_again(&mut self, now: Instant) {
        let asked = mem::take(&mut self.asked).into_values().flatten();
        let asked: Vec<_> = asked.collect();
        if !asked.is_empty() {
            self.ask_again(asked, now);
        }
    }

    /// Each of these sources is confirmed on its own.
    pub fn leave(&mut self, sources: Vec<Unconfirmed>) -> Vec<Unconfirmed> {
        self.one_by_one
            .extend(sources.iter().map(|source| source.item));
        sources
    }

    /// The backend has no such call: from now on, every source is confirmed on its own.
    pub fn set_unsupported(&mut self) {
        self.is_unsupported = true;
    }

    pub fn take_all(&mut self) -> Vec<Unconfirmed> {
        let asked = mem::take(&mut self.asked).into_values().flatten();
        self.since = None;
        asked.chain(mem::take(&mut self.waiting)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use upload_types::wire::{IfExists, Proof};

    use super::*;
    use crate::transfer::options::{IfGone, NameOrigin, OnChange, TypeOrigin};

    fn source(item: usize) -> Unconfirmed {
        let put = PutRequest {
            path: "/f".into(),
            name: "f".into(),
            name_origin: NameOrigin::Path,
            content_type: "a/b".into(),
            type_origin: TypeOrigin::Guessed,
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            key: None,
            if_exists: IfExists::Same,
            part_size: None,
            force: false,
            trust_journal: false,
            on_change: OnChange::Fail,
            if_gone: IfGone::Fail,
            file_set: None,
            begun_since: None,
        };
        let receipt = Receipt {
            id: None,
            backend: String::new(),
            instance_id: String::new(),
            name: String::new(),
            bucket: None,
            key: "k".parse().unwrap(),
            version_id: None,
            location: None,
            size: 1,
            parts: 1,
            part_size: 1,
            double_after: None,
            etag: "e".parse().unwrap(),
            checksum: None,
            proof: Proof::Sha256,
            unproven: Vec::new(),
            sha256: None,
            started: jiff::Timestamp::UNIX_EPOCH,
            finished: jiff::Timestamp::UNIX_EPOCH,
        };
        Unconfirmed {
            item,
            put,
            row: 1,
            id: format!("id-{item}").parse().unwrap(),
            plan: Plan::pinned(1, 1).unwrap(),
            receipt: Box::new(receipt),
        }
    }

    fn with(count: usize, now: Instant) -> Confirmations {
        let mut confirmations = Confirmations::default();
        (0..count).for_each(|item| confirmations.add(source(item), now));
        confirmations
    }

    /// The number of a call that is due, and of its sources.
    fn call(confirmations: &mut Confirmations, more: More, now: Instant) -> Option<(u64, usize)> {
        match confirmations.due(more, now) {
            Due::Call(call, ids) => Some((call, ids.len())),
            Due::Nothing | Due::OneByOne(_) => None,
        }
    }

    #[test]
    fn call_waits_for_more_sources_but_not_for_long() {
        let now = Instant::now();
        let mut few = with(MIN_SOURCES, now);
        assert_eq!(call(&mut few, More::Possible, now), None);
        let later = now + MAX_WAIT;
        assert_eq!(
            call(&mut few, More::Possible, later),
            Some((1, MIN_SOURCES))
        );
        assert_eq!(call(&mut few, More::Excluded, later), None);
        let mut all = with(MIN_SOURCES, now);
        assert_eq!(call(&mut all, More::Excluded, now), Some((1, MIN_SOURCES)));
    }

    #[test]
    fn full_calls_do_not_wait_and_are_limited() {
        let now = Instant::now();
        let mut many = with(MAX_SOURCES, now);
        assert!(!many.has_room());
        for number in 1..=MAX_CALLS as u64 {
            let made = call(&mut many, More::Possible, now);
            assert_eq!(made, Some((number, MAX_BATCH_PRESENT)));
        }
        assert_eq!(call(&mut many, More::Excluded, now), None);
        assert_eq!(many.take(1).len(), MAX_BATCH_PRESENT);
        assert!(many.has_room());
        let third = call(&mut many, More::Possible, now);
        assert_eq!(third, Some((3, MAX_BATCH_PRESENT)));
    }

    #[test]
    fn few_sources_are_asked_about_one_by_one() {
        let now = Instant::now();
        let mut few = with(MIN_SOURCES - 1, now);
        let Due::OneByOne(sources) = few.due(More::Excluded, now) else {
            panic!("no call is worth it");
        };
        assert_eq!(sources.len(), MIN_SOURCES - 1);
        assert!(few.is_empty());
        assert!(!few.accepts(0), "the item starts on its own");
        assert!(few.accepts(0), "once");
    }

    #[test]
    fn failed_and_aborted_calls_are_repeated() {
        let now = Instant::now();
        let mut confirmations = with(MIN_SOURCES, now);
        let wait = Duration::from_secs(1);
        assert!(call(&mut confirmations, More::Excluded, now).is_some());
        let sources = confirmations.take(1);
        confirmations.ask_again(sources, now + wait);
        assert_eq!(call(&mut confirmations, More::Excluded, now), None);
        let again = call(&mut confirmations, More::Excluded, now + wait);
        assert_eq!(again, Some((2, MIN_SOURCES)));
        confirmations.ask_all_again(now + wait);
        assert!(
            confirmations.take(2).is_empty(),
            "a late response is for no source"
        );
        let third = call(&mut confirmations, More::Excluded, now + wait);
        assert_eq!(third, Some((3, MIN_SOURCES)));
        assert_eq!(confirmations.take_all().len(), MIN_SOURCES);
    }
}
