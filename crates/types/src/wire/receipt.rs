//! The receipt of a finished upload.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backend::Proof;
use crate::digest::{Checksum, Sha256};
use crate::etag::ETag;
use crate::ids::{Key, UploadId};

/// The record of a finished upload. It suffices to verify the object on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The upload. Null in the receipt of a client for an object that was there before, if it knows
    /// no upload that made it. Never null in the receipt of a gateway.
    #[cfg_attr(feature = "schema", schema(value_type = UploadId))]
    pub id: Option<UploadId>,
    /// The URL of the backend.
    pub backend: String,
    pub instance_id: String,
    /// The name of the upload. Empty in receipts of older gateways.
    #[serde(default)]
    pub name: String,
    /// The bucket of the object; null for an embedded store, and if the backend does not report it.
    #[serde(default)]
    pub bucket: Option<String>,
    /// The key of the object in its bucket, with the prefix of the gateway.
    pub key: Key,
    /// The location of the object: its URL, or `embedded:KEY`. Absent until the upload is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The id of the object's version, in a bucket with versions.
    #[serde(default)]
    pub version_id: Option<String>,
    pub size: u64,
    pub parts: u32,
    /// The size of each part but the last one, in bytes.
    pub part_size: u64,
    /// Of a stream: the part size doubles after each group of this many parts. Absent: all
    /// parts but the last one have the same size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub double_after: Option<u32>,
    pub etag: ETag,
    /// Absent if no SHA-256 of the parts is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    pub proof: Proof,
    /// Capabilities that matter for this object and that the probe did not find in the store, and
    /// attributes of the object that the store did not keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<String>,
    /// SHA-256 of the whole object. A gateway knows it only for an upload of one part; a client may
    /// compute it.
    pub sha256: Option<Sha256>,
    #[serde(with = "super::milliseconds")]
    pub started: Timestamp,
    #[serde(with = "super::milliseconds")]
    pub finished: Timestamp,
}
