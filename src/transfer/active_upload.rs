//! An upload under way, and the stages that it passes through.
//!
//! | stage | entered from | its call or task | leaves to |
//! |---|---|---|---|
//! | rehashing | start, if the source was touched, or if `--sha256` needs the whole source | hash the acknowledged parts again | confirming, rejoining, preparing, beginning; aborting if they differ |
//! | confirming | start, rehashing | ask for the status of a completed upload | end; another upload if the object is gone |
//! | aborting | start, any stage that finds the source changed | abort the upload of the old file version | another upload |
//! | preparing | start, rehashing | hash the part of a single-part upload, so that the response to begin can contain its URL | beginning, aborting |
//! | beginning | preparing, rehashing | begin | sending, rejoining, comparing |
//! | rejoining | start, and every stage with an id whose outcome is unknown | claim the lease, list the stored parts | sending; end if verified |
//! | sending | beginning, rejoining | hash, sign and send parts | final check, completing, aborting, rejoining |
//! | final check | sending, itself | hash every part again, since the source was touched or may be mapped, or for `--sha256` | completing, aborting, itself |
//! | completing | sending, final check | complete | end; rejoining if parts are missing; comparing |
//! | comparing | beginning, completing, if an object is at the key | hash the source as the parts of the object were cut | end |
//!
//! "Another upload" is a new [`ActiveUpload`] that starts at preparing. Every stage can end with a
//! failure. The state in the journal is [`crate::journal::State`]; the state at the gateway is
//! [`upload_types::wire::UploadState`].
//!
//! Not here: what follows from a result (`transitions`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::task::AbortHandle;
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;
use upload_types::wire::{ExistingObject, PartSpec};
use upload_types::{ByteRange, PartNumber, Sha256};

use super::copy_base::{Base, Copies};
use super::options::PutRequest;
use super::part_queue::PartQueue;
use super::part_states::PartStates;
use super::plan_error::plan_error;
use super::rate::Rate;
use super::retry::Failures;
use super::source_watch::SourceWatch;
use crate::event::{Event, EventSource, Phase};
use crate::journal::{Part, Upload};
use crate::source::{FileVersion, SourceFile};

/// How often an upload may return to rejoining because the store holds other parts than the journal
/// says.
const MAX_REJOINS: u32 = 3;

/// See the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Rehashing,
    Confirming,
    Aborting,
    Preparing,
    Beginning,
    Rejoining,
    Sending,
    FinalCheck,
    Completing,
    Comparing,
}

impl Stage {
    /// Whether the table has a transition from this stage to `next`.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        use Stage::{
            Aborting, Beginning, Comparing, Completing, Confirming, FinalCheck, Preparing,
            Rehashing, Rejoining, Sending,
        };
        match next {
            Rehashing => false,
            Confirming => self == Rehashing,
            Aborting => matches!(self, Rehashing | Preparing | Sending | FinalCheck),
            // A suspended process starts the stage again.
            Preparing => matches!(self, Rehashing | Preparing),
            Beginning => matches!(self, Rehashing | Preparing),
            Rejoining => matches!(self, Rehashing | Beginning | Sending | Completing),
            Sending => matches!(self, Beginning | Rejoining),
            FinalCheck => matches!(self, Sending | FinalCheck),
            Completing => matches!(self, Sending | FinalCheck),
            Comparing => matches!(self, Beginning | Completing),
        }
    }
}

/// The request that started an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartedBy {
    Put,
    /// The upload is never replaced by another one for another file version.
    Resume,
}

pub struct ActiveUpload {
    /// The number of the source in the command.
    pub item: usize,
    pub put: PutRequest,
    pub started_by: StartedBy,
    pub source: SourceFile,
    pub upload: Upload,
    pub copies: Copies,
    pub plan: Plan,
    stage: Stage,
    /// The epoch of the lease; 0 without a lease.
    pub epoch: u64,
    /// The version of the source when its parts were last known to be those of the upload.
    pub checked_version: FileVersion,
    pub watch: SourceWatch,
    /// How often the whole source was hashed again after all parts were stored.
    pub final_checks: u32,
    /// A part of the source has another digest than the journal recorded for this file version.
    pub digests_disproved: bool,
    /// The SHA-256 of the whole source, once it was read for it.
    pub whole_sha256: Option<Sha256>,
    pub parts: PartStates,
    pub queue: PartQueue,
    /// Counts the queues. A result for an earlier one is ignored.
    pub queue_generation: u32,
    /// Failures of calls about the whole upload.
    pub call_failures: Failures,
    /// The kind of the last failure that was followed by a retry.
    pub last_failure: Option<Kind>,
    /// The backend has signed other bytes for this idempotency key: begin is repeated without
    /// parts, to learn the id.
    pub begins_without_parts: bool,
    /// The object at the key of this upload, once the backend has described it.
    pub existing: Option<Box<ExistingObject>>,
    /// How many uploads of this source came before it in this run.
    pub restarts: u32,
    /// The error with which it ends once it is aborted. Without one, it begins again.
    pub end_with: Option<Error>,
    rejoins: u32,
    /// How often the backend was asked whether the object at the key is the one of this upload.
    pub object_checks: u32,
    /// The backend has reported that it is verified.
    pub was_found_verified: bool,
    /// When the backend last received a call about it.
    pub last_call: Instant,
    /// Bytes that were in the store before this run.
    pub resumed_bytes: u64,
    /// Bytes in the store.
    pub confirmed_bytes: u64,
    /// Bytes whose SHA-256 is known.
    pub hashed_bytes: u64,
    rehashed_bytes: Arc<AtomicU64>,
    /// `rehashed_bytes` at the last call of [`ActiveUpload::has_advanced`].
    rehashed_seen: u64,
    rate: Rate,
    tasks: Vec<AbortHandle>,
}

