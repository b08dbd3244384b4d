//! The arguments of `upload serve` and of the verbs below it.
//!
//! Not here: their meaning for the gateway (`cli/serve`).

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which are not Markdown"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{Arg, Args, Subcommand, ValueEnum, ValueHint};

use super::access::AccessArgs;
use super::connection::{NetworkArgs, S3Args};
use crate::cli::parse::{self, DurationOrNever, Since};
use upload_types::attributes::Attribute;
use upload_types::wire::UploadState;

/// The value of `--allow-attribute` for every attribute.
pub const ALL_ATTRIBUTES: &str = "all";

const SERVE_EXAMPLES: &str = "\
Examples:
  Try a gateway with a store on this machine:
    upload serve
  Run a gateway for a bucket, with a token for one client:
    upload serve token add alice >alice.token
    upload serve --listen 0.0.0.0:8080 --auth tokens \\
        --public-url https://uploads.example.org --store s3://media/in
  Check a configuration file, and test what the store enforces:
    upload serve --config serve.toml --check
    upload serve --config serve.toml --probe";

const SWEEP_EXAMPLES: &str = "\
Examples:
  Print what a sweep would do:
    upload serve sweep --config serve.toml --dry-run
  Sweep once, with the configuration of the gateway:
    upload serve sweep --config serve.toml";

const REMOVE_EXAMPLES: &str = "\
Examples:
  Remove a finished upload, with the configuration of the gateway:
    upload serve rm --config serve.toml ID";

const UPLOADS_EXAMPLES: &str = "\
Examples:
  List the unfinished uploads of one owner:
    upload serve uploads --owner alice --state uploading --ledger sqlite:gateway.db
  Sum the bytes of the ready uploads that began in the last 24 hours, with jq:
    upload serve uploads --state ready --since 24h --json | jq -s 'map(.size) | add'";

const USAGE_EXAMPLES: &str = "\
Examples:
  List the owners with the most stored bytes, with jq:
    upload serve usage --json | jq -s 'sort_by(-.stored.bytes) | .[:10]'";

const OWNERS_EXAMPLES: &str = "\
Examples:
  Find the owner of a key, by the segment in it:
    upload serve owners --config serve.toml | grep qv6s";

const PRUNE_EXAMPLES: &str = "\
Examples:
  Count the records that could be deleted:
    upload serve prune --ledger sqlite:/var/lib/upload/gateway.db --dry-run
  Keep those of the last week only:
    upload serve prune --ledger sqlite:/var/lib/upload/gateway.db --older-than 7d";

const TOKEN_ADD_EXAMPLES: &str = "\
Examples:
  Make a token in a file that only its owner can read:
    (umask 077; upload serve token add laptop >laptop.token)
  Use it, on the machine of the client:
    upload put film.mov --backend https://uploads.example.org --token-file laptop.token
  Make a token for at most 10 GiB of videos:
    upload serve token add camera --quota total=10GiB --allow-type 'video/*' >camera.token";

const TOKEN_LIST_EXAMPLES: &str = "\
Examples:
  List the tokens of a gateway with a ledger of its own:
    upload serve token list --ledger sqlite:/var/lib/upload/gateway.db";

const TOKEN_REVOKE_EXAMPLES: &str = "\
Examples:
  Revoke a token, by the id in the list:
    upload serve token revoke 5f3a7c219b7e3d1f";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    #[command(subcommand)]
    pub verb: Option<ServeVerb>,
    #[command(flatten)]
    pub options: ServeOptions,
}

impl ServeArgs {
    /// The flags that this command uses: those of the verb, if it has the flags of a gateway.
    #[must_use]
    pub fn used_options(&self) -> &ServeOptions {
        match &self.verb {
            Some(ServeVerb::Sweep(sweep)) => &sweep.options,
            Some(ServeVerb::Rm(remove)) => &remove.options,
            _ => &self.options,
        }
    }

