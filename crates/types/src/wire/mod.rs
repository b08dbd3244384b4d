//! The JSON messages between client and gateway: HTTP API version 1, one type for each message.
//!
//! Not here: the order of the calls (`backend/gateway` in the client, `routes` in the gateway). The
//! table of errors is `code`. Encodings: `sha256` in lower-case hexadecimal, `checksum` in base64
//! (with `-N` for multipart), `ETags` without quotes, times as in RFC 3339, sizes in bytes. Both
//! sides ignore unknown fields, so that either side may add fields first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::{Checksum, Md5, Sha256};
use crate::etag::ETag;
use crate::ids::{Key, PartNumber, UploadId};
use crate::secrets::SignedUrl;

mod code;
mod milliseconds;

pub use code::Code;

/// The version of the API; also the value of the header [`PROTOCOL_HEADER`] on every response of a
/// gateway.
pub const PROTOCOL_VERSION: u32 = 1;
/// The header that distinguishes the response of a gateway from that of a captive portal.
pub const PROTOCOL_HEADER: &str = "x-upload-protocol";
/// The maximum number of parts in one `sign`.
pub const MAX_SIGN_PARTS: usize = 1000;
/// The maximum number of uploads in one `batch`, begins and completes together.
pub const MAX_BATCH_UPLOADS: usize = 256;
/// The maximum size of a JSON body that either side reads.
pub const MAX_JSON_BYTES: usize = 4 << 20;

/// Response to `GET /v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BackendInfo {
    pub protocol: u32,
    /// Identifies the gateway's ledger. Clients identify a backend by it, not by its URL.
    pub instance_id: String,
    pub limits: Limits,
    /// Globs of the accepted content types.
    pub allow_types: Vec<String>,
    pub proof: Proof,
    /// Capabilities of the store, by name, as the probe found them: `yes`, `no`, `refused` or
    /// `untried`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, String>,
    /// Whether hooks check each verified upload before it is ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hooks: bool,
}

/// The limits of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Limits {
    /// Minimum size of a part in bytes, except for the last part.
    pub min_part: u64,
    /// Maximum size of a part in bytes.
    pub max_part: u64,
    /// Maximum number of parts.
    pub max_parts: u32,
    /// Maximum size of an object in bytes.
    pub max_size: u64,
    /// Whether all parts except the last must have the same size.
    pub equal_parts: bool,
}

impl Limits {
    /// The limits of Amazon S3 ("Amazon S3 multipart upload limits" in its user guide), for stores
    /// and backends whose limits are unknown.
    pub const S3: Self = Self {
        min_part: 5 << 20,
        max_part: 5 << 30,
        max_parts: 10_000,
        max_size: 10_000 * (5 << 30),
        equal_parts: false,
    };
}

/// The check that the store enforces on the bytes of each part, strongest first.
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
    /// Nothing.
    None,
}

impl Proof {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Payload => "payload",
            Self::Md5 => "md5",
            Self::None => "none",
        }
    }
}

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

/// Request `POST /v1/uploads`, with the header `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BeginRequest {
    pub name: String,
    /// Size of the source in bytes. `null` is reserved for sources of unknown size and is rejected
    /// today.
    pub size: Option<u64>,
    pub content_type: String,
    /// The part size that the client prefers, in bytes. The response has the part size that
    /// applies.
    pub part_size: Option<u64>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Claims the upload for this holder in the same call, as `ClaimRequest` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Parts to sign in the same call. Ignored if they do not match the part size of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<PartSpec>>,
}

/// Response to `POST /v1/uploads`: 201 for a new upload, 200 if the idempotency key was used
/// before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BeginResponse {
    pub id: UploadId,
    pub epoch: u64,
    pub state: UploadState,
    /// The key of the object in its bucket, with the prefix of the gateway.
    pub key: Key,
    pub part_size: u64,
    pub part_count: u32,
    pub expires_at: Timestamp,
    /// The signed parts, if the request had parts that match the part size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<SignedPart>>,
}

/// Request `POST /v1/uploads/{id}/claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClaimRequest {
    /// A random name that the client keeps in its journal for this upload.
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

