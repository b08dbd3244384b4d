//! An upload: its states, the calls that begin and claim it, its status, and lists of uploads.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::attributes::Attributes;
use super::parts::{PartCopy, PartSpec, SignedPart};
use super::receipt::Receipt;
use crate::ids::{Key, UploadId};
use crate::secrets::SignedUrl;

/// The state of an upload: `pending → uploading → completing → verified → ready`, or `→ rejected`,
/// or `→ aborting → aborted | expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum UploadState {
    Pending,
    Uploading,
    Completing,
    Verified,
    Ready,
    Rejected,
    Aborting,
    Aborted,
    Expired,
}

impl UploadState {
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Uploading,
        Self::Completing,
        Self::Verified,
        Self::Ready,
        Self::Rejected,
        Self::Aborting,
        Self::Aborted,
        Self::Expired,
    ];

    /// The name in JSON and in the ledger.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Uploading => "uploading",
            Self::Completing => "completing",
            Self::Verified => "verified",
            Self::Ready => "ready",
            Self::Rejected => "rejected",
            Self::Aborting => "aborting",
            Self::Aborted => "aborted",
            Self::Expired => "expired",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// Request `POST /v1/uploads`, with the header `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BeginRequest {
    /// 1 to 200 characters without control characters. Its extension becomes that of the key.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 200))]
    pub name: String,
    /// Size of the source in bytes. `null` for a stream: its size is unknown until it ends, and
    /// follows from the number and the size of its last part. Such an upload is a multipart upload
    /// in any case.
    pub size: Option<u64>,
    /// The size that a stream will perhaps have, in bytes. Its parts are large enough for it.
    /// Only without `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_size: Option<u64>,
    /// A media type (RFC 9110), such as `video/mp4`.
    pub content_type: String,
    /// The part size that the client prefers, in bytes. The response has the part size that
    /// applies.
    pub part_size: Option<u64>,
    /// User metadata of the object: keys of a-z, 0-9, - and _, values without control characters.
    /// The store gets values that are not words of ASCII as encoded words (RFC 2047). Keys and
    /// encoded values have at most 2 KiB.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Attributes that the operator permits.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Box<Attributes>,
    /// When the source was last modified. It becomes the metadata `mtime` of the object, in
    /// seconds since 1970 with decimals, unless `metadata` has that key. A repeated request may
    /// have another time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// The key that the client asks for, below the prefix of the gateway: 1 to 1024 bytes with that
    /// prefix. Absent: the gateway makes one. The gateway normalises it (NFC), and the response has
    /// the key that applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What to do if there is an object at `key`. Only with `key`; absent: `same`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_exists: Option<IfExists>,
    /// Claims the upload for this holder in the same call, as `ClaimRequest` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Parts to sign in the same call. Ignored if they do not match the part size of the response,
    /// and without `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<PartSpec>>,
    /// As in the request to sign parts, for these `parts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<PartCopy>,
}

/// What to do if there is an object at the key that a client asks for. The gateway responds to all
/// but `overwrite` with the error `exists`, which describes the object: the client decides whether
/// its content is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IfExists {
    /// The upload is done if the object has the same content. Otherwise it fails.
    #[default]
    Same,
    /// The upload fails.
    Fail,
    /// The upload replaces the object that is there now, and no later one.
    Overwrite,
    /// The upload is left out.
    Skip,
    /// As `same`; but if the object differs, the client begins again with `overwrite`.
    Update,
}

impl IfExists {
    pub const ALL: [Self; 5] = [
        Self::Same,
        Self::Fail,
        Self::Overwrite,
        Self::Skip,
        Self::Update,
    ];

    /// The rule with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// The name in JSON and in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Fail => "fail",
            Self::Overwrite => "overwrite",
            Self::Skip => "skip",
            Self::Update => "update",
        }
    }
}

/// Response to `POST /v1/uploads`: 201 for a new upload, 200 if the idempotency key was used
/// before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BeginResponse {
    pub id: UploadId,
    /// For the calls about this upload; a claim may give another one.
    pub epoch: u64,
    pub state: UploadState,
    /// The key of the object in its bucket, with the prefix of the gateway.
    pub key: Key,
    /// The size of each part but the last one, in bytes. Of a stream: the size of its first part.
    pub part_size: u64,
    /// Of a stream: the part size doubles after each group of this many parts. Absent: all
    /// parts but the last one have the same size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub double_after: Option<u32>,
    /// At least 1: an empty source has one empty part. 0 for a stream: its parts are numbered from
    /// 1, and the last one may be smaller than its part size.
    pub part_count: u32,
    /// Each call about the upload moves this time.
    pub expires_at: Timestamp,
    /// The signed parts, if the request had parts that match the part size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<SignedPart>>,
}

/// Request `POST /v1/uploads/{id}/claim`. A client needs it to continue an upload in another
/// process, and to keep other clients from doing so while it sends no other call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    /// A random name that the client keeps in its journal for this upload: visible ASCII.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 128))]
    pub holder: String,
    /// The epoch that the holder has, in order to renew its lease. Without it the holder gets a new
    /// epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// Response to `POST /v1/uploads/{id}/claim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimResponse {
    pub epoch: u64,
}

/// Response to `GET /v1/uploads/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UploadStatus {
    pub id: UploadId,
    pub state: UploadState,
    pub name: String,
    /// The key of the object in its bucket, with the prefix of the gateway.
    pub key: Key,
    /// Absent while the size is unknown: a stream and an upload from a browser have no size until
    /// they are complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    pub content_type: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Absent in lists of uploads.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Box<Attributes>,
    /// As in the response to begin. 0 for an unfinished upload from a browser.
    pub part_size: u64,
    /// As in the response to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub double_after: Option<u32>,
    /// 0 while the size is unknown.
    pub part_count: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// Present once the upload is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The reason of the hook that rejected the upload, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The object of a verified or ready upload in the store at the time of the request. Absent in
    /// lists of uploads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectState>,
}

/// The state of an object that was verified before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ObjectState {
    /// The store has the object with the token, size and ETag of the upload.
    Present,
    /// The store has no object at the key.
    Missing,
    /// The store has another object at the key.
    Replaced,
}

impl ObjectState {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Replaced => "replaced",
        }
    }
}

/// Response to `GET /v1/uploads?state=&after=ID`: a page of uploads, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UploadList {
    pub uploads: Vec<UploadStatus>,
    /// The value of `after` for the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<UploadId>,
}

/// Response to `GET /v1/uploads/{id}/url`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReadUrl {
    pub url: SignedUrl,
    /// Seconds until the URL expires; absent for a URL that does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}
