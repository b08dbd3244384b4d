//! The sweep: periodic cleanup of uploads after their lease or lifetime has run out.
//!
//! A sweep finishes abandoned completes, aborts expired uploads, and removes leftovers from the
//! store. An upload is abandoned if its lease in the ledger has ended. Orphans, which the ledger
//! does not name, are only reported.
//!
//! Not here: the preview of a sweep (`sweep_preview`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::completion_outcome::ExpiredObject;
use super::completion_source::CompletionSource;
use super::dispose::HeldRejection;
use super::shared_state::Service;
use crate::ledger::{Remainder, SWEEP_BATCH_ROWS, SweepTask, Upload};
use crate::metrics::{Abandoned, metrics};
use crate::problem::{
    Refusal, ledger_failed, report_ledger_error, report_store_fault, store_failed,
};
use upload_s3::Store;
use upload_types::sync::lock;
use upload_types::wire::UploadState;

/// Uploads that are processed at the same time.
pub const MAX_CONCURRENT_UPLOADS: usize = 8;
/// Pages of objects that a gateway compares with the ledger with each sweep.
pub const SURVEY_PAGES_PER_SWEEP: usize = 10;
/// How often the bucket is searched for orphans.
const ORPHAN_SEARCH_INTERVAL: Duration = Duration::from_hours(1);
/// The orphans that are named in the log. `upload serve sweep` names all of them.
const MAX_LOGGED_ORPHANS: usize = 5;

/// The schedule of a sweeper.
#[derive(Debug, Clone, Copy)]
pub struct SweepSchedule {
    pub interval: Duration,
    /// True to search the bucket for orphans every hour.
    pub report_orphans: bool,
}

/// The action of a sweep on one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepAction {
    /// Finishes an abandoned complete: the upload becomes complete, or its client may continue.
    Decide,
    Expire,
    Abort,
    /// Removes the leftovers of an upload from the store.
    CleanUp,
    /// Reports an orphan, and changes nothing.
    Report,
}

/// An item that a sweep has found.
pub struct SweptItem {
    pub action: SweepAction,
    /// The key in the bucket.
    pub key: String,
    /// The row when the sweep found it; `None` for an orphan.
    pub upload: Option<Upload>,
    /// In a preview: the leftovers that a sweep would remove from the store.
    pub leftovers: Option<StoreLeftovers>,
    /// The state after the action, if there was one.
    pub new_state: Option<UploadState>,
    /// True if the action is finished.
    pub is_done: bool,
}

/// The leftovers of an upload in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLeftovers {
    pub multiparts: usize,
    pub has_object: bool,
}

/// Called for each item that a sweep has found.
pub type SweepObserver<'a> = &'a (dyn Fn(&SweptItem) + Send + Sync);

