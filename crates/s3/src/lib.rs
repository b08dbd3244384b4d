//! The store as the gateway sees it: a bucket behind the S3 protocol, with control calls and presigned URLs.
//!
//! Border: S3 and nothing else; what an answer means for an upload's state is `gateway/service`. The embedded store is
//! reached the same way, over loopback.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use jiff::Timestamp;
use upload_net::HttpClient;
use url::Url;

use upload_types::error::{Error, Kind, Result};
use upload_types::names::{Checksum, ETag, Key, Sha256};
use upload_types::wire::{Limits, Proof};

use address::Address;
use client::Client;
use credentials::Credentials;
use profile::{Held, Profile};
use queue::Queue;
use sign::Signer;

mod address;
pub mod answers;
mod client;
mod copy;
mod credentials;
mod form;
mod hosts;
mod multipart;
mod object;
mod observe;
mod probe;
pub mod profile;
pub mod queue;
mod sign;
mod template;
mod trials;
mod xml;

pub use form::SignedForm;
pub use object::attachment;
pub use observe::{CallOutcome, Observer, unobserved};
pub use probe::Depth;
pub use upload_net::Response;

/// The object metadata that holds the token of an upload.
const TOKEN: &str = "x-amz-meta-upload-token";

/// Headers that are the gateway's own to set, or that would make something else of a request.
const OWN_HEADERS: [&str; 11] = [
    "authorization",
    "content-length",
    "content-md5",
    "content-type",
    "host",
    "if-match",
    "if-none-match",
    "transfer-encoding",
    "x-amz-content-sha256",
    "x-amz-date",
    TOKEN,
];

/// Which bucket, where, and what it demands.
#[derive(Clone)]
pub struct Settings {
    pub bucket: String,
    /// Put before every key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// For control calls. None is AWS itself in `region`.
    pub endpoint: Option<Url>,
    /// Named in presigned URLs, where it differs from `endpoint`.
    pub public_endpoint: Option<Url>,
    pub region: Option<String>,
    pub path_style: bool,
    /// Access key and secret; None takes the AWS credential chain.
    pub keys: Option<(String, String)>,
    /// Headers bound into create and single PUT (server-side encryption and what else the bucket demands).
    pub create_headers: BTreeMap<String, String>,
    /// `embedded:` before keys in locations, instead of a URL.
    pub embedded: bool,
    /// What objects are read through.
    pub cdn: Option<Url>,
    /// Is told of each control call.
    pub observer: Observer,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Settings({:?} at {:?})",
            self.bucket,
            self.endpoint.as_ref().map(Url::origin)
        )
    }
}

/// Why a call to the store failed.
#[derive(Debug)]
pub enum Fault {
    /// The multipart upload is unknown: completed, aborted or expired.
    NoSuchUpload,
    /// The parts of a complete are not those the store holds, out of order or too small.
    InvalidPart(String),
    /// A condition did not hold: the object is there already.
    Precondition,
    /// The store refuses these credentials, or this request for good; the text is for the log.
    Refused(String),
    /// It failed for now, or the answer cannot be understood: the outcome is unknown. The text is for the log.
    Unavailable(String),
}

/// For the log.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchUpload => f.write_str("the store knows no such multipart upload"),
            Self::Precondition => f.write_str("the object is there already"),
            Self::InvalidPart(text) | Self::Refused(text) | Self::Unavailable(text) => {
                f.write_str(text)
            }
        }
    }
}

/// What an object is given when it is created.
#[derive(Debug, Clone, Copy)]
pub struct NewObject<'a> {
    pub content_type: &'a str,
    /// The upload token, by which its gateway knows it again.
    pub token: &'a str,
    /// The user's, under `x-amz-meta-`: keys and values as headers carry them.
    pub metadata: &'a BTreeMap<String, String>,
}

