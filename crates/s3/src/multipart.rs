//! Multipart uploads: create, find, sign a part, list, complete, abort.
//!
//! Border: S3's operations, each by its page of the Amazon S3 API reference. Nothing is remembered between them.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;

use super::address::Address;
use super::client::{self, Call};
use super::object::signed_put;
use super::profile::{Capability, Held};
use super::sign::{self, Presigned};
use super::{Fault, NewObject, Store, answers, xml};
use upload_net::Response;
use upload_types::names::{Key, PartNumber};
use upload_types::wire::{CompletePart, PartSpec, Proof, SignedPut, StoredPart};

/// More pages of open uploads than any bucket has at one key.
const PAGES_MAX: u32 = 1000;
/// What every gateway's keys begin with.
const KEYS: &str = "uploads/";

/// A place in the listing of open multipart uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    key: String,
    upload: String,
}

impl Store {
    /// `CreateMultipartUpload` with SHA-256 checksums (where they are the proof), what the object is given, and the headers
    /// the bucket demands; gives S3's upload id.
    pub async fn create(&self, key: &Key, object: &NewObject<'_>) -> Result<String, Fault> {
        let url = self.address.object(&self.whole(key), &[("uploads", "")])?;
        let mut call = Call::new("CreateMultipartUpload", Method::POST, url);
        for (name, value) in object.headers() {
            call = call.header(&name, &value)?;
        }
        if self.proof == Proof::Sha256 {
            call = call
                .header("x-amz-checksum-algorithm", "SHA256")?
                .header("x-amz-checksum-type", "COMPOSITE")?;
        }
        for (name, value) in &self.create_headers {
            call = call.header(name, value)?;
        }
        answers::created(self.client.ask(call).await?)
    }