impl Service {
    /// Sweeps at once, and then at each interval, forever.
    pub async fn run_sweeper(self: Arc<Self>, schedule: SweepSchedule) {
        let mut ticks = interval(schedule.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_search = Instant::now();
        loop {
            ticks.tick().await;
            if schedule.report_orphans && next_search <= Instant::now() {
                // Failures are logged.
                let _ = self.log_orphans().await;
                next_search = Instant::now() + ORPHAN_SEARCH_INTERVAL;
            }
            if let Err(error) = self.measure_hooks_backlog(self.now()).await {
                report_ledger_error(&error);
            }
            // Failures are logged.
            let _ = self.survey_objects(SURVEY_PAGES_PER_SWEEP).await;
            metrics().record_sweep(&self.sweep(None).await);
        }
    }

    /// Sweeps once. Actions that fail are logged, and repeated by a later sweep.
    ///
    /// # Errors
    /// `unavailable` if the ledger fails.
    pub async fn sweep(
        self: &Arc<Self>,
        observer: Option<SweepObserver<'_>>,
    ) -> Result<(), Refusal> {
        let store_responds = self.measure_clock().await;
        for task in SweepTask::ALL {
            // Without the store, its time is unknown, and nothing can be removed from it.
            if task == SweepTask::Expired && !store_responds {
                continue;
            }
            // This process now holds the rows that it has taken, so the next query finds others.
            loop {
                // An upload expires only if both clocks agree.
                let now = match task {
                    SweepTask::Expired => self.now().min(Timestamp::now()),
                    _ => self.now(),
                };
                let until = self.config().lease_terms.renewed(now).lease_until;
                let taken = self.ledger.take_sweep_task(task, now, until).await;
                let taken = taken.map_err(ledger_failed)?;
                let is_last = taken.len() < SWEEP_BATCH_ROWS;
                // The sweep polls for the object of a form; its upload is not abandoned.
                for upload in taken.iter().filter(|_| task != SweepTask::FormPosted) {
                    metrics().record_abandoned(abandoned(action(task, upload, now)));
                }
                iter(taken)
                    .for_each_concurrent(MAX_CONCURRENT_UPLOADS, |upload| {
                        self.process(task, upload, (now, until), observer)
                    })
                    .await;
                if is_last {
                    break;
                }
            }
        }
        self.delete_ended().await
    }

    /// Processes an upload that was taken at `now` and is held until `until`.
    async fn process(
        self: &Arc<Self>,
        task: SweepTask,
        upload: Upload,
        (now, until): (Timestamp, Timestamp),
        observer: Option<SweepObserver<'_>>,
    ) {
        let before = observer.map(|observer| (observer, upload.clone()));
        let is_cleaned_up = match task {
            SweepTask::Completing => {
                self.decide_abandoned_complete(upload).await;
                false
            }
            SweepTask::FormPosted => {
                self.poll_form(upload, until).await;
                false
            }
            SweepTask::Expired => {
                self.end_abandoned(upload).await;
                false
            }
            SweepTask::CleanupDue => self.clean_up(upload, until).await,
        };
        let Some((observer, upload)) = before else {
            return;
        };
        let row = self.ledger.upload_by_id(&upload.id).await.ok().flatten();
        let new_state = row.map(|row| row.state);
        let has_ended = !matches!(
            new_state,
            None | Some(UploadState::Completing | UploadState::Aborting)
        );
        observer(&SweptItem {
            action: action(task, &upload, now),
            key: self.store.full_key(&upload.key),
            upload: Some(upload),
            leftovers: None,
            new_state,
            is_done: is_cleaned_up || has_ended && task != SweepTask::CleanupDue,
        });
    }

    /// Finishes an abandoned complete with the parts in the ledger.
    pub(super) async fn decide_abandoned_complete(self: &Arc<Self>, upload: Upload) {
        let rows = self.ledger.parts(&upload.id, 0, upload.max_parts()).await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return report_ledger_error(&error),
        };
        let Some(source) = CompletionSource::from_rows(&upload, rows, None) else {
            // The rows are deleted when the upload becomes complete.
            let row = self.ledger.upload_by_id(&upload.id).await.ok().flatten();
            if row.is_some_and(|row| row.state == UploadState::Completing) {
                tracing::error!(id = %upload.id, "completing upload lacks parts in the ledger");
            }
            return;
        };
        tracing::info!(id = %upload.id, "finishing an abandoned complete");
        // The completion records its result in the ledger.
        let _ = self.join_or_spawn(upload, source).result().await;
    }

    /// Ends an upload that has expired, or finishes an abandoned abort.
    async fn end_abandoned(&self, upload: Upload) {
        let Ok(_guard) = self.lock_key(&upload.owner, &upload.idempotency_key) else {
            return;
        };
        let to = upload.state_after_abort();
        // A failure is logged, and the upload stays in the state `aborting`.
        let _ = self.finish_abort(&upload, to).await;
    }

