//! The JSON messages between client and gateway: HTTP API version 1, one type for each message.
//!
//! Not here: the order of the calls (`backend/gateway` in the client, `routes` in the gateway). The
//! table of errors is `code`. Encodings: `sha256` in lower-case hexadecimal, `checksum` in base64
//! (with `-N` for multipart), `ETags` without quotes, times as in RFC 3339, sizes in bytes. Both
//! sides ignore unknown fields, so that either side may add fields first.

mod attributes;
mod backend;
mod batch;
mod code;
mod complete;
mod milliseconds;
mod parts;
mod problem;
mod receipt;
mod upload;

pub use attributes::Attributes;
pub use backend::{BackendInfo, Limits, Proof};
pub use batch::{BatchBegin, BatchBody, BatchComplete, BatchOutcome, BatchRequest, BatchResponse};
pub use code::Code;
pub use complete::{CompletePart, CompletePending, CompleteRequest, CompleteResponse};
pub use parts::{
    PartCopy, PartList, PartSpec, SignRequest, SignResponse, SignedPart, SignedPut, StoredPart,
    StoredTag,
};
pub use problem::{ExistingObject, Problem};
pub use receipt::Receipt;
pub use upload::{
    BeginRequest, BeginResponse, ClaimRequest, ClaimResponse, IfExists, ObjectState, ReadUrl,
    UploadList, UploadState, UploadStatus,
};

/// The version of the API; also the value of the header [`PROTOCOL_HEADER`] on every response of a
/// gateway.
pub const PROTOCOL_VERSION: u32 = 1;
/// The header that distinguishes the response of a gateway from that of a captive portal.
pub const PROTOCOL_HEADER: &str = "x-upload-protocol";
/// The maximum number of parts in one `sign`.
pub const MAX_SIGN_PARTS: usize = 1000;
/// The maximum number of uploads in one `batch`, all calls together.
pub const MAX_BATCH_UPLOADS: usize = 256;
/// The maximum number of uploads in `present` of one `batch`.
pub const MAX_BATCH_PRESENT: usize = 4000;
/// The maximum size of a JSON body that either side reads.
pub const MAX_JSON_BYTES: usize = 4 << 20;
