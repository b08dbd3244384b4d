//! The settings that each verb needs, combined.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::lookup::Settings;
use super::origin::{Origin, Setting};
use super::token::{self, TokenSource};
use super::values::{Connection, Proxy, PutOptions, S3, S3Flags, Transfer};
use crate::cli::args::{
    self, ColorWhen, ConnectionArgs, NetworkArgs, ProgressStyle, PutArgs, S3Args, TransferArgs,
    WaitState,
};
use crate::cli::parse::{Jobs, LimitRate};
use crate::cli::permissions::warn_if_others_can_read;
use crate::cli::receipt_target::{ReceiptMode, ReceiptTarget};
use crate::report;
use crate::transfer::WaitFor;
use upload_net::{Network, Roots};
use upload_types::KeyForm;
use upload_types::error::{Error, Kind, Result};
use upload_types::metadata::{MAX_METADATA_BYTES, metadata_bytes};
use upload_types::wire::IfExists;

impl Settings {
    #[must_use]
    pub fn report(&self) -> report::Options {
        let is = |name, value: &str| {
            self.environment
                .variable(name)
                .is_some_and(|found| found == value)
        };
        report::Options {
            json: self.json(),
            quiet: self.quiet(),
            verbose: self.verbose(),
            progress: match self.progress.value {
                ProgressStyle::Auto => report::Progress::Auto,
                ProgressStyle::Bar => report::Progress::Bar,
                ProgressStyle::Plain => report::Progress::Plain,
                ProgressStyle::None => report::Progress::None,
            },
            color: match self.color.value {
                ColorWhen::Auto => report::Color::Auto,
                ColorWhen::Always => report::Color::Always,
                ColorWhen::Never => report::Color::Never,
            },
            screen: match self.environment.terminals.stderr {
                true if is("TERM", "dumb") => report::Screen::Dumb,
                true => report::Screen::Terminal,
                false => report::Screen::None,
            },
            locations: if self.environment.terminals.stdout {
                report::Locations::Named
            } else {
                report::Locations::Alone
            },
            no_color: self.environment.variable("NO_COLOR").is_some() || is("CLICOLOR", "0"),
        }
    }

    /// The path of the journal.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] if none is named and there is no home directory.
    pub fn journal(&self) -> Result<PathBuf> {
        Ok(self.journal_setting()?.value)
    }

    /// The path of a journal for a verb about uploads that are in it. One that a flag names must
    /// exist: its name may be wrong.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] if it does not; also without a home directory.
    pub fn journal_to_read(&self) -> Result<PathBuf> {
        let Setting { value, origin } = self.journal_setting()?;
        let is_absent = value.symlink_metadata().is_err_and(|error| {
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        });
        if origin == Origin::Flag && is_absent {
            let what = format!("there is no journal {}", value.display());
            let hint =
                "name the journal of the uploads with --journal FILE, or leave out --journal";
            return Err(Error::new(Kind::DatabaseUnusable, what).with_hint(hint));
        }
        Ok(value)
    }

    /// The directory of the embedded store.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] without a home directory.
    pub fn store_dir(&self) -> Result<PathBuf> {
        let directory = self.environment.data_directory("the embedded store")?;
        Ok(directory.join("store"))
    }

    /// The default ledger of `upload serve`.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] without a home directory.
    pub fn ledger(&self) -> Result<PathBuf> {
        let remedy = "name another file with --ledger sqlite:FILE";
        let directory = self.environment.state_directory("the ledger", remedy)?;
        Ok(directory.join("gateway.db"))
    }

    /// The ledger of the environment. Unlike a flag, it may contain a password.
    ///
    /// # Errors
    /// [`Kind::Config`] for a value that is not UTF-8.
    pub fn ledger_variable(&self) -> Result<Option<String>> {
        self.environment.text("UPLOAD_LEDGER")
    }

    /// The password for a ledger without a password in its URL.
    ///
    /// # Errors
    /// [`Kind::Config`] for a value that is not UTF-8.
    pub fn postgres_password(&self) -> Result<Option<String>> {
        self.environment.text("PGPASSWORD")
    }

    /// Certificate authorities and proxy of every connection to another machine.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Config`] for a proxy that is not a URL, and for a file without
    /// certificates.
    pub fn network(&self, flags: &NetworkArgs) -> Result<Network> {
        let roots = match self.ca_cert_setting(flags) {
            Some(found) => read_roots(&found.value)?,
            None => Roots::default(),
        };
        let proxy = self.proxy_setting(flags)?.map(|found| found.value);
        Network::new(roots, proxy.as_ref().map(Proxy::expose)).map_err(|reason| {
            let what = format!("could not use the proxy: {reason}");
            Error::new(Kind::Config, what)
                .with_hint("name the proxy as http://, https://, socks5:// or socks5h://HOST:PORT")
        })
    }

    /// How to reach a backend and its store. Reads token and headers. A command calls it once,
    /// because they may come from a pipe.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Config`] for wrong values, and for files that cannot be read.
    pub fn connection(&self, flags: &ConnectionArgs) -> Result<Connection> {
        let token = self.token_setting(flags)?;
        self.warn_of_readers(token.as_ref(), flags);
        Ok(Connection {
            token: token::read(token.as_ref())?,
            token_file: token.and_then(|found| found.value.file()),
            network: self.network(&flags.network)?,
            stall_after: self.stall_after_setting(flags)?.map(|found| found.value),
            allow_insecure_http: self.allow_insecure_http_setting(flags).value,
            store_hosts: self.store_hosts_setting(flags)?.value,
            headers: self.headers_setting(flags)?.value,
            s3: self.s3(&flags.s3)?,
        })
    }

