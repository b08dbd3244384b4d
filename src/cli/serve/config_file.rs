//! The configuration file of `upload serve`: TOML, a key for each flag, and tables `[profile.NAME]`
//! that override the top level.
//!
//! Reads the file and the files that it refers to. Not here: checking a value (`args/from_file`).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::{Table, Value};

use super::{ledger_location, variables};
use crate::cli::args::from_file::{self, FileFlag, Form, Key, LIMITS};
use crate::cli::args::{CommandLine, Verb};
use crate::cli::config_file::{self, Presence};
use crate::cli::permissions;
use crate::cli::settings::Environment;
use crate::cli::toml_keys::TableOf;
use upload_s3::SharedConfig;
use upload_types::error::{Error, Kind, Result};

/// The name of the file in the configuration directory.
const DEFAULT_NAME: &str = "serve.toml";
const MAX_VALUE_BYTES: u64 = 64 << 10;

/// Applies the configuration file and the variables `UPLOAD_SERVE_…` to `upload serve`: their
/// values replace flags that were not given. Variables precede the file. Other verbs are unchanged.
///
/// # Errors
/// [`Kind::Config`] for a named file that does not exist, a file that other users may write or that
/// is not TOML, an unknown key, and a wrong value.
pub fn apply(command_line: CommandLine) -> Result<CommandLine> {
    let Verb::Serve(_) = &command_line.verb else {
        return Ok(command_line);
    };
    let global = &command_line.global;
    let environment = Environment::of_process();
    let profile = environment.profile(global.profile.as_deref())?;
    let default = environment
        .directories
        .config
        .as_ref()
        .map(|directory| directory.join(DEFAULT_NAME));
    let file = match (&global.config, &default) {
        (Some(path), _) => Some((path, Presence::Required)),
        (None, Some(path)) => Some((path, Presence::Optional)),
        (None, None) => None,
    };
    let mut flags = match file {
        Some((path, presence)) => {
            let text = config_file::read_text(path, presence)?;
            parse(&text, path, profile.as_deref())?
        }
        None => Vec::new(),
    };
    let variables = variables::flags(std::env::vars_os())?;
    flags.retain(|flag| variables.iter().all(|other| other.key != flag.key));
    flags.extend(variables);
    if flags.is_empty() {
        return Ok(command_line);
    }
    // The AWS configuration may say that its endpoints do not count.
    let has_aws_endpoint = SharedConfig::of_process().s3_endpoint_variable().is_some();
    let is_set = |variable: &'static str| {
        environment.is_set(variable)
            && (has_aws_endpoint || !variable.starts_with("AWS_ENDPOINT_URL"))
    };
    // The error of clap is not shown: it may repeat a secret.
    from_file::parse_with_defaults(std::env::args_os(), &flags, is_set).map_err(|error| {
        let mut origins: Vec<&str> = flags.iter().map(|flag| flag.origin.as_str()).collect();
        origins.dedup();
        let what = format!("could not use the settings of {}", origins.join(", "));
        Error::new(Kind::Config, what).with_source(error.kind().to_string())
    })
}

/// Parses the text of the file at `path`.
pub(super) fn parse(text: &str, path: &Path, profile: Option<&str>) -> Result<Vec<FileFlag>> {
    let wrong = || {
        Error::new(
            Kind::Config,
            format!("could not understand {}", path.display()),
        )
    };
    // `message` leaves out the lines of the file that the parser would quote: they may hold a
    // secret.
    let mut table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong().with_source(error.message().to_owned()))?;
    let profiles = match table.remove("profile") {
        None => Table::new(),
        Some(Value::Table(profiles)) => profiles,
        Some(_) => return Err(wrong().with_source("`profile` is not a table of tables")),
    };
    let top_level = TableOf {
        path,
        text,
        profile: None,
    };
    let mut chosen = None;
    for (name, keys) in profiles {
        let Value::Table(keys) = keys else {
            return Err(wrong().with_source(format!("[profile.{name}] is not a table")));
        };
        // Profiles that are not chosen are checked too.
        let flags = flags_of(keys, top_level.profile(&name))?;
        if profile == Some(name.as_str()) {
            chosen = Some(flags);
        }
    }
    let mut flags = flags_of(table, top_level)?;
    match (profile, chosen) {
        (Some(name), None) => {
            return Err(config_file::no_profile(name, path));
        }
        (_, Some(chosen)) => {
            flags.retain(|flag| chosen.iter().all(|other| other.key != flag.key));
            flags.extend(chosen);
        }
        (None, None) => {}
    }
    Ok(flags)
}

/// The flags of one table.
fn flags_of(table: Table, place: TableOf<'_>) -> Result<Vec<FileFlag>> {
    let keys = from_file::keys();
    table
        .into_iter()
        .map(|(name, value)| flag_of(&name, value, &keys, place))
        .collect()
}

