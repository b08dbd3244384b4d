//! The gateway's configuration file: TOML, a key for each flag of `upload serve`, and tables `[profile.NAME]` over them.
//!
//! Border: reads the file and the files it refers to; what a value means is checked by its flag (`args/from_file`), and flags
//! that are typed go over it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::{Table, Value};

use crate::cli::args::from_file::{self, Filed, Form, Key};
use crate::cli::args::{Args, Verb};
use crate::cli::config_file;
use crate::cli::permissions;
use crate::cli::settings::Machine;
use upload_types::error::{Error, Kind, Result};

/// Its name in the configuration directory.
const NAME: &str = "serve.toml";
/// The most bytes of a file that a value is in.
const VALUE_MAX: u64 = 64 << 10;
/// How alike two names are when one may be meant by the other.
const ALIKE: f64 = 0.75;

/// The same command line, with what the configuration file says in the place of what was not typed. Other verbs are as they
/// were.
///
/// # Errors
/// [`Kind::Config`] for a file that was named and is not there, that others may write, that is no TOML, has an unknown key or a value
/// that cannot be.
pub fn under(args: Args) -> Result<Args> {
    let Verb::Serve(_) = &args.verb else {
        return Ok(args);
    };
    let global = &args.global;
    let machine = Machine::here();
    let default = machine
        .directories
        .as_ref()
        .map(|found| found.config.join(NAME));
    let mut args = match global.config.as_deref().or(default.as_deref()) {
        Some(path) => {
            let text = config_file::text(path, global.config.is_some())?;
            let filed = parse(&text, path, global.profile.as_deref())?;
            let line = std::env::args_os();
            from_file::over(line, &filed).map_err(|_| {
                Error::new(Kind::Config, format!("could not use {}", path.display()))
            })?
        }
        None => args,
    };
    // What is left of them is the client's.
    (args.global.config, args.global.profile) = (None, None);
    Ok(args)
}

/// Understands the text of the file at `path`.
///
/// # Errors
/// As [`under`].
fn parse(text: &str, path: &Path, profile: Option<&str>) -> Result<Vec<Filed>> {
    let place = path.display();
    let wrong = || Error::new(Kind::Config, format!("could not understand {place}"));
    // The parser's own text quotes lines of the file, which may hold anything.
    let mut table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| wrong().with_source(error.message().to_owned()))?;
    let profiles = match table.remove("profile") {
        None => Table::new(),
        Some(Value::Table(profiles)) => profiles,
        Some(_) => return Err(wrong().with_source("`profile` is no table of tables")),
    };
    let mut chosen = None;
    for (name, keys) in profiles {
        let Value::Table(keys) = keys else {
            return Err(wrong().with_source(format!("[profile.{name}] is no table")));
        };
        let keys = read(keys, path)?;
        if profile == Some(name.as_str()) {
            chosen = Some(keys);
        }
    }
    let mut filed = read(table, path)?;
    match (profile, chosen) {
        (Some(name), None) => {
            return Err(Error::new(
                Kind::Config,
                format!("there is no [profile.{name}] in {place}"),
            ));
        }
        (_, Some(chosen)) => {
            filed.retain(|below| chosen.iter().all(|above| above.key != below.key));
            filed.extend(chosen);
        }
        (None, None) => {}
    }
    Ok(filed)
}

fn read(table: Table, path: &Path) -> Result<Vec<Filed>> {
    let known = from_file::keys();
    let one = |(name, value): (String, Value)| {
        let key = known
            .iter()
            .find(|key| key.name == name)
            .ok_or_else(|| unknown(&name, &known, path))?;
        let wrong = |why: String| {
            Error::new(
                Kind::Config,
                format!("could not use {name} of {}", path.display()),
            )
            .with_source(why)
        };
        let secret = is_kept_apart(&value);
        let filed = Filed {
            key: key.clone(),
            texts: texts(key, value, path).map_err(wrong)?,
            secret,
        };
        from_file::check(&filed).map_err(wrong)?;
        Ok(filed)
    };
    table.into_iter().map(one).collect()
}

fn unknown(name: &str, known: &[Key], path: &Path) -> Error {
    let alike = known
        .iter()
        .map(|key| (strsim::jaro_winkler(name, &key.name), &key.name));
    let nearest = alike
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(alike, _)| *alike >= ALIKE);
    let error = Error::new(
        Kind::Config,
        format!("there is no key `{name}` in a gateway's configuration"),
    )
    .with_source(format!("it stands in {}", path.display()));
    match nearest {
        Some((_, meant)) => error.with_hint(format!("the nearest there is: `{meant}`")),
        None => error.with_hint("the keys are the flags of `upload serve --help`, with _ for -"),
    }
}

/// The texts its flag would take.
fn texts(key: &Key, value: Value, path: &Path) -> Result<Vec<String>, String> {
    match (key.form, value) {
        (Form::Switch, Value::Boolean(on)) => Ok(vec![on.to_string()]),
        (Form::Switch, _) => Err("it is true or false".to_owned()),
        (Form::Count, Value::Integer(count @ 0..=3)) => Ok(vec![count.to_string()]),
        (Form::Count, _) => Err("it is a number from 0 to 3".to_owned()),
        (Form::Texts, Value::Array(values)) => values
            .into_iter()
            .map(|value| text(key, value, path))
            .collect(),
        (_, value) => Ok(vec![text(key, value, path)?]),
    }
}

/// Whether a value, or one of several, is in a file of its own.
fn is_kept_apart(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(is_kept_apart),
        value => value.is_table(),
    }
}

