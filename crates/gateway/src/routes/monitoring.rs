//! Liveness, readiness and metrics, for supervisors, load balancers and Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::gateway::Gateway;
use crate::metrics;
use crate::problem::Refusal;
use upload_types::wire::Code;

pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn readyz(State(gateway): State<Arc<Gateway>>) -> Result<&'static str, Refusal> {
    gateway.health().check(gateway.service()).await?;
    Ok("ready\n")
}

pub async fn metrics() -> Response {
    match metrics::text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not write the metrics");
            Refusal::new(Code::Unavailable).into_response()
        }
    }
}
