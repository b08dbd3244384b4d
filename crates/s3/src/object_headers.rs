//! The headers of an object: those that it is created with, and those that HeadObject returns.
//! Pure.
//!
//! Not here: the requests, in [`crate::objects`] and [`crate::multipart`].

use std::collections::BTreeMap;

use http::HeaderName;
use jiff::Timestamp;

use upload_net::Response;
use upload_types::error::{Error, Kind, Result};
use upload_types::{Checksum, ETag};

use crate::uri::encode;

/// The object metadata that holds the token of an upload.
const TOKEN_HEADER: &str = "x-amz-meta-upload-token";

/// The encryption of a new object.
pub(crate) const ENCRYPTION_HEADER: &str = "x-amz-server-side-encryption";

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
    /// The upload's token, by which the gateway recognizes the object.
    pub token: &'a str,
    /// The user's metadata, sent as `x-amz-meta-KEY`: keys and values must be valid in headers.
    pub metadata: &'a BTreeMap<String, String>,
}

impl NewObject<'_> {
    pub(crate) fn headers(&self) -> impl Iterator<Item = (String, String)> {
        let metadata = self
            .metadata
            .iter()
            .map(|(key, value)| (format!("x-amz-meta-{key}"), value.clone()));
        let content_type = collapse_spaces(self.content_type);
        metadata.chain([
            ("content-type".into(), content_type),
            (TOKEN_HEADER.into(), self.token.to_owned()),
        ])
    }
}

/// An object as HeadObject describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// In bytes.
    pub size: u64,
    pub etag: ETag,
    /// `None` if the store keeps no SHA-256 checksum of the object.
    pub checksum: Option<Checksum>,
    /// The token of the upload that created the object; see [`NewObject::token`].
    pub token: Option<String>,
    pub content_type: Option<String>,
    pub modified: Option<Timestamp>,
    /// `None` in a bucket without versions.
    pub version_id: Option<String>,
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
            // The id `null` is that of every object that was written without versioning.
            version_id: response
                .header("x-amz-version-id")
                .filter(|id| *id != "null")
                .map(str::to_owned),
        })
    }
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

/// `Content-Disposition` (RFC 6266) for a download with the file name `name`: in ASCII for old
/// clients, and in full as in RFC 8187.
#[must_use]
pub fn attachment(name: &str) -> String {
    let to_ascii = |c: char| {
        if c.is_ascii_graphic() && !"\"\\%/".contains(c) || c == ' ' {
            c
        } else {
            '_'
        }
    };
    let ascii: String = name.chars().map(to_ascii).collect();
    format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        encode(name)
    )
}