    /// Removes the leftovers of an upload from the store. Returns false after a failure.
    async fn clean_up(&self, mut upload: Upload, until: Timestamp) -> bool {
        if let Some(rejection) = upload.rejection.take() {
            return self
                .dispose(
                    &upload,
                    HeldRejection {
                        rejection,
                        until,
                        late_writes_until: None,
                    },
                )
                .await;
        }
        let mut remainder = Remainder::Nothing;
        let has_expired = match upload.state {
            UploadState::Expired => true,
            // An event has named the key of an upload that a sweep could not end yet.
            UploadState::Aborting => upload.has_been_expired(),
            _ => false,
        };
        if has_expired {
            let from = &[UploadState::Aborting, UploadState::Expired];
            match self.remove_expired(&upload, from).await {
                Ok(ExpiredObject::Unknown) => remainder = Remainder::Object,
                Ok(ExpiredObject::Verified | ExpiredObject::Leftover) => {}
                // It is logged.
                Err(_) => return false,
            }
        } else if let Err(fault) = self.remove_leftovers(&upload).await {
            report_store_fault("clean up", &fault);
            return false;
        }
        let may_land_until = upload.may_land_until;
        self.schedule_next_check(&upload, until, may_land_until, remainder)
            .await
    }

    /// Reports open multipart uploads below the gateway's prefix that the ledger does not name.
    /// They may belong to another gateway, to a lost ledger or to another program, and are not
    /// changed. Returns their number.
    ///
    /// # Errors
    /// `store_unavailable`, `unavailable`.
    pub async fn report_orphans(&self, observer: SweepObserver<'_>) -> Result<usize, Refusal> {
        if let Err(fault) = self.store.delete_stale_probes(self.now()).await {
            report_store_fault("delete the leftovers of interrupted probes", &fault);
        }
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.store.open_uploads(after.as_ref()).await;
            let (mut keys, next) =
                page.map_err(|fault| store_failed("search for orphans", &fault))?;
            // Those of a probe that runs, or was interrupted a short time ago.
            keys.retain(|key| !Store::is_probe_key(key));
            let unknown = self.ledger.schedule_key_cleanup(keys, self.now()).await;
            for key in unknown.map_err(ledger_failed)? {
                count += 1;
                observer(&self.orphan(key));
            }
            after = next;
            if after.is_none() {
                metrics().set_orphans(count);
                return Ok(count);
            }
        }
    }

    /// Logs one line with the number of orphans, if there are any, and the keys of the first ones.
    async fn log_orphans(&self) -> Result<(), Refusal> {
        let examples = Mutex::new(Vec::new());
        let count = self
            .report_orphans(&|orphan| {
                let examples = &mut *lock(&examples);
                if examples.len() < MAX_LOGGED_ORPHANS {
                    examples.push(orphan.key.clone());
                }
            })
            .await?;
        if count > 0 {
            let examples = examples.into_inner().unwrap_or_default();
            tracing::warn!(
                count,
                ?examples,
                "orphans found: the ledger does not name these open multipart uploads"
            );
        }
        Ok(())
    }

    pub(super) fn orphan(&self, key: String) -> SweptItem {
        let full_key = key.parse().map(|key| self.store.full_key(&key));
        SweptItem {
            action: SweepAction::Report,
            key: full_key.unwrap_or(key),
            upload: None,
            leftovers: None,
            new_state: None,
            is_done: true,
        }
    }
}

pub fn action(task: SweepTask, upload: &Upload, now: Timestamp) -> SweepAction {
    match task {
        SweepTask::Completing | SweepTask::FormPosted => SweepAction::Decide,
        SweepTask::Expired if upload.expires_at <= now => SweepAction::Expire,
        SweepTask::Expired => SweepAction::Abort,
        SweepTask::CleanupDue => SweepAction::CleanUp,
    }
}

fn abandoned(action: SweepAction) -> Abandoned {
    match action {
        SweepAction::Decide => Abandoned::Completing,
        SweepAction::Expire => Abandoned::Expired,
        SweepAction::Abort => Abandoned::Aborting,
        SweepAction::CleanUp | SweepAction::Report => Abandoned::Cleanup,
    }
}
