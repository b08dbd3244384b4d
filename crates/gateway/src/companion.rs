//! Uppy Companion's routes for uploads to S3, over the same operations: Uppy in a browser uploads through this gateway.
//!
//! Border: Companion's requests and answers (`companion/shapes`); what they mean is `gateway/service`, where uploads of browsers are
//! held to what all are held to. Of Companion's other rooms (providers, remote files, `/s3/sts`) there is none.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{
    DefaultBodyLimit, Extension, FromRequestParts as _, RawPathParams, RawQuery, Request, State,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde_json::{Map, Value, json};

use crate::body::Json;
use crate::cors::Origins;
use crate::problem::Refusal;
use crate::routes::{Caller, Gateway, RequestId, mark};
use crate::service::Place;
use upload_types::names::{self, PartNumber};
use upload_types::wire::{Code, MAX_JSON_BYTES};

mod shapes;

use shapes::Query;

/// The most bytes of a body, but for complete's.
const BODY_MAX: usize = 100 << 10;

/// What the routes work with.
struct Rooms {
    gateway: Arc<Gateway>,
    origins: Arc<Origins>,
}

/// Companion's routes beneath `root` (without a slash at its end), each also beneath `root/t/TOKEN`: for clients that can send no
/// header, and with a second slash before `s3`, as some come.
pub fn router(gateway: Arc<Gateway>, origins: Arc<Origins>, root: &str) -> Router {
    let rooms = Arc::new(Rooms { gateway, origins });
    let mut router = Router::new();
    for place in [
        format!("{root}/s3"),
        format!("{root}//s3"),
        format!("{root}/t/{{token}}/s3"),
        format!("{root}/t/{{token}}//s3"),
    ] {
        let at = |path: &str| format!("{place}{path}");
        router = router
            .route(&at("/params"), get(params))
            .route(&at("/sts"), get(sts))
            .route(&at("/multipart"), post(create))
            .route(&at("/multipart/{id}"), get(list).merge(delete(abort)))
            .route(&at("/multipart/{id}/batch"), get(batch))
            .route(
                &at("/multipart/{id}/complete"),
                post(complete).layer(DefaultBodyLimit::max(MAX_JSON_BYTES)),
            )
            .route(&at("/multipart/{id}/{number}"), get(sign));
    }
    router
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&rooms), admit))
        .layer(map_response(mark))
}

/// A refusal in Companion's shape.
struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        // Written out once it is known what the request is called.
        response.extensions_mut().insert(self.0);
        response
    }
}

type Answer = Result<Response, Refused>;

/// Lets in who may come in: by the header, or by the token in the path. A page of an origin that nobody allowed gets nothing, for the
/// routes that are asked by GET change things too.
async fn admit(State(rooms): State<Arc<Rooms>>, request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestId>()
        .map(ToString::to_string);
    let mut response = match admitted(&rooms, request, next).await {
        Ok(response) => response,
        Err(refusal) => Refused(refusal).into_response(),
    };
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        let said = shapes::refusal(&refusal, id.as_deref());
        let headers = std::mem::take(response.headers_mut());
        response = (response.status(), headers, answer(&said)).into_response();
        if let Some(seconds) = refusal.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    response
}

async fn admitted(rooms: &Rooms, request: Request, next: Next) -> Result<Response, Refusal> {
    let (mut parts, body) = request.into_parts();
    rooms.origins.admit(&parts.headers)?;
    let found = RawPathParams::from_request_parts(&mut parts, &()).await;
    let token = found.ok().and_then(|found| {
        found
            .iter()
            .find_map(|(name, value)| (name == "token").then(|| value.to_owned()))
    });
    let mut headers = parts.headers.clone();
    if let Some(token) = token {
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        headers.insert(
            header::AUTHORIZATION,
            bearer.map_err(|_| Refusal::new(Code::Unauthenticated))?,
        );
    }
    let (_place, caller) = rooms
        .gateway
        .admit(&parts.method, &parts.uri, &headers)
        .await?;
    let owner = caller.owner.clone();
    parts.extensions.insert(caller);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    // For the access log.
    response.extensions_mut().insert(owner);
    Ok(response)
}

/// What the path and the query name.
struct About {
    id: String,
    key: String,
    number: Option<String>,
    query: Query,
}

impl About {
    fn of(found: &RawPathParams, query: Option<&str>) -> Result<Self, Refused> {
        let value = |wanted: &str| {
            found
                .iter()
                .find_map(|(name, value)| (name == wanted).then(|| value.to_owned()))
        };
        let query = Query::read(query);
        let key = query.one("key").ok_or_else(|| {
            Refusal::saying(
                Code::InvalidRequest,
                "s3: the object key must be passed as a query parameter. For example: \"?key=abc.jpg\"",
            )
        })?;
        Ok(Self {
            id: value("id").unwrap_or_default(),
            key: key.to_owned(),
            number: value("number"),
            query,
        })
    }

