//! The hint of a failed upload of a stream: `upload resume` cannot read the stream again.

use upload_types::error::{Error, Kind};

/// What to do after a failure that may pass.
pub const RUN_PIPELINE_AGAIN: &str =
    "run the whole pipeline again: parts that are stored are not sent again";

/// The hint of a failure; `None` if there is none.
pub fn failure_hint(error: &Error) -> Option<String> {
    let is_for_files =
        |hint: &str| hint.contains("upload resume") || hint.contains("upload put FILE");
    match (error.kind(), error.hint()) {
        (_, Some(hint)) if !is_for_files(hint) => Some(hint.to_owned()),
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

/// The error of a run that a signal ended.
pub fn interrupted(signal: u8) -> Error {
    let what = "interrupted; nothing was completed";
    Error::new(Kind::Interrupted(signal), what).with_hint(RUN_PIPELINE_AGAIN)
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
    }
}
