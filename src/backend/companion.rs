//! The companion dialect: the S3 routes of an Uppy Companion as anybody runs it, turned into the words of `wire`.
//!
//! A Companion signs, and remembers nothing: what it would have to know of an upload (the key it made, the store's id) goes into
//! the journal with the answer to begin, and is brought back by [`Companion::restore_state`]. What is not there, nobody knows any more.
//!
//! Every file is a multipart upload, a small one of a single part, an empty one of a single empty part. That is more calls than
//! the POST form of `/s3/params`, but the way that every store has: some take no forms, none of those
//! tried refuses an empty part, and the same metadata is stored in another encoding by the form.
//!
//! Border: one call each, as in `native`; what answers mean is `answer`'s, what is kept of an upload `memo`'s.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use upload_types::sync::lock;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT, COOKIE, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;

use super::answer::{Answer, PutOutcome};
use super::api::Api;
use super::dialect::Completion;
use super::http::Http;
use super::part_upload::PartUpload;
use cookies::Cookies;
use memo::Memo;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{PartNumber, UploadId};
use upload_types::plan::DEFAULT_PART_SIZE;
use upload_types::wire::{
    BackendInfo, BatchBegin, BatchComplete, BeginResponse, Limits, PROTOCOL_VERSION, PartSpec,
    Proof, Receipt, SignedPart, SignedPut, StoredPart, StoredTag, UploadState, UploadStatus,
};

mod answer;
mod cookies;
mod memo;

/// Parts that one call signs: what is signed at once has to be begun at once.
const BATCH: usize = 32;
/// Calls under way at once: Companion is one thread.
const CALLS: usize = 16;
/// So often a list, or a complete, may fail without a reason before it is looked for elsewhere.
const UNEXPLAINED: u32 = 3;

/// A Companion.
#[derive(Debug, Clone)]
pub struct Companion {
    api: Api,
    /// As the journal knows it.
    name: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    uploads: Mutex<HashMap<UploadId, Upload>>,
    cookies: Mutex<Cookies>,
    /// There is no route that signs several parts.
    singly: AtomicBool,
    calls: Semaphore,
}

/// What is known of an upload, as long as this process lives.
#[derive(Debug, Clone)]
struct Upload {
    memo: Arc<Memo>,
    finished: bool,
    /// What the store listed last, but for parts that were signed since.
    stored: HashMap<PartNumber, StoredPart>,
    /// Lists and completes that failed in a row without a reason.
    lists: u32,
    completes: u32,
    /// Its list was not to be had: the parts themselves have shown that it is there.
    unlisted: bool,
}

impl Upload {
    fn new(memo: Memo, finished: bool) -> Self {
        let (stored, memo) = (HashMap::new(), Arc::new(memo));
        Self {
            memo,
            finished,
            stored,
            lists: 0,
            completes: 0,
            unlisted: false,
        }
    }
}

impl Companion {
    pub fn new(url: &Url, api: Api) -> Self {
        let shared = Shared {
            uploads: Mutex::default(),
            cookies: Mutex::default(),
            singly: AtomicBool::new(false),
            calls: Semaphore::new(CALLS),
        };
        let name = format!("companion+{}", url.as_str().trim_end_matches('/'));
        Self {
            api,
            name,
            shared: Arc::new(shared),
        }
    }

    pub fn with_new_connections(&self) -> Result<Self> {
        Ok(Self {
            api: self.api.with_new_connections()?,
            ..self.clone()
        })
    }

    pub fn http(&self) -> &Http {
        &self.api.http
    }

    /// What an unmodified Companion has no route for.
    pub fn cannot(what: &str) -> Error {
        Error::new(Kind::Incompatible, format!("a Companion cannot {what}")).with_hint(
            "a gateway (`upload serve`) can; what this machine uploaded, `upload list --all` shows",
        )
    }

    pub fn opaque_state(&self, id: &UploadId) -> Option<String> {
        let memo = self.upload(id).ok()?.memo;
        serde_json::to_string(&*memo).ok()
    }

    /// A memo that cannot be read is none: calls about that upload then say so.
    pub fn restore_state(&self, id: &UploadId, memo: &str, receipt: Option<&Receipt>) {
        if let Ok(memo) = serde_json::from_str(memo) {
            self.uploads()
                .entry(id.clone())
                .or_insert_with(|| Upload::new(memo, receipt.is_some()));
        }
    }

