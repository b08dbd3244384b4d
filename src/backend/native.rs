//! The native dialect: our gateway's HTTP API, version 1.
//!
//! Border: one function for each call, typed and validated; no call is repeated here.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{self, Answer};
use super::api::{self, Api};
use super::dialect::{Answers, Completion};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::UploadId;
use upload_types::wire::{
    BackendInfo, BatchBegin, BatchBody, BatchComplete, BatchOutcome, BatchRequest, BatchResponse,
    BeginResponse, ClaimRequest, ClaimResponse, CompleteResponse, PROTOCOL_VERSION, PartList,
    PartSpec, ReadUrl, SignRequest, SignResponse, SignedPart, StoredPart, UploadList, UploadState,
    UploadStatus,
};

const NOTHING: Option<&()> = None;
/// When to ask again about what is being decided, where the backend does not say.
const DECIDING: Duration = Duration::from_secs(2);

/// A gateway.
#[derive(Debug, Clone)]
pub struct Native {
    pub(super) api: Api,
}

impl Native {
    /// `GET /v1`
    ///
    /// # Errors
    /// [`Kind::Incompatible`] when no gateway of this protocol answers there.
    pub async fn info(&self) -> Result<BackendInfo> {
        let info: BackendInfo = self
            .json(Method::GET, "v1", NOTHING, HeaderMap::new())
            .await?;
        if info.protocol != PROTOCOL_VERSION {
            let what = format!(
                "the backend speaks protocol {}, this is protocol {PROTOCOL_VERSION}",
                info.protocol
            );
            return Err(Error::new(Kind::Incompatible, what).with_hint(answer::VERSIONS));
        }
        let limits = &info.limits;
        if limits.max_part == 0 || limits.max_parts == 0 || limits.min_part > limits.max_part {
            return Err(Error::new(
                Kind::ProtocolError,
                "the backend's limits leave room for no upload",
            ));
        }
        Ok(info)
    }

