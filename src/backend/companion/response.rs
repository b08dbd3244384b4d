//! The meaning of a response of a Companion: of versions 4 to 7, and of other servers with the same
//! routes. Pure.
//!
//! For every failure of the store, Companion sends status 500, in production without a reason. A
//! failure without a reason may have any cause.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::saved_upload::SavedUpload;
use crate::backend::response::{
    NETWORK_LOGIN_HINT, Response, backend_redirects, backend_unavailable, excerpt,
    expired_urls_signed, proxy_login_required, unreadable_response,
};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::StoredPart;
use upload_types::{ETag, Key, PartNumber, SignedUrl};

/// The assumed lifetime of a URL that does not state one.
pub const DEFAULT_URL_LIFETIME_SECS: u64 = 300;
/// The longest id of a multipart upload, and the longest location of an object.
const MAX_TEXT_BYTES: usize = 2048;
const LOGIN_HINT: &str = "check the token (--token-file FILE or UPLOAD_TOKEN) and the headers (--header) that the \
     operator of the backend requires";
const ADDRESS_HINT: &str = "check the address of the backend, including the path at which Companion is mounted; without \
     a bucket, Companion has no S3 routes";
const CORRUPT_HINT: &str =
    "run the command again; if it fails again, run `upload abort ID`, and then `upload put FILE`";

/// A response without a success status.
#[derive(Debug)]
pub struct Failure {
    pub error: Error,
    /// True if the response contains a reason, which determines the kind of the error.
    pub is_explained: bool,
}

/// The body of a failure, in the form of Companion, of AWS's library (with the error code of the
/// store), or of our gateway.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    message: Option<String>,
    error: Value,
    code: Option<String>,
}

impl ErrorBody {
    fn of(response: &Response) -> Self {
        serde_json::from_slice(&response.body).unwrap_or_default()
    }

    /// The error code of the store.
    fn store_code(&self) -> Option<&str> {
        let in_error = ["Code", "name"]
            .iter()
            .find_map(|field| self.error.get(field)?.as_str());
        self.code
            .as_deref()
            .or(in_error)
            .filter(|code| !matches!(*code, "" | "Error" | "TypeError"))
    }

    /// The HTTP status that the store sent to the Companion.
    fn store_status(&self) -> Option<u64> {
        self.error.get("$metadata")?.get("httpStatusCode")?.as_u64()
    }

    fn text(&self) -> String {
        let text = self
            .error
            .as_str()
            .or(self.message.as_deref())
            .unwrap_or_default();
        let code = self
            .store_code()
            .map(|code| format!("{}: ", excerpt(code)))
            .unwrap_or_default();
        format!("{code}{}", excerpt(text))
    }
}

pub fn failure(response: &Response) -> Failure {
    let (status, body) = (response.status, ErrorBody::of(response));
    let request_id = response
        .header("x-request-id")
        .map(|id| format!(", request {}", excerpt(id)))
        .unwrap_or_default();
    let http = format!("HTTP {status}{request_id}");
    let text = match body.text() {
        text if text.is_empty() => text,
        text => format!(": {text}"),
    };
    let new_error = |kind, what: &str| Error::new(kind, format!("{what} ({http}){text}"));
    let error = match status {
        407 => proxy_login_required(None),
        403 if response.is_html() => new_error(
            Kind::Unauthorized,
            "the backend, or a proxy or a firewall in front of it, refused the request",
        )
        .with_hint(LOGIN_HINT),
        401 | 403 => new_error(Kind::Unauthorized, "the backend refused the credentials")
            .with_hint(LOGIN_HINT),
        300..=399 => backend_redirects(&http),
        511 => not_a_companion(status),
        ..=299 if response.is_html() => not_a_companion(status),
        ..=299 => unreadable_response(),
        408 | 409 | 429 | 502..=504 => backend_unavailable(status, response.retry_after()),
        _ => {
            if let Some(kind) = store_kind(&body) {
                let error = new_error(kind, "the store refused the request of the backend");
                match store_hint(kind, body.store_code()) {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                }
            } else if status >= 500 {
                return Failure {
                    error: new_error(Kind::Temporary, "the backend failed"),
                    is_explained: false,
                };
            } else if body.text().contains("does not support uploading to S3") {
                new_error(Kind::Incompatible, "the Companion has no S3 store")
                    .with_hint("ask the operator of the Companion to configure S3")
            } else if matches!(status, 404 | 405) {
                no_companion_routes(status)
            } else if matches!(status, 400 | 413 | 415 | 422) {
                new_error(
                    Kind::NotAcceptable,
                    "the backend does not accept the request",
                )
                .with_hint("choose a name and a content type that the backend accepts: `upload put FILE --name NAME --content-type TYPE`")
            } else {
                new_error(Kind::Incompatible, "the backend refused the request")
                    .with_hint(ADDRESS_HINT)
            }
        }
    };
    Failure {
        error,
        is_explained: true,
    }
}

