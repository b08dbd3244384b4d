//! The sweep: now and then, what nobody holds is brought to its end.
//!
//! Border: uploads whose completing somebody left are decided, those that expired are aborted, what may have stayed in the
//! store is looked for. The ledger's leases say what nobody holds; multipart uploads it does not know are only told of. What a
//! sweep would do is told without doing any of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::iter;
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::asked::Asked;
use super::{Service, is_over};
use crate::hooks::Fate;
use crate::ledger::{KeyStatus, SWEEP_BATCH_ROWS, SweepTask, Upload};
use crate::metrics::{Leftover, metrics};
use crate::problem::{Refusal, store_failed};
use upload_s3::Fault;
use upload_types::wire::UploadState;

/// Uploads that are brought to their end at the same time.
const AT_ONCE: usize = 8;
/// How often the bucket is looked through for what the ledger does not know.
const SURVEY: Duration = Duration::from_hours(1);

/// What a sweep does about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The store is asked for the object, and the upload is completed, or given back to its client.
    Decide,
    Expire,
    Abort,
    /// What an upload has left in the store is taken out.
    Clear,
    /// Nothing: it is nobody's that this ledger knows.
    Report,
}

/// What a sweep has come across.
pub struct Swept {
    pub action: Action,
    pub key: String,
    /// As it was found, or taken.
    pub upload: Option<Upload>,
    /// What of it would go out of the store.
    pub goes: Option<Goes>,
    /// What has become of it, unless nothing was done.
    pub became: Option<UploadState>,
    /// Whether that is its end.
    pub done: bool,
}

/// What has no use in the store any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goes {
    pub multiparts: usize,
    pub object: bool,
}