    pub fn used_options_mut(&mut self) -> &mut ServeOptions {
        match &mut self.verb {
            Some(ServeVerb::Sweep(sweep)) => &mut sweep.options,
            Some(ServeVerb::Rm(remove)) => &mut remove.options,
            _ => &mut self.options,
        }
    }
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct ServeOptions {
    /// The address to listen on; port 0 takes a free one, which is printed on standard error
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The base of the URLs that clients get; terminate TLS at a reverse proxy [default: the
    /// address of --listen]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub public_url: Option<String>,
    /// Serve metrics (Prometheus), health and readiness on this address, without authentication
    /// [default: not served]
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics_listen: Option<SocketAddr>,
    /// The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials
    ///
    /// embedded is an S3-compatible store on the same listener, by default below the data
    /// directory. s3:// is any S3-compatible service; see --s3-endpoint, --s3-region and
    /// --s3-path-style.
    #[arg(long, value_name = "STORE", default_value = "embedded")]
    pub store: String,
    /// The endpoint in the URLs that clients get, if they reach the store by another address than
    /// the gateway, such as https://s3.example.com while the gateway uses http://minio:9000
    /// [default: that of --s3-endpoint]
    ///
    /// The proxy at this address must keep path and Host, which signatures cover. At start, the
    /// gateway sends one request to it, and logs a warning if it cannot reach it.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub s3_public_endpoint: Option<String>,
    #[command(flatten)]
    pub ledger: LedgerArgs,
    /// Write the endpoint and the keys of the embedded store to this file (mode 0600), for other S3
    /// clients
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub store_credentials: Option<PathBuf>,
    /// The embedded store also accepts presigned PUTs whose length is not signed, as SDKs make
    /// them; such a URL permits up to 5 GiB
    #[arg(long)]
    pub store_presigned_puts: bool,
    /// An accepted content type, as a glob; repeatable
    #[arg(long = "allow-type", value_name = "GLOB", default_value = "*/*", value_parser = NonEmptyStringValueParser::new())]
    pub allow_types: Vec<String>,
    /// An attribute that clients may choose for their objects, or all; repeatable [default: none]
    ///
    /// Clients choose them with flags of `upload put`: --cache-control and so on. An attribute that
    /// --required-header sets for every object cannot be changed by a client, and --sse cannot be
    /// weakened.
    #[arg(long = "allow-attribute", value_name = "NAME", value_parser = attribute_names())]
    pub allow_attributes: Vec<String>,
    /// Let clients choose the keys of their objects, as far as they match a pattern of the client's
    /// token (serve token add --keys) or of the keys of --limits
    ///
    /// Without a pattern, an owner chooses no keys. If there is an object at a key, only a client
    /// that asks for it replaces the object, and only the one that was there when its upload began.
    /// Owners whose patterns match the same key share its object. With --hook, no object is
    /// replaced. The credentials of the store need s3:ListBucket.
    #[arg(long)]
    pub client_keys: bool,
    /// The largest accepted upload, such as 50GiB [default: the limit of the store]
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    pub max_size: Option<u64>,
    /// The minimum validity of a signed URL; URLs of large parts are valid longer
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse::duration)]
    pub url_ttl: Duration,
    /// How long an unfinished upload is kept after the last call about it
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse::duration)]
    pub upload_ttl: Duration,
    /// How long a client may be silent before another may take over its upload; clients call every
    /// 20s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse::duration)]
    pub lease: Duration,
    /// How long the ledger keeps a record of uploads that were aborted, rejected or have expired;
    /// with the value never, they are never deleted
    ///
    /// Ready uploads are kept, and so is an upload of which an object stays in the store. The sweep
    /// deletes the records. See `upload serve prune`.
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse::duration_or_never)]
    pub keep_ended: DurationOrNever,
    /// How often to end abandoned uploads (expired ones and unfinished completes); with the value
    /// never, only other gateways do it
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse::duration_or_never)]
    pub sweep_every: DurationOrNever,
    /// Receive events from the store: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: no
    /// events]
    ///
    /// An event makes the gateway check one object at once, even if its client has ended. A queue
    /// is read with the AWS credentials of the store; a webhook must send the secret of
    /// --events-secret-file in the Authorization header.
    #[arg(long, value_name = "EVENTS", value_parser = NonEmptyStringValueParser::new())]
    pub events: Option<String>,
    /// The secret that the webhook of --events must send: one line of visible ASCII
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub events_secret_file: Option<PathBuf>,
    /// Serve the upload routes of Uppy Companion below this path, / or /companion [default: not
    /// served]
    ///
    /// Clients authenticate as for the API: with the Authorization header or, if they cannot send
    /// headers, with the path /t/TOKEN below this one. Browsers send no SHA-256: receipts have
    /// `proof: none`.
    #[arg(long, value_name = "PATH")]
    pub companion: Option<String>,
    /// Let pages of this origin, such as https://app.example.com, call the gateway and its embedded
    /// store; repeatable
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub allow_origins: Vec<String>,
    /// The base URL for reading objects, such as https://cdn.example.com [default: read URLs are
    /// presigned]
    ///
    /// Locations and read URLs are this URL followed by the key of the object; they do not expire.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub cdn: Option<String>,
    /// A check that each upload must pass before it is ready: a program or a webhook; repeatable,
    /// run in the given order
    ///
    /// exec:PROGRAM, an absolute path, is run without a shell and gets the upload as JSON on
    /// standard input; exit code 0 accepts, 10 rejects, any other code is retried. A URL gets the
    /// same JSON by POST, signed. NAME= names the hook; the default is the name of the program or
    /// the host.
    #[arg(long = "hook", value_name = "[NAME=]exec:PROGRAM|URL")]
    pub hooks: Vec<String>,
    /// One more argument for the program of the hook NAME; repeatable
    #[arg(long = "hook-arg", value_name = "NAME=ARG")]
    pub hook_args: Vec<String>,
    /// Sign webhooks with the secret in this file, at least 16 characters; required for webhooks
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub hook_secret_file: Option<PathBuf>,
    /// How long a hook may take for one upload
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse::duration)]
    pub hook_timeout: Duration,
    /// What to do with an object that a hook rejects: delete, keep, or quarantine:PREFIX
    #[arg(long, value_name = "ACTION", default_value = "delete")]
    pub on_reject: String,
    /// Let clients delete the objects of their finished uploads (`upload rm`); this also frees
    /// their quota
    #[arg(long)]
    pub client_delete: bool,
    /// Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: that of
    /// the bucket]
    #[arg(long, value_name = "SSE", value_parser = NonEmptyStringValueParser::new())]
    pub sse: Option<String>,
    /// A header that the bucket requires when an object is created; repeatable
    #[arg(long = "required-header", value_name = "NAME: VALUE", value_parser = parse::header)]
    pub required_headers: Vec<(String, String)>,
    /// Whether to test at the start that the store refuses a wrong body and a wrong length
    ///
    /// The result is kept in the ledger and used for 24 hours.
    #[arg(long, value_name = "MODE", default_value = "require")]
    pub store_probe: ProbeMode,
    /// The check that the store must enforce on each part; receipts name it as their proof
    #[arg(long, value_name = "CHECKSUM", default_value = "auto")]
    pub store_checksum: ChecksumMode,
    /// After a signal to stop, keep serving for this long while /readyz responds with 503 [default:
    /// stop at once]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub drain: Option<Duration>,
    /// The format of the log on standard error; -v adds a line for each request
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Check flags and configuration file, open nothing, and exit
    #[arg(long)]
    pub check: bool,
    /// Test everything that the store may enforce, print the results and their consequences, and
    /// exit; sends about 11 MiB
    ///
    /// The test objects are deleted. The results are kept in the ledger for the next start. The
    /// exit code is 78 if the gateway would not start with this store.
    #[arg(long, conflicts_with = "check")]
    pub probe: bool,
    /// The origins of values that are not on the command line.
    #[arg(skip)]
    pub origins: Vec<ValueOrigin>,
    #[command(flatten)]
    pub access: Box<AccessArgs>,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub s3: S3Args,
}

