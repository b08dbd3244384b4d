//! Multipart uploads: create, find, sign parts, list, complete, abort. Each operation follows its
//! page of the Amazon S3 API reference; no state is kept between them.
//!
//! Not here: the parsing of responses, in [`crate::multipart_responses`].

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;

use upload_net::Response;
use upload_types::wire::{CompletePart, PartSpec, Proof, SignedPut, StoredPart};
use upload_types::{Key, PartNumber};

use crate::attribute_headers::ENCRYPTION_HEADER;
use crate::client::Call;
use crate::condition::WriteCondition;
use crate::fault::Fault;
use crate::multipart_responses::{parse_complete, parse_create, parse_list};
use crate::object_headers::NewObject;
use crate::profile::{Capability, Support};
use crate::response;
use crate::signing::{Presigned, body_headers};
use crate::store::Store;
use crate::transport::COMPLETE_TIMEOUT;
use crate::xml;

/// The maximum number of pages that are read: more than any bucket has of uploads at one key.
const MAX_UPLOAD_PAGES: u32 = 1000;
/// The prefix of the keys of every gateway.
const GATEWAY_KEYS: &str = "uploads/";
/// The maximum number of requests that are sent to abort an upload.
const ABORT_ATTEMPTS: u32 = 5;
/// The pause after the first abort; after the n-th it is n times as long.
const ABORT_PAUSE: Duration = Duration::from_millis(100);

/// The position of the next page in a listing of open multipart uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    key: String,
    upload_id: String,
}

/// The checks that `CompleteMultipartUpload` requests of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CompleteConditions<'a> {
    /// `If-None-Match: *` or `If-Match`
    pub(crate) object: Option<WriteCondition<'a>>,
    /// `x-amz-mp-object-size`
    pub(crate) size: Option<u64>,
}

impl Store {
    /// `CreateMultipartUpload` with the headers of the object and, for the proof `sha256`, with
    /// SHA-256 checksums. Returns the store's upload id.
    pub async fn create(&self, key: &Key, object: &NewObject<'_>) -> Result<String, Fault> {
        let mut call = self.create_call(key, object)?;
        if self.proof() == Proof::Sha256 {
            call = call
                .header("x-amz-checksum-algorithm", "SHA256")?
                .header("x-amz-checksum-type", "COMPOSITE")?;
        }
        self.created(object, self.client().send(call).await?)
    }

    /// `CreateMultipartUpload` without checksums.
    pub(crate) async fn create_without_checksums(
        &self,
        key: &Key,
        object: &NewObject<'_>,
    ) -> Result<String, Fault> {
        let call = self.create_call(key, object)?;
        self.created(object, self.client().send(call).await?)
    }

    /// The upload id in a response. The refusal of an encrypted object names the encryption and the
    /// reason of the store.
    fn created(&self, object: &NewObject<'_>, response: Response) -> Result<String, Fault> {
        let headers = object.headers_with(self.create_headers());
        let Some(encryption) = headers.get(ENCRYPTION_HEADER) else {
            return parse_create(response);
        };
        let message = response::message(&response);
        parse_create(response).map_err(|fault| match fault {
            Fault::Refused(text) => Fault::Refused(format!(
                "{text}: {message} (the request asks for encryption: --sse {encryption})"
            )),
            Fault::Rejected(mut rejection) => {
                rejection.text = format!(
                    "{}: {message} (the request asks for encryption: --sse {encryption})",
                    rejection.text
                );
                Fault::Rejected(rejection)
            }
            fault => fault,
        })
    }

    fn create_call(&self, key: &Key, object: &NewObject<'_>) -> Result<Call, Fault> {
        let url = self.object_url(key, &[("uploads", "")])?;
        Call::new("CreateMultipartUpload", Method::POST, url)
            .headers(&object.headers_with(self.create_headers()))
    }

    /// The ids of the multipart uploads that are open at exactly this key, oldest first.
    pub async fn find(&self, key: &Key) -> Result<Vec<String>, Fault> {
        let key = self.full_key(key);
        let (mut found, mut after) = (Vec::new(), None);
        for _ in 0..MAX_UPLOAD_PAGES {
            let (uploads, next) = self.list_uploads(&key, after.as_ref()).await?;
            for upload in uploads.into_iter().filter(|upload| upload.key == key) {
                found.push((upload.initiated.parse::<Timestamp>().ok(), upload.id));
            }
            // The listing is sorted by key: later keys begin with this key and are longer.
            after = next.filter(|next| next.key <= key);
            if after.is_none() {
                found.sort();
                return Ok(found.into_iter().map(|(_, id)| id).collect());
            }
        }
        Err(endless_pages())
    }

