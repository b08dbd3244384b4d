//! The meaning of a response of the store: the outcome of a part, or an error. Pure.
//!
//! Nothing in a response is trusted. A part counts as stored only if the response has every sign of
//! success. The code of an error has precedence over its status.

use quick_xml::de::from_str;
use reqwest::header::ETAG;
use serde::Deserialize;

use crate::backend::response::{CREDENTIALS_HINT, Response, excerpt, proxy_login_required};
use upload_types::error::{Error, Kind, Result};
use upload_types::{ETag, Md5, Sha256};

const CORRUPT_HINT: &str = "run the command again; if it fails again, check the disk, the memory and the network of \
     this machine";

const CLOCKS_HINT: &str = "ask the operators of the backend and of the store to correct their clocks; then run the \
     command again";

/// The outcome of a request to store a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    Stored(ETag),
    /// A single PUT found an object at its key, of this upload or of another one.
    ObjectExists,
}

/// Whether the presigned URL of a request was valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlLifetime {
    /// When the response arrived.
    Valid,
    /// When the request was sent, but not when the response arrived.
    EndedMeanwhile,
    /// The URL was no longer valid when the request was sent.
    Expired,
}

/// The outcome of a part.
///
/// It is stored only if the response has a success status, one `ETag`, no body, and no checksum
/// other than `sha256`. With `md5`, an `ETag` that has the form of an MD5 must equal it, except for
/// objects that are encrypted with a key of the customer: their `ETag` is not an MD5.
///
/// # Errors
/// [`Kind::MissingEtag`] without exactly one `ETag`, [`Kind::Corrupt`] if the checksum or the MD5
/// differs, otherwise as [`store_error`].
pub fn put_outcome(
    response: &Response,
    sha256: &Sha256,
    md5: Option<&Md5>,
    lifetime: UrlLifetime,
) -> Result<PutOutcome> {
    match response.status {
        200 | 201 | 204 => {}
        412 => return Ok(PutOutcome::ObjectExists),
        _ => return Err(store_error(response, lifetime)),
    }
    if !response.body.trim_ascii().is_empty() {
        // Some stores send status 200 and an error. No store sends any other body.
        return Err(store_error(response, lifetime));
    }
    let etags = response.headers.get_all(ETAG).iter();
    let mut etags: Vec<Option<ETag>> = etags
        .map(|etag| ETag::from_header(etag.to_str().unwrap_or_default()).ok())
        .collect();
    etags.dedup();
    let Ok([Some(etag)]) = <[_; 1]>::try_from(etags) else {
        let what = "the store accepted a part without an ETag";
        return Err(Error::new(Kind::MissingEtag, what).with_hint(
            "ask the operator of the store to return the ETag; a proxy in front of the store may remove it",
        ));
    };
    let corrupt = |what| Err(Error::new(Kind::Corrupt, what).with_hint(CORRUPT_HINT));
    let checksum = sha256.base64();
    let mut checksums = response.headers.get_all("x-amz-checksum-sha256").iter();
    if checksums.any(|stored| stored != checksum.as_str()) {
        return corrupt("the store has other bytes than were sent");
    }
    if let Some(md5) = md5
        && is_md5(response, &etag)
        && !etag.as_str().eq_ignore_ascii_case(&md5.hex())
    {
        return corrupt("the store has other bytes than were sent: its ETag is not their MD5");
    }
    Ok(PutOutcome::Stored(etag))
}

/// Returns true if an `ETag` is the MD5 of the part.
fn is_md5(response: &Response, etag: &ETag) -> bool {
    let encryption = response
        .header("x-amz-server-side-encryption")
        .unwrap_or("AES256");
    let has_customer_key = response
        .headers
        .contains_key("x-amz-server-side-encryption-customer-algorithm");
    let is_hexadecimal =
        etag.as_str().len() == 32 && etag.as_str().bytes().all(|b| b.is_ascii_hexdigit());
    is_hexadecimal && encryption == "AES256" && !has_customer_key
}

/// An error document of S3. Its message may contain the signature, so it is never shown.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct S3Error {
    code: String,
    message: String,
}

