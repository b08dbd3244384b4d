//! Liveness, readiness and metrics, for supervisors, load balancers and Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::gateway::Gateway;
use crate::metrics;
use crate::problem::Refusal;
use crate::time::describe_offset;
use upload_types::wire::Code;

pub async fn healthz() -> &'static str {
    "ok\n"
}

pub async fn readyz(State(gateway): State<Arc<Gateway>>) -> Result<String, Refusal> {
    gateway.health().check(gateway.service()).await?;
    let offset = gateway
        .service()
        .map(|service| service.clock_offset_seconds());
    Ok(match offset {
        None | Some(0) => "ready\n".to_owned(),
        Some(seconds) => {
            let (seconds, direction) = describe_offset(seconds);
            format!(
                "ready, but the clock of this machine is {seconds} s {direction} that of the store\n"
            )
        }
    })
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