fn text(key: &Key, value: Value, path: &Path) -> Result<String, String> {
    let beside = |text: &str| {
        path.parent()
            .unwrap_or(Path::new(""))
            .join(text)
            .display()
            .to_string()
    };
    match value {
        Value::String(text) if key.form == Form::Path => Ok(beside(&text)),
        // A file or a directory behind a word.
        Value::String(text) => Ok(match text.split_once(':') {
            Some((word @ ("sqlite" | "embedded"), place)) if !place.is_empty() => {
                format!("{word}:{}", beside(place))
            }
            _ => text,
        }),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Table(mut table) => match (table.remove("file"), table.is_empty()) {
            (Some(Value::String(file)), true) => within(Path::new(&beside(&file))),
            _ => Err("a value in a file of its own is written { file = \"PATH\" }".to_owned()),
        },
        _ => Err("it is a text, a number, or { file = \"PATH\" }".to_owned()),
    }
}

/// A value that is kept in a file of its own, as secrets are.
fn within(path: &Path) -> Result<String, String> {
    let unread = |why: String| format!("could not read {}: {why}", path.display());
    let file = File::open(path).map_err(|error| unread(error.to_string()))?;
    let found = file.metadata().map_err(|error| unread(error.to_string()))?;
    permissions::check(path, &found).map_err(unread)?;
    let mut text = String::new();
    file.take(VALUE_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| unread(error.to_string()))?;
    if text.len() as u64 > VALUE_MAX {
        return Err(unread("it is larger than 64 KiB".to_owned()));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;
    use crate::cli::args::command;
    use crate::cli::args::serve::{Serve, ServeOptions};

    fn wrong(text: &str) -> Error {
        parse(text, Path::new("/etc/upload/serve.toml"), None)
            .err()
            .unwrap_or_else(|| panic!("{text} is taken"))
    }

    fn options(text: &str, profile: Option<&str>, line: &[&str]) -> ServeOptions {
        let filed = parse(text, Path::new("/etc/upload/serve.toml"), profile).unwrap();
        let line = ["upload", "serve"].iter().chain(line).map(OsString::from);
        let Verb::Serve(serve) = from_file::over(line, &filed).unwrap().verb else {
            panic!("serve")
        };
        let Serve { options, .. } = *serve;
        options
    }

    /// Whatever is added to `upload serve`: it is a key, and a value of its kind is taken.
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
                "--{long} is no key"
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
                    // It is found by its name and refused, if at all, for its value.
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
    fn flags_go_over_the_file_and_the_profile_over_the_top() {
        let text = "listen = \"127.0.0.1:1\"\nallow_type = [\"video/*\", \"image/*\"]\nmax_size = 1000\ns3_path_style = true\n\
                    [profile.big]\nmax_size = \"5GiB\"\n";
        let of_file = options(text, None, &[]);
        assert_eq!(
            (
                of_file.listen.port(),
                of_file.max_size,
                of_file.s3.s3_path_style
            ),
            (1, Some(1000), true)
        );
        assert_eq!(of_file.allow_types, ["video/*", "image/*"]);
        let typed = options(
            text,
            Some("big"),
            &["--listen", "127.0.0.1:2", "--allow-type", "text/plain"],
        );
        assert_eq!((typed.listen.port(), typed.max_size), (2, Some(5 << 30)));
        assert_eq!(typed.allow_types, ["text/plain"]);
        // What nobody says is as it was.
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
    fn the_verbs_below_know_the_ledger_of_the_file() {
        let filed = parse(
            "ledger = \"sqlite:l.db\"\n",
            Path::new("/f/serve.toml"),
            None,
        )
        .unwrap();
        let line = ["upload", "serve", "token", "list"].map(OsString::from);
        let Verb::Serve(serve) = from_file::over(line, &filed).unwrap().verb else {
            panic!("serve")
        };
        let Serve { verb, .. } = *serve;
        let crate::cli::args::serve::ServeVerb::Token(crate::cli::args::serve::TokenVerb::List {
            ledger,
        }) = verb.unwrap()
        else {
            panic!("list")
        };
        assert_eq!(ledger.ledger.as_deref(), Some("sqlite:/f/l.db"));
    }

    #[test]
    fn an_unknown_key_is_told_with_the_nearest() {
        for (text, nearest) in [
            ("lisen = 1", "`listen`"),
            ("url-ttl = \"1h\"", "`url_ttl`"),
            ("allow_types = []", "`allow_type`"),
            ("[profile.a]\npublic_uri = \"x\"", "`public_url`"),
            ("zzz = 1", "upload serve --help"),
        ] {
            let error = wrong(text);
            assert_eq!(error.kind(), Kind::Config);
            assert!(
                error.hint().unwrap().contains(nearest),
                "{text}: {:?}",
                error.hint()
            );
        }
    }

    #[test]
    fn a_value_that_cannot_be_is_told_by_its_key() {
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
            let story = error.to_string();
            assert!(
                story.contains(key) && story.contains("serve.toml"),
                "{story}"
            );
        }
        assert!(
            wrong("store_probe = \"maybe\"")
                .to_string()
                .contains("require, warn, off")
        );
    }

    #[test]
    fn a_secret_stays_in_a_file_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        fs::write(
            place.path().join("header"),
            "x-amz-acl: bucket-owner-full-control\n",
        )
        .unwrap();
        let path = place.path().join("serve.toml");
        let filed = parse("required_header = [{ file = \"header\" }]\n", &path, None).unwrap();
        assert_eq!(
            filed.first().unwrap().texts,
            ["x-amz-acl: bucket-owner-full-control"]
        );
        let error = parse("sse = { file = \"nowhere\" }\n", &path, None)
            .err()
            .unwrap();
        assert!(error.to_string().contains("nowhere"), "{error}");
        fs::write(place.path().join("header"), "canary\n").unwrap();
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
