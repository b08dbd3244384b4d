//! Complete: review, CompleteMultipartUpload, then HeadObject; only the object itself makes a receipt.
//!
//! Border: `rules` reviews and `verdict` decides; this asks the store, writes the ledger, and goes on when the client that
//! asked is gone.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::asked::Asked;
use super::verdict::{self, Expected, Seen, Verdict};
use super::{Service, aged, is_over, sign};
use crate::auth::Owner;
use crate::ledger::{Transition, Upload};
use crate::metrics::metrics;
use crate::problem::{Refusal, store_failed};
use crate::rules;
use upload_s3::{Fault, Head};
use upload_types::crash;
use upload_types::names::{Checksum, UploadId};
use upload_types::sync::lock;
use upload_types::wire::{Code, CompleteRequest, Receipt, UploadState};

/// How a complete was answered.
#[derive(Debug, Clone)]
pub enum Completion {
    Receipt(Box<Receipt>),
    /// Not decided yet: ask again.
    Deciding(UploadState),
}

pub(super) type Outcome = Result<Completion, Refusal>;
pub(super) type Pending = watch::Receiver<Option<Outcome>>;

impl Service {
    /// Completes an upload, or tells how it was completed. Asked again at any time, it decides again from what is there.
    ///
    /// # Errors
    /// `source_mismatch` when the parts do not add up, `parts_mismatch` when the store holds others, `lease_lost`, `gone`
    /// (also for an upload the store has lost), `not_found`, `store_unavailable`.
    pub async fn complete(
        self: &Arc<Self>,
        owner: &Owner,
        id: &str,
        request: CompleteRequest,
    ) -> Outcome {
        let Ok(id) = id.parse() else {
            return Err(Refusal::new(Code::NotFound));
        };
        let found = self.ledger.upload_with_parts(&owner.0, &id).await?;
        let (upload, rows) = found.ok_or_else(|| Refusal::new(Code::NotFound))?;
        let upload = aged(upload, Timestamp::now());
        if is_over(upload.state) {
            return Err(Refusal::new(Code::Gone));
        }
        if let Some(receipt) = upload.receipt {
            return Ok(Completion::Receipt(Box::new(receipt)));
        }
        if request.epoch != upload.lease.epoch {
            return Err(Refusal::new(Code::LeaseLost));
        }
        sign::planned(&upload)?;
        let pinned: Vec<_> = rows.into_iter().map(|part| part.sha256).collect();
        rules::review(&upload.plan, &pinned, &request)?;

        let mut outcome = self.join_or_spawn(upload, Asked::Planned(request));
        match timeout(self.rules.patience, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome
                .clone()
                .unwrap_or(Ok(Completion::Deciding(UploadState::Completing))),
            Ok(Err(_)) => Err(Refusal::later(Code::Unavailable, 2)),
            Err(_) => Ok(Completion::Deciding(UploadState::Completing)),
        }
    }

