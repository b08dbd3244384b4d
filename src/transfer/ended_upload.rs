//! The meaning of a status that ends an upload.

use upload_types::error::{Error, Kind};
use upload_types::wire::{ObjectState, UploadState, UploadStatus};

/// How much of a hook's reason is shown, in characters.
const MAX_REASON_CHARS: usize = 500;

/// The error for an upload that has no object, or never gets one: [`Kind::CheckFailed`] if a hook
/// has rejected the object, otherwise [`Kind::Gone`].
pub fn terminal_error(status: &UploadStatus) -> Error {
    if let (UploadState::Rejected, Some(reason)) = (status.state, &status.reason) {
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        return check_failed(&format!(
            "the backend's checks rejected the object: {reason}"
        ));
    }
    let begin = "run `upload put FILE` to begin a new upload";
    let (what, hint) = match status.object {
        Some(ObjectState::Missing) => ("the store no longer has the object".to_owned(), begin),
        Some(ObjectState::Replaced) => (
            "the store has another object in its place".to_owned(),
            "to replace that object, run `upload put FILE --if-exists overwrite`",
        ),
        _ => {
            let state = status.state.name();
            (format!("the backend reports the upload as {state}"), begin)
        }
    };
    Error::new(Kind::Gone, what).with_hint(hint)
}

/// The error for an object that a hook has rejected.
pub fn check_failed(what: &str) -> Error {
    let hint = "change the file, or run `upload put FILE --force` to have it checked again";
    Error::new(Kind::CheckFailed, what).with_hint(hint)
}
