//! Flags of `upload serve` that come from a file: every long flag is a key, by the same name with `_` for `-`.
//!
//! Border: the flags' own definition says what there is and what a value may be, so no flag can be forgotten here; the file
//! itself is read by `cli/serve/config_file`.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, FromArgMatches as _, ValueHint};

use super::{Args, command};

/// The flag of all verbs that a file may set too.
const VERBOSE: &str = "verbose";
/// Flags that are said on a command line or not at all.
const NOT_KEYS: [&str; 3] = ["check", "help", "probe"];

/// A key that the file may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    pub form: Form,
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Path,
    Texts,
    Switch,
    Count,
}

/// A key that the file has, with its texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Filed {
    pub key: Key,
    /// One, but for [`Form::Texts`].
    pub texts: Vec<String>,
    /// Not to be told in an error.
    pub secret: bool,
}

/// Every key, in the order of the help.
pub fn keys() -> Vec<Key> {
    let command = command();
    let serve = command
        .find_subcommand("serve")
        .into_iter()
        .flat_map(Command::get_arguments);
    let shared = command
        .get_arguments()
        .filter(|arg| arg.get_id() == VERBOSE);
    serve.chain(shared).filter_map(key).collect()
}

fn key(arg: &Arg) -> Option<Key> {
    let name = arg
        .get_long()
        .filter(|long| !NOT_KEYS.contains(long))?
        .replace('-', "_");
    let form = match arg.get_action() {
        ArgAction::SetTrue => Form::Switch,
        ArgAction::Count => Form::Count,
        ArgAction::Append => Form::Texts,
        _ if matches!(
            arg.get_value_hint(),
            ValueHint::FilePath | ValueHint::DirPath
        ) =>
        {
            Form::Path
        }
        _ => Form::Text,
    };
    Some(Key { name, form })
}

/// Checks a value as its flag would, were it typed.
///
/// # Errors
/// Why it cannot be; in words that do not repeat it where it is secret.
pub fn check(filed: &Filed) -> Result<(), String> {
    let flag = filed.key.name.replace('_', "-");
    let (Form::Text | Form::Path | Form::Texts) = filed.key.form else {
        return Ok(());
    };
    let line = filed.texts.iter().map(|text| format!("--{flag}={text}"));
    let line = ["upload".to_owned(), "serve".to_owned()]
        .into_iter()
        .chain(line);
    let Err(error) = command().try_get_matches_from(line) else {
        return Ok(());
    };
    if let (ErrorKind::InvalidValue, Some(ContextValue::Strings(known))) =
        (error.kind(), error.get(ContextKind::ValidValue))
    {
        return Err(format!("it is one of {}", known.join(", ")));
    }
    let source = std::error::Error::source(&error)
        .filter(|_| !filed.secret)
        .map(ToString::to_string);
    Err(source.unwrap_or_else(|| "it cannot be understood".to_owned()))
}

/// The command line `line`, with what is filed in the place of what was not typed. Every value passed [`check`].
///
/// # Errors
/// What clap says.
pub fn over(
    line: impl IntoIterator<Item = OsString>,
    filed: &[Filed],
) -> Result<Args, clap::Error> {
    let matches = filled(command(), filed).try_get_matches_from(line)?;
    Args::from_arg_matches(&matches)
}

/// With defaults of the file's, in `upload serve` and in the verbs below it that know the same flags.
fn filled(mut command: Command, filed: &[Filed]) -> Command {
    let ids: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_id().clone(), key(arg)?)))
        .collect();
    for (id, key) in ids {
        let Some(filed) = filed.iter().find(|filed| filed.key == key) else {
            continue;
        };
        // As long as the process, like every other default.
        let texts = filed.texts.iter().map(|text| &*text.clone().leak());
        command = command.mut_arg(id, |arg| arg.default_values(texts));
    }
    let below: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    below.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| filled(verb, filed))
    })
}
