//! What was typed: every verb and flag with its help, and nothing decided yet.
//!
//! Border: the only file (with `args/serve`) that knows clap's derive; help, man page and completions all come from here.
//! Defaults, environment and configuration file are `settings`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which no Markdown reader sees"
)]

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};

use super::parse::{self, Jobs, LimitRate, Wait};
use crate::backend::StoreHost;
use crate::report::escape;

pub use clap::Command;

#[cfg(feature = "gateway")]
pub mod access;
pub mod from_file;
#[cfg(feature = "gateway")]
pub mod serve;
mod transfer;

pub use transfer::{Transfer, WaitState};

/// What the exit code of every verb means, as the help and the man page tell it.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  everything was uploaded and confirmed
    1  something else failed
    2  the command line is wrong
   65  a source changed while it was uploaded, or bytes were damaged
   66  no such source, or it cannot be read
   69  the backend cannot be used (another protocol, TLS)
   73  the journal cannot be created or opened
   74  reading or writing on this machine failed
   75  failed for now: run `upload resume`
   77  refused (token, or a policy of the backend)
   78  something has to be configured first
  129, 130, 143  ended by SIGHUP, SIGINT, SIGTERM; the journal is intact
With several sources: the code all failures share, 75 only if every failure is temporary, otherwise 1.";

/// Uploads files in parts, resumes what was interrupted, and proves what the store holds
#[derive(Parser)]
#[command(
    name = "upload",
    bin_name = "upload",
    version,
    after_help = EXIT_CODES,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

/// The whole command line as clap sees it.
pub fn command() -> Command {
    Args::command()
}

impl Args {
    /// The command line of this process. Help, version and what cannot be understood end the process here.
    #[must_use]
    pub fn typed() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let text = error.render().to_string();
            let plain: Vec<String> = text.lines().map(escape).collect();
            if plain.iter().map(String::as_str).eq(text.lines()) {
                error.exit();
            }
            // What was typed may be the name of somebody's file, by way of a pattern.
            let _ = writeln!(io::stderr(), "{}", plain.join("\n"));
            std::process::exit(error.exit_code());
        })
    }

    /// What a command line behind `upload` says, for tests.
    #[cfg(test)]
    pub(crate) fn of(line: &[&str]) -> Self {
        Self::try_parse_from([&["upload"], line].concat()).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Flags every verb takes.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The journal, which remembers uploads [env: UPLOAD_JOURNAL] [default: journal.db in the state directory]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub journal: Option<PathBuf>,
    /// Print JSON lines on standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Show errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Show what is done in more detail, on standard error; repeat for more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours; NO_COLOR, CLICOLOR and TERM=dumb are obeyed [default: auto]
    #[arg(long, global = true, value_name = "WHEN")]
    pub color: Option<When>,
    /// How to show progress: bars on a terminal, a line now and then elsewhere [default: auto]
    #[arg(long, global = true, value_name = "STYLE")]
    pub progress: Option<Progress>,
    /// The configuration file, TOML [default: config.toml, for serve serve.toml, in the configuration directory]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Use the table [profile.NAME] of the configuration file over its top level [env: UPLOAD_PROFILE]
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub profile: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Bars on a terminal, plain lines elsewhere
    Auto,
    /// Bars; on a terminal only
    Bar,
    /// A line at most every 10 seconds
    Plain,
    /// No progress; results, errors and a summary only
    None,
}

impl When {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// Reads what [`When::name`] gives.
    ///
    /// # Errors
    /// What can be written instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text, false).map_err(|_| "it is auto, always or never".to_owned())
    }
}

impl Progress {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bar => "bar",
            Self::Plain => "plain",
            Self::None => "none",
        }
    }

    /// Reads what [`Progress::name`] gives.
    ///
    /// # Errors
    /// What can be written instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text, false).map_err(|_| "it is auto, bar, plain or none".to_owned())
    }
}