/// The meaning of the store's code or status. Returns `None` if there is neither.
fn store_kind(body: &ErrorBody) -> Option<Kind> {
    let kind = match body.store_code().unwrap_or_default() {
        "NoSuchUpload" | "gone" | "not_found" => Kind::Gone,
        "InvalidPart" | "InvalidPartOrder" | "parts_mismatch" => Kind::PartsMismatch,
        "NoSuchBucket" => Kind::Config,
        "SlowDown" | "ServiceUnavailable" | "Throttling" | "TooManyRequests" => {
            Kind::Throttled(None)
        }
        "EntityTooSmall" | "EntityTooLarge" | "KeyTooLongError" | "MetadataTooLarge" => {
            Kind::NotAcceptable
        }
        "InvalidAccessKeyId" | "ExpiredToken" | "InvalidToken" => Kind::CredentialsRejected,
        "AccessDenied" | "SignatureDoesNotMatch" => Kind::Unauthorized,
        _ => match body.store_status()? {
            404 => Kind::Gone,
            401 | 403 => Kind::Unauthorized,
            429 | 503 => Kind::Throttled(None),
            400..=499 => Kind::NotAcceptable,
            _ => Kind::Temporary,
        },
    };
    Some(kind)
}

/// Returns `None` for errors that a retry may solve.
fn store_hint(kind: Kind, code: Option<&str>) -> Option<&'static str> {
    Some(match (kind, code.unwrap_or_default()) {
        (Kind::Gone, _) => "run `upload put FILE` to begin a new upload",
        (Kind::Config, _) => "ask the operator of the Companion to check the name of its bucket",
        (Kind::NotAcceptable, "EntityTooSmall" | "EntityTooLarge") => {
            "run `upload abort ID`, and then `upload put FILE --part-size SIZE` with another size"
        }
        (Kind::NotAcceptable, "KeyTooLongError") => {
            "choose a shorter name: `upload put FILE --name NAME`"
        }
        (Kind::NotAcceptable, "MetadataTooLarge") => "run `upload put FILE` with less metadata",
        (Kind::NotAcceptable, _) => {
            "choose a name and a content type that the store accepts: `upload put FILE --name NAME --content-type TYPE`"
        }
        (Kind::Unauthorized | Kind::CredentialsRejected, _) => {
            "ask the operator of the Companion to check its storage credentials and the policy of \
             the bucket"
        }
        _ => return None,
    })
}

fn not_a_companion(status: u16) -> Error {
    let what = format!("the response is not from a Companion (HTTP {status})");
    Error::new(Kind::UnexpectedServer, what).with_hint(NETWORK_LOGIN_HINT)
}

fn no_companion_routes(status: u16) -> Error {
    let what = format!("there is no Companion with an S3 store at this address (HTTP {status})");
    Error::new(Kind::Incompatible, what).with_hint(ADDRESS_HINT)
}

