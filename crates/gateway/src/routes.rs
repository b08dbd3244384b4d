//! HTTP API version 1: each call of the wire contract to its operation, and every refusal to a problem.
//!
//! Border: reads requests and writes answers; what they mean is `service`, who asks is `auth`. Nothing here knows a store.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Extension, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::auth::{Guard, Owner, Shown, says_json};
use crate::body::{Json, unreadable};
use crate::cors::Origins;
use crate::events::Inbox;
use crate::metrics;
use crate::openapi::openapi;
use crate::problem::{Refusal, problem};
use crate::service::{Call, Completion, Service};
use upload_types::wire::{
    BatchBegin, BatchBody, BatchOutcome, BatchResponse, BeginRequest, BeginResponse, ClaimRequest,
    Code, CompletePending, CompleteRequest, CompleteResponse, MAX_BATCH_UPLOADS, MAX_JSON_BYTES,
    MAX_SIGN_PARTS, PROTOCOL_HEADER, PROTOCOL_VERSION, SignRequest,
};

mod access;
mod health;

pub use access::RequestId;
use health::Health;

/// The most bytes of a body, but for complete's and batch's.
const BODY_MAX: usize = 1 << 20;
/// The most bytes that a store may push at once.
const EVENTS_MAX: usize = 256 << 10;
/// Calls that are served at the same time; more are sent away.
const CALLS: usize = 256;

/// What the routes serve: nothing, until the store was tried.
pub struct Gateway {
    guard: Guard,
    pub service: OnceLock<Arc<Service>>,
    /// Where stores push their events.
    pub events: OnceLock<Webhook>,
    pub health: Health,
    places: Semaphore,
}

impl Gateway {
    pub fn new(guard: Guard) -> Self {
        let places = Semaphore::new(CALLS);
        Self {
            guard,
            service: OnceLock::new(),
            events: OnceLock::new(),
            health: Health::default(),
            places,
        }
    }

    /// Lets in who may come in, and gives them one of the places.
    ///
    /// # Errors
    /// What [`Guard::owner`] says, `invalid_request` for a body that is not said to be JSON, `unavailable` where there is no place.
    pub async fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(SemaphorePermit<'_>, Caller), Refusal> {
        let place = self
            .places
            .try_acquire()
            .map_err(|_| Refusal::later(Code::Unavailable, 1))?;
        let owner = self.guard.owner(uri, headers).await?;
        if !says_json(method, headers) {
            return Err(Refusal::saying(
                Code::InvalidRequest,
                "the body must be application/json",
            ));
        }
        let service = self
            .service
            .get()
            .ok_or_else(|| Refusal::later(Code::Unavailable, 1))?;
        Ok((
            place,
            Caller {
                owner,
                service: Arc::clone(service),
            },
        ))
    }
}

/// What stores push their events to.
pub struct Webhook {
    pub guard: Shown,
    pub inbox: Inbox,
}

/// Who asks, and what serves them.
#[derive(Clone)]
pub struct Caller {
    pub owner: Owner,
    pub service: Arc<Service>,
}

/// The routes of the API, all but the fallback beside them.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let v1 = Router::new()
        .route("/", get(info))
        .route("/uploads", get(list).post(begin))
        .route("/uploads/{id}", get(status).delete(abort))
        .route("/uploads/{id}/claim", post(claim))
        .route("/uploads/{id}/sign", post(sign))
        .route("/uploads/{id}/parts", get(parts))
        .route(
            "/uploads/{id}/complete",
            post(complete).layer(DefaultBodyLimit::max(MAX_JSON_BYTES)),
        )
        .route("/uploads/{id}/url", get(url))
        .route(
            "/batch",
            post(batch).layer(DefaultBodyLimit::max(MAX_JSON_BYTES)),
        )
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_such_path)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&gateway), authenticate));
    // Beside the rest: it is a store that asks, with a secret of its own.
    let events = post(events).layer(DefaultBodyLimit::max(EVENTS_MAX));
    Router::new()
        .route("/v1/events/s3", events)
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/openapi.json", get(openapi))
        .nest("/v1", v1)
        .method_not_allowed_fallback(wrong_method)
        .layer(map_response(mark))
        .with_state(gateway)
}