/// The tasks of an upload end with it.
impl Drop for ActiveUpload {
    fn drop(&mut self) {
        self.abort_tasks();
    }
}

impl ActiveUpload {
    /// # Errors
    /// The journal holds an invalid part size.
    pub fn new(
        item: usize,
        put: PutRequest,
        source: SourceFile,
        upload: Upload,
        stage: Stage,
    ) -> Result<Self> {
        let plan = Plan::pinned(upload.intent.version.size, upload.intent.part_size)
            .map_err(plan_error)?;
        let now = Instant::now();
        let mut watch = SourceWatch::new(source.version(), source.has_writer(), now);
        // The parts of a finished upload are compared before they are relied on.
        watch.note_writer(upload.may_be_mapped && upload.state.is_unfinished());
        Ok(Self {
            item,
            put,
            started_by: StartedBy::Put,
            upload,
            copies: Copies::default(),
            plan,
            stage,
            epoch: 0,
            checked_version: source.version(),
            watch,
            final_checks: 0,
            digests_disproved: false,
            whole_sha256: None,
            source,
            parts: PartStates::default(),
            queue: PartQueue::default(),
            queue_generation: 0,
            call_failures: Failures::default(),
            last_failure: None,
            begins_without_parts: false,
            existing: None,
            restarts: 0,
            end_with: None,
            rejoins: 0,
            object_checks: 0,
            was_found_verified: false,
            last_call: now,
            resumed_bytes: 0,
            confirmed_bytes: 0,
            hashed_bytes: 0,
            rehashed_bytes: Arc::default(),
            rehashed_seen: 0,
            rate: Rate::new(now, 0),
            tasks: Vec::new(),
        })
    }

    #[must_use]
    pub fn with_parts(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.parts = PartStates::from_journal(parts);
        self
    }

    #[must_use]
    pub fn with_base(mut self, base: Option<Base>) -> Self {
        self.copies = Copies::from(base);
        self
    }

    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Enters another stage, and resets the count of failed calls.
    pub fn enter(&mut self, stage: Stage) {
        debug_assert!(
            self.stage.can_become(stage) || self.stage == stage,
            "an upload cannot go from {:?} to {stage:?}",
            self.stage
        );
        self.stage = stage;
        self.call_failures = Failures::default();
        self.watch.end();
    }

    /// The row in the journal.
    #[must_use]
    pub fn row(&self) -> i64 {
        self.upload.row
    }

    /// The path of the source, for messages.
    #[must_use]
    pub fn path(&self) -> String {
        self.put.path.display().to_string()
    }

    /// The source, for events.
    #[must_use]
    pub fn event_source(&self) -> EventSource {
        EventSource {
            item: self.item,
            path: Some(self.path()),
            upload: self.upload.id.clone(),
        }
    }

    /// Counts a return to rejoining. Returns false if all [`MAX_REJOINS`] are used up.
    #[must_use]
    pub fn take_rejoin(&mut self) -> bool {
        let is_left = self.rejoins < MAX_REJOINS;
        self.rejoins += u32::from(is_left);
        is_left
    }

    /// Keeps a task, to abort it when the upload ends.
    pub fn keep_task(&mut self, task: AbortHandle) {
        self.tasks.retain(|task| !task.is_finished());
        self.tasks.push(task);
    }

