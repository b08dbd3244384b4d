//! The headers of an object: those that it is created with, and those that HeadObject returns.
//! Pure.
//!
//! Not here: the requests, in [`crate::objects`] and [`crate::multipart`].

use std::collections::BTreeMap;

use http::HeaderName;
use jiff::Timestamp;

use upload_net::Response;
use upload_types::error::{Error, Kind, Result};
use upload_types::metadata::{MAX_METADATA_BYTES, metadata_bytes};
use upload_types::wire::Attributes;
use upload_types::{Checksum, ETag, encode_words};

use crate::attribute_headers;

/// The object metadata that holds the token of an upload.
const TOKEN_HEADER: &str = "x-amz-meta-upload-token";
/// The metadata key of the name of an upload.
const NAME_KEY: &str = "name";
pub(crate) const METADATA_PREFIX: &str = "x-amz-meta-";

/// Headers that S3 keeps with an object and returns to its readers, and that need no signature.
pub(crate) const KEPT_HEADERS: [&str; 5] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];

/// Headers that the gateway sets itself, or that would change the meaning of a request.
const RESERVED_HEADERS: [&str; 11] = [
    "authorization",
    "content-length",
    "content-md5",
    "content-type",
    "host",
    "if-match",
    "if-none-match",
    "transfer-encoding",
    "x-amz-content-sha256",
    "x-amz-date",
    TOKEN_HEADER,
];

/// The properties of a new object.
#[derive(Debug, Clone, Copy)]
pub struct NewObject<'a> {
    pub content_type: &'a str,
    /// The name of the upload, sent as `x-amz-meta-name` unless it is empty, the user's metadata
    /// has that key, or it does not fit into S3's limit.
    pub name: &'a str,
    /// The upload's token, by which the gateway recognizes the object.
    pub token: &'a str,
    /// The user's metadata, sent as `x-amz-meta-KEY` with encoded values: keys must be valid in
    /// headers.
    pub metadata: &'a BTreeMap<String, String>,
    /// The attributes that the client has chosen, in the form of [`Attributes::checked`].
    pub attributes: &'a Attributes,
}

impl NewObject<'_> {
    /// The headers of a request that creates the object: its own, and those of the gateway.
    pub(crate) fn headers_with(
        &self,
        gateway: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut headers = self.metadata_headers();
        headers.extend([
            ("content-type".into(), collapse_spaces(self.content_type)),
            (TOKEN_HEADER.into(), self.token.to_owned()),
        ]);
        headers.extend(self.name_header());
        headers.extend(attribute_headers::headers(self.attributes));
        attribute_headers::merge(headers, gateway)
    }

    /// The user's metadata as headers.
    pub(crate) fn metadata_headers(&self) -> BTreeMap<String, String> {
        let header = |(key, value): (&String, &String)| {
            (format!("{METADATA_PREFIX}{key}"), encode_words(value))
        };
        self.metadata.iter().map(header).collect()
    }

    fn name_header(&self) -> Option<(String, String)> {
        if self.name.is_empty() || self.metadata.contains_key(NAME_KEY) {
            return None;
        }
        let value = encode_words(self.name);
        let total = metadata_bytes(self.metadata)
            + "upload-token".len()
            + self.token.len()
            + NAME_KEY.len()
            + value.len();
        let fits = total <= MAX_METADATA_BYTES;
        fits.then(|| (format!("{METADATA_PREFIX}{NAME_KEY}"), value))
    }
}

/// An object as HeadObject describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The size in bytes.
    pub size: u64,
    pub etag: ETag,
    /// `None` if the store keeps no SHA-256 checksum of the object.
    pub checksum: Option<Checksum>,
    /// The token of the upload that created the object; see [`NewObject::token`].
    pub token: Option<String>,
    pub content_type: Option<String>,
    pub modified: Option<Timestamp>,
    /// `None` in a bucket without versions. `null` is the id of every object that was written
    /// without versioning, in a bucket that had or has it at another time.
    pub version_id: Option<String>,
    /// The other headers that are kept with the object, by name in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Head {
    /// Reads the headers of a HeadObject response. Returns `None` without a length or an ETag.
    pub(crate) fn from_response(response: &Response) -> Option<Self> {
        Some(Self {
            size: response.header("content-length")?.parse().ok()?,
            etag: ETag::from_header(response.header("etag")?).ok()?,
            checksum: response
                .header("x-amz-checksum-sha256")
                .and_then(|checksum| checksum.parse().ok()),
            token: response.header(TOKEN_HEADER).map(str::to_owned),
            content_type: response.header("content-type").map(str::to_owned),
            modified: response
                .header("last-modified")
                .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
                .map(|date| date.timestamp()),
            version_id: response.header("x-amz-version-id").map(str::to_owned),
            headers: kept_headers(response),
        })
    }
}