    /// `POST /v1/uploads`; the same idempotency key again is the same upload.
    pub async fn begin(&self, begin: &BatchBegin) -> Result<BeginResponse> {
        let key = HeaderValue::from_str(&begin.idempotency_key)
            .map_err(|_| Error::new(Kind::Other, "the idempotency key is damaged"))?;
        let headers = HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), key)]);
        let answer: BeginResponse = self
            .json(Method::POST, "v1/uploads", Some(&begin.request), headers)
            .await?;
        crash::point("backend.begun");
        Ok(answer)
    }

    /// `POST /v1/batch`: begins and completes in one call, at most [`upload_types::wire::MAX_BATCH_UPLOADS`]. Each is answered on its own, in
    /// the order asked.
    ///
    /// # Errors
    /// When the call as a whole fails.
    pub async fn batch(&self, request: &BatchRequest) -> Result<Answers> {
        let answer: BatchResponse = self.post("v1/batch", request).await?;
        crash::point("backend.batched");
        if (answer.begin.len(), answer.complete.len())
            != (request.begin.len(), request.complete.len())
        {
            return Err(Error::new(
                Kind::ProtocolError,
                "the backend answered other calls than it was asked",
            ));
        }
        let begun = answer
            .begin
            .into_iter()
            .map(|outcome| alone(outcome).map(|(begun, _)| begun));
        let completed = answer.complete.into_iter().map(|outcome| {
            alone(outcome).map(|(finish, retry_after)| match finish {
                CompleteResponse::Receipt(receipt) => Completion::Verified(receipt),
                CompleteResponse::Pending(_) => {
                    Completion::Pending(retry_after.unwrap_or(DECIDING))
                }
            })
        });
        Ok((begun.collect(), completed.collect()))
    }

    /// `POST /v1/uploads/{id}/claim`
    pub async fn claim(&self, id: &UploadId, request: &ClaimRequest) -> Result<u64> {
        let answer: ClaimResponse = self
            .post(&format!("v1/uploads/{id}/claim"), request)
            .await?;
        crash::point("backend.claimed");
        Ok(answer.epoch)
    }

    /// `POST /v1/uploads/{id}/sign`. The answer names the parts that were asked for, each once, in that order.
    pub async fn sign(
        &self,
        id: &UploadId,
        epoch: u64,
        parts: Vec<PartSpec>,
    ) -> Result<Vec<SignedPart>> {
        let request = SignRequest { epoch, parts };
        let answer: SignResponse = self
            .post(&format!("v1/uploads/{id}/sign"), &request)
            .await?;
        crash::point("backend.signed");
        let asked = request.parts.iter().map(|part| part.number);
        if !asked.eq(answer.parts.iter().map(SignedPart::number)) {
            return Err(Error::new(
                Kind::ProtocolError,
                "the backend signed other parts than it was asked for",
            ));
        }
        if answer
            .parts
            .iter()
            .any(|signed| matches!(signed, SignedPart::Put(put) if put.expires_in == 0))
        {
            return Err(Error::new(
                Kind::ProtocolError,
                "the backend signed URLs that live for no time",
            ));
        }
        Ok(answer.parts)
    }

    /// `GET /v1/uploads/{id}`
    pub async fn status(&self, id: &UploadId) -> Result<UploadStatus> {
        self.json(
            Method::GET,
            &format!("v1/uploads/{id}"),
            NOTHING,
            HeaderMap::new(),
        )
        .await
    }

    /// `GET /v1/uploads?state=`, all pages: the caller's uploads in this state, newest first.
    pub async fn uploads(&self, state: UploadState) -> Result<Vec<UploadStatus>> {
        let mut uploads: Vec<UploadStatus> = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("v1/uploads?state={}{after}", state.name());
            let page: UploadList = self
                .json(Method::GET, &path, NOTHING, HeaderMap::new())
                .await?;
            let last = page.uploads.last().map(|upload| upload.id.clone());
            uploads.extend(page.uploads);
            match page.next {
                None => return Ok(uploads),
                // Each page leads on from its last upload.
                Some(next) if last.as_ref() == Some(&next) => after = format!("&after={next}"),
                Some(_) => {
                    return Err(Error::new(
                        Kind::ProtocolError,
                        "the backend's list of uploads does not end",
                    ));
                }
            }
        }
    }

    /// `GET /v1/uploads/{id}/parts`, all pages: what the store holds, in order of number.
    pub async fn parts(&self, id: &UploadId) -> Result<Vec<StoredPart>> {
        let mut parts: Vec<StoredPart> = Vec::new();
        let mut after = 0;
        loop {
            let path = format!("v1/uploads/{id}/parts?after={after}");
            let page: PartList = self
                .json(Method::GET, &path, NOTHING, HeaderMap::new())
                .await?;
            crash::point("backend.listed");
            parts.extend(page.parts);
            match page.next {
                None => break,
                Some(next) if next.get() > after => after = next.get(),
                Some(_) => {
                    return Err(Error::new(
                        Kind::ProtocolError,
                        "the backend's list of parts does not end",
                    ));
                }
            }
        }
        if !parts.is_sorted_by(|a, b| a.number < b.number) {
            return Err(Error::new(
                Kind::ProtocolError,
                "the backend's list of parts is out of order",
            ));
        }
        Ok(parts)
    }

    /// `POST /v1/uploads/{id}/complete`
    pub async fn complete(&self, complete: &BatchComplete) -> Result<Completion> {
        let path = format!("v1/uploads/{}/complete", complete.id);
        let answer = self
            .call(
                Method::POST,
                &path,
                Some(&complete.request),
                HeaderMap::new(),
            )
            .await?;
        crash::point("backend.completed");
        if answer.status == 202 {
            return Ok(Completion::Pending(
                answer.retry_after().unwrap_or(DECIDING),
            ));
        }
        api::parse(&answer).map(|receipt| Completion::Verified(Box::new(receipt)))
    }

    /// `DELETE /v1/uploads/{id}`: once this returns, the store has none of it. With an epoch, only if that is still the lease's.
    pub async fn abort(&self, id: &UploadId, epoch: Option<u64>) -> Result<()> {
        let query = epoch.map_or(String::new(), |epoch| format!("?epoch={epoch}"));
        self.call(
            Method::DELETE,
            &format!("v1/uploads/{id}{query}"),
            NOTHING,
            HeaderMap::new(),
        )
        .await?;
        crash::point("backend.aborted");
        Ok(())
    }

    /// `GET /v1/uploads/{id}/url`
    pub async fn read_url(&self, id: &UploadId, expires: Option<Duration>) -> Result<ReadUrl> {
        let query = expires.map_or(String::new(), |expires| {
            format!("?expires={}", expires.as_secs())
        });
        self.json(
            Method::GET,
            &format!("v1/uploads/{id}/url{query}"),
            NOTHING,
            HeaderMap::new(),
        )
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
        api::parse(&self.call(method, path, body, headers).await?)
    }

    /// One call; an answer that is no success is an error.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        headers: HeaderMap,
    ) -> Result<Answer> {
        let answer = self.api.call(method, path, body, headers).await?;
        if !answer.is_ok() {
            return Err(answer::of_gateway(&answer));
        }
        if !answer.is_gateways() {
            return Err(answer::not_a_gateway(answer.status));
        }
        Ok(answer)
    }
}

/// What a call of a batch would have come to alone, and when to ask again where that is said.
fn alone<T>(outcome: BatchOutcome<T>) -> Result<(T, Option<Duration>)> {
    let retry_after = outcome.retry_after.map(Duration::from_secs);
    match outcome.body {
        BatchBody::Response(answer) if (200..=299).contains(&outcome.status) => {
            Ok((answer, retry_after))
        }
        BatchBody::Response(_) => Err(Error::new(
            Kind::ProtocolError,
            "the backend answered a call of a batch with no success",
        )),
        BatchBody::Problem(problem) => {
            Err(answer::of_problem(outcome.status, &problem, retry_after))
        }
    }
}
