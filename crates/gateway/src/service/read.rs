//! Read: the status of an upload, its parts, the uploads of an owner, and a URL to read an object.
//!
//! These operations change no state, with two exceptions: if the store has lost an upload, the
//! upload expires; if it has lost an object, its bytes are no longer counted.

use std::time::Duration;

use super::lifecycle::{is_complete, is_gone, refuse_parts, with_expiry};
use super::shared_state::Service;
use crate::auth::Owner;
use crate::ledger::{LedgerPart, Upload, UploadKind};
use crate::problem::{Refusal, ledger_failed, store_failed};
use upload_s3::Fault;
use upload_types::sync::lock;
use upload_types::wire::{
    Code, ObjectState, PartList, ReadUrl, StoredPart, UploadList, UploadState, UploadStatus,
};
use upload_types::{ETag, PartNumber, Sha256, SignedUrl};

const PARTS_PER_PAGE: u32 = 1000;
/// Even with the largest metadata, a page is smaller than the largest body that a client reads.
const UPLOADS_PER_PAGE: u32 = 500;
/// In these states, the parts are in a multipart upload.
const UNFINISHED: &[UploadState] = &[
    UploadState::Pending,
    UploadState::Uploading,
    UploadState::Completing,
];
const DEFAULT_READ_URL_SECONDS: u64 = 60 * 60;
/// The maximum of S3 for a presigned URL.
const MAX_READ_URL_SECONDS: u64 = 7 * 24 * 60 * 60;

impl Service {
    /// The status of an upload. If it is complete, its object is checked in the store.
    ///
    /// # Errors
    /// `rate_limited`, `not_found`, `store_unavailable`.
    pub async fn status(&self, owner: &Owner, id: &str) -> Result<UploadStatus, Refusal> {
        self.take_permits(owner, 1)?;
        let upload = self.find_upload(owner, id).await?;
        let object = if is_complete(upload.state) {
            Some(self.object_state(&upload).await?)
        } else {
            None
        };
        Ok(UploadStatus {
            object,
            ..self.describe(upload)
        })
    }

    /// Compares the object in the store with the one that was verified. A missing one no longer
    /// counts towards the quota.
    pub(super) async fn object_state(&self, upload: &Upload) -> Result<ObjectState, Refusal> {
        let object = self
            .store
            .head(&upload.key)
            .await
            .map_err(|fault| store_failed("check an object", &fault))?;
        if object.is_none() {
            // A missing object takes no space.
            let freed = self.ledger.free_held_bytes(&upload.id).await;
            freed.map_err(ledger_failed)?;
        }
        Ok(match object {
            None => ObjectState::Missing,
            // An object with the same content may come from another upload at a chosen key.
            Some(object)
                if is_recorded(upload, object.size, &object.etag)
                    && (upload.chosen.is_none() || upload.owns(&object)) =>
            {
                ObjectState::Present
            }
            Some(_) => ObjectState::Replaced,
        })
    }

    /// A page of the owner's uploads, newest first, that begins after the upload `after`.
    ///
    /// # Errors
    /// `invalid_request` for an unknown state; `not_found` if the owner has no upload `after`;
    /// `rate_limited`.
    pub async fn list(
        &self,
        owner: &Owner,
        state: Option<&str>,
        after: Option<&str>,
    ) -> Result<UploadList, Refusal> {
        self.take_permits(owner, 1)?;
        let unknown = || Refusal::with_detail(Code::InvalidRequest, "there is no such state");
        let state = state
            .map(|name| UploadState::from_name(name).ok_or_else(unknown))
            .transpose()?;
        let after = match after {
            Some(id) => Some(self.find_row(owner, id).await?),
            None => None,
        };
        let uploads = self
            .ledger
            .uploads(&owner.0, state, after.as_ref(), UPLOADS_PER_PAGE)
            .await
            .map_err(ledger_failed)?;
        let is_full = is_full_page(uploads.len(), UPLOADS_PER_PAGE);
        let last = uploads.last().filter(|_| is_full);
        let next = last.map(|upload| upload.id.clone());
        let now = self.now();
        let uploads = uploads
            .into_iter()
            .map(|upload| UploadStatus {
                attributes: Box::default(),
                ..self.describe(with_expiry(upload, now))
            })
            .collect();
        Ok(UploadList { uploads, next })
    }

    /// A page of the parts that the store has of an unfinished upload. It begins after part
    /// `after`. Most complete uploads have no list of parts.
    ///
    /// # Errors
    /// `gone`, `busy` while the upload is being completed and its parts cannot be listed,
    /// `invalid_request` for a complete upload of several parts, `rate_limited`, `not_found`,
    /// `store_unavailable`.
    pub async fn parts(&self, owner: &Owner, id: &str, after: u32) -> Result<PartList, Refusal> {
        self.take_permits(owner, 1)?;
        self.page_of_parts(owner, id, after).await
    }