/// The error of a response of a store. Stores report an expired URL in different ways, so
/// `lifetime` is considered too.
pub fn store_error(response: &Response, lifetime: UrlLifetime) -> Error {
    let status = response.status;
    let error: S3Error = from_str(&response.text()).unwrap_or_default();
    if status == 407 {
        return proxy_login_required(None);
    }
    if status == 413 && error.code.is_empty() {
        let what = "a server in front of the store accepts no part of this size (HTTP 413)";
        return Error::new(Kind::Incompatible, what)
            .with_hint(
                "send smaller parts: run `upload abort ID`, and then `upload put FILE --part-size SIZE`",
            );
    }
    if matches!(status, 401 | 403) && error.code.is_empty() && response.is_html() {
        let what = format!(
            "a proxy or a firewall answered instead of the store (HTTP {status}, an HTML page)"
        );
        return Error::new(Kind::Incompatible, what).with_hint(
            "log in to the network if it requires a login, or ask its operator to permit the \
             store; then run the command again",
        );
    }
    let kind = kind_of(response, &error, lifetime);
    let what = if let (Kind::CredentialsRejected, code) = (kind, excerpt(&error.code)) {
        let reason = match error.code.as_str() {
            "InvalidAccessKeyId" => "the store does not know the AWS access key",
            "InvalidToken" => "the session token of the AWS credentials is not valid",
            _ => "the AWS credentials have expired",
        };
        format!("{reason} (HTTP {status} {code})")
    } else if kind == Kind::UnexpectedServer {
        format!("the response is not from a store (HTTP {status})")
    } else if kind == Kind::UrlExpired && lifetime == UrlLifetime::Valid {
        let code = excerpt(&error.code);
        format!("the store refused a new URL as expired (HTTP {status} {code})")
    } else if error.code.is_empty() {
        format!("the store refused the request (HTTP {status})")
    } else {
        let code = excerpt(&error.code);
        format!("the store refused the request (HTTP {status} {code})")
    };
    let hint = match (kind, error.code.as_str()) {
        (Kind::UrlExpired, "ExpiredToken") => Some(
            "ask the operator of the backend to renew its storage credentials; then run the \
             command again",
        ),
        (Kind::UrlExpired, _) if lifetime == UrlLifetime::Valid => Some(CLOCKS_HINT),
        _ => hint_for(kind),
    };
    let has_code = !error.code.is_empty();
    let mut error = Error::new(kind, what);
    if has_code {
        error = error.of_store();
    }
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn kind_of(response: &Response, error: &S3Error, lifetime: UrlLifetime) -> Kind {
    let S3Error { code, message } = error;
    let message = message.to_ascii_lowercase();
    let is_expired = lifetime == UrlLifetime::Expired || message.contains("expired");
    match (response.status, code.as_str()) {
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
        (_, "ExpiredToken" | "InvalidAccessKeyId" | "InvalidToken" | "TokenRefreshRequired") => {
            Kind::CredentialsRejected
        }
        (_, "RequestExpired" | "ExpiredRequest") => Kind::UrlExpired,
        (400 | 403, _) if message.contains("token has expired") => Kind::CredentialsRejected,
        (400 | 403, _) if is_expired => Kind::UrlExpired,
        // Some stores send NoSuchKey for a part of an upload that is gone.
        (_, "NoSuchUpload") | (404, "NoSuchKey") => Kind::Gone,
        (_, "NoSuchBucket" | "MethodNotAllowed") => Kind::Config,
        (400, "InvalidStorageClass" | "InvalidTag") => Kind::NotAcceptable,
        (
            _,
            "SlowDown"
            | "ServiceUnavailable"
            | "Throttling"
            | "TooManyRequests"
            | "KMS.ThrottlingException",
        )
        | (429 | 503, _) => Kind::Throttled(response.retry_after()),
        (400, code) if code.starts_with("KMS.") => Kind::NotAcceptable,
        (_, "AccessDenied" | "SignatureDoesNotMatch") | (401 | 403, _) => Kind::Unauthorized,
        (300..=399, code) if !code.is_empty() => Kind::WrongEndpoint,
        (200..=399 | 511, "") => Kind::UnexpectedServer,
        (200..=299 | 408 | 500.., _) if response.status != 501 => Kind::Temporary,
        (_, "") if response.is_html() => Kind::UnexpectedServer,
        _ => Kind::Incompatible,
    }
}

/// Returns `None` for errors that a retry may solve.
fn hint_for(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Corrupt => CORRUPT_HINT,
        Kind::ClockSkew => CLOCKS_HINT,
        Kind::Gone => "run `upload put FILE` to begin a new upload",
        Kind::Config => {
            "ask the operator of the backend to check the name of the bucket and the endpoint of \
             the store"
        }
        Kind::NotAcceptable => {
            "run `upload abort ID`, and then `upload put FILE` with another storage class, tag or \
             encryption, or with none"
        }
        Kind::CredentialsRejected => CREDENTIALS_HINT,
        Kind::Unauthorized => {
            "ask the operator of the backend to check its storage credentials and the policy of \
             the bucket"
        }
        Kind::WrongEndpoint => {
            "ask the operator of the backend to configure the endpoint and the region of the bucket"
        }
        Kind::UnexpectedServer => {
            "log in to the network if it requires a login: a captive portal or a proxy may \
             respond instead of the store"
        }
        Kind::Incompatible => {
            "ask the operator of the backend to check that the store supports its presigned URLs"
        }
        _ => return None,
    })
}
