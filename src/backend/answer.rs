//! What an answer means: from a status, headers and a body to a kind of error. Pure.
//!
//! Border: classification only; the answer has been read already and is not trusted. Success is what bears all marks of it;
//! of errors, the code decides before the status.

use std::time::Duration;

use jiff::fmt::rfc2822;
use quick_xml::de::from_str;
use reqwest::header::{CONTENT_TYPE, DATE, ETAG, HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use upload_types::error::{Error, Kind, Result};
use upload_types::names::{ETag, Md5, Sha256};
use upload_types::wire::{Code, PROTOCOL_HEADER, Problem};

/// A store's or a proxy's text is shown only this far.
const SHOWN: usize = 200;
pub const VERSIONS: &str = "use versions of upload and gateway that match";

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long to wait, where that is said: as seconds or a date in `Retry-After`, or in milliseconds as some parts of AWS do.
    /// A date is compared with the answer's own: no clock of ours comes into it.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Some(millis) = self
            .header("x-amz-retry-after")
            .and_then(|value| value.trim().parse().ok())
        {
            return Some(Duration::from_millis(millis));
        }
        let value = self.header(RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let moment = |text: &str| {
            rfc2822::DateTimeParser::new()
                .parse_timestamp(text.trim())
                .ok()
        };
        let until = moment(value)?.duration_since(moment(self.header(DATE.as_str())?)?);
        Some(Duration::try_from(until).unwrap_or_default())
    }

    /// Whether its status is a success.
    pub fn is_ok(&self) -> bool {
        (200..=299).contains(&self.status)
    }

    /// Whether a gateway of this protocol says so.
    pub fn is_gateways(&self) -> bool {
        self.headers.contains_key(PROTOCOL_HEADER)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A page for people, which neither gateway nor store ever sends.
    pub fn is_page(&self) -> bool {
        let named = self
            .header(CONTENT_TYPE.as_str())
            .is_some_and(|is| is.to_ascii_lowercase().contains("html"));
        let start: String = self
            .text()
            .trim_start_matches('\u{feff}')
            .trim_start()
            .chars()
            .take(14)
            .collect();
        let start = start.to_ascii_lowercase();
        named || start.starts_with("<!doctype html") || start.starts_with("<html")
    }
}

/// What a gateway's answer, other than success, means.
pub fn of_gateway(answer: &Answer) -> Error {
    let (status, retry_after) = (answer.status, answer.retry_after());
    let problem = answer
        .is_gateways()
        .then(|| serde_json::from_slice(&answer.body).ok())
        .flatten();
    if let Some(problem) = problem {
        return of_problem(status, &problem, retry_after);
    }
    match status {
        407 => proxy_login(),
        401 | 403 => Error::new(Kind::Unauthorized, format!("the backend refused (HTTP {status})")),
        408 | 429 | 500 | 502..=504 => failing(status, retry_after),
        426 => Error::new(Kind::Incompatible, "the backend speaks another version of the protocol").with_hint(VERSIONS),
        300..=399 => Error::new(
            Kind::UnexpectedServer,
            format!("the backend redirects (HTTP {status}), which is not followed"),
        )
        .with_hint("log in to the network if it asks for it, or configure the address it redirects to, if you trust it"),
        _ if status == 511 || status < 300 || answer.is_page() => not_a_gateway(status),
        _ => Error::new(Kind::Incompatible, format!("no gateway answers there (HTTP {status})"))
            .with_hint("check the address of the backend, its base path included"),
    }
}

/// An answer that no gateway gave.
pub fn not_a_gateway(status: u16) -> Error {
    Error::new(
        Kind::UnexpectedServer,
        format!("what answers there is not a gateway (HTTP {status})"),
    )
}

/// What a gateway means that names its problem.
pub fn of_problem(status: u16, problem: &Problem, retry_after: Option<Duration>) -> Error {
    let kind = match Code::from_name(&problem.code) {
        Some(Code::Unauthenticated | Code::Forbidden) => Kind::Unauthorized,
        Some(Code::TooLarge | Code::TypeNotAllowed | Code::NameInvalid) => Kind::NotAcceptable,
        Some(Code::NotFound) => Kind::NotFound,
        Some(Code::LeaseHeld) => Kind::Busy,
        Some(Code::LeaseLost) => Kind::LeaseLost,
        Some(Code::PartPinned | Code::SourceMismatch) => Kind::SourceChanged,
        Some(Code::NotAbortable) => Kind::NotAbortable,
        Some(Code::PartsMismatch) => Kind::PartsMismatch,
        Some(Code::Gone) => Kind::Gone,
        // Where no waiting makes room, the gateway names no time.
        Some(Code::QuotaExceeded) if retry_after.is_none() => Kind::NotAcceptable,
        Some(Code::RateLimited | Code::QuotaExceeded | Code::Busy) => Kind::Throttled(retry_after),
        Some(Code::StoreUnavailable | Code::Unavailable) => failing(status, retry_after).kind(),
        // A newer gateway: its status still tells the family.
        None if status == 401 || status == 403 => Kind::Unauthorized,
        None if status == 426 => Kind::Incompatible,
        None if status == 429 || status >= 500 => failing(status, retry_after).kind(),
        None | Some(Code::InvalidRequest | Code::IdempotencyMismatch) => Kind::Other,
    };
    let title = shown(&problem.title);
    let error = match &problem.detail {
        Some(detail) => Error::new(
            kind,
            format!("the backend answered: {title} ({})", shown(detail)),
        ),
        None => Error::new(kind, format!("the backend answered: {title}")),
    };
    if kind == Kind::Incompatible {
        error.with_hint(VERSIONS)
    } else {
        error
    }
}

/// What is down, or busy, for now.
pub fn failing(status: u16, retry_after: Option<Duration>) -> Error {
    let kind = if status == 429 || retry_after.is_some() {
        Kind::Throttled(retry_after)
    } else {
        Kind::Temporary
    };
    Error::new(kind, format!("the backend fails for now (HTTP {status})"))
}

/// A proxy on the way that wants to know who we are.
pub fn proxy_login() -> Error {
    Error::new(
        Kind::Unauthorized,
        "a proxy on the way wants a login (HTTP 407)",
    )
    .with_hint(
        "name the proxy with user and password: `proxy` in the configuration file, or HTTPS_PROXY",
    )
}

/// What a store says to a part that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    Stored(ETag),
    /// A single PUT found the object there already, by this upload or by none.
    ObjectExists,
}