fn flag_of(name: &str, value: Value, keys: &[Key], place: TableOf<'_>) -> Result<FileFlag> {
    let key = keys.iter().find(|key| key.name == name).ok_or_else(|| {
        let known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let otherwise = "each flag of `upload serve --help` is a key, with _ for -";
        place.unknown_key(name, &known, otherwise)
    })?;
    let wrong = |reason: String| {
        let what = format!("could not use {name} of {}", place.place(name));
        Error::new(Kind::Config, what).with_source(reason)
    };
    let is_secret = name != LIMITS && is_in_own_file(&value);
    let flag = FileFlag {
        key: key.clone(),
        values: values(key, value, place.path).map_err(wrong)?,
        is_secret,
        origin: place.place(name),
        is_variable: false,
    };
    from_file::check(&flag).map_err(wrong)?;
    Ok(flag)
}

/// The values in the form that the flag accepts.
fn values(key: &Key, value: Value, path: &Path) -> Result<Vec<String>, String> {
    match (key.form, value) {
        (Form::Switch, Value::Boolean(on)) => Ok(vec![on.to_string()]),
        (Form::Switch, _) => Err("it must be true or false".to_owned()),
        (Form::Count, Value::Integer(count @ 0..=3)) => Ok(vec![count.to_string()]),
        (Form::Count, _) => Err("it must be a number from 0 to 3".to_owned()),
        (Form::Texts, Value::Array(values)) => values
            .into_iter()
            .map(|value| text(key, value, path))
            .collect(),
        (_, value) => Ok(vec![text(key, value, path)?]),
    }
}

/// Whether a value, or one of several, is in a file of its own.
fn is_in_own_file(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(is_in_own_file),
        value => value.is_table(),
    }
}

fn text(key: &Key, value: Value, path: &Path) -> Result<String, String> {
    // Relative paths start at the directory of the file.
    let resolve = |text: &str| {
        path.parent()
            .unwrap_or(Path::new(""))
            .join(text)
            .display()
            .to_string()
    };
    match value {
        Value::String(text) if key.form == Form::Path => Ok(resolve(&text)),
        Value::String(text) => Ok(match text.split_once(':') {
            Some((scheme @ ("sqlite" | "embedded"), path)) if !path.is_empty() => {
                format!("{scheme}:{}", resolve(path))
            }
            _ => text,
        }),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Table(table) if key.name == LIMITS => Ok(Value::Table(table).to_string()),
        Value::Table(mut table) => match (table.remove("file"), table.is_empty()) {
            // The gateway reads it again when it connects.
            (Some(Value::String(file)), true) if key.name == "ledger" => Ok(format!(
                "{}{}",
                ledger_location::FILE_PREFIX,
                resolve(&file)
            )),
            (Some(Value::String(file)), true) => read_value(Path::new(&resolve(&file))),
            _ => Err("a value in a file of its own is written { file = \"PATH\" }".to_owned()),
        },
        _ => Err("it must be a text, a number, or { file = \"PATH\" }".to_owned()),
    }
}

