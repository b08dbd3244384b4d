//! Parts: the calls that sign and list them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::{Md5, Sha256};
use crate::etag::ETag;
use crate::ids::{PartNumber, UploadId};
use crate::secrets::SignedUrl;

/// A part that the client is about to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartSpec {
    pub number: PartNumber,
    pub size: u64,
    pub sha256: Sha256,
    /// Required if the proof of the backend is `md5`, otherwise absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<Md5>,
}

/// The place of a part's bytes in the object of an earlier upload of the same owner. The gateway
/// copies them in the store, if the store reports the SHA-256 of the copy and it is that of the
/// part. Otherwise the part is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartCopy {
    /// The part of the new upload.
    pub number: PartNumber,
    /// A ready upload of the owner.
    pub upload: UploadId,
    /// The offset of the first byte in its object.
    pub start: u64,
}

/// Request `POST /v1/uploads/{id}/sign`, with at most 1000 parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignRequest {
    pub epoch: u64,
    pub parts: Vec<PartSpec>,
    /// The places of parts whose bytes are in the store already, at most one for each part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<PartCopy>,
    /// The store has refused the credentials of an earlier URL of one of the parts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credentials_rejected: bool,
}

/// Response to `POST /v1/uploads/{id}/sign`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignResponse {
    pub parts: Vec<SignedPart>,
}

/// The presigned request for one part, or the ETag of a part that the store has already.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum SignedPart {
    Stored {
        number: PartNumber,
        stored: StoredTag,
    },
    Put(SignedPut),
}

impl SignedPart {
    #[must_use]
    pub fn number(&self) -> PartNumber {
        match self {
            Self::Stored { number, .. } => *number,
            Self::Put(put) => put.number,
        }
    }
}

/// A part that the store already has, with the same SHA-256. A gateway reports only parts that the
/// request names in `copies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StoredTag {
    pub etag: ETag,
    /// The store has copied it, as the request asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copied: bool,
}

/// A presigned request for one part. It must be sent with exactly these headers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignedPut {
    pub number: PartNumber,
    pub url: SignedUrl,
    /// `PUT`.
    pub method: String,
    pub headers: BTreeMap<String, String>,
    /// Seconds until the URL expires.
    pub expires_in: u64,
}

/// Response to `GET /v1/uploads/{id}/parts?after=N`: a page of the parts in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartList {
    pub parts: Vec<StoredPart>,
    /// The value of `after` for the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PartNumber>,
}

/// A part in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StoredPart {
    pub number: PartNumber,
    pub size: u64,
    pub etag: ETag,
    /// Present if the store reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}