/// Reads the store's answer to a part. It is stored only by an answer with all marks of it: the status, an `ETag`, no body,
/// and no other checksum than ours. `stale` says that the URL was older than it may be. Where there is an `md5`, an `ETag` that
/// looks like one must be it: only of what is encrypted with keys of the customer's own, it is something else.
///
/// # Errors
/// By what the store answered, or somebody in its place.
pub fn of_part(
    answer: &Answer,
    sha256: &Sha256,
    md5: Option<&Md5>,
    stale: bool,
) -> Result<PutOutcome> {
    match answer.status {
        200 | 201 | 204 => {}
        412 => return Ok(PutOutcome::ObjectExists),
        _ => return Err(of_store(answer, stale)),
    }
    if !answer.body.trim_ascii().is_empty() {
        // Some stores say 200 and put an error behind it; what else has a body is no store.
        return Err(of_store(answer, stale));
    }
    let tags = answer
        .headers
        .get_all(ETAG)
        .iter()
        .map(|tag| ETag::from_header(tag.to_str().unwrap_or_default()).ok());
    let mut tags: Vec<Option<ETag>> = tags.collect();
    tags.dedup();
    let Ok([Some(etag)]) = <[_; 1]>::try_from(tags) else {
        return Err(Error::new(
            Kind::MissingEtag,
            "the store's answer to a part carries no ETag",
        ));
    };
    let ours = sha256.base64();
    if answer
        .headers
        .get_all("x-amz-checksum-sha256")
        .iter()
        .any(|theirs| theirs != ours.as_str())
    {
        return Err(Error::new(
            Kind::Corrupt,
            "the store has other bytes than were sent",
        ));
    }
    if md5
        .is_some_and(|md5| is_md5(answer, &etag) && !etag.as_str().eq_ignore_ascii_case(&md5.hex()))
    {
        return Err(Error::new(
            Kind::Corrupt,
            "the store has other bytes than were sent: its ETag is not their MD5",
        ));
    }
    Ok(PutOutcome::Stored(etag))
}