/// What every request passes, whatever it leads to: put around the routes when all of them are there.
pub fn told(router: Router, origins: Option<&Origins>) -> Router {
    let router = match origins {
        Some(origins) => router.layer(origins.layer()),
        None => router,
    };
    router.layer(from_fn(access::access))
}

/// The routes of the listener for metrics: nothing that changes anything, and nobody is asked who they are.
pub fn operations(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(wrong_method)
        .fallback(no_such_path)
        .with_state(gateway)
}

async fn scrape() -> Response {
    match metrics::text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not write the metrics");
            Refusal::new(Code::Unavailable).into_response()
        }
    }
}

async fn healthz() -> &'static str {
    "ok\n"
}

/// The fallback of a gateway that serves no store beside its API.
pub async fn no_such_path() -> Response {
    mark(Refusal::saying(Code::NotFound, "there is no such path").into_response()).await
}

async fn wrong_method() -> Response {
    let refusal = Refusal::saying(Code::InvalidRequest, "this path does not take that method");
    problem(StatusCode::METHOD_NOT_ALLOWED, &refusal)
}

/// Marks an answer as a gateway's; none may be kept by a cache, as many hold a signed URL.
pub async fn mark(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static(PROTOCOL_HEADER),
        HeaderValue::from(PROTOCOL_VERSION),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn authenticate(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request,
    next: Next,
) -> Response {
    match gateway
        .admit(request.method(), request.uri(), request.headers())
        .await
    {
        Err(refusal) => refusal.into_response(),
        Ok((_place, caller)) => {
            let owner = caller.owner.clone();
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            // For the access log.
            response.extensions_mut().insert(owner);
            response
        }
    }
}

async fn readyz(State(gateway): State<Arc<Gateway>>) -> Result<&'static str, Refusal> {
    gateway.health.ready(gateway.service.get()).await?;
    Ok("ready\n")
}

/// A store pushes what happened in it. Without a webhook there is no such path.
async fn events(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let webhook = gateway
        .events
        .get()
        .ok_or_else(|| Refusal::saying(Code::NotFound, "there is no such path"))?;
    webhook.guard.check(&headers)?;
    let body = body.map_err(|_| Refusal::saying(Code::TooLarge, "an event has 256 KiB at most"))?;
    webhook.inbox.take(&body)?;
    Ok(StatusCode::OK)
}

async fn info(Extension(caller): Extension<Caller>) -> Response {
    json(StatusCode::OK, &caller.service.info())
}

async fn begin(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(request): Json<BeginRequest>,
) -> Result<Response, Refusal> {
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default();
    Ok(begun(caller.service.begin(&caller.owner, key, request).await?).into_response())
}

fn begun((answer, new): (BeginResponse, bool)) -> Granted<BeginResponse> {
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Granted {
        status,
        retry_after: None,
        answer,
    }
}

async fn claim(
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Json(request): Json<ClaimRequest>,
) -> Result<Response, Refusal> {
    Ok(json(
        StatusCode::OK,
        &caller.service.claim(&caller.owner, &id, request).await?,
    ))
}

async fn sign(
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Json(request): Json<SignRequest>,
) -> Result<Response, Refusal> {
    Ok(json(
        StatusCode::OK,
        &caller.service.sign(&caller.owner, &id, request).await?,
    ))
}

async fn complete(
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Json(request): Json<CompleteRequest>,
) -> Result<Response, Refusal> {
    Ok(finished(caller.service.complete(&caller.owner, &id, request).await?).into_response())
}

fn finished(completion: Completion) -> Granted<CompleteResponse> {
    match completion {
        Completion::Receipt(receipt) => Granted {
            status: StatusCode::OK,
            retry_after: None,
            answer: CompleteResponse::Receipt(receipt),
        },
        Completion::Deciding(state) => {
            let answer = CompleteResponse::Pending(CompletePending { state });
            Granted {
                status: StatusCode::ACCEPTED,
                retry_after: Some(1),
                answer,
            }
        }
    }
}

/// The calls of a batch as they came: one that cannot be read spoils no other.
#[derive(Deserialize)]
struct Calls {
    #[serde(default)]
    begin: Vec<Value>,
    #[serde(default)]
    complete: Vec<Value>,
}

