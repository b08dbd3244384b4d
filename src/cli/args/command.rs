//! The command line as a whole: global flags and a verb.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::exit_codes;
use super::global::GlobalArgs;
#[cfg(feature = "gateway")]
use super::serve::ServeArgs;
use super::tips;
use super::verbs::{
    AbortArgs, CatArgs, CompletionsArgs, ConfigArgs, ListArgs, ManArgs, PruneArgs, PutArgs,
    ResumeArgs, StatusArgs, UrlArgs,
};
use crate::report::{escape, stderr, stderr_columns, wrap};
use upload_types::error::Kind;

const VERSION_EXAMPLES: &str = "\
Examples:\n  Print the version, for a script:\n    upload version --json";

const REMOVE_EXAMPLES: &str = "\
Examples:
  Remove the object of a finished upload:
    upload rm ID
  Remove one that the journal does not know:
    upload rm ID --backend https://uploads.example.org";

/// Uploads files in parts, resumes interrupted uploads, and verifies what the store holds
#[derive(Parser)]
#[command(
    name = "upload",
    bin_name = "upload",
    version,
    after_help = exit_codes::help_section(),
    arg_required_else_help = true
)]
pub struct CommandLine {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand)]
pub enum Verb {
    /// Upload files, or continue unfinished uploads of the same files to the same backend
    Put(Box<PutArgs>),
    /// Continue unfinished uploads: the named ones, or all
    Resume(ResumeArgs),
    /// List the unfinished uploads in the journal
    List(ListArgs),
    /// Show one upload: state, size, stored parts, age, and location
    Status(StatusArgs),
    /// Abort uploads, and remove their parts from the store
    Abort(AbortArgs),
    /// Remove uploads with their objects, finished ones too
    ///
    /// The object of a finished upload is deleted in the store, and its bytes no longer count
    /// towards the quota. A gateway must permit this with --client-delete; embedded and a bucket
    /// always do, and a Companion cannot. An unfinished upload is aborted.
    #[command(mut_arg("uploads", describe_removed), after_help = REMOVE_EXAMPLES)]
    Rm(AbortArgs),
    /// Remove finished uploads from the journal
    ///
    /// Their objects stay in the store; without the journal, no verb finds them. The uploads of
    /// unfinished sets stay in the journal: `upload resume` needs them. The backend is not
    /// asked, except with --orphans: then the uploads are listed that it has in progress and that
    /// are not in the journal. Nothing is aborted; `upload abort ID` does that. If the backend does
    /// not respond, the exit code is 75; the journal is pruned in any case.
    Prune(PruneArgs),
    /// Write an uploaded object to standard output, and verify it
    ///
    /// The SHA-256 of each part is compared with that in the journal while the object is written.
    /// If they differ, the exit code is 65: the output must be discarded. The result is printed on
    /// standard error.
    Cat(CatArgs),
    /// Print a URL for reading an uploaded object
    ///
    /// The URL is a secret: it permits anyone to read the object until it expires. An object of the
    /// backend embedded has a URL only while `upload serve` runs on its ledger and its store;
    /// `upload cat` reads it at any time.
    Url(UrlArgs),
    /// Print the effective settings and their origins
    Config(ConfigArgs),
    /// Run a gateway, which signs uploads for clients without storage credentials
    #[cfg(feature = "gateway")]
    Serve(Box<ServeArgs>),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print a man page, or write all of them to a directory
    Man(ManArgs),
    /// Print the version
    #[command(after_help = VERSION_EXAMPLES)]
    Version,
}

fn describe_removed(arg: Arg) -> Arg {
    let help = "The uploads to remove, by upload id or by file";
    arg.help(help).long_help(help).value_name("ID|FILE")
}

/// The command line as clap sees it, with `place_notes` applied.
pub fn command() -> Command {
    place_all_notes(CommandLine::command())
}

