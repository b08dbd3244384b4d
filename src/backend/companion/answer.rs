//! What a Companion's answers mean: those of versions 4 to 7, and of what else has its routes. Pure.
//!
//! Whatever the store says, Companion answers 500, and in production says nothing more. So a refusal is *explained* or it is not;
//! one that is not may mean anything, and nothing is concluded from it.
//!
//! Border: nothing is believed but JSON of the right shape; what follows is `companion`'s.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::memo::Memo;
use crate::backend::answer::{Answer, failing, proxy_login, shown};
use crate::backend::api::parse;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{ETag, Key, PartNumber, SignedUrl};
use upload_types::wire::StoredPart;

/// How long a URL lives that does not say so.
const URL_LIFE: u64 = 300;
/// The longest id of a multipart upload, and the longest location, that are kept.
const TEXT_MAX: usize = 2048;
const LOG_IN: &str = "log in: check the token (--token-file, UPLOAD_TOKEN) or what its operator wants to see (--header)";

/// An answer that is no success.
#[derive(Debug)]
pub struct Refusal {
    pub error: Error,
    /// There is a reason, by which the error was classified.
    pub explained: bool,
}

/// What Companion says of a failure: its own words, or those of AWS's library with the store's code in them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    message: Option<String>,
    error: Value,
    /// As our own gateway says it.
    code: Option<String>,
}

impl Said {
    fn of(answer: &Answer) -> Self {
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// The store's code.
    fn code(&self) -> Option<&str> {
        let of_store = ["Code", "name"]
            .iter()
            .find_map(|field| self.error.get(field)?.as_str());
        self.code
            .as_deref()
            .or(of_store)
            .filter(|code| !matches!(*code, "" | "Error" | "TypeError"))
    }

    /// The store's status.
    fn status(&self) -> Option<u64> {
        self.error.get("$metadata")?.get("httpStatusCode")?.as_u64()
    }

    fn text(&self) -> String {
        let text = self
            .error
            .as_str()
            .or(self.message.as_deref())
            .unwrap_or_default();
        let code = self
            .code()
            .map(|code| format!("{}: ", shown(code)))
            .unwrap_or_default();
        format!("{code}{}", shown(text))
    }
}

/// What an answer means that is no success.
pub fn refusal(answer: &Answer) -> Refusal {
    let (status, said) = (answer.status, Said::of(answer));
    let request = answer
        .header("x-request-id")
        .map(|id| format!(", request {}", shown(id)))
        .unwrap_or_default();
    let told = |kind, what: &str| {
        let text = said.text();
        let text = if text.is_empty() {
            text
        } else {
            format!(": {text}")
        };
        Error::new(kind, format!("{what} (HTTP {status}{request}){text}"))
    };
    let explained = |error| Refusal {
        error,
        explained: true,
    };
    match status {
        407 => explained(proxy_login()),
        401 | 403 => explained(told(Kind::Unauthorized, "the backend refused").with_hint(LOG_IN)),
        300..=399 => explained(
            told(
                Kind::UnexpectedServer,
                "the backend redirects, which is not followed",
            )
            .with_hint(
                "configure the address it redirects to, if you trust it, or log in to the network",
            ),
        ),
        511 => explained(stranger(status)),
        // What passes a page off as a success is no Companion.
        ..=299 => explained(if answer.is_page() {
            stranger(status)
        } else {
            nonsense()
        }),
        408 | 409 | 429 | 502..=504 => explained(failing(status, answer.retry_after())),
        _ => match of_store(&said) {
            Some(kind) => explained(told(
                kind,
                "the store refused what the backend asked it for",
            )),
            None if status >= 500 => Refusal {
                error: told(Kind::Temporary, "the backend failed"),
                explained: false,
            },
            None if said.text().contains("does not support uploading to S3") => explained(
                told(Kind::Incompatible, "the backend has no store")
                    .with_hint("ask its operator for S3"),
            ),
            None if matches!(status, 404 | 405) => explained(nobody(status)),
            None if matches!(status, 400 | 413 | 415 | 422) => explained(told(
                Kind::NotAcceptable,
                "the backend does not take what it is asked for",
            )),
            None => explained(told(Kind::Incompatible, "the backend refused")),
        },
    }
}

/// What the store's code, or its status, means for whoever asked Companion.
fn of_store(said: &Said) -> Option<Kind> {
    let kind = match said.code().unwrap_or_default() {
        "NoSuchUpload" | "gone" | "not_found" => Kind::Gone,
        "InvalidPart" | "InvalidPartOrder" | "parts_mismatch" => Kind::PartsMismatch,
        "NoSuchBucket" => Kind::Config,
        "SlowDown" | "ServiceUnavailable" | "Throttling" | "TooManyRequests" => {
            Kind::Throttled(None)
        }
        "EntityTooSmall" | "EntityTooLarge" | "KeyTooLongError" | "MetadataTooLarge" => {
            Kind::NotAcceptable
        }
        "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" => {
            Kind::Unauthorized
        }
        _ => match said.status()? {
            404 => Kind::Gone,
            401 | 403 => Kind::Unauthorized,
            429 | 503 => Kind::Throttled(None),
            400..=499 => Kind::NotAcceptable,
            _ => Kind::Temporary,
        },
    };
    Some(kind)
}

fn stranger(status: u16) -> Error {
    Error::new(
        Kind::UnexpectedServer,
        format!("what answers there is not a Companion (HTTP {status})"),
    )
}

fn nobody(status: u16) -> Error {
    Error::new(Kind::Incompatible, format!("no Companion with an S3 store answers there (HTTP {status})")).with_hint(
        "check the address, the path that Companion is mounted at included; without a bucket it has no such routes",
    )
}

fn nonsense() -> Error {
    Error::new(
        Kind::ProtocolError,
        "what the backend answers cannot be understood",
    )
}

/// Whether a Companion with a store has refused to sign part 0, as it does.
pub fn greets(answer: &Answer) -> Result<()> {
    let said = Said::of(answer);
    let refused = matches!(answer.status, 400 | 404 | 422) && said.error.is_string();
    let signed = answer.status == 200 && signature(answer).is_ok();
    if (refused && !said.text().contains("does not support")) || signed {
        return Ok(());
    }
    let odd = answer.is_page() && matches!(answer.status, 200..=299 | 400 | 422);
    if odd {
        return Err(stranger(answer.status));
    }
    let error = refusal(answer).error;
    Err(if error.kind() == Kind::Gone {
        nobody(answer.status)
    } else {
        error
    })
}

/// A multipart upload that was begun.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    pub key: Key,
    pub upload_id: String,
}

