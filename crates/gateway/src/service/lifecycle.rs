//! The states of an upload.
//!
//! Each transition is one compare-and-set in the ledger. An event has no effect in a state that the
//! table does not list for it. In the state `none`, the upload does not exist yet.
//!
//! | state | event | next state | effect |
//! |---|---|---|---|
//! | none | begin | pending | creates the row of the upload |
//! | none | begin with parts | uploading | also creates a pinned row for each of the parts |
//! | none | begin form | uploading | creates the row of a browser's upload in one form |
//! | pending, uploading | sign | uploading | creates the pinned rows of the parts, renews the lease |
//! | pending, uploading | sign stream | uploading | reserves the size, creates or changes pinned rows |
//! | pending, uploading | sign numbers | uploading | reserves the size, renews the lease |
//! | pending, uploading | multipart created | same | records the store's id for it |
//! | pending, uploading, completing, verified, ready | claim | same | sets holder and epoch |
//! | pending, uploading, completing | complete | completing | records the parts, renews the lease |
//! | pending, uploading, completing | complete stream | completing | sets the size, records the parts |
//! | pending, uploading | complete listed | completing | records the parts, renews the lease |
//! | completing | complete listed again | completing | renews the lease |
//! | completing | object matches | ready | records the receipt, counts the bytes |
//! | completing | object matches, hooks due | verified | as above, and schedules the hooks |
//! | pending, uploading, completing | single PUT matches | ready | records part and receipt |
//! | pending, uploading, completing | single PUT matches, hooks due | verified | as above |
//! | completing | parts differ | uploading | the parts may be sent again |
//! | completing | object is damaged | rejected | the object is deleted |
//! | completing | upload is lost | expired | schedules a cleanup |
//! | completing | another object is at its key | aborted | as above |
//! | pending, uploading, completing | parts are lost | expired | schedules a cleanup |
//! | pending, uploading | abort | aborting | the upload is removed from the store |
//! | pending, uploading, aborting | sweep after expiry | aborting | as above |
//! | pending, uploading, aborting | begin of another at its key | aborting | as above |
//! | aborting, expired | object matches after expiry | ready | records the receipt, counts the bytes |
//! | aborting, expired | object matches after expiry, hooks due | verified | as above |
//! | verified, ready, rejected, expired | remove | aborting | frees its bytes, removes its object |
//! | aborting | removed after abort | aborted | schedules a cleanup |
//! | aborting | removed after expiry | expired | schedules a cleanup |
//! | verified | hooks accept | ready | |
//! | verified | hook rejects | rejected | the object is deleted, moved or kept |
//!
//! Events with *stream* are those of uploads of unknown size.
//! Events with *numbers*, *listed* and *form* are those of uploads from browsers, which declare no
//! parts. A cleanup is scheduled for the time when all presigned URLs of the upload have expired;
//! for an upload of a single PUT or form also for the time when no request can create its object
//! any more, and for a day later (`url_ttl`). The survey schedules one whenever it finds an object
//! of an ended upload. *Remove* is an abort by the owner, of a ready upload only if the operator
//! permits it, or a removal by the operator.
//!
//! The rows of parts are deleted with the transition to `verified`, `ready`, `rejected` or
//! `aborted`, and those of an `expired` upload and of a browser's parts by a cleanup. The row of an
//! upload that has ended is deleted after the retention time. When the lease and the lifetime of a
//! pending or uploading upload have run out, it is reported as `expired`, even before a sweep ends
//! it.
//!
//! Not here: the compare-and-sets (`ledger`), and the choice of the event (the operations).

use jiff::Timestamp;

use crate::ledger::{TransitionOutcome, Upload};
use crate::problem::Refusal;
use upload_types::wire::{Code, UploadState};

/// Returns true if parts of an upload in this state may be signed.
pub fn accepts_parts(state: UploadState) -> bool {
    matches!(state, UploadState::Pending | UploadState::Uploading)
}

/// Returns true if an upload in this state has its receipt.
pub fn is_complete(state: UploadState) -> bool {
    matches!(state, UploadState::Verified | UploadState::Ready)
}

/// Returns true if an upload in this state is ending, or has ended, without an accepted object.
pub fn is_gone(state: UploadState) -> bool {
    matches!(
        state,
        UploadState::Rejected | UploadState::Aborting | UploadState::Aborted | UploadState::Expired
    )
}

/// Sets the state of a pending or uploading upload to `expired` if its lease and its lifetime have
/// run out, even if no sweep has ended it yet.
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

/// The refusal of a call that had no effect in the ledger.
pub fn refuse_transition(outcome: TransitionOutcome) -> Refusal {
    match outcome {
        TransitionOutcome::Done => Refusal::new(Code::Unavailable),
        TransitionOutcome::LeaseLost => Refusal::new(Code::LeaseLost),
        TransitionOutcome::WrongState(state) => refuse_parts(state),
        TransitionOutcome::PartMismatch(number) => Refusal::with_detail(
            Code::PartPinned,
            format!("part {number} was signed with another SHA-256"),
        ),
    }
}