/// Reads a value, usually a secret, from a file of its own.
fn read_value(path: &Path) -> Result<String, String> {
    let unreadable = |reason: String| format!("could not read {}: {reason}", path.display());
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let metadata = file
        .metadata()
        .map_err(|error| unreadable(error.to_string()))?;
    permissions::check_private_writes(path, &metadata).map_err(unreadable)?;
    permissions::warn_if_others_can_read(path, "a secret");
    let mut text = String::new();
    file.take(MAX_VALUE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MAX_VALUE_BYTES {
        return Err(unreadable("it is larger than 64 KiB".to_owned()));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;
    use crate::cli::args::command;
    use crate::cli::args::serve::{ServeArgs, ServeOptions, ServeVerb, TokenVerb};

    fn wrong(text: &str) -> Error {
        parse(text, Path::new("/etc/upload/serve.toml"), None)
            .err()
            .unwrap_or_else(|| panic!("{text} is accepted"))
    }

    fn options(text: &str, profile: Option<&str>, arguments: &[&str]) -> ServeOptions {
        let flags = parse(text, Path::new("/etc/upload/serve.toml"), profile).unwrap();
        let line = ["upload", "serve"]
            .iter()
            .chain(arguments)
            .map(OsString::from);
        let Verb::Serve(serve) = from_file::parse_with_defaults(line, &flags, |_| false)
            .unwrap()
            .verb
        else {
            panic!("serve")
        };
        let ServeArgs { options, .. } = *serve;
        options
    }

    #[test]
    fn every_flag_is_a_key() {
        let command = command();
        let serve = command.find_subcommand("serve").unwrap();
        let keys = from_file::keys();
        for long in serve.get_arguments().filter_map(|arg| arg.get_long()) {
            let name = long.replace('-', "_");
            let is_key = keys.iter().any(|key| key.name == name);
            assert!(
                is_key || ["check", "help", "probe"].contains(&long),
                "--{long} is not a key"
            );
        }
        let default = |name: &str| {
            let arg = serve
                .get_arguments()
                .find(|arg| arg.get_long() == Some(&name.replace('_', "-")));
            let value = arg.and_then(|arg| arg.get_default_values().first().cloned());
            value.map(|value| value.to_string_lossy().into_owned())
        };
        for key in &keys {
            let line = match key.form {
                Form::Switch => "true".to_owned(),
                Form::Count => "2".to_owned(),
                _ => match default(&key.name) {
                    Some(value) => format!("{value:?}"),
                    // The value may be rejected, but not the key.
                    None => "\"x\"".to_owned(),
                },
            };
            if let Err(error) = parse(
                &format!("{} = {line}\n", key.name),
                Path::new("/f/serve.toml"),
                None,
            ) {
                assert!(
                    error
                        .to_string()
                        .contains(&format!("could not use {}", key.name)),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn flags_override_the_profile_which_overrides_the_top_level() {
        let text = "listen = \"127.0.0.1:1\"\nallow_type = [\"video/*\", \"image/*\"]\nmax_size = 1000\ns3_path_style = true\n\
                    [profile.big]\nmax_size = \"5GiB\"\n";
        let from_file = options(text, None, &[]);
        assert_eq!(
            (
                from_file.listen.port(),
                from_file.max_size,
                from_file.s3.s3_path_style
            ),
            (1, Some(1000), true)
        );
        assert_eq!(from_file.allow_types, ["video/*", "image/*"]);
        let from_flags = options(
            text,
            Some("big"),
            &["--listen", "127.0.0.1:2", "--allow-type", "text/plain"],
        );
        assert_eq!(
            (from_flags.listen.port(), from_flags.max_size),
            (2, Some(5 << 30))
        );
        assert_eq!(from_flags.allow_types, ["text/plain"]);
        assert_eq!(options("", None, &[]).listen.port(), 8080);
        assert_eq!(
            parse(text, Path::new("f"), Some("small"))
                .err()
                .unwrap()
                .kind(),
            Kind::Config
        );
    }

    #[test]
    fn verbs_below_serve_use_the_ledger_of_the_file() {
        let flags = parse(
            "ledger = \"sqlite:l.db\"\n",
            Path::new("/f/serve.toml"),
            None,
        )
        .unwrap();
        let line = ["upload", "serve", "token", "list"].map(OsString::from);
        let Verb::Serve(serve) = from_file::parse_with_defaults(line, &flags, |_| false)
            .unwrap()
            .verb
        else {
            panic!("serve")
        };
        let ServeArgs { verb, .. } = *serve;
        let ServeVerb::Token(TokenVerb::List { ledger }) = verb.unwrap() else {
            panic!("list")
        };
        assert_eq!(ledger.ledger.as_deref(), Some("sqlite:/f/l.db"));
    }

    #[test]
    fn error_about_unknown_key_suggests_a_similar_one() {
        for (text, nearest) in [
            ("lisen = 1", "`listen`"),
            ("url-ttl = \"1h\"", "`url_ttl`"),
            ("allow_types = []", "`allow_type`"),
            ("[profile.a]\npublic_uri = \"x\"", "`public_url`"),
            ("zzz = 1", "upload serve --help"),
        ] {
            let error = wrong(text);
            assert_eq!(error.kind(), Kind::Config);
            let line = format!("line {}", text.lines().count());
            assert!(error.to_string().contains(&line), "{error}");
            assert!(
                error.hint().unwrap().contains(nearest),
                "{text}: {:?}",
                error.hint()
            );
        }
    }

    #[test]
    fn error_about_wrong_value_names_key_and_file() {
        for text in [
            "listen = \"here\"",
            "max_size = \"much\"",
            "url_ttl = [\"1h\"]",
            "store_probe = \"maybe\"",
            "required_header = [\"none\"]",
            "s3_path_style = \"yes\"",
            "verbose = 4",
            "sse = { path = \"x\" }",
        ] {
            let error = wrong(text);
            let (key, _) = text.split_once(' ').unwrap();
            assert_eq!(error.kind(), Kind::Config);
            let message = error.to_string();
            assert!(
                message.contains(key) && message.contains("serve.toml"),
                "{message}"
            );
        }
        assert!(
            wrong("store_probe = \"maybe\"")
                .to_string()
                .contains("require, warn, off")
        );
    }

    #[test]
    fn value_in_a_file_of_its_own_is_not_repeated_in_errors() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("header"),
            "x-amz-acl: bucket-owner-full-control\n",
        )
        .unwrap();
        let path = dir.path().join("serve.toml");
        let flags = parse("required_header = [{ file = \"header\" }]\n", &path, None).unwrap();
        assert_eq!(
            flags.first().unwrap().values,
            ["x-amz-acl: bucket-owner-full-control"]
        );
        let error = parse("sse = { file = \"nowhere\" }\n", &path, None)
            .err()
            .unwrap();
        assert!(error.to_string().contains("nowhere"), "{error}");
        fs::write(dir.path().join("header"), "canary\n").unwrap();
        for key in [
            "max_size",
            "url_ttl",
            "listen",
            "store_probe",
            "required_header",
        ] {
            let error = parse(&format!("{key} = {{ file = \"header\" }}\n"), &path, None)
                .err()
                .unwrap();
            assert!(
                error.to_string().contains(key) && !error.to_string().contains("canary"),
                "{error}"
            );
        }
    }
}