/// Checks that the response to a request to sign part 0 is that of a Companion with a store, which
/// rejects such a request.
pub fn check_companion(response: &Response) -> Result<()> {
    let (status, body) = (response.status, ErrorBody::of(response));
    let is_rejection = matches!(status, 400 | 404 | 422) && body.error.is_string();
    let has_store = !body.text().contains("does not support");
    let is_signed = status == 200 && parse_signature(response).is_ok();
    if (is_rejection && has_store) || is_signed {
        return Ok(());
    }
    if response.is_html() && matches!(status, 200..=299 | 400 | 422) {
        return Err(not_a_companion(status));
    }
    let error = failure(response).error;
    Err(if error.kind() == Kind::Gone {
        no_companion_routes(status)
    } else {
        error
    })
}

/// A multipart upload that has begun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    pub key: Key,
    pub upload_id: String,
}

pub fn parse_created(response: &Response) -> Result<Created> {
    let created: Created = parse_success(response)?;
    let id = created.upload_id.as_str();
    // "." and ".." would change the path of later requests.
    let is_invalid = matches!(id, "" | "." | "..")
        || id.len() > MAX_TEXT_BYTES
        || id.chars().any(char::is_control);
    if is_invalid {
        Err(unreadable_response())
    } else {
        Ok(created)
    }
}

/// A presigned URL for a part, and its lifetime in seconds.
#[derive(Debug)]
pub struct Signature {
    pub url: SignedUrl,
    pub expires_in: u64,
}

impl Signature {
    /// The lifetime is the shorter one of `expires`, in seconds, and the one in the URL.
    fn new(url: String, expires: Option<f64>) -> Result<Self> {
        let parsed = Url::parse(&url).map_err(|_| unreadable_response())?;
        let in_url = parsed
            .query_pairs()
            .find(|(name, _)| name.eq_ignore_ascii_case("x-amz-expires"))
            .and_then(|(_, seconds)| seconds.parse::<u64>().ok());
        let expires = expires
            .filter(|seconds| seconds.is_finite())
            .map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 1e9)).as_secs());
        let expires_in = [in_url, expires]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(DEFAULT_URL_LIFETIME_SECS);
        if expires_in == 0 {
            return Err(expired_urls_signed());
        }
        Ok(Self {
            url: SignedUrl::new(url),
            expires_in,
        })
    }
}

pub fn parse_signature(response: &Response) -> Result<Signature> {
    #[derive(Deserialize)]
    struct Signed {
        url: String,
        expires: Option<f64>,
    }
    let Signed { url, expires } = parse_success(response)?;
    Signature::new(url, expires)
}

/// The signatures of several parts. Returns `None` if there is no such route.
pub fn parse_signatures(
    response: &Response,
    numbers: &[PartNumber],
) -> Result<Option<Vec<(PartNumber, Signature)>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Signed {
        presigned_urls: HashMap<String, String>,
    }
    if matches!(response.status, 400 | 404 | 405 | 431 | 501) {
        return Ok(None);
    }
    if !response.is_success() {
        return Err(failure(response).error);
    }
    let Ok(mut signed) = response.json::<Signed>() else {
        return Ok(None);
    };
    let urls = numbers
        .iter()
        .map(|number| Some((*number, signed.presigned_urls.remove(&number.to_string())?)));
    let Some(urls) = urls.collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    urls.into_iter()
        .map(|(number, url)| Ok((number, Signature::new(url, None)?)))
        .collect::<Result<_>>()
        .map(Some)
}

/// The stored parts, in order of number. Some versions omit the size of a part: then the size in
/// the plan is assumed, and the `ETag` identifies the part.
pub fn parse_parts(response: &Response, upload: &SavedUpload) -> Result<Vec<StoredPart>> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(rename = "PartNumber")]
        number: Value,
        #[serde(rename = "ETag")]
        etag: String,
        #[serde(rename = "Size")]
        size: Option<u64>,
    }
    let parts: Vec<Part> = parse_success(response)?;
    let stored = parts.into_iter().filter_map(|part| {
        let number = part
            .number
            .as_u64()
            .or_else(|| part.number.as_str()?.parse().ok())?;
        let number = PartNumber::try_from(u32::try_from(number).ok()?).ok()?;
        let planned_size = upload.part_len(number)?;
        let stored = StoredPart {
            number,
            size: part.size.unwrap_or(planned_size),
            etag: ETag::from_header(&part.etag).ok()?,
            sha256: None,
        };
        Some((number, stored))
    });
    Ok(stored.collect::<BTreeMap<_, _>>().into_values().collect())
}

