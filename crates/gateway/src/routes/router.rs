//! The routers of the API and of the metrics, and the layers around them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::access_log::log_access;
use super::batch_calls::MAX_BEGIN_BYTES;
use super::events::push_events;
use super::gateway::{AdmittedCall, Gateway};
use super::monitoring::{healthz, metrics, readyz};
use super::responses::{add_gateway_headers, method_not_allowed, not_found};
use super::uploads::{abort, batch, begin, claim, complete, info, list, parts, sign, status, url};
use crate::cors::Origins;
use crate::openapi::openapi;

/// The maximum size of a body, except for complete and batch.
const MAX_BODY_BYTES: usize = MAX_BEGIN_BYTES;

/// The routes of the API, without a fallback.
pub fn api_router(gateway: Arc<Gateway>) -> Router {
    let v1 = Router::new()
        .route("/", get(info))
        .route("/uploads", get(list).post(begin))
        .route("/uploads/{id}", get(status).delete(abort))
        .route("/uploads/{id}/claim", post(claim))
        .route("/uploads/{id}/sign", post(sign))
        .route("/uploads/{id}/parts", get(parts))
        .route("/uploads/{id}/complete", post(complete))
        .route("/uploads/{id}/url", get(url))
        .route("/batch", post(batch))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(from_fn_with_state(Arc::clone(&gateway), authenticate));
    // Outside of `v1`, since stores authenticate with another secret than clients.
    Router::new()
        .route("/v1/events/s3", post(push_events))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/openapi.json", get(openapi))
        .nest("/v1", v1)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(map_response(add_gateway_headers))
        .with_state(gateway)
}

/// The routes of the listener for metrics. They change nothing and need no authentication.
pub fn metrics_router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(gateway)
}

/// Adds the layers that apply to all routes: the access log, and CORS if there are allowed origins.
pub fn with_common_layers(router: Router, origins: Option<&Origins>) -> Router {
    let router = match origins {
        Some(origins) => router.layer(origins.layer()),
        None => router,
    };
    router.layer(from_fn(log_access))
}

async fn authenticate(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers().clone();
    match gateway.admit(&headers, request, MAX_BODY_BYTES).await {
        Err(refusal) => refusal.into_response(),
        Ok(call) => run_call(call, next).await,
    }
}

/// Runs the handler of a call.
pub async fn run_call(call: AdmittedCall, next: Next) -> Response {
    let AdmittedCall {
        caller,
        mut request,
        shares: _shares,
    } = call;
    let owner = caller.logged_owner();
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    // For the access log.
    response.extensions_mut().insert(owner);
    response
}
