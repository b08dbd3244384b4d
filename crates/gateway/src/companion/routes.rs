//! The routes of Companion, and the authentication of their requests.
//!
//! Not here: the parsing of requests and the shapes of responses (`format`).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, FromRequestParts as _, RawPathParams, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::format::{self, ListedParts, QueryPairs};
use crate::cors::Origins;
use crate::json_body::JsonBody;
use crate::problem::Refusal;
use crate::routes::{Caller, Gateway, RequestId, add_gateway_headers, run_call};
use crate::service::UploadRef;
use upload_types::PartNumber;
use upload_types::wire::Code;

/// The maximum size of a body, except in a request to complete.
const MAX_BODY_BYTES: usize = 100 << 10;

struct CompanionState {
    gateway: Arc<Gateway>,
    origins: Arc<Origins>,
}

/// The routes below `root`, which has no slash at its end. Each of them is also below
/// `root/t/TOKEN`, for clients that cannot send headers, and with a second slash before `s3`, which
/// some clients send.
pub fn router(gateway: Arc<Gateway>, origins: Arc<Origins>, root: &str) -> Router {
    let state = Arc::new(CompanionState { gateway, origins });
    let mut router = Router::new();
    for base in [
        format!("{root}/s3"),
        format!("{root}//s3"),
        format!("{root}/t/{{token}}/s3"),
        format!("{root}/t/{{token}}//s3"),
    ] {
        let path = |path: &str| format!("{base}{path}");
        router = router
            .route(&path("/params"), get(begin_form))
            .route(&path("/sts"), get(sts))
            .route(&path("/multipart"), post(begin_multipart))
            .route(&path("/multipart/{id}"), get(list).merge(delete(abort)))
            .route(&path("/multipart/{id}/batch"), get(sign_batch))
            .route(&path("/multipart/{id}/complete"), post(complete))
            .route(&path("/multipart/{id}/{number}"), get(sign));
    }
    router
        .layer(from_fn_with_state(Arc::clone(&state), admit))
        .layer(map_response(add_gateway_headers))
}

/// A refusal, as a response in the format of Companion.
struct CompanionError(Refusal);

impl From<Refusal> for CompanionError {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for CompanionError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        // `admit` writes the body with the id of the request.
        response.extensions_mut().insert(self.0);
        response
    }
}

type CompanionResult = Result<Json<Value>, CompanionError>;

/// Authenticates and runs a request, and writes the body of a refusal.
async fn admit(State(state): State<Arc<CompanionState>>, request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .map(ToString::to_string);
    let mut response = match authenticate_and_run(&state, request, next).await {
        Ok(response) => response,
        Err(refusal) => CompanionError(refusal).into_response(),
    };
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let body = Json(format::error(&refusal, id.as_deref()));
        let headers = std::mem::take(response.headers_mut());
        response = (response.status(), headers, body).into_response();
        if let Some(seconds) = refusal.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    response
}

/// Checks the origin of the page and the token, which is in a header or in the path. The origin is
/// checked for all methods, since some routes change something on GET.
async fn authenticate_and_run(
    state: &CompanionState,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let (mut parts, body) = request.into_parts();
    state.origins.check(&parts.headers)?;
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let token = path.ok().and_then(|path| path_param(&path, "token"));
    let mut headers = parts.headers.clone();
    if let Some(token) = token {
        let bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Refusal::new(Code::Unauthenticated))?;
        headers.insert(header::AUTHORIZATION, bearer);
    }
    let request = Request::from_parts(parts, body);
    let call = state
        .gateway
        .admit(&headers, request, MAX_BODY_BYTES)
        .await?;
    Ok(run_call(call, next).await)
}

fn path_param(path: &RawPathParams, wanted: &str) -> Option<String> {
    path.iter()
        .find_map(|(name, value)| (name == wanted).then(|| value.to_owned()))
}

/// The upload that the path and the query of a request name.
struct RequestedUpload {
    id: String,
    object_name: String,
    /// The last segment of the path, for a part.
    number: Option<String>,
    query: QueryPairs,
}

impl RequestedUpload {
    fn parse(path: &RawPathParams, query: Option<&str>) -> Result<Self, CompanionError> {
        let query = QueryPairs::parse(query);
        let object_name = query.single("key").ok_or_else(|| {
            Refusal::with_detail(
                Code::InvalidRequest,
                "s3: the object key must be passed as a query parameter. For example: \"?key=abc.jpg\"",
            )
        })?;
        Ok(Self {
            id: path_param(path, "id").unwrap_or_default(),
            object_name: object_name.to_owned(),
            number: path_param(path, "number"),
            query,
        })
    }

    fn reference(&self) -> UploadRef<'_> {
        UploadRef {
            id: &self.id,
            object_name: &self.object_name,
        }
    }
}

