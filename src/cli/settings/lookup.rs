//! The sources of settings, and the lookup of a value in them.
//!
//! Not here: the settings themselves (`precedence`).

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::origin::{Origin, Setting};
use crate::cli::args::{ColorWhen, GlobalArgs, ProgressStyle};
use crate::cli::config_file::{ConfigFile, Keys, Presence};
use upload_types::error::{Error, Kind, Result};

/// The sources of settings, and the global settings.
pub struct Settings {
    pub(super) environment: Environment,
    pub(super) file: ConfigFile,
    pub(super) journal: Option<PathBuf>,
    pub(super) color: Setting<ColorWhen>,
    pub(super) progress: Setting<ProgressStyle>,
    json: bool,
    quiet: bool,
    verbose: u8,
}

impl Settings {
    /// Reads the configuration file and resolves the global settings.
    ///
    /// # Errors
    /// [`Kind::Config`] for a file of `--config` that does not exist, a file that cannot be
    /// understood, and a missing profile.
    pub fn load(flags: &GlobalArgs, environment: Environment) -> Result<Self> {
        let profile = environment.profile(flags.profile.as_deref())?;
        let profile = profile.as_deref();
        let default = environment
            .directories
            .config
            .as_ref()
            .map(|directory| directory.join("config.toml"));
        let file = match (&flags.config, &default) {
            (Some(path), _) => ConfigFile::read(path, Presence::Required, profile)?,
            (None, Some(path)) => ConfigFile::read(path, Presence::Optional, profile)?,
            (None, None) => ConfigFile::parse("", Path::new("config.toml"), profile)?,
        };
        Self::resolve(flags, environment, file)
    }

    /// The settings without a configuration file: `upload serve` has one of its own, whose values
    /// are its flags.
    ///
    /// # Errors
    /// As [`Settings::load`], except those about the file.
    #[cfg(feature = "gateway")]
    pub fn without_file(flags: &GlobalArgs, environment: Environment) -> Result<Self> {
        Self::resolve(flags, environment, ConfigFile::default())
    }

    fn resolve(flags: &GlobalArgs, environment: Environment, file: ConfigFile) -> Result<Self> {
        let color = flag_or_file(
            &file,
            "color",
            flags.color,
            |keys| keys.color.clone(),
            |text| ColorWhen::parse(&text),
        )?;
        let progress = flag_or_file(
            &file,
            "progress",
            flags.progress,
            |keys| keys.progress.clone(),
            |text| ProgressStyle::parse(&text),
        )?;
        Ok(Self {
            environment,
            file,
            journal: flags.journal.clone(),
            color: color.unwrap_or_else(|| Setting::default(ColorWhen::Auto)),
            progress: progress.unwrap_or_else(|| Setting::default(ProgressStyle::Auto)),
            json: flags.json,
            quiet: flags.quiet,
            verbose: flags.verbose,
        })
    }

    /// The path of the configuration file, which need not exist. Only a name without a directory if
    /// there is no home directory.
    #[must_use]
    pub fn file_path(&self) -> &Path {
        self.file.path()
    }

    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    #[must_use]
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    #[must_use]
    pub fn verbose(&self) -> u8 {
        self.verbose
    }

    /// A value of the configuration file, unchecked.
    pub(super) fn in_file<T>(&self, key: impl Fn(&Keys) -> Option<T>) -> Option<Setting<T>> {
        in_file(&self.file, key)
    }

    /// A path from flag, variable or configuration file.
    pub(super) fn path(
        &self,
        flag: Option<PathBuf>,
        variable: Option<&'static str>,
        key: impl Fn(&Keys) -> Option<PathBuf>,
    ) -> Option<Setting<PathBuf>> {
        let from_environment = || {
            let name = variable?;
            let value = self.environment.variable(name)?;
            Some(Setting::env(PathBuf::from(value), name))
        };
        let from_file = || Some(self.in_file(key)?.map(|path| self.file.resolve(&path)));
        flag.map(Setting::flag)
            .or_else(from_environment)
            .or_else(from_file)
    }

    /// A switch; the flag can only turn it on.
    pub(super) fn switch(&self, flag: bool, key: impl Fn(&Keys) -> Option<bool>) -> Setting<bool> {
        flag.then_some(Setting::flag(true))
            .or_else(|| self.in_file(key))
            .unwrap_or_else(|| Setting::default(false))
    }

    /// A value from a flag, which clap has parsed, or from the configuration file.
    pub(super) fn parsed_flag_or_file<T, Raw>(
        &self,
        key_name: &str,
        flag: Option<T>,
        key: impl Fn(&Keys) -> Option<Raw>,
        parse: impl FnOnce(Raw) -> Result<T, String>,
    ) -> Result<Option<Setting<T>>> {
        flag_or_file(&self.file, key_name, flag, key, parse)
    }

    /// A text from a flag or the configuration file, parsed here.
    pub(super) fn text_flag_or_file<T>(
        &self,
        key_name: &str,
        flag: Option<&str>,
        key: impl Fn(&Keys) -> Option<String>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Setting<T>>> {
        if let Some(text) = flag {
            let value = parse(text).map_err(|reason| {
                let flag = key_name.replace('_', "-");
                Error::new(Kind::Usage, format!("could not use the value of --{flag}"))
                    .with_source(reason)
            })?;
            return Ok(Some(Setting::flag(value)));
        }
        flag_or_file(&self.file, key_name, None, key, |text| parse(&text))
    }

    /// The error for a wrong value in the configuration file.
    pub(super) fn file_error(&self, key_name: &str, reason: String) -> Error {
        file_error(&self.file, key_name, reason)
    }
}

fn in_file<T>(file: &ConfigFile, key: impl Fn(&Keys) -> Option<T>) -> Option<Setting<T>> {
    let (value, profile) = file.get(key)?;
    Some(Setting {
        value,
        origin: Origin::File(file.path().to_owned(), profile),
    })
}

fn flag_or_file<T, Raw>(
    file: &ConfigFile,
    key_name: &str,
    flag: Option<T>,
    key: impl Fn(&Keys) -> Option<Raw>,
    parse: impl FnOnce(Raw) -> Result<T, String>,
) -> Result<Option<Setting<T>>> {
    if let Some(value) = flag {
        return Ok(Some(Setting::flag(value)));
    }
    let Some(Setting { value, origin }) = in_file(file, key) else {
        return Ok(None);
    };
    let value = parse(value).map_err(|reason| file_error(file, key_name, reason))?;
    Ok(Some(Setting { value, origin }))
}

fn file_error(file: &ConfigFile, key_name: &str, reason: String) -> Error {
    Error::new(
        Kind::Config,
        format!("could not use `{key_name}` of {}", file.path().display()),
    )
    .with_source(reason)
}

/// The kind of error for a wrong value of this origin.
pub(super) fn wrong_kind(origin: &Origin) -> Kind {
    if *origin == Origin::Flag {
        Kind::Usage
    } else {
        Kind::Config
    }
}
