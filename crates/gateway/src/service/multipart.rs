//! The multipart upload in the store that belongs to an upload.

use super::lifecycle::refuse_parts;
use super::shared_state::Service;
use crate::key_patterns::ClientKeys;
use crate::ledger::Upload;
use crate::problem::{Refusal, ledger_failed, report_ledger_error, store_failed};
use upload_s3::Fault;
use upload_types::attributes::Attribute;
use upload_types::crash;
use upload_types::wire::{Code, UploadState};

/// Whether to reuse a multipart upload that the store has and the ledger does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// An earlier call may have created one, so the store is searched first.
    SearchFirst,
    /// The upload is new, so the store has none; or those at the key may belong to others.
    Never,
}

impl Reuse {
    pub fn unless(is_new: bool) -> Self {
        if is_new {
            Self::Never
        } else {
            Self::SearchFirst
        }
    }
}

impl Service {
    /// Ensures that an open upload of several parts has a multipart upload: the one in the ledger,
    /// otherwise the oldest one at its key, otherwise a new one. At a key that the client has
    /// chosen, others belong to other uploads or to other programs.
    pub(super) async fn ensure_multipart(
        &self,
        mut upload: Upload,
        reuse: Reuse,
    ) -> Result<Upload, Refusal> {
        if upload.is_single() || upload.store_upload.is_some() {
            return Ok(upload);
        }
        let reuse = if upload.chosen.is_some() {
            Reuse::Never
        } else {
            reuse
        };
        let mut candidates = self.multipart_candidates(&upload, reuse).await?.into_iter();
        crash::point("gateway.begin.created");
        let Some(multipart) = candidates.next() else {
            return Ok(upload);
        };
        let is_set = self
            .ledger
            .set_store_upload(&upload.id, &multipart)
            .await
            .map_err(ledger_failed)?;
        crash::point("gateway.begin.multipart_recorded");
        if !is_set {
            // Another gateway was faster, or the upload was aborted in the meantime. No spare
            // multipart upload must remain in the store.
            upload = self.reload(&upload).await?;
            if upload.store_upload.as_ref() != Some(&multipart) {
                self.abort_spare(&upload, &multipart).await;
            }
            if upload.store_upload.is_none() {
                return Err(refuse_parts(upload.state));
            }
            return Ok(upload);
        }
        for spare in candidates {
            self.abort_spare(&upload, &spare).await;
        }
        upload.store_upload = Some(multipart);
        Ok(upload)
    }

    /// The multipart uploads at the key, oldest first, or a new one if the store has none.
    async fn multipart_candidates(
        &self,
        upload: &Upload,
        reuse: Reuse,
    ) -> Result<Vec<String>, Refusal> {
        let _permit = self.store_calls.acquire().await;
        if reuse == Reuse::SearchFirst {
            let found = self.store.find(&upload.key).await;
            let found = found.map_err(|fault| store_failed("find multipart uploads", &fault))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let store = if upload.kind.declares_parts() {
            &self.store
        } else {
            &self.unproven_store
        };
        match store.create(&upload.key, &upload.new_object()).await {
            Ok(created) => Ok(vec![created]),
            Err(fault) => Err(self.on_not_created(upload, &fault).await),
        }
    }

    /// Aborts a multipart upload of this gateway that is not needed.
    async fn abort_spare(&self, upload: &Upload, multipart: &str) {
        let Err(fault) = self.store.abort(&upload.key, multipart).await else {
            return;
        };
        tracing::warn!(key = %upload.key, ?fault, "could not abort a spare multipart upload");
        // A sweep tries again. If this fails too, the multipart upload is removed when the upload
        // ends.
        let scheduled = self.ledger.schedule_cleanup(&upload.id, self.now()).await;
        if let Err(error) = scheduled {
            report_ledger_error(&error);
        }
    }

    /// The store has not created a multipart upload. Returns the refusal. A store that refuses the
    /// request may not accept the value of an attribute, such as an unknown storage class: then the
    /// upload ends, because no repetition succeeds.
    async fn on_not_created(&self, upload: &Upload, fault: &Fault) -> Refusal {
        let refusal = store_failed("create a multipart upload", fault);
        let Fault::Refused(reason) = fault else {
            return refusal;
        };
        if upload.attributes.is_empty() {
            return refusal;
        }
        let open = &[UploadState::Pending, UploadState::Uploading];
        if let Err(refusal) = self.end(upload, open, UploadState::Aborted).await {
            return refusal;
        }
        let names: Vec<&str> = upload.attributes.given().map(Attribute::name).collect();
        let reason = match self.config().client_keys {
            ClientKeys::All => reason.as_str(),
            ClientKeys::None | ClientKeys::ByPattern => without_message(reason),
        };
        let detail = format!("the store refuses {}: {reason}", names.join(", "));
        Refusal::with_detail(Code::AttributeNotAllowed, detail)
    }
}

/// Operation, status and code of a refusal, such as `CreateMultipartUpload: 400 InvalidTag`. Leaves
/// out the message of the store after them, which may name an encryption key of the operator.
fn without_message(reason: &str) -> &str {
    let end = reason.match_indices(": ").nth(1);
    end.map_or(reason, |(end, _)| &reason[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_is_shortened_to_its_code() {
        let code = "CreateMultipartUpload: 400 InvalidTag (request 1)";
        assert_eq!(without_message(code), code);
        let message = format!("{code}: key arn:aws:kms:x: not found (the request asks for more)");
        assert_eq!(without_message(&message), code);
        assert_eq!(without_message("x"), "x");
    }
}
