//! Completes the hints of errors for the verb that prints them.
//!
//! Not here: the hints themselves. Each is attached where its error is made.

use super::hint_commands::{HintCommands, Subject, backend_flags};
use super::keys::key_flags;
use super::object_flags::{flags_of_intent, rule_flags};
use crate::journal::Upload;
use upload_types::UploadId;
use upload_types::error::{Error, Kind};

/// Completes the commands in the hint of an error.
#[must_use]
pub fn with_commands(error: Error, commands: &HintCommands) -> Error {
    completed(error, commands, Subject::default())
}

/// Names the file, the id and the backend of an upload in the hint of an error about it. The flags
/// of the command follow in [`with_commands`].
#[must_use]
pub fn about_upload(error: Error, upload: &Upload) -> Error {
    let intent = &upload.intent;
    let path = intent.path.to_string_lossy();
    let subject = Subject {
        backend: &backend_flags(&intent.backend, intent.s3_service.as_ref()),
        key: &key_flags(&intent.backend, &intent.path, intent.key.as_deref()),
        object: &flags_of_intent(intent),
        rule: &rule_flags(intent.if_exists.unwrap_or_default(), false),
        file: Some(&path),
        upload: upload.id.as_ref().map(UploadId::as_str),
    };
    completed(error, &HintCommands::default(), subject)
}

fn completed(error: Error, commands: &HintCommands, subject: Subject<'_>) -> Error {
    let hint = error.hint().map(|hint| commands.complete(hint, subject));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// As [`with_commands`]; a failure that may pass gets the hint to repeat the command.
#[must_use]
pub fn for_query(error: Error, commands: &HintCommands) -> Error {
    let may_pass = error.kind().exit_code() == Kind::Temporary.exit_code();
    let is_unreached = error.unreached().is_some();
    let error = match error.hint() {
        None if is_unreached => error.with_hint(
            "check the address of the backend and the network; then run the command again",
        ),
        None if may_pass => error.with_hint("run the command again later"),
        _ => error,
    };
    with_commands(error, commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_may_pass_get_the_hint_to_repeat_the_command() {
        let adapted = |error| for_query(error, &HintCommands::default());
        let temporary = adapted(Error::new(Kind::Temporary, "x"));
        assert!(temporary.hint().is_some());
        assert_eq!(adapted(Error::new(Kind::Other, "x")).hint(), None);
        let own = Error::new(Kind::Temporary, "x").with_hint("do this");
        assert_eq!(adapted(own).hint(), Some("do this"));
    }
}