impl CommandLine {
    /// Parses the command line of this process. For `--help`, `--version` and errors, prints the
    /// text and returns the exit code.
    ///
    /// # Errors
    /// The exit code.
    pub fn from_process() -> Result<Self, u8> {
        if std::env::args_os().len() <= 1 {
            stderr::write(format!("{}\n", tips::OVERVIEW).as_bytes());
            return Err(Kind::Usage.exit_code());
        }
        let parsed = command()
            .try_get_matches()
            .and_then(|matches| Self::from_arg_matches(&matches));
        parsed.map_err(|error| {
            let code = u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.exit_code());
            if let Some(text) = tips::for_error(&error) {
                stderr::write(format!("{text}\n").as_bytes());
                return code;
            }
            let text = error.render().to_string();
            // Help is fitted to the terminal by clap, errors are not.
            let columns = stderr_columns().filter(|_| error.use_stderr());
            let shown = text.lines().map(|line| {
                // An argument may be a hostile file name that a shell pattern matched.
                let line = escape(line);
                columns.map_or_else(|| line.clone(), |columns| wrap(&line, columns))
            });
            let shown: Vec<String> = shown.collect();
            let is_unchanged = shown.iter().map(String::as_str).eq(text.lines());
            // Colours are for terminals.
            if is_unchanged && (columns.is_some() || !error.use_stderr()) {
                // The stream may be closed.
                let _ = error.print();
            } else {
                stderr::write(format!("{}\n", shown.join("\n")).as_bytes());
            }
            code
        })
    }

    /// Whether the arguments of this process, which may be wrong, ask for the events of an upload.
    #[must_use]
    pub fn process_wants_events() -> bool {
        wants_events(std::env::args_os().skip(1))
    }

    #[cfg(test)]
    pub(crate) fn of(arguments: &[&str]) -> Self {
        Self::try_parse_from([&["upload"], arguments].concat())
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Whether wrong arguments have `--json` and the verb `put` or `resume`.
fn wants_events(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let command = CommandLine::command();
    let options: Vec<OsString> = arguments
        .into_iter()
        .take_while(|argument| argument != "--")
        .collect();
    let verb = options.iter().find_map(|argument| {
        let is_verb = |verb: &&Command| argument == verb.get_name();
        command.get_subcommands().find(is_verb)
    });
    options.iter().any(|argument| argument == "--json")
        && verb.is_some_and(|verb| matches!(verb.get_name(), "put" | "resume"))
}

/// Applies [`place_notes`] to a command and all verbs below it.
fn place_all_notes(command: Command) -> Command {
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    verbs
        .into_iter()
        .fold(command.mut_args(place_notes), |command, verb| {
            command.mut_subcommand(verb, place_all_notes)
        })
}

/// Puts the notes `[env: …]` and `[default: …]` at the end of a summary where clap puts its own: in
/// the long help on lines of their own, below the text.
fn place_notes(arg: Arg) -> Arg {
    let Some(summary) = arg.get_help().map(StyledStr::to_string) else {
        return arg;
    };
    let Some(start) = [" [env: ", " [default: "]
        .iter()
        .filter_map(|note| summary.find(note))
        .min()
    else {
        return arg;
    };
    let (text, notes) = summary.split_at(start);
    let text = match arg.get_long_help().map(StyledStr::to_string) {
        Some(long) => long.replacen(notes, "", 1),
        None => text.to_owned(),
    };
    let notes = notes.trim_start().replace("] [", "]\n[");
    arg.long_help(format!("{text}\n\n{notes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_code(line: &[&str]) -> i32 {
        CommandLine::try_parse_from(line).err().unwrap().exit_code()
    }

    #[test]
    fn definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn wrong_command_line_exits_with_2() {
        for arguments in [
            &[][..],
            &["put"],
            &["put", "f", "--part-size", "1MiB"],
            &["put", "f", "--jobs", "0"],
            &["put", "f", "--limit-rate", "0"],
            &["put", "f", "--give-up-after", "soon"],
            &["put", "f", "--token", "secret"],
        ] {
            assert_eq!(exit_code(&[&["upload"], arguments].concat()), 2);
        }
    }

    #[test]
    fn wrong_arguments_want_events_only_of_an_upload() {
        let wants = |line: &str| wants_events(line.split(' ').map(OsString::from));
        assert!(wants("put f --json --nonsense"));
        assert!(wants("--json resume --jobs 0"));
        assert!(!wants("put f --nonsense"));
        assert!(!wants("put -- --json"));
        assert!(!wants("list --json --nonsense"));
        assert!(!wants("--json"));
    }

    #[test]
    fn global_flags_are_accepted_before_and_after_the_verb() {
        for line in [
            ["upload", "--json", "put", "f"],
            ["upload", "put", "f", "--json"],
        ] {
            assert!(CommandLine::try_parse_from(line).ok().unwrap().global.json);
        }
    }

    #[test]
    fn force_has_an_earlier_name() {
        let parsed = CommandLine::try_parse_from(["upload", "put", "f", "--again"]);
        let Verb::Put(put) = parsed.ok().unwrap().verb else {
            panic!("not a put")
        };
        assert!(put.force);
    }

    #[test]
    fn help_lists_every_exit_code() {
        let help = command().render_help().to_string();
        for (code, meaning) in exit_codes::EXIT_CODES {
            assert!(help.contains(&format!("  {code}  {meaning}")), "{code}");
        }
    }

    /// Each default and each variable is on a line of its own in the long help, as clap writes
    /// those that it knows.
    #[test]
    fn long_help_has_each_note_on_a_line_of_its_own() {
        fn check(command: &mut Command) {
            for line in command.render_long_help().to_string().lines() {
                let is_note = line.contains("[default: ") || line.contains("[env: ");
                assert!(!is_note || line.trim_start().starts_with('['), "{line}");
            }
            command.get_subcommands_mut().for_each(check);
        }
        check(&mut command().term_width(0));
    }
}