    /// The multipart uploads open at exactly this key, oldest first.
    pub async fn find(&self, key: &Key) -> Result<Vec<String>, Fault> {
        let key = self.whole(key);
        let (mut found, mut after) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let (uploads, next) = self.page(&key, after.as_ref()).await?;
            for upload in uploads.into_iter().filter(|upload| upload.key == key) {
                found.push((upload.initiated.parse::<Timestamp>().ok(), upload.id));
            }
            // Keys come in order: behind ours stand only those it is a prefix of.
            after = next.filter(|next| next.key <= key);
            if after.is_none() {
                found.sort();
                return Ok(found.into_iter().map(|(_, id)| id).collect());
            }
        }
        Err(Fault::Unavailable(
            "ListMultipartUploads: its pages do not end".into(),
        ))
    }

    /// A page of the keys of all multipart uploads of gateways that are open, and where to go on.
    pub async fn open_uploads(
        &self,
        after: Option<&Marker>,
    ) -> Result<(Vec<String>, Option<Marker>), Fault> {
        let prefix = if self.prefix.is_empty() {
            String::new()
        } else {
            format!("{}/", self.prefix)
        };
        let (uploads, next) = self.page(&format!("{prefix}{KEYS}"), after).await?;
        let keys = uploads
            .iter()
            .filter_map(|upload| upload.key.strip_prefix(prefix.as_str()));
        Ok((keys.map(str::to_owned).collect(), next))
    }

    /// One page of `ListMultipartUploads`, and where to go on, if there is more.
    pub(super) async fn page(
        &self,
        prefix: &str,
        after: Option<&Marker>,
    ) -> Result<(Vec<xml::Upload>, Option<Marker>), Fault> {
        let mut query = vec![("uploads", ""), ("prefix", prefix), ("max-uploads", "1000")];
        if let Some(Marker { key, upload }) = after {
            query.extend([
                ("key-marker", key.as_str()),
                ("upload-id-marker", upload.as_str()),
            ]);
        }
        let call = Call::new(
            "ListMultipartUploads",
            Method::GET,
            self.address.bucket(&query),
        );
        let page: xml::ListMultipartUploadsResult =
            self.client.read(call, "ListMultipartUploads").await?;
        let next = Marker {
            key: page.next_key_marker,
            upload: page.next_upload_id_marker,
        };
        // Uploads of one key come in the order of their beginning, so their ids need not grow; but none comes twice.
        let stuck = after.is_some_and(|after| next.key < after.key || next == *after)
            || next.key.is_empty();
        match page.is_truncated {
            true if stuck => Err(Fault::Unavailable(
                "ListMultipartUploads: its pages do not end".into(),
            )),
            more => Ok((page.uploads, more.then_some(next))),
        }
    }

    /// Presigns an `UploadPart` for each part's bytes only: length and checksum (as the proof has it) as signed headers; each
    /// URL lives as `life` says of the part's size. Sends nothing but what finding credentials takes.
    ///
    /// The headers given are all that a client must send, `content-length` among them, but for `host`, which every HTTP
    /// library writes by itself.
    pub async fn sign_parts(
        &self,
        key: &Key,
        upload: &str,
        parts: &[PartSpec],
        life: impl Fn(u64) -> Duration,
    ) -> Result<Vec<SignedPut>, Fault> {
        let url = self.public.object(&self.whole(key), &[])?;
        let (template, life_of) = self
            .client
            .signer
            .template(&url, upload, Duration::ZERO)
            .await?;
        let sign = |part: &PartSpec| {
            let (headers, life) = (
                sign::body_headers(self.proof, part)?,
                life_of(life(part.size))?,
            );
            let url = template.sign(part.number, &headers, life);
            Ok(signed_put(
                part.number,
                Presigned {
                    url,
                    headers,
                    expires_in: life.as_secs(),
                },
            ))
        };
        parts.iter().map(sign).collect()
    }

    /// Presigns an `UploadPart` of any bytes: `host` alone is signed, as a browser can send nothing more.
    pub async fn sign_bare(
        &self,
        key: &Key,
        upload: &str,
        number: PartNumber,
        life: Duration,
    ) -> Result<SignedPut, Fault> {
        let presigned = self
            .presign_part(&self.public, key, upload, number, BTreeMap::new(), life)
            .await?;
        Ok(signed_put(number, presigned))
    }

    /// One page (at most 1000) of `ListParts` behind `after`; the number to go on behind, if there is more.
    pub async fn list(
        &self,
        key: &Key,
        upload: &str,
        after: Option<PartNumber>,
    ) -> Result<(Vec<StoredPart>, Option<PartNumber>), Fault> {
        let marker = after.map(|number| number.to_string());
        let mut query = vec![("max-parts", "1000"), ("uploadId", upload)];
        if let Some(marker) = &marker {
            query.push(("part-number-marker", marker));
        }
        let call = Call::new(
            "ListParts",
            Method::GET,
            self.address.object(&self.whole(key), &query)?,
        );
        answers::listed(self.client.ask(call).await?, after)
    }

    /// `CompleteMultipartUpload`, with part checksums (where they are the proof), total size and `If-None-Match: *`; without
    /// those of the last two that the store was found to refuse, or does not implement. Ok means only that the store said so;
    /// ask [`Store::head`]. An answer of 200 with an error in it is that error.
    pub async fn complete(
        &self,
        key: &Key,
        upload: &str,
        parts: &[CompletePart],
        size: u64,
    ) -> Result<(), Fault> {
        self.complete_of(key, upload, &self.complete_body(parts), size)
            .await
    }

    /// As [`Store::complete`], of parts without fingerprints.
    pub async fn complete_listed(
        &self,
        key: &Key,
        upload: &str,
        parts: &[StoredPart],
        size: u64,
    ) -> Result<(), Fault> {
        let parts = parts.iter().map(|part| (part.number, &part.etag, None));
        self.complete_of(key, upload, &xml::complete_body(parts), size)
            .await
    }

    async fn complete_of(
        &self,
        key: &Key,
        upload: &str,
        body: &str,
        size: u64,
    ) -> Result<(), Fault> {
        let takes = |capability| self.profile.held(capability) != Held::Refused;
        let (once, size) = (
            takes(Capability::CompleteOnce),
            Some(size).filter(|_| takes(Capability::ObjectSize)),
        );
        let mut answer = self.ask_complete(key, upload, body, once, size).await?;
        if answer.status == StatusCode::NOT_IMPLEMENTED {
            answer = self.ask_complete(key, upload, body, false, None).await?;
        }
        // Ceph says 500 of an upload that it does not know any more. No other answer is doubted so, nor the lack of one: there the
        // store may be at it still.
        let doubted = answer.status == StatusCode::INTERNAL_SERVER_ERROR;
        let said = answers::completed(answer);
        if doubted && matches!(self.list(key, upload, None).await, Err(Fault::NoSuchUpload)) {
            return Err(Fault::NoSuchUpload);
        }
        said
    }

    /// What a complete of these parts says, with their checksums where those are the proof.
    pub(super) fn complete_body(&self, parts: &[CompletePart]) -> String {
        let sha256 = self.proof == Proof::Sha256;
        xml::complete_body(
            parts
                .iter()
                .map(|part| (part.number, &part.etag, sha256.then_some(&part.sha256))),
        )
    }

    /// `CompleteMultipartUpload` with `If-None-Match: *` and the total size, or without; the answer as it is.
    pub(super) async fn ask_complete(
        &self,
        key: &Key,
        upload: &str,
        body: &str,
        once: bool,
        size: Option<u64>,
    ) -> Result<Response, Fault> {
        let url = self
            .address
            .object(&self.whole(key), &[("uploadId", upload)])?;
        let mut call = Call::new("CompleteMultipartUpload", Method::POST, url)
            .header("content-type", "application/xml")?;
        if once {
            call = call.header("if-none-match", "*")?;
        }
        if let Some(size) = size {
            call = call.header("x-amz-mp-object-size", &size.to_string())?;
        }
        call.body = body.as_bytes().to_vec();
        call.patience = client::PATIENCE_TO_COMPLETE;
        self.client.ask(call).await
    }

    /// `AbortMultipartUpload`, until `ListParts` no longer knows the upload: a part on its way may arrive behind the first.
    pub async fn abort(&self, key: &Key, upload: &str) -> Result<(), Fault> {
        let url = self
            .address
            .object(&self.whole(key), &[("uploadId", upload)])?;
        for round in 1..=5 {
            match self
                .client
                .call(Call::new(
                    "AbortMultipartUpload",
                    Method::DELETE,
                    url.clone(),
                ))
                .await
            {
                Err(Fault::NoSuchUpload) => return Ok(()),
                other => other?,
            };
            match self.list(key, upload, None).await {
                Err(Fault::NoSuchUpload) => return Ok(()),
                Ok(_) | Err(Fault::Refused(_)) => {
                    tokio::time::sleep(Duration::from_millis(100 * round)).await;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Unavailable(
            "AbortMultipartUpload: the upload is still there".into(),
        ))
    }

    /// Presigns `UploadPart` with exactly these headers, at one of the two addresses.
    pub(super) async fn presign_part(
        &self,
        address: &Address,
        key: &Key,
        upload: &str,
        number: PartNumber,
        headers: BTreeMap<String, String>,
        life: Duration,
    ) -> Result<Presigned, Fault> {
        let number = number.to_string();
        let url = address.object(
            &self.whole(key),
            &[("partNumber", &number), ("uploadId", upload)],
        )?;
        self.client
            .signer
            .presign(Method::PUT, &url, headers, life)
            .await
    }
}
