//! The errors of streams, and their hints: `upload resume` cannot read a stream again.

use upload_types::error::{Error, Kind};
use upload_types::wire::{ExistingObject, IfExists};

use crate::backend::EXISTS_HINT;
use crate::transfer::existing::uploaded;

/// What to do after a failure that may pass.
pub const RUN_PIPELINE_AGAIN: &str =
    "run the whole pipeline again: parts that are stored are not sent again";

/// The hint of a failure; `None` if there is none.
pub fn failure_hint(error: &Error) -> Option<String> {
    let is_for_files =
        |hint: &str| hint.contains("upload resume") || hint.contains("upload put FILE");
    match (error.kind(), error.hint()) {
        (_, Some(hint)) if !is_for_files(hint) => Some(hint.to_owned()),
        (Kind::Exists | Kind::NotAcceptable, Some(hint)) => Some(for_pipeline(hint)),
        (Kind::Corrupt, Some(_)) => {
            Some("do not use the object; run the whole pipeline again".to_owned())
        }
        (Kind::Gone | Kind::NotFound | Kind::CheckFailed | Kind::Corrupt, _) => {
            Some("run the whole pipeline again to make a new object".to_owned())
        }
        (_, Some(_)) => Some(RUN_PIPELINE_AGAIN.to_owned()),
        (kind, None) if kind.exit_code() == Kind::Temporary.exit_code() => {
            Some(RUN_PIPELINE_AGAIN.to_owned())
        }
        (_, None) => None,
    }
}

/// The hint with the pipeline in the place of the command `upload put FILE FLAGS`.
fn for_pipeline(hint: &str) -> String {
    const PUT: &str = "`upload put FILE";
    const AGAIN: &str = "run the whole pipeline again";
    let hint = hint.replace("run `upload put FILE", PUT);
    let Some((before, command)) = hint.split_once(PUT) else {
        return RUN_PIPELINE_AGAIN.to_owned();
    };
    let (flags, after) = command.split_once('`').unwrap_or((command, ""));
    match flags.trim() {
        "" => format!("{before}{AGAIN}{after}"),
        flags => format!("{before}{AGAIN} with `{flags}`{after}"),
    }
}

/// The error of a run that a signal ended.
pub fn interrupted(signal: u8) -> Error {
    let what = "interrupted; nothing was completed";
    Error::new(Kind::Interrupted(signal), what).with_hint(RUN_PIPELINE_AGAIN)
}

/// The error of a stream whose key has an object.
pub fn exists(existing: &ExistingObject, rule: IfExists) -> Error {
    if rule == IfExists::Overwrite {
        let what = "another program has put an object at its key meanwhile; it was not replaced";
        let hint = "to replace that object too, run the whole pipeline again";
        return Error::new(Kind::Exists, what).with_hint(hint);
    }
    let what = format!(
        "there is an object at the key {} already{}; a stream is not compared with it",
        existing.key,
        uploaded(existing)
    );
    Error::new(Kind::Exists, what).with_hint(EXISTS_HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hint_names_a_command_for_files() {
        let hint = |kind, hint: Option<&str>| {
            let error = Error::new(kind, "x");
            failure_hint(&match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            })
        };
        let again = Some(RUN_PIPELINE_AGAIN.to_owned());
        assert_eq!(hint(Kind::Temporary, None), again);
        assert_eq!(hint(Kind::Temporary, Some("run `upload resume`")), again);
        let own = Some("buy a disk".to_owned());
        assert_eq!(hint(Kind::Io, Some("buy a disk")), own);
        assert_eq!(hint(Kind::CommandFailed, None), None);
        let gone = hint(Kind::Gone, Some("run `upload put FILE` to begin"));
        assert!(gone.unwrap().starts_with("run the whole pipeline"));
        for (of_file, expected) in [
            (
                "to replace the object, run `upload put FILE --if-exists overwrite`",
                "to replace the object, run the whole pipeline again with `--if-exists overwrite`",
            ),
            (
                "choose a key: `upload put FILE --key KEY`; or ask its operator",
                "choose a key: run the whole pipeline again with `--key KEY`; or ask its operator",
            ),
            (
                "run `upload abort ID`, and then `upload put FILE` with another tag",
                "run `upload abort ID`, and then run the whole pipeline again with another tag",
            ),
        ] {
            assert_eq!(hint(Kind::Exists, Some(of_file)).unwrap(), expected);
        }
    }
}