/// The headers that S3 keeps with an object, without empty values.
fn kept_headers(response: &Response) -> BTreeMap<String, String> {
    let headers = response.headers.iter();
    headers
        .filter(|(name, value)| {
            let name = name.as_str();
            let is_kept = KEPT_HEADERS.contains(&name) || name.starts_with("x-amz-");
            is_kept && !value.is_empty()
        })
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.trim().to_owned())
        })
        .collect()
}

/// Checks the headers that every created object gets. Returns their names in lower case.
///
/// # Errors
/// [`Kind::Config`] for a header that is not valid, or that the gateway sets itself.
pub(crate) fn check_create_headers(
    headers: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    headers
        .iter()
        .map(|(name, value)| check_create_header(name, value))
        .collect()
}

fn check_create_header(name: &str, value: &str) -> Result<(String, String)> {
    let rejected = |reason| {
        let text = format!("could not add the header {name:?} to uploads: {reason}");
        Error::new(Kind::Config, text)
    };
    let parsed: HeaderName = name
        .parse()
        .map_err(|_| rejected("it is not the name of a header"))?;
    let lower = parsed.as_str();
    if lower == "x-amz-request-payer" {
        let text = "could not use a bucket with Requester Pays: each call would need \
                    x-amz-request-payer, and the gateway adds headers only to new objects";
        return Err(Error::new(Kind::Config, text)
            .with_hint("switch Requester Pays off for the bucket, or use another bucket"));
    }
    if RESERVED_HEADERS.contains(&lower)
        || lower.starts_with("x-amz-checksum-")
        || lower.starts_with("x-amz-copy-source")
    {
        return Err(rejected("it is reserved for the gateway"));
    }
    if !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(rejected(
            "its value has characters other than visible ASCII",
        ));
    }
    Ok((lower.to_owned(), collapse_spaces(value)))
}

/// Collapses runs of spaces, as Signature Version 4 requires of signed values. The signing library
/// does not do it.
fn collapse_spaces(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, metadata: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = metadata.iter();
        let object = NewObject {
            content_type: "a/b",
            name,
            token: "t",
            metadata: &pairs
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
            attributes: &Attributes::NONE,
        };
        object.headers_with(&BTreeMap::new())
    }

    #[test]
    fn name_is_metadata_unless_the_user_sets_it_or_it_does_not_fit() {
        let name = |name: &str, metadata: &[(&str, &str)]| {
            headers(name, metadata).remove("x-amz-meta-name")
        };
        assert_eq!(name("two words.mov", &[]), Some("two words.mov".into()));
        assert_eq!(name("", &[]), None);
        assert_eq!(name("a", &[("name", "mine")]), Some("mine".into()));
        // "k", "upload-token", "t", "name" and "a" have 19 bytes.
        let long = |len| "v".repeat(len);
        assert_eq!(
            name("a", &[("k", &long(MAX_METADATA_BYTES - 19))]),
            Some("a".into())
        );
        assert_eq!(name("a", &[("k", &long(MAX_METADATA_BYTES - 18))]), None);
    }

    #[test]
    fn metadata_is_encoded() {
        let found = headers("", &[("title", "caf\u{e9}"), ("e", ""), ("s", "a  b")]);
        assert_eq!(found["x-amz-meta-title"], "=?UTF-8?B?Y2Fmw6k=?=");
        assert_eq!(found["x-amz-meta-e"], "");
        assert_eq!(found["x-amz-meta-s"], "=?UTF-8?B?YSAgYg==?=");
    }
}
