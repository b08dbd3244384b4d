//! Complete: the call, its responses, and the receipt.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::backend::Proof;
use super::upload::UploadState;
use crate::digest::{Checksum, Sha256};
use crate::etag::ETag;
use crate::ids::{Key, PartNumber, UploadId};

/// Request `POST /v1/uploads/{id}/complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompleteRequest {
    pub epoch: u64,
    pub parts: Vec<CompletePart>,
    pub checksum: Checksum,
}

/// A part of which the object is to consist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletePart {
    pub number: PartNumber,
    /// The ETag of the part, with or without the quotes that S3 sends.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    #[serde(deserialize_with = "etag_as_sent")]
    pub etag: ETag,
    pub sha256: Sha256,
}

/// Reads an `ETag` in the form in which S3 sends it, in quotes, or without them.
fn etag_as_sent<'de, D: Deserializer<'de>>(from: D) -> Result<ETag, D::Error> {
    ETag::from_header(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// Response 202 to `complete`: the outcome is not known yet; repeat the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletePending {
    pub state: UploadState,
}

/// Response to a complete: a receipt (200), or the state of an upload whose outcome is not known
/// yet (202).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum CompleteResponse {
    Receipt(Box<Receipt>),
    Pending(CompletePending),
}

/// The record of a finished upload. It suffices to verify the object on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Receipt {
    pub id: UploadId,
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
    /// The location of the object: its URL, or `embedded:KEY`.
    pub location: String,
    /// The id of the object's version, in a bucket with versions.
    #[serde(default)]
    pub version_id: Option<String>,
    pub size: u64,
    pub parts: u32,
    pub part_size: u64,
    pub etag: ETag,
    /// Absent if no SHA-256 of the parts is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    pub proof: Proof,
    /// Capabilities that matter for this object and that the probe did not find in the store.
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