/// The report of a Companion about a completed object.
#[derive(Debug, PartialEq, Eq)]
pub struct CompletedObject {
    pub location: String,
    pub bucket: Option<String>,
    pub etag: ETag,
}

/// The completed object. If the response has no `ETag`, it is `composite`, the one computed from
/// the sent parts.
pub fn parse_completed(
    response: &Response,
    upload: &SavedUpload,
    composite: Option<ETag>,
) -> Result<CompletedObject> {
    #[derive(Deserialize)]
    struct Completed {
        location: Option<String>,
        key: Option<String>,
        bucket: Option<Value>,
        #[serde(alias = "ETag")]
        etag: Option<String>,
        error: Option<Value>,
    }
    let corrupt = |what| Err(Error::new(Kind::Corrupt, what).with_hint(CORRUPT_HINT));
    let completed: Completed = parse_success(response)?;
    if completed.error.is_some() || (completed.location.is_none() && completed.key.is_none()) {
        return Err(unreadable_response());
    }
    if completed.key.is_some_and(|key| key != upload.key.as_str()) {
        return corrupt("the backend has completed another object than the one of this upload");
    }
    let is_composite = |etag: &ETag| {
        etag.as_str()
            .split_once('-')
            .is_some_and(|(md5, _)| md5.len() == 32)
    };
    let etag = completed
        .etag
        .and_then(|etag| ETag::from_header(&etag).ok());
    if let (Some(etag), Some(composite)) = (&etag, &composite)
        && is_composite(etag)
        && !etag.as_str().eq_ignore_ascii_case(composite.as_str())
    {
        return corrupt("the store has assembled the object from other bytes than were sent");
    }
    let etag = etag
        .or(composite)
        .map_or_else(|| "unknown".parse(), Ok)
        .map_err(|_| unreadable_response())?;
    let location = completed
        .location
        .and_then(object_url)
        .unwrap_or_else(|| upload.key.to_string());
    Ok(CompletedObject {
        location,
        bucket: completed
            .bucket
            .and_then(|bucket| bucket.as_str().map(str::to_owned)),
        etag,
    })
}

/// The URL of an object. Returns `None` if it has a user name or a query, which may be secret.
fn object_url(location: String) -> Option<String> {
    let url = Url::parse(&location)
        .ok()
        .filter(|_| location.len() <= MAX_TEXT_BYTES)?;
    let is_public = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none();
    let is_printable = !location
        .chars()
        .any(|c| c.is_control() || c.is_whitespace());
    is_public.then(|| if is_printable { location } else { url.into() })
}

pub fn parse_aborted(response: &Response) -> Result<()> {
    if response.body.trim_ascii().is_empty() {
        return Ok(());
    }
    let body: serde_json::Map<String, Value> = parse_success(response)?;
    if body.contains_key("error") {
        Err(unreadable_response())
    } else {
        Ok(())
    }
}

/// Returns true if the signature of a URL covers the CRC32 of an empty body. AWS's library adds it.
pub fn signs_checksum_of_empty_body(url: &SignedUrl) -> bool {
    url.expose()
        .to_ascii_lowercase()
        .contains("x-amz-checksum-crc32=aaaaaa")
}

/// Parses the JSON of a response with a success status.
fn parse_success<T: DeserializeOwned>(response: &Response) -> Result<T> {
    if !response.is_success() {
        return Err(failure(response).error);
    }
    if response.is_html() {
        Err(not_a_companion(response.status))
    } else {
        response.json()
    }
}