    /// One page of the keys of all multipart uploads that gateways have open, and the position of
    /// the next page.
    pub async fn open_uploads(
        &self,
        after: Option<&Marker>,
    ) -> Result<(Vec<String>, Option<Marker>), Fault> {
        let prefix = self.prefixed("");
        let (uploads, next) = self
            .list_uploads(&self.prefixed(GATEWAY_KEYS), after)
            .await?;
        let keys = uploads
            .iter()
            .filter_map(|upload| upload.key.strip_prefix(prefix.as_str()));
        Ok((keys.map(str::to_owned).collect(), next))
    }

    /// One page of `ListMultipartUploads` by a prefix of full keys, and the position of the next
    /// page.
    pub(crate) async fn list_uploads(
        &self,
        prefix: &str,
        after: Option<&Marker>,
    ) -> Result<(Vec<xml::Upload>, Option<Marker>), Fault> {
        let mut query = vec![("uploads", ""), ("prefix", prefix), ("max-uploads", "1000")];
        if let Some(Marker { key, upload_id }) = after {
            query.extend([
                ("key-marker", key.as_str()),
                ("upload-id-marker", upload_id.as_str()),
            ]);
        }
        let url = self.bucket_url(&query);
        let call = Call::new("ListMultipartUploads", Method::GET, url);
        let page: xml::ListMultipartUploadsResult = self
            .client()
            .send_and_parse(call, "ListMultipartUploads")
            .await?;
        if !page.is_truncated {
            return Ok((page.uploads, None));
        }
        let next = Marker {
            key: page.next_key_marker,
            upload_id: page.next_upload_id_marker,
        };
        // The uploads of one key are sorted by age, so their ids may decrease, but never repeat.
        let repeats = after.is_some_and(|after| next.key < after.key || next == *after);
        if repeats || next.key.is_empty() {
            return Err(endless_pages());
        }
        Ok((page.uploads, Some(next)))
    }

    /// Presigns `UploadPart` for the bytes of each part only: its length and, depending on the
    /// proof, its hash are signed headers. `ttl` returns the lifetime of a URL for the size of its
    /// part. Sends no requests, except to find credentials.
    ///
    /// The returned headers are all that a client must send, including `content-length`, but
    /// without `host`, which every HTTP library adds.
    pub async fn sign_parts(
        &self,
        key: &Key,
        upload_id: &str,
        parts: &[PartSpec],
        ttl: impl Fn(u64) -> Duration,
    ) -> Result<Vec<SignedPut>, Fault> {
        let url = self.public_object_url(key, &[])?;
        let now = reqsign_core::time::Timestamp::now();
        let part_urls = self
            .client()
            .signer()
            .part_urls(&url, upload_id, now)
            .await?;
        let sign = |part: &PartSpec| {
            let headers = body_headers(self.proof(), part)?;
            let ttl = part_urls.clamp_ttl(ttl(part.size))?;
            let presigned = part_urls.sign(part.number, headers, ttl);
            Ok(presigned.into_signed_put(part.number))
        };
        parts.iter().map(sign).collect()
    }

    /// Presigns `UploadPart` for any bytes: only `host` is signed, because a browser cannot set
    /// other headers.
    pub async fn sign_unbound_part(
        &self,
        key: &Key,
        upload_id: &str,
        number: PartNumber,
        ttl: Duration,
    ) -> Result<SignedPut, Fault> {
        let url = self.public_object_url(key, &part_query(&number.to_string(), upload_id))?;
        let presigned = self
            .presign(Method::PUT, &url, BTreeMap::new(), ttl)
            .await?;
        Ok(presigned.into_signed_put(number))
    }

    /// Presigns `UploadPart` with exactly these headers, at the endpoint of control calls.
    pub(crate) async fn presign_internal_part(
        &self,
        key: &Key,
        upload_id: &str,
        number: PartNumber,
        headers: BTreeMap<String, String>,
        ttl: Duration,
    ) -> Result<Presigned, Fault> {
        let url = self.object_url(key, &part_query(&number.to_string(), upload_id))?;
        self.presign(Method::PUT, &url, headers, ttl).await
    }

    /// One page (at most 1000) of `ListParts` with part numbers above `after`. Returns the parts
    /// and, if there are more, the number after which the next page begins.
    pub async fn list(
        &self,
        key: &Key,
        upload_id: &str,
        after: Option<PartNumber>,
    ) -> Result<(Vec<StoredPart>, Option<PartNumber>), Fault> {
        let marker = after.map(|number| number.to_string());
        let mut query = vec![("max-parts", "1000"), ("uploadId", upload_id)];
        if let Some(marker) = &marker {
            query.push(("part-number-marker", marker));
        }
        let call = Call::new("ListParts", Method::GET, self.object_url(key, &query)?);
        parse_list(self.client().send(call).await?, after)
    }

