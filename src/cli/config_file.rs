//! The client's configuration file: TOML, keys named like the flags, and tables `[profile.NAME]`
//! that override the top level.
//!
//! Reads the file and checks its shape. Not here: the meaning of a value (`parse`), and the
//! precedence of the sources of a setting (`settings`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::permissions;
use super::toml_keys::TableOf;
use upload_types::error::{Error, Kind, Result};

const MAX_FILE_BYTES: u64 = 1 << 20;

/// The keys of the top level and of each profile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    pub backend: Option<String>,
    pub token_file: Option<PathBuf>,
    pub part_size: Option<Scalar>,
    pub key_style: Option<String>,
    pub if_exists: Option<String>,
    pub jobs: Option<Scalar>,
    pub limit_rate: Option<Scalar>,
    pub give_up_after: Option<String>,
    pub store_hosts: Option<Vec<String>>,
    pub headers: Option<Vec<String>>,
    pub ca_cert: Option<PathBuf>,
    pub proxy: Option<String>,
    pub stall_after: Option<String>,
    pub allow_insecure_http: Option<bool>,
    pub journal: Option<PathBuf>,
    pub color: Option<String>,
    pub progress: Option<String>,
    pub s3_endpoint: Option<String>,
    pub s3_region: Option<String>,
    pub s3_path_style: Option<bool>,
}

/// The names of [`Keys`].
const KEYS: [&str; 20] = [
    "backend",
    "token_file",
    "part_size",
    "key_style",
    "if_exists",
    "jobs",
    "limit_rate",
    "give_up_after",
    "store_hosts",
    "headers",
    "ca_cert",
    "proxy",
    "stall_after",
    "allow_insecure_http",
    "journal",
    "color",
    "progress",
    "s3_endpoint",
    "s3_region",
    "s3_path_style",
];

/// A number with or without quotes.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "it must be a number or a text")]
pub enum Scalar {
    Number(i64),
    Text(String),
}

impl Scalar {
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// A configuration file with at most one chosen profile.
#[derive(Debug, Default)]
pub struct ConfigFile {
    path: PathBuf,
    /// The chosen profile: its name and keys.
    profile: Option<(String, Keys)>,
    top: Keys,
}

/// Whether a configuration file was named by a flag, and so must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Required,
    Optional,
}

impl ConfigFile {
    /// Reads the file at `path`; a missing optional file is empty.
    ///
    /// # Errors
    /// [`Kind::Config`] for a file that cannot be read, that other users may write, that is not
    /// TOML, has an unknown key, or lacks the profile.
    pub fn read(path: &Path, presence: Presence, profile: Option<&str>) -> Result<Self> {
        let text = read_text(path, presence)?;
        Self::parse(&text, path, profile)
    }

    /// Parses the text of the file at `path`.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn parse(text: &str, path: &Path, profile: Option<&str>) -> Result<Self> {
        let wrong = |section: &str| {
            Error::new(
                Kind::Config,
                format!("could not understand {section}{}", path.display()),
            )
        };
        // `message` leaves out the lines of the file that the parser would quote: they may hold a
        // secret.
        let mut table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong("").with_source(error.message()))?;
        let profiles = match table.remove("profile") {
            None => Table::new(),
            Some(Value::Table(profiles)) => profiles,
            Some(_) => {
                return Err(wrong("[profile] of ").with_source("it is not a table of tables"));
            }
        };
        let top_level = TableOf {
            path,
            text,
            profile: None,
        };
        let profiles = profiles
            .into_iter()
            .map(|(name, value)| {
                let Value::Table(table) = value else {
                    let section = format!("[profile.{name}] of ");
                    return Err(wrong(&section).with_source("it is not a table"));
                };
                let keys = keys(table, top_level.profile(&name))?;
                Ok((name, keys))
            })
            .collect::<Result<BTreeMap<String, Keys>>>()?;
        let top = keys(table, top_level)?;
        let profile = match profile {
            None => None,
            Some(name) => match profiles.into_iter().find(|(known, _)| known == name) {
                Some(found) => Some(found),
                None => return Err(no_profile(name, path)),
            },
        };
        Ok(Self {
            path: path.to_owned(),
            profile,
            top,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a key, and the profile that it comes from, if any.
    pub fn get<T>(&self, key: impl Fn(&Keys) -> Option<T>) -> Option<(T, Option<String>)> {
        let profile = self.profile.as_ref();
        profile
            .and_then(|(name, keys)| key(keys).map(|value| (value, Some(name.clone()))))
            .or_else(|| key(&self.top).map(|value| (value, None)))
    }

    /// Resolves a path in the file: a relative path starts at the directory of the file.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.path
            .parent()
            .map_or_else(|| path.to_owned(), |directory| directory.join(path))
    }
}

