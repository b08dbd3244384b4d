//! Refusals: the errors of operations, as `application/problem+json` (RFC 9457), and the log lines
//! about their causes.
//!
//! Not here: the table of codes, statuses and titles (`upload_types::wire`). Messages of the store
//! and of the ledger go to the log only, never into a response.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::ledger::LedgerError;
use crate::limits::{Excess, Limit, RateExceeded};
use crate::metrics::metrics;
use upload_s3::Fault;
use upload_types::wire::{BatchBody, BatchOutcome, Code, ExistingObject, Problem};

/// Seconds until a client may repeat a request after a failure of the ledger or the store.
const FAILURE_RETRY_SECONDS: u64 = 2;
/// Seconds until other uploads of the owner may have ended.
const QUOTA_RETRY_SECONDS: u64 = 10;

/// The reason why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// More about the reason, for the user of the client.
    pub detail: Option<String>,
    /// The same request may succeed after this many seconds.
    pub retry_after: Option<u64>,
    /// With the code `exists`: the object at the key.
    pub existing: Option<Box<ExistingObject>>,
}

impl Refusal {
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            retry_after: None,
            existing: None,
        }
    }

    #[must_use]
    pub fn with_detail(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: Some(detail.into()),
            retry_after: None,
            existing: None,
        }
    }

    #[must_use]
    pub fn retry_after(code: Code, seconds: u64) -> Self {
        Self {
            code,
            detail: None,
            retry_after: Some(seconds),
            existing: None,
        }
    }

    /// [`Code::Exists`] with the object at the key.
    #[must_use]
    pub fn exists(existing: ExistingObject) -> Self {
        Self {
            existing: Some(Box::new(existing)),
            ..Self::new(Code::Exists)
        }
    }
}

impl From<Excess> for Refusal {
    fn from(excess: Excess) -> Self {
        let (Excess::Temporary(limit) | Excess::Permanent(limit)) = excess;
        let detail = match limit {
            Limit::Open(most) => format!("at most {most} unfinished uploads; finish or abort some"),
            Limit::Outstanding(most) => {
                format!(
                    "at most {most} bytes in uploads that are unfinished or ended recently; \
                     finish or abort some, or wait until the ended ones no longer count"
                )
            }
            Limit::Total(most) => format!("at most {most} bytes in total"),
        };
        let retry_after = matches!(excess, Excess::Temporary(_)).then_some(QUOTA_RETRY_SECONDS);
        Self {
            code: Code::QuotaExceeded,
            detail: Some(detail),
            retry_after,
            existing: None,
        }
    }
}

impl From<RateExceeded> for Refusal {
    fn from(exceeded: RateExceeded) -> Self {
        match exceeded {
            RateExceeded::RetryAfter { seconds } => Self::retry_after(Code::RateLimited, seconds),
            RateExceeded::MoreThanBurst { burst } => Self::with_detail(
                Code::RateLimited,
                format!("at most {burst} parts at a time"),
            ),
        }
    }
}

/// Logs and counts a failure of the ledger.
pub fn report_ledger_error(error: &LedgerError) {
    metrics().record_ledger_error();
    tracing::error!(%error, "the ledger failed");
}

/// Reports a failure of the ledger; the response is [`Code::Unavailable`].
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn ledger_failed(error: LedgerError) -> Refusal {
    report_ledger_error(&error);
    Refusal::retry_after(Code::Unavailable, FAILURE_RETRY_SECONDS)
}

/// Logs a failure of the store during `operation`.
pub fn report_store_fault(operation: &'static str, fault: &Fault) {
    tracing::warn!(operation, ?fault, "the store failed");
}

/// Reports a failure of the store during `operation`; the response is [`Code::StoreUnavailable`],
/// or [`Code::StoreRejected`] if waiting does not help.
#[must_use]
pub fn store_failed(operation: &'static str, fault: &Fault) -> Refusal {
    report_store_fault(operation, fault);
    match fault {
        Fault::Rejected(rejection) => store_rejected(rejection.summary),
        Fault::Unsupported(_) => {
            store_rejected("the store does not support an operation that uploads need")
        }
        _ => Refusal::retry_after(Code::StoreUnavailable, FAILURE_RETRY_SECONDS),
    }
}

/// The refusal if the store rejects the gateway's credentials, bucket or region.
#[must_use]
pub fn store_rejected(reason: &'static str) -> Refusal {
    Refusal::with_detail(Code::StoreRejected, reason)
}

/// A refusal within a batch.
impl<T> From<Refusal> for BatchOutcome<T> {
    fn from(refusal: Refusal) -> Self {
        let status = refusal.code.status();
        Self {
            status,
            retry_after: refusal.retry_after,
            body: BatchBody::Problem(problem(&refusal, status)),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        problem_response(status, &self)
    }
}

/// The response to a refusal, with a status that may differ from that of its code, such as 405.
pub fn problem_response(status: StatusCode, refusal: &Refusal) -> Response {
    let body = serde_json::to_vec(&problem(refusal, status.as_u16())).unwrap_or_default();
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

fn problem(refusal: &Refusal, status: u16) -> Problem {
    Problem {
        code: refusal.code.name().to_owned(),
        title: refusal.code.title().to_owned(),
        status,
        detail: refusal.detail.clone(),
        existing: refusal.existing.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_present_only_if_waiting_helps() {
        let limit = Limit::Open(2);
        assert_eq!(
            Refusal::from(Excess::Temporary(limit)).retry_after,
            Some(QUOTA_RETRY_SECONDS)
        );
        assert_eq!(Refusal::from(Excess::Permanent(limit)).retry_after, None);
        let more_than_burst = RateExceeded::MoreThanBurst { burst: 1000 };
        assert_eq!(Refusal::from(more_than_burst).retry_after, None);
        let retry_after = RateExceeded::RetryAfter { seconds: 3 };
        assert_eq!(Refusal::from(retry_after).retry_after, Some(3));
    }
}