async fn begin_form(
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> CompanionResult {
    let query = QueryPairs::parse(query.as_deref());
    let (name, content_type) = (query.single("filename"), query.single("type"));
    let request = format::begin_request(name, content_type, query.metadata())?;
    let (upload, form) = caller.service.begin_form(&caller.owner, request).await?;
    Ok(Json(json!({
        "method": "POST",
        "url": form.url,
        "fields": form.fields,
        "expires": form.expires_in,
        "expiresAt": upload.expires_at,
    })))
}

async fn begin_multipart(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<JsonBody<Value>, Refusal>,
) -> CompanionResult {
    let JsonBody(body) = body?;
    let content_type = body.get("type").unwrap_or(&Value::Null);
    if !(content_type.is_null() || content_type.is_string()) {
        let detail = "s3: content type must be a string";
        return Err(Refusal::with_detail(Code::InvalidRequest, detail).into());
    }
    let metadata = body.get("metadata").and_then(Value::as_object);
    let metadata = metadata
        .into_iter()
        .flat_map(Map::iter)
        .filter_map(format::metadata_pair)
        .collect();
    let name = body.get("filename").and_then(Value::as_str);
    let request = format::begin_request(name, content_type.as_str(), metadata)?;
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .map_or_else(upload_types::new_id, str::to_owned);
    let upload = caller
        .service
        .begin_multipart(&caller.owner, &key, request)
        .await?;
    Ok(Json(json!({
        "key": caller.service.object_name(&upload.key),
        "uploadId": upload.id,
        "bucket": caller.service.bucket(),
        "expiresAt": upload.expires_at,
    })))
}

async fn list(
    Extension(caller): Extension<Caller>,
    path: RawPathParams,
    RawQuery(query): RawQuery,
) -> CompanionResult {
    let upload = RequestedUpload::parse(&path, query.as_deref())?;
    let parts = caller
        .service
        .all_parts(&caller.owner, upload.reference())
        .await?;
    Ok(Json(parts.iter().map(format::part).collect()))
}

async fn sign(
    Extension(caller): Extension<Caller>,
    path: RawPathParams,
    RawQuery(query): RawQuery,
) -> CompanionResult {
    let upload = RequestedUpload::parse(&path, query.as_deref())?;
    let number = format::parse_part_number(upload.number.as_deref().unwrap_or_default())?;
    let signed = caller
        .service
        .sign_part_numbers(&caller.owner, upload.reference(), &[number])
        .await?;
    let put = signed
        .first()
        .ok_or_else(|| Refusal::new(Code::Unavailable))?;
    Ok(Json(json!({
        "url": put.url,
        "expires": put.expires_in,
        "method": put.method,
    })))
}

async fn sign_batch(
    Extension(caller): Extension<Caller>,
    path: RawPathParams,
    RawQuery(query): RawQuery,
) -> CompanionResult {
    let upload = RequestedUpload::parse(&path, query.as_deref())?;
    let numbers = upload.query.single("partNumbers").unwrap_or_default();
    let mut numbers = numbers
        .split(',')
        .map(|number| format::parse_part_number(number.trim()))
        .collect::<Result<Vec<PartNumber>, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    let signed = caller
        .service
        .sign_part_numbers(&caller.owner, upload.reference(), &numbers)
        .await?;
    let expires_in = signed.iter().map(|put| put.expires_in).min();
    let urls: Map<String, Value> = signed
        .iter()
        .map(|put| (put.number.to_string(), json!(put.url)))
        .collect();
    Ok(Json(json!({"presignedUrls": urls, "expires": expires_in})))
}

async fn complete(
    Extension(caller): Extension<Caller>,
    path: RawPathParams,
    RawQuery(query): RawQuery,
    body: Result<JsonBody<ListedParts>, Refusal>,
) -> CompanionResult {
    let upload = RequestedUpload::parse(&path, query.as_deref())?;
    let JsonBody(parts) = body?;
    let parts = format::part_etags(parts)?;
    let receipt = caller
        .service
        .complete_multipart(&caller.owner, upload.reference(), &parts)
        .await?;
    Ok(Json(json!({
        "location": caller.service.object_url(&receipt),
        "key": upload.object_name,
        "bucket": caller.service.bucket(),
    })))
}

/// Some clients send a body, which is ignored.
async fn abort(
    Extension(caller): Extension<Caller>,
    path: RawPathParams,
    RawQuery(query): RawQuery,
    _body: Bytes,
) -> CompanionResult {
    let upload = RequestedUpload::parse(&path, query.as_deref())?;
    caller
        .service
        .abort_multipart(&caller.owner, upload.reference())
        .await?;
    Ok(Json(json!({})))
}

/// Responds like a Companion that is not configured for temporary credentials.
async fn sts() -> Response {
    let message =
        "This Companion server does not support uploading to S3 with temporary credentials";
    let body = Json(json!({"error": message, "message": message}));
    (StatusCode::BAD_REQUEST, body).into_response()
}
