//! Complete: CompleteMultipartUpload, then HeadObject. A receipt requires that the object in the
//! store matches.
//!
//! A completion continues if its client disconnects. If two gateways complete an upload at once,
//! one of them records it as verified: the ledger permits that transition once. The other one then
//! responds with the receipt of the first.
//!
//! Not here: checks of the request (`validation`), and the decision (`completion_outcome`).

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::completion::{CompleteResult, Completion, PendingCompletion};
use super::completion_outcome::{
    CompletionOutcome, ExpectedObject, ObjectCheck, check_object, multipart_outcome, single_outcome,
};
use super::completion_source::CompletionSource;
use super::lifecycle::{is_gone, refuse_transition, with_expiry};
use super::shared_state::Service;
use super::sign::check_declared;
use super::stream;
use super::url_ttl::LateWrites;
use crate::auth::Owner;
use crate::ledger::{Ending, TransitionOutcome, Upload, UploadKind};
use crate::metrics::metrics;
use crate::problem::{Refusal, ledger_failed, report_store_fault, store_rejected};
use crate::time::in_milliseconds;
use crate::validation;
use upload_s3::{Fault, Head, WriteCondition};
use upload_types::crash;
use upload_types::saturating;
use upload_types::sync::lock;
use upload_types::wire::{Code, CompleteRequest, Receipt, UploadState};
use upload_types::{Checksum, UploadId};

/// Seconds until a client may repeat a complete after its task has panicked.
const PANIC_RETRY_SECONDS: u64 = 2;

/// The outcome of a complete in the store, with the object at the key.
pub(super) type StoreOutcome = (CompletionOutcome, Option<Head>);

