//! The sweep: periodic cleanup of uploads whose lease or time has run out.
//!
//! Abandoned completes are decided, expired uploads are aborted, and leftovers in the store are
//! removed. The leases in the ledger say which uploads are abandoned. Orphans, which the ledger
//! does not name, are only reported.
//!
//! Not here: what a sweep would do (`sweep_preview`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::completion_source::CompletionSource;
use super::core::Service;
use super::dispose::HeldRejection;
use crate::ledger::{SWEEP_BATCH_ROWS, SweepTask, Upload};
use crate::metrics::{Abandoned, metrics};
use crate::problem::{
    Refusal, ledger_failed, report_ledger_error, report_store_fault, store_failed,
};
use upload_types::wire::UploadState;

/// Uploads that are treated at the same time.
pub const MAX_CONCURRENT_UPLOADS: usize = 8;
/// How often the bucket is searched for orphans.
const ORPHAN_SURVEY_INTERVAL: Duration = Duration::from_hours(1);

/// What a sweeper does, and how often.
#[derive(Debug, Clone, Copy)]
pub struct SweepSchedule {
    pub interval: Duration,
    /// Whether to search the bucket for orphans every hour.
    pub report_orphans: bool,
}

/// The action of a sweep on one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepAction {
    /// Decides an abandoned complete: the upload becomes complete, or its client may continue.
    Decide,
    Expire,
    Abort,
    /// Removes from the store what an upload has left there.
    CleanUp,
    /// Reports an orphan, and does nothing.
    Report,
}

/// An item that a sweep has found.
pub struct SweptItem {
    pub action: SweepAction,
    pub key: String,
    /// The row when the sweep found it; `None` for an orphan.
    pub upload: Option<Upload>,
    /// What would be removed from the store, in a preview.
    pub leftovers: Option<StoreLeftovers>,
    /// The state after the action, if there was one.
    pub new_state: Option<UploadState>,
    /// Whether the action is finished.
    pub is_done: bool,
}

/// What the store has of an upload that has no use for it.
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
        let mut next_survey = Instant::now();
        loop {
            ticks.tick().await;
            if schedule.report_orphans && next_survey <= Instant::now() {
                // Failures are logged.
                let _ = self.report_orphans(&log_orphan).await;
                next_survey = Instant::now() + ORPHAN_SURVEY_INTERVAL;
            }
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
        for kind in SweepTask::ALL {
            // The rows that were taken are held, so the next query finds others.
            loop {
                let now = Timestamp::now();
                let until = self.config.lease_terms.renewed(now).lease_until;
                let taken = self.ledger.take_sweep_task(kind, now, until).await;
                let taken = taken.map_err(ledger_failed)?;
                let is_last = taken.len() < SWEEP_BATCH_ROWS;
                // A form is polled, not abandoned.
                for upload in taken.iter().filter(|_| kind != SweepTask::FormPosted) {
                    metrics().record_abandoned(abandoned(action(kind, upload, now)));
                }
                iter(taken)
                    .for_each_concurrent(MAX_CONCURRENT_UPLOADS, |upload| {
                        self.treat(kind, upload, (now, until), observer)
                    })
                    .await;
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Treats an upload that was taken at `now` and is held until `until`.
    async fn treat(
        self: &Arc<Self>,
        kind: SweepTask,
        upload: Upload,
        (now, until): (Timestamp, Timestamp),
        observer: Option<SweepObserver<'_>>,
    ) {
        let before = observer.map(|observer| (observer, upload.clone()));
        let is_cleaned_up = match kind {
            SweepTask::Completing => {
                self.decide_abandoned_complete(upload).await;
                false
            }
            SweepTask::FormPosted => {
                self.poll_form(upload, until).await;
                false
            }
            SweepTask::Expired => {
                self.end_abandoned(upload, now).await;
                false
            }
            SweepTask::CleanupDue => self.clean_up(upload, until).await,
        };
        let Some((observer, upload)) = before else {
            return;
        };
        let row = self.ledger.upload_by_key(&upload.key).await.ok().flatten();
        let new_state = row.map(|row| row.state);
        let has_ended = !matches!(
            new_state,
            None | Some(UploadState::Completing | UploadState::Aborting)
        );
        observer(&SweptItem {
            action: action(kind, &upload, now),
            key: upload.key.to_string(),
            upload: Some(upload),
            leftovers: None,
            new_state,
            is_done: is_cleaned_up || has_ended && kind != SweepTask::CleanupDue,
        });
    }

    /// Decides an upload that is completing, with the parts that its client declared.
    async fn decide_abandoned_complete(self: &Arc<Self>, upload: Upload) {
        let rows = self.ledger.parts(&upload.id, 0, upload.parts_max()).await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => return report_ledger_error(&error),
        };
        let Some(source) = CompletionSource::from_rows(&upload, rows, None) else {
            tracing::error!(id = %upload.id, "an upload is completing without its parts");
            return;
        };
        tracing::info!(id = %upload.id, "deciding an abandoned complete");
        // The ledger has the result.
        let _ = self.join_or_spawn(upload, source).result().await;
    }

    /// Ends an upload that has expired, or whose abort was abandoned.
    async fn end_abandoned(&self, upload: Upload, now: Timestamp) {
        let Ok(_guard) = self.lock_key(&upload.owner, &upload.idempotency_key) else {
            return;
        };
        let to = if upload.expires_at <= now {
            UploadState::Expired
        } else {
            UploadState::Aborted
        };
        // A failure is logged, and the row stays aborting.
        let _ = self.finish_abort(&upload, to).await;
    }

    /// Removes from the store what an upload has left there. Returns whether it succeeded.
    async fn clean_up(&self, mut upload: Upload, until: Timestamp) -> bool {
        if let Some(rejection) = upload.rejection.take() {
            return self
                .dispose(&upload, HeldRejection { rejection, until })
                .await;
        }
        if let Err(fault) = self.remove_leftovers(&upload).await {
            report_store_fault("clean up", &fault);
            return false;
        }
        match self
            .ledger
            .reschedule_cleanup(&upload.id, until, None)
            .await
        {
            Ok(_) => true,
            Err(error) => {
                report_ledger_error(&error);
                false
            }
        }
    }

    /// Reports open multipart uploads below the gateway's prefix that the ledger does not name.
    /// They may belong to another gateway, to a lost ledger or to another program, and are not
    /// touched. Returns their number.
    ///
    /// # Errors
    /// `store_unavailable`, `unavailable`.
    pub async fn report_orphans(&self, observer: SweepObserver<'_>) -> Result<usize, Refusal> {
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.store.open_uploads(after.as_ref()).await;
            let (keys, next) = page.map_err(|fault| store_failed("search for orphans", &fault))?;
            let unknown = self
                .ledger
                .schedule_key_cleanup(keys, Timestamp::now())
                .await;
            for key in unknown.map_err(ledger_failed)? {
                count += 1;
                observer(&SweptItem::orphan(key));
            }
            after = next;
            if after.is_none() {
                metrics().set_orphans(count);
                return Ok(count);
            }
        }
    }
}

impl SweptItem {
    pub(super) fn orphan(key: String) -> Self {
        Self {
            action: SweepAction::Report,
            key,
            upload: None,
            leftovers: None,
            new_state: None,
            is_done: true,
        }
    }
}

fn log_orphan(orphan: &SweptItem) {
    tracing::warn!(
        key = orphan.key,
        "an open multipart upload that the ledger does not name"
    );
}

pub fn action(kind: SweepTask, upload: &Upload, now: Timestamp) -> SweepAction {
    match kind {
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