#[derive(Subcommand)]
pub enum Verb {
    /// Upload files; an unfinished upload of the same file to the same backend is continued
    Put(Put),
    /// Continue unfinished uploads: those named, or all of them
    Resume(Resume),
    /// List the unfinished uploads in the journal
    List(List),
    /// Show one upload, part by part
    Status(Status),
    /// Give uploads up, here and in the store
    Abort(Abort),
    /// Forget finished uploads; list what the backend has begun and the journal does not know
    Prune(Prune),
    /// Write the bytes of an uploaded object to standard output
    Cat(Cat),
    /// Print a URL by which an uploaded object can be read
    Url(Url),
    /// Print the effective settings and where each comes from
    Config(Config),
    /// Run the gateway, which signs uploads for clients without storage credentials
    #[cfg(feature = "gateway")]
    Serve(Box<serve::Serve>),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the man page
    Man,
}

/// How to reach a backend and its store.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Read the API token from this file [env: UPLOAD_TOKEN (the token itself), UPLOAD_TOKEN_FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// A header for each call to the backend, or @FILE with one a line, which others cannot see; repeatable [default: none]
    ///
    /// For what stands before a backend and lets people in. It never goes to a store, and the journal does not keep it.
    #[arg(long = "header", value_name = "NAME: VALUE", value_hint = ValueHint::Other)]
    pub headers: Vec<String>,
    /// A store the signed URLs may name although it is private or has moved; repeatable [default: none]
    #[arg(long = "store-host", value_name = "HOST[:PORT]", value_parser = parse::store_host)]
    pub store_hosts: Vec<StoreHost>,
    /// Trust the certificates in this PEM file as well as the system's [default: none]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_cert: Option<PathBuf>,
    /// Connect through this proxy (http, https, socks5, socks5h) [default: HTTPS_PROXY and the like]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub proxy: Option<String>,
    /// Try again on another connection when nothing has moved on one for this long [default: 1m to 6m, by what is sent]
    ///
    /// A duration such as 20s. However slow, what moves is never given up. A connection whose other end no longer acknowledges
    /// anything is dead after 30s in any case.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub stall_after: Option<Duration>,
    /// Permit http:// backends and stores that are not on this machine [default: refused]
    #[arg(long)]
    pub allow_insecure_http: bool,
    #[command(flatten)]
    pub s3: S3,
}

/// Where an `s3://` store is.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "S3 (for s3:// only)")]
pub struct S3 {
    /// The S3 endpoint of s3:// stores [default: Amazon's for the region]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub s3_endpoint: Option<String>,
    /// The region of s3:// stores [default: AWS_REGION and the AWS configuration, else us-east-1]
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    pub s3_region: Option<String>,
    /// Put the bucket's name of s3:// stores into the path, not the host [default: into the host]
    #[arg(long)]
    pub s3_path_style: bool,
}

const BACKEND: &str = "\
Where to upload to [env: UPLOAD_BACKEND]

Forms:
  embedded             a gateway and a store in this process, under the data directory
  https://host[/base]  a gateway (`upload serve`)
  companion+https://host[/path]
                       an Uppy Companion with an S3 store, /s3 not included; it enforces and remembers less than a gateway
  s3://bucket[/prefix] a gateway in this process, with the usual AWS credentials; see --s3-endpoint, --s3-region, --s3-path-style

There is no default: without a backend the exit code is 78.";

#[derive(clap::Args)]
pub struct Put {
    /// The files to upload
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub paths: Vec<PathBuf>,
    /// Where to upload to [env: UPLOAD_BACKEND]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, long_help = BACKEND)]
    pub backend: Option<String>,
    /// The object's name, for a single source; 1 to 200 characters [default: the file's name]
    #[arg(long, value_parser = parse::name)]
    pub name: Option<String>,
    /// Bytes in a part, 5MiB to 5GiB [default: 8MiB, more where the file needs it]
    ///
    /// 8M is 8,000,000 bytes, 8MiB is 8,388,608, a bare number counts bytes. By default 8MiB, growing with the file so
    /// that the number of parts the store takes suffices.
    #[arg(long, value_name = "SIZE", value_parser = parse::part_size)]
    pub part_size: Option<u64>,
    /// The content type [default: by the name's ending, else application/octet-stream]
    #[arg(long, value_name = "TYPE", value_parser = parse::content_type)]
    pub content_type: Option<String>,
    /// Metadata kept with the object; repeatable [default: none]
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = parse::metadata)]
    pub metadata: Vec<(String, String)>,
    /// What to do when a source changes while it is uploaded; restart at most 3 times
    #[arg(long, value_name = "ACTION", default_value = "fail")]
    pub if_changed: IfChanged,
    /// Upload a new object even if this very file is already there
    #[arg(long, alias = "again")]
    pub force: bool,
    /// Show what would be sent (files, parts, bytes, what is already there) and send nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub transfer: Transfer,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IfChanged {
    /// Exit with 65
    Fail,
    /// Begin again with the file as it is now
    Restart,
}