/// Request `POST /v1/uploads/{id}/sign`, with at most 1000 parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignRequest {
    pub epoch: u64,
    pub parts: Vec<PartSpec>,
    /// The store has rejected the credentials of an earlier URL of one of the parts.
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

/// A part that the store already has, with the same SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StoredTag {
    pub etag: ETag,
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

/// Response to `GET /v1/uploads/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UploadStatus {
    pub id: UploadId,
    pub state: UploadState,
    pub name: String,
    /// The key of the object in its bucket, with the prefix of the gateway.
    pub key: Key,
    /// Absent while the size is unknown: an upload from a browser has no size until it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    pub content_type: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub part_size: u64,
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
    pub etag: ETag,
    pub sha256: Sha256,
}

/// Response 202 to `complete`: the outcome is not known yet; repeat the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CompletePending {
    pub state: UploadState,
}

/// Request `POST /v1/batch`: calls of several uploads in one request, at most 256 together. Each
/// call has the response that it would have alone. The calls run in any order and concurrently, so
/// an upload that is begun here must be completed by a later batch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchRequest {
    #[serde(default)]
    pub begin: Vec<BatchBegin>,
    #[serde(default)]
    pub complete: Vec<BatchComplete>,
}

/// Request `POST /v1/uploads` within a batch: the body, with the header `Idempotency-Key` as a
/// field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchBegin {
    pub idempotency_key: String,
    #[serde(flatten)]
    pub request: BeginRequest,
}

/// Request `POST /v1/uploads/{id}/complete` within a batch: the body, with the id as a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchComplete {
    pub id: UploadId,
    #[serde(flatten)]
    pub request: CompleteRequest,
}

/// Response to `POST /v1/batch`, always 200: one outcome for each call, in the order of the
/// request.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchResponse {
    #[serde(default)]
    pub begin: Vec<BatchOutcome<BeginResponse>>,
    #[serde(default)]
    pub complete: Vec<BatchOutcome<CompleteResponse>>,
}

/// The outcome of one call of a batch: `{"status": 201, "response": {…}}` or `{"status": 422,
/// "problem": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BatchOutcome<T> {
    /// The HTTP status that the call would have alone.
    pub status: u16,
    /// The seconds of the header `Retry-After`, if the call would have one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    #[serde(flatten)]
    pub body: BatchBody<T>,
}

/// The body that the call would have alone, as the field `response` or `problem`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum BatchBody<T> {
    Response(T),
    Problem(Problem),
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
    #[serde(with = "milliseconds")]
    pub started: Timestamp,
    #[serde(with = "milliseconds")]
    pub finished: Timestamp,
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
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn batch_outcome_is_a_response_or_a_problem() {
        let problem = json!({"code": "not_found", "title": "no such upload", "status": 404});
        let pending = json!({"status": 202, "retry_after": 1, "response": {"state": "completing"}});
        for outcome in [pending, json!({"status": 404, "problem": problem})] {
            let parsed: BatchOutcome<CompleteResponse> = from_value(outcome.clone()).unwrap();
            assert_eq!(
                matches!(
                    parsed.body,
                    BatchBody::Response(CompleteResponse::Pending(_))
                ),
                parsed.status == 202
            );
            assert_eq!(to_value(parsed).unwrap(), outcome);
        }
        let neither = json!({"status": 200});
        let empty_receipt = json!({"status": 200, "response": {}});
        for wrong in [neither, empty_receipt] {
            assert!(from_value::<BatchOutcome<CompleteResponse>>(wrong).is_err());
        }
    }

    #[test]
    fn batch_call_is_the_body_of_the_single_call_and_one_field() {
        let request = json!({"epoch": 1, "parts": [], "checksum": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="});
        let alone: CompleteRequest = from_value(request.clone()).unwrap();
        let mut entry = request;
        entry["id"] = json!("0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00");
        let batch: BatchRequest = from_value(json!({"complete": [entry]})).unwrap();
        assert_eq!((&batch.complete[0].request, batch.begin.len()), (&alone, 0));
        assert_eq!(to_value(&batch).unwrap()["complete"][0], entry);
    }
}