    /// Like [`Service::parts`], without a permit of the owner's rate.
    pub(super) async fn page_of_parts(
        &self,
        owner: &Owner,
        id: &str,
        after: u32,
    ) -> Result<PartList, Refusal> {
        let upload = self.find_upload(owner, id).await?;
        if is_gone(upload.state) {
            return Err(Refusal::new(Code::Gone));
        }
        if is_complete(upload.state) {
            return self.parts_of_complete(&upload, after).await;
        }
        let page = match (&upload.store_upload, upload.is_single()) {
            (_, true) => self
                .single_part(&upload, after)
                .await
                .map_err(|fault| store_failed("check an object", &fault))?,
            (None, false) => PartList {
                parts: Vec::new(),
                next: None,
            },
            (Some(multipart), false) => {
                let after_part = PartNumber::try_from(after).ok();
                match self.store.list(&upload.key, multipart, after_part).await {
                    Ok((parts, next)) => PartList { parts, next },
                    Err(Fault::NoSuchUpload) => {
                        return self.on_multipart_missing(&upload, after).await;
                    }
                    Err(fault) => return Err(store_failed("list parts", &fault)),
                }
            }
        };
        // The ETags of a running complete must not change, since a repetition uses them.
        if upload.state != UploadState::Completing && upload.kind.declares_parts() {
            self.ledger
                .record_stored_parts(&upload.id, page.parts.clone())
                .await
                .map_err(ledger_failed)?;
        }
        Ok(page)
    }

    /// The part of a single PUT, if the object at the key belongs to the upload.
    async fn single_part(&self, upload: &Upload, after: u32) -> Result<PartList, Fault> {
        let object = self.find_own_object(upload).await?;
        let part = object.filter(|_| after == 0).map(|object| StoredPart {
            number: PartNumber::FIRST,
            size: object.size,
            etag: object.etag,
            sha256: object
                .checksum
                .and_then(|checksum| Sha256::from_base64(checksum.as_str()).ok()),
        });
        Ok(PartList {
            parts: part.into_iter().collect(),
            next: None,
        })
    }

    /// The parts of an upload if its multipart upload is not in the store. Either the multipart
    /// upload was completed without a record in the ledger (for example if the ledger was restored
    /// from a backup), and the next complete will find the object, or the store has lost it.
    async fn on_multipart_missing(&self, upload: &Upload, after: u32) -> Result<PartList, Refusal> {
        let object = self.find_own_object(upload).await;
        let object = object.map_err(|fault| store_failed("check an object", &fault))?;
        if object.is_some() {
            let recorded = self.recorded_parts(upload, after).await?;
            // Another call may have completed the upload, and deleted the rows of its parts.
            let upload = self.reload(upload).await?;
            return if is_complete(upload.state) {
                self.parts_of_complete(&upload, after).await
            } else {
                Ok(recorded)
            };
        }
        let is_completing = lock(&self.completions).contains_key(&upload.id);
        if !is_completing && self.end(upload, UNFINISHED, UploadState::Expired).await? {
            tracing::warn!(id = %upload.id, key = %upload.key, "store has lost the multipart upload");
            return Err(Refusal::new(Code::Gone));
        }
        Err(Refusal::retry_after(Code::Busy, 1))
    }

    /// The parts of a complete upload. The only part of a single PUT is its object. The rows of a
    /// browser's parts are in the ledger for a while; those of other uploads are not.
    ///
    /// # Errors
    /// `invalid_request` if the ledger has no parts of the upload.
    async fn parts_of_complete(&self, upload: &Upload, after: u32) -> Result<PartList, Refusal> {
        let receipt = upload.receipt.as_ref();
        if let Some(receipt) = receipt.filter(|_| upload.is_single()) {
            let part = StoredPart {
                number: PartNumber::FIRST,
                size: receipt.size,
                etag: receipt.etag.clone(),
                sha256: receipt.sha256,
            };
            return Ok(PartList {
                parts: Some(part).filter(|_| after == 0).into_iter().collect(),
                next: None,
            });
        }
        let recorded = self.recorded_parts(upload, after).await?;
        if recorded.parts.is_empty() && after == 0 {
            return Err(refuse_parts(upload.state));
        }
        Ok(recorded)
    }

