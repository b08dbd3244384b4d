//! What was typed, turned into values once: flags over environment over configuration file over defaults.
//!
//! Border: every value is checked here and none is looked up anywhere else; nothing is opened but the configuration file
//! and the token's. Each value knows where it came from, for `upload config`.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum as _;
use directories::ProjectDirs;
use url::Url;

use super::args::{self, IfChanged, Progress, When};
use super::backend_spec::BackendSpec;
use super::config_file::{ConfigFile, Keys};
use super::parse::{self, GiveUp, Jobs, StoreHost};
use crate::error::{Error, Kind, Result};
use crate::names::Token;

mod effective;
mod token;

pub use effective::Effective;

/// Without a terminal nobody watches, so an upload that gets nowhere ends after this long.
const GIVE_UP_UNWATCHED: Duration = Duration::from_mins(15);

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Env(&'static str),
    /// The configuration file, and the profile in it.
    File(PathBuf, Option<String>),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::File(path, Some(profile)) => write!(f, "{} [profile.{profile}]", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub origin: Origin,
}

/// What settings learn from the process and the machine, so that a test can say it instead.
#[derive(Clone)]
pub struct Machine {
    pub env: fn(&str) -> Option<OsString>,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    /// None where there is no home directory.
    pub directories: Option<Directories>,
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
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            directories: ProjectDirs::from("", "", "upload").map(|found| Directories {
                config: found.config_dir().to_owned(),
                state: found.state_dir().unwrap_or_else(|| found.data_local_dir()).to_owned(),
                data: found.data_dir().to_owned(),
            }),
        }
    }

    /// A variable of the environment; an empty one counts as not set.
    fn var(&self, name: &'static str) -> Option<OsString> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// A variable of the environment that has to be text.
    fn text(&self, name: &'static str) -> Result<Option<String>> {
        let text =
            |value: OsString| value.into_string().map_err(|_| Error::new(Kind::Config, format!("{name} is not UTF-8")));
        self.var(name).map(text).transpose()
    }

    fn directories(&self) -> Result<&Directories> {
        self.directories.as_ref().ok_or_else(|| {
            Error::new(Kind::NoJournal, "there is no home directory to keep the journal in")
                .hinting("set HOME, or name a place with --journal FILE")
        })
    }
}

/// How every verb speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Common {
    pub json: bool,
    pub quiet: bool,
    pub verbose: u8,
    pub color: When,
    pub progress: Progress,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
}

/// How to reach a backend and its store.
#[derive(Debug, Clone)]
pub struct Connection {
    pub token: Option<Token>,
    pub ca_cert: Option<PathBuf>,
    pub proxy: Option<Proxy>,
    pub allow_insecure_http: bool,
    pub store_hosts: Vec<StoreHost>,
    pub s3: S3,
}

/// Where an `s3://` store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    pub endpoint: Option<Url>,
    pub region: Option<String>,
    pub path_style: bool,
}

/// A proxy's URL, which may hold a password: it shows itself without.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl Proxy {
    /// The URL itself, user and password included.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.0.scheme(), self.0.host_str().unwrap_or_default());
        let user = if self.0.username().is_empty() && self.0.password().is_none() { "" } else { "REDACTED@" };
        match self.0.port() {
            Some(port) => write!(f, "{scheme}://{user}{host}:{port}"),
            None => write!(f, "{scheme}://{user}{host}"),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Parts in flight over all files; `None` leaves it to the engine.
    pub jobs: Option<usize>,
    /// Time without any confirmed byte; `None` is never.
    pub give_up_after: Option<Duration>,
    pub receipt: Option<PathBuf>,
}

/// What `put` alone takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOptions {
    pub paths: Vec<PathBuf>,
    /// Only ever set for a single path.
    pub name: Option<String>,
    /// A wish in bytes.
    pub part_size: Option<u64>,
    pub content_type: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub if_changed: IfChanged,
    pub again: bool,
    pub dry_run: bool,
}

