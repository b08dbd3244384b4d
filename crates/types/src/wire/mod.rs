//! What client and gateway say to each other: the JSON of HTTP API version 1, one type for each message.
//!
//! Border: shapes only, and in `code` the table of errors. Who sends what when is `backend/gateway` and `gateway/routes`.
//! Encodings: `sha256` lower-case hex, `checksum` base64 (with `-N` for multipart), `ETags` without quotes, times RFC 3339,
//! sizes in bytes. Unknown fields are ignored on both sides, so that either may learn new ones first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{Checksum, ETag, Key, Md5, PartNumber, Sha256, SignedUrl, UploadId};

mod code;

pub use code::Code;

/// The version of the API; also the value of the header [`PROTOCOL_HEADER`] on every answer of a gateway.
pub const PROTOCOL: u32 = 1;
/// Tells a gateway's answer from a captive portal's.
pub const PROTOCOL_HEADER: &str = "x-upload-protocol";
/// The most parts one `sign` may name.
pub const SIGN_MAX: usize = 1000;
/// The most uploads one `batch` may begin and complete together.
pub const BATCH_MAX: usize = 256;
/// The most bytes of JSON either side reads.
pub const JSON_MAX: usize = 4 << 20;

/// `GET /v1`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BackendInfo {
    pub protocol: u32,
    /// Which ledger this is; a client knows a backend by it, not by its URL.
    pub instance_id: String,
    pub limits: Limits,
    /// Globs of the content types that are taken.
    pub allow_types: Vec<String>,
    pub proof: Proof,
    /// What the store was tried for, and how far it is held to it: `yes`, `no`, `refused` or `untried`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, String>,
}

/// What the store allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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

impl Limits {
    /// What Amazon S3 allows ("Amazon S3 multipart upload limits" in its user guide): for stores and backends that do not say.
    pub const S3: Self = Self {
        min_part: 5 << 20,
        max_part: 5 << 30,
        max_parts: 10_000,
        max_size: 10_000 * (5 << 30),
        equal_parts: false,
    };
}

/// What the store was held to enforce on each part's bytes, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
        use UploadState::{
            Aborted, Aborting, Completing, Expired, Pending, Ready, Rejected, Uploading, Verified,
        };
        [
            Pending, Uploading, Completing, Verified, Ready, Rejected, Aborting, Aborted, Expired,
        ]
        .into_iter()
        .find(|state| state.name() == name)
    }
}

/// One part as the client means to send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartSpec {
    pub number: PartNumber,
    pub size: u64,
    pub sha256: Sha256,
    /// Only where the backend's proof is [`Proof::Md5`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<Md5>,
}

/// `POST /v1/uploads`, with the header `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BeginResponse {
    pub id: UploadId,
    pub epoch: u64,
    pub state: UploadState,
    pub key: Key,
    pub part_size: u64,
    pub part_count: u32,
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<SignedPart>>,
}

/// `POST /v1/uploads/{id}/claim`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    /// Random, kept in the journal: names one client's copy of one upload.
    pub holder: String,
    /// The epoch already held, to renew it; without it the holder is given a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimResponse {
    pub epoch: u64,
}

/// `POST /v1/uploads/{id}/sign`, at most [`SIGN_MAX`] parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignRequest {
    pub epoch: u64,
    pub parts: Vec<PartSpec>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignResponse {
    pub parts: Vec<SignedPart>,
}

/// How one part is to be sent, or that it need not be.
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

/// A part the store already holds with these very bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StoredTag {
    pub etag: ETag,
}

/// One request, to be sent with exactly these headers, soon.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UploadStatus {
    pub id: UploadId,
    pub state: UploadState,
    pub name: String,
    pub key: Key,
    /// Absent while it is not known: of an upload without a plan, until that is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
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
    /// Why a check of the backend has rejected it, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `GET /v1/uploads?state=&after=ID`, newest first
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UploadList {
    pub uploads: Vec<UploadStatus>,
    /// Ask again with `after` at this id; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<UploadId>,
}

/// `GET /v1/uploads/{id}/parts?after=N`: what the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartList {
    pub parts: Vec<StoredPart>,
    /// Ask again with `after` at this number; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PartNumber>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StoredPart {
    pub number: PartNumber,
    pub size: u64,
    pub etag: ETag,
    /// Where the store keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

