//! Hooks at work: whatever is verified is shown to each hook, one after the other, until it is ready or rejected.
//!
//! Border: a row is taken and held by its lease, and decided by its fence, so that of many gateways one decides. Hooks may run more
//! than once for an upload (their gateway may die), those that have accepted it are not asked again. What a rejected object comes
//! to is `rejected`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Service;
use crate::hooks::{Document, Hook, HookKind, Verdict, back_off};
use crate::ledger::{LedgerResult, PendingHooks, Rejection};
use crate::metrics::metrics;
use crate::problem::Refusal;
use upload_s3::Fault;
use upload_types::crash;
use upload_types::wire::{ReadUrl, UploadState};

/// Uploads that hooks are run for at the same time.
const AT_ONCE: usize = 4;
/// How often the ledger is looked at for what other gateways have left.
const LOOK: Duration = Duration::from_secs(30);
/// A URL to read the object lives this long, and longer than the hook may take.
const READ: Duration = Duration::from_hours(1);
const MARGIN: Duration = Duration::from_mins(1);

impl Service {
    /// Whether there are any. Without, what still waits for some is told of: it does not become ready by itself.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn has_hooks(&self) -> LedgerResult<bool> {
        let any = !self.rules.hooks.is_empty();
        if !any && self.ledger.next_hooks_due().await?.is_some() {
            tracing::warn!(
                "uploads wait for hooks, and this gateway has none: they stay verified until one runs them"
            );
        }
        Ok(any)
    }

    /// Runs hooks as they become due, for ever. Dropped, it ends those that run.
    pub async fn keep_hooking(self: Arc<Self>) {
        let mut running = JoinSet::new();
        loop {
            let room = AT_ONCE - running.len().min(AT_ONCE);
            let wait = match self.take_due(room).await {
                Ok((taken, wait)) => {
                    for hooked in taken {
                        let service = Arc::clone(&self);
                        running.spawn(async move { service.hook(hooked).await });
                    }
                    wait
                }
                Err(error) => {
                    let _ = Refusal::from(error);
                    LOOK
                }
            };
            let full = running.len() >= AT_ONCE;
            tokio::select! {
                Some(_) = running.join_next() => {}
                () = self.hooks_due.notified(), if !full => {}
                () = sleep(wait), if !full => {}
            }
        }
    }

    /// Takes what is due, as far as there is room, and tells when to look again.
    async fn take_due(&self, room: usize) -> LedgerResult<(Vec<PendingHooks>, Duration)> {
        if room == 0 {
            return Ok((Vec::new(), LOOK));
        }
        let now = Timestamp::now();
        let taken = self
            .ledger
            .take_due_hooks(now, self.rules.terms.renewed(now).lease_until, room)
            .await?;
        let wait = match self.ledger.next_hooks_due().await? {
            Some(due) => Duration::try_from(due.duration_since(now)).unwrap_or_default(),
            None => LOOK,
        };
        // What this gateway holds it renews in time; a clock that others set is looked at now and then.
        Ok((taken, wait.clamp(Duration::from_millis(20), LOOK)))
    }

    /// Brings one upload as far as it comes, as long as nobody else has taken it.
    async fn hook(self: Arc<Self>, hooked: PendingHooks) {
        crash::point("gateway.hooks.taken");
        let id = hooked.upload.id.clone();
        let rejected = tokio::select! {
            // What failed is logged, and the row is taken again once its lease is over.
            done = self.ask_hooks(&hooked) => done.map_err(Refusal::from).ok().flatten(),
            () = self.lost(&hooked) => {
                tracing::warn!(%id, "another gateway has taken over its hooks");
                None
            }
        };
        // From here on its object is held, and no longer its hooks.
        if let Some((rejection, until)) = rejected {
            self.see_to(&hooked.upload, &rejection, until).await;
        }
    }

    /// Renews the lease until that fails.
    async fn lost(&self, hooked: &PendingHooks) {
        loop {
            sleep(self.rules.terms.lease / 3).await;
            let until = self.rules.terms.renewed(Timestamp::now()).lease_until;
            // A ledger that does not answer decides nothing either.
            if let Ok(false) = self
                .ledger
                .hold_hooks(&hooked.upload.id, hooked.epoch, until)
                .await
            {
                return;
            }
        }
    }

    /// What has become of it where one of them rejects it, and until when its object is held.
    async fn ask_hooks(
        &self,
        hooked: &PendingHooks,
    ) -> LedgerResult<Option<(Rejection, Timestamp)>> {
        let PendingHooks {
            upload,
            epoch,
            failures,
            ..
        } = hooked;
        let mut accepted = hooked.accepted.clone();
        for hook in self.rules.hooks.list.iter() {
            if accepted.contains(&hook.name) {
                continue;
            }
            let verdict = match self.read_url(hook, hooked).await {
                Ok(read) => {
                    self.rules
                        .hooks
                        .run(hook, &Document::new(hook, upload, &read))
                        .await
                }
                Err(fault) => Verdict::Later(format!("no URL to read the object: {fault}")),
            };
            crash::point("gateway.hooks.said");
            match verdict {
                Verdict::Accept => {
                    accepted.push(hook.name.clone());
                    if !self
                        .ledger
                        .record_accepted_hooks(&upload.id, *epoch, &accepted)
                        .await?
                    {
                        return Ok(None);
                    }
                    crash::point("gateway.hooks.accepted");
                    tracing::info!(id = %upload.id, hook = hook.name, "accepted");
                }
                Verdict::Reject(reason) => return self.reject(hooked, hook, reason).await,
                Verdict::Later(why) => {
                    // Counted anew by each hook that is reached.
                    let failures = if accepted.len() > hooked.accepted.len() {
                        1
                    } else {
                        failures.saturating_add(1)
                    };
                    let wait = back_off(failures, fastrand::f64());
                    tracing::warn!(
                        id = %upload.id, hook = hook.name, failures, again_in = ?wait, why = ?why,
                        "a hook failed; the upload is not ready until it accepts it"
                    );
                    let due = Timestamp::now().checked_add(wait).unwrap_or(Timestamp::MAX);
                    self.ledger
                        .record_hook_failure(&upload.id, *epoch, failures, due)
                        .await?;
                    crash::point("gateway.hooks.failed");
                    return Ok(None);
                }
            }
        }
        if self.ledger.mark_ready(&upload.id, *epoch).await? {
            crash::point("gateway.hooks.ready");
            metrics().ended(UploadState::Ready);
            tracing::info!(id = %upload.id, "ready");
        }
        Ok(None)
    }

    /// For a program, at the address that this gateway itself uses; for a webhook, at the one that clients do.
    async fn read_url(&self, hook: &Hook, hooked: &PendingHooks) -> Result<ReadUrl, Fault> {
        let upload = &hooked.upload;
        let life = hook.time_limit.saturating_add(MARGIN).max(READ);
        let (url, lives) = match hook.kind {
            HookKind::Command { .. } => self.store.sign_internal_get(&upload.key, life).await?,
            HookKind::Webhook { .. } => {
                self.store.sign_get(&upload.key, &upload.name, life).await?
            }
        };
        Ok(ReadUrl {
            url,
            expires_in: Some(lives),
        })
    }
}