/// The three places settings come from, and what all verbs share.
pub struct Settings {
    pub common: Common,
    machine: Machine,
    file: ConfigFile,
    journal: Option<PathBuf>,
    color: Setting<When>,
    progress: Setting<Progress>,
}

impl Settings {
    /// Reads the configuration file and settles what all verbs share.
    ///
    /// # Errors
    /// [`Kind::Config`] for a file named by `--config` that is not there, for a file that cannot be understood, and for a
    /// profile it does not have.
    pub fn load(flags: &args::Global, machine: Machine) -> Result<Self> {
        let profile = match &flags.profile {
            Some(name) => Some(name.clone()),
            None => machine.text("UPLOAD_PROFILE")?,
        };
        let default = machine.directories.as_ref().map(|found| found.config.join("config.toml"));
        let file = match flags.config.as_deref().or(default.as_deref()) {
            Some(path) => ConfigFile::read(path, flags.config.is_some(), profile.as_deref())?,
            None => ConfigFile::parse("", Path::new("config.toml"), profile.as_deref())?,
        };
        let choice = |key, text: String| from_file(&file, key, When::from_str(&text, false));
        let color = settle(flags.color, file.get(|keys| keys.color.clone()), &file, |text| choice("color", text))?
            .or(When::Auto);
        let choice = |key, text: String| from_file(&file, key, Progress::from_str(&text, false));
        let progress =
            settle(flags.progress, file.get(|keys| keys.progress.clone()), &file, |text| choice("progress", text))?
                .or(Progress::Auto);
        let common = Common {
            json: flags.json,
            quiet: flags.quiet,
            verbose: flags.verbose,
            color: color.value,
            progress: progress.value,
            stdout_is_terminal: machine.stdout_is_terminal,
            stderr_is_terminal: machine.stderr_is_terminal,
        };
        Ok(Self { common, machine, file, journal: flags.journal.clone(), color, progress })
    }

    /// Where the journal is.
    ///
    /// # Errors
    /// [`Kind::NoJournal`] where nobody names it and there is no home directory.
    pub fn journal(&self) -> Result<PathBuf> {
        Ok(self.journal_setting()?.value)
    }

    /// Where the embedded store keeps its objects.
    ///
    /// # Errors
    /// [`Kind::NoJournal`] where there is no home directory.
    pub fn store_dir(&self) -> Result<PathBuf> {
        Ok(self.machine.directories()?.data.join("store"))
    }

    /// Where a gateway of its own (`upload serve`) keeps its ledger.
    ///
    /// # Errors
    /// [`Kind::NoJournal`] where there is no home directory.
    pub fn ledger(&self) -> Result<PathBuf> {
        Ok(self.machine.directories()?.state.join("gateway.db"))
    }

    /// The backend of `put`: it has to be configured.
    ///
    /// # Errors
    /// [`Kind::Config`] where none is; else as [`BackendSpec::parse`].
    pub fn backend(&self, flag: Option<&str>, connection: &Connection) -> Result<BackendSpec> {
        let found = self.backend_setting(flag)?.ok_or_else(BackendSpec::missing)?;
        BackendSpec::parse(&found.value, connection.allow_insecure_http, blame(&found.origin))
    }

    /// The backend `resume` is confined to: the one its flag names, else any.
    ///
    /// # Errors
    /// As [`BackendSpec::parse`].
    pub fn backend_filter(flag: Option<&str>, connection: &Connection) -> Result<Option<BackendSpec>> {
        flag.map(|text| BackendSpec::parse(text, connection.allow_insecure_http, Kind::Usage)).transpose()
    }

