//! What client and gateway say to each other: the JSON of HTTP API version 1, one type for each message.
//!
//! Border: shapes and the table of error codes only. Who sends what when is `backend/native` and `gateway/routes`.
//! Encodings: `sha256` lower-case hex, `checksum` base64 (with `-N` for multipart), `ETags` without quotes, times RFC 3339,
//! sizes in bytes. Unknown fields are ignored on both sides, so that either may learn new ones first.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{Checksum, ETag, Fingerprint, Key, Md5, PartNumber, SignedUrl, UploadId};

/// The version of the API; also the value of the header [`PROTOCOL_HEADER`] on every answer of a gateway.
pub const PROTOCOL: u32 = 1;
/// Tells a gateway's answer from a captive portal's.
pub const PROTOCOL_HEADER: &str = "x-upload-protocol";
/// The most parts one `sign` may name.
pub const SIGN_MAX: usize = 1000;
/// The most bytes of JSON either side reads.
pub const JSON_MAX: usize = 4 << 20;

/// `GET /v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Info {
    pub protocol: u32,
    /// Which ledger this is; a client knows a backend by it, not by its URL.
    pub instance_id: String,
    pub limits: Limits,
    /// Globs of the content types that are taken.
    pub allow_types: Vec<String>,
    pub proof: Proof,
}

/// What the store allows. The client knows no such number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Smallest part but the last, in bytes.
    pub min_part: u64,
    /// Largest part, in bytes.
    pub max_part: u64,
    pub max_parts: u32,
    /// Largest object, in bytes.
    pub max_size: u64,
    /// All parts but the last must be of one size.
    pub equal_parts: bool,
}

/// What the store was held to enforce on each part's bytes, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// `x-amz-checksum-sha256` as a signed header.
    Sha256,
    /// The SHA-256 as the payload hash of the signature.
    Payload,
    /// `Content-MD5` as a signed header.
    Md5,
    None,
}

/// `pending → uploading → completing → verified → ready`, or `→ rejected`, or `→ aborting → aborted | expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
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

impl State {
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
        use State::{Aborted, Aborting, Completing, Expired, Pending, Ready, Rejected, Uploading, Verified};
        [Pending, Uploading, Completing, Verified, Ready, Rejected, Aborting, Aborted, Expired]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

/// One part as the client means to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSpec {
    pub number: PartNumber,
    pub size: u64,
    pub sha256: Fingerprint,
    /// Only where the backend's proof is [`Proof::Md5`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<Md5>,
}

/// `POST /v1/uploads`, with the header `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginRequest {
    pub name: String,
    /// `null` is reserved for sources whose size is not known before their end.
    pub size: Option<u64>,
    pub content_type: String,
    /// A wish; the answer pins it.
    pub part_size: Option<u64>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Claims the upload for this holder at once, as [`ClaimRequest`] does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Parts to be signed at once, should the wished part size be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<PartSpec>>,
}

/// The answer to `POST /v1/uploads`: 201, or 200 when the key was seen before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeginAnswer {
    pub id: UploadId,
    pub epoch: u64,
    pub state: State,
    pub key: Key,
    pub part_size: u64,
    pub part_count: u32,
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Signed>>,
}

/// `POST /v1/uploads/{id}/claim`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Random, kept in the journal: names one client's copy of one upload.
    pub holder: String,
    /// The epoch already held, to renew it; without it the holder is given a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    pub epoch: u64,
}

/// `POST /v1/uploads/{id}/sign`, at most [`SIGN_MAX`] parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignRequest {
    pub epoch: u64,
    pub parts: Vec<PartSpec>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignAnswer {
    pub parts: Vec<Signed>,
}

/// How one part is to be sent, or that it need not be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Signed {
    Known { number: PartNumber, known: Known },
    Put(SignedPut),
}

impl Signed {
    #[must_use]
    pub fn number(&self) -> PartNumber {
        match self {
            Self::Known { number, .. } => *number,
            Self::Put(put) => put.number,
        }
    }
}

