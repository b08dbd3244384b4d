//! The environment of the process: variables, terminals, directories. They are one value, so that
//! tests can replace them.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use upload_types::error::{Error, Kind, Result};

#[derive(Clone)]
pub struct Environment {
    pub variable: fn(&str) -> Option<OsString>,
    pub terminals: Terminals,
    pub directories: Directories,
}

/// Which standard streams are terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminals {
    pub stdout: bool,
    pub stderr: bool,
}

/// The directories of this user, by the conventions of the platform. Each is `None` without a home
/// directory and without its XDG variable.
#[derive(Debug, Clone, Default)]
pub struct Directories {
    pub config: Option<PathBuf>,
    /// The directory of the journal and of ledgers.
    pub state: Option<PathBuf>,
    pub data: Option<PathBuf>,
}

impl Directories {
    /// Returns `None` without a home directory.
    fn of_home() -> Option<Self> {
        let found = ProjectDirs::from("", "", "upload")?;
        let state = found.state_dir();
        Some(Self {
            config: Some(found.config_dir().to_owned()),
            state: Some(state.unwrap_or_else(|| found.data_local_dir()).to_owned()),
            data: Some(found.data_dir().to_owned()),
        })
    }

    /// The directories of a user without a home directory, as in many containers. A variable counts
    /// only if it is an absolute path (XDG Base Directory Specification).
    fn of_xdg_variables() -> Self {
        let directory = |name: &str| {
            let base = PathBuf::from(env::var_os(name)?);
            base.is_absolute().then(|| base.join("upload"))
        };
        Self {
            config: directory("XDG_CONFIG_HOME"),
            state: directory("XDG_STATE_HOME"),
            data: directory("XDG_DATA_HOME"),
        }
    }
}

impl Environment {
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            variable: |name| env::var_os(name),
            terminals: Terminals {
                stdout: io::stdout().is_terminal(),
                stderr: io::stderr().is_terminal(),
            },
            directories: Directories::of_home().unwrap_or_else(Directories::of_xdg_variables),
        }
    }

    /// The profile of the configuration file: that of the flag, otherwise that of `UPLOAD_PROFILE`.
    ///
    /// # Errors
    /// [`Kind::Config`] for a value that is not UTF-8.
    pub fn profile(&self, flag: Option<&str>) -> Result<Option<String>> {
        match flag {
            Some(name) => Ok(Some(name.to_owned())),
            None => self.text("UPLOAD_PROFILE"),
        }
    }

    /// Whether a variable is set and not empty.
    #[cfg(feature = "gateway")]
    #[must_use]
    pub fn is_set(&self, name: &'static str) -> bool {
        self.variable(name).is_some()
    }

    /// A variable; an empty one counts as not set.
    pub(super) fn variable(&self, name: &'static str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// A variable that must be UTF-8.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>> {
        let text = |value: OsString| {
            value
                .into_string()
                .map_err(|_| Error::new(Kind::Config, format!("{name} is not UTF-8")))
        };
        self.variable(name).map(text).transpose()
    }

    /// The directory of state; `noun` is the file that needs it, and `remedy` names the file
    /// instead.
    pub(super) fn state_directory(&self, noun: &str, remedy: &str) -> Result<&Path> {
        let directory = self.directories.state.as_deref();
        directory.ok_or_else(|| {
            no_directory(noun).with_hint(format!("set HOME or XDG_STATE_HOME, or {remedy}"))
        })
    }

    /// The directory of data, for `noun`.
    pub(super) fn data_directory(&self, noun: &str) -> Result<&Path> {
        let directory = self.directories.data.as_deref();
        directory.ok_or_else(|| no_directory(noun).with_hint("set HOME or XDG_DATA_HOME"))
    }
}

fn no_directory(noun: &str) -> Error {
    let what = format!("could not find a directory for {noun}: there is no home directory");
    Error::new(Kind::DatabaseUnusable, what)
}
