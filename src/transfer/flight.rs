//! One upload under way: everything the loop knows of it between two events.
//!
//! Border: state and sums; which step comes next is `mod`'s.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::task::AbortHandle;

use super::jobs::PIECE;
use super::pace::Rate;
use super::plan_error::plan_error;
use super::queue::Queue;
use super::retry::Failures;
use super::unit::{Pending, Unit};
use crate::event::Event;
use crate::journal::{Part, Upload};
use crate::source::File;
use upload_types::error::Result;
use upload_types::names::{Identity, Md5, PartNumber, Sha256};
use upload_types::plan::Plan;
use upload_types::wire::PartSpec;

/// What is to happen to a source that changes while it is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    Fail,
    /// Begin anew, at most three times.
    Restart,
}

/// A source to be put.
#[derive(Debug, Clone)]
pub struct Put {
    pub path: PathBuf,
    pub name: String,
    pub content_type: String,
    pub metadata: BTreeMap<String, String>,
    /// A wish, in bytes.
    pub part_size: Option<u64>,
    /// A new object even if this very file is there already.
    pub force: bool,
    pub on_change: OnChange,
}

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Fingerprinting again what a touched source had acknowledged.
    Rechecking,
    /// Asking whether what was finished earlier is still there.
    Confirming,
    /// Aborting a generation that is no longer wanted.
    Dropping,
    /// Fingerprinting the single part, before the upload begins.
    Preparing,
    Beginning,
    /// Claiming it, and asking what the store holds.
    Rejoining,
    Sending,
    /// As `Rechecking`, every part, before completing.
    Sealing,
    Completing,
}

pub struct Flight {
    /// Which source of the command.
    pub item: usize,
    pub put: Put,
    /// Asked for by `resume`, which never begins anew for another generation.
    pub resumed: bool,
    pub source: File,
    pub upload: Upload,
    pub plan: Plan,
    pub stage: Stage,
    /// Of our claim; 0 before there is one.
    pub epoch: u64,
    /// What the source was when its parts were last known to be those of the upload.
    pub checked: Identity,
    /// Fingerprints, and `ETags` of what is stored.
    pub parts: BTreeMap<PartNumber, Part>,
    /// Of parts that are about to be sent to a store that wants them.
    pub md5: HashMap<PartNumber, Md5>,
    pub queue: Queue,
    /// Counts the queues there have been: a unit of an earlier one has nothing to say any more.
    pub leg: u32,
    /// Of single parts.
    pub failures: HashMap<PartNumber, Failures>,
    /// Of calls about the whole.
    pub call_failures: Failures,
    /// Other bytes of it were signed by an earlier begin.
    pub repinned: bool,
    /// Of begins anew.
    pub restarts: u32,
    /// Of completes that found other parts in the store.
    pub mismatches: u32,
    /// When the backend last heard of it.
    pub renewed: Instant,
    /// Bytes that were in the store before this run.
    pub resumed_bytes: u64,
    /// Bytes in the store.
    pub confirmed: u64,
    /// Bytes fingerprinted, but for the parts that are being read.
    pub hashed: u64,
    pub hashing: HashMap<PartNumber, Arc<AtomicU64>>,
    pub putting: HashMap<PartNumber, Arc<AtomicU64>>,
    /// Since when the present piece of a part on the wire is under way, and where in the part it begins.
    pub piece: HashMap<PartNumber, (Instant, u64)>,
    /// Bytes of the source that were read again, and how many when somebody last looked.
    rechecked: (Arc<AtomicU64>, u64),
    /// The furthest any attempt at a part has come.
    furthest: HashMap<PartNumber, u64>,
    pub rate: Rate,
    /// Calls about it that wait until what was noted is written.
    pub starting: Vec<Pending<Unit>>,
    units: Vec<AbortHandle>,
}

/// What is under way for an upload ends with it.
impl Drop for Flight {
    fn drop(&mut self) {
        self.abort_units();
    }
}

impl Flight {
    /// # Errors
    /// When the journal holds a part size that is none.
    pub fn new(item: usize, put: Put, source: File, upload: Upload, stage: Stage) -> Result<Self> {
        let plan = Plan::pinned(upload.intent.identity.size, upload.intent.part_size)
            .map_err(plan_error)?;
        Ok(Self {
            item,
            put,
            resumed: false,
            upload,
            plan,
            stage,
            epoch: 0,
            checked: source.identity(),
            source,
            parts: BTreeMap::new(),
            md5: HashMap::new(),
            queue: Queue::default(),
            leg: 0,
            failures: HashMap::new(),
            call_failures: Failures::default(),
            repinned: false,
            restarts: 0,
            mismatches: 0,
            renewed: Instant::now(),
            resumed_bytes: 0,
            confirmed: 0,
            hashed: 0,
            hashing: HashMap::new(),
            putting: HashMap::new(),
            piece: HashMap::new(),
            rechecked: (Arc::default(), 0),
            furthest: HashMap::new(),
            rate: Rate::new(Instant::now(), 0),
            starting: Vec::new(),
            units: Vec::new(),
        })
    }