    /// Where the object of an upload would be, and what to do then.
    pub fn location_hint(&self, id: &UploadId) -> String {
        let object = self
            .upload(id)
            .map_or_else(|_| String::new(), |upload| format!(" {}", upload.memo.key));
        format!(
            "look in the store for the object{object}; `upload abort {id}` forgets it here, and then the file can be put again"
        )
    }

    /// Asks for what no Companion signs, part 0, to see whether one answers there.
    pub async fn info(&self) -> Result<BackendInfo> {
        answer::greets(
            &self
                .call(Method::GET, "s3/multipart/none/0?key=none", None)
                .await?,
        )?;
        let (instance_id, allow_types) = (self.name.clone(), vec!["*/*".to_owned()]);
        Ok(BackendInfo {
            protocol: PROTOCOL_VERSION,
            instance_id,
            // Companion was made for S3, and cannot be asked.
            limits: Limits::S3,
            allow_types,
            proof: Proof::None,
            capabilities: <_>::default(),
        })
    }

    /// `POST /s3/multipart`. The upload is called by the key of its begin; called twice, two of them are begun.
    pub async fn begin(&self, begin: &BatchBegin) -> Result<BeginResponse> {
        let request = &begin.request;
        let id: UploadId = begin
            .idempotency_key
            .parse()
            .map_err(|_| Error::new(Kind::Other, "the idempotency key is damaged"))?;
        let Some(size) = request.size else {
            return Err(Self::cannot("begin what has no size yet"));
        };
        let (part_size, started) = (
            request.part_size.unwrap_or(DEFAULT_PART_SIZE),
            Timestamp::now(),
        );
        // Companion 4 wants metadata, be it none.
        let body = json!({ "filename": request.name, "type": request.content_type, "metadata": request.metadata });
        let answer = self.call(Method::POST, "s3/multipart", Some(&body)).await;
        let created = answer
            .and_then(|answer| answer::created(&answer))
            .map_err(lost)?;
        let (key, upload_id) = (created.key, created.upload_id);
        let (name, content_type) = (request.name.clone(), request.content_type.clone());
        let memo = Memo {
            key: key.clone(),
            upload_id,
            name,
            content_type,
            size,
            part_size,
            started,
        };
        let part_count = memo.count();
        self.uploads().insert(id.clone(), Upload::new(memo, false));
        let expires_at = Timestamp::MAX;
        Ok(BeginResponse {
            id,
            epoch: 1,
            state: UploadState::Uploading,
            key,
            part_size,
            part_count,
            expires_at,
            parts: None,
        })
    }

    /// The state by the journal's word: nobody else can tell.
    pub fn status(&self, id: &UploadId) -> Result<UploadStatus> {
        let Upload { memo, finished, .. } = self.upload(id)?;
        Ok(UploadStatus {
            id: id.clone(),
            state: if finished {
                UploadState::Ready
            } else {
                UploadState::Uploading
            },
            name: memo.name.clone(),
            key: memo.key.clone(),
            size: Some(memo.size),
            content_type: memo.content_type.clone(),
            metadata: std::collections::BTreeMap::new(),
            part_size: memo.part_size,
            part_count: memo.count(),
            created_at: memo.started,
            expires_at: Timestamp::MAX,
            receipt: None,
            reason: None,
        })
    }

    /// Signs parts, but for those that the store has listed with these very bytes.
    pub async fn sign(&self, id: &UploadId, parts: Vec<PartSpec>) -> Result<Vec<SignedPart>> {
        let Upload { memo, stored, .. } = self.upload(id)?;
        let same = |spec: &PartSpec| {
            let stored = stored
                .get(&spec.number)
                .filter(|stored| stored.size == spec.size)?;
            (stored.etag.as_str() == spec.md5?.hex()).then(|| stored.etag.clone())
        };
        let known: HashMap<PartNumber, StoredTag> = parts
            .iter()
            .filter_map(|spec| Some((spec.number, StoredTag { etag: same(spec)? })))
            .collect();
        let numbers: Vec<PartNumber> = parts
            .iter()
            .map(|spec| spec.number)
            .filter(|number| !known.contains_key(number))
            .collect();
        let mut urls = HashMap::new();
        for numbers in numbers.chunks(BATCH) {
            urls.extend(self.urls(&memo, numbers).await?);
        }
        self.change(id, |upload| {
            for number in &numbers {
                upload.stored.remove(number);
            }
        });
        let unsigned = || {
            Error::new(
                Kind::ProtocolError,
                "the backend signed other parts than it was asked for",
            )
        };
        let signed = parts.into_iter().map(|spec| {
            if let Some(known) = known.get(&spec.number) {
                return Ok(SignedPart::Stored {
                    number: spec.number,
                    stored: known.clone(),
                });
            }
            let answer::Signature { url, expires_in } =
                urls.remove(&spec.number).ok_or_else(unsigned)?;
            // It is not signed, but a store that knows it refuses other bytes.
            let headers = spec
                .md5
                .map(|md5| ("content-md5".to_owned(), md5.base64()))
                .into_iter()
                .collect();
            Ok(SignedPart::Put(SignedPut {
                number: spec.number,
                url,
                method: "PUT".to_owned(),
                headers,
                expires_in,
            }))
        });
        signed.collect()
    }

