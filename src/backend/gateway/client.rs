//! The requests of the gateway's API: one function for each route. Responses are checked.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::response::{gateway_error, no_token_given, not_a_gateway, problem_error};
use crate::backend::api::Api;
use crate::backend::bearer::Bearer;
use crate::backend::completion::{BatchResults, Completion};
use crate::backend::connections::Connections;
use crate::backend::response::{
    Response, VERSIONS_HINT, damaged_idempotency_key, expired_urls_signed, protocol_error,
    wrong_parts_signed,
};
use crate::backend::store::StoreClient;
use crate::backend::url_policy::read_url;
use upload_types::UploadId;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{
    BackendInfo, BatchBegin, BatchBody, BatchComplete, BatchOutcome, BatchRequest, BatchResponse,
    BeginResponse, ClaimRequest, ClaimResponse, CompleteResponse, PROTOCOL_VERSION, PartCopy,
    PartList, PartSpec, ReadUrl, Receipt, SignRequest, SignResponse, SignedPart, StoredPart,
    UploadList, UploadState, UploadStatus,
};

const NO_BODY: Option<&()> = None;
/// The delay before a request to complete is repeated, if the gateway names none.
const PENDING_POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The longest list of uploads, in bytes of all its pages: more than 50,000 uploads. In memory it
/// may take several times as much.
const MAX_LIST_BYTES: usize = 32 << 20;

/// Why parts are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignReason {
    UrlNeeded,
    /// The store has refused the credentials of an earlier URL.
    CredentialsRejected,
}

#[derive(Debug, Clone)]
pub struct Gateway {
    api: Api,
    store: StoreClient,
}

impl Gateway {
    pub fn new(connections: Connections, bearer: impl Into<Bearer>) -> Self {
        Self {
            store: StoreClient::new(connections.clone()),
            api: Api::new(connections, bearer),
        }
    }

    /// # Errors
    /// As [`Connections::new`].
    pub fn with_new_connections(&self) -> Result<Self> {
        let connections = self.api.connections().renewed()?;
        Ok(Self {
            store: self.store.with_connections(connections.clone()),
            api: self.api.with_connections(connections),
        })
    }

    pub fn store(&self) -> &StoreClient {
        &self.store
    }

    /// `GET /v1`
    ///
    /// # Errors
    /// [`Kind::Incompatible`] if the gateway uses another protocol, [`Kind::ProtocolError`] if no
    /// plan fits its limits.
    pub async fn info(&self) -> Result<BackendInfo> {
        let info: BackendInfo = self.get("v1").await?;
        if info.protocol != PROTOCOL_VERSION {
            let protocol = info.protocol;
            let what = format!(
                "the backend uses protocol {protocol}, this program protocol {PROTOCOL_VERSION}"
            );
            return Err(Error::new(Kind::Incompatible, what).with_hint(VERSIONS_HINT));
        }
        let limits = &info.limits;
        if limits.max_part == 0 || limits.max_parts == 0 || limits.min_part > limits.max_part {
            return Err(protocol_error("the limits of the backend permit no upload"));
        }
        Ok(info)
    }

