//! The requests to a Companion: one function for each operation of a backend.
//!
//! Not here: the meaning of a response (`response`).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT, COOKIE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::cookies::Cookies;
use super::known_uploads::{KnownUpload, KnownUploads};
use super::response::{
    Signature, check_companion, failure, parse_aborted, parse_completed, parse_created,
    parse_parts, parse_signature, parse_signatures, signs_checksum_of_empty_body,
};
use super::saved_upload::{SavedUpload, composite_etag};
use crate::backend::api::Api;
use crate::backend::bearer::Bearer;
use crate::backend::completion::Completion;
use crate::backend::connections::Connections;
use crate::backend::response::{Response, damaged_idempotency_key, wrong_parts_signed};
use crate::backend::store::{PartUpload, PutOutcome, StoreClient};
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::DEFAULT_PART_BYTES;
use upload_types::sync::lock;
use upload_types::wire::{
    BackendInfo, BatchBegin, BatchComplete, BeginResponse, Limits, PROTOCOL_VERSION, PartSpec,
    Proof, Receipt, SignedPart, SignedPut, StoredPart, StoredTag, UploadState, UploadStatus,
};
use upload_types::{PartNumber, UploadId, encode_words};

/// The most parts that one request signs: all of them must be sent before their URLs expire.
const MAX_PARTS_PER_SIGNING: usize = 32;
/// Low, because Companion runs on one thread.
const MAX_CONCURRENT_REQUESTS: usize = 16;
/// After this many requests to list or to complete have failed without a reason, other requests
/// look for the reason.
const FAILURES_BEFORE_DIAGNOSIS: u32 = 3;

/// A Companion. Clones share its uploads and cookies.
#[derive(Debug, Clone)]
pub struct Companion {
    api: Api,
    store: StoreClient,
    /// Its name in the journal and in receipts.
    name: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    uploads: KnownUploads,
    cookies: Mutex<Cookies>,
    /// True if the Companion has no route that signs several parts.
    signs_single_parts: AtomicBool,
    requests: Semaphore,
}

impl Companion {
    pub fn new(connections: Connections, bearer: impl Into<Bearer>) -> Self {
        let url = connections.backend().as_str().trim_end_matches('/');
        Self {
            name: format!("companion+{url}"),
            store: StoreClient::new(connections.clone()),
            api: Api::new(connections, bearer),
            shared: Arc::new(Shared {
                uploads: KnownUploads::default(),
                cookies: Mutex::default(),
                signs_single_parts: AtomicBool::new(false),
                requests: Semaphore::new(MAX_CONCURRENT_REQUESTS),
            }),
        }
    }

    /// # Errors
    /// As [`Connections::new`].
    pub fn with_new_connections(&self) -> Result<Self> {
        let connections = self.api.connections().renewed()?;
        Ok(Self {
            store: self.store.with_connections(connections.clone()),
            api: self.api.with_connections(connections),
            ..self.clone()
        })
    }

    pub fn store(&self) -> &StoreClient {
        &self.store
    }

    /// The error of an operation for which Companion has no route. `what` completes "cannot …".
    pub fn unsupported(what: &str) -> Error {
        Error::new(Kind::Incompatible, format!("a Companion cannot {what}")).with_hint(
            "use a gateway (`upload serve`) for that; `upload list --all` shows the uploads of \
             this journal",
        )
    }

    pub fn opaque_state(&self, id: &UploadId) -> Option<String> {
        let saved = self.shared.uploads.get(id).ok()?.saved;
        serde_json::to_string(&*saved).ok()
    }

    /// Ignores a state that cannot be read: requests about its upload will fail.
    pub fn restore_state(&self, id: &UploadId, state: &str, receipt: Option<&Receipt>) {
        if let Ok(saved) = serde_json::from_str(state) {
            self.shared.uploads.restore(id, saved, receipt.is_some());
        }
    }

    /// The hint for an upload with an unknown outcome.
    pub fn location_hint(&self, id: &UploadId) -> String {
        let key = match self.shared.uploads.get(id) {
            Ok(upload) => format!(" {}", upload.saved.key),
            Err(_) => String::new(),
        };
        format!(
            "look for the object{key} in the store; if it is not there, run `upload abort {id}`, \
             and then `upload put FILE`"
        )
    }