    /// The outcome of the completion of this upload that is under way, or of one begun now.
    pub(super) fn join_or_spawn(self: &Arc<Self>, upload: Upload, asked: Asked) -> Pending {
        let mut under_way = lock(&self.completing);
        if let Some(outcome) = under_way.get(&upload.id) {
            return outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        under_way.insert(upload.id.clone(), outcome.clone());
        let leave = Leave {
            service: Arc::clone(self),
            id: upload.id.clone(),
        };
        let deciding = async move {
            let decided = leave.service.decide(&upload, &asked).await;
            let _ = tell.send(Some(decided));
            drop(leave);
        };
        // What is told of it is told of the request that asked first.
        tokio::spawn(deciding.in_current_span());
        outcome
    }

    async fn decide(&self, upload: &Upload, asked: &Asked) -> Outcome {
        // Of a single PUT there is nothing to complete: where the object is there, it is verified in one step.
        let seen = if upload.is_single() {
            let (seen, head) = self.look(upload, asked.checksum()).await;
            crash::point("gateway.complete.seen");
            if let (Seen::Ours, Some(head), Some(part)) = (seen, &head, asked.single()) {
                let receipt = self.receipt(upload, asked, head);
                if self
                    .ledger
                    .mark_single_verified(&receipt, asked.epoch(), part, self.hooks_due_at())
                    .await?
                {
                    return Ok(self.told(receipt));
                }
            }
            Some((verdict::single(seen), head))
        } else {
            None
        };
        let sealed = self.seal(upload, asked).await?;
        if sealed != Transition::Done {
            return self.settled(upload, sealed).await;
        }
        crash::point("gateway.complete.sealed");
        let (verdict, head) = match seen {
            Some(seen) => seen,
            None => self.ask(upload, asked).await,
        };
        crash::point("gateway.complete.judged");
        tracing::info!(id = %upload.id, ?verdict, "completing");
        match (verdict, head) {
            (Verdict::Verified, Some(head)) => self.verified(upload, asked, &head).await,
            (Verdict::Verified | Verdict::Undecided, _) => {
                Ok(Completion::Deciding(UploadState::Completing))
            }
            (Verdict::PartsMismatch, _) => self.reopen(upload, Code::PartsMismatch).await,
            (Verdict::Refused, _) => self.reopen(upload, Code::StoreUnavailable).await,
            (Verdict::Lost, _) => {
                tracing::warn!(id = %upload.id, key = %upload.key, "neither object nor multipart upload is there");
                if self
                    .end(upload, &[UploadState::Completing], UploadState::Expired)
                    .await?
                {
                    return Err(Refusal::new(Code::Gone));
                }
                self.settled(upload, Transition::WrongState(UploadState::Expired))
                    .await
            }
            (Verdict::Damaged, _) => {
                // Who lost is too late to say what may go: another call may have found the object good.
                // Should removing it fail, the sweep does it.
                if !self
                    .ledger
                    .end(
                        &upload.id,
                        &[UploadState::Completing],
                        UploadState::Rejected,
                        Timestamp::now(),
                    )
                    .await?
                {
                    return self
                        .settled(upload, Transition::WrongState(UploadState::Rejected))
                        .await;
                }
                metrics().ended(UploadState::Rejected);
                tracing::error!(id = %upload.id, key = %upload.key, "the object is not what was uploaded; removing it");
                if let Err(fault) = self.store.delete(&upload.key).await {
                    tracing::warn!(key = %upload.key, ?fault, "could not remove a damaged object");
                }
                Err(Refusal::new(Code::Gone))
            }
        }
    }

    /// Completes in the store, unless that was done before, and looks at what is there.
    async fn ask(&self, upload: &Upload, asked: &Asked) -> (Verdict, Option<Head>) {
        let Some(multipart) = &upload.store_upload else {
            let (seen, head) = self.look(upload, asked.checksum()).await;
            return (verdict::multipart(Err(&Fault::NoSuchUpload), seen), head);
        };
        if upload.state == UploadState::Completing {
            let (seen, head) = self.look(upload, asked.checksum()).await;
            if seen == Seen::Ours {
                return (Verdict::Verified, head);
            }
        }
        let (key, size) = (&upload.key, upload.plan.size());
        let said = match asked {
            Asked::Planned(request) => {
                self.store
                    .complete(key, multipart, &request.parts, size)
                    .await
            }
            Asked::Listed { parts, .. } => {
                self.bare
                    .complete_without_checksums(key, multipart, parts, size)
                    .await
            }
        };
        crash::point("gateway.complete.said");
        if let Err(fault) = &said {
            tracing::warn!(id = %upload.id, ?fault, "the store did not confirm the complete");
        }
        let (seen, head) = self.look(upload, asked.checksum()).await;
        (verdict::multipart(said.as_ref().copied(), seen), head)
    }

    /// What is at the upload's key, beside what is to be there.
    pub(super) async fn look(
        &self,
        upload: &Upload,
        checksum: Option<&Checksum>,
    ) -> (Seen, Option<Head>) {
        let expected = Expected {
            token: &upload.token,
            size: upload.plan.size(),
            checksum,
        };
        let _place = self.asking.acquire().await;
        match self.store.head(&upload.key).await {
            Ok(head) => (verdict::seen(head.as_ref(), &expected), head),
            Err(fault) => {
                let _ = store_failed("head", &fault);
                (Seen::Unknown, None)
            }
        }
    }

    async fn verified(&self, upload: &Upload, asked: &Asked, head: &Head) -> Outcome {
        let receipt = self.receipt(upload, asked, head);
        if self
            .ledger
            .mark_verified(&receipt, self.hooks_due_at())
            .await?
        {
            return Ok(self.told(receipt));
        }
        self.settled(upload, Transition::WrongState(UploadState::Completing))
            .await
    }

    fn receipt(&self, upload: &Upload, asked: &Asked, head: &Head) -> Receipt {
        let store = if asked.checksum().is_some() {
            &self.store
        } else {
            &self.bare
        };
        Receipt {
            id: upload.id.clone(),
            backend: self.rules.backend.clone(),
            instance_id: self.ledger.instance_id().to_owned(),
            location: self.store.location(&upload.key),
            key: upload.key.clone(),
            size: upload.plan.size(),
            parts: asked.count(),
            part_size: upload.plan.part_size(),
            etag: head.etag.clone(),
            checksum: asked.checksum().cloned(),
            proof: store.proof(),
            unproven: store.profile().unproven(upload.is_single()),
            sha256: asked.first().filter(|_| upload.is_single()),
            started: upload.created_at,
            finished: Timestamp::now(),
        }
    }

    /// At once, where there are any.
    fn hooks_due_at(&self) -> Option<Timestamp> {
        (!self.rules.hooks.is_empty()).then(Timestamp::now)
    }

    /// What is in the ledger now is told of.
    fn told(&self, receipt: Receipt) -> Completion {
        metrics().bytes_confirmed.inc_by(receipt.size);
        if self.rules.hooks.is_empty() {
            crash::point("gateway.complete.ready");
            metrics().ended(UploadState::Ready);
        } else {
            crash::point("gateway.hooks.due");
            self.hooks_due.notify_one();
        }
        Completion::Receipt(Box::new(receipt))
    }

    /// What another call has made of the upload meanwhile.
    async fn settled(&self, upload: &Upload, refused: Transition) -> Outcome {
        let now = self
            .find(&Owner(upload.owner.clone()), upload.id.as_str())
            .await?;
        match now.receipt {
            Some(receipt) => Ok(Completion::Receipt(Box::new(receipt))),
            None => Err(sign::refusal(refused)),
        }
    }

    /// Takes the upload back from completing, so that its parts can be sent again, and says why.
    async fn reopen(&self, upload: &Upload, code: Code) -> Outcome {
        if self.ledger.reopen(&upload.id).await? {
            return Err(Refusal::new(code));
        }
        self.settled(upload, Transition::WrongState(UploadState::Uploading))
            .await
    }
}

/// Makes room for the next completion, also after a panic.
struct Leave {
    service: Arc<Service>,
    id: UploadId,
}

impl Drop for Leave {
    fn drop(&mut self) {
        lock(&self.service.completing).remove(&self.id);
    }
}