    fn place(&self) -> Place<'_> {
        Place {
            id: &self.id,
            key: &self.key,
        }
    }
}

fn answer(body: &Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

async fn params(Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::read(query.as_deref());
    let request = shapes::offer(query.one("filename"), query.one("type"), query.metadata())?;
    let (upload, form) = caller.service.begin_form(&caller.owner, request).await?;
    let body = json!({
        "method": "POST", "url": form.url, "fields": form.fields, "expires": form.expires_in, "expiresAt": upload.expires_at,
    });
    Ok(answer(&body))
}

async fn create(
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Json<Value>, Refusal>,
) -> Answer {
    let Json(body) = body?;
    let kind = body.get("type").unwrap_or(&Value::Null);
    if !(kind.is_null() || kind.is_string()) {
        return Err(
            Refusal::saying(Code::InvalidRequest, "s3: content type must be a string").into(),
        );
    }
    let metadata = body.get("metadata").and_then(Value::as_object);
    let metadata = metadata
        .into_iter()
        .flat_map(Map::iter)
        .filter_map(shapes::pair)
        .collect();
    let request = shapes::offer(
        body.get("filename").and_then(Value::as_str),
        kind.as_str(),
        metadata,
    )?;
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .map(str::to_owned);
    let key = key.unwrap_or_else(names::new_id);
    let upload = caller
        .service
        .begin_parts(&caller.owner, &key, request)
        .await?;
    let body = json!({
        "key": caller.service.address(&upload.key), "uploadId": upload.id, "bucket": caller.service.bucket(),
        "expiresAt": upload.expires_at,
    });
    Ok(answer(&body))
}

async fn list(
    Extension(caller): Extension<Caller>,
    found: RawPathParams,
    RawQuery(query): RawQuery,
) -> Answer {
    let about = About::of(&found, query.as_deref())?;
    let parts = caller.service.listed(&caller.owner, about.place()).await?;
    Ok(answer(&parts.iter().map(shapes::part).collect()))
}

async fn sign(
    Extension(caller): Extension<Caller>,
    found: RawPathParams,
    RawQuery(query): RawQuery,
) -> Answer {
    let about = About::of(&found, query.as_deref())?;
    let number = shapes::number(about.number.as_deref().unwrap_or_default())?;
    let signed = caller
        .service
        .sign_numbers(&caller.owner, about.place(), &[number])
        .await?;
    let signed = signed
        .first()
        .ok_or_else(|| Refusal::new(Code::Unavailable))?;
    Ok(answer(
        &json!({"url": signed.url, "expires": signed.expires_in, "method": signed.method}),
    ))
}

async fn batch(
    Extension(caller): Extension<Caller>,
    found: RawPathParams,
    RawQuery(query): RawQuery,
) -> Answer {
    let about = About::of(&found, query.as_deref())?;
    let numbers = about.query.one("partNumbers").unwrap_or_default();
    let mut numbers = numbers
        .split(',')
        .map(|number| shapes::number(number.trim()))
        .collect::<Result<Vec<PartNumber>, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    let signed = caller
        .service
        .sign_numbers(&caller.owner, about.place(), &numbers)
        .await?;
    let expires = signed.iter().map(|put| put.expires_in).min();
    let urls: Map<String, Value> = signed
        .iter()
        .map(|put| (put.number.to_string(), json!(put.url)))
        .collect();
    Ok(answer(&json!({"presignedUrls": urls, "expires": expires})))
}

async fn complete(
    Extension(caller): Extension<Caller>,
    found: RawPathParams,
    RawQuery(query): RawQuery,
    body: Result<Json<Value>, Refusal>,
) -> Answer {
    let about = About::of(&found, query.as_deref())?;
    let Json(body) = body?;
    let wanted = shapes::wanted(&body)?;
    let receipt = caller
        .service
        .complete_parts(&caller.owner, about.place(), &wanted)
        .await?;
    let location = caller.service.location(&receipt.key);
    Ok(answer(
        &json!({"location": location, "key": about.key, "bucket": caller.service.bucket()}),
    ))
}

/// Whatever is gone already is gone. The body is nobody's, but some clients send one.
async fn abort(
    Extension(caller): Extension<Caller>,
    found: RawPathParams,
    RawQuery(query): RawQuery,
    _body: Bytes,
) -> Answer {
    let about = About::of(&found, query.as_deref())?;
    caller
        .service
        .abort_parts(&caller.owner, about.place())
        .await?;
    Ok(answer(&json!({})))
}

/// As a Companion without credentials of its own to give away.
async fn sts() -> Response {
    let said = "This Companion server does not support uploading to S3 with temporary credentials";
    (
        StatusCode::BAD_REQUEST,
        answer(&json!({"error": said, "message": said})),
    )
        .into_response()
}