impl Service {
    /// Completes an upload, or returns the receipt of an earlier complete. If the outcome was
    /// unknown, a repetition checks the store again.
    ///
    /// # Errors
    /// `source_mismatch` if the parts do not match the upload, `parts_mismatch` if the store has
    /// other parts, `exists` if another object is at the chosen key, `lease_lost`, `gone` (also for
    /// an upload that the store has lost), `rate_limited`, `not_found`, `store_unavailable`.
    pub async fn complete(
        self: &Arc<Self>,
        owner: &Owner,
        id: &str,
        mut request: CompleteRequest,
    ) -> CompleteResult {
        let Ok(id) = id.parse() else {
            return Err(Refusal::new(Code::NotFound));
        };
        self.take_permits(owner, 1)?;
        // A request with fewer parts than the plan is refused, so it needs no more rows than it has
        // parts.
        let limit = saturating::to_u32(request.parts.len());
        let found = self.ledger.upload_with_parts(&owner.0, &id, limit).await;
        let found = found.map_err(ledger_failed)?;
        let (upload, rows) = found.ok_or_else(|| Refusal::new(Code::NotFound))?;
        let upload = with_expiry(upload, self.now());
        if is_gone(upload.state) {
            return Err(Refusal::new(Code::Gone));
        }
        if let Some(receipt) = upload.shown_receipt() {
            return Ok(Completion::Receipt(Box::new(receipt)));
        }
        if request.epoch != upload.lease.epoch {
            return Err(Refusal::new(Code::LeaseLost));
        }
        check_declared(&upload)?;
        let mut upload = upload;
        if upload.kind == UploadKind::Streamed {
            upload.spec.plan = stream::whole_plan(&upload.plan, &rows, &request)?;
        }
        let pinned = rows.into_iter();
        let pinned = pinned.filter_map(|row| Some((row.number, row.sha256?)));
        // Hooks may have been added since the begin.
        let chosen = upload.chosen.as_ref();
        self.check_may_replace(chosen.and_then(|chosen| chosen.replaces.as_ref()))?;
        // An object of one part may be a multipart upload, which the client need not know, unless
        // it is a stream.
        let is_single = upload.plan.is_single() && upload.kind != UploadKind::Streamed;
        validation::check_complete(&upload.plan, is_single, &pinned.collect(), &request)?;
        let part_sha256 = request.parts.iter().map(|part| &part.sha256);
        if let Some(checksum) = validation::object_checksum(upload.is_single(), part_sha256) {
            request.checksum = checksum;
        }

        let mut completion = self.join_or_spawn(upload, CompletionSource::Declared(request));
        match timeout(self.config().complete_timeout, completion.result()).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Refusal::retry_after(Code::Unavailable, PANIC_RETRY_SECONDS)),
            Err(_) => Ok(Completion::Pending(UploadState::Completing)),
        }
    }

    /// The completion of this upload that runs in this process, or a new one.
    pub(super) fn join_or_spawn(
        self: &Arc<Self>,
        upload: Upload,
        source: CompletionSource,
    ) -> PendingCompletion {
        let mut running = lock(&self.completions);
        if let Some(completion) = running.get(&upload.id) {
            return completion.clone();
        }
        let (sender, completion) = PendingCompletion::channel();
        running.insert(upload.id.clone(), completion.clone());
        let guard = CompletionGuard {
            service: Arc::clone(self),
            id: upload.id.clone(),
        };
        let task = async move {
            sender.send(guard.service.run_completion(&upload, &source).await);
            drop(guard);
        };
        // The log lines of the completion have the id of the first request for it.
        tokio::spawn(task.in_current_span());
        completion
    }

    async fn run_completion(&self, upload: &Upload, source: &CompletionSource) -> CompleteResult {
        let mut decided = None;
        if upload.is_single() {
            // A single PUT leaves nothing to complete in the store. If its object matches, one
            // write to the ledger verifies the upload.
            let (check, object) = self.check_object(upload, source.checksum()).await;
            crash::point("gateway.complete.object_checked");
            if let (ObjectCheck::Matches, Some(object)) = (check, &object)
                && let Some(receipt) = self.mark_single_verified(upload, source, object).await?
            {
                return Ok(self.on_verified(upload, receipt).await);
            }
            let outcome = match check {
                ObjectCheck::Foreign if upload.chosen.is_some() => CompletionOutcome::Exists,
                check => single_outcome(check),
            };
            decided = Some((outcome, object));
        }
        let transition = self.start_completing(upload, source).await?;
        if transition != TransitionOutcome::Done {
            return self.result_of_other_call(upload, transition).await;
        }
        crash::point("gateway.complete.started");
        let (outcome, object) = match decided {
            Some(decided) => decided,
            None => self.complete_in_store(upload, source).await,
        };
        crash::point("gateway.complete.decided");
        tracing::info!(id = %upload.id, ?outcome, "complete decided");
        match (outcome, object) {
            (CompletionOutcome::Verified, Some(object)) => {
                let receipt = self.receipt(upload, source, &object);
                self.record_verified(upload, receipt).await
            }
            (CompletionOutcome::Verified | CompletionOutcome::Undecided, _) => {
                Ok(Completion::Pending(UploadState::Completing))
            }
            (CompletionOutcome::PartsMismatch, _) => {
                let refusal = Refusal::new(Code::PartsMismatch);
                self.reopen(upload, refusal).await
            }
            (CompletionOutcome::Refused, _) => {
                let refusal = Refusal::new(Code::StoreUnavailable);
                self.reopen(upload, refusal).await
            }
            (CompletionOutcome::Rejected(reason), _) => {
                self.reopen(upload, store_rejected(reason)).await
            }
            // The upload stays `completing`: its state is unknown until the store responds.
            (CompletionOutcome::RejectedUnknown(reason), _) => Err(store_rejected(reason)),
            (CompletionOutcome::Lost, _) => self.on_lost(upload).await,
            (CompletionOutcome::Exists, object) => self.on_exists(upload, object).await,
            (CompletionOutcome::Damaged, _) => self.on_damaged(upload).await,
        }
    }

    /// Moves the upload to `completing` with the declared parts, or with those that the store
    /// lists.
    async fn start_completing(
        &self,
        upload: &Upload,
        source: &CompletionSource,
    ) -> Result<TransitionOutcome, Refusal> {
        let (id, epoch, renewed) = (&upload.id, source.epoch(), self.renewed());
        match source {
            CompletionSource::Declared(request) if upload.kind == UploadKind::Streamed => self
                .ledger
                .start_completing_stream(id, epoch, upload.plan, request.parts.clone(), renewed)
                .await
                .map_err(ledger_failed),
            CompletionSource::Declared(request) => self
                .ledger
                .start_completing(id, epoch, request.parts.clone(), renewed)
                .await
                .map_err(ledger_failed),
            CompletionSource::Listed { .. } if upload.state == UploadState::Completing => self
                .ledger
                .renew_completing(id, epoch, renewed)
                .await
                .map_err(ledger_failed),
            CompletionSource::Listed { parts, quota, .. } => {
                let outcome = self
                    .ledger
                    .start_completing_listed(id, epoch, upload.plan, parts.clone(), *quota, renewed)
                    .await;
                Ok(outcome.map_err(ledger_failed)??)
            }
        }
    }

    /// Completes the multipart upload, unless its object exists already, and checks the object.
    async fn complete_in_store(&self, upload: &Upload, source: &CompletionSource) -> StoreOutcome {
        let Some(multipart) = &upload.store_upload else {
            let (check, object) = self.check_object(upload, source.checksum()).await;
            return (multipart_outcome(Err(&Fault::NoSuchUpload), check), object);
        };
        if upload.state == UploadState::Completing {
            // An earlier complete may have succeeded.
            let (check, object) = self.check_object(upload, source.checksum()).await;
            if check == ObjectCheck::Matches {
                return (CompletionOutcome::Verified, object);
            }
        }
        if let (CompletionSource::Declared(request), Some(chosen)) = (source, &upload.chosen) {
            return self
                .complete_at_chosen_key(upload, multipart, request, chosen)
                .await;
        }
        let (key, size) = (&upload.key, upload.plan.size());
        let response = match source {
            CompletionSource::Declared(request) => {
                let condition = WriteCondition::Absent;
                self.request_complete(upload, multipart, request, condition)
                    .await
            }
            CompletionSource::Listed { parts, .. } => {
                self.unproven_store
                    .complete_without_checksums(key, multipart, parts, size)
                    .await
            }
        };
        if let Err(fault) = &response {
            tracing::warn!(id = %upload.id, ?fault, "complete failed in the store");
        }
        let (check, object) = self.check_object(upload, source.checksum()).await;
        let outcome = multipart_outcome(response.as_ref().copied(), check);
        (outcome, object)
    }

    /// Asks the store to complete a multipart upload.
    pub(super) async fn request_complete(
        &self,
        upload: &Upload,
        multipart: &str,
        request: &CompleteRequest,
        condition: WriteCondition<'_>,
    ) -> Result<(), Fault> {
        let (parts, size) = (&request.parts, upload.plan.size());
        let response = self
            .store
            .complete(&upload.key, multipart, parts, size, condition)
            .await;
        crash::point("gateway.complete.store_responded");
        response
    }

    /// Compares the object at the upload's key with the expected one.
    pub(super) async fn check_object(
        &self,
        upload: &Upload,
        checksum: Option<&Checksum>,
    ) -> (ObjectCheck, Option<Head>) {
        let _permit = self.store_calls.acquire().await;
        match self.store.head(&upload.key).await {
            Ok(object) => {
                let unsigned = object
                    .as_ref()
                    .map(|object| self.unsigned_headers(upload, object));
                let expected = ExpectedObject {
                    token: &upload.token,
                    size: upload.plan.size(),
                    checksum,
                    unsigned_headers: unsigned.as_deref().unwrap_or_default(),
                };
                (check_object(object.as_ref(), &expected), object)
            }
            Err(fault) => {
                report_store_fault("check an object", &fault);
                (ObjectCheck::Unknown, None)
            }
        }
    }

    /// The names of headers that the client has added to the object of a single PUT, logged.
    pub(super) fn unsigned_headers(&self, upload: &Upload, object: &Head) -> Vec<String> {
        // Parts keep no headers, and the gateway creates their object.
        if !upload.is_single() || !upload.owns(object) {
            return Vec::new();
        }
        let headers = self
            .store
            .header_differences(object, &upload.new_object())
            .unsigned;
        if !headers.is_empty() {
            tracing::warn!(
                id = %upload.id, key = %upload.key, headers = headers.join(", "),
                "the object has headers that the gateway did not request"
            );
        }
        headers
    }

    /// Verifies an upload of a single PUT in one write. Returns `None` if epoch, state or SHA-256
    /// in the ledger do not match. The caller then moves the upload to `completing`, which reports
    /// the difference.
    async fn mark_single_verified(
        &self,
        upload: &Upload,
        source: &CompletionSource,
        object: &Head,
    ) -> Result<Option<Receipt>, Refusal> {
        let Some(part) = source.only_part() else {
            return Ok(None);
        };
        let receipt = self.receipt(upload, source, object);
        let is_verified = self
            .ledger
            .mark_single_verified(
                &receipt,
                source.epoch(),
                part.clone(),
                self.new_hooks_due_at(),
            )
            .await
            .map_err(ledger_failed)?;
        Ok(is_verified.then_some(receipt))
    }

    async fn record_verified(&self, upload: &Upload, receipt: Receipt) -> CompleteResult {
        let hooks_due_at = self.new_hooks_due_at();
        let verified = self.ledger.mark_verified(&receipt, hooks_due_at).await;
        if verified.map_err(ledger_failed)? {
            return Ok(self.on_verified(upload, receipt).await);
        }
        let outcome = TransitionOutcome::WrongState(UploadState::Completing);
        self.result_of_other_call(upload, outcome).await
    }

    pub(super) fn receipt(
        &self,
        upload: &Upload,
        source: &CompletionSource,
        object: &Head,
    ) -> Receipt {
        let store = if source.checksum().is_some() {
            &self.store
        } else {
            &self.unproven_store
        };
        let chosen = upload.chosen.as_ref().map(|_| upload.condition());
        Receipt {
            id: Some(upload.id.clone()),
            backend: self.config().backend_url.clone(),
            instance_id: self.ledger.instance_id().to_owned(),
            name: upload.name.clone(),
            bucket: self.store.public_bucket().map(str::to_owned),
            key: self.store.key_in_bucket(&upload.key),
            location: Some(self.store.location(&upload.key)),
            version_id: object.version_id.clone().filter(|id| id != "null"),
            size: upload.plan.size(),
            parts: source.part_count(),
            part_size: upload.plan.part_size(),
            double_after: upload.plan.schedule().double_after(),
            etag: object.etag.clone(),
            checksum: source.checksum().cloned(),
            proof: store.proof(),
            unproven: store.unproven(object, &upload.new_object(), upload.is_single(), chosen),
            sha256: source.object_sha256(),
            started: upload.created_at,
            finished: in_milliseconds(self.now()),
        }
    }

    /// The time at which the hooks of a newly verified upload are due: now. Returns `None` without
    /// hooks.
    pub(super) fn new_hooks_due_at(&self) -> Option<Timestamp> {
        self.has_hooks().then(|| self.now())
    }

    /// Counts a verified upload and wakes the hooks.
    pub(super) async fn on_verified(&self, upload: &Upload, mut receipt: Receipt) -> Completion {
        metrics().record_verified_bytes(receipt.size);
        if self.has_hooks() {
            receipt.location = None;
            crash::point("gateway.hooks.due");
            self.hooks_due.notify_one();
        } else {
            crash::point("gateway.complete.ready");
            metrics().record_final_state(UploadState::Ready);
            self.audit_ready(upload, &receipt).await;
        }
        Completion::Receipt(Box::new(receipt))
    }

    /// Ends an upload that is lost: the store has neither the object nor the multipart upload.
    async fn on_lost(&self, upload: &Upload) -> CompleteResult {
        tracing::warn!(
            id = %upload.id, key = %upload.key,
            "store has neither the object nor the multipart upload"
        );
        let from = &[UploadState::Completing];
        if self.end(upload, from, UploadState::Expired).await? {
            return Err(Refusal::new(Code::Gone));
        }
        let outcome = TransitionOutcome::WrongState(UploadState::Expired);
        self.result_of_other_call(upload, outcome).await
    }

    /// Rejects an upload with an object that does not match, and deletes the object.
    async fn on_damaged(&self, upload: &Upload) -> CompleteResult {
        let from = &[UploadState::Completing];
        let now = self.now();
        let late_writes = LateWrites::of(upload, self.config().url_ttl, now);
        // The sweep removes the object if the deletion below fails.
        let ending = Ending {
            now,
            cleanup_at: Some(now),
            may_land_until: late_writes.and_then(|writes| writes.possible_until),
        };
        let is_rejected = self
            .ledger
            .end(&upload.id, from, UploadState::Rejected, ending)
            .await
            .map_err(ledger_failed)?;
        if !is_rejected {
            // Another call has changed the state and may have accepted the object, so this call
            // must not delete it.
            let outcome = TransitionOutcome::WrongState(UploadState::Rejected);
            return self.result_of_other_call(upload, outcome).await;
        }
        metrics().record_final_state(UploadState::Rejected);
        self.audit_ended(upload, UploadState::Rejected).await;
        tracing::error!(
            id = %upload.id, key = %upload.key,
            "object does not match its upload and is deleted"
        );
        if let Err(fault) = self.delete_object(upload).await {
            tracing::warn!(key = %upload.key, ?fault, "could not delete a damaged object");
        }
        Err(Refusal::new(Code::Gone))
    }

    /// Moves the upload from `completing` back to `uploading`, so that its parts can be sent again.
    /// Returns `refusal`.
    async fn reopen(&self, upload: &Upload, refusal: Refusal) -> CompleteResult {
        let reopened = self.ledger.reopen(&upload.id).await;
        if reopened.map_err(ledger_failed)? {
            return Err(refusal);
        }
        let outcome = TransitionOutcome::WrongState(UploadState::Uploading);
        self.result_of_other_call(upload, outcome).await
    }

    /// The result if another call has changed the upload in the meantime: its receipt, otherwise
    /// the refusal for `outcome`.
    pub(super) async fn result_of_other_call(
        &self,
        upload: &Upload,
        outcome: TransitionOutcome,
    ) -> CompleteResult {
        match self.reload(upload).await?.shown_receipt() {
            Some(receipt) => Ok(Completion::Receipt(Box::new(receipt))),
            None => Err(refuse_transition(outcome)),
        }
    }
}

/// Removes a completion from the list of running ones, also after a panic.
struct CompletionGuard {
    service: Arc<Service>,
    id: UploadId,
}

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        lock(&self.service.completions).remove(&self.id);
    }
}
