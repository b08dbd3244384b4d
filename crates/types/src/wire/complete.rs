//! Complete: the call, and its responses.

use serde::{Deserialize, Deserializer, Serialize};

use super::receipt::Receipt;
use super::upload::UploadState;
use crate::digest::{Checksum, Sha256};
use crate::etag::ETag;
use crate::ids::PartNumber;

/// Request `POST /v1/uploads/{id}/complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompleteRequest {
    pub epoch: u64,
    /// Every part, in order.
    pub parts: Vec<CompletePart>,
    /// Of one part: the SHA-256 of its bytes in base64. Of N parts: the SHA-256 of the concatenated
    /// SHA-256 digests (32 bytes each) in base64, followed by `-N`.
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