    pub fn abort_tasks(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    /// Ends all attempts at parts. The store lists the parts that it has received.
    pub fn stop_parts(&mut self) {
        self.queue = PartQueue::default();
        self.parts.end_attempts();
    }

    /// Starts to send the parts of `queue`.
    pub fn start_queue(&mut self, queue: PartQueue) {
        self.queue = queue;
        self.queue_generation += 1;
        self.parts.end_attempts();
        self.enter(Stage::Sending);
        let now = Instant::now();
        self.last_call = now;
        self.rate = Rate::new(now, self.confirmed_bytes);
    }

    /// A counter for the bytes of a source that is hashed again.
    pub fn start_rehash(&mut self) -> Arc<AtomicU64> {
        self.rehashed_bytes = Arc::default();
        self.rehashed_seen = 0;
        Arc::clone(&self.rehashed_bytes)
    }

    /// Whether, since the last call, an attempt at a part has sent more bytes than every earlier
    /// one, or bytes were hashed again. A slow upload still advances.
    pub fn has_advanced(&mut self) -> bool {
        let rehashed = self.rehashed_bytes.load(Ordering::Relaxed);
        let has_advanced = rehashed > self.rehashed_seen;
        self.rehashed_seen = rehashed;
        self.parts.has_advanced() | has_advanced
    }

    /// The length of a part in bytes.
    #[must_use]
    pub fn part_len(&self, number: PartNumber) -> u64 {
        self.plan.range(number).map_or(0, |range| range.len)
    }

    /// The length of every part except the last one, which may be shorter.
    #[must_use]
    pub fn max_part_len(&self) -> u64 {
        self.plan.part_size().min(self.plan.size())
    }

    /// The most bytes that the parts on the wire can have.
    #[must_use]
    pub fn sending_len(&self) -> u64 {
        self.queue.load().sending as u64 * self.max_part_len()
    }

    /// Whether the SHA-256 of a part is not known.
    #[must_use]
    pub fn lacks_digests(&self) -> bool {
        let mut numbers = self.plan.parts().map(|(number, _)| number);
        numbers.any(|number| self.parts.sha256(number).is_none())
    }

    /// Sets the digests of parts. Returns those that were not known.
    pub fn learn_digests(
        &mut self,
        digests: Vec<(PartNumber, Sha256)>,
    ) -> Vec<(PartNumber, Sha256)> {
        let is_new = |(number, _): &(PartNumber, Sha256)| self.parts.sha256(*number).is_none();
        let new: Vec<_> = digests.iter().copied().filter(is_new).collect();
        for (number, sha256) in digests {
            self.parts.set_sha256(number, sha256);
        }
        new
    }

    /// The range and the SHA-256 of each part that has been hashed.
    #[must_use]
    pub fn known_digests(&self) -> Vec<(ByteRange, Sha256)> {
        let parts = self.parts.to_journal().into_values();
        parts
            .filter_map(|part| Some((self.plan.range(part.number)?, part.sha256)))
            .collect()
    }

    /// The values that the backend needs to sign a part. Returns `None` if the SHA-256 is not
    /// known.
    #[must_use]
    pub fn part_spec(&self, number: PartNumber) -> Option<PartSpec> {
        Some(PartSpec {
            number,
            size: self.plan.range(number)?.len,
            sha256: self.parts.sha256(number)?,
            md5: self.parts.md5(number),
        })
    }

    /// The progress of the upload, as an event.
    #[must_use]
    pub fn progress(&mut self, now: Instant) -> Event {
        let size = self.plan.size();
        let sent = (self.confirmed_bytes + self.parts.sending_bytes()).min(size);
        let hashed = (self.hashed_bytes + self.parts.hashing_bytes()).min(size);
        Event::Progress {
            item: self.item,
            upload: self.upload.id.clone(),
            path: self.path(),
            hashed,
            sent,
            confirmed: self.confirmed_bytes,
            size,
            rate: self.rate.update(now, sent),
            waits: None,
            phase: self.phase(),
        }
    }

    fn phase(&self) -> Phase {
        match self.stage {
            Stage::Preparing => Phase::Hashing,
            Stage::Rehashing | Stage::FinalCheck => {
                Phase::Checking(self.rehashed_bytes.load(Ordering::Relaxed))
            }
            Stage::Comparing => Phase::Comparing(self.rehashed_bytes.load(Ordering::Relaxed)),
            Stage::Confirming | Stage::Aborting | Stage::Beginning | Stage::Rejoining => {
                Phase::Asking
            }
            Stage::Sending => Phase::Sending,
            Stage::Completing => Phase::Completing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stage::{
        Aborting, Beginning, Comparing, Completing, Confirming, FinalCheck, Preparing, Rehashing,
        Rejoining, Sending,
    };
    use super::*;

    #[test]
    fn stages_change_as_the_table_says() {
        let table = [
            (
                Rehashing,
                vec![Confirming, Rejoining, Preparing, Beginning, Aborting],
            ),
            (Confirming, vec![]),
            (Aborting, vec![]),
            (Preparing, vec![Preparing, Beginning, Aborting]),
            (Beginning, vec![Sending, Rejoining, Comparing]),
            (Rejoining, vec![Sending]),
            (Sending, vec![FinalCheck, Completing, Aborting, Rejoining]),
            (FinalCheck, vec![FinalCheck, Completing, Aborting]),
            (Completing, vec![Rejoining, Comparing]),
            (Comparing, vec![]),
        ];
        let all: Vec<Stage> = table.iter().map(|(stage, _)| *stage).collect();
        for (stage, allowed) in table {
            for next in &all {
                assert_eq!(
                    stage.can_become(*next),
                    allowed.contains(next),
                    "{stage:?} to {next:?}"
                );
            }
        }
    }
}