/// The origin of the value of a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueOrigin {
    /// The flag with its hyphens.
    pub flag: String,
    /// A file or a variable of the environment.
    pub origin: String,
}

#[derive(Clone, Args)]
pub struct LedgerArgs {
    /// The ledger: sqlite, sqlite:FILE, postgres://USER@HOST/DATABASE, or @FILE with one of these
    /// [env: UPLOAD_LEDGER] [default: sqlite, gateway.db in the state directory]
    ///
    /// With SQLite, gateways of one machine share one file; with PostgreSQL, any number of gateways
    /// share uploads. Pass a password in PGPASSWORD, or in the URL in UPLOAD_LEDGER or @FILE, not
    /// as an argument. A URL in @FILE is read again for each new connection. Several servers are
    /// HOST:PORT,HOST:PORT: the gateway uses the one that accepts writes. Connections to other
    /// machines use TLS and verify the certificate (an additional root: ?sslrootcert=FILE), unless
    /// the URL contains ?sslmode=disable.
    #[arg(long, value_name = "LEDGER")]
    pub ledger: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProbeMode {
    /// Do not start if the store accepts them
    Require,
    /// Log a warning and start
    Warn,
    /// Do not test
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChecksumMode {
    /// The strongest that the probe found
    Auto,
    /// The header x-amz-checksum-sha256, signed
    Sha256,
    /// The SHA-256 as the payload hash of the signature
    Payload,
    /// The header Content-MD5, signed
    Md5,
    /// Nothing
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Subcommand)]
pub enum ServeVerb {
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Token(TokenVerb),
    /// List the uploads of all owners, in the order in which they began
    ///
    /// Reads the ledger, also while gateways use it. On a terminal, each upload has a line, and
    /// lines for owner and name. Otherwise each upload is one line: id, state, bytes, time of the
    /// begin (UTC), segment of the owner, name.
    #[command(after_help = UPLOADS_EXAMPLES)]
    Uploads(UploadsArgs),
    /// List each owner's uploads and bytes: unfinished, stored and ended
    ///
    /// Reads the ledger, also while gateways use it. Stored are verified and ready uploads, ended
    /// are rejected, aborted and expired ones. Columns: open uploads and their bytes, stored
    /// uploads and their bytes, ended uploads, subject of the owner.
    #[command(after_help = USAGE_EXAMPLES)]
    Usage {
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// List owners: segment, first and last use, subject
    ///
    /// The segment is a part of the keys of an owner's uploads. The subject is token:NAME for
    /// tokens of that name, `jwt:ISSUER CLAIM` for tokens of an issuer, or `local`. The last use is
    /// behind by a minute at most.
    #[command(after_help = OWNERS_EXAMPLES)]
    Owners {
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Sweep once, print what was done, and exit; running gateways need not be stopped
    ///
    /// Pass the configuration of the gateways, by --config or by the same flags: lifetimes, hooks
    /// and the treatment of rejected objects apply here too. The sweep decides whether unfinished
    /// completes succeeded, ends uploads that expired or are being aborted, and removes their parts
    /// and objects from the store. It walks through all objects below the prefix, removes those of
    /// ended uploads, and counts for the quotas what the store has; --dry-run leaves out the walk.
    /// Multipart uploads that the ledger does not know are only printed. A gateway that uses an
    /// embedded store must be stopped. With --check, nothing is swept.
    #[command(mut_args(|arg| hide_unused(arg)))]
    Sweep(SweepArgs),
    /// Remove uploads of any owner with their objects, and exit; running gateways need not be
    /// stopped
    ///
    /// Pass the configuration of the gateways, by --config or by the same flags. Finished uploads
    /// and rejected objects that were kept are deleted in the store, and their bytes no longer
    /// count towards the quota of their owner. Unfinished uploads are aborted. A gateway that uses
    /// an embedded store must be stopped. With --check, nothing is removed.
    #[command(mut_args(|arg| hide_unused(arg)))]
    Rm(RemoveArgs),
    /// Delete the records of old uploads from the ledger, and release their space
    ///
    /// Uploads that were aborted, rejected or have expired are deleted, if nothing of them is left
    /// in the store; gateways do the same after --keep-ended. A client that asks for such an upload
    /// gets the response not_found, and begins again. Running gateways need not be stopped. The
    /// file of a SQLite ledger gets smaller; PostgreSQL reuses the space (autovacuum).
    Prune(PruneArgs),
}

#[derive(Args)]
#[command(after_help = PRUNE_EXAMPLES)]
pub struct PruneArgs {
    /// Delete uploads that ended longer ago than this
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = parse::duration)]
    pub older_than: Duration,
    /// Also delete the records of ready uploads that began longer ago
    ///
    /// Their objects stay in the store and count in the quota, but the gateway no longer knows
    /// them: it signs no URL to read them, and a client that uploads the same file again sends it
    /// again.
    #[arg(long)]
    pub ready: bool,
    /// Print what would be deleted, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub ledger: LedgerArgs,
}

#[derive(Args)]
#[command(after_help = REMOVE_EXAMPLES)]
pub struct RemoveArgs {
    /// The uploads to remove, by upload id
    #[arg(required = true, value_name = "ID")]
    pub uploads: Vec<String>,
    #[command(flatten)]
    pub options: Box<ServeOptions>,
}

#[derive(Args)]
pub struct UploadsArgs {
    /// Only uploads of this owner: its segment, its subject, or the name of its tokens
    #[arg(long, value_name = "OWNER", value_parser = NonEmptyStringValueParser::new())]
    pub owner: Option<String>,
    /// Only uploads in this state
    #[arg(long, value_name = "STATE", value_parser = parse::upload_state, hide_possible_values = true)]
    pub state: Option<UploadState>,
    /// Only uploads that began in this time: a duration such as 24h, or a time such as
    /// 2026-11-30 or 2026-11-30T08:00Z
    #[arg(long, value_name = "SINCE", value_parser = parse::since)]
    pub since: Option<Since>,
    #[command(flatten)]
    pub ledger: LedgerArgs,
}

#[derive(Args)]
#[command(after_help = SWEEP_EXAMPLES)]
pub struct SweepArgs {
    /// Print what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub options: Box<ServeOptions>,
}

/// Hides the flags that a sweep or a removal does not use. The command accepts them, so that the
/// flags of a gateway can be repeated.
fn hide_unused(arg: Arg) -> Arg {
    const USED: [&str; 17] = [
        "dry_run",
        "uploads",
        "check",
        "ca_cert",
        "proxy",
        "store",
        "s3_endpoint",
        "s3_region",
        "s3_path_style",
        "ledger",
        "url_ttl",
        "keep_ended",
        "lease",
        "hooks",
        "on_reject",
        "store_probe",
        "store_checksum",
    ];
    let is_used = USED.contains(&arg.get_id().as_str());
    arg.hide(!is_used)
}

fn attribute_names() -> PossibleValuesParser {
    let names = Attribute::ALL.into_iter().map(Attribute::name);
    PossibleValuesParser::new(names.chain([ALL_ATTRIBUTES]))
}

#[derive(Subcommand)]
pub enum TokenVerb {
    /// Make a token and print it; it cannot be printed again
    ///
    /// The gateway accepts it if it runs with --auth tokens and on the same ledger, without a
    /// restart. A client passes it with --token-file FILE or in UPLOAD_TOKEN.
    #[command(after_help = TOKEN_ADD_EXAMPLES)]
    Add {
        /// The owner; tokens with the same name share their uploads, so that a new token can
        /// replace an old one
        #[arg(value_parser = parse::name)]
        name: String,
        /// How long the token is valid, such as 90d [default: until it is revoked]
        #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
        expires: Option<Duration>,
        /// Limits for requests with this token instead of those of the gateway, as for `serve
        /// --quota`; all tokens of the owner count together [default: those of the gateway]
        #[arg(long, value_name = "open=N,outstanding=SIZE,total=SIZE")]
        quota: Option<String>,
        /// A content type that this token may upload, as a glob; repeatable [default: those of the
        /// gateway]
        #[arg(long = "allow-type", value_name = "GLOB", value_parser = NonEmptyStringValueParser::new())]
        allow_types: Vec<String>,
        /// A pattern of keys that this token may choose, such as 'app/**', if the gateway runs with
        /// --client-keys; repeatable [default: those of --limits, otherwise none]
        ///
        /// A glob for the whole key below the prefix of the store: * and ? match no slash, ** does.
        #[arg(long = "keys", value_name = "GLOB", value_parser = NonEmptyStringValueParser::new())]
        keys: Vec<String>,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// List tokens: id, creation, last use, validity, name
    ///
    /// The last use is behind by a minute at most.
    #[command(after_help = TOKEN_LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Revoke a token
    ///
    /// Gateways reject it at once, also at complete. URLs that they have signed stay valid until
    /// they expire: their parts become no object, but objects can still be read with them.
    #[command(after_help = TOKEN_REVOKE_EXAMPLES)]
    Revoke {
        /// The id of the token, as listed
        id: String,
        #[command(flatten)]
        ledger: LedgerArgs,
    },
}
