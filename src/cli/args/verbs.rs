//! The arguments of each verb, except `serve`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which are not Markdown"
)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use serde::{Deserialize, Serialize};

use super::attributes::AttributeArgs;
use super::connection::{ConnectionArgs, QueryArgs};
use super::selection::SelectionArgs;
use super::stream::StreamArgs;
use super::transfer::TransferArgs;
use crate::cli::parse::{self, DurationOrNever, Jobs, LimitRate};

const BACKEND: &str = "\
The backend to upload to [env: UPLOAD_BACKEND]

Forms:
  embedded: a store on this machine, to try things out
  https://host[/base]: a gateway (`upload serve`), with its token
  s3://bucket[/prefix]: an S3 bucket, with the usual AWS credentials
  companion+https://host[/path]: an Uppy Companion with an S3 store; the path without /s3

There is no default: without a backend the exit code is 78.";

const PUT_EXAMPLES: &str = "\
Examples:
  Store a file on this machine:
    upload put film.mov --backend embedded
  Upload to a gateway:
    upload put film.mov --backend https://uploads.example.org --token-file token
  Upload to a bucket directly, with the usual AWS credentials:
    upload put film.mov s3://media/in/ --s3-region eu-central-1
  Upload a release under a fixed key; run again, it sends nothing:
    upload put app.tar.gz s3://downloads/releases/1.2.3/
  Upload from a script, and keep events and receipts:
    upload put dist/*.tar.gz --json --receipt receipts.jsonl >events.jsonl
  Choose headers and tags of the object:
    upload put site.css --cache-control 'max-age=3600, public' --tag team=web
  Upload a web site, and replace the objects that differ:
    upload put -r site/. s3://media/web/ --if-exists update
  Upload a directory, and later what is new or changed in it:
    upload put -r card --exclude-junk --backend s3://media/in
  Upload everything in a directory, without its name in the keys:
    upload put -r -C card . s3://media/2026-11-29/
  Upload the files that a list names, one in each line:
    upload put --files-from list.txt
  Upload the output of a pipe:
    pg_dump db | zstd | upload put - --name db.sql.zst
  Upload the output of a command, only if it succeeds:
    upload put --name db.sql --from-command -- pg_dump db
  Continue after an interruption:
    upload resume";

const RESUME_EXAMPLES: &str = "\
Examples:
  Continue everything that is unfinished:
    upload resume
  Continue a directory that was put with -r:
    upload resume card
  Continue one file, and wait for the checks of the backend:
    upload resume film.mov --wait ready
  Continue the uploads to one backend, with its token:
    upload resume --backend https://uploads.example.org --token-file token";

const LIST_EXAMPLES: &str = "\
Examples:
  List the unfinished uploads:
    upload list
  List the unfinished uploads of a directory that was put with -r:
    upload list card
  List finished uploads too, for a script:
    upload list --all --json
  List uploads of a backend that the journal does not know:
    upload list --orphans --backend s3://media/in";

const PRUNE_EXAMPLES: &str = "\
Examples:
  Remove uploads that finished more than a month ago from the journal:
    upload prune --older-than 30d";

const STATUS_EXAMPLES: &str = "\
Examples:
  Show the upload of a file:
    upload status film.mov
  Ask the backend too, and show the SHA-256 of each part:
    upload status film.mov --remote --parts";

const ABORT_EXAMPLES: &str = "\
Examples:
  End the unfinished upload of a file:
    upload abort film.mov
  End an orphan, by its id:
    upload abort 0198c0de-5f3a-7c21-9b7e-3d1f0a6b2c84 --backend https://uploads.example.org";

const CAT_EXAMPLES: &str = "\
Examples:
  Read an object back, and verify it:
    upload cat film.mov >copy.mov";

const URL_EXAMPLES: &str = "\
Examples:
  Make a link that is valid for a week:
    upload url film.mov --expires 7d";

const CONFIG_EXAMPLES: &str = "\
Examples:
  Show the settings, their origins, and the configuration file:
    upload config
  Show what a flag would change:
    upload config --jobs 8";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  Install the completions of bash:
    upload completions bash >~/.local/share/bash-completion/completions/upload
  Install the completions of fish:
    upload completions fish >~/.config/fish/completions/upload.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  Read the page of a verb:
    upload man put | man -l -
  Install all pages:
    upload man --dir ~/.local/share/man/man1";

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(after_help = PUT_EXAMPLES)]
pub struct PutArgs {
    /// The files to upload, and with -r the directories; - for standard input; the last argument
    /// may be a destination: s3://BUCKET/PREFIX/ or s3://BUCKET/KEY
    ///
    /// A destination is the bucket of --backend and a key: with a slash at its end, with several
    /// files or with -r, it is the prefix of their keys, as with --prefix; otherwise it is the key
    /// of the file, as with --key. It begins with s3://; name other backends with --backend. With
    /// --from-command, the arguments are the words of the command.
    #[arg(
        required_unless_present_any = ["files_from", "map"],
        value_name = "FILE",
        value_hint = ValueHint::AnyPath
    )]
    pub paths: Vec<PathBuf>,
    /// The backend to upload to [env: UPLOAD_BACKEND]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, long_help = BACKEND)]
    pub backend: Option<String>,
    /// The file name that the backend records, for a single file [default: the name of the file]
    ///
    /// 1 to 200 characters without a slash. Downloads get this name. It replaces the name of the
    /// file in keys, too; see --key-style.
    #[arg(long, value_parser = parse::file_name)]
    pub name: Option<String>,
    /// The key of the object, for a single file
    ///
    /// Below the prefix of the backend. 1 to 1024 bytes of UTF-8 with that prefix, without a slash
    /// at its start, without empty, `.` or `..` segments, and without control characters; it is
    /// normalised (NFC), unless --no-normalize is given. A bucket and embedded accept every key
    /// except those below `uploads/probe/` and the client's own `uploads/SEGMENT/`; a gateway
    /// accepts the keys that its operator permits to the token; a Companion makes the keys itself.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["prefix", "key_style"])]
    pub key: Option<String>,
    /// Put each object at this prefix, a slash, and the name of its file
    ///
    /// As --key otherwise. Two files with the same key are exit code 2.
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// The key without --key and --prefix [default: name for s3://, otherwise uuid]
    #[arg(long, value_name = "STYLE")]
    pub key_style: Option<KeyStyle>,
    /// Keep the bytes of names in keys, instead of normalising them (NFC)
    ///
    /// For s3:// and embedded. A gateway compares keys with patterns, and always normalises them:
    /// the flag is an error there. In names, control characters and bytes that are not UTF-8 are
    /// replaced nevertheless.
    #[arg(long)]
    pub no_normalize: bool,
    /// What to do if there is an object at the key already [default: same]
    ///
    /// For keys that this command chooses. If the store checks conditions of writes, no other
    /// program can put an object between this check and the end of the upload; if it does not, the
    /// receipt has `condition` in the field `unproven`.
    #[arg(long, value_name = "RULE")]
    pub if_exists: Option<IfExists>,
    /// The size of a part, 5MiB to 5GiB [default: 8MiB, more for very large files]
    ///
    /// 8M is 8,000,000 bytes, 8MiB is 8,388,608, a bare number counts bytes. The default grows with
    /// the file so that the store accepts the number of parts.
    #[arg(long, value_name = "SIZE", value_parser = parse::part_size)]
    pub part_size: Option<u64>,
    /// The content type [default: from the extension of the name, else application/octet-stream]
    #[arg(long, value_name = "TYPE", value_parser = parse::content_type)]
    pub content_type: Option<String>,
    /// Store metadata with the object; repeatable. Keys become lower case, as in S3
    ///
    /// Keys have letters, digits, dashes and underscores; values are any text without control
    /// characters. A value other than words of ASCII is stored as encoded words (RFC 2047), as
    /// other S3 tools do. Keys and values have at most 2 KiB.
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = parse::metadata)]
    pub metadata: Vec<(String, String)>,
    #[command(flatten)]
    pub attributes: Box<AttributeArgs>,
    /// What to do if a file changes during its upload
    #[arg(long, value_name = "ACTION", default_value = "fail")]
    pub if_changed: IfChanged,
    /// Upload a new object even if the same file version is already uploaded
    ///
    /// Without --if-exists, it also replaces an object that is at the key.
    #[arg(long, alias = "again")]
    pub force: bool,
    /// Report a file as uploaded if the journal has it as uploaded, without asking the store
    ///
    /// For a file whose size and times are those of its upload. If its object was removed or
    /// replaced since, also by another file of this journal, the command does not notice it.
    /// Summary and events say that the store was not asked. A receipt is a proof, so --receipt is
    /// an error. A backend with hooks is asked nevertheless, unless --wait none is given. `upload
    /// resume` always asks.
    #[arg(long, conflicts_with_all = ["receipt", "receipt_append", "force"])]
    pub trust_journal: bool,
    /// Show what would be sent (files, keys, parts, bytes, and what is already stored), and send
    /// nothing
    ///
    /// Only the journal and the uploads in it show what is already stored. The backend is not asked
    /// about objects that other machines or programs have put at a key. Parts that the store can
    /// copy from earlier uploads count as sent.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub stream: StreamArgs,
    #[command(flatten)]
    pub transfer: TransferArgs,
    #[command(flatten)]
    pub selection: SelectionArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfChanged {
    /// Exit with code 65
    Fail,
    /// Begin again with the new content, at most 3 times
    Restart,
}

/// The key of an object that no other flag chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStyle {
    /// The name of the file
    Name,
    /// The backend makes a new key for each upload
    Uuid,
}

impl KeyStyle {
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Uuid => "uuid",
        }
    }

    /// Parses a text that [`KeyStyle::name`] returns.
    ///
    /// # Errors
    /// The texts that are accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text, false).map_err(|_| "it must be name or uuid".to_owned())
    }
}

/// What to do about an object at the key of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IfExists {
    /// Compare it with the file: the same content is already uploaded; another one, or another
    /// value of a named attribute, is exit code 77
    Same,
    /// Exit with code 77
    Fail,
    /// Replace it
    Overwrite,
    /// Leave the file out, and exit with code 0
    Skip,
    /// Compare it with the file: replace it if its content, or a named attribute, differs, or if it
    /// cannot be compared
    Update,
}

impl IfExists {
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Fail => "fail",
            Self::Overwrite => "overwrite",
            Self::Skip => "skip",
            Self::Update => "update",
        }
    }

    /// Parses a text that [`IfExists::name`] returns.
    ///
    /// # Errors
    /// The texts that are accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |_| "it must be same, fail, overwrite, skip or update".to_owned();
        Self::from_str(text, false).map_err(wrong)
    }
}

#[derive(Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct ResumeArgs {
    /// Uploads and sets to continue, by id, by file or by directory [default: all that are
    /// unfinished]
    ///
    /// A set has the files of one put with -r, --files-from or --map. Its files are searched for
    /// again, and those that are not uploaded are sent. A set whose list was standard input cannot
    /// be continued: run its command again.
    #[arg(value_name = "ID|FILE|DIR", value_hint = ValueHint::AnyPath)]
    pub uploads: Vec<OsString>,
    /// Continue uploads to this backend only [default: uploads to any backend]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    #[command(flatten)]
    pub transfer: TransferArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = LIST_EXAMPLES)]
pub struct ListArgs {
    /// List the uploads of these sets, by id or by directory [default: all sets and uploads]
    ///
    /// A set has the files of one put with -r, --files-from or --map. Without an argument and
    /// without --all, one line is printed for each unfinished set, and its uploads have none.
    #[arg(value_name = "SET|DIR", value_hint = ValueHint::DirPath)]
    pub sets: Vec<OsString>,
    /// List finished sets and uploads too
    #[arg(long)]
    pub all: bool,
    /// Print one line per set and upload, for completions: id, tab, state and name
    #[arg(long, hide = true, conflicts_with_all = ["orphans", "sets"])]
    pub ids: bool,
    /// List orphans too: uploads that the backend has in progress and the journal does not know
    #[arg(long, conflicts_with = "sets")]
    pub orphans: bool,
    /// The backend for --orphans [env: UPLOAD_BACKEND]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    #[command(flatten)]
    pub query: QueryArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = PRUNE_EXAMPLES)]
pub struct PruneArgs {
    /// Keep uploads that finished less than this long ago, such as 30d [default: keep none]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub older_than: Option<Duration>,
    /// Remove nothing, and print what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Also list the uploads that the backend has in progress and the journal does not know
    #[arg(long)]
    pub orphans: bool,
    /// The backend for --orphans; this flag implies --orphans, the variable does not [env:
    /// UPLOAD_BACKEND]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    #[command(flatten)]
    pub query: QueryArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct StatusArgs {
    /// The upload, by upload id or by file
    #[arg(value_name = "ID|FILE", value_hint = ValueHint::FilePath)]
    pub upload: OsString,
    /// Ask the backend for its view of the upload
    #[arg(long)]
    pub remote: bool,
    /// Show each part with its SHA-256; JSON always includes the parts
    #[arg(long)]
    pub parts: bool,
    #[command(flatten)]
    pub query: QueryArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = ABORT_EXAMPLES)]
pub struct AbortArgs {
    /// The uploads to abort, by upload id or by file; or sets, by id or by directory
    ///
    /// The unfinished uploads of a set are aborted, and the set is removed from the journal.
    #[arg(required = true, value_name = "ID|FILE|DIR", value_hint = ValueHint::AnyPath)]
    pub uploads: Vec<OsString>,
    /// The backend of uploads that the journal does not know [env: UPLOAD_BACKEND]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    #[command(flatten)]
    pub query: QueryArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = CAT_EXAMPLES)]
pub struct CatArgs {
    /// The upload, by upload id or by file
    #[arg(value_name = "ID|FILE", value_hint = ValueHint::FilePath)]
    pub upload: OsString,
    #[command(flatten)]
    pub query: QueryArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = URL_EXAMPLES)]
pub struct UrlArgs {
    /// The upload, by upload id or by file
    #[arg(value_name = "ID|FILE", value_hint = ValueHint::FilePath)]
    pub upload: OsString,
    /// Ask this gateway instead of the backend of the upload
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    /// How long the URL is valid, such as 15m or 7d, at most 7d [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub expires: Option<Duration>,
    #[command(flatten)]
    pub query: QueryArgs,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Settings with a key in the configuration file can be tried here as flags.
#[derive(Args)]
#[command(after_help = CONFIG_EXAMPLES)]
pub struct ConfigArgs {
    /// As for put [env: UPLOAD_BACKEND]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub backend: Option<String>,
    /// As for put
    #[arg(long, value_name = "SIZE", value_parser = parse::part_size)]
    pub part_size: Option<u64>,
    /// As for put [default: name for s3://, otherwise uuid]
    #[arg(long, value_name = "STYLE")]
    pub key_style: Option<KeyStyle>,
    /// As for put [default: same]
    #[arg(long, value_name = "RULE")]
    pub if_exists: Option<IfExists>,
    /// As for put [default: auto]
    #[arg(long, value_name = "N|auto", value_parser = parse::jobs)]
    pub jobs: Option<Jobs>,
    /// As for put [env: UPLOAD_LIMIT_RATE] [default: none]
    #[arg(long, value_name = "RATE", value_parser = parse::limit_rate)]
    pub limit_rate: Option<LimitRate>,
    /// As for put [default: never at a terminal, otherwise 15m]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration_or_never)]
    pub give_up_after: Option<DurationOrNever>,
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
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

#[derive(Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// The verb whose page is printed, such as put or serve token add [default: the page upload(1)]
    #[arg(value_name = "VERB", conflicts_with = "dir")]
    pub verb: Vec<String>,
    /// Write every page into this directory instead
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}
