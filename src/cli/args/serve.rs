//! What was typed behind `upload serve`.
//!
//! Border: as `args`; what it means for the gateway is `cli/serve`.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which no Markdown reader sees"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, Subcommand, ValueEnum, ValueHint};

use super::S3;
use super::access::Access;
use crate::cli::parse::{self, Wait};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Serve {
    #[command(subcommand)]
    pub verb: Option<ServeVerb>,
    #[command(flatten)]
    pub options: ServeOptions,
}

#[derive(clap::Args)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes a free one, which is told on standard error once ready
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// What signed URLs and answers name; TLS is the proxy's in front [default: the address listened on]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub public_url: Option<String>,
    /// Where metrics (Prometheus), health and readiness may be read by whoever reaches it; port 0 takes a free one [default: nowhere]
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics_listen: Option<SocketAddr>,
    /// The store: embedded, embedded:DIR, or s3://BUCKET/PREFIX with the usual AWS credentials
    ///
    /// embedded is an S3-speaking store on the same listener, by default under the data directory. s3:// is anything
    /// that speaks S3; see --s3-endpoint, --s3-region and --s3-path-style.
    #[arg(long, value_name = "STORE", default_value = "embedded")]
    pub store: String,
    #[command(flatten)]
    pub s3: S3,
    /// Write the embedded store's endpoint and keys to this file (mode 0600), for other S3 clients [default: not written]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub store_credentials: Option<PathBuf>,
    #[command(flatten)]
    pub ledger: LedgerFlag,
    #[command(flatten)]
    pub access: Box<Access>,
    /// Content types that are taken, as globs; repeatable
    #[arg(long = "allow-type", value_name = "GLOB", default_value = "*/*", value_parser = NonEmptyStringValueParser::new())]
    pub allow_types: Vec<String>,
    /// Largest upload, such as 50GiB [default: the store's limit]
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    pub max_size: Option<u64>,
    /// How long a signed URL lives at least; a large part's lives longer
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = parse::duration)]
    pub url_ttl: Duration,
    /// How long an unfinished upload lives without a call about it
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse::duration)]
    pub upload_ttl: Duration,
    /// How long a client may be silent before another may take its upload over; clients speak every 20s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse::duration)]
    pub lease: Duration,
    /// How often to end what nobody holds: uploads that expired, completes that were left; `never` leaves it to other gateways
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse::wait)]
    pub sweep_every: Wait,
    /// Where the store's own events come from: sqs:QUEUE_URL, or webhook (POST /v1/events/s3) [default: none]
    ///
    /// An event has the store asked about one object at once, whether its client lives or not. A queue is asked with the
    /// store's AWS credentials; a store that pushes shows the secret of --events-secret-file in the header Authorization.
    #[arg(long, value_name = "EVENTS", value_parser = NonEmptyStringValueParser::new())]
    pub events: Option<String>,
    /// The secret that the store shows with what it pushes: one line of visible ASCII [default: none]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub events_secret_file: Option<PathBuf>,
    /// Answer Uppy Companion's routes for uploads beneath this path, / or /companion, so that Uppy uploads through this gateway
    ///
    /// Whoever may use the API may use them: by its token in the header Authorization, or in the path, as /t/TOKEN behind this one,
    /// where a client can send no header. What browsers send carries no fingerprints: receipts say `proof: none`. [default: nowhere]
    #[arg(long, value_name = "PATH")]
    pub companion: Option<String>,
    /// An origin, such as `https://app.example.com`, whose pages may use the gateway and its embedded store; repeatable [default: none]
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub allow_origins: Vec<String>,
    /// What objects are read through, such as `https://cdn.example.com`: locations and read URLs are this and the object's key, and do
    /// not expire [default: read URLs are presigned]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub cdn: Option<String>,
    /// What to ask about each upload before it is ready, in this order: a program or a webhook; repeatable [default: none]
    ///
    /// exec:PROGRAM, an absolute path, is run without a shell and with the upload as JSON on standard input; exit code 0
    /// accepts, 10 rejects, anything else is tried again. A URL gets the same JSON by POST, signed. NAME= tells hooks apart;
    /// by default it is the program's or the host's name.
    #[arg(long = "hook", value_name = "[NAME=]exec:PROGRAM|URL")]
    pub hooks: Vec<String>,
    /// A further argument for the program of the hook of that name; repeatable [default: none]
    #[arg(long = "hook-arg", value_name = "NAME=ARG")]
    pub hook_args: Vec<String>,
    /// Sign webhooks with the secret in this file, at least 16 characters [default: none, and no webhooks]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub hook_secret_file: Option<PathBuf>,
    /// How long a hook may take for one upload
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse::duration)]
    pub hook_timeout: Duration,
    /// What becomes of an object that a hook rejects: delete, keep, or quarantine:PREFIX
    #[arg(long, value_name = "ACTION", default_value = "delete")]
    pub on_reject: String,
    /// Server-side encryption of new objects: AES256, aws:kms or aws:kms:KEY-ID [default: the bucket's]
    #[arg(long, value_name = "SSE", value_parser = NonEmptyStringValueParser::new())]
    pub sse: Option<String>,
    /// A further header the bucket demands when an object is created; repeatable [default: none]
    #[arg(long = "required-header", value_name = "NAME: VALUE", value_parser = parse::header)]
    pub required_headers: Vec<(String, String)>,
    /// Whether to try at start-up if the store refuses a wrong body and a wrong length
    ///
    /// What was found is kept in the ledger, and a start within 24 hours goes by it.
    #[arg(long, value_name = "MODE", default_value = "require")]
    pub store_probe: ProbeMode,
    /// What the store is held to enforce on each part; named in each receipt as its proof
    #[arg(long, value_name = "CHECKSUM", default_value = "auto")]
    pub store_checksum: ChecksumMode,
    /// How long to serve on after a signal to stop, while /readyz says 503, so that balancers look elsewhere [default: not at all]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub drain: Option<Duration>,
    /// How lines of the log on standard error are written; -v adds a line for each request
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Check flags and configuration file, open nothing, and exit
    #[arg(long)]
    pub check: bool,
    /// Try all that the store can be held to, print what it did and what that means, and exit; sends it about 11 MiB
    ///
    /// Nothing of it stays in the store. What was found is kept in the ledger for the next start. Exit code 78 if the gateway
    /// would not start with this store.
    #[arg(long, conflicts_with = "check")]
    pub probe: bool,
}

