//! The calls about uploads: each handler parses its request, calls the service, and converts the
//! result to a response.

use axum::extract::{Extension, FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use futures_util::future::join;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::batch_calls::{BatchCalls, too_many_calls};
use super::gateway::Caller;
use super::responses::ApiResponse;
use crate::json_body::JsonBody;
use crate::problem::Refusal;
use crate::service::{BatchCall, Begun, Completion, Finished};
use upload_types::UploadId;
use upload_types::wire::{
    BackendInfo, BatchBegin, BatchComplete, BatchOutcome, BatchResponse, BeginRequest,
    BeginResponse, ClaimRequest, ClaimResponse, Code, CompletePending, CompleteRequest,
    CompleteResponse, MAX_BATCH_PRESENT, MAX_BATCH_UPLOADS, MAX_SIGN_PARTS, PartList, ReadUrl,
    SignRequest, SignResponse, UploadList, UploadStatus,
};

/// Seconds until a client may repeat a complete with unknown outcome.
const PENDING_RETRY_SECONDS: u64 = 1;

type JsonResult<T> = Result<axum::Json<T>, Refusal>;

pub async fn info(Extension(caller): Extension<Caller>) -> axum::Json<BackendInfo> {
    axum::Json(caller.service.info(&caller.owner))
}

pub async fn begin(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<BeginRequest>,
) -> Result<ApiResponse<BeginResponse>, Refusal> {
    let missing = || {
        let detail =
            "the header Idempotency-Key is missing; send a new random text with each upload";
        Refusal::with_detail(Code::InvalidRequest, detail)
    };
    let key = headers.get("idempotency-key").ok_or_else(missing)?;
    let key = key.to_str().unwrap_or_default();
    let begun = caller.service.begin(&caller.owner, key, request).await?;
    Ok(begin_response(begun))
}

fn begin_response(begun: Begun) -> ApiResponse<BeginResponse> {
    ApiResponse {
        status: if begun.is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        },
        retry_after: None,
        body: begun.response,
    }
}

pub async fn claim(
    Extension(caller): Extension<Caller>,
    UploadIdPath(id): UploadIdPath,
    JsonBody(request): JsonBody<ClaimRequest>,
) -> JsonResult<ClaimResponse> {
    let claimed = caller.service.claim(&caller.owner, &id, request).await?;
    Ok(axum::Json(claimed))
}

pub async fn sign(
    Extension(caller): Extension<Caller>,
    UploadIdPath(id): UploadIdPath,
    JsonBody(request): JsonBody<SignRequest>,
) -> JsonResult<SignResponse> {
    let signed = caller.service.sign(&caller.owner, &id, request).await?;
    Ok(axum::Json(signed))
}

pub async fn complete(
    Extension(caller): Extension<Caller>,
    UploadIdPath(id): UploadIdPath,
    JsonBody(request): JsonBody<CompleteRequest>,
) -> Result<ApiResponse<CompleteResponse>, Refusal> {
    let completion = caller.service.complete(&caller.owner, &id, request).await?;
    Ok(complete_response(completion))
}