    /// Warns of files with a token or a header that other users can read.
    fn warn_of_readers(&self, token: Option<&Setting<TokenSource>>, flags: &ConnectionArgs) {
        let token_file = match token.map(|found| &found.value) {
            Some(TokenSource::File(path)) => Some((path.clone(), "the token")),
            _ => None,
        };
        let headers = self.header_files(flags).into_iter();
        let headers = headers.map(|path| (path, "the headers"));
        for (path, noun) in token_file.into_iter().chain(headers) {
            warn_if_others_can_read(&path, noun);
        }
    }

    /// The location of an `s3://` store.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Config`] for an endpoint that is not a URL, and for a region that
    /// is not UTF-8.
    pub fn s3(&self, flags: &S3Args) -> Result<S3> {
        Ok(S3 {
            endpoint: self.s3_endpoint_setting(flags)?.map(|found| found.value),
            region: self.s3_region_setting(flags)?.map(|found| found.value),
            path_style: self.s3_path_style_setting(flags).value,
            flags: S3Flags {
                endpoint: flags.s3_endpoint.is_some(),
                region: flags.s3_region.is_some(),
                path_style: flags.s3_path_style,
            },
        })
    }

    /// The settings of a transfer.
    ///
    /// # Errors
    /// [`Kind::Config`] for wrong values of the configuration file.
    pub fn transfer(&self, flags: &TransferArgs) -> Result<Transfer> {
        Ok(Transfer {
            jobs: match self.jobs_setting(flags.jobs)?.value {
                Jobs::Auto => None,
                Jobs::Count(count) => Some(count),
            },
            limit_rate: match self.limit_rate_setting(flags.limit_rate)?.value {
                LimitRate::None => None,
                LimitRate::At(rate) => Some(rate),
            },
            give_up_after: self
                .give_up_after_setting(flags.give_up_after)?
                .value
                .duration(),
            receipt: receipt_target(flags),
            sha256: flags.sha256,
            wait: match flags.wait {
                WaitState::Auto => WaitFor::ReadyIfHooks(flags.wait_timeout.duration()),
                WaitState::None => WaitFor::Verified,
                WaitState::Ready => WaitFor::Ready(flags.wait_timeout.duration()),
            },
        })
    }

    /// The settings of `put` alone. `files` are the paths without a destination, below the
    /// directory of `-C`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for flags that exclude each other; [`Kind::Config`] for a wrong value in the
    /// configuration file.
    pub fn put(&self, flags: &PutArgs, files: Vec<PathBuf>) -> Result<PutOptions> {
        let has_several = files.len() > 1 && !flags.stream.from_command;
        if flags.name.is_some() && (has_several || flags.selection.is_set()) {
            let what = "--name is for a single file, but several are given";
            let hint = "leave out --name, or put each file in a command of its own";
            return Err(Error::new(Kind::Usage, what).with_hint(hint));
        }
        let mut metadata = BTreeMap::new();
        for (key, value) in &flags.metadata {
            if metadata.insert(key.clone(), value.clone()).is_some() {
                return Err(Error::new(
                    Kind::Usage,
                    format!("--meta is given twice for {key}"),
                ));
            }
        }
        if metadata_bytes(&metadata) > MAX_METADATA_BYTES {
            let what = format!("--meta has more than {MAX_METADATA_BYTES} bytes in total");
            return Err(Error::new(Kind::Usage, what).with_hint(
                "shorten keys and values; values other than words of ASCII are counted in their \
                 encoded form",
            ));
        }
        Ok(PutOptions {
            paths: files,
            name: flags.name.clone(),
            part_size: self
                .part_size_setting(flags.part_size)?
                .map(|found| found.value),
            content_type: flags.content_type.clone(),
            metadata,
            attributes: Box::new(flags.attributes.attributes()?),
            key_style: self
                .key_style_setting(flags.key_style)?
                .map(|found| found.value),
            if_exists: match (flags.if_exists, flags.force) {
                (None, true) => IfExists::Overwrite,
                (flag, _) => exists_rule(self.if_exists_setting(flag)?.value),
            },
            if_changed: flags.if_changed,
            force: flags.force,
            key_form: if flags.no_normalize {
                KeyForm::AsGiven
            } else {
                KeyForm::Normalised
            },
            trust_journal: flags.trust_journal,
            dry_run: flags.dry_run,
        })
    }
}

fn exists_rule(rule: args::IfExists) -> IfExists {
    match rule {
        args::IfExists::Same => IfExists::Same,
        args::IfExists::Fail => IfExists::Fail,
        args::IfExists::Overwrite => IfExists::Overwrite,
        args::IfExists::Skip => IfExists::Skip,
        args::IfExists::Update => IfExists::Update,
    }
}

fn read_roots(path: &Path) -> Result<Roots> {
    let unusable = |reason: String| {
        let what = format!("could not use the certificates in {}", path.display());
        Error::new(Kind::Config, what)
            .with_source(reason)
            .with_hint("name a readable file of PEM certificates: --ca-cert FILE")
    };
    let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
    Roots::with_pem_bundle(&pem).map_err(unusable)
}

fn receipt_target(flags: &TransferArgs) -> Option<ReceiptTarget> {
    let target = |path: &PathBuf, mode| ReceiptTarget {
        path: path.clone(),
        mode,
    };
    let replaced = flags.receipt.as_ref();
    let appended = flags.receipt_append.as_ref();
    replaced
        .map(|path| target(path, ReceiptMode::Replace))
        .or_else(|| appended.map(|path| target(path, ReceiptMode::Append)))
}