    /// `GET /s3/multipart/ID/batch`, or one call for each where that is not there.
    async fn urls(
        &self,
        memo: &Memo,
        numbers: &[PartNumber],
    ) -> Result<Vec<(PartNumber, answer::Signature)>> {
        if numbers.len() > 1 && !self.shared.singly.load(Ordering::Relaxed) {
            let list: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let path = format!("{}&partNumbers={}", memo.path("/batch"), list.join(","));
            let answer = self.call(Method::GET, &path, None).await?;
            if let Some(signed) = answer::signatures(&answer, numbers)? {
                return Ok(signed);
            }
            self.shared.singly.store(true, Ordering::Relaxed);
        }
        let mut signed = Vec::with_capacity(numbers.len());
        for number in numbers {
            signed.push((*number, self.url(memo, *number).await?));
        }
        Ok(signed)
    }

    /// `GET /s3/multipart/ID/N`
    async fn url(&self, memo: &Memo, number: PartNumber) -> Result<answer::Signature> {
        let path = memo.path(&format!("/{number}"));
        answer::signature(&self.call(Method::GET, &path, None).await?)
    }

    /// `GET /s3/multipart/ID`. Where it fails again and again without a reason, though Companion signs and the store answers, the
    /// upload may be gone, or Companion may not list: then nothing is taken for stored, and the parts that are sent to it tell.
    pub async fn parts(&self, id: &UploadId) -> Result<Vec<StoredPart>> {
        let Upload { memo, lists, .. } = self.upload(id)?;
        let answer = self.call(Method::GET, &memo.path(""), None).await?;
        if answer.is_ok() {
            let stored = answer::parts(&answer, &memo)?;
            self.change(id, |upload| {
                upload.lists = 0;
                upload.stored = stored
                    .iter()
                    .map(|part| (part.number, part.clone()))
                    .collect();
            });
            return Ok(stored);
        }
        let refusal = answer::refusal(&answer);
        if refusal.explained {
            return Err(refusal.error);
        }
        self.change(id, |upload| upload.lists += 1);
        if lists + 1 < UNEXPLAINED || !self.store_answers(&memo).await {
            return Err(refusal.error);
        }
        tracing::warn!(upload = %id, "the backend lists no parts and says no reason; all of them are sent again");
        self.change(id, |upload| {
            upload.unlisted = true;
            upload.stored.clear();
        });
        Ok(Vec::new())
    }

    /// Whether Companion still signs for an upload, and the store speaks: a URL that is signed for PUT lets nobody read, so
    /// that the answer is a refusal and nothing happens.
    async fn store_answers(&self, memo: &Memo) -> bool {
        let Ok(signature) = self.url(memo, PartNumber::FIRST).await else {
            return false;
        };
        match self.api.http.get(&signature.url).await {
            Ok(_) => true,
            Err(error) => matches!(
                error.kind(),
                Kind::Unauthorized | Kind::Gone | Kind::UrlExpired | Kind::ClockSkew
            ),
        }
    }

