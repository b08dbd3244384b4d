//! The gateway: begins, signs, lists, completes and aborts uploads for clients that hold no storage credentials.
//!
//! Border: sees `names`, `error`, `wire` and `plan` of the crate and nothing of the client; never touches a byte of a
//! file. The embedded store, which does, is a store like any other that happens to live in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::error::Result;
use crate::names::Token;
use crate::wire::Proof;

pub mod store;

/// How a gateway is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// What signed URLs and answers name; by default the address listened on.
    pub public_url: Option<Url>,
    pub store: StoreConfig,
    /// Where to write the embedded store's endpoint and keys, for other S3 clients.
    pub store_credentials: Option<PathBuf>,
    /// The SQLite ledger.
    pub ledger: PathBuf,
    pub auth: Auth,
    /// Globs of content types.
    pub allow_types: Vec<String>,
    /// Largest upload in bytes; by default the store's limit.
    pub max_size: Option<u64>,
    /// How long a signed URL lives at least.
    pub url_ttl: Duration,
    /// How long an unfinished upload lives.
    pub upload_ttl: Duration,
    /// Value of `x-amz-server-side-encryption` (`AES256`, `aws:kms` or `aws:kms:KEY-ID`).
    pub sse: Option<String>,
    /// Further headers a bucket demands when an object is created.
    pub required_headers: Vec<(String, String)>,
    pub probe: Probe,
    /// What the store is held to enforce; by default as probed.
    pub checksum: Option<Proof>,
    /// How long to wait for the embedded store's lock.
    pub lock_wait: Duration,
}

#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// A store in this process, under a directory.
    Embedded { dir: PathBuf },
    /// Anything that speaks S3.
    S3 { bucket: String, prefix: String, endpoint: Option<Url>, region: Option<String>, path_style: bool },
}

/// Who may use the API.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Everybody who reaches it: on loopback only.
    None,
    /// Whoever holds a token of the ledger.
    Tokens,
    /// Whoever holds this one token, made for one run in one process.
    Private(Token),
}

/// Whether the store is tried with a wrong body and a wrong length at start-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Do not start when it takes them.
    Require,
    Warn,
    Off,
}

/// A gateway that is up and answers.
pub struct Running {
    /// Where it listens, `http://host:port`.
    pub url: Url,
}

impl Running {
    /// Ends when the gateway does by itself, which is always an error.
    ///
    /// # Errors
    /// What ended it.
    pub async fn wait(&mut self) -> Result<()> {
        todo!()
    }

    /// Lets requests under way end, then ends.
    pub async fn stop(self) {
        todo!()
    }
}

/// Opens ledger and store, probes the store, and begins to listen.
///
/// # Errors
/// [`Kind::Config`](crate::error::Kind::Config) for settings that cannot be (no authentication away from loopback, a store
/// that enforces nothing), [`Kind::Busy`](crate::error::Kind::Busy) when another process holds the embedded store,
/// [`Kind::NoJournal`](crate::error::Kind::NoJournal) for a ledger that does not open, [`Kind::Io`](crate::error::Kind::Io)
/// for an address that is taken.
pub async fn start(_config: Config) -> Result<Running> {
    todo!()
}