    /// How to reach a backend and its store; reads the token.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Config`] for values that cannot be, and for a token's file that cannot be read.
    pub fn connection(&self, flags: &args::Connection) -> Result<Connection> {
        Ok(Connection {
            token: token::read(self.token_setting(flags)?.as_ref())?,
            ca_cert: self.ca_cert_setting(flags).map(|found| found.value),
            proxy: self.proxy_setting(flags)?.map(|found| found.value),
            allow_insecure_http: self.allow_insecure_http_setting(flags).value,
            store_hosts: self.store_hosts_setting(flags)?.value,
            s3: self.s3(&flags.s3)?,
        })
    }

    /// Where an `s3://` store is.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Config`] for an endpoint that is no URL.
    pub fn s3(&self, flags: &args::S3) -> Result<S3> {
        Ok(S3 {
            endpoint: self.s3_endpoint_setting(flags)?.map(|found| found.value),
            region: self.s3_region_setting(flags).map(|found| found.value),
            path_style: self.s3_path_style_setting(flags).value,
        })
    }

    /// How to send.
    ///
    /// # Errors
    /// [`Kind::Config`] for values of the configuration file that cannot be.
    pub fn transfer(&self, flags: &args::Transfer) -> Result<Transfer> {
        Ok(Transfer {
            jobs: match self.jobs_setting(flags.jobs)?.value {
                Jobs::Auto => None,
                Jobs::Count(count) => Some(count),
            },
            give_up_after: match self.give_up_after_setting(flags.give_up_after)?.value {
                GiveUp::Never => None,
                GiveUp::After(duration) => Some(duration),
            },
            receipt: flags.receipt.clone(),
        })
    }

    /// What `put` alone takes.
    ///
    /// # Errors
    /// [`Kind::Usage`] for flags that do not go together; [`Kind::Config`] for a part size of the file that cannot be.
    pub fn put(&self, flags: &args::Put) -> Result<PutOptions> {
        if flags.name.is_some() && flags.paths.len() > 1 {
            return Err(Error::new(Kind::Usage, "--name names a single source, and there are several"));
        }
        if flags.paths.iter().any(|path| path.as_os_str() == "-") {
            return Err(Error::new(Kind::Usage, "reading from standard input is not supported yet")
                .hinting("a file of that name is written ./-"));
        }
        let mut metadata = BTreeMap::new();
        for (key, value) in &flags.metadata {
            if metadata.insert(key.clone(), value.clone()).is_some() {
                return Err(Error::new(Kind::Usage, format!("--meta names {key} twice")));
            }
        }
        Ok(PutOptions {
            paths: flags.paths.clone(),
            name: flags.name.clone(),
            part_size: self.part_size_setting(flags.part_size)?.map(|found| found.value),
            content_type: flags.content_type.clone(),
            metadata,
            if_changed: flags.if_changed,
            again: flags.again,
            dry_run: flags.dry_run,
        })
    }
}

/// Each setting by itself: who wins, and from where.
impl Settings {
    fn journal_setting(&self) -> Result<Setting<PathBuf>> {
        let env = self.machine.var("UPLOAD_JOURNAL").map(|value| (PathBuf::from(value), "UPLOAD_JOURNAL"));
        match self.path(self.journal.clone(), env, |keys| keys.journal.clone()) {
            Some(found) => Ok(found),
            None => Ok(default(self.machine.directories()?.state.join("journal.db"))),
        }
    }

    fn backend_setting(&self, flag: Option<&str>) -> Result<Option<Setting<String>>> {
        if let Some(flag) = flag {
            return Ok(Some(Setting { value: flag.to_owned(), origin: Origin::Flag }));
        }
        if let Some(value) = self.machine.text("UPLOAD_BACKEND")? {
            return Ok(Some(Setting { value, origin: Origin::Env("UPLOAD_BACKEND") }));
        }
        Ok(self.in_file(|keys| keys.backend.clone()))
    }