    /// A page of the parts in the ledger that were in the store when they were listed, or that a
    /// request to complete has named.
    async fn recorded_parts(&self, upload: &Upload, after: u32) -> Result<PartList, Refusal> {
        let rows = self.ledger.parts(&upload.id, after, PARTS_PER_PAGE).await;
        let rows = rows.map_err(ledger_failed)?;
        let last = rows.last().map(|row| row.number);
        let is_full = is_full_page(rows.len(), PARTS_PER_PAGE);
        let has_more = |last: &PartNumber| match upload.kind {
            UploadKind::Declared | UploadKind::Copied => last.get() < upload.plan.count(),
            UploadKind::Streamed | UploadKind::Multipart | UploadKind::FormPost => is_full,
        };
        let next = last.filter(has_more);
        let part = |row: LedgerPart| {
            Some(StoredPart {
                number: row.number,
                size: row.size,
                etag: row.etag?,
                sha256: row.sha256,
            })
        };
        Ok(PartList {
            parts: rows.into_iter().filter_map(part).collect(),
            next,
        })
    }

    /// A URL to read the object: that of the CDN, or a presigned one for `expires` seconds (default
    /// an hour, at most seven days).
    ///
    /// # Errors
    /// `not_ready` before the upload is ready, `rate_limited`, `gone`, `not_found`,
    /// `invalid_request`, `store_unavailable`.
    pub async fn url(
        &self,
        owner: &Owner,
        id: &str,
        expires: Option<u64>,
    ) -> Result<ReadUrl, Refusal> {
        let upload = self.find_upload(owner, id).await?;
        let expires = expires.unwrap_or(DEFAULT_READ_URL_SECONDS);
        if !(1..=MAX_READ_URL_SECONDS).contains(&expires) {
            return Err(Refusal::with_detail(
                Code::InvalidRequest,
                format!("expires must be 1 to {MAX_READ_URL_SECONDS} seconds"),
            ));
        }
        match upload.state {
            UploadState::Ready => {}
            state if is_gone(state) => return Err(Refusal::new(Code::Gone)),
            UploadState::Verified => {
                let detail = "the hooks of the gateway have not accepted the object yet";
                return Err(Refusal::with_detail(Code::NotReady, detail));
            }
            _ => {
                let detail = "the upload is not complete; its client must complete it first";
                return Err(Refusal::with_detail(Code::NotReady, detail));
            }
        }
        self.take_permits(owner, 1)?;
        let missing = match self.object_state(&upload).await? {
            ObjectState::Present => None,
            ObjectState::Replaced => Some("the object of this upload was replaced by another one"),
            ObjectState::Missing => Some("the store no longer has the object of this upload"),
        };
        if let Some(detail) = missing {
            return Err(Refusal::with_detail(Code::Gone, detail));
        }
        if let Some(url) = self.store.cdn_url(&upload.key) {
            return Ok(ReadUrl {
                url: SignedUrl::new(url),
                expires_in: None,
            });
        }
        let ttl = Duration::from_secs(expires);
        let signed = self.store.sign_get(&upload.key, &upload.name, ttl).await;
        let (url, expires_in) = signed.map_err(|fault| store_failed("sign a read", &fault))?;
        Ok(ReadUrl {
            url,
            expires_in: Some(expires_in),
        })
    }

    /// The status of an upload, without that of its object.
    pub(super) fn describe(&self, upload: Upload) -> UploadStatus {
        // The sizes of a stream and of an upload from a browser are unknown until it is complete.
        let is_size_known = upload.kind.has_plan() || upload.receipt.is_some();
        let part_count = upload
            .receipt
            .as_ref()
            .map_or(upload.plan.count(), |receipt| receipt.parts);
        let receipt = upload.shown_receipt();
        let spec = upload.spec;
        UploadStatus {
            id: spec.id,
            state: upload.state,
            name: spec.name,
            key: self.store.key_in_bucket(&spec.key),
            size: is_size_known.then_some(spec.plan.size()),
            content_type: spec.content_type,
            metadata: spec.metadata,
            attributes: spec.attributes,
            part_size: if is_size_known || spec.kind.declares_parts() {
                spec.plan.part_size()
            } else {
                0
            },
            double_after: spec.plan.schedule().double_after(),
            part_count: if is_size_known { part_count } else { 0 },
            created_at: spec.created_at,
            // Zero in the ledger marks an upload that has expired.
            expires_at: upload.expires_at.max(spec.created_at),
            receipt,
            reason: upload
                .rejection
                .map(|rejection| rejection.reason.as_str().to_owned()),
            object: None,
        }
    }
}

/// Whether an object with this size and `ETag` is the one that was verified for the upload.
pub(super) fn is_recorded(upload: &Upload, size: u64, etag: &ETag) -> bool {
    let receipt = upload.receipt.as_ref();
    size == upload.plan.size() && receipt.is_some_and(|receipt| receipt.etag == *etag)
}

fn is_full_page(count: usize, page: u32) -> bool {
    usize::try_from(page).is_ok_and(|page| count == page)
}
