//! The exit codes of every verb, for help and man pages.

use std::fmt::Write as _;

/// Code and meaning.
pub const EXIT_CODES: &[(&str, &str)] = &[
    (
        "0",
        "success: every upload is stored and verified (--trust-journal: by an earlier run)",
    ),
    ("1", "another error, or several sources failed differently"),
    ("2", "wrong command line"),
    (
        "65",
        "a source changed, a stream is incomplete, or bytes were damaged",
    ),
    (
        "66",
        "a source does not exist, cannot be read, or has another size than it reports",
    ),
    (
        "69",
        "the backend cannot be used (version, TLS, another server)",
    ),
    (
        "73",
        "the journal, the ledger or the embedded store cannot be opened",
    ),
    ("74", "reading or writing failed on this machine"),
    ("75", "temporary failure; see below"),
    (
        "77",
        "not permitted (token, AWS credentials, policy of the backend), or the key is taken",
    ),
    ("78", "configuration missing or wrong"),
    (
        "129, 130, 143",
        "ended by SIGHUP, SIGINT, SIGTERM; the journal is intact",
    ),
];

/// How the codes of several sources become one.
pub const SEVERAL_SOURCES: &str =
    "If several sources fail: the code that all failures share, otherwise 1.";

/// How to continue after code 75.
pub const AFTER_TEMPORARY_FAILURE: &str = "\
After code 75, run the command again; once the upload has begun, `upload
resume ID` continues it too, unless it is a stream: for that, run the whole
pipeline again. The hint on standard error names the command.";

/// The table for `--help`.
pub fn help_section() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for (code, meaning) in EXIT_CODES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {code:>13}  {meaning}");
    }
    format!("{text}{AFTER_TEMPORARY_FAILURE}\n{SEVERAL_SOURCES}")
}
