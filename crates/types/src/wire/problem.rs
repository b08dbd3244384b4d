//! Errors of the API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Checksum;
use crate::etag::ETag;
use crate::ids::{Key, UploadId};

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The stable name of the error.
    pub code: String,
    pub title: String,
    pub status: u16,
    /// What to change in the request. Never contains messages of the store or the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// With the error `exists`: the object at the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Box<ExistingObject>>,
}

/// An object as the store reports it. With its checksum and the sizes of its parts, a client can
/// compare it with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ExistingObject {
    /// The key of the object in its bucket, with the prefix of the gateway.
    pub key: Key,
    pub size: u64,
    pub etag: ETag,
    /// Absent if the store has no SHA-256 of the whole object or of its parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// The size of each part but the last one, in bytes. Absent if it is unknown, or if the parts
    /// have different sizes. Of an object without parts it is the size of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    /// The store reports the size of the first part only: others may have another size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part_size_is_guess: bool,
    /// The sizes of all parts in bytes, if they differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_sizes: Vec<u64>,
    /// When the store created the object. Absent if the store does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// The finished upload of the same owner that created the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadId>,
    /// The names of what the request asks for and the object does not have: `content-type`,
    /// `metadata`, and attributes. Of tags, only the number is compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// The location of the object: its URL, or `embedded:KEY`.
    pub location: String,
}