pub fn created(answer: &Answer) -> Result<Created> {
    let created: Created = success(answer)?;
    let id = created.upload_id.as_str();
    // What would be another path.
    let odd =
        matches!(id, "" | "." | "..") || id.len() > TEXT_MAX || id.chars().any(char::is_control);
    if odd { Err(nonsense()) } else { Ok(created) }
}

/// A URL for a part, and how many seconds it lives.
#[derive(Debug)]
pub struct Signature {
    pub url: SignedUrl,
    pub expires_in: u64,
}

impl Signature {
    /// `expires` is what was said beside it; what the URL says counts as well, and the sooner end is the end.
    fn of(url: String, expires: Option<f64>) -> Result<Self> {
        let parsed = Url::parse(&url).map_err(|_| nonsense())?;
        let said = parsed
            .query_pairs()
            .find(|(name, _)| name.eq_ignore_ascii_case("x-amz-expires"));
        let said = said.and_then(|(_, seconds)| seconds.parse::<u64>().ok());
        let beside = expires
            .filter(|seconds| seconds.is_finite())
            .map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
        let expires_in = [said, beside.map(|life| life.as_secs())]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(URL_LIFE);
        if expires_in == 0 {
            return Err(Error::new(
                Kind::ProtocolError,
                "the backend signed URLs that live for no time",
            ));
        }
        Ok(Self {
            url: SignedUrl::new(url),
            expires_in,
        })
    }
}

pub fn signature(answer: &Answer) -> Result<Signature> {
    #[derive(Deserialize)]
    struct Signed {
        url: String,
        expires: Option<f64>,
    }
    let Signed { url, expires } = success(answer)?;
    Signature::of(url, expires)
}

/// The URLs of several parts; None where there is no such route.
pub fn signatures(
    answer: &Answer,
    numbers: &[PartNumber],
) -> Result<Option<Vec<(PartNumber, Signature)>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Signed {
        presigned_urls: HashMap<String, String>,
    }
    if matches!(answer.status, 400 | 404 | 405 | 431 | 501) {
        return Ok(None);
    }
    if !answer.is_ok() {
        return Err(refusal(answer).error);
    }
    let Ok(mut signed) = parse::<Signed>(answer) else {
        return Ok(None);
    };
    let urls = numbers
        .iter()
        .map(|number| Some((*number, signed.presigned_urls.remove(&number.to_string())?)));
    let Some(urls) = urls.collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    urls.into_iter()
        .map(|(number, url)| Ok((number, Signature::of(url, None)?)))
        .collect::<Result<_>>()
        .map(Some)
}