/// The keys of one table.
fn keys(table: Table, place: TableOf<'_>) -> Result<Keys> {
    for (key, value) in &table {
        if !KEYS.contains(&key.as_str()) {
            let known = format!("the keys are: {}", KEYS.join(", "));
            return Err(place.unknown_key(key, &KEYS, &known));
        }
        let alone = Table::from_iter([(key.clone(), value.clone())]);
        if let Err(error) = Value::Table(alone).try_into::<Keys>() {
            let what = format!("could not use `{key}` of {}", place.place(key));
            return Err(Error::new(Kind::Config, what).with_source(error.message()));
        }
    }
    Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| {
            let what = format!("could not understand {}", place.path.display());
            Error::new(Kind::Config, what).with_source(error.message())
        })
}

/// The error for a profile that the file at `path` does not have.
pub fn no_profile(name: &str, path: &Path) -> Error {
    let what = format!("there is no [profile.{name}] in {}", path.display());
    Error::new(Kind::Config, what).with_hint(format!(
        "add the table [profile.{name}] to that file, or name another profile with --profile NAME; \
         unset UPLOAD_PROFILE to use none"
    ))
}

/// The text of the configuration file at `path`; empty if an optional file is missing.
///
/// # Errors
/// [`Kind::Config`] for a file that cannot be read or that other users may write.
pub fn read_text(path: &Path, presence: Presence) -> Result<String> {
    let unreadable = || {
        Error::new(
            Kind::Config,
            format!("could not read the configuration file {}", path.display()),
        )
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_FILE_BYTES => {
            Err(unreadable().with_source("it is larger than 1 MiB"))
        }
        Ok(metadata) => {
            permissions::check_private_writes(path, &metadata)
                .map_err(|reason| unreadable().with_source(reason))?;
            fs::read_to_string(path).map_err(|error| unreadable().with_source(error))
        }
        // Without a home directory, `HOME` may name a file, such as `/dev/null`.
        Err(error)
            if presence == Presence::Optional
                && matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
        {
            Ok(String::new())
        }
        Err(error) => Err(unreadable().with_source(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, profile: Option<&str>) -> Result<ConfigFile> {
        ConfigFile::parse(text, Path::new("/etc/up/config.toml"), profile)
    }

    #[test]
    fn profile_overrides_top_level() {
        let text = "backend = \"embedded\"\njobs = 4\n[profile.ci]\njobs = \"auto\"\n";
        let file = parse(text, Some("ci")).unwrap();
        assert_eq!(
            file.get(|keys| keys.backend.clone()),
            Some(("embedded".into(), None))
        );
        let (jobs, profile) = file.get(|keys| keys.jobs.clone()).unwrap();
        assert_eq!(
            (jobs.text().as_str(), profile.as_deref()),
            ("auto", Some("ci"))
        );
        let (jobs, profile) = parse(text, None)
            .unwrap()
            .get(|keys| keys.jobs.clone())
            .unwrap();
        assert_eq!((jobs.text().as_str(), profile), ("4", None));
    }

    #[test]
    fn error_names_unknown_key_with_file_and_line_and_every_key() {
        for (text, key, line) in [
            ("jobs = 1\npartsize = 1\n", "`partsize`", "line 2"),
            ("[profile.ci]\n\npartsize = 1\n", "`partsize`", "line 3"),
            ("[other]\npartsize = 1\n", "`other`", "line 1"),
        ] {
            let error = parse(text, None).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            let message = error.to_string();
            for part in ["/etc/up/config.toml", key, line] {
                assert!(message.contains(part), "{message}");
            }
            let hint = error.hint().unwrap();
            assert!(KEYS.iter().all(|key| hint.contains(key)), "{hint}");
            assert_eq!(hint.contains("`part_size`"), key == "`partsize`", "{hint}");
        }
    }

    /// The library knows the keys of the structure.
    #[test]
    fn list_of_keys_is_complete() {
        let wrong = Value::Table(Table::from_iter([("x".to_owned(), Value::Boolean(true))]));
        let error = wrong.try_into::<Keys>().unwrap_err().to_string();
        let (_, known) = error.split_once("expected one of").unwrap();
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert_eq!(known, KEYS);
    }

    #[test]
    fn error_about_wrong_value_does_not_name_types_of_the_program() {
        let error = parse("jobs = true\n", None).unwrap_err();
        assert!(!error.to_string().contains("Scalar"), "{error}");
    }

    #[test]
    fn error_about_wrong_value_names_key_and_line() {
        let error = parse("jobs = 2\ns3_path_style = 3\n", None).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("`s3_path_style`") && message.contains("line 2"),
            "{message}"
        );
    }

    #[test]
    fn missing_profile_is_an_error() {
        assert_eq!(parse("", Some("ci")).unwrap_err().kind(), Kind::Config);
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let file = parse("", None).unwrap();
        assert_eq!(file.resolve(Path::new("token")), Path::new("/etc/up/token"));
        assert_eq!(
            file.resolve(Path::new("/run/token")),
            Path::new("/run/token")
        );
    }
}