#[derive(Clone, clap::Args)]
pub struct LedgerFlag {
    /// The ledger: sqlite, sqlite:FILE or postgres://USER@HOST/DATABASE [env: UPLOAD_LEDGER] [default: sqlite in the state directory]
    ///
    /// In sqlite, gateways of one machine share one file; in PostgreSQL, any number of them share uploads. A password goes
    /// into PGPASSWORD, or into the URL in UPLOAD_LEDGER, not among the arguments. Another machine is spoken to over TLS,
    /// its certificate checked (a further root: ?sslrootcert=FILE), unless the URL says ?sslmode=disable.
    #[arg(long, value_name = "LEDGER")]
    pub ledger: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProbeMode {
    /// Do not start if the store takes them
    Require,
    /// Say so and start
    Warn,
    /// Do not try
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChecksumMode {
    /// As probed
    Auto,
    /// The header x-amz-checksum-sha256, signed
    Sha256,
    /// The SHA-256 as the signature's payload hash
    Payload,
    /// The header Content-MD5, signed
    Md5,
    /// Nothing
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines to be read by people
    Text,
    /// An object of JSON a line
    Json,
}

#[derive(Subcommand)]
pub enum ServeVerb {
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Token(TokenVerb),
    /// Sweep once, beside running gateways or without any, print what was done, and exit
    ///
    /// Give it the gateways' own configuration, by --config or by the same flags: lifetimes, hooks and what becomes of rejects
    /// count here too. Uploads whose complete was left are decided, those that expired or are being aborted are ended, what is
    /// over is taken out of the store; open multipart uploads that the ledger does not know are only printed. An embedded store
    /// has to be free.
    #[command(mut_args(|arg| aside(arg)))]
    Sweep(Sweep),
}

#[derive(clap::Args)]
pub struct Sweep {
    /// Print what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub options: Box<ServeOptions>,
}

/// What a sweep has no use for is taken all the same, so that a gateway's flags may be repeated, but not shown.
fn aside(arg: Arg) -> Arg {
    const SHOWN: [&str; 12] = [
        "dry_run",
        "store",
        "s3_endpoint",
        "s3_region",
        "s3_path_style",
        "ledger",
        "url_ttl",
        "lease",
        "hooks",
        "on_reject",
        "store_probe",
        "store_checksum",
    ];
    let shown = SHOWN.contains(&arg.get_id().as_str());
    arg.hide(!shown)
}

#[derive(Subcommand)]
pub enum TokenVerb {
    /// Make a token and print it, this once
    Add {
        /// Whom it is for, shown by list; tokens of one name share their uploads, so that a new one can take an old one's place
        #[arg(value_parser = parse::name)]
        name: String,
        /// How long it is good, such as 90d [default: until it is revoked]
        #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        ledger: LedgerFlag,
    },
    /// List tokens: id, when made, until when they are good, name
    List {
        #[command(flatten)]
        ledger: LedgerFlag,
    },
    /// Revoke a token by its id
    Revoke {
        id: String,
        #[command(flatten)]
        ledger: LedgerFlag,
    },
}
