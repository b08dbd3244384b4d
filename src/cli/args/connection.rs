//! Flags for the connections to a backend and its store, shared by all verbs that call a backend.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which are not Markdown"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};

use crate::backend::StoreHost;
use crate::cli::parse::{self, DurationOrNever};

const CONNECTION_HEADING: &str = "Connection options";
const S3_HEADING: &str = "S3 options (for s3:// only)";

/// Whether several verbs share the flags below a heading.
pub fn is_shared_heading(heading: &str) -> bool {
    [CONNECTION_HEADING, S3_HEADING].contains(&heading)
}

#[derive(Clone, Default, Args)]
#[command(next_help_heading = CONNECTION_HEADING)]
pub struct ConnectionArgs {
    /// Read the API token from this file [env: UPLOAD_TOKEN_FILE, or UPLOAD_TOKEN for the token
    /// itself]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// Send this header with each call to the backend; repeatable
    ///
    /// For a proxy in front of the backend that requires a login. @FILE reads headers from a file,
    /// one per line, so that other users of this machine cannot see them. Headers are never sent to
    /// a store and never recorded in the journal.
    #[arg(long = "header", value_name = "NAME: VALUE|@FILE", value_hint = ValueHint::Other)]
    pub headers: Vec<String>,
    /// Permit signed URLs to name this store although its address is private or has changed;
    /// repeatable
    #[arg(long = "store-host", value_name = "HOST[:PORT]", value_parser = parse::store_host)]
    pub store_hosts: Vec<StoreHost>,
    #[command(flatten)]
    pub network: NetworkArgs,
    /// Reconnect if no byte moved on a connection for this long [default: 30s to 6m, depending
    /// on what is transferred]
    ///
    /// A duration such as 20s. A slow part is never cut off while bytes move; an object that is
    /// read must arrive at 1KiB/s or more. A connection whose other end stops acknowledging is
    /// closed after 30s in any case.
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub stall_after: Option<Duration>,
    /// Permit http:// backends and stores that are not on this machine
    #[arg(long)]
    pub allow_insecure_http: bool,
    #[command(flatten)]
    pub s3: S3Args,
}

#[derive(Clone, Default, Args)]
#[command(next_help_heading = S3_HEADING)]
pub struct S3Args {
    /// The endpoint of the S3 service [env: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL] [default: that
    /// of the AWS profile, else Amazon's for the region]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub s3_endpoint: Option<String>,
    /// The region of the bucket [env: AWS_REGION, AWS_DEFAULT_REGION] [default: that of the AWS
    /// profile, else us-east-1 for endpoints other than Amazon's; the store may correct a default]
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    pub s3_region: Option<String>,
    /// Put the name of the bucket into the path of URLs instead of the host [default: as the AWS
    /// profile says]
    #[arg(long)]
    pub s3_path_style: bool,
}

/// The time limit of verbs that ask a backend and do not upload.
#[derive(Clone, Args)]
pub struct QueryArgs {
    /// Give up if the backend has not responded after this long
    ///
    /// A duration such as 90s or 15m, or never. An object that is being read may take any time, as
    /// long as its bytes keep moving.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse::duration_or_never)]
    pub give_up_after: DurationOrNever,
}

/// The flags about every connection to another machine.
#[derive(Clone, Default, Args)]
#[command(next_help_heading = CONNECTION_HEADING)]
pub struct NetworkArgs {
    /// Trust the certificates in this PEM file in addition to the system's [env: AWS_CA_BUNDLE]
    ///
    /// The variables SSL_CERT_FILE and SSL_CERT_DIR name files that replace the certificates of the
    /// system; those of this file are trusted in addition.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_cert: Option<PathBuf>,
    /// Connect through this proxy (http, https, socks5, socks5h) [env: HTTPS_PROXY, HTTP_PROXY,
    /// ALL_PROXY, NO_PROXY]
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub proxy: Option<String>,
}