impl NewObject<'_> {
    /// The headers that say so.
    fn headers(&self) -> impl Iterator<Item = (String, String)> {
        let metadata = self
            .metadata
            .iter()
            .map(|(key, value)| (format!("x-amz-meta-{key}"), value.clone()));
        let own = [
            ("content-type".into(), object::one_line(self.content_type)),
            (TOKEN.into(), self.token.to_owned()),
        ];
        metadata.chain(own)
    }
}

/// An object as `HeadObject` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    pub etag: ETag,
    /// Where the store keeps SHA-256 checksums.
    pub checksum: Option<Checksum>,
    /// The upload token this gateway gave the object when it was begun.
    pub token: Option<String>,
    pub content_type: Option<String>,
    pub modified: Option<Timestamp>,
}

/// One bucket.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    /// For control calls.
    address: Address,
    /// For the URLs of clients.
    public: Address,
    bucket: String,
    prefix: String,
    /// Names in lower case, values of visible ASCII.
    create_headers: BTreeMap<String, String>,
    embedded: bool,
    cdn: Option<Url>,
    proof: Proof,
    profile: Arc<Profile>,
    limits: Limits,
}

impl Store {
    /// Reads the settings and finds the region; sends nothing, and looks for credentials only when the first are needed.
    ///
    /// # Errors
    /// [`Kind::Config`] for an endpoint, a bucket, a prefix or a header that cannot be, and where
    /// AWS's region is not known.
    pub fn new(settings: Settings) -> Result<Self> {
        let region = address::region(&settings)?;
        let address = Address::new(&settings, settings.endpoint.as_ref(), &region)?;
        let public = Address::new(
            &settings,
            settings
                .public_endpoint
                .as_ref()
                .or(settings.endpoint.as_ref()),
            &region,
        )?;
        let prefix = settings.prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            address::check_key(&prefix).map_err(|why| {
                Error::new(
                    Kind::Config,
                    format!("could not use the prefix of keys: {why}"),
                )
            })?;
        }
        let create_headers = settings
            .create_headers
            .iter()
            .map(create_header)
            .collect::<Result<_>>()?;
        let http = HttpClient::new().map_err(|error| {
            Error::new(Kind::Config, "could not set up HTTP").with_source(error)
        })?;
        let credentials = match &settings.keys {
            Some((access, secret)) => Credentials::fixed(access, secret),
            None => Credentials::chain(http.clone()),
        };
        Ok(Self {
            client: Client {
                http,
                signer: Signer::new(credentials, &region),
                observer: settings.observer,
            },
            address,
            public,
            bucket: settings.bucket,
            prefix,
            create_headers,
            embedded: settings.embedded,
            cdn: settings.cdn,
            proof: Proof::Sha256,
            profile: Arc::default(),
            limits: hosts::limits(settings.endpoint.as_ref()),
        })
    }

    /// Tries the store with requests that are wrong, under a prefix of its own where nothing is to stay behind, and tells what it
    /// can be held to; to `wanted` above all, where that is not the strongest there may be. Needs the permissions that serving
    /// needs, and `DeleteObject` if nothing is to stay behind.
    ///
    /// # Errors
    /// [`Fault`] when the store cannot be used at all.
    pub async fn probe(&self, depth: Depth, wanted: Option<Proof>) -> Result<Profile, Fault> {
        if let Err(fault) = self.clear_probes(Timestamp::now()).await {
            tracing::warn!(%fault, "could not look for what earlier probes have left");
        }
        let all = depth == Depth::Full || matches!(wanted, Some(Proof::Payload | Proof::Md5));
        probe::run(self, depth, all).await
    }

    /// What a profile is kept under: another bucket, another way to it, other credentials or other headers are another store.
    ///
    /// # Errors
    /// [`Fault`] without a credential.
    pub async fn profile_key(&self) -> Result<String, Fault> {
        let access_key = self.client.signer.access_key().await?;
        let place = (
            self.address.bucket(&[]),
            self.public.bucket(&[]),
            &self.prefix,
        );
        let all = format!(
            "{} {place:?} {access_key} {:?}",
            profile::EDITION,
            self.create_headers
        );
        Ok(Sha256::of(all.as_bytes()).to_string())
    }

    /// Takes away what probes have left that died well before `now`; how many did.
    ///
    /// # Errors
    /// [`Fault`] when the store does not do as it is asked.
    pub async fn clear_probes(&self, now: Timestamp) -> Result<usize, Fault> {
        probe::clear(self, now).await
    }

    /// Holds the store to `proof` from now on: it decides how parts are signed.
    #[must_use]
    pub fn with_proof(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// Treats the store as its profile says: what it refuses it is not asked for.
    #[must_use]
    pub fn with_profile(self, profile: Profile) -> Self {
        let equal_parts =
            self.limits.equal_parts || profile.held(profile::Capability::UnequalParts) == Held::No;
        let limits = Limits {
            equal_parts,
            ..self.limits
        };
        Self {
            profile: Arc::new(profile),
            limits,
            ..self
        }
    }

    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What the store is held to; until [`Store::with_proof`] says otherwise, SHA-256 checksums.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }

    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Where an object can be read by whoever the CDN lets: its URL and the key as the bucket has it. None without a CDN.
    #[must_use]
    pub fn cdn(&self, key: &Key) -> Option<String> {
        let base = self.cdn.as_ref()?.as_str().trim_end_matches('/');
        Some(format!("{base}/{}", address::path(&self.whole(key))))
    }

    /// Where an object is, for people: its URL at the CDN, `embedded:KEY`, or its URL.
    #[must_use]
    pub fn location(&self, key: &Key) -> String {
        if let Some(url) = self.cdn(key) {
            return url;
        }
        let key = self.whole(key);
        if self.embedded {
            return format!("embedded:{key}");
        }
        // A key that no URL can name was never uploaded to; it stands for itself.
        self.public.object(&key, &[]).unwrap_or(key)
    }

    /// The URL of an object by its address, which only who may read it can use.
    #[must_use]
    pub fn url(&self, key: &Key) -> String {
        let key = self.whole(key);
        self.public.object(&key, &[]).unwrap_or(key)
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key of ours that a bucket's own key is, in the store's words.
    #[must_use]
    pub fn ours(&self, bucket: &str, key: &str) -> Option<Key> {
        let ours = if self.prefix.is_empty() {
            key
        } else {
            key.strip_prefix(self.prefix.as_str())?.strip_prefix('/')?
        };
        ours.parse().ok().filter(|_| bucket == self.bucket)
    }

    /// The queue at `url`, asked with the store's own credentials.
    ///
    /// # Errors
    /// [`Kind::Config`] for a URL that can be no queue.
    pub fn queue(&self, url: &Url) -> Result<Queue> {
        Queue::new(url, &self.client)
    }

    /// The key as the bucket has it.
    #[must_use]
    pub fn whole(&self, key: &Key) -> String {
        self.within(key.as_str())
    }

    /// What begins a key, or is one, as the bucket has it.
    fn within(&self, key: &str) -> String {
        if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.prefix)
        }
    }
}

/// Checks a header that is to be bound into create and single PUT; its name in lower case.
fn create_header((name, value): (&String, &String)) -> Result<(String, String)> {
    let wrong = |why| {
        Error::new(
            Kind::Config,
            format!("could not bind the header {name:?} into uploads: {why}"),
        )
    };
    let known: HeaderName = name
        .parse()
        .map_err(|_| wrong("it is no name of a header"))?;
    let lower = known.as_str();
    if OWN_HEADERS.contains(&lower)
        || lower.starts_with("x-amz-checksum-")
        || lower.starts_with("x-amz-copy-source")
    {
        return Err(wrong("the gateway sets it by itself, or must not"));
    }
    if !value.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(wrong("its value has characters other than visible ASCII"));
    }
    Ok((lower.to_owned(), object::one_line(value)))
}