    /// `POST /v1/uploads`. A repetition with the same idempotency key returns the same upload.
    pub async fn begin(&self, begin: &BatchBegin) -> Result<BeginResponse> {
        let key =
            HeaderValue::from_str(&begin.idempotency_key).map_err(|_| damaged_idempotency_key())?;
        let headers = HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), key)]);
        let body = Some(&begin.request);
        let response: BeginResponse = self.json(Method::POST, "v1/uploads", body, headers).await?;
        crash::point("backend.begin.response");
        check_copies(response.parts.as_deref(), &begin.request.copies)?;
        Ok(response)
    }

    /// `POST /v1/batch`
    pub async fn batch(&self, request: &BatchRequest) -> Result<BatchResults> {
        let response: BatchResponse = self.post("v1/batch", request).await?;
        crash::point("backend.batch.response");
        if response.begin.len() != request.begin.len()
            || response.complete.len() != request.complete.len()
        {
            return Err(protocol_error(
                "the backend did not send one response for each request of a batch",
            ));
        }
        let begun = response.begin.into_iter().zip(&request.begin);
        let begun = begun.map(|(outcome, begin)| {
            let (begun, _): (BeginResponse, _) = batch_result(outcome)?;
            check_copies(begun.parts.as_deref(), &begin.request.copies)?;
            Ok(begun)
        });
        let completed = response.complete.into_iter().map(|outcome| {
            let (completed, retry_after) = batch_result(outcome)?;
            Ok(match completed {
                CompleteResponse::Receipt(receipt) => {
                    check_location(&receipt)?;
                    Completion::Verified(receipt)
                }
                CompleteResponse::Pending(_) => {
                    Completion::Pending(retry_after.unwrap_or(PENDING_POLL_INTERVAL))
                }
            })
        });
        let statuses = response.status.into_iter().map(|outcome| {
            let (status, _): (UploadStatus, _) = batch_result(outcome)?;
            check_receipt_of(&status)?;
            Ok(status)
        });
        let mut statuses: Vec<Result<UploadStatus>> = statuses.collect();
        // An older gateway ignores requests for statuses in a batch.
        for id in request.status.iter().skip(statuses.len()) {
            statuses.push(self.status(id).await);
        }
        Ok(BatchResults {
            begun: begun.collect(),
            completed: completed.collect(),
            statuses,
        })
    }

    /// `POST /v1/batch`, for each upload: whether the store's listing has its object. An older
    /// gateway ignores the request: then the result is `None`.
    pub async fn find_present(&self, ids: Vec<UploadId>) -> Result<Option<Vec<bool>>> {
        let count = ids.len();
        let request = BatchRequest {
            present: ids,
            ..BatchRequest::default()
        };
        let response: BatchResponse = self.post("v1/batch", &request).await?;
        Ok(Some(response.present).filter(|present| present.len() == count))
    }

    /// `POST /v1/uploads/{id}/claim`
    pub async fn claim(&self, id: &UploadId, request: &ClaimRequest) -> Result<u64> {
        let path = format!("v1/uploads/{id}/claim");
        let response: ClaimResponse = self.post(&path, request).await?;
        crash::point("backend.claim.response");
        Ok(response.epoch)
    }

    /// `POST /v1/uploads/{id}/sign`
    pub async fn sign(
        &self,
        id: &UploadId,
        epoch: u64,
        parts: Vec<PartSpec>,
        copies: Vec<PartCopy>,
        reason: SignReason,
    ) -> Result<Vec<SignedPart>> {
        let request = SignRequest {
            epoch,
            parts,
            copies,
            credentials_rejected: reason == SignReason::CredentialsRejected,
        };
        let path = format!("v1/uploads/{id}/sign");
        let response: SignResponse = self.post(&path, &request).await?;
        crash::point("backend.sign.response");
        let requested = request.parts.iter().map(|part| part.number);
        if !requested.eq(response.parts.iter().map(SignedPart::number)) {
            return Err(wrong_parts_signed());
        }
        check_copies(Some(&response.parts), &request.copies)?;
        let is_expired =
            |part: &SignedPart| matches!(part, SignedPart::Put(put) if put.expires_in == 0);
        if response.parts.iter().any(is_expired) {
            return Err(expired_urls_signed());
        }
        Ok(response.parts)
    }

    /// `GET /v1/uploads/{id}`
    pub async fn status(&self, id: &UploadId) -> Result<UploadStatus> {
        let status: UploadStatus = self.get(&format!("v1/uploads/{id}")).await?;
        check_receipt_of(&status)?;
        Ok(status)
    }

    /// `GET /v1/uploads?state=`, every page.
    ///
    /// # Errors
    /// [`Kind::ProtocolError`] if the list does not end, or is too long.
    pub async fn uploads(&self, state: UploadState) -> Result<Vec<UploadStatus>> {
        let mut uploads: Vec<UploadStatus> = Vec::new();
        let mut seen = HashSet::new();
        let (mut after, mut bytes) = (String::new(), 0);
        loop {
            let path = format!("v1/uploads?state={}{after}", state.name());
            let response = self
                .call(Method::GET, &path, NO_BODY, HeaderMap::new())
                .await?;
            bytes += response.body.len();
            if bytes > MAX_LIST_BYTES {
                let what = format!(
                    "the backend's list of uploads has more than {} MiB",
                    MAX_LIST_BYTES >> 20
                );
                return Err(protocol_error(&what));
            }
            let page: UploadList = response.json()?;
            let last = page.uploads.last().map(|upload| upload.id.clone());
            uploads.extend(page.uploads);
            match page.next {
                None => return Ok(uploads),
                // A page that was requested before would repeat forever.
                Some(next) if last.as_ref() == Some(&next) && seen.insert(next.clone()) => {
                    after = format!("&after={next}");
                }
                Some(_) => {
                    return Err(protocol_error("the backend's list of uploads does not end"));
                }
            }
        }
    }

    /// `GET /v1/uploads/{id}/parts`, every page. Parts behind the last one of `planned` parts are
    /// left out.
    ///
    /// # Errors
    /// [`Kind::ProtocolError`] if the list is not in order, or does not end with the planned parts.
    pub async fn parts(&self, id: &UploadId, planned: u32) -> Result<Vec<StoredPart>> {
        let mut parts: Vec<StoredPart> = Vec::new();
        let mut after = 0;
        loop {
            let path = format!("v1/uploads/{id}/parts?after={after}");
            let page: PartList = self.get(&path).await?;
            crash::point("backend.parts.response");
            parts.extend(page.parts);
            if !parts.is_sorted_by(|a, b| a.number < b.number) {
                return Err(protocol_error(
                    "the backend's list of parts is not in order",
                ));
            }
            parts.retain(|part| part.number.get() <= planned);
            match page.next {
                None => return Ok(parts),
                Some(next) if next.get() > after && next.get() <= planned => after = next.get(),
                Some(_) => {
                    return Err(protocol_error("the backend's list of parts does not end"));
                }
            }
        }
    }

    /// `POST /v1/uploads/{id}/complete`
    pub async fn complete(&self, complete: &BatchComplete) -> Result<Completion> {
        let path = format!("v1/uploads/{}/complete", complete.id);
        let body = Some(&complete.request);
        let response = self
            .call(Method::POST, &path, body, HeaderMap::new())
            .await?;
        crash::point("backend.complete.response");
        if response.status == 202 {
            let delay = response.retry_after().unwrap_or(PENDING_POLL_INTERVAL);
            return Ok(Completion::Pending(delay));
        }
        let receipt: Receipt = response.json()?;
        check_location(&receipt)?;
        Ok(Completion::Verified(Box::new(receipt)))
    }

    /// `DELETE /v1/uploads/{id}`
    pub async fn abort(&self, id: &UploadId, epoch: Option<u64>) -> Result<()> {
        // A finished upload stays, also if the gateway permits its removal.
        let query = epoch.map_or("unfinished=true".to_owned(), |epoch| {
            format!("epoch={epoch}")
        });
        self.delete(&format!("v1/uploads/{id}?{query}")).await
    }

    /// `DELETE /v1/uploads/{id}`, of a finished upload, too.
    pub async fn remove(&self, id: &UploadId) -> Result<()> {
        self.delete(&format!("v1/uploads/{id}")).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.call(Method::DELETE, path, NO_BODY, HeaderMap::new())
            .await?;
        crash::point("backend.abort.response");
        Ok(())
    }

    /// `GET /v1/uploads/{id}/url`. Returns the URL in the form of a URL parser, so that it can be
    /// printed.
    ///
    /// # Errors
    /// [`Kind::Incompatible`] if it is not an http URL.
    pub async fn read_url(&self, id: &UploadId, expires: Option<Duration>) -> Result<ReadUrl> {
        let query = expires.map_or(String::new(), |expires| {
            format!("?expires={}", expires.as_secs())
        });
        let read: ReadUrl = self.get(&format!("v1/uploads/{id}/url{query}")).await?;
        let url = read_url(read.url.expose())?;
        Ok(ReadUrl { url, ..read })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.json(Method::GET, path, NO_BODY, HeaderMap::new())
            .await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.json(Method::POST, path, Some(body), HeaderMap::new())
            .await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        headers: HeaderMap,
    ) -> Result<T> {
        self.call(method, path, body, headers).await?.json()
    }

    /// Sends a request. A response without a success status is an error.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        headers: HeaderMap,
    ) -> Result<Response> {
        let response = self.api.call(method, path, body, headers).await?;
        if response.status == 401 && response.is_from_gateway() && !self.api.has_token() {
            return Err(no_token_given());
        }
        if !response.is_success() {
            return Err(gateway_error(&response));
        }
        if !response.is_from_gateway() {
            return Err(not_a_gateway(response.status));
        }
        Ok(response)
    }
}