/// Whether an `ETag` is to be taken for an MD5.
fn is_md5(answer: &Answer, etag: &ETag) -> bool {
    let encryption = answer
        .header("x-amz-server-side-encryption")
        .unwrap_or("AES256");
    let own_key = answer
        .headers
        .contains_key("x-amz-server-side-encryption-customer-algorithm");
    let hexadecimal =
        etag.as_str().len() == 32 && etag.as_str().bytes().all(|b| b.is_ascii_hexdigit());
    hexadecimal && encryption == "AES256" && !own_key
}

/// An error as S3 writes it. Its message may echo the signature, so of a message only what is needed is ever shown.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct S3Error {
    code: String,
    message: String,
}

/// What a store's answer means that is no success. `stale` says that the URL was older than it may be: stores disagree on how
/// they say so.
pub fn of_store(answer: &Answer, stale: bool) -> Error {
    let (status, retry_after) = (answer.status, answer.retry_after());
    let error: S3Error = from_str(&answer.text()).unwrap_or_default();
    let (code, message) = (error.code.as_str(), error.message.to_ascii_lowercase());
    if status == 407 {
        return proxy_login();
    }
    let kind = match (status, code) {
        (
            _,
            "BadDigest"
            | "InvalidDigest"
            | "XAmzContentSHA256Mismatch"
            | "XAmzContentChecksumMismatch",
        ) => Kind::Corrupt,
        (
            _,
            "RequestTimeout" | "IncompleteBody" | "ConditionalRequestConflict" | "OperationAborted",
        ) => Kind::Temporary,
        (_, "RequestTimeTooSkewed") => Kind::ClockSkew,
        (403, _) if message.contains("not yet valid") => Kind::ClockSkew,
        (_, "ExpiredToken" | "RequestExpired") => Kind::UrlExpired,
        (400 | 403, _) if stale || message.contains("expired") => Kind::UrlExpired,
        // Some stores say so of the upload whose part is put.
        (_, "NoSuchUpload") | (404, "NoSuchKey") => Kind::Gone,
        (_, "NoSuchBucket" | "MethodNotAllowed") => Kind::Config,
        (_, "SlowDown" | "ServiceUnavailable" | "Throttling" | "TooManyRequests")
        | (429 | 503, _) => Kind::Throttled(retry_after),
        (_, "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch") | (401 | 403, _) => {
            Kind::Unauthorized
        }
        (300..=399, code) if !code.is_empty() => Kind::WrongEndpoint,
        (200..=399 | 511, "") => Kind::UnexpectedServer,
        (200..=299 | 408 | 500.., _) if status != 501 => Kind::Temporary,
        (413, "") => {
            return Error::new(
                Kind::Incompatible,
                "something before the store takes no part of this size (HTTP 413)",
            )
            .with_hint("put the file again with a smaller --part-size");
        }
        (_, "") if answer.is_page() => Kind::UnexpectedServer,
        _ => Kind::Incompatible,
    };
    let code = if code.is_empty() {
        String::new()
    } else {
        format!(" {}", shown(code))
    };
    match kind {
        Kind::UnexpectedServer => Error::new(kind, format!("what answers there is not a store (HTTP {status})"))
            .with_hint("a captive portal or a proxy may be answering in its place: log in to the network"),
        Kind::Unauthorized => Error::new(kind, format!("the store refused a part (HTTP {status}{code})"))
            .with_hint("the backend's storage credentials or the bucket's policy do not permit it; ask its operator"),
        _ => Error::new(kind, format!("the store refused a part (HTTP {status}{code})")),
    }
}

/// As much of a foreign text as is shown.
pub fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect()
}

#[cfg(test)]
mod tests;
