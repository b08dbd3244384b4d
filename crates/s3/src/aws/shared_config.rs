//! The shared configuration of AWS tools: environment variables, and the profiles in the files
//! `~/.aws/config` and `~/.aws/credentials`.
//!
//! Not here: the meaning of the settings of a profile.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::sections::{self, Section};

const DEFAULT_PROFILE: &str = "default";

/// Environment and files, as they were when it was loaded.
#[derive(Debug, Clone)]
pub struct SharedConfig {
    variable: fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
    profiles: BTreeMap<String, Section>,
    /// The sections `sso-session NAME` and `services NAME`, by these names.
    others: BTreeMap<String, Section>,
    /// Files that exist and could not be read, with the reason.
    unreadable: Vec<String>,
}

impl SharedConfig {
    /// The configuration of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::load(|name| env::var_os(name), env::home_dir())
    }

    /// Reads the files. A file that does not exist is empty.
    #[must_use]
    pub fn load(variable: fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let mut config = Self::without_files(variable, home);
        for (name, section) in config.read(config.config_path()) {
            match name.strip_prefix("profile ") {
                Some(profile) => merge(&mut config.profiles, profile, section),
                None if name.contains(' ') => merge(&mut config.others, &name, section),
                None => merge(&mut config.profiles, &name, section),
            }
        }
        for (name, section) in config.read(config.credentials_path()) {
            merge(&mut config.profiles, &name, section);
        }
        config
    }

    fn without_files(variable: fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        Self {
            variable,
            home,
            profiles: BTreeMap::new(),
            others: BTreeMap::new(),
            unreadable: Vec::new(),
        }
    }

    /// The files of this process as they are now. Reads none of them.
    pub(crate) fn fingerprint_of_process() -> Fingerprint {
        Self::without_files(|name| env::var_os(name), env::home_dir()).fingerprint()
    }

    fn read(&mut self, path: Option<PathBuf>) -> BTreeMap<String, Section> {
        let Some(path) = path else {
            return BTreeMap::new();
        };
        match fs::read(&path) {
            Ok(bytes) => sections::parse(&String::from_utf8_lossy(&bytes)),
            Err(error) => {
                // Without a home directory, `HOME` may name a file, such as `/dev/null`.
                let is_absent = matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                );
                if !is_absent {
                    self.unreadable.push(format!("{}: {error}", path.display()));
                }
                BTreeMap::new()
            }
        }
    }

    /// The path of the file with profiles. `None` without a home directory.
    #[must_use]
    pub fn config_path(&self) -> Option<PathBuf> {
        self.file("AWS_CONFIG_FILE", ".aws/config")
    }

    pub(super) fn credentials_path(&self) -> Option<PathBuf> {
        self.file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")
    }

    fn file(&self, variable: &str, default: &str) -> Option<PathBuf> {
        match (self.variable)(variable).filter(|path| !path.is_empty()) {
            Some(path) => Some(self.expanded(Path::new(&path))),
            None => self.in_home(default),
        }
    }

    /// A path below the home directory.
    pub(super) fn in_home(&self, path: &str) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(path))
    }

    /// Replaces `~/` at the beginning by the home directory.
    pub(super) fn expanded(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.to_owned(),
        }
    }

    /// An environment variable; `None` if it is empty or not UTF-8.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name)?.into_string().ok()?;
        Some(value).filter(|value| !value.is_empty())
    }

    /// True if the variable, or otherwise the setting of the profile, is `true`.
    pub(super) fn is_on(&self, variable: &str, key: &str) -> bool {
        let value = self.variable(variable).or_else(|| self.setting(key));
        value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The profile that `AWS_PROFILE` names.
    pub(super) fn named_profile(&self) -> Option<String> {
        self.variable("AWS_PROFILE")
            .or_else(|| self.variable("AWS_DEFAULT_PROFILE"))
    }

    /// The name of the profile in use.
    #[must_use]
    pub fn profile_name(&self) -> String {
        self.named_profile()
            .unwrap_or_else(|| DEFAULT_PROFILE.to_owned())
    }

    pub(super) fn profile(&self, name: &str) -> Option<&Section> {
        self.profiles.get(name)
    }

    /// The settings of `[KIND NAME]`, such as `sso-session` or `services`.
    pub(super) fn section(&self, kind: &str, name: &str) -> Option<&Section> {
        self.others.get(&format!("{kind} {name}"))
    }

    /// A setting of the profile in use; `None` if it is empty.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<String> {
        let value = self.profile(&self.profile_name())?.get(key)?;
        Some(value.clone()).filter(|value| !value.is_empty())
    }

    /// The region: `AWS_REGION`, `AWS_DEFAULT_REGION`, or that of the profile in use.
    pub(crate) fn region(&self) -> Option<String> {
        self.variable("AWS_REGION")
            .or_else(|| self.variable("AWS_DEFAULT_REGION"))
            .or_else(|| self.setting("region"))
    }

    /// The files that exist and could not be read, with the reasons.
    pub(super) fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// The paths of both files, for messages.
    pub(super) fn places(&self) -> String {
        let paths = [self.config_path(), self.credentials_path()];
        let paths: Vec<String> = paths
            .into_iter()
            .flatten()
            .map(|path| path.display().to_string())
            .collect();
        if paths.is_empty() {
            "~/.aws/config".to_owned()
        } else {
            paths.join(" and ")
        }
    }

    /// Identifies the content of both files as they are now.
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint([self.config_path(), self.credentials_path()].map(|path| {
            let metadata = fs::metadata(path?).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        }))
    }
}

/// Modification time and length of the two files; `None` for a file that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([Option<(SystemTime, u64)>; 2]);

fn merge(all: &mut BTreeMap<String, Section>, name: &str, section: Section) {
    all.entry(name.to_owned()).or_default().extend(section);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_both_files_are_merged_and_credentials_win() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".aws")).unwrap();
        let config = "[default]\nregion = a\naws_access_key_id = old\n[profile p]\nregion = b\n\
                      [sso-session s]\nsso_region = c\n";
        fs::write(dir.path().join(".aws/config"), config).unwrap();
        let keys = "[default]\naws_access_key_id = new\n[q]\nregion = d\n";
        fs::write(dir.path().join(".aws/credentials"), keys).unwrap();
        let config = SharedConfig::load(|_| None, Some(dir.path().to_owned()));
        assert_eq!(config.profile_name(), "default");
        assert_eq!(config.setting("aws_access_key_id").unwrap(), "new");
        assert_eq!(config.region().unwrap(), "a");
        assert_eq!(config.profile("p").unwrap()["region"], "b");
        assert_eq!(config.profile("q").unwrap()["region"], "d");
        assert_eq!(
            config.section("sso-session", "s").unwrap()["sso_region"],
            "c"
        );
        assert_eq!(config.profile("s"), None);
    }

    #[test]
    fn home_that_is_a_file_has_no_configuration() {
        let config = SharedConfig::load(|_| None, Some("/dev/null".into()));
        assert_eq!(config.unreadable(), &[] as &[String]);
    }

    #[test]
    fn changed_file_has_another_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let config = SharedConfig::load(|_| None, Some(dir.path().to_owned()));
        let missing = config.fingerprint();
        fs::create_dir(dir.path().join(".aws")).unwrap();
        fs::write(dir.path().join(".aws/credentials"), "[default]\n").unwrap();
        assert_ne!(config.fingerprint(), missing);
    }
}