/// Who is told.
pub type Tell<'a> = &'a (dyn Fn(&Swept) + Send + Sync);

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
        self.sweep_and_tell(None).await
    }

    /// One round, and word of each upload that was found.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn sweep_and_tell(self: &Arc<Self>, tell: Option<Tell<'_>>) -> Result<(), Refusal> {
        for what in SweepTask::ALL {
            // What was taken is held, so each question finds others.
            loop {
                let now = Timestamp::now();
                let until = self.rules.terms.renewed(now).lease_until;
                let taken = self.ledger.take_sweep_task(what, now, until).await?;
                let count = taken.len();
                // A form that is looked for nobody has left.
                for upload in taken.iter().filter(|_| what != SweepTask::FormPosted) {
                    metrics().found(leftover(action(what, upload, now)), 1);
                }
                iter(taken)
                    .for_each_concurrent(AT_ONCE, |upload| {
                        self.treat(what, upload, (now, until), tell)
                    })
                    .await;
                if count < SWEEP_BATCH_ROWS {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn treat(
        self: &Arc<Self>,
        what: SweepTask,
        upload: Upload,
        (now, until): (Timestamp, Timestamp),
        tell: Option<Tell<'_>>,
    ) {
        let before = tell.map(|tell| (tell, upload.clone()));
        let cleared = match what {
            SweepTask::Completing => {
                self.settle(upload).await;
                false
            }
            SweepTask::FormPosted => {
                self.look_for_form(upload, until).await;
                false
            }
            SweepTask::Expired => {
                self.reap(upload, now).await;
                false
            }
            SweepTask::CleanupDue => self.look_after(upload, until).await,
        };
        let Some((tell, upload)) = before else { return };
        let found = self.ledger.upload_by_key(&upload.key).await.ok().flatten();
        let became = found.map(|upload| upload.state);
        let done = cleared
            || !matches!(
                became,
                None | Some(UploadState::Completing | UploadState::Aborting)
            ) && what != SweepTask::CleanupDue;
        let (action, key) = (action(what, &upload, now), upload.key.to_string());
        tell(&Swept {
            action,
            key,
            upload: Some(upload),
            goes: None,
            became,
            done,
        });
    }

    /// Tells what a sweep would find now, and what a survey would; asks ledger and store, and changes nothing in them.
    ///
    /// # Errors
    /// When store or ledger fail.
    pub async fn would_sweep(&self, tell: Tell<'_>) -> Result<(), Refusal> {
        let now = Timestamp::now();
        for what in SweepTask::ALL {
            let mut after = String::new();
            loop {
                let page = self.ledger.list_sweep_task(what, now, &after).await?;
                let Some(last) = page.last().filter(|_| page.len() == SWEEP_BATCH_ROWS) else {
                    self.tell_all(page, |upload| action(what, upload, now), tell)
                        .await?;
                    break;
                };
                last.id.as_str().clone_into(&mut after);
                self.tell_all(page, |upload| action(what, upload, now), tell)
                    .await?;
            }
        }
        let (mut after, mut spares) = (None, HashSet::new());
        loop {
            let page = self.store.open_uploads(after.as_ref()).await;
            let (keys, next) = page.map_err(|fault| store_failed("survey", &fault))?;
            for (key, known) in self.ledger.key_statuses(keys).await? {
                match known {
                    KeyStatus::Unknown => tell(&stranger(key)),
                    KeyStatus::Leftover(upload) if spares.insert(key) => {
                        self.tell_all(vec![*upload], |_| Action::Clear, tell)
                            .await?;
                    }
                    KeyStatus::Leftover(_) | KeyStatus::InUse => {}
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Tells of each upload what would be done, and what of it would go out of the store.
    async fn tell_all(
        &self,
        uploads: Vec<Upload>,
        action: impl Fn(&Upload) -> Action,
        tell: Tell<'_>,
    ) -> Result<(), Refusal> {
        let looked = uploads.into_iter().map(|upload| {
            let action = action(&upload);
            async move {
                let goes = if action == Action::Decide {
                    None
                } else {
                    Some(self.goes(&upload, action).await?)
                };
                let key = upload.key.to_string();
                Ok::<_, Fault>(Swept {
                    action,
                    key,
                    upload: Some(upload),
                    goes,
                    became: None,
                    done: false,
                })
            }
        });
        let told = iter(looked)
            .buffered(AT_ONCE)
            .try_for_each(|swept| async move {
                tell(&swept);
                Ok(())
            });
        told.await
            .map_err(|fault| store_failed("look for what is left", &fault))
    }

    /// What [`Service::drop_leftovers`], or a rejection, would take out of the store.
    async fn goes(&self, upload: &Upload, action: Action) -> Result<Goes, Fault> {
        let over = action != Action::Clear || is_over(upload.state);
        let mut goes = Goes {
            multiparts: 0,
            object: false,
        };
        if !upload.is_single() {
            let open = self.store.find(&upload.key).await?;
            goes.multiparts = open
                .iter()
                .filter(|open| over || Some(*open) != upload.store_upload.as_ref())
                .count();
        }
        if over
            && upload
                .rejection
                .as_ref()
                .is_none_or(|rejection| rejection.fate != Fate::Keep)
        {
            let head = self.store.head(&upload.key).await?;
            goes.object = head.is_some_and(|head| head.token.as_ref() == Some(&upload.token));
        }
        Ok(goes)
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
        let Ok(_guard) = self.enter(&upload.owner, &upload.idempotency_key) else {
            return;
        };
        let to = if upload.expires_at <= now {
            UploadState::Expired
        } else {
            UploadState::Aborted
        };
        // What failed is logged, and the row is aborting until it is done.
        let _ = self.clear(&upload, to).await;
    }

    /// Takes out of the store what an upload has left there; whether that was done, as far as it is known here.
    async fn look_after(&self, upload: Upload, until: Timestamp) -> bool {
        if let Some(rejection) = &upload.rejection {
            return self.see_to(&upload, rejection, until).await;
        }
        match self.drop_leftovers(&upload).await {
            Ok(()) => self
                .ledger
                .reschedule_cleanup(&upload.id, until, None)
                .await
                .map_err(Refusal::from)
                .is_ok(),
            Err(fault) => {
                let _ = store_failed("look after", &fault);
                false
            }
        }
    }

    /// Tells the log of open multipart uploads under our prefix that the ledger does not know: another gateway's, a lost ledger's
    /// or somebody else's, so they are not touched.
    ///
    /// # Errors
    /// When store or ledger fail.
    pub async fn survey(&self) -> Result<usize, Refusal> {
        let log = |swept: &Swept| {
            tracing::warn!(
                key = swept.key,
                "an open multipart upload that this ledger does not know"
            );
        };
        self.survey_and_tell(&log).await
    }

    /// The same, told to somebody.
    ///
    /// # Errors
    /// When store or ledger fail.
    pub async fn survey_and_tell(&self, tell: Tell<'_>) -> Result<usize, Refusal> {
        let (mut after, mut strangers) = (None, 0);
        loop {
            let page = self.store.open_uploads(after.as_ref()).await;
            let (keys, next) = page.map_err(|fault| store_failed("survey", &fault))?;
            for key in self
                .ledger
                .schedule_key_cleanup(keys, Timestamp::now())
                .await?
            {
                strangers += 1;
                tell(&stranger(key));
            }
            after = next;
            if after.is_none() {
                metrics()
                    .orphans
                    .set(u64::try_from(strangers).unwrap_or(u64::MAX));
                return Ok(strangers);
            }
        }
    }
}

fn action(what: SweepTask, upload: &Upload, now: Timestamp) -> Action {
    match what {
        SweepTask::Completing | SweepTask::FormPosted => Action::Decide,
        SweepTask::Expired if upload.expires_at <= now => Action::Expire,
        SweepTask::Expired => Action::Abort,
        SweepTask::CleanupDue => Action::Clear,
    }
}

fn leftover(action: Action) -> Leftover {
    match action {
        Action::Decide => Leftover::Completing,
        Action::Expire => Leftover::Expired,
        Action::Abort => Leftover::Aborting,
        Action::Clear | Action::Report => Leftover::ToLookAt,
    }
}

fn stranger(key: String) -> Swept {
    Swept {
        action: Action::Report,
        key,
        upload: None,
        goes: None,
        became: None,
        done: true,
    }
}