    /// `CompleteMultipartUpload` with part checksums (for the proof `sha256`), the total size and
    /// the condition, the last two unless the store refuses or does not implement them. `Ok` means
    /// only that the store reported success: verify with [`Store::head`].
    pub async fn complete(
        &self,
        key: &Key,
        upload_id: &str,
        parts: &[CompletePart],
        size: u64,
        condition: WriteCondition<'_>,
    ) -> Result<(), Fault> {
        let body = self.complete_body(parts);
        self.complete_with_body(key, upload_id, &body, size, condition)
            .await
    }

    /// Like [`Store::complete`], for parts with an unknown SHA-256, on condition that there is no
    /// object at the key.
    pub async fn complete_without_checksums(
        &self,
        key: &Key,
        upload_id: &str,
        parts: &[StoredPart],
        size: u64,
    ) -> Result<(), Fault> {
        let parts = parts.iter().map(|part| (part.number, &part.etag, None));
        let body = xml::complete_body(parts);
        self.complete_with_body(key, upload_id, &body, size, WriteCondition::Absent)
            .await
    }

    async fn complete_with_body(
        &self,
        key: &Key,
        upload_id: &str,
        body: &str,
        size: u64,
        condition: WriteCondition<'_>,
    ) -> Result<(), Fault> {
        let is_accepted = |capability| self.profile().support(capability) != Support::Refused;
        let conditions = CompleteConditions {
            object: Some(condition).filter(|condition| is_accepted(condition.capability())),
            size: Some(size).filter(|_| is_accepted(Capability::ObjectSize)),
        };
        let mut response = self.send_complete(key, upload_id, body, conditions).await?;
        if response.status == StatusCode::NOT_IMPLEMENTED {
            response = self
                .send_complete(key, upload_id, body, CompleteConditions::default())
                .await?;
        }
        // The status of Ceph for an unknown upload is 500. After any other failure, or without a
        // response, the store may still be completing the upload.
        let is_ambiguous = response.status == StatusCode::INTERNAL_SERVER_ERROR;
        let result = parse_complete(response);
        if is_ambiguous
            && matches!(
                self.list(key, upload_id, None).await,
                Err(Fault::NoSuchUpload)
            )
        {
            return Err(Fault::NoSuchUpload);
        }
        result
    }

    /// The body of a complete of these parts, with their checksums for the proof `sha256`.
    pub(crate) fn complete_body(&self, parts: &[CompletePart]) -> String {
        let with_sha256 = self.proof() == Proof::Sha256;
        xml::complete_body(parts.iter().map(|part| {
            let sha256 = with_sha256.then_some(&part.sha256);
            (part.number, &part.etag, sha256)
        }))
    }

    /// `CompleteMultipartUpload`. Returns the response, with any status.
    pub(crate) async fn send_complete(
        &self,
        key: &Key,
        upload_id: &str,
        body: &str,
        conditions: CompleteConditions<'_>,
    ) -> Result<Response, Fault> {
        let url = self.object_url(key, &[("uploadId", upload_id)])?;
        let mut call = Call::new("CompleteMultipartUpload", Method::POST, url)
            .header("content-type", "application/xml")?
            .body(body)
            .timeout(COMPLETE_TIMEOUT);
        if let Some(condition) = conditions.object {
            let (name, value) = condition.header();
            call = call.header(name, &value)?;
        }
        if let Some(size) = conditions.size {
            call = call.header("x-amz-mp-object-size", &size.to_string())?;
        }
        self.client().send(call).await
    }

    /// `AbortMultipartUpload`, repeated until `ListParts` reports no such upload: a part in transit
    /// may arrive after the first abort.
    pub async fn abort(&self, key: &Key, upload_id: &str) -> Result<(), Fault> {
        let url = self.object_url(key, &[("uploadId", upload_id)])?;
        for attempt in 1..=ABORT_ATTEMPTS {
            let call = Call::new("AbortMultipartUpload", Method::DELETE, url.clone());
            match self.client().send_checked(call).await {
                Err(Fault::NoSuchUpload) => return Ok(()),
                other => other?,
            };
            match self.list(key, upload_id, None).await {
                // A store without this list cannot show whether a part came later.
                Err(Fault::NoSuchUpload | Fault::Unsupported(_)) => return Ok(()),
                Ok(_) | Err(Fault::Refused(_) | Fault::Rejected(_)) => {
                    tokio::time::sleep(ABORT_PAUSE * attempt).await;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Unavailable(
            "AbortMultipartUpload: the upload still exists".into(),
        ))
    }
}

fn part_query<'a>(number: &'a str, upload_id: &'a str) -> [(&'a str, &'a str); 2] {
    [("partNumber", number), ("uploadId", upload_id)]
}

fn endless_pages() -> Fault {
    Fault::Unavailable("ListMultipartUploads: the pages do not end".into())
}
