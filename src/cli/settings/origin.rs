//! A value with its origin.

use std::fmt;
use std::path::PathBuf;

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Env(&'static str),
    /// The configuration file, and the profile in it.
    File(PathBuf, Option<String>),
    /// The AWS configuration file, and the profile in it.
    AwsProfile(PathBuf, String),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::File(path, Some(profile)) => write!(f, "{} [profile.{profile}]", path.display()),
            Self::AwsProfile(path, profile) => {
                write!(f, "{} [profile {profile}]", path.display())
            }
            Self::Default => f.write_str("default"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> Setting<T> {
    pub fn flag(value: T) -> Self {
        Self {
            value,
            origin: Origin::Flag,
        }
    }

    pub fn env(value: T, name: &'static str) -> Self {
        Self {
            value,
            origin: Origin::Env(name),
        }
    }

    pub fn default(value: T) -> Self {
        Self {
            value,
            origin: Origin::Default,
        }
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Setting<U> {
        Setting {
            value: f(self.value),
            origin: self.origin,
        }
    }
}
