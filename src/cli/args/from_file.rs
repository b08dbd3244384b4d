//! Flags of `upload serve` from a file: each long flag is a key of the same name, with `_` for `-`.
//!
//! Keys and checks come from the definition of the flags, so that no flag can be forgotten. Not
//! here: reading the file (`cli/serve/config_file`).

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, FromArgMatches as _, ValueHint};

use super::command::{CommandLine, command};

/// The global flag that the file may set.
const VERBOSE: &str = "verbose";
/// Flags that are accepted on the command line only.
const NOT_KEYS: [&str; 3] = ["check", "help", "probe"];

/// A key that the file may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    pub form: Form,
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Path,
    Texts,
    Switch,
    Count,
}

/// A key of the file, with its values in the form that the flag accepts.
#[derive(Clone, PartialEq, Eq)]
pub struct FileFlag {
    pub key: Key,
    /// One, except for [`Form::Texts`].
    pub values: Vec<String>,
    /// Whether errors must not repeat the value.
    pub is_secret: bool,
}

/// Every key, in the order of the help.
pub fn keys() -> Vec<Key> {
    let command = command();
    let serve = command
        .find_subcommand("serve")
        .into_iter()
        .flat_map(Command::get_arguments);
    let global = command
        .get_arguments()
        .filter(|arg| arg.get_id() == VERBOSE);
    serve.chain(global).filter_map(key_of).collect()
}

fn key_of(arg: &Arg) -> Option<Key> {
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

/// Checks the values as clap checks those of the flag on a command line.
///
/// # Errors
/// The reason; it does not repeat a secret.
pub fn check(flag: &FileFlag) -> Result<(), String> {
    let (Form::Text | Form::Path | Form::Texts) = flag.key.form else {
        return Ok(());
    };
    let name = flag.key.name.replace('_', "-");
    let arguments = flag.values.iter().map(|value| format!("--{name}={value}"));
    let line = ["upload".to_owned(), "serve".to_owned()]
        .into_iter()
        .chain(arguments);
    let Err(error) = command().try_get_matches_from(line) else {
        return Ok(());
    };
    if let (ErrorKind::InvalidValue, Some(ContextValue::Strings(known))) =
        (error.kind(), error.get(ContextKind::ValidValue))
    {
        return Err(format!("it must be one of {}", known.join(", ")));
    }
    let reason = std::error::Error::source(&error)
        .filter(|_| !flag.is_secret)
        .map(ToString::to_string);
    Err(reason.unwrap_or_else(|| "it cannot be understood".to_owned()))
}

/// Parses a command line, with the flags of the file as defaults. Every flag passed [`check`].
///
/// # Errors
/// As clap reports them.
pub fn parse_with_defaults(
    line: impl IntoIterator<Item = OsString>,
    flags: &[FileFlag],
) -> Result<CommandLine, clap::Error> {
    let matches = with_defaults(command(), flags).try_get_matches_from(line)?;
    CommandLine::from_arg_matches(&matches)
}

/// Sets defaults in `upload serve`, and in the verbs below it that have the same flags.
fn with_defaults(mut command: Command, flags: &[FileFlag]) -> Command {
    let keys: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_id().clone(), key_of(arg)?)))
        .collect();
    for (id, key) in keys {
        let Some(flag) = flags.iter().find(|flag| flag.key == key) else {
            continue;
        };
        // Leaked once per process: clap's defaults are `'static`.
        let values = flag.values.iter().map(|value| &*value.clone().leak());
        command = command.mut_arg(id, |arg| arg.default_values(values));
    }
    let verbs: Vec<String> = command
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    verbs.into_iter().fold(command, |command, verb| {
        command.mut_subcommand(verb, |verb| with_defaults(verb, flags))
    })
}