    /// Requests the signature of part 0, which no Companion signs.
    pub async fn info(&self) -> Result<BackendInfo> {
        let path = "s3/multipart/none/0?key=none";
        check_companion(&self.call(Method::GET, path, None).await?)?;
        Ok(BackendInfo {
            protocol: PROTOCOL_VERSION,
            instance_id: self.name.clone(),
            // Companion is made for S3 and does not report the limits of its store.
            limits: Limits::S3,
            allow_types: vec!["*/*".to_owned()],
            allow_attributes: Vec::new(),
            proof: Proof::None,
            capabilities: BTreeMap::new(),
            hooks: false,
            client_keys: false,
            key_patterns: Vec::new(),
        })
    }

    /// `POST /s3/multipart`. The idempotency key becomes the id of the upload. A repetition begins
    /// another multipart upload.
    pub async fn begin(&self, begin: &BatchBegin) -> Result<BeginResponse> {
        let request = &begin.request;
        let key = &begin.idempotency_key;
        let id: UploadId = key.parse().map_err(|_| damaged_idempotency_key())?;
        let Some(size) = request.size else {
            return Err(Self::unsupported("begin an upload without a size"));
        };
        if !request.attributes.is_empty() {
            return Err(Self::unsupported("set attributes of an object"));
        }
        let started = Timestamp::now();
        // A Companion passes the values on as headers.
        let metadata: BTreeMap<&String, String> = request
            .metadata
            .iter()
            .map(|(key, value)| (key, encode_words(value)))
            .collect();
        // Companion 4 requires metadata, even if empty.
        let body = json!({
            "filename": request.name,
            "type": request.content_type,
            "metadata": metadata,
        });
        let response = self.call(Method::POST, "s3/multipart", Some(&body)).await;
        let created = response
            .and_then(|response| parse_created(&response))
            .map_err(possibly_begun)?;
        let saved = SavedUpload {
            key: created.key.clone(),
            upload_id: created.upload_id,
            name: request.name.clone(),
            content_type: request.content_type.clone(),
            size,
            part_size: request.part_size.unwrap_or(DEFAULT_PART_BYTES),
            started,
        };
        let (part_size, part_count) = (saved.part_size, saved.part_count());
        self.shared.uploads.add_begun(&id, saved);
        Ok(BeginResponse {
            id,
            epoch: 1,
            state: UploadState::Uploading,
            key: created.key,
            part_size,
            double_after: None,
            part_count,
            expires_at: Timestamp::MAX,
            parts: None,
        })
    }

    /// The status according to the journal. Companion does not report one.
    pub fn status(&self, id: &UploadId) -> Result<UploadStatus> {
        let KnownUpload {
            saved, is_finished, ..
        } = self.shared.uploads.get(id)?;
        Ok(UploadStatus {
            id: id.clone(),
            state: if is_finished {
                UploadState::Ready
            } else {
                UploadState::Uploading
            },
            name: saved.name.clone(),
            key: saved.key.clone(),
            size: Some(saved.size),
            content_type: saved.content_type.clone(),
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            part_size: saved.part_size,
            double_after: None,
            part_count: saved.part_count(),
            created_at: saved.started,
            expires_at: Timestamp::MAX,
            receipt: None,
            reason: None,
            object: None,
        })
    }

    /// Signs parts, except those that the store has listed with the same MD5.
    pub async fn sign(&self, id: &UploadId, parts: Vec<PartSpec>) -> Result<Vec<SignedPart>> {
        let KnownUpload { saved, listed, .. } = self.shared.uploads.get(id)?;
        let stored_tag = |spec: &PartSpec| {
            let part = listed.get(&spec.number)?;
            let is_same = part.size == spec.size && part.etag.as_str() == spec.md5?.hex();
            is_same.then(|| StoredTag {
                etag: part.etag.clone(),
                copied: false,
            })
        };
        let stored: HashMap<PartNumber, StoredTag> = parts
            .iter()
            .filter_map(|spec| Some((spec.number, stored_tag(spec)?)))
            .collect();
        let missing: Vec<PartNumber> = parts
            .iter()
            .map(|spec| spec.number)
            .filter(|number| !stored.contains_key(number))
            .collect();
        let mut signatures = HashMap::new();
        for numbers in missing.chunks(MAX_PARTS_PER_SIGNING) {
            signatures.extend(self.signatures(&saved, numbers).await?);
        }
        self.shared.uploads.update(id, |upload| {
            for number in &missing {
                upload.listed.remove(number);
            }
        });
        let to_signed_part = |spec: PartSpec| {
            if let Some(stored) = stored.get(&spec.number) {
                return Ok(SignedPart::Stored {
                    number: spec.number,
                    stored: stored.clone(),
                });
            }
            let signature = signatures.remove(&spec.number);
            let Signature { url, expires_in } = signature.ok_or_else(wrong_parts_signed)?;
            // The header is not signed, but a store that supports it rejects other bytes.
            let content_md5 = spec.md5.map(|md5| ("content-md5".to_owned(), md5.base64()));
            Ok(SignedPart::Put(SignedPut {
                number: spec.number,
                url,
                method: "PUT".to_owned(),
                headers: content_md5.into_iter().collect(),
                expires_in,
            }))
        };
        parts.into_iter().map(to_signed_part).collect()
    }

