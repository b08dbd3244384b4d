//! The attributes of an object: headers that the store keeps with it, its storage class, encryption
//! and tags.
//!
//! Not here: the forms of their values ([`crate::attributes`]), and user metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The attributes that a client chooses for its object. An absent attribute is that of the gateway,
/// if its operator has set it, or of the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Attributes {
    /// The canned access list of S3: `private`, `public-read`, `public-read-write`,
    /// `authenticated-read`, `aws-exec-read`, `bucket-owner-read` or `bucket-owner-full-control`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
    /// `Cache-Control`: directives, separated by commas (RFC 9111).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Content-Disposition` (RFC 6266).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`: words such as `gzip`, separated by commas. The content is not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`: language tags such as `de-CH`, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Expires`: an IMF-fixdate (RFC 9110, section 5.6.7) such as `Sun, 06 Nov 1994 08:49:37 GMT`,
    /// or a date or time of RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Server-side encryption: `AES256`, `aws:kms` or `aws:kms:KEY-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse: Option<String>,
    /// A storage class of the store, such as `STANDARD_IA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// At most 10 tags: keys of 1 to 128 characters, values of 0 to 256 characters; letters,
    /// digits, spaces and `+-=._:/@`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Attributes {
    /// No attributes.
    pub const NONE: Self = Self {
        acl: None,
        cache_control: None,
        content_disposition: None,
        content_encoding: None,
        content_language: None,
        expires: None,
        sse: None,
        storage_class: None,
        tags: BTreeMap::new(),
    };

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }
}
