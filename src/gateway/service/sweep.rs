//! The sweep: now and then, what nobody holds is brought to its end.
//!
//! Border: uploads whose completing somebody left are decided, those that expired are aborted, what may have stayed in the
//! store is looked for. The ledger's leases say what nobody holds; multipart uploads it does not know are only told of.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Service;
use super::asked::Asked;
use crate::gateway::ledger::{TAKEN, Upload};
use crate::gateway::metrics::{Leftover, metrics};
use crate::gateway::problem::{Refusal, store_failed};
use crate::wire::State;

/// Uploads that are brought to their end at the same time.
const AT_ONCE: usize = 8;
/// How often the bucket is looked through for what the ledger does not know.
const SURVEY: Duration = Duration::from_hours(1);

impl Service {
    /// Sweeps at once and then every so often; with `survey`, tells of strangers in the bucket too.
    pub async fn keep_sweeping(self: Arc<Self>, every: Duration, survey: bool) {
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_survey = Instant::now();
        loop {
            ticks.tick().await;
            if survey && next_survey <= Instant::now() {
                // What failed is logged; the next survey may fare better.
                let _ = self.survey().await;
                next_survey = Instant::now() + SURVEY;
            }
            metrics().swept(self.sweep().await.is_ok());
        }
    }

    /// One round. What cannot be done is logged, and done by a later one.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn sweep(self: &Arc<Self>) -> Result<(), Refusal> {
        let terms = self.rules.terms;
        let times = || {
            let now = Timestamp::now();
            (now, terms.renewed(now).lease_until)
        };
        // What was taken is held, so each question finds others.
        loop {
            let (now, until) = times();
            let taken = self.ledger.take_completing(now, until).await?;
            let count = taken.len();
            metrics().found(Leftover::Completing, count);
            iter(taken).for_each_concurrent(AT_ONCE, |upload| self.settle(upload)).await;
            if count < TAKEN {
                break;
            }
        }
        loop {
            let (now, until) = times();
            let taken = self.ledger.take_forms(now, until).await?;
            let count = taken.len();
            iter(taken).for_each_concurrent(AT_ONCE, |upload| self.look_for_form(upload, until)).await;
            if count < TAKEN {
                break;
            }
        }
        loop {
            let (now, until) = times();
            let taken = self.ledger.take_expired(now, until).await?;
            let count = taken.len();
            metrics().found(Leftover::Expired, count);
            iter(taken).for_each_concurrent(AT_ONCE, |upload| self.reap(upload, now)).await;
            if count < TAKEN {
                break;
            }
        }
        loop {
            let (now, until) = times();
            let taken = self.ledger.take_to_look_at(now, until).await?;
            let count = taken.len();
            metrics().found(Leftover::ToLookAt, count);
            iter(taken).for_each_concurrent(AT_ONCE, |upload| self.look_after(upload, until)).await;
            if count < TAKEN {
                break;
            }
        }
        Ok(())
    }

    /// Decides an upload that is completing, with what its client said of the parts.
    async fn settle(self: &Arc<Self>, upload: Upload) {
        let rows = match self.ledger.parts(&upload.id, 0, upload.parts_max()).await {
            Ok(rows) => rows,
            Err(error) => return drop(Refusal::from(error)),
        };
        let Some(request) = Asked::of_rows(&upload, rows, None) else {
            tracing::error!(id = %upload.id, "an upload is completing without its parts");
            return;
        };
        tracing::info!(id = %upload.id, "deciding a complete that somebody left");
        let mut outcome = self.join_or_spawn(upload, request);
        // Whatever came of it is in the ledger.
        let _ = outcome.wait_for(Option::is_some).await;
    }

    /// Ends an upload that expired, or that somebody began to abort.
    async fn reap(&self, upload: Upload, now: Timestamp) {
        let Ok(_guard) = self.enter(&upload.owner, &upload.idempotency_key) else { return };
        let to = if upload.expires_at <= now { State::Expired } else { State::Aborted };
        // What failed is logged, and the row is aborting until it is done.
        let _ = self.clear(&upload, to).await;
    }

    /// Takes out of the store what an upload has left there.
    async fn look_after(&self, upload: Upload, until: Timestamp) {
        if let Some(rejection) = &upload.rejection {
            return self.see_to(&upload, rejection, until).await;
        }
        match self.drop_leftovers(&upload).await {
            Ok(()) => {
                if let Err(error) = self.ledger.looked(&upload.id, until).await {
                    let _ = Refusal::from(error);
                }
            }
            Err(fault) => {
                let _ = store_failed("look after", &fault);
            }
        }
    }

    /// Tells the log of open multipart uploads under our prefix that the ledger does not know: another gateway's, a lost ledger's
    /// or somebody else's, so they are not touched.
    ///
    /// # Errors
    /// When store or ledger fail.
    pub async fn survey(&self) -> Result<usize, Refusal> {
        let (mut after, mut strangers) = (None, 0);
        loop {
            let page = self.store.open_uploads(after.as_ref()).await;
            let (keys, next) = page.map_err(|fault| store_failed("survey", &fault))?;
            for key in self.ledger.unknown(keys, Timestamp::now()).await? {
                strangers += 1;
                tracing::warn!(key, "an open multipart upload that this ledger does not know");
            }
            after = next;
            if after.is_none() {
                metrics().orphans.set(u64::try_from(strangers).unwrap_or(u64::MAX));
                return Ok(strangers);
            }
        }
    }
}
