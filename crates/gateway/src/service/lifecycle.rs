//! The states of an upload.
//!
//! Each transition is one compare-and-set in the ledger. From a state that the table does not list,
//! an event has no effect.
//!
//! | state | event | next state | effect |
//! |---|---|---|---|
//! | pending, uploading | sign | uploading | pins the parts to their SHA-256, renews the lease |
//! | pending, uploading | sign numbers | uploading | counts the least size of a browser's upload, renews the lease |
//! | pending, uploading, completing, verified, ready | claim | same | gives the lease to a holder, with a new epoch |
//! | pending, uploading | multipart created | same | records the store's id of the multipart upload |
//! | pending, uploading, completing | complete | completing | records the ETags of the parts, renews the lease |
//! | pending, uploading | complete listed | completing | records the parts that the store lists, renews the lease |
//! | completing | complete again | completing | renews the lease of a browser's upload |
//! | completing | object matches | ready | records the receipt, counts the bytes |
//! | completing | object matches, hooks due | verified | records the receipt, counts the bytes, schedules the hooks |
//! | pending, uploading, completing | single PUT matches | ready | the same in one write, without `completing` in between |
//! | completing | parts differ | uploading | parts may be sent again |
//! | completing | object is damaged | rejected | the object is deleted |
//! | completing | upload is lost | expired | schedules a cleanup |
//! | pending, uploading, completing | parts are lost | expired | schedules a cleanup |
//! | pending, uploading | abort | aborting | the upload is removed from the store |
//! | pending, uploading, aborting | sweep after expiry | aborting | the upload is removed from the store |
//! | aborting | removed after abort | aborted | schedules a cleanup for the time when no URL is valid any more |
//! | aborting | removed after expiry | expired | schedules a cleanup for the time when no URL is valid any more |
//! | verified | hooks accept | ready | |
//! | verified | hook rejects | rejected | the object is deleted, moved or kept |
//!
//! `pending` and `uploading` are also the states in which an upload begins: `uploading` if parts
//! are signed with the begin. An unfinished upload whose lease and time have run out is reported as
//! `expired` before a sweep has ended it.
//!
//! Not here: the compare-and-sets (`ledger`), and the decision which event has happened (the
//! operations).

use jiff::Timestamp;

use crate::ledger::Upload;
use crate::problem::Refusal;
use upload_types::wire::{Code, UploadState};

/// Whether parts of an upload in this state may be signed.
pub fn accepts_parts(state: UploadState) -> bool {
    matches!(state, UploadState::Pending | UploadState::Uploading)
}

/// Whether the upload has its receipt.
pub fn is_complete(state: UploadState) -> bool {
    matches!(state, UploadState::Verified | UploadState::Ready)
}

/// Whether the upload ends, or has ended, without an object.
pub fn is_gone(state: UploadState) -> bool {
    matches!(
        state,
        UploadState::Rejected | UploadState::Aborting | UploadState::Aborted | UploadState::Expired
    )
}

/// The upload with state `expired` if its lease and its time have run out, even if no sweep has
/// ended it yet.
pub fn with_expiry(mut upload: Upload, now: Timestamp) -> Upload {
    let has_expired = upload.lease.until <= now && upload.expires_at <= now;
    if has_expired && accepts_parts(upload.state) {
        upload.state = UploadState::Expired;
    }
    upload
}

/// The refusal of parts for an upload in this state.
pub fn refuse_parts(state: UploadState) -> Refusal {
    match state {
        UploadState::Completing => Refusal::retry_after(Code::Busy, 1),
        state if is_complete(state) => Refusal::with_detail(
            Code::InvalidRequest,
            "this upload is complete; its status has the receipt",
        ),
        _ => Refusal::new(Code::Gone),
    }
}