    fn token_setting(&self, flags: &args::Connection) -> Result<Option<Setting<token::Place>>> {
        if let Some(path) = &flags.token_file {
            return Ok(Some(Setting { value: token::Place::File(path.clone()), origin: Origin::Flag }));
        }
        if let Some(value) = self.machine.text("UPLOAD_TOKEN")? {
            let value = token::Place::Here(Token::new(value));
            return Ok(Some(Setting { value, origin: Origin::Env("UPLOAD_TOKEN") }));
        }
        let env = self.machine.var("UPLOAD_TOKEN_FILE").map(|value| (PathBuf::from(value), "UPLOAD_TOKEN_FILE"));
        let found = self.path(None, env, |keys| keys.token_file.clone());
        Ok(found.map(|found| Setting { value: token::Place::File(found.value), origin: found.origin }))
    }

    fn ca_cert_setting(&self, flags: &args::Connection) -> Option<Setting<PathBuf>> {
        self.path(flags.ca_cert.clone(), None, |keys| keys.ca_cert.clone())
    }

    fn proxy_setting(&self, flags: &args::Connection) -> Result<Option<Setting<Proxy>>> {
        self.checked(
            "proxy",
            flags.proxy.as_deref(),
            |keys| keys.proxy.clone(),
            |text| {
                let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
                match url.scheme() {
                    "http" | "https" | "socks5" | "socks5h" if url.has_host() => Ok(Proxy(url)),
                    _ => Err("a proxy is http://, https://, socks5:// or socks5h://host[:port]".to_owned()),
                }
            },
        )
    }

    fn allow_insecure_http_setting(&self, flags: &args::Connection) -> Setting<bool> {
        self.switch(flags.allow_insecure_http, |keys| keys.allow_insecure_http)
    }

    fn store_hosts_setting(&self, flags: &args::Connection) -> Result<Setting<Vec<StoreHost>>> {
        let flag = Some(&flags.store_hosts).filter(|hosts| !hosts.is_empty()).cloned();
        settle(flag, self.file.get(|keys| keys.store_hosts.clone()), &self.file, |texts| {
            let hosts: Result<Vec<_>, _> = texts.iter().map(|text| parse::store_host(text)).collect();
            from_file(&self.file, "store_hosts", hosts)
        })
        .map(|found| found.or(Vec::new()))
    }

    fn s3_endpoint_setting(&self, flags: &args::S3) -> Result<Option<Setting<Url>>> {
        self.checked("s3_endpoint", flags.s3_endpoint.as_deref(), |keys| keys.s3_endpoint.clone(), endpoint)
    }

    fn s3_region_setting(&self, flags: &args::S3) -> Option<Setting<String>> {
        let flag = flags.s3_region.clone().map(|value| Setting { value, origin: Origin::Flag });
        flag.or_else(|| self.in_file(|keys| keys.s3_region.clone()))
    }

    fn s3_path_style_setting(&self, flags: &args::S3) -> Setting<bool> {
        self.switch(flags.s3_path_style, |keys| keys.s3_path_style)
    }

    fn jobs_setting(&self, flag: Option<Jobs>) -> Result<Setting<Jobs>> {
        settle(flag, self.file.get(|keys| keys.jobs.clone()), &self.file, |jobs| {
            from_file(&self.file, "jobs", parse::jobs(&jobs.text()))
        })
        .map(|found| found.or(Jobs::Auto))
    }

    fn give_up_after_setting(&self, flag: Option<GiveUp>) -> Result<Setting<GiveUp>> {
        let found = settle(flag, self.file.get(|keys| keys.give_up_after.clone()), &self.file, |text| {
            from_file(&self.file, "give_up_after", parse::give_up(&text))
        })?;
        let watched = self.machine.stderr_is_terminal;
        Ok(found.or(if watched { GiveUp::Never } else { GiveUp::After(GIVE_UP_UNWATCHED) }))
    }

    fn part_size_setting(&self, flag: Option<u64>) -> Result<Option<Setting<u64>>> {
        settle(flag, self.file.get(|keys| keys.part_size.clone()), &self.file, |size| {
            from_file(&self.file, "part_size", parse::part_size(&size.text()))
        })
        .map(|found| found.0)
    }

