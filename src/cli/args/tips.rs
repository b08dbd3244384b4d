//! Help for a command line without a verb, or with the verb of another program.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The output of `upload` alone: at most 24 lines of 80 columns.
pub const OVERVIEW: &str = "\
Usage: upload VERB [OPTIONS]

  put          upload files
  resume       continue unfinished uploads
  list         list uploads
  status       show one upload
  abort        end unfinished uploads
  cat          write an uploaded object to standard output
  url          print a URL for reading an uploaded object
  rm           remove uploads with their objects
  prune        remove finished uploads from the journal
  config       print the settings
  serve        run a gateway
  completions, man, version

Example:
  upload put film.mov --backend embedded

For all options and exit codes: upload help
For one verb, with examples:    upload help VERB";

const PUT: &str = "to upload files, use `upload put FILE... s3://BUCKET/PREFIX/`, or \
    `upload put FILE... --backend BACKEND`";
const CAT: &str = "to read an uploaded object, use `upload cat ID >FILE`, or `upload url ID`";
const REMOVE: &str = "`upload abort ID` ends an unfinished upload. To delete the object of a finished \
    one, use `upload rm ID`";
const LOGIN: &str = "there is no login. Pass the token of a gateway with --token-file FILE or in \
    UPLOAD_TOKEN; a bucket (s3://) needs the usual AWS credentials";

/// Verbs of other programs, and what to do instead.
const TIPS: &[(&[&str], &str)] = &[
    (
        &["cp", "copy", "push", "add", "send", "upload", "store"],
        PUT,
    ),
    (
        &["mv", "move"],
        "to upload a file, use `upload put FILE`; delete the file yourself if the exit code is 0",
    ),
    (
        &["sync", "mirror", "backup"],
        "use `upload put -r DIR`: it skips files that are stored already. It deletes no objects",
    ),
    (&["get", "download", "pull", "fetch"], CAT),
    (&["remove", "del", "delete", "unlink"], REMOVE),
    (&["login", "logout", "auth", "configure", "init"], LOGIN),
    (
        &["ls", "dir", "jobs"],
        "to list unfinished uploads, use `upload list`; for all uploads, `upload list --all`",
    ),
    (
        &["show", "info", "stat"],
        "to see one upload, use `upload status ID`",
    ),
    (
        &["share", "link", "presign"],
        "to get a URL for reading, use `upload url ID`",
    ),
    (
        &["stop", "cancel", "kill"],
        "to end an unfinished upload, use `upload abort ID`; to pause one, press Ctrl-C",
    ),
    (
        &["continue", "retry", "restart"],
        "to continue, use `upload resume`",
    ),
    (
        &["clean", "gc", "forget"],
        "to shorten the journal, use `upload prune`",
    ),
    (
        &["server", "gateway", "daemon", "run"],
        "to run a gateway, use `upload serve`",
    ),
];

/// The message for a verb that only other programs have; `None` for another error.
pub fn for_error(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(verb)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let (_, tip) = TIPS
        .iter()
        .find(|(verbs, _)| verbs.contains(&verb.as_str()))?;
    Some(format!("error: there is no verb `{verb}`\nhint: {tip}"))
}

#[cfg(test)]
mod tests {
    use super::super::command::{CommandLine, command};
    use super::*;

    use clap::Parser as _;

    #[test]
    fn overview_names_every_verb_and_fits_a_small_screen() {
        for verb in command().get_subcommands() {
            assert!(OVERVIEW.contains(verb.get_name()), "{}", verb.get_name());
        }
        let lines: Vec<&str> = OVERVIEW.lines().collect();
        assert!(lines.len() <= 24, "{}", lines.len());
        assert!(lines.iter().all(|line| line.len() <= 80));
    }

    #[test]
    fn verbs_of_other_programs_get_a_tip() {
        for (verbs, tip) in TIPS {
            for verb in *verbs {
                let error = CommandLine::try_parse_from(["upload", verb, "a", "b"]).err();
                let message = for_error(&error.unwrap()).unwrap();
                assert!(message.contains(tip) && message.contains(verb), "{message}");
            }
        }
        let error = CommandLine::try_parse_from(["upload", "pu"]).err();
        assert_eq!(for_error(&error.unwrap()), None);
    }
}
