//! What an answer means: from a status, a code and a body to a kind of error. Pure.
//!
//! Border: classification only; the answer has been read already and is not trusted.

use std::time::Duration;

use quick_xml::de::from_str;
use serde::Deserialize;

use crate::error::{Error, Kind};
use crate::wire::{Code, Problem};

/// A store's or a proxy's text is shown only this far.
const SHOWN: usize = 200;

/// What a gateway's answer, other than success, means.
pub fn of_gateway(status: u16, problem: Option<&Problem>, retry_after: Option<Duration>) -> Error {
    let Some(problem) = problem else {
        return match status {
            401 | 403 | 407 => Error::new(Kind::Refused, format!("the backend refused (HTTP {status})")),
            408 | 429 | 500 | 502..=504 => failing(status, retry_after),
            426 => Error::new(Kind::Unusable, "the backend speaks another version of the protocol"),
            300..=399 => {
                Error::new(Kind::Unusable, format!("the backend redirects (HTTP {status}), which is not followed"))
                    .hinting("configure the address it redirects to, if you trust it")
            }
            _ => Error::new(Kind::Unusable, format!("no gateway answers there (HTTP {status})"))
                .hinting("check the address of the backend, its base path included"),
        };
    };
    let kind = match Code::from_name(&problem.code) {
        Some(Code::Unauthenticated | Code::Forbidden) => Kind::Refused,
        Some(Code::TooLarge | Code::TypeNotAllowed | Code::NameInvalid) => Kind::Denied,
        Some(Code::NotFound) => Kind::NotFound,
        Some(Code::LeaseHeld) => Kind::Busy,
        Some(Code::LeaseLost) => Kind::LeaseLost,
        Some(Code::PartPinned | Code::SourceMismatch) => Kind::Changed,
        Some(Code::PartsMismatch) => Kind::PartsMismatch,
        Some(Code::Gone) => Kind::Gone,
        Some(Code::RateLimited | Code::QuotaExceeded | Code::Busy) => Kind::Throttled(retry_after),
        Some(Code::StoreUnavailable | Code::Unavailable) => {
            return with_detail(failing(status, retry_after).kind(), problem);
        }
        // A newer gateway: its status still tells the family.
        None if status == 401 || status == 403 => Kind::Refused,
        None if status == 429 || status >= 500 => failing(status, retry_after).kind(),
        None | Some(Code::InvalidRequest | Code::IdempotencyMismatch | Code::NotAbortable) => Kind::Other,
    };
    with_detail(kind, problem)
}

fn with_detail(kind: Kind, problem: &Problem) -> Error {
    let title = shown(&problem.title);
    match &problem.detail {
        Some(detail) => Error::new(kind, format!("the backend answered: {title} ({})", shown(detail))),
        None => Error::new(kind, format!("the backend answered: {title}")),
    }
}

fn failing(status: u16, retry_after: Option<Duration>) -> Error {
    let kind = if status == 429 || retry_after.is_some() { Kind::Throttled(retry_after) } else { Kind::Temporary };
    Error::new(kind, format!("the backend fails for now (HTTP {status})"))
}

/// An error as S3 writes it. Its message may echo the signature, so of a message only what is needed is ever shown.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct S3Error {
    code: String,
    message: String,
}

/// What a store's answer to a part, other than success, means. `stale` says that the URL was older than it may be: stores
/// disagree on how they say so.
pub fn of_store(status: u16, body: &str, retry_after: Option<Duration>, stale: bool) -> Error {
    let error: S3Error = from_str(body).unwrap_or_default();
    let code = error.code.as_str();
    let says_expired = error.message.to_ascii_lowercase().contains("expired");
    let kind = match (status, code) {
        (_, "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch") => {
            Kind::Corrupt
        }
        (_, "RequestTimeout" | "IncompleteBody") => Kind::Temporary,
        (_, "ExpiredToken" | "RequestExpired" | "RequestTimeTooSkewed") => Kind::Expired,
        (400 | 403, _) if stale || says_expired => Kind::Expired,
        (_, "NoSuchUpload") => Kind::Gone,
        (_, "NoSuchBucket") => Kind::Config,
        (_, "SlowDown" | "Throttling" | "TooManyRequests") | (429 | 503, _) => Kind::Throttled(retry_after),
        (401 | 403, _) => Kind::Refused,
        (408 | 500.., _) if status != 501 => Kind::Temporary,
        _ => Kind::Unusable,
    };
    let code = if code.is_empty() { String::new() } else { format!(" {}", shown(code)) };
    let error = Error::new(kind, format!("the store refused a part (HTTP {status}{code})"));
    if kind == Kind::Refused {
        return error
            .hinting("the backend's storage credentials or the bucket's policy do not permit it; ask its operator");
    }
    error
}

/// `Retry-After` as seconds. A date is not worth a clock: the caller's own back-off serves.
pub fn retry_after(value: Option<&str>) -> Option<Duration> {
    value?.trim().parse().ok().map(Duration::from_secs)
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(status: u16, code: &str, message: &str) -> Kind {
        let body =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message><Resource/></Error>");
        of_store(status, &body, None, false).kind()
    }

    #[test]
    fn a_stores_errors_are_told_apart_by_code_not_status() {
        assert_eq!(s3(400, "BadDigest", ""), Kind::Corrupt);
        assert_eq!(s3(400, "RequestTimeout", ""), Kind::Temporary);
        assert_eq!(s3(403, "AccessDenied", "Request has expired"), Kind::Expired);
        assert_eq!(s3(403, "AccessDenied", "Access Denied"), Kind::Refused);
        assert_eq!(s3(404, "NoSuchUpload", ""), Kind::Gone);
        assert_eq!(s3(503, "SlowDown", ""), Kind::Throttled(None));
        assert_eq!(s3(500, "InternalError", ""), Kind::Temporary);
        assert_eq!(s3(501, "NotImplemented", ""), Kind::Unusable);
        assert_eq!(of_store(502, "<html>", None, false).kind(), Kind::Temporary);
        assert_eq!(of_store(400, "<Error><Code>InvalidRequest</Code></Error>", None, true).kind(), Kind::Expired);
    }

    #[test]
    fn what_no_gateway_would_say_makes_the_backend_unusable() {
        assert_eq!(of_gateway(404, None, None).kind(), Kind::Unusable);
        assert_eq!(of_gateway(302, None, None).kind(), Kind::Unusable);
        assert_eq!(of_gateway(502, None, None).kind(), Kind::Temporary);
    }

    #[test]
    fn every_code_of_the_table_has_a_kind() {
        for code in Code::ALL {
            let problem =
                Problem { code: code.to_string(), title: code.title().into(), status: code.status(), detail: None };
            let kind = of_gateway(code.status(), Some(&problem), None).kind();
            assert!(!matches!(kind, Kind::Unusable), "{code}: {kind:?}");
        }
    }
}