    /// A value of the configuration file as it stands there.
    fn in_file<T>(&self, key: impl Fn(&Keys) -> Option<T>) -> Option<Setting<T>> {
        let (value, profile) = self.file.get(key)?;
        Some(Setting { value, origin: Origin::File(self.file.path.clone(), profile) })
    }

    /// A path, by flag, environment or configuration file.
    fn path(
        &self,
        flag: Option<PathBuf>,
        env: Option<(PathBuf, &'static str)>,
        key: impl Fn(&Keys) -> Option<PathBuf>,
    ) -> Option<Setting<PathBuf>> {
        let flag = flag.map(|value| Setting { value, origin: Origin::Flag });
        let env = env.map(|(value, name)| Setting { value, origin: Origin::Env(name) });
        flag.or(env).or_else(|| {
            let found = self.in_file(key)?;
            Some(Setting { value: self.file.resolve(&found.value), origin: found.origin })
        })
    }

    /// A switch: the flag can only turn it on.
    fn switch(&self, flag: bool, key: impl Fn(&Keys) -> Option<bool>) -> Setting<bool> {
        let flag = flag.then_some(Setting { value: true, origin: Origin::Flag });
        flag.or_else(|| self.in_file(key)).unwrap_or_else(|| default(false))
    }

    /// A text that is checked wherever it comes from.
    fn checked<T>(
        &self,
        key: &str,
        flag: Option<&str>,
        in_file: impl Fn(&Keys) -> Option<String>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Setting<T>>> {
        if let Some(text) = flag {
            let flag = key.replace('_', "-");
            let value = check(text)
                .map_err(|why| Error::new(Kind::Usage, format!("could not use the value of --{flag}")).because(why))?;
            return Ok(Some(Setting { value, origin: Origin::Flag }));
        }
        let Some(found) = self.in_file(in_file) else { return Ok(None) };
        let value = from_file(&self.file, key, check(&found.value))?;
        Ok(Some(Setting { value, origin: found.origin }))
    }
}

/// A setting nobody made yet, or one that was.
struct Settled<T>(Option<Setting<T>>);

impl<T> Settled<T> {
    fn or(self, value: T) -> Setting<T> {
        self.0.unwrap_or_else(|| default(value))
    }
}

/// Takes the flag (which clap has checked) or else the file's value, checked by `check`.
fn settle<T, Raw>(
    flag: Option<T>,
    in_file: Option<(Raw, Option<String>)>,
    file: &ConfigFile,
    check: impl FnOnce(Raw) -> Result<T>,
) -> Result<Settled<T>> {
    Ok(Settled(match (flag, in_file) {
        (Some(value), _) => Some(Setting { value, origin: Origin::Flag }),
        (None, Some((raw, profile))) => {
            Some(Setting { value: check(raw)?, origin: Origin::File(file.path.clone(), profile) })
        }
        (None, None) => None,
    }))
}

/// The error of a value in the configuration file names key and file.
fn from_file<T>(file: &ConfigFile, key: &str, checked: Result<T, String>) -> Result<T> {
    checked.map_err(|why| {
        Error::new(Kind::Config, format!("could not use `{key}` of {}", file.path.display())).because(why)
    })
}

fn default<T>(value: T) -> Setting<T> {
    Setting { value, origin: Origin::Default }
}

/// Whose fault a wrong value is.
fn blame(origin: &Origin) -> Kind {
    if *origin == Origin::Flag { Kind::Usage } else { Kind::Config }
}

/// An S3 endpoint: `https://host[:port]`, or `http://` (a store in the same network is often without TLS; what is sent to
/// it is signed all the same). No user, query or fragment.
fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        "https" | "http" if bare && url.has_host() => Ok(url),
        _ => Err("an endpoint is https://host[:port] without user, query or fragment".to_owned()),
    }
}

#[cfg(test)]
mod tests;
