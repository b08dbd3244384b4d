//! Runs the hooks of verified uploads, one after the other, until the upload is ready or rejected.
//!
//! A gateway gets a lease for the hooks of an upload. It records the verdicts with the epoch of
//! this lease, so that only one of several gateways decides the upload. A hook may run more than
//! once for an upload, since its gateway may crash. Hooks that have accepted an upload are not run
//! again.
//!
//! Not here: the disposal of rejected objects (`dispose`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{self, JoinSet};
use tokio::time::sleep;

use super::dispose::HeldRejection;
use super::shared_state::Service;
use crate::hooks::{
    Document, Hook, HookKind, Hooks, RunningByOwner, Turns, UploadDescription, Verdict, retry_delay,
};
use crate::ledger::{LedgerError, PendingHooks, Upload};
use crate::metrics::metrics;
use crate::problem::report_ledger_error;
use crate::time::after;
use upload_s3::Fault;
use upload_types::wire::{ReadUrl, Receipt, UploadState};
use upload_types::{Key, crash};

/// Uploads for which hooks run at the same time.
const MAX_CONCURRENT_UPLOADS: usize = 4;
/// How often the ledger is searched for hooks that other gateways have abandoned.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
const MIN_POLL_DELAY: Duration = Duration::from_millis(20);
const MIN_READ_URL_TTL: Duration = Duration::from_hours(1);
/// The URL for a hook is valid for this much longer than the time limit of the hook.
const READ_URL_MARGIN: Duration = Duration::from_mins(1);

impl Service {
    #[must_use]
    pub fn has_hooks(&self) -> bool {
        !self.config().hooks.is_empty()
    }

    /// Logs a warning if uploads wait for hooks. A gateway without hooks must not make them ready.
    pub async fn warn_of_uploads_that_wait_for_hooks(&self) -> Result<(), LedgerError> {
        if self.ledger.next_hooks_due().await?.is_some() {
            tracing::warn!(
                "uploads wait for hooks, but this gateway has none; they stay `verified` until a \
                 gateway with hooks runs"
            );
        }
        Ok(())
    }

    /// Runs hooks forever, as they become due. If the future is dropped, running hooks end.
    pub async fn run_hooks(self: Arc<Self>) {
        let mut running = JoinSet::new();
        let mut owners: HashMap<task::Id, String> = HashMap::new();
        let mut turns = Turns::default();
        loop {
            // A gateway without hooks leaves the uploads that wait for hooks to other gateways.
            let limit = if self.has_hooks() {
                MAX_CONCURRENT_UPLOADS
            } else {
                0
            };
            let free = limit.saturating_sub(running.len());
            let delay = match self.take_due_hooks(free, &turns, &owners).await {
                Ok((taken, delay)) => {
                    for pending in taken {
                        let owner = pending.upload.owner.clone();
                        turns.record(&owner);
                        let service = Arc::clone(&self);
                        let task =
                            running.spawn(async move { service.process_hooks(pending).await });
                        owners.insert(task.id(), owner);
                    }
                    delay
                }
                Err(error) => {
                    report_ledger_error(&error);
                    POLL_INTERVAL
                }
            };
            let is_full = running.len() >= MAX_CONCURRENT_UPLOADS;
            tokio::select! {
                Some(ended) = running.join_next_with_id() => {
                    let id = ended.map_or_else(|failed| failed.id(), |(id, ())| id);
                    owners.remove(&id);
                }
                () = self.hooks_due.notified(), if !is_full => {}
                () = sleep(delay), if !is_full => {}
            }
        }
    }

    /// Takes due hooks of at most `max` uploads, given the owners of running hooks. Also returns
    /// how long to wait until the next call.
    async fn take_due_hooks(
        &self,
        max: usize,
        turns: &Turns,
        owners: &HashMap<task::Id, String>,
    ) -> Result<(Vec<PendingHooks>, Duration), LedgerError> {
        if max == 0 {
            return Ok((Vec::new(), POLL_INTERVAL));
        }
        let now = self.now();
        let until = self.config().lease_terms.renewed(now).lease_until;
        let mut running = RunningByOwner::new();
        for owner in owners.values() {
            *running.entry(owner.clone()).or_default() += 1;
        }
        let turns = (turns.clone(), running);
        let taken = self.ledger.take_due_hooks(now, until, max, turns).await?;
        self.measure_hooks_backlog(now).await?;
        let delay = match self.ledger.next_hooks_due().await? {
            Some(due) => Duration::try_from(due.duration_since(now)).unwrap_or_default(),
            None => POLL_INTERVAL,
        };
        // Clocks of other gateways may differ, so the delay is limited.
        Ok((taken, delay.clamp(MIN_POLL_DELAY, POLL_INTERVAL)))
    }

    /// Measures how many uploads wait for hooks, and since when.
    pub(super) async fn measure_hooks_backlog(&self, now: Timestamp) -> Result<(), LedgerError> {
        let (waiting, since) = self.ledger.hooks_backlog().await?;
        let oldest = since.map(|since| now.duration_since(since).as_secs());
        metrics().set_hooks_backlog(waiting, oldest.unwrap_or(0).max(0));
        Ok(())
    }

    /// Runs the hooks of one upload, and disposes of its object if one of them rejects it. Stops if
    /// another gateway takes the hooks.
    async fn process_hooks(self: Arc<Self>, pending: PendingHooks) {
        crash::point("gateway.hooks.taken");
        let rejection = tokio::select! {
            result = self.run_remaining_hooks(&pending) => result.unwrap_or_else(|error| {
                // A gateway takes the hooks again when the lease has ended.
                report_ledger_error(&error);
                None
            }),
            () = self.renew_until_taken_over(&pending) => {
                tracing::warn!(id = %pending.upload.id, "another gateway has taken the hooks");
                None
            }
        };
        // The rejection has ended the lease of the hooks. This process now holds the cleanup.
        if let Some(rejection) = rejection {
            self.dispose(&pending.upload, rejection).await;
        }
    }