/// A part the store already holds with these very bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub etag: ETag,
}

/// One request, to be sent with exactly these headers, soon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignedPut {
    pub number: PartNumber,
    pub url: SignedUrl,
    /// `PUT`.
    pub method: String,
    pub headers: BTreeMap<String, String>,
    /// Seconds from now.
    pub expires_in: u64,
}

/// `GET /v1/uploads/{id}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UploadStatus {
    pub id: UploadId,
    pub state: State,
    pub name: String,
    pub key: Key,
    pub size: u64,
    pub content_type: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub part_size: u64,
    pub part_count: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// Once verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// `GET /v1/uploads?state=`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UploadList {
    pub uploads: Vec<UploadStatus>,
}

/// `GET /v1/uploads/{id}/parts?after=N`: what the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartList {
    pub parts: Vec<StoredPart>,
    /// Ask again with `after` at this number; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PartNumber>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPart {
    pub number: PartNumber,
    pub size: u64,
    pub etag: ETag,
    /// Where the store keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Fingerprint>,
}

/// `POST /v1/uploads/{id}/complete`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteRequest {
    pub epoch: u64,
    pub parts: Vec<CompletePart>,
    pub checksum: Checksum,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletePart {
    pub number: PartNumber,
    pub etag: ETag,
    pub sha256: Fingerprint,
}

/// 202 from `complete`: being decided, ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deciding {
    pub state: State,
}

/// Proof of a finished upload. Enough to verify the object on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub id: UploadId,
    /// The backend as the client names it.
    pub backend: String,
    pub instance_id: String,
    pub key: Key,
    /// Where the object is: its URL, or `embedded:KEY`.
    pub location: String,
    pub size: u64,
    pub parts: u32,
    pub part_size: u64,
    pub etag: ETag,
    pub checksum: Checksum,
    pub proof: Proof,
    /// Of the whole object, where one pass gave it (an upload of one part).
    pub sha256: Option<Fingerprint>,
    pub started: Timestamp,
    pub finished: Timestamp,
}

/// `GET /v1/uploads/{id}/url`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadUrl {
    pub url: SignedUrl,
    /// Seconds from now; absent for a URL that does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable; see [`Code`].
    pub code: String,
    pub title: String,
    pub status: u16,
    /// What to change in the request; never what the store or the ledger said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $title:literal)*) => {
        /// Every error a gateway may answer with: code, HTTP status, title. The one table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }
        }
    };
}

codes! {
    InvalidRequest      "invalid_request"      400 "the request cannot be understood"
    Unauthenticated     "unauthenticated"      401 "a valid token is needed"
    Forbidden           "forbidden"            403 "not permitted"
    NotFound            "not_found"            404 "no such upload"
    LeaseHeld           "lease_held"           409 "another client drives this upload"
    LeaseLost           "lease_lost"           409 "another client has taken this upload over"
    PartPinned          "part_pinned"          409 "this part was signed with another fingerprint"
    Busy                "busy"                 409 "the upload is in another call's hands"
    NotAbortable        "not_abortable"        409 "the upload can no longer be aborted"
    Gone                "gone"                 410 "the upload was aborted, has expired, or was rejected"
    TooLarge            "too_large"            413 "too large"
    TypeNotAllowed      "type_not_allowed"     415 "this content type is not taken here"
    NameInvalid         "name_invalid"         422 "a name has 1 to 200 characters and no control character"
    IdempotencyMismatch "idempotency_mismatch" 422 "the idempotency key was used for another upload"
    PartsMismatch       "parts_mismatch"       422 "the parts are not those the store holds"
    SourceMismatch      "source_mismatch"      422 "the parts do not add up to the upload"
    RateLimited         "rate_limited"         429 "too many requests"
    QuotaExceeded       "quota_exceeded"       429 "the quota is used up"
    StoreUnavailable    "store_unavailable"    502 "the store does not answer as it should"
    Unavailable         "unavailable"          503 "the gateway cannot serve this now"
}

impl Code {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
