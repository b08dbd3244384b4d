//! Reading: an upload's status, its parts as the store holds them, the owner's uploads, and a URL to read an object.
//!
//! Border: nothing here moves an upload on, but for one the store turns out to have lost.

use std::time::Duration;

use jiff::Timestamp;

use super::{Service, aged, is_over};
use crate::auth::Owner;
use crate::ledger::{Upload, UploadKind};
use crate::problem::{Refusal, store_failed};
use upload_s3::Fault;
use upload_types::names::{PartNumber, Sha256, SignedUrl};
use upload_types::sync::lock;
use upload_types::wire::{
    Code, PartList, ReadUrl, StoredPart, UploadList, UploadState, UploadStatus,
};

/// Parts in one page.
const PAGE: u32 = 1000;
/// Uploads in one page: with the largest metadata that is taken, they stay below what a client reads.
const UPLOADS: u32 = 500;
/// States whose parts are in a multipart upload.
const UNDER_WAY: &[UploadState] = &[
    UploadState::Pending,
    UploadState::Uploading,
    UploadState::Completing,
];
const READ_DEFAULT: u64 = 60 * 60;
/// As long as S3 lets a presigned URL live.
const READ_MAX: u64 = 7 * 24 * 60 * 60;

impl Service {
    /// # Errors
    /// `not_found`.
    pub async fn status(&self, owner: &Owner, id: &str) -> Result<UploadStatus, Refusal> {
        Ok(status(self.find(owner, id).await?))
    }

    /// A page of the owner's uploads, newest first, behind the upload `after`.
    ///
    /// # Errors
    /// `invalid_request` for a state there is not; `not_found` when `after` is none of the owner's.
    pub async fn list(
        &self,
        owner: &Owner,
        state: Option<&str>,
        after: Option<&str>,
    ) -> Result<UploadList, Refusal> {
        let unknown = || Refusal::saying(Code::InvalidRequest, "state is none an upload can be in");
        let state = state
            .map(|name| UploadState::from_name(name).ok_or_else(unknown))
            .transpose()?;
        let after = match after {
            Some(id) => Some(self.row(owner, id).await?),
            None => None,
        };
        let uploads = self
            .ledger
            .uploads(&owner.0, state, after.as_ref(), UPLOADS)
            .await?;
        let full = uploads.len() == usize::try_from(UPLOADS).unwrap_or(usize::MAX);
        let next = uploads
            .last()
            .filter(|_| full)
            .map(|upload| upload.id.clone());
        let now = Timestamp::now();
        Ok(UploadList {
            uploads: uploads
                .into_iter()
                .map(|upload| status(aged(upload, now)))
                .collect(),
            next,
        })
    }

    /// A page of the parts the store holds behind `after`; once the upload is complete, of those it was completed with.
    ///
    /// # Errors
    /// `gone`, `busy` while it is being decided where the parts went, `not_found`, `store_unavailable`.
    pub async fn parts(&self, owner: &Owner, id: &str, after: u32) -> Result<PartList, Refusal> {
        let upload = self.find(owner, id).await?;
        if is_over(upload.state) {
            return Err(Refusal::new(Code::Gone));
        }
        if matches!(upload.state, UploadState::Verified | UploadState::Ready) {
            return self.recorded(&upload, after).await;
        }
        let page = match (&upload.store_upload, upload.is_single()) {
            (_, true) => self
                .single_part(&upload, after)
                .await
                .map_err(|fault| store_failed("head", &fault))?,
            (None, false) => PartList {
                parts: Vec::new(),
                next: None,
            },
            (Some(multipart), false) => {
                let behind = PartNumber::try_from(after).ok();
                match self.store.list(&upload.key, multipart, behind).await {
                    Ok((parts, next)) => PartList { parts, next },
                    Err(Fault::NoSuchUpload) => {
                        return self.without_multipart(&upload, after).await;
                    }
                    Err(fault) => return Err(store_failed("list", &fault)),
                }
            }
        };
        // What a complete was asked with stays as it was said: it is decided by that.
        if upload.state != UploadState::Completing && upload.kind == UploadKind::Declared {
            self.ledger
                .record_stored_parts(&upload.id, page.parts.clone())
                .await?;
        }
        Ok(page)
    }