    pub fn hold(&mut self, unit: AbortHandle) {
        self.units.retain(|unit| !unit.is_finished());
        self.units.push(unit);
    }

    pub fn abort_units(&mut self) {
        self.starting.clear();
        self.units.drain(..).for_each(|unit| unit.abort());
    }

    /// Ends what is under way for its parts; the store's list says what came of it.
    pub fn ground(&mut self) {
        self.abort_units();
        self.queue = Queue::default();
        self.hashing.clear();
        self.putting.clear();
    }

    /// A counter for a source that is read again.
    pub fn rechecked_anew(&mut self) -> Arc<AtomicU64> {
        self.rechecked = (Arc::default(), 0);
        Arc::clone(&self.rechecked.0)
    }

    /// Whether a part on the wire has come further than any attempt at it before, or the source was read on: what takes long
    /// is not what gets nowhere.
    pub fn gets_on(&mut self) -> bool {
        let (read, before) = (self.rechecked.0.load(Ordering::Relaxed), self.rechecked.1);
        self.rechecked.1 = read;
        let mut gets_on = read > before;
        for (number, sent) in &self.putting {
            let (sent, furthest) = (
                sent.load(Ordering::Relaxed),
                self.furthest.entry(*number).or_default(),
            );
            gets_on |= sent > *furthest;
            *furthest = sent.max(*furthest);
        }
        gets_on
    }

    /// Tells of each piece of a long part that went since it was last asked.
    pub fn pieces(&mut self, now: Instant, mut tell: impl FnMut(Instant, u64)) {
        for (number, sent) in &self.putting {
            let Some((since, told)) = self.piece.get_mut(number) else {
                continue;
            };
            let bytes = sent.load(Ordering::Relaxed).saturating_sub(*told);
            if bytes >= PIECE {
                tell(*since, bytes);
                (*since, *told) = (now, *told + bytes);
            }
        }
    }

    #[must_use]
    pub fn path(&self) -> String {
        self.put.path.display().to_string()
    }

    /// How many bytes a part of the plan has.
    #[must_use]
    pub fn len(&self, number: PartNumber) -> u64 {
        self.plan.range(number).map_or(0, |range| range.len)
    }

    #[must_use]
    pub fn sha256(&self, number: PartNumber) -> Option<Sha256> {
        self.parts.get(&number).map(|part| part.sha256)
    }

    /// What `sign` is asked for.
    #[must_use]
    pub fn spec(&self, number: PartNumber) -> Option<PartSpec> {
        let (sha256, md5) = (self.sha256(number)?, self.md5.get(&number).copied());
        Some(PartSpec {
            number,
            size: self.plan.range(number)?.len,
            sha256,
            md5,
        })
    }

    #[must_use]
    pub fn progress(&mut self, now: Instant) -> Event {
        let under_way = |parts: &HashMap<PartNumber, Arc<AtomicU64>>| -> u64 {
            parts
                .values()
                .map(|bytes| bytes.load(Ordering::Relaxed))
                .sum()
        };
        let size = self.plan.size();
        let sent = (self.confirmed + under_way(&self.putting)).min(size);
        let hashed = (self.hashed + under_way(&self.hashing)).min(size);
        let rate = self.rate.update(now, sent);
        Event::Progress {
            item: self.item,
            upload: self.upload.id.clone(),
            hashed,
            sent,
            confirmed: self.confirmed,
            size,
            rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Intent, State};

    #[test]
    fn bytes_that_are_sent_again_are_no_progress() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(100).unwrap();
        let source = File::open(file.path()).unwrap();
        let (name, content_type) = ("a.bin".to_owned(), "application/octet-stream".to_owned());
        let intent = Intent {
            backend: "https://backend".into(),
            instance_id: "instance".into(),
            path: file.path().into(),
            name: name.clone(),
            content_type: content_type.clone(),
            metadata: BTreeMap::new(),
            identity: source.identity(),
            part_size: 100,
        };
        let upload = Upload {
            row: 1,
            idem: "key".into(),
            holder: "holder".into(),
            id: None,
            memo: None,
            intent,
            state: State::Uploading,
            receipt: None,
            created_at: jiff::Timestamp::now(),
        };
        let put = Put {
            path: file.path().into(),
            name,
            content_type,
            metadata: BTreeMap::new(),
            part_size: None,
            force: false,
            on_change: OnChange::Fail,
        };
        let mut flight = Flight::new(0, put, source, upload, Stage::Sending).unwrap();
        let attempts = [
            &[(0, false), (60, true), (60, false)][..],
            &[(0, false), (60, false), (61, true)],
        ];
        for (attempt, looks) in attempts.into_iter().enumerate() {
            let sent = Arc::<AtomicU64>::default();
            flight.putting.insert(PartNumber::FIRST, Arc::clone(&sent));
            for (bytes, progress) in looks {
                sent.store(*bytes, Ordering::Relaxed);
                assert_eq!(
                    flight.gets_on(),
                    *progress,
                    "{bytes} bytes at attempt {attempt}"
                );
            }
        }
    }
}