    /// Renews the lease until another gateway has taken the hooks, or the upload is decided.
    async fn renew_until_taken_over(&self, pending: &PendingHooks) {
        loop {
            sleep(self.config().lease_terms.lease_ttl / 3).await;
            let until = self.renewed().lease_until;
            let renewed = self
                .ledger
                .hold_hooks(&pending.upload.id, pending.epoch, until)
                .await;
            // While the ledger does not respond, no other gateway can take the hooks.
            if let Ok(false) = renewed {
                return;
            }
        }
    }

    /// Runs the hooks that have not accepted the upload yet. Returns the rejection if one of them
    /// rejects it.
    async fn run_remaining_hooks(
        &self,
        pending: &PendingHooks,
    ) -> Result<Option<HeldRejection>, LedgerError> {
        let PendingHooks { upload, epoch, .. } = pending;
        let mut accepted = pending.accepted.clone();
        // A reload does not change the hooks of a run.
        let hooks = self.config().hooks.clone();
        if hooks.is_empty() {
            // A reload has removed the hooks that the upload waits for.
            return Ok(None);
        }
        for hook in hooks.iter() {
            if accepted.contains(&hook.name) {
                continue;
            }
            let verdict = self.run_hook(&hooks, hook, upload).await;
            crash::point("gateway.hooks.verdict");
            match verdict {
                Verdict::Accept => {
                    accepted.push(hook.name.clone());
                    let is_recorded = self
                        .ledger
                        .record_accepted_hooks(&upload.id, *epoch, &accepted)
                        .await?;
                    if !is_recorded {
                        return Ok(None);
                    }
                    crash::point("gateway.hooks.accepted");
                    tracing::info!(id = %upload.id, hook = hook.name, "hook has accepted the upload");
                }
                Verdict::Reject(reason) => {
                    return self.reject(pending, &hooks, hook, reason).await;
                }
                Verdict::Retry(reason) => {
                    // The ledger counts the failures of the first hook of this run.
                    let is_first = accepted.len() == pending.accepted.len();
                    let earlier_failures = if is_first { pending.failures } else { 0 };
                    let failures = earlier_failures.saturating_add(1);
                    self.schedule_retry(pending, hook, &reason, failures)
                        .await?;
                    return Ok(None);
                }
            }
        }
        if self.ledger.mark_ready(&upload.id, *epoch).await? {
            crash::point("gateway.hooks.ready");
            metrics().record_final_state(UploadState::Ready);
            if let Some(receipt) = &upload.receipt {
                self.audit_ready(upload, receipt).await;
            }
        }
        Ok(None)
    }

    async fn run_hook(&self, hooks: &Hooks, hook: &Hook, upload: &Upload) -> Verdict {
        match self.read_url(hook, upload).await {
            Ok(read_url) => {
                let key = self.store.key_in_bucket(&upload.key);
                let subject = if self.config().hook_subjects {
                    self.subject_of(&upload.owner).await
                } else {
                    None
                };
                let receipt = upload.shown_receipt();
                let upload = describe(upload, subject.as_deref(), &key, receipt.as_ref());
                let document = Document::new(hook, upload, &read_url);
                hooks.run(hook, &document).await
            }
            Err(fault) => {
                Verdict::Retry(format!("could not sign a URL to read the object: {fault}"))
            }
        }
    }

    /// Schedules the next run of a hook that has failed `failures` times in a row.
    async fn schedule_retry(
        &self,
        pending: &PendingHooks,
        hook: &Hook,
        reason: &str,
        failures: u32,
    ) -> Result<(), LedgerError> {
        let delay = retry_delay(failures, fastrand::f64());
        let id = &pending.upload.id;
        tracing::warn!(
            %id, hook = hook.name, failures, retry_in = ?delay, reason,
            "hook has failed; the upload is not ready until the hook accepts it"
        );
        let due = after(self.now(), delay);
        self.ledger
            .record_hook_failure(id, pending.epoch, failures, due)
            .await?;
        crash::point("gateway.hooks.failed");
        Ok(())
    }

    /// The URL at which a hook reads the object. For a program, it has the address of the store
    /// that this gateway uses; for a webhook, the address that clients use.
    async fn read_url(&self, hook: &Hook, upload: &Upload) -> Result<ReadUrl, Fault> {
        let ttl = hook
            .time_limit
            .saturating_add(READ_URL_MARGIN)
            .max(MIN_READ_URL_TTL);
        let (url, expires_in) = match hook.kind {
            HookKind::Command { .. } => self.store.sign_internal_get(&upload.key, ttl).await?,
            HookKind::Webhook { .. } => self.store.sign_get(&upload.key, &upload.name, ttl).await?,
        };
        Ok(ReadUrl {
            url,
            expires_in: Some(expires_in),
        })
    }
}

/// `key` is the key in the bucket.
fn describe<'a>(
    upload: &'a Upload,
    subject: Option<&'a str>,
    key: &'a Key,
    receipt: Option<&'a Receipt>,
) -> UploadDescription<'a> {
    UploadDescription {
        id: &upload.id,
        owner: &upload.owner,
        owner_subject: subject,
        key,
        name: &upload.name,
        size: upload.plan.size(),
        content_type: &upload.content_type,
        metadata: &upload.metadata,
        etag: receipt.map(|receipt| &receipt.etag),
        checksum: receipt.and_then(|receipt| receipt.checksum.as_ref()),
        receipt,
    }
}
