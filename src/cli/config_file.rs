//! The configuration file: TOML, keys named like the flags, and tables `[profile.NAME]` that go over the top level.
//!
//! Border: reads and checks the shape; what a value means is `parse`, which source wins is `settings`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::permissions;
use upload_types::error::{Error, Kind, Result};

/// The largest configuration file that is read, in bytes.
const SIZE_MAX: u64 = 1 << 20;

/// The keys of the top level and of each profile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    pub backend: Option<String>,
    pub token_file: Option<PathBuf>,
    pub part_size: Option<Scalar>,
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

/// A number may be written with or without quotes.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
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

/// A configuration file as one profile (or none) sees it.
#[derive(Debug, Default)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// The chosen profile: its name and keys.
    profile: Option<(String, Keys)>,
    top: Keys,
}

impl ConfigFile {
    /// Reads the file at `path`. One that does not exist is empty unless `explicit`, that is named by a flag.
    ///
    /// # Errors
    /// [`Kind::Config`] for a file that cannot be read or that others may write, is no TOML, has an unknown key, or lacks the profile.
    pub fn read(path: &Path, explicit: bool, profile: Option<&str>) -> Result<Self> {
        let text = text(path, explicit)?;
        Self::parse(&text, path, profile)
    }

    /// Understands the text of the file at `path`.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn parse(text: &str, path: &Path, profile: Option<&str>) -> Result<Self> {
        let wrong = |place: &str| {
            Error::new(
                Kind::Config,
                format!("could not understand {place}{}", path.display()),
            )
        };
        // The parser's own text quotes lines of the file, which may hold anything.
        let mut table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong("").with_source(error.message()))?;
        let profiles: BTreeMap<String, Keys> = table
            .remove("profile")
            .map_or_else(|| Ok(BTreeMap::new()), Value::try_into)
            .map_err(|error: toml::de::Error| {
                wrong("[profile] of ").with_source(error.message())
            })?;
        let top = Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| wrong("").with_source(error.message()))?;
        let profile = match profile {
            None => None,
            Some(name) => match profiles.into_iter().find(|(known, _)| known == name) {
                Some(found) => Some(found),
                None => {
                    return Err(Error::new(
                        Kind::Config,
                        format!("there is no [profile.{name}] in {}", path.display()),
                    ));
                }
            },
        };
        Ok(Self {
            path: path.to_owned(),
            profile,
            top,
        })
    }

    /// The value of a key and the profile it stands in; the profile goes over the top level.
    pub fn get<T>(&self, key: impl Fn(&Keys) -> Option<T>) -> Option<(T, Option<String>)> {
        let profile = self.profile.as_ref();
        profile
            .and_then(|(name, keys)| key(keys).map(|value| (value, Some(name.clone()))))
            .or_else(|| key(&self.top).map(|value| (value, None)))
    }

    /// A path of the file: relative ones are relative to the directory the file is in.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.path
            .parent()
            .map_or_else(|| path.to_owned(), |directory| directory.join(path))
    }
}

/// The text of the configuration file at `path`. One that does not exist is empty unless `explicit`.
///
/// # Errors
/// [`Kind::Config`] for a file that cannot be read or that others may write.
pub fn text(path: &Path, explicit: bool) -> Result<String> {
    let wrong = || {
        Error::new(
            Kind::Config,
            format!("could not read the configuration file {}", path.display()),
        )
    };
    match fs::metadata(path) {
        Ok(facts) if facts.len() > SIZE_MAX => Err(wrong().with_source("it is larger than 1 MiB")),
        Ok(facts) => {
            permissions::check(path, &facts).map_err(|why| wrong().with_source(why))?;
            fs::read_to_string(path).map_err(|error| wrong().with_source(error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !explicit => Ok(String::new()),
        Err(error) => Err(wrong().with_source(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, profile: Option<&str>) -> Result<ConfigFile> {
        ConfigFile::parse(text, Path::new("/etc/up/config.toml"), profile)
    }

    #[test]
    fn a_profile_goes_over_the_top_level() {
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
    fn an_unknown_key_is_named_with_its_file() {
        for text in [
            "partsize = 1\n",
            "[profile.ci]\npartsize = 1\n",
            "[other]\npartsize = 1\n",
        ] {
            let error = parse(text, None).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            let story = error.to_string();
            assert!(story.contains("/etc/up/config.toml"), "{story}");
            assert!(
                story.contains("partsize") || story.contains("`other`"),
                "{story}"
            );
        }
    }

    #[test]
    fn a_missing_profile_is_an_error() {
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