#[derive(clap::Args)]
pub struct Resume {
    /// Uploads by id, or the files they are of [default: everything unfinished]
    #[arg(value_name = "ID|PATH", value_hint = ValueHint::FilePath)]
    pub uploads: Vec<OsString>,
    /// Only uploads to this backend [default: to any]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    #[command(flatten)]
    pub transfer: Transfer,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(clap::Args)]
pub struct List {
    /// Finished uploads too
    #[arg(long)]
    pub all: bool,
    /// Orphans too: uploads under way at the backend that the journal does not know
    #[arg(long)]
    pub orphans: bool,
    /// The backend whose orphans are meant [default: as for put]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(clap::Args)]
pub struct Prune {
    /// Only what ended longer ago than this, such as 30d [default: all that has ended]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub older_than: Option<Duration>,
    /// The backend whose orphans are listed [default: as for put; without one, none are]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(clap::Args)]
pub struct Status {
    /// The upload
    #[arg(value_name = "ID")]
    pub id: String,
    /// Ask the backend what it holds
    #[arg(long)]
    pub remote: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(clap::Args)]
pub struct Abort {
    /// The uploads to give up
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// The backend of uploads that the journal does not know [default: as for put]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(clap::Args)]
pub struct Cat {
    /// The upload
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(clap::Args)]
pub struct Url {
    /// The upload
    #[arg(value_name = "ID")]
    pub id: String,
    /// How long the URL is to live, such as 15m or 7d [default: as the backend sees fit]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub expires: Option<Duration>,
    #[command(flatten)]
    pub connection: Connection,
}

/// The settings that have a key of their own in the configuration file can be tried out here as flags.
#[derive(clap::Args)]
pub struct Config {
    /// As for put
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    /// As for put
    #[arg(long, value_name = "SIZE", value_parser = parse::part_size)]
    pub part_size: Option<u64>,
    /// As for put
    #[arg(long, value_name = "N|auto", value_parser = parse::jobs)]
    pub jobs: Option<Jobs>,
    /// As for put
    #[arg(long, value_name = "RATE", value_parser = parse::limit_rate)]
    pub limit_rate: Option<LimitRate>,
    /// As for put
    #[arg(long, value_name = "DURATION", value_parser = parse::wait)]
    pub give_up_after: Option<Wait>,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(clap::Args)]
pub struct Completions {
    pub shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &[&str]) -> i32 {
        Args::try_parse_from(line).err().unwrap().exit_code()
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_wrong_command_line_exits_with_2() {
        assert_eq!(refused(&["upload"]), 2);
        assert_eq!(refused(&["upload", "put"]), 2);
        assert_eq!(refused(&["upload", "put", "f", "--part-size", "1MiB"]), 2);
        assert_eq!(refused(&["upload", "put", "f", "--jobs", "0"]), 2);
        assert_eq!(refused(&["upload", "put", "f", "--limit-rate", "0"]), 2);
        assert_eq!(
            refused(&["upload", "put", "f", "--give-up-after", "soon"]),
            2
        );
        assert_eq!(refused(&["upload", "put", "f", "--token", "secret"]), 2);
    }

    #[test]
    fn global_flags_stand_before_or_behind_the_verb() {
        for line in [
            ["upload", "--json", "put", "f"],
            ["upload", "put", "f", "--json"],
        ] {
            assert!(Args::try_parse_from(line).ok().unwrap().global.json);
        }
    }

    #[test]
    fn the_exit_codes_stand_in_the_help() {
        assert!(
            command()
                .render_help()
                .to_string()
                .contains("75  failed for now")
        );
    }
}