    /// `GET /s3/multipart/{id}/batch`, or a request for each part if there is no such route.
    async fn signatures(
        &self,
        saved: &SavedUpload,
        numbers: &[PartNumber],
    ) -> Result<Vec<(PartNumber, Signature)>> {
        let signs_single_parts = &self.shared.signs_single_parts;
        if numbers.len() > 1 && !signs_single_parts.load(Ordering::Relaxed) {
            let list: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let path = format!("{}&partNumbers={}", saved.path("/batch"), list.join(","));
            let response = self.call(Method::GET, &path, None).await?;
            if let Some(signatures) = parse_signatures(&response, numbers)? {
                return Ok(signatures);
            }
            signs_single_parts.store(true, Ordering::Relaxed);
        }
        let mut signatures = Vec::with_capacity(numbers.len());
        for number in numbers {
            signatures.push((*number, self.signature(saved, *number).await?));
        }
        Ok(signatures)
    }

    /// `GET /s3/multipart/{id}/{number}`
    async fn signature(&self, saved: &SavedUpload, number: PartNumber) -> Result<Signature> {
        let path = saved.path(&format!("/{number}"));
        parse_signature(&self.call(Method::GET, &path, None).await?)
    }

    /// `GET /s3/multipart/{id}`. If it repeatedly fails without a reason although Companion signs
    /// and the store responds, the upload may be gone, or Companion may not be able to list. Then
    /// no part counts as stored: sending the parts shows the reason.
    pub async fn parts(&self, id: &UploadId) -> Result<Vec<StoredPart>> {
        let KnownUpload {
            saved,
            failed_lists,
            ..
        } = self.shared.uploads.get(id)?;
        let response = self.call(Method::GET, &saved.path(""), None).await?;
        if response.is_success() {
            let parts = parse_parts(&response, &saved)?;
            self.shared.uploads.update(id, |upload| {
                upload.failed_lists = 0;
                upload.listed = parts
                    .iter()
                    .map(|part| (part.number, part.clone()))
                    .collect();
            });
            return Ok(parts);
        }
        let failure = failure(&response);
        if failure.is_explained {
            return Err(failure.error);
        }
        self.shared
            .uploads
            .update(id, |upload| upload.failed_lists += 1);
        if failed_lists + 1 < FAILURES_BEFORE_DIAGNOSIS || !self.store_responds(&saved).await {
            return Err(failure.error);
        }
        tracing::warn!(upload = %id, "the backend does not list the parts: sending all again");
        self.shared.uploads.update(id, |upload| {
            upload.is_unlistable = true;
            upload.listed.clear();
        });
        Ok(Vec::new())
    }

    /// Returns true if Companion signs for an upload and the store responds. A URL for PUT does not
    /// permit GET, so the store rejects the request and nothing changes.
    async fn store_responds(&self, saved: &SavedUpload) -> bool {
        let Ok(signature) = self.signature(saved, PartNumber::FIRST).await else {
            return false;
        };
        match self.store.get(&signature.url).await {
            Ok(_) => true,
            Err(error) => matches!(
                error.kind(),
                Kind::Unauthorized
                    | Kind::CredentialsRejected
                    | Kind::Gone
                    | Kind::UrlExpired
                    | Kind::ClockSkew
            ),
        }
    }

