//! What settings learn from this process and machine: environment, terminals, directories.
//!
//! Border: facts only, replaceable as a value, so that precedence is tested without touching the real ones.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use directories::ProjectDirs;

use upload_types::error::{Error, Kind, Result};

/// What settings learn from the process and the machine, so that a test can say it instead.
#[derive(Clone)]
pub struct Machine {
    pub env: fn(&str) -> Option<OsString>,
    pub terminals: Terminals,
    /// None where there is no home directory.
    pub directories: Option<Directories>,
}

/// Which streams somebody watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminals {
    pub stdout: bool,
    pub stderr: bool,
}

/// Where this user's files belong on this platform.
#[derive(Debug, Clone)]
pub struct Directories {
    pub config: PathBuf,
    /// What must survive: journal, ledgers.
    pub state: PathBuf,
    pub data: PathBuf,
}

impl Machine {
    /// This process, here.
    #[must_use]
    pub fn here() -> Self {
        Self {
            env: |name| env::var_os(name),
            terminals: Terminals {
                stdout: io::stdout().is_terminal(),
                stderr: io::stderr().is_terminal(),
            },
            directories: ProjectDirs::from("", "", "upload").map(|found| Directories {
                config: found.config_dir().to_owned(),
                state: found
                    .state_dir()
                    .unwrap_or_else(|| found.data_local_dir())
                    .to_owned(),
                data: found.data_dir().to_owned(),
            }),
        }
    }

    /// A variable of the environment; an empty one counts as not set.
    pub(super) fn var(&self, name: &'static str) -> Option<OsString> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// A variable of the environment that has to be text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>> {
        let text = |value: OsString| {
            value
                .into_string()
                .map_err(|_| Error::new(Kind::Config, format!("{name} is not UTF-8")))
        };
        self.var(name).map(text).transpose()
    }

    pub(super) fn directories(&self) -> Result<&Directories> {
        self.directories.as_ref().ok_or_else(|| {
            Error::new(
                Kind::DatabaseUnusable,
                "there is no home directory to keep the journal in",
            )
            .with_hint("set HOME, or name a place with --journal FILE")
        })
    }
}