fn complete_response(completion: Completion) -> ApiResponse<CompleteResponse> {
    match completion {
        Completion::Receipt(receipt) => ApiResponse {
            status: StatusCode::OK,
            retry_after: None,
            body: CompleteResponse::Receipt(receipt),
        },
        Completion::Pending(state) => ApiResponse {
            status: StatusCode::ACCEPTED,
            retry_after: Some(PENDING_RETRY_SECONDS),
            body: CompleteResponse::Pending(CompletePending { state }),
        },
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ParsedBatch {
    begin: BatchCalls<BatchBegin>,
    complete: BatchCalls<BatchComplete>,
    status: BatchCalls<UploadId>,
    present: BatchCalls<UploadId, MAX_BATCH_PRESENT>,
}

pub async fn batch(
    Extension(caller): Extension<Caller>,
    JsonBody(batch): JsonBody<ParsedBatch>,
) -> JsonResult<BatchResponse> {
    let (begins, completes, ids) = (batch.begin.0, batch.complete.0, batch.status.0);
    if begins.len() + completes.len() + ids.len() > MAX_BATCH_UPLOADS {
        return Err(Refusal::with_detail(
            Code::InvalidRequest,
            too_many_calls(MAX_BATCH_UPLOADS),
        ));
    }
    let part_count = |call: &BatchCall<BatchBegin>| {
        let parts = call.as_ref().ok()?.request.parts.as_ref();
        parts.map(Vec::len)
    };
    if begins.iter().filter_map(part_count).sum::<usize>() > MAX_SIGN_PARTS {
        return Err(Refusal::with_detail(
            Code::InvalidRequest,
            format!("a batch has at most {MAX_SIGN_PARTS} parts"),
        ));
    }
    let present = caller
        .service
        .find_present(&caller.owner, batch.present.0)
        .await?;
    let ((begins, completes), statuses) = join(
        caller.service.batch(&caller.owner, begins, completes),
        caller.service.statuses(&caller.owner, ids),
    )
    .await;
    let begin = begins
        .into_iter()
        .map(|result| batch_outcome(result.map(begin_response)));
    let complete = completes
        .into_iter()
        .map(|result| batch_outcome(result.map(complete_response)));
    let status = statuses.into_iter().map(|result| {
        batch_outcome(result.map(|status| ApiResponse {
            status: StatusCode::OK,
            retry_after: None,
            body: status,
        }))
    });
    Ok(axum::Json(BatchResponse {
        begin: begin.collect(),
        complete: complete.collect(),
        status: status.collect(),
        present,
    }))
}

fn batch_outcome<T>(result: Result<ApiResponse<T>, Refusal>) -> BatchOutcome<T> {
    match result {
        Ok(response) => response.into(),
        Err(refusal) => refusal.into(),
    }
}

#[derive(Deserialize)]
pub struct AbortQuery {
    epoch: Option<u64>,
    /// True to leave a finished upload as it is.
    #[serde(default)]
    unfinished: bool,
}

impl AbortQuery {
    fn finished(&self) -> Finished {
        if self.unfinished {
            Finished::Keep
        } else {
            Finished::Remove
        }
    }
}

pub async fn abort(
    Extension(caller): Extension<Caller>,
    UploadIdPath(id): UploadIdPath,
    QueryParams(query): QueryParams<AbortQuery>,
) -> Result<StatusCode, Refusal> {
    caller
        .service
        .abort(&caller.owner, &id, query.epoch, query.finished())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn status(
    Extension(caller): Extension<Caller>,
    UploadIdPath(id): UploadIdPath,
) -> JsonResult<UploadStatus> {
    let status = caller.service.status(&caller.owner, &id).await?;
    Ok(axum::Json(status))
}

#[derive(Deserialize)]
pub struct ListQuery {
    state: Option<String>,
    after: Option<String>,
}

pub async fn list(
    Extension(caller): Extension<Caller>,
    QueryParams(query): QueryParams<ListQuery>,
) -> JsonResult<UploadList> {
    let (state, after) = (query.state.as_deref(), query.after.as_deref());
    let list = caller.service.list(&caller.owner, state, after).await?;
    Ok(axum::Json(list))
}

#[derive(Deserialize)]
pub struct PartsQuery {
    after: Option<u32>,
}

pub async fn parts(
    Extension(caller): Extension<Caller>,
    UploadIdPath(id): UploadIdPath,
    QueryParams(query): QueryParams<PartsQuery>,
) -> JsonResult<PartList> {
    let after = query.after.unwrap_or(0);
    let parts = caller.service.parts(&caller.owner, &id, after).await?;
    Ok(axum::Json(parts))
}

#[derive(Deserialize)]
pub struct UrlQuery {
    expires: Option<u64>,
}

pub async fn url(
    Extension(caller): Extension<Caller>,
    UploadIdPath(id): UploadIdPath,
    QueryParams(query): QueryParams<UrlQuery>,
) -> JsonResult<ReadUrl> {
    let url = caller
        .service
        .url(&caller.owner, &id, query.expires)
        .await?;
    Ok(axum::Json(url))
}

/// The upload id in the path. An id that does not parse is refused like an unknown one.
pub struct UploadIdPath(String);

impl<S: Send + Sync> FromRequestParts<S> for UploadIdPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id))
            .map_err(|_| Refusal::new(Code::NotFound))
    }
}

pub struct QueryParams<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Refusal::with_detail(
                Code::InvalidRequest,
                rejection.body_text(),
            )),
        }
    }
}