/// `POST /v1/uploads/{id}/complete`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompleteRequest {
    pub epoch: u64,
    pub parts: Vec<CompletePart>,
    pub checksum: Checksum,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletePart {
    pub number: PartNumber,
    pub etag: ETag,
    pub sha256: Sha256,
}

/// 202 from `complete`: being decided, ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletePending {
    pub state: UploadState,
}

/// `POST /v1/batch`: calls of several uploads in one, at most [`BATCH_MAX`] together. Each is answered as it would be alone;
/// they may be done in any order and at the same time, so an upload begun here is completed by a later batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchRequest {
    #[serde(default)]
    pub begin: Vec<BatchBegin>,
    #[serde(default)]
    pub complete: Vec<BatchComplete>,
}

/// `POST /v1/uploads` within a batch: its body, with the header `Idempotency-Key` as a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchBegin {
    pub idempotency_key: String,
    #[serde(flatten)]
    pub request: BeginRequest,
}

/// `POST /v1/uploads/{id}/complete` within a batch: its body, with the id as a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchComplete {
    pub id: UploadId,
    #[serde(flatten)]
    pub request: CompleteRequest,
}

/// The answer to `POST /v1/batch`, always 200: one outcome for each call, in the order asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchResponse {
    #[serde(default)]
    pub begin: Vec<BatchOutcome<BeginResponse>>,
    #[serde(default)]
    pub complete: Vec<BatchOutcome<CompleteResponse>>,
}

/// How one call of a batch was answered: `{"status": 201, "response": {…}}` or `{"status": 422, "problem": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchOutcome<T> {
    /// The HTTP status it would have had alone.
    pub status: u16,
    /// The seconds of its header `Retry-After`, where it would have had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    #[serde(flatten)]
    pub body: BatchBody<T>,
}

/// The body the call would have had alone, under the name of what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum BatchBody<T> {
    Response(T),
    Problem(Problem),
}

/// The answer to a complete: a receipt (200), or the state of an upload that is still being decided (202).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum CompleteResponse {
    Receipt(Box<Receipt>),
    Pending(CompletePending),
}

/// Proof of a finished upload. Enough to verify the object on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
    /// Absent where no SHA-256 of the parts is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    pub proof: Proof,
    /// Capabilities that bear on this object and that the store was not found to have: what it cannot prove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unproven: Vec<String>,
    /// Of the whole object, where one pass gave it (an upload of one part).
    pub sha256: Option<Sha256>,
    pub started: Timestamp,
    pub finished: Timestamp,
}

/// `GET /v1/uploads/{id}/url`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReadUrl {
    pub url: SignedUrl,
    /// Seconds from now; absent for a URL that does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Stable; see [`Code`].
    pub code: String,
    pub title: String,
    pub status: u16,
    /// What to change in the request; never what the store or the ledger said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn an_outcome_says_what_it_is() {
        let problem = json!({"code": "not_found", "title": "no such upload", "status": 404});
        let deciding =
            json!({"status": 202, "retry_after": 1, "response": {"state": "completing"}});
        for outcome in [deciding, json!({"status": 404, "problem": problem})] {
            let read: BatchOutcome<CompleteResponse> = from_value(outcome.clone()).unwrap();
            assert_eq!(
                matches!(read.body, BatchBody::Response(CompleteResponse::Pending(_))),
                read.status == 202
            );
            assert_eq!(to_value(read).unwrap(), outcome);
        }
        let neither = json!({"status": 200});
        let receipt_of_nothing = json!({"status": 200, "response": {}});
        for wrong in [neither, receipt_of_nothing] {
            assert!(from_value::<BatchOutcome<CompleteResponse>>(wrong).is_err());
        }
    }

    #[test]
    fn a_call_in_a_batch_is_the_single_calls_body_and_one_field() {
        let request = json!({"epoch": 1, "parts": [], "checksum": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="});
        let alone: CompleteRequest = from_value(request.clone()).unwrap();
        let mut entry = request;
        entry["id"] = json!("0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00");
        let batch: BatchRequest = from_value(json!({"complete": [entry]})).unwrap();
        assert_eq!((&batch.complete[0].request, batch.begin.len()), (&alone, 0));
        assert_eq!(to_value(&batch).unwrap()["complete"][0], entry);
    }
}