    /// `POST /s3/multipart/ID/complete`. What it says of the object is not much: the receipt holds what was sent.
    pub async fn complete(&self, complete: &BatchComplete) -> Result<Completion> {
        let (id, request) = (&complete.id, &complete.request);
        let Upload {
            memo,
            completes,
            unlisted,
            ..
        } = self.upload(id)?;
        let parts = request.parts.iter();
        let parts: Vec<Value> = parts
            .map(|part| json!({ "PartNumber": part.number, "ETag": part.etag.quoted() }))
            .collect();
        let path = memo.path("/complete");
        let answer = self
            .call(Method::POST, &path, Some(&json!({ "parts": parts })))
            .await?;
        if !answer.is_ok() {
            let refusal = answer::refusal(&answer);
            if refusal.explained {
                return Err(refusal.error);
            }
            self.change(id, |upload| upload.completes += 1);
            // Once in a while its list is asked for: it may have been completed, and the answer lost.
            let ask = !unlisted && (completes + 1).is_multiple_of(UNEXPLAINED);
            return Err(if ask {
                Error::new(Kind::PartsMismatch, refusal.error.to_string())
            } else {
                refusal.error
            });
        }
        let etags = request.parts.iter().map(|part| &part.etag);
        let (location, etag) = answer::completed(&answer, &memo, memo::composite(etags))?;
        self.change(id, |upload| {
            upload.finished = true;
            upload.stored.clear();
        });
        let sha256 = match request.parts.as_slice() {
            [only] => Some(only.sha256),
            _ => None,
        };
        Ok(Completion::Verified(Box::new(Receipt {
            id: id.clone(),
            backend: self.name.clone(),
            instance_id: self.name.clone(),
            key: memo.key.clone(),
            location,
            size: memo.size,
            parts: memo.count(),
            part_size: memo.part_size,
            etag,
            checksum: Some(request.checksum.clone()),
            proof: Proof::None,
            unproven: Vec::new(),
            sha256,
            started: memo.started,
            finished: Timestamp::now(),
        })))
    }

    /// `DELETE /s3/multipart/ID`
    ///
    /// # Errors
    /// [`Kind::Gone`] for one that was aborted or completed before, [`Kind::Unconfirmed`] where Companion says no reason and the
    /// store does not list it either.
    pub async fn abort(&self, id: &UploadId) -> Result<()> {
        let Upload { memo, .. } = self.upload(id)?;
        let answer = self.call(Method::DELETE, &memo.path(""), None).await?;
        if answer.is_ok() {
            return answer::aborted(&answer);
        }
        let refusal = answer::refusal(&answer);
        if refusal.explained {
            return Err(refusal.error);
        }
        let list = self.call(Method::GET, &memo.path(""), None).await?;
        if list.is_ok() || !self.store_answers(&memo).await {
            return Err(refusal.error);
        }
        let what = "whether the store has none of it is unconfirmed: the backend neither aborts nor lists it, and says no reason";
        Err(Error::new(Kind::Unconfirmed, what)
            .with_hint(format!("it would be the multipart upload of {}", memo.key)))
    }

    /// Sends a part. An `ETag` that has the form of an MD5 has to be that of the bytes.
    pub async fn put(&self, part: PartUpload) -> Result<PutOutcome> {
        let md5 = part
            .signed
            .headers
            .get("content-md5")
            .and_then(|md5| md5.parse().ok());
        let url = part.signed.url.clone();
        let stored = self.api.http.put(part, md5).await;
        stored.map_err(|error| match error.kind() {
            Kind::Corrupt if answer::signs_a_checksum_of_nothing(&url) => error.with_hint(
                "the backend's URLs carry the checksum of an empty part, which some stores hold against every part: set \
                 AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED in Companion's environment",
            ),
            _ => error,
        })
    }

    /// One call. Cookies that it is given are given back.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        // It is never closed.
        let _one = self.shared.calls.acquire().await;
        let mut headers =
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        headers.extend(self.cookies().header().map(|cookies| (COOKIE, cookies)));
        let answer = self.api.call(method, path, body, headers).await?;
        self.cookies().take(&answer.headers);
        Ok(answer)
    }

    fn upload(&self, id: &UploadId) -> Result<Upload> {
        let unknown = || {
            Error::new(
                Kind::Other,
                format!("what the journal keeps of {id} for this backend cannot be read"),
            )
        };
        self.uploads().get(id).cloned().ok_or_else(unknown)
    }

    fn change(&self, id: &UploadId, change: impl FnOnce(&mut Upload)) {
        if let Some(upload) = self.uploads().get_mut(id) {
            change(upload);
        }
    }

    fn uploads(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, Upload>> {
        lock(&self.shared.uploads)
    }

    fn cookies(&self) -> std::sync::MutexGuard<'_, Cookies> {
        lock(&self.shared.cookies)
    }
}

/// A begin whose answer nobody has cannot be asked for again.
fn lost(error: Error) -> Error {
    if !matches!(
        error.kind(),
        Kind::Temporary | Kind::ProtocolError | Kind::UnexpectedServer
    ) {
        return error;
    }
    let what =
        "if the upload had begun, it stays behind in the store, empty, until it is removed there";
    let repeated = Error::new(error.kind(), format!("{error}; {what}"));
    match error.hint() {
        Some(hint) => repeated.with_hint(hint),
        None => repeated,
    }
}