    /// A plain PUT's one part, if the object at the key is ours.
    async fn single_part(&self, upload: &Upload, after: u32) -> Result<PartList, Fault> {
        let head = self
            .store
            .head(&upload.key)
            .await?
            .filter(|head| head.token.as_ref() == Some(&upload.token));
        let part = head.filter(|_| after == 0).map(|head| StoredPart {
            number: PartNumber::FIRST,
            size: head.size,
            etag: head.etag,
            sha256: head
                .checksum
                .and_then(|checksum| Sha256::from_base64(checksum.as_str()).ok()),
        });
        Ok(PartList {
            parts: part.into_iter().collect(),
            next: None,
        })
    }

    /// The store no longer knows the multipart upload: it was completed (behind the ledger's back, where that was restored from
    /// a backup), and complete will find that out, or it is lost.
    async fn without_multipart(&self, upload: &Upload, after: u32) -> Result<PartList, Refusal> {
        let head = self
            .store
            .head(&upload.key)
            .await
            .map_err(|fault| store_failed("head", &fault))?;
        if head.is_some_and(|head| head.token.as_ref() == Some(&upload.token)) {
            return self.recorded(upload, after).await;
        }
        let deciding = lock(&self.completing).contains_key(&upload.id);
        if !deciding && self.end(upload, UNDER_WAY, UploadState::Expired).await? {
            tracing::warn!(id = %upload.id, key = %upload.key, "the store has lost the multipart upload");
            return Err(Refusal::new(Code::Gone));
        }
        Err(Refusal::later(Code::Busy, 1))
    }

    async fn recorded(&self, upload: &Upload, after: u32) -> Result<PartList, Refusal> {
        let rows = self.ledger.parts(&upload.id, after, PAGE).await?;
        let last = rows.last().map(|row| row.number);
        let full = rows.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
        let more = |last: &PartNumber| match upload.kind {
            UploadKind::Declared => last.get() < upload.plan.count(),
            _ => full,
        };
        let next = last.filter(more);
        let part = |row: crate::ledger::LedgerPart| {
            row.etag.map(|etag| StoredPart {
                number: row.number,
                size: row.size,
                etag,
                sha256: row.sha256,
            })
        };
        Ok(PartList {
            parts: rows.into_iter().filter_map(part).collect(),
            next,
        })
    }

    /// A URL to read the object with: the CDN's, or one for `expires` seconds (an hour by default, at most seven days).
    ///
    /// # Errors
    /// `busy` before the upload is ready, `rate_limited`, `gone`, `not_found`, `invalid_request`, `store_unavailable`.
    pub async fn url(
        &self,
        owner: &Owner,
        id: &str,
        expires: Option<u64>,
    ) -> Result<ReadUrl, Refusal> {
        let upload = self.find(owner, id).await?;
        let expires = expires.unwrap_or(READ_DEFAULT);
        if !(1..=READ_MAX).contains(&expires) {
            return Err(Refusal::saying(
                Code::InvalidRequest,
                format!("expires is 1 to {READ_MAX} seconds"),
            ));
        }
        match upload.state {
            UploadState::Ready => {}
            state if is_over(state) => return Err(Refusal::new(Code::Gone)),
            _ => {
                return Err(Refusal::saying(
                    Code::Busy,
                    "the upload is not complete yet",
                ));
            }
        }
        if let Some(url) = self.store.cdn_url(&upload.key) {
            return Ok(ReadUrl {
                url: SignedUrl::new(url),
                expires_in: None,
            });
        }
        self.signed.take(&owner.0, 1)?;
        let signed = self
            .store
            .sign_get(&upload.key, &upload.name, Duration::from_secs(expires))
            .await;
        let (url, lives) = signed.map_err(|fault| store_failed("sign a read", &fault))?;
        Ok(ReadUrl {
            url,
            expires_in: Some(lives),
        })
    }
}

fn status(upload: Upload) -> UploadStatus {
    // What has no plan has sizes once it is complete.
    let known = upload.kind == UploadKind::Declared || upload.receipt.is_some();
    let parts = upload
        .receipt
        .as_ref()
        .map_or(upload.plan.count(), |receipt| receipt.parts);
    let spec = upload.spec;
    UploadStatus {
        id: spec.id,
        state: upload.state,
        name: spec.name,
        key: spec.key,
        size: known.then_some(spec.plan.size()),
        content_type: spec.content_type,
        metadata: spec.metadata,
        part_size: if known { spec.plan.part_size() } else { 0 },
        part_count: if known { parts } else { 0 },
        created_at: spec.created_at,
        expires_at: upload.expires_at,
        receipt: upload.receipt,
        reason: upload
            .rejection
            .map(|rejection| rejection.reason.as_str().to_owned()),
    }
}
