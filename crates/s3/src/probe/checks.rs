//! Checks of everything except proofs: conditions, sizes, checksums, repetitions, copies.
//!
//! Not here: the deletion of the objects, in [`super::cleanup`].

use std::time::Duration;

use http::Method;
use tracing::debug;

use upload_net::Response;
use upload_types::wire::{CompletePart, Proof};
use upload_types::{ByteRange, Checksum, ETag, Key, PartNumber, Sha256};

use super::body_check::{self, Reaction, finding_of};
use super::fixture::{
    PROBE_OBJECT, SIGNED_BODY, SOURCE_BODY, URL_TTL, object_key, part_number, part_spec,
};
use super::headers;
use crate::condition::WriteCondition;
use crate::copy::CopySource;
use crate::deletion::{DeleteCondition, Deletion};
use crate::fault::Fault;
use crate::multipart::CompleteConditions;
use crate::profile::{Capability, Finding, Profile, Support};
use crate::signing::body_headers;
use crate::store::Store;
use crate::{response, xml};

/// The age and the lifetime of the URL in the check of expiry.
const EXPIRED_URL_AGE: Duration = Duration::from_hours(1);
const EXPIRED_URL_TTL: Duration = Duration::from_mins(1);
/// The `ETag` of no object.
const OTHER_ETAG: &str = "00000000000000000000000000000000-1";
/// The part number of the check of expiry; see [`super::proofs`] for the others.
const EXPIRY_PART: u32 = 13;
/// The part number of the check of copied parts.
const COPIED_PART: u32 = 14;
/// Unequal sizes of parts, large enough for every store.
const UNEQUAL_SIZES: [usize; 3] = [5 << 20, 6 << 20, 1];
/// The range that is copied from these parts: across the boundary of the first two.
const COPIED_RANGE: ByteRange = ByteRange {
    start: 1 << 20,
    len: 5 << 20,
};

/// A multipart upload in the store with its parts.
type OpenUpload = (String, Vec<CompletePart>);

/// Puts the object `source` twice, each time on condition that it does not exist.
pub(super) async fn check_put_once(store: &Store, probe: &Key) -> Result<Finding, Fault> {
    const IF_ABSENT: Option<(&str, &str)> = Some(("if-none-match", "*"));
    let key = object_key(probe, "source")?;
    let first = Reaction::of(&put_source(store, &key, IF_ABSENT).await?);
    if !first.accepted {
        let unconditional = put_source(store, &key, None).await?;
        response::check("PutObject", unconditional)?;
        return Ok(first.to_true_condition());
    }
    let second = Reaction::of(&put_source(store, &key, IF_ABSENT).await?);
    Ok(second.to_false_condition())
}

/// Deletes the object `source`, as the gateway deletes objects, and looks for it and its version.
pub(super) async fn check_deletion(store: &Store, probe: &Key) -> Result<Finding, Fault> {
    let key = object_key(probe, "source")?;
    let Some(head) = store.head(&key).await? else {
        return Ok(Finding::new(Support::Untried, "no object"));
    };
    let deletion = store
        .delete_versions(&key, |_| true, DeleteCondition::None)
        .await?;
    if store.head(&key).await?.is_some() {
        return Ok(Finding::new(Support::No, "the object remains"));
    }
    Ok(match head.version_id {
        None => Finding::new(Support::Yes, "gone; no versions"),
        // HeadObject of a version needs a permission of its own.
        Some(_) if deletion == Deletion::VersionKept => {
            Finding::new(Support::No, "the version remains")
        }
        Some(version) if store.has_version(&key, &version).await? => {
            Finding::new(Support::No, "the version remains")
        }
        Some(_) => Finding::new(Support::Yes, "gone, its version too"),
    })
}

async fn put_source(
    store: &Store,
    key: &Key,
    condition: Option<(&str, &str)>,
) -> Result<Response, Fault> {
    let mut headers = body_headers(store.proof(), &part_spec(PartNumber::FIRST, SOURCE_BODY))?;
    headers.extend(store.create_headers().clone());
    headers.extend(condition.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let url = store.object_url(key, &[])?;
    let presigned = store.presign(Method::PUT, &url, headers, URL_TTL).await?;
    body_check::put(store, presigned, SOURCE_BODY, &[]).await
}

/// The checks that need a proof.
pub(super) struct Checks<'a> {
    /// Signs for the proof that was found.
    pub(super) store: &'a Store,
    pub(super) key: &'a Key,
    /// Open at `key`.
    pub(super) upload_id: &'a str,
}

