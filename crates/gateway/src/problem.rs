//! How an operation says no, and how that looks in HTTP: `application/problem+json` (RFC 9457).
//!
//! Border: the codes and their statuses are the table in `wire`; what a store or a ledger said goes to the log, here, and
//! never into an answer.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::ledger::LedgerError;
use crate::metrics::metrics;
use upload_s3::Fault;
use upload_types::wire::{BatchBody, BatchOutcome, Code, Problem};

/// Why a request is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// What to change in the request.
    pub detail: Option<String>,
    /// Seconds after which the same request may be granted.
    pub retry_after: Option<u64>,
}

impl Refusal {
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            retry_after: None,
        }
    }

    #[must_use]
    pub fn saying(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: Some(detail.into()),
            retry_after: None,
        }
    }

    /// To be asked again in `seconds`.
    #[must_use]
    pub fn later(code: Code, seconds: u64) -> Self {
        Self {
            code,
            detail: None,
            retry_after: Some(seconds),
        }
    }
}

/// What is wrong, in the words of the wire, with the status it is answered with.
fn body(refusal: &Refusal, status: u16) -> Problem {
    let (code, title) = (
        refusal.code.name().to_owned(),
        refusal.code.title().to_owned(),
    );
    Problem {
        code,
        title,
        status,
        detail: refusal.detail.clone(),
    }
}

/// A refusal within a batch.
impl<T> From<Refusal> for BatchOutcome<T> {
    fn from(refusal: Refusal) -> Self {
        let status = refusal.code.status();
        Self {
            status,
            retry_after: refusal.retry_after,
            body: BatchBody::Problem(body(&refusal, status)),
        }
    }
}

/// The ledger failed: logged in full, answered as [`Code::Unavailable`].
impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        metrics().ledger_errors.inc();
        tracing::error!(%error, "the ledger failed");
        Self::later(Code::Unavailable, 2)
    }
}

/// The store failed while it did `what`: logged in full, answered as [`Code::StoreUnavailable`].
#[must_use]
pub fn store_failed(what: &'static str, fault: &Fault) -> Refusal {
    tracing::warn!(what, ?fault, "the store failed");
    Refusal::later(Code::StoreUnavailable, 2)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        problem(status, &self)
    }
}

/// The answer for a refusal HTTP has a status of its own for, such as 405.
pub fn problem(status: StatusCode, refusal: &Refusal) -> Response {
    let body = serde_json::to_vec(&body(refusal, status.as_u16())).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(seconds) = refusal.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.code == Code::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
