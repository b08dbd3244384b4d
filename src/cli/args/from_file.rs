//! Flags of `upload serve` from a file or from the environment: each long flag is a key of the same
//! name, with `_` for `-`, and a variable `UPLOAD_SERVE_…` in capitals.
//!
//! Keys and checks come from the definition of the flags, so that no flag can be forgotten. Not
//! here: reading the file (`cli/serve/config_file`).

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches as _, ValueHint};

use super::command::{CommandLine, Verb, command};
use super::serve::ValueOrigin;
use upload_net::PROXY_VARIABLES;

/// The global flag that the file may set.
const VERBOSE: &str = "verbose";
/// Flags that are accepted on the command line only.
const NOT_KEYS: [&str; 3] = ["check", "help", "probe"];

/// The key whose values are tables.
pub const LIMITS: &str = "limits";

/// A variable with the value of a key has this prefix.
pub const VARIABLE_PREFIX: &str = "UPLOAD_SERVE_";

/// The variables that override a key of the file, by the name of the key. A test compares them
/// with the notes `[env: …]` of the help.
const VARIABLES: [(&str, &[&str]); 5] = [
    ("ledger", &["UPLOAD_LEDGER"]),
    ("ca_cert", &["AWS_CA_BUNDLE"]),
    ("proxy", &PROXY_VARIABLES),
    ("s3_endpoint", &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
    ("s3_region", &["AWS_REGION", "AWS_DEFAULT_REGION"]),
];

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
    /// The file or the variable with the value.
    pub origin: String,
    pub is_variable: bool,
}

impl Key {
    /// The variable with the value of this key.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.to_ascii_uppercase())
    }
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

/// Checks the values as clap checks those of the flag on a command line. A flag that needs another
/// flag, or excludes one, is not wrong by itself: the whole configuration is checked later.
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
    if let ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict = error.kind() {
        return Ok(());
    }
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
/// Leaves out each flag for which a variable is set: the settings read that variable.
///
/// # Errors
/// As clap reports them.
pub fn parse_with_defaults(
    line: impl IntoIterator<Item = OsString>,
    flags: &[FileFlag],
    is_set: impl Fn(&'static str) -> bool,
) -> Result<CommandLine, clap::Error> {
    let is_overridden = |flag: &FileFlag| {
        if flag.is_variable {
            return false;
        }
        let mut variables = variables(&flag.key.name).iter();
        variables.any(|variable| is_set(variable))
    };
    let flags: Vec<FileFlag> = flags
        .iter()
        .filter(|flag| !is_overridden(flag))
        .cloned()
        .collect();
    let command = with_defaults(command(), &flags);
    let matches = command.clone().try_get_matches_from(line)?;
    let mut command_line = CommandLine::from_arg_matches(&matches)?;
    if let Verb::Serve(serve) = &mut command_line.verb {
        let origins = origins(&command, &matches, &flags);
        serve.used_options_mut().origins = origins;
    }
    Ok(command_line)
}

/// The origins of the values that are not on the command line.
fn origins(command: &Command, matches: &ArgMatches, flags: &[FileFlag]) -> Vec<ValueOrigin> {
    let (mut command, mut matches) = (command, matches);
    while let Some((name, below)) = matches.subcommand() {
        let Some(verb) = command.find_subcommand(name) else {
            break;
        };
        (command, matches) = (verb, below);
    }
    let origin = |arg: &Arg| {
        let key = key_of(arg)?;
        let flag = flags.iter().find(|flag| flag.key == key)?;
        let source = matches.value_source(arg.get_id().as_str());
        (source == Some(ValueSource::DefaultValue)).then(|| ValueOrigin {
            flag: format!("--{}", key.name.replace('_', "-")),
            origin: flag.origin.clone(),
        })
    };
    command.get_arguments().filter_map(origin).collect()
}

/// The variables that override a key.
fn variables(name: &str) -> &'static [&'static str] {
    let found = VARIABLES.iter().find(|(key, _)| *key == name);
    found.map_or(&[], |(_, variables)| variables)
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
        // Leaked at the start and at each reload: clap's defaults are `'static`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_with_the_flags_of_a_gateway_get_the_origins() {
        let key = keys().into_iter().find(|key| key.name == "s3_region");
        let flag = FileFlag {
            key: key.unwrap(),
            values: vec!["eu-west-1".to_owned()],
            is_secret: false,
            origin: "serve.toml".to_owned(),
            is_variable: false,
        };
        for line in ["upload serve", "upload serve sweep", "upload serve rm ID"] {
            let words = line.split(' ').map(OsString::from);
            let parsed = parse_with_defaults(words, std::slice::from_ref(&flag), |_| false);
            let Verb::Serve(serve) = parsed.unwrap().verb else {
                panic!("serve")
            };
            assert_eq!(serve.used_options().origins.len(), 1, "{line}");
        }
    }

    /// The variables of the notes `[env: …]` in the help of `upload serve`, by key.
    #[test]
    fn every_variable_of_the_help_overrides_its_key() {
        let command = command();
        let serve = command.find_subcommand("serve").unwrap();
        let mut noted = 0;
        for arg in serve.get_arguments() {
            let help = arg.get_long_help().or(arg.get_help());
            let help = help.map(ToString::to_string).unwrap_or_default();
            let Some((_, note)) = help.split_once("[env: ") else {
                continue;
            };
            let (note, _) = note.split_once(']').unwrap();
            let key = key_of(arg).unwrap();
            for variable in note.split(',').map(str::trim) {
                let variables = variables(&key.name);
                assert!(
                    variables.contains(&variable) || variable == "NO_PROXY",
                    "{variable} does not override the key {}",
                    key.name
                );
                noted += 1;
            }
        }
        assert!(noted >= VARIABLES.len(), "{noted}");
    }
}