impl Checks<'_> {
    /// The checks that need a few small requests.
    pub(super) async fn small(&self, profile: &mut Profile) {
        if let Err(fault) = headers::check(self.store, self.key, profile).await {
            debug!(%fault, "the checks of headers were not finished");
        }
        let expiry = self.check_expiry().await;
        profile.record(Capability::Expiry, finding_of(expiry));
        let listing = self.check_listing().await;
        profile.record(Capability::Listing, finding_of(listing));
        if let Err(fault) = self.check_object(profile).await {
            debug!(%fault, "the checks of an object were not finished");
        }
    }

    /// The checks that send megabytes, or that interest operators only.
    pub(super) async fn large(&self, profile: &mut Profile) {
        let empty_part = self.check_empty_part().await;
        profile.record(Capability::EmptyPart, finding_of(empty_part));
        let unequal_parts = finding_of(self.check_unequal_parts().await);
        let large_object_exists = unequal_parts.support == Support::Yes;
        profile.record(Capability::UnequalParts, unequal_parts);
        if large_object_exists {
            let copy_range = self.check_copy_range().await;
            profile.record(Capability::CopyRange, finding_of(copy_range));
        }
    }

    /// Checks that the store rejects a correct part at an expired URL.
    async fn check_expiry(&self) -> Result<Finding, Fault> {
        let store = self.store;
        let signed_at = reqsign_core::time::Timestamp::now() - EXPIRED_URL_AGE;
        let url = store.object_url(self.key, &[])?;
        let signer = store.client().signer();
        let part_urls = signer.part_urls(&url, self.upload_id, signed_at).await?;
        let number = part_number(EXPIRY_PART);
        let headers = body_headers(store.proof(), &part_spec(number, SIGNED_BODY))?;
        let presigned = part_urls.sign(number, headers, EXPIRED_URL_TTL);
        let response = body_check::put(store, presigned, SIGNED_BODY, &[]).await?;
        Ok(Reaction::of(&response).to_wrong_request())
    }

    /// Checks that the store lists the open upload by the prefix of its key.
    async fn check_listing(&self) -> Result<Finding, Fault> {
        let full_key = self.store.full_key(self.key);
        let (uploads, _) = self.store.list_uploads(&full_key, None).await?;
        let is_listed = uploads.iter().any(|upload| upload.id == self.upload_id);
        Ok(if is_listed {
            Finding::new(Support::Yes, "found")
        } else {
            Finding::new(Support::No, "not found")
        })
    }

    /// Sends a small object of one part; completes it with a wrong size, then correctly; compares
    /// its checksum; completes it again; and tries to replace it.
    async fn check_object(&self, profile: &mut Profile) -> Result<(), Fault> {
        let key = object_key(self.key, "whole")?;
        let (upload_id, parts) = self.send_upload(&key, &[SIGNED_BODY]).await?;
        let body = self.store.complete_body(&parts);
        let complete = |size| {
            let conditions = CompleteConditions { object: None, size };
            self.store
                .send_complete(&key, &upload_id, &body, conditions)
        };

        let size = SIGNED_BODY.len() as u64;
        let wrong_size = Reaction::of(&complete(Some(size + 1)).await?);
        let mut object_size = wrong_size.to_wrong_request();
        if !wrong_size.accepted {
            let correct_size = Reaction::of(&complete(Some(size)).await?);
            if !correct_size.accepted {
                object_size = Finding::new(Support::Refused, correct_size.observed);
                response::check("CompleteMultipartUpload", complete(None).await?)?;
            }
        }
        profile.record(Capability::ObjectSize, object_size);

        let expected = Checksum::composite([&Sha256::of(SIGNED_BODY)]);
        let head = self.store.head(&key).await?;
        let etag = head.as_ref().map(|head| head.etag.clone());
        let composite = match head.and_then(|head| head.checksum) {
            Some(checksum) if checksum == expected => Finding::new(Support::Yes, "matches"),
            Some(_) => Finding::new(Support::No, "differs"),
            None => Finding::new(Support::No, "none"),
        };
        profile.record(Capability::Composite, composite);

        if let Some(etag) = &etag {
            let copied = self.check_copied_part(&key, etag).await;
            profile.record(Capability::CopyChecksum, finding_of(copied));
        }

        let response = complete(None).await?;
        let is_unknown = response::error_code(&response) == "NoSuchUpload";
        let again = Reaction::of(&response);
        let support = if again.accepted || is_unknown {
            Support::Yes
        } else {
            Support::No
        };
        profile.record(
            Capability::CompleteAgain,
            Finding::new(support, again.observed),
        );

        let open = self.check_complete_once(&key, profile).await?;
        match (etag, open) {
            (Some(etag), open) => self.check_complete_match(&key, &etag, open, profile).await,
            (None, Some((upload_id, _))) => self.store.abort(&key, &upload_id).await,
            (None, None) => Ok(()),
        }
    }

    /// Copies an object with the content [`SIGNED_BODY`] as a part of the open upload.
    async fn check_copied_part(&self, key: &Key, etag: &ETag) -> Result<Finding, Fault> {
        if self.store.proof() != Proof::Sha256 {
            return Ok(Finding::new(Support::Untried, "the proof is not sha256"));
        }
        let size = SIGNED_BODY.len() as u64;
        let source = CopySource {
            key,
            etag: Some(etag),
            size,
            range: ByteRange {
                start: 0,
                len: size,
            },
        };
        let number = part_number(COPIED_PART);
        let copied = self
            .store
            .copy_part(&source, self.key, self.upload_id, number)
            .await?;
        Ok(match copied.sha256 {
            Some(sha256) if sha256 == Sha256::of(SIGNED_BODY) => {
                Finding::new(Support::Yes, "matches")
            }
            Some(_) => Finding::new(Support::No, "differs"),
            None => Finding::new(Support::No, "none"),
        })
    }

    /// Completes another upload at the key of an object, on condition that the object does not
    /// exist. Returns the upload with its parts if it is still open.
    async fn check_complete_once(
        &self,
        key: &Key,
        profile: &mut Profile,
    ) -> Result<Option<OpenUpload>, Fault> {
        let open = self.send_upload(key, &[SIGNED_BODY]).await?;
        let reaction = self.complete_if(key, &open, WriteCondition::Absent).await?;
        profile.record(Capability::CompleteOnce, reaction.to_false_condition());
        Ok(Some(open).filter(|_| !reaction.accepted))
    }

    /// Completes an upload at the key of an object, on condition that the object has another
    /// `ETag`; then on condition that it has its own.
    async fn check_complete_match(
        &self,
        key: &Key,
        etag: &ETag,
        open: Option<OpenUpload>,
        profile: &mut Profile,
    ) -> Result<(), Fault> {
        let open = match open {
            Some(open) => open,
            None => self.send_upload(key, &[SIGNED_BODY]).await?,
        };
        let other = OTHER_ETAG
            .parse()
            .map_err(|_| Fault::Refused("could not use the ETag of the probe".into()))?;
        let other = self
            .complete_if(key, &open, WriteCondition::Matches(&other))
            .await?;
        let mut finding = other.to_false_condition();
        if !other.accepted {
            let own = self
                .complete_if(key, &open, WriteCondition::Matches(etag))
                .await?;
            if !own.accepted {
                let (upload_id, _) = &open;
                self.store.abort(key, upload_id).await?;
                finding = own.to_true_condition();
            }
        }
        profile.record(Capability::CompleteMatch, finding);
        Ok(())
    }

    async fn complete_if(
        &self,
        key: &Key,
        (upload_id, parts): &OpenUpload,
        condition: WriteCondition<'_>,
    ) -> Result<Reaction, Fault> {
        let body = self.store.complete_body(parts);
        let conditions = CompleteConditions {
            object: Some(condition),
            size: None,
        };
        let response = self
            .store
            .send_complete(key, upload_id, &body, conditions)
            .await?;
        Ok(Reaction::of(&response))
    }

    async fn check_empty_part(&self) -> Result<Finding, Fault> {
        self.check_parts(&object_key(self.key, "empty")?, &[b""])
            .await
    }

    async fn check_unequal_parts(&self) -> Result<Finding, Fault> {
        let bodies = UNEQUAL_SIZES.map(|size| vec![b'u'; size]);
        let bodies = bodies.each_ref().map(Vec::as_slice);
        self.check_parts(&object_key(self.key, "large")?, &bodies)
            .await
    }

    /// Checks that an object with these parts can be completed.
    async fn check_parts(&self, key: &Key, bodies: &[&[u8]]) -> Result<Finding, Fault> {
        let (upload_id, parts) = self.send_upload(key, bodies).await?;
        let body = self.store.complete_body(&parts);
        let conditions = CompleteConditions::default();
        let response = self
            .store
            .send_complete(key, &upload_id, &body, conditions)
            .await?;
        let reaction = Reaction::of(&response);
        if !reaction.accepted {
            self.store.abort(key, &upload_id).await?;
        }
        Ok(reaction.to_correct_request())
    }

    /// Copies a range of the large object into a new object.
    async fn check_copy_range(&self) -> Result<Finding, Fault> {
        let (from, to) = (
            object_key(self.key, "large")?,
            object_key(self.key, "copy")?,
        );
        let store = self.store.clone().with_proof(Proof::None);
        let upload_id = store.create_without_checksums(&to, &PROBE_OBJECT).await?;
        let result = copy_range(&store, &from, &to, &upload_id).await;
        if !matches!(result, Ok(true)) {
            let _ = store.abort(&to, &upload_id).await;
        }
        Ok(if result? {
            Finding::new(Support::Yes, "copied")
        } else {
            Finding::new(Support::No, "copied another range")
        })
    }

    /// Begins an upload at `key` and sends its parts; aborts it if that fails.
    async fn send_upload(&self, key: &Key, bodies: &[&[u8]]) -> Result<OpenUpload, Fault> {
        let upload_id = self.store.create(key, &PROBE_OBJECT).await?;
        let mut parts = Vec::new();
        for (body, number) in bodies.iter().zip(1..) {
            match self
                .send_part(key, &upload_id, part_number(number), body)
                .await
            {
                Ok(part) => parts.push(part),
                Err(fault) => {
                    self.store.abort(key, &upload_id).await?;
                    return Err(fault);
                }
            }
        }
        Ok((upload_id, parts))
    }

    async fn send_part(
        &self,
        key: &Key,
        upload_id: &str,
        number: PartNumber,
        body: &[u8],
    ) -> Result<CompletePart, Fault> {
        let store = self.store;
        let spec = part_spec(number, body);
        let headers = body_headers(store.proof(), &spec)?;
        let presigned = store
            .presign_internal_part(key, upload_id, number, headers, URL_TTL)
            .await?;
        let response = body_check::put(store, presigned, body, &[]).await?;
        let response = response::check("UploadPart", response)?;
        let etag = response
            .header("etag")
            .and_then(|etag| ETag::from_header(etag).ok())
            .ok_or_else(|| Fault::Unavailable("UploadPart: a response without an ETag".into()))?;
        Ok(CompletePart {
            number,
            etag,
            sha256: spec.sha256,
        })
    }
}

/// Copies [`COPIED_RANGE`] and completes the upload. Returns true if the object has the right size.
async fn copy_range(store: &Store, from: &Key, to: &Key, upload_id: &str) -> Result<bool, Fault> {
    let number = PartNumber::FIRST;
    let source = CopySource {
        key: from,
        etag: None,
        size: UNEQUAL_SIZES.iter().sum::<usize>() as u64,
        range: COPIED_RANGE,
    };
    let etag = store.copy_part(&source, to, upload_id, number).await?.etag;
    let body = xml::complete_body([(number, &etag, None)].into_iter());
    let conditions = CompleteConditions::default();
    let response = store
        .send_complete(to, upload_id, &body, conditions)
        .await?;
    response::check("CompleteMultipartUpload", response)?;
    let head = store.head(to).await?;
    Ok(head.is_some_and(|head| head.size == COPIED_RANGE.len))
}
