//! The settings of verbs as checked values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use upload_net::Network;
use url::Url;

use crate::backend::{Header, StoreHost, TokenFile};
use crate::cli::args::{IfChanged, KeyStyle};
use crate::cli::backend_spec::PlainHttp;
use crate::cli::receipt_target::ReceiptTarget;
use crate::journal::S3Service;
use crate::transfer::WaitFor;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{Attributes, IfExists};
use upload_types::{KeyForm, Token};

/// How to reach a backend and its store.
#[derive(Debug, Clone)]
pub struct Connection {
    pub token: Option<Token>,
    /// The file of the token, which may get a newer one during a run.
    pub token_file: Option<TokenFile>,
    pub network: Network,
    /// The longest time without progress on a connection; `None` for the default of the connection.
    pub stall_after: Option<Duration>,
    pub allow_insecure_http: bool,
    pub store_hosts: Vec<StoreHost>,
    /// Secret, like a token.
    pub headers: Vec<Header>,
    pub s3: S3,
}

impl Connection {
    /// The machines on which an `http://` backend may be.
    #[must_use]
    pub fn plain_http(&self) -> PlainHttp {
        if self.allow_insecure_http {
            PlainHttp::Anywhere
        } else {
            PlainHttp::OnThisMachine
        }
    }

    /// Whether it holds a secret that only one backend may get.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.token.is_some() || !self.headers.is_empty()
    }

    /// The same connection for a backend to which the credentials do not belong.
    #[must_use]
    pub(super) fn without_credentials(&self) -> Self {
        Self {
            token: None,
            token_file: None,
            headers: Vec::new(),
            ..self.clone()
        }
    }
}

/// The location of an `s3://` store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    pub endpoint: Option<Url>,
    pub region: Option<String>,
    pub path_style: bool,
    /// Which of them are flags of this command.
    pub flags: S3Flags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct S3Flags {
    pub endpoint: bool,
    pub region: bool,
    pub path_style: bool,
}

impl S3 {
    /// The record of it for the journal.
    #[must_use]
    pub fn service(&self) -> S3Service {
        S3Service {
            endpoint: self.endpoint.as_ref().map(canonical),
            region: self.region.clone(),
            path_style: self.path_style,
        }
    }

    /// The location of an upload that was begun at `recorded`. Flags for region and path style
    /// replace those of the record, which may have been wrong; they cannot lead to other objects.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a flag names another endpoint: that may be another store.
    pub(super) fn of_recorded(&self, recorded: &S3Service) -> Result<Self> {
        let given = self.endpoint.as_ref().map(canonical);
        if self.flags.endpoint && given != recorded.endpoint {
            let there = recorded.endpoint.as_deref().unwrap_or("Amazon S3");
            let what = format!("could not use --s3-endpoint: the upload was begun at {there}");
            return Err(Error::new(Kind::Usage, what).with_hint(
                "leave out --s3-endpoint to use the upload; \
                 to upload its file to another store, run `upload put FILE`",
            ));
        }
        let parse = |text: &str| {
            Url::parse(text).map_err(|error| {
                let what = "could not understand the S3 endpoint in the journal";
                Error::new(Kind::Config, what).with_source(error)
            })
        };
        let given_region = self.region.clone().filter(|_| self.flags.region);
        Ok(Self {
            endpoint: recorded.endpoint.as_deref().map(parse).transpose()?,
            region: given_region
                .or_else(|| recorded.region.clone())
                .or_else(|| self.region.clone()),
            path_style: recorded.path_style || (self.flags.path_style && self.path_style),
            flags: self.flags,
        })
    }
}

/// One text for all forms of an endpoint.
fn canonical(endpoint: &Url) -> String {
    endpoint.as_str().trim_end_matches('/').to_owned()
}

/// The URL of a proxy. It may contain a password: `Display` and `Debug` leave it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl Proxy {
    /// `scheme://[user:password@]host[:port]` with one of the schemes of reqwest.
    ///
    /// # Errors
    /// The reason.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
        match url.scheme() {
            "http" | "https" | "socks5" | "socks5h" if url.has_host() => Ok(Self(url)),
            _ => Err(
                "a proxy must be http://, https://, socks5:// or socks5h://host[:port]".to_owned(),
            ),
        }
    }

    /// The URL with user and password.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.0.scheme(), self.0.host_str().unwrap_or_default());
        let user = if self.0.username().is_empty() && self.0.password().is_none() {
            ""
        } else {
            "REDACTED@"
        };
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

/// The settings of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Parts in flight of all files together; `None` lets the engine choose.
    pub jobs: Option<usize>,
    /// Bytes per second of all parts together; `None` is no limit.
    pub limit_rate: Option<u64>,
    /// The longest time without any confirmed byte; `None` is no limit.
    pub give_up_after: Option<Duration>,
    pub receipt: Option<ReceiptTarget>,
    /// Whether to compute the SHA-256 of each whole file.
    pub sha256: bool,
    pub wait: WaitFor,
}

/// The settings of `put` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutOptions {
    pub paths: Vec<PathBuf>,
    /// Set for a single path only.
    pub name: Option<String>,
    /// The requested size of a part, in bytes.
    pub part_size: Option<u64>,
    pub content_type: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub attributes: Box<Attributes>,
    /// `None` lets the backend decide.
    pub key_style: Option<KeyStyle>,
    pub if_exists: IfExists,
    pub if_changed: IfChanged,
    pub force: bool,
    #[serde(default, skip_serializing_if = "KeyForm::is_normalised")]
    pub key_form: KeyForm,
    /// The setting is for this command alone: `upload resume` asks the store.
    #[serde(skip)]
    pub trust_journal: bool,
    #[serde(skip)]
    pub dry_run: bool,
}