/// What the store holds, in order of number. A part without its size has that of the plan: its `ETag` decides.
pub fn parts(answer: &Answer, memo: &Memo) -> Result<Vec<StoredPart>> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(rename = "PartNumber")]
        number: Value,
        #[serde(rename = "ETag")]
        etag: String,
        #[serde(rename = "Size")]
        size: Option<u64>,
    }
    let parts: Vec<Part> = success(answer)?;
    let stored = parts.into_iter().filter_map(|part| {
        let number = part
            .number
            .as_u64()
            .or_else(|| part.number.as_str()?.parse().ok())?;
        let number = PartNumber::try_from(u32::try_from(number).ok()?).ok()?;
        let (planned, etag) = (memo.len(number)?, ETag::from_header(&part.etag).ok()?);
        Some((
            number,
            StoredPart {
                number,
                size: part.size.unwrap_or(planned),
                etag,
                sha256: None,
            },
        ))
    });
    Ok(stored.collect::<BTreeMap<_, _>>().into_values().collect())
}

/// Where a completed object is, and its `ETag`: as it was said, else what its parts make of it.
pub fn completed(answer: &Answer, memo: &Memo, composite: Option<ETag>) -> Result<(String, ETag)> {
    #[derive(Deserialize)]
    struct Completed {
        location: Option<String>,
        key: Option<String>,
        #[serde(alias = "ETag")]
        etag: Option<String>,
        error: Option<Value>,
    }
    let said: Completed = success(answer)?;
    if said.error.is_some() || (said.location.is_none() && said.key.is_none()) {
        return Err(nonsense());
    }
    if said.key.is_some_and(|key| key != memo.key.as_str()) {
        return Err(Error::new(
            Kind::Corrupt,
            "the backend has completed another object than ours",
        ));
    }
    let is_composite = |etag: &ETag| {
        etag.as_str()
            .split_once('-')
            .is_some_and(|(md5, _)| md5.len() == 32)
    };
    let etag = said.etag.and_then(|etag| ETag::from_header(&etag).ok());
    if let (Some(etag), Some(composite)) = (&etag, &composite)
        && is_composite(etag)
        && !etag.as_str().eq_ignore_ascii_case(composite.as_str())
    {
        return Err(Error::new(
            Kind::Corrupt,
            "the store has put the object together from other bytes than were sent",
        ));
    }
    let etag = etag
        .or(composite)
        .map_or_else(|| "unknown".parse(), Ok)
        .map_err(|_| nonsense())?;
    Ok((
        said.location
            .and_then(place)
            .unwrap_or_else(|| memo.key.to_string()),
        etag,
    ))
}

/// An object's URL. One with a user or a query may be secret, and is none.
fn place(location: String) -> Option<String> {
    let url = Url::parse(&location)
        .ok()
        .filter(|_| location.len() <= TEXT_MAX)?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let shown = !location
        .chars()
        .any(|c| c.is_control() || c.is_whitespace());
    (matches!(url.scheme(), "http" | "https") && plain)
        .then(|| if shown { location } else { url.into() })
}

/// Nothing was left of an upload.
pub fn aborted(answer: &Answer) -> Result<()> {
    if answer.body.trim_ascii().is_empty() {
        return Ok(());
    }
    let said: serde_json::Map<String, Value> = success(answer)?;
    if said.contains_key("error") {
        Err(nonsense())
    } else {
        Ok(())
    }
}

/// Whether a URL has the CRC32 of no bytes in its signature, as AWS's library has put it there.
pub fn signs_a_checksum_of_nothing(url: &SignedUrl) -> bool {
    url.expose()
        .to_ascii_lowercase()
        .contains("x-amz-checksum-crc32=aaaaaa")
}

/// The JSON of a success.
fn success<T: DeserializeOwned>(answer: &Answer) -> Result<T> {
    if !answer.is_ok() {
        return Err(refusal(answer).error);
    }
    if answer.is_page() {
        Err(stranger(answer.status))
    } else {
        parse(answer)
    }
}

#[cfg(test)]
mod tests;