async fn batch(
    Extension(caller): Extension<Caller>,
    Json(calls): Json<Calls>,
) -> Result<Response, Refusal> {
    if calls.begin.len() + calls.complete.len() > MAX_BATCH_UPLOADS {
        return Err(Refusal::saying(
            Code::InvalidRequest,
            format!("batch takes {MAX_BATCH_UPLOADS} uploads at most"),
        ));
    }
    let begin: Vec<Call<BatchBegin>> = calls.begin.into_iter().map(call).collect();
    let sent_along = |call: &Call<BatchBegin>| {
        call.as_ref()
            .ok()
            .and_then(|call| Some(call.request.parts.as_ref()?.len()))
    };
    if begin.iter().filter_map(sent_along).sum::<usize>() > MAX_SIGN_PARTS {
        return Err(Refusal::saying(
            Code::InvalidRequest,
            format!("batch takes {MAX_SIGN_PARTS} parts at most"),
        ));
    }
    let complete = calls.complete.into_iter().map(call).collect();
    let (begin, complete) = caller.service.batch(&caller.owner, begin, complete).await;
    let begin = begin
        .into_iter()
        .map(|call| call.map_or_else(BatchOutcome::from, |call| begun(call).into()))
        .collect();
    let complete = complete
        .into_iter()
        .map(|call| call.map_or_else(BatchOutcome::from, |call| finished(call).into()));
    let complete = complete.collect();
    Ok(json(StatusCode::OK, &BatchResponse { begin, complete }))
}

/// What is answered alone and in a batch alike.
struct Granted<T> {
    status: StatusCode,
    retry_after: Option<u64>,
    answer: T,
}

impl<T: Serialize> IntoResponse for Granted<T> {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.answer);
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl<T> From<Granted<T>> for BatchOutcome<T> {
    fn from(
        Granted {
            status,
            retry_after,
            answer,
        }: Granted<T>,
    ) -> Self {
        Self {
            status: status.as_u16(),
            retry_after,
            body: BatchBody::Response(answer),
        }
    }
}

fn call<T: DeserializeOwned>(call: Value) -> Call<T> {
    serde_json::from_value(call).map_err(|error| unreadable(&error))
}

#[derive(Deserialize)]
struct AbortQuery {
    epoch: Option<u64>,
}

async fn abort(
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    query: Result<Query<AbortQuery>, QueryRejection>,
) -> Result<StatusCode, Refusal> {
    let epoch = asked(query)?.epoch;
    caller.service.abort(&caller.owner, &id, epoch).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn status(Extension(caller): Extension<Caller>, Id(id): Id) -> Result<Response, Refusal> {
    Ok(json(
        StatusCode::OK,
        &caller.service.status(&caller.owner, &id).await?,
    ))
}

#[derive(Deserialize)]
struct ListQuery {
    state: Option<String>,
    after: Option<String>,
}

async fn list(
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let ListQuery { state, after } = asked(query)?;
    Ok(json(
        StatusCode::OK,
        &caller
            .service
            .list(&caller.owner, state.as_deref(), after.as_deref())
            .await?,
    ))
}

#[derive(Deserialize)]
struct PartsQuery {
    after: Option<u32>,
}

async fn parts(
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    query: Result<Query<PartsQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let after = asked(query)?.after.unwrap_or(0);
    Ok(json(
        StatusCode::OK,
        &caller.service.parts(&caller.owner, &id, after).await?,
    ))
}

#[derive(Deserialize)]
struct UrlQuery {
    expires: Option<u64>,
}

async fn url(
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    query: Result<Query<UrlQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let expires = asked(query)?.expires;
    Ok(json(
        StatusCode::OK,
        &caller.service.url(&caller.owner, &id, expires).await?,
    ))
}

fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refusal> {
    let Query(query) =
        query.map_err(|rejection| Refusal::saying(Code::InvalidRequest, rejection.body_text()))?;
    Ok(query)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not write an answer");
            Refusal::new(Code::Unavailable).into_response()
        }
    }
}

/// The id in the path; one that cannot be read is as unknown as any other.
struct Id(String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id))
            .map_err(|_| Refusal::new(Code::NotFound))
    }
}