fn check_receipt_of(status: &UploadStatus) -> Result<()> {
    status.receipt.as_ref().map_or(Ok(()), check_location)
}

/// Checks the location of an object, which is printed: a program that opens it must not run it.
///
/// # Errors
/// [`Kind::ProtocolError`] for a URL that does not name an object, such as `javascript:…`.
fn check_location(receipt: &Receipt) -> Result<()> {
    match receipt.location.as_deref().map(Url::parse) {
        Some(Ok(url)) if !["http", "https", "s3", "embedded"].contains(&url.scheme()) => Err(
            protocol_error("the backend names a location that is not that of an object"),
        ),
        _ => Ok(()),
    }
}

/// The response to one request of a batch, and its `retry_after`.
fn batch_result<T>(outcome: BatchOutcome<T>) -> Result<(T, Option<Duration>)> {
    let retry_after = outcome.retry_after.map(Duration::from_secs);
    match outcome.body {
        BatchBody::Response(response) if (200..=299).contains(&outcome.status) => {
            Ok((response, retry_after))
        }
        BatchBody::Response(_) => Err(protocol_error(
            "in a batch, the backend sent a failure status with a success response",
        )),
        BatchBody::Problem(problem) => Err(problem_error(outcome.status, &problem, retry_after)),
    }
}

/// Checks that the backend names only parts as stored that it was asked to copy.
///
/// # Errors
/// [`Kind::ProtocolError`] for another part.
fn check_copies(parts: Option<&[SignedPart]>, copies: &[PartCopy]) -> Result<()> {
    let is_copied = |number| copies.iter().any(|copy| copy.number == number);
    let mut stored = parts
        .unwrap_or_default()
        .iter()
        .filter_map(|part| match part {
            SignedPart::Stored { number, .. } => Some(*number),
            SignedPart::Put(_) => None,
        });
    match stored.find(|number| !is_copied(*number)) {
        None => Ok(()),
        Some(number) => Err(protocol_error(&format!(
            "the backend reports part {number} as stored, although it was not asked to copy it"
        ))),
    }
}
