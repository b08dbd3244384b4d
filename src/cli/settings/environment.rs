//! The environment of the process: variables, terminals, directories. They are one value, so that
//! tests can replace them.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use directories::ProjectDirs;

use upload_types::error::{Error, Kind, Result};

#[derive(Clone)]
pub struct Environment {
    pub variable: fn(&str) -> Option<OsString>,
    pub terminals: Terminals,
    /// `None` without a home directory and without the XDG variables.
    pub directories: Option<Directories>,
}

/// Which standard streams are terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminals {
    pub stdout: bool,
    pub stderr: bool,
}

/// The directories of this user, by the conventions of the platform.
#[derive(Debug, Clone)]
pub struct Directories {
    pub config: PathBuf,
    /// For journal and ledgers.
    pub state: PathBuf,
    pub data: PathBuf,
}

impl Directories {
    /// Returns `None` without a home directory.
    fn of_home() -> Option<Self> {
        let found = ProjectDirs::from("", "", "upload")?;
        let state = found.state_dir();
        Some(Self {
            config: found.config_dir().to_owned(),
            state: state.unwrap_or_else(|| found.data_local_dir()).to_owned(),
            data: found.data_dir().to_owned(),
        })
    }

    /// The directories of a user without a home directory, as in many containers. Returns `None`
    /// unless all three variables are set to absolute paths (XDG Base Directory Specification).
    fn of_xdg_variables() -> Option<Self> {
        let directory = |name: &str| {
            let base = PathBuf::from(env::var_os(name)?);
            base.is_absolute().then(|| base.join("upload"))
        };
        Some(Self {
            config: directory("XDG_CONFIG_HOME")?,
            state: directory("XDG_STATE_HOME")?,
            data: directory("XDG_DATA_HOME")?,
        })
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
            directories: Directories::of_home().or_else(Directories::of_xdg_variables),
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

    /// The directories; `noun` is the file that needs one, and `remedy` the flag that names it
    /// instead.
    pub(super) fn directories(&self, noun: &str, remedy: &str) -> Result<&Directories> {
        self.directories.as_ref().ok_or_else(|| {
            Error::new(
                Kind::DatabaseUnusable,
                format!("could not find a directory for {noun}: there is no home directory"),
            )
            .with_hint(format!(
                "set HOME, or XDG_STATE_HOME, XDG_DATA_HOME and XDG_CONFIG_HOME{remedy}"
            ))
        })
    }
}