    /// `POST /s3/multipart/{id}/complete`. The response contains little about the object, so the
    /// receipt describes the sent parts.
    pub async fn complete(&self, complete: &BatchComplete) -> Result<Completion> {
        let (id, request) = (&complete.id, &complete.request);
        let upload = self.shared.uploads.get(id)?;
        let parts: Vec<Value> = request
            .parts
            .iter()
            .map(|part| json!({ "PartNumber": part.number, "ETag": part.etag.quoted() }))
            .collect();
        let body = json!({ "parts": parts });
        let path = upload.saved.path("/complete");
        let response = self.call(Method::POST, &path, Some(&body)).await?;
        if !response.is_success() {
            return Err(self.complete_failure(id, &upload, &response));
        }
        let etags = request.parts.iter().map(|part| &part.etag);
        let completed = parse_completed(&response, &upload.saved, composite_etag(etags))?;
        self.shared.uploads.update(id, |upload| {
            upload.is_finished = true;
            upload.listed.clear();
        });
        let saved = &upload.saved;
        let sha256 = match request.parts.as_slice() {
            [only] => Some(only.sha256),
            _ => None,
        };
        Ok(Completion::Verified(Box::new(Receipt {
            id: Some(id.clone()),
            backend: self.name.clone(),
            instance_id: self.name.clone(),
            name: String::new(),
            bucket: completed.bucket,
            key: saved.key.clone(),
            location: Some(completed.location),
            version_id: None,
            size: saved.size,
            parts: saved.part_count(),
            part_size: saved.part_size,
            double_after: None,
            etag: completed.etag,
            checksum: Some(request.checksum.clone()),
            proof: Proof::None,
            unproven: Vec::new(),
            sha256,
            started: saved.started,
            finished: Timestamp::now(),
        })))
    }

    fn complete_failure(&self, id: &UploadId, upload: &KnownUpload, response: &Response) -> Error {
        let failure = failure(response);
        if failure.is_explained {
            return failure.error;
        }
        self.shared
            .uploads
            .update(id, |upload| upload.failed_completes += 1);
        // The caller lists the parts after a mismatch. The list shows whether an earlier request
        // has completed the upload and its response was lost.
        let failures = upload.failed_completes + 1;
        if !upload.is_unlistable && failures.is_multiple_of(FAILURES_BEFORE_DIAGNOSIS) {
            Error::new(Kind::PartsMismatch, failure.error.to_string())
        } else {
            failure.error
        }
    }

    /// `DELETE /s3/multipart/{id}`
    ///
    /// # Errors
    /// [`Kind::Gone`] if the upload was aborted or completed before, [`Kind::Unconfirmed`] if
    /// Companion gives no reason and does not list the upload either.
    pub async fn abort(&self, id: &UploadId) -> Result<()> {
        let saved = self.shared.uploads.get(id)?.saved;
        let response = self.call(Method::DELETE, &saved.path(""), None).await?;
        if response.is_success() {
            return parse_aborted(&response);
        }
        let failure = failure(&response);
        if failure.is_explained {
            return Err(failure.error);
        }
        let list = self.call(Method::GET, &saved.path(""), None).await?;
        if list.is_success() || !self.store_responds(&saved).await {
            return Err(failure.error);
        }
        let what = "the abort is unconfirmed: the backend neither aborts nor lists the upload, and \
                    gives no reason";
        let hint = format!(
            "look for a multipart upload of {} in the store, and abort it there",
            saved.key
        );
        Err(Error::new(Kind::Unconfirmed, what).with_hint(hint))
    }

    /// Sends a part. An `ETag` in the form of an MD5 must be the MD5 of the part.
    pub async fn put(&self, part: PartUpload) -> Result<PutOutcome> {
        let md5 = part.signed.headers.get("content-md5");
        let md5 = md5.and_then(|md5| md5.parse().ok());
        let url = part.signed.url.clone();
        let outcome = self.store.put(part, md5).await;
        outcome.map_err(|error| match error.kind() {
            Kind::Corrupt if signs_checksum_of_empty_body(&url) => error.with_hint(
                "set AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED in the environment of the \
                 Companion: its URLs contain the checksum of an empty part, which the store \
                 compares with every part",
            ),
            _ => error,
        })
    }

    /// Sends one request, with the cookies of earlier responses.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response> {
        // Cannot fail: the semaphore is never closed.
        let _permit = self.shared.requests.acquire().await;
        let mut headers =
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let cookies = lock(&self.shared.cookies).header();
        headers.extend(cookies.map(|cookies| (COOKIE, cookies)));
        let response = self.api.call(method, path, body, headers).await?;
        lock(&self.shared.cookies).update(&response.headers);
        Ok(response)
    }
}

/// Adds to the error of a request to begin that an upload may remain in the store.
fn possibly_begun(error: Error) -> Error {
    if !matches!(
        error.kind(),
        Kind::Temporary | Kind::ProtocolError | Kind::UnexpectedServer
    ) {
        return error;
    }
    let what = format!(
        "{error}; if the upload has begun, it stays in the store, empty, until it is aborted there"
    );
    let possibly_begun = Error::new(error.kind(), what);
    match error.hint() {
        Some(hint) => possibly_begun.with_hint(hint),
        None => possibly_begun,
    }
}
