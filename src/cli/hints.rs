//! Hints that depend on the verb: the commands in hints are completed, and a failure of network or
//! store, whose remedy differs between groups of verbs, gets a hint here.
//!
//! Not here: all other hints. Each is attached where its error is made.

use upload_types::error::{Error, Kind};

use super::hint_commands::{HintCommands, Subject};

/// Completes the commands in the hint of an error.
#[must_use]
pub fn with_commands(error: Error, commands: &HintCommands) -> Error {
    let hint = error
        .hint()
        .map(|hint| commands.complete(hint, Subject::default()));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Adapts the hint of an error to the verbs that query the journal or a backend.
#[must_use]
pub fn for_query(error: Error, commands: &HintCommands) -> Error {
    with_commands(add_missing_hint(error, query_hint), commands)
}

/// Adapts the hint of an error to `upload serve` and the verbs below it.
#[cfg(feature = "gateway")]
#[must_use]
pub fn for_gateway(error: Error) -> Error {
    add_missing_hint(error, gateway_hint)
}

fn add_missing_hint(error: Error, hint: impl Fn(Kind) -> Option<&'static str>) -> Error {
    match (error.hint(), hint(error.kind())) {
        (None, Some(hint)) => error.with_hint(hint),
        _ => error,
    }
}

fn query_hint(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Temporary | Kind::Throttled(_) | Kind::UrlExpired | Kind::PartsMismatch => {
            "run the command again later"
        }
        Kind::NotAcceptable => "ask the operator of the backend which requests it accepts",
        Kind::CheckFailed => {
            "the object cannot be read; to upload the file again, run `upload put FILE --force`"
        }
        _ => return None,
    })
}

#[cfg(feature = "gateway")]
fn gateway_hint(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::DatabaseUnusable => "name another ledger with --ledger sqlite:FILE",
        Kind::Corrupt | Kind::Temporary | Kind::Throttled(_) | Kind::UrlExpired => {
            "check that store and ledger can be reached, then run the command again"
        }
        Kind::UnexpectedServer | Kind::ProtocolError | Kind::WrongEndpoint => {
            "check the address of the store"
        }
        Kind::ClockSkew => "set the clock of this machine, or that of the store",
        Kind::Busy => "stop the process that has the store open, or wait until it ends",
        Kind::Unauthorized => "check the credentials of the store and their permissions",
        Kind::NotFound => "check the name",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::command;

    /// Kinds that no verb of the group can end with.
    const UPLOADS_ONLY: [Kind; 5] = [
        Kind::SourceChanged,
        Kind::NoSource,
        Kind::MissingEtag,
        Kind::LeaseLost,
        Kind::WrongEndpoint,
    ];
    const KINDS: [Kind; 20] = [
        Kind::Usage,
        Kind::Corrupt,
        Kind::Incompatible,
        Kind::DatabaseUnusable,
        Kind::Io,
        Kind::Temporary,
        Kind::Throttled(None),
        Kind::UnexpectedServer,
        Kind::ProtocolError,
        Kind::UrlExpired,
        Kind::ClockSkew,
        Kind::Busy,
        Kind::Unauthorized,
        Kind::NotAcceptable,
        Kind::CheckFailed,
        Kind::Config,
        Kind::NotFound,
        Kind::Gone,
        Kind::NotAbortable,
        Kind::PartsMismatch,
    ];

    /// The flags that a hint names, except in commands in backticks.
    fn flags(hint: &str) -> Vec<String> {
        let outside = hint.split('`').step_by(2).collect::<String>();
        outside
            .split([' ', ',', ';', '(', ')'])
            .filter_map(|word| word.strip_prefix("--"))
            .map(str::to_owned)
            .collect()
    }

    #[track_caller]
    fn check(hint: &str, verb: &[&str]) {
        let mut command = command();
        command.build();
        let command = verb.iter().fold(&command, |command, name| {
            command.find_subcommand(name).expect("a verb")
        });
        for flag in flags(hint) {
            let is_known = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(flag.as_str()));
            assert!(is_known, "upload {verb:?} has no --{flag}: {hint}");
        }
    }

    #[test]
    fn hints_name_flags_of_the_verb_only() {
        for kind in KINDS {
            let error = for_query(Error::new(kind, "x"), &HintCommands::default());
            for verb in ["list", "status", "abort", "prune", "cat", "url"] {
                check(error.hint().unwrap_or_default(), &[verb]);
            }
        }
        assert!(UPLOADS_ONLY.iter().all(|kind| !KINDS.contains(kind)));
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn gateway_hints_name_flags_of_serve_only() {
        let not_at_a_gateway = [
            Kind::NotAcceptable,
            Kind::CheckFailed,
            Kind::Gone,
            Kind::NotAbortable,
            Kind::PartsMismatch,
        ];
        let kinds = KINDS.iter().filter(|kind| !not_at_a_gateway.contains(kind));
        for kind in kinds {
            let error = for_gateway(Error::new(*kind, "x"));
            let hint = error.hint().unwrap_or_default();
            for verb in [
                &["serve"][..],
                &["serve", "sweep"],
                &["serve", "token", "add"],
            ] {
                check(hint, verb);
            }
            assert!(!hint.contains("resume"), "{hint}");
        }
    }

    #[test]
    fn attached_hint_is_kept() {
        let error = Error::new(Kind::Temporary, "x").with_hint("do this");
        let adapted = for_query(error, &HintCommands::default());
        assert_eq!(adapted.hint(), Some("do this"));
    }
}
