//! One bucket: its checked settings, and the URLs of its objects.
//!
//! Not here: the requests. [`crate::listing`], [`crate::multipart`], [`crate::objects`],
//! [`crate::object_parts`], [`crate::copy`] and [`crate::probe`] add them to [`Store`], one group
//! of operations each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use url::Url;

use upload_net::{HttpClient, Response};
use upload_types::attributes::Attribute;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{Attributes, Limits, Proof};
use upload_types::{Key, Sha256};

use crate::attribute_headers;
use crate::aws::{SharedConfig, Variant};
use crate::bucket_url::BucketUrl;
use crate::client::Client;
use crate::condition::WriteCondition;
use crate::fault::Fault;
use crate::header_comparison::{HeaderDifferences, differences};
use crate::object_headers::{Head, NewObject, check_create_headers};
use crate::profile::{Capability, PROFILE_VERSION, Profile, Support};
use crate::region::{Region, region};
use crate::settings::Settings;
use crate::signing::{Credentials, Presigned, Signer};
use crate::size_limits;
use crate::sqs::Queue;
use crate::transport::{self, CONTROL_CALL_TIMEOUT};
use crate::uri::{check_key, encode_path};

/// The shortest time between two searches for credentials that clients cause.
const CREDENTIALS_PAUSE: Duration = Duration::from_millis(500);

/// The name of an unproven condition in receipts.
const CONDITION: &str = "condition";

/// One bucket that is used by the S3 protocol. Every operation fails with a [`Fault`].
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    settings: Arc<Settings>,
    variant: Variant,
    region: Region,
    /// For control calls.
    internal_url: BucketUrl,
    /// For presigned URLs.
    public_url: BucketUrl,
    bucket: String,
    /// Without slashes at its ends; may be empty.
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
    /// Checks the settings and determines the region. Sends nothing; the AWS credential chain is
    /// searched by the first request.
    ///
    /// # Errors
    /// [`Kind::Config`] for settings that cannot be used, or if the region of AWS is not known.
    pub fn new(settings: Settings) -> Result<Self> {
        let config = SharedConfig::of_process();
        let region = region(&settings, &config)?;
        let variant = Variant::of(&config);
        check_fips(&settings, variant)?;
        let (internal_url, public_url) = bucket_urls(&settings, &region.name, variant)?;
        let prefix = settings.prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            check_key(&prefix).map_err(|reason| {
                let text = format!("could not use the prefix of keys: {reason}");
                Error::new(Kind::Config, text)
            })?;
        }
        let create_headers = check_create_headers(&settings.create_headers)?;
        let http = HttpClient::new(settings.network.clone()).map_err(|error| {
            Error::new(Kind::Config, "could not set up HTTP").with_source(error)
        })?;
        let credentials = match &settings.keys {
            Some((access, secret)) => Credentials::fixed(access, secret),
            None => Credentials::chain(http.clone()),
        };
        let signer = Signer::new(credentials, &region.name);
        Ok(Self {
            client: Client::new(http, signer, settings.observer),
            variant,
            region,
            internal_url,
            public_url,
            limits: size_limits::of_endpoint(settings.endpoint.as_ref()),
            bucket: settings.bucket.clone(),
            prefix,
            create_headers,
            embedded: settings.embedded,
            cdn: settings.cdn.clone(),
            settings: Arc::new(settings),
            proof: Proof::Sha256,
            profile: Arc::default(),
        })
    }

    /// This store in the region that a fault names. Returns `None` if the settings name the region,
    /// and for other faults.
    #[must_use]
    pub fn in_region_of(&self, fault: &Fault) -> Option<Self> {
        let Fault::Rejected(rejection) = fault else {
            return None;
        };
        let region = self.region.corrected(rejection.region.as_ref()?)?;
        let urls = bucket_urls(&self.settings, &region.name, self.variant);
        let (internal_url, public_url) = urls.ok()?;
        Some(Self {
            client: self.client.for_service("s3", Some(&region.name)),
            region,
            internal_url,
            public_url,
            ..self.clone()
        })
    }

    /// Signs parts for `proof` from now on.
    #[must_use]
    pub fn with_proof(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// Omits from requests every feature that `profile` reports as refused.
    #[must_use]
    pub fn with_profile(self, profile: Profile) -> Self {
        let no_unequal_parts = profile.support(Capability::UnequalParts) == Support::No;
        let limits = Limits {
            equal_parts: self.limits.equal_parts || no_unequal_parts,
            ..self.limits
        };
        Self {
            profile: Arc::new(profile),
            limits,
            ..self
        }
    }

    /// Empty before [`Store::with_profile`].
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// [`Proof::Sha256`] before [`Store::with_proof`].
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// The time of the store minus the local time, from the latest response. Zero up to a minute,
    /// and before the first response.
    #[must_use]
    pub fn clock_offset(&self) -> SignedDuration {
        self.client.clock_offset()
    }

    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The bucket, unless the store is embedded: its bucket has no meaning outside the gateway.
    #[must_use]
    pub fn public_bucket(&self) -> Option<&str> {
        (!self.embedded).then_some(self.bucket.as_str())
    }

    /// The scheme, host and port of control calls, for messages.
    #[must_use]
    pub fn origin(&self) -> String {
        let url = Url::parse(&self.internal_url.bucket(&[]));
        url.map(|url| url.origin().ascii_serialization())
            .unwrap_or_default()
    }

    /// A key with the prefix, as the bucket contains it.
    #[must_use]
    pub fn full_key(&self, key: &Key) -> String {
        self.prefixed(key.as_str())
    }

    /// The length of the prefix of every key, with its slash.
    #[must_use]
    pub fn prefix_bytes(&self) -> usize {
        self.prefixed("").len()
    }

    /// [`Store::full_key`] as a key, for receipts and statuses.
    #[must_use]
    pub fn key_in_bucket(&self, key: &Key) -> Key {
        // A key that is too long with its prefix has no URL: it cannot have been uploaded to.
        self.full_key(key).parse().unwrap_or_else(|_| key.clone())
    }

    /// The inverse of [`Store::full_key`]. Returns `None` for another bucket or prefix.
    #[must_use]
    pub fn key_of(&self, bucket: &str, full_key: &str) -> Option<Key> {
        let key = if self.prefix.is_empty() {
            full_key
        } else {
            full_key
                .strip_prefix(self.prefix.as_str())?
                .strip_prefix('/')?
        };
        key.parse().ok().filter(|_| bucket == self.bucket)
    }

    /// The URL of an object at the CDN. Returns `None` without a CDN.
    #[must_use]
    pub fn cdn_url(&self, key: &Key) -> Option<String> {
        let base = self.cdn.as_ref()?.as_str().trim_end_matches('/');
        Some(format!("{base}/{}", encode_path(&self.full_key(key))))
    }

    /// The URL of an object in the bucket, without a signature.
    #[must_use]
    pub fn plain_url(&self, key: &Key) -> String {
        let key = self.full_key(key);
        // A key without a URL cannot have been uploaded to: return it as it is.
        self.public_url.object(&key, &[]).unwrap_or(key)
    }

    /// The location of an object, for display: its URL at the CDN, `embedded:KEY`, or its plain
    /// URL.
    #[must_use]
    pub fn location(&self, key: &Key) -> String {
        if let Some(url) = self.cdn_url(key) {
            url
        } else if self.embedded {
            format!("embedded:{}", self.full_key(key))
        } else {
            self.plain_url(key)
        }
    }

    /// The headers of an object that differ from the requested ones. Unsigned headers are not
    /// reported if the store adds such headers itself.
    #[must_use]
    pub fn header_differences(&self, object: &Head, new: &NewObject<'_>) -> HeaderDifferences {
        let mut found = differences(object, &self.create_headers, new);
        if self.profile.support(Capability::UnsignedHeaders) == Support::Refused {
            found.unsigned.clear();
        }
        found
    }

    /// The names of the capabilities that matter for this object and that the store does not have:
    /// those of [`Profile::unproven`], and requested headers that the object lacks. Also the names
    /// of attributes of the client that it lacks. `chosen` is the condition under which the object
    /// took a key that its client has chosen: it counts as `condition`.
    #[must_use]
    pub fn unproven(
        &self,
        object: &Head,
        new: &NewObject<'_>,
        single_put: bool,
        chosen: Option<WriteCondition<'_>>,
    ) -> Vec<String> {
        let missing = self.header_differences(object, new);
        let lacking = [
            (Capability::Encryption, missing.encryption),
            (Capability::RequiredHeaders, missing.required),
        ];
        let lacking = lacking
            .into_iter()
            .filter(|(_, headers)| !headers.is_empty())
            .map(|(capability, _)| capability.name().to_owned());
        let mut unproven = self.profile.unproven(single_put);
        unproven.extend(lacking);
        unproven.extend(missing.attributes);
        if new.attributes.acl.is_some() {
            unproven.push(Attribute::Acl.name().to_owned());
        }
        if let Some(condition) = chosen.filter(|_| !single_put) {
            unproven.retain(|name| name != Capability::CompleteOnce.name());
            if !self.enforces(condition) {
                unproven.push(CONDITION.to_owned());
            }
        }
        unproven
    }

    /// The first attribute that this store or its configuration does not permit, and the reason.
    #[must_use]
    pub fn attribute_conflict(&self, attributes: &Attributes) -> Option<(Attribute, &'static str)> {
        if self.embedded {
            // It has one storage class, and encrypts nothing.
            let class = attributes.storage_class.as_deref();
            if class.is_some_and(|class| class != "STANDARD") {
                return Some((
                    Attribute::StorageClass,
                    "the embedded store has only STANDARD",
                ));
            }
            if attributes.sse.is_some() {
                return Some((Attribute::Sse, "the embedded store does not encrypt"));
            }
            let is_public = |acl: &str| acl.contains("public") || acl.contains("authenticated");
            if attributes.acl.as_deref().is_some_and(is_public) {
                return Some((Attribute::Acl, "objects of the embedded store are private"));
            }
        }
        attribute_headers::conflict(attributes, &self.create_headers)
    }

    /// Whether a probe has found that the store enforces the condition on
    /// `CompleteMultipartUpload`.
    #[must_use]
    pub fn enforces(&self, condition: WriteCondition<'_>) -> bool {
        self.profile().support(condition.capability()) == Support::Yes
    }

    /// Whether a probe has found that the store accepts a single PUT only if there is no object at
    /// its key.
    #[must_use]
    pub fn puts_once(&self) -> bool {
        self.profile().support(Capability::PutOnce) == Support::Yes
    }

    /// Whether a probe has found that the store reports the SHA-256 of a part that it has copied.
    #[must_use]
    pub fn proves_copies(&self) -> bool {
        self.proof == Proof::Sha256
            && self.profile().support(Capability::CopyChecksum) == Support::Yes
    }

    /// The SQS queue at `url`, called with the store's credentials.
    ///
    /// # Errors
    /// [`Kind::Config`] if the URL is not that of a queue.
    pub fn queue(&self, url: &Url) -> Result<Queue> {
        Queue::new(url, &self.client)
    }

    /// The key under which to keep the profile. It differs for another bucket, endpoint, region,
    /// prefix, credential, or header of created objects.
    ///
    /// # Errors
    /// [`Fault`] without a credential.
    pub async fn profile_key(&self) -> Result<String, Fault> {
        let access_key = self.client.signer().access_key().await?;
        let location = (
            self.internal_url.bucket(&[]),
            self.public_url.bucket(&[]),
            &self.prefix,
            &self.region.name,
        );
        let identity = format!(
            "{PROFILE_VERSION} {location:?} {access_key} {:?}",
            self.create_headers
        );
        Ok(Sha256::of(identity.as_bytes()).to_string())
    }

    /// Searches for newer credentials, at most twice a second. To be called when a client
    /// reports that the store has rejected those in a URL.
    ///
    /// # Errors
    /// [`Fault`] if the search fails.
    pub async fn renew_credentials(&self) -> Result<(), Fault> {
        let signer = self.client.signer();
        signer.renew_after(CREDENTIALS_PAUSE).await
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn create_headers(&self) -> &BTreeMap<String, String> {
        &self.create_headers
    }

    /// Adds the prefix to a key, or to the beginning of a key.
    pub(crate) fn prefixed(&self, key: &str) -> String {
        if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.prefix)
        }
    }

    /// The URL of an object for control calls.
    pub(crate) fn object_url(&self, key: &Key, query: &[(&str, &str)]) -> Result<String, Fault> {
        self.internal_url.object(&self.full_key(key), query)
    }

    /// The URL of an object for clients.
    pub(crate) fn public_object_url(
        &self,
        key: &Key,
        query: &[(&str, &str)],
    ) -> Result<String, Fault> {
        self.public_url.object(&self.full_key(key), query)
    }

    /// The URL of the bucket for control calls.
    pub(crate) fn bucket_url(&self, query: &[(&str, &str)]) -> String {
        self.internal_url.bucket(query)
    }

    /// The URL of the bucket for clients.
    pub(crate) fn public_bucket_url(&self) -> String {
        self.public_url.bucket(&[])
    }

    pub(crate) async fn presign(
        &self,
        method: Method,
        url: &str,
        headers: BTreeMap<String, String>,
        ttl: Duration,
    ) -> Result<Presigned, Fault> {
        self.client
            .signer()
            .presign(method, url, headers, ttl)
            .await
    }

    /// Sends a request without adding a signature: it has one, or needs none.
    pub(crate) async fn send_unsigned(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<Response, Fault> {
        transport::send(self.client.http(), request, CONTROL_CALL_TIMEOUT).await
    }
}

/// The URLs for control calls and for clients.
fn bucket_urls(
    settings: &Settings,
    region: &str,
    variant: Variant,
) -> Result<(BucketUrl, BucketUrl)> {
    let endpoint = settings.endpoint.as_ref();
    let public_endpoint = settings.public_endpoint.as_ref().or(endpoint);
    let bucket_url = |endpoint| BucketUrl::new(settings, endpoint, region, variant);
    Ok((bucket_url(endpoint)?, bucket_url(public_endpoint)?))
}

/// Checks that an endpoint of the settings does not contradict the demand for validated
/// cryptography.
fn check_fips(settings: &Settings, variant: Variant) -> Result<()> {
    let endpoint = settings
        .endpoint
        .as_ref()
        .filter(|_| settings.keys.is_none());
    match endpoint.and_then(Url::host_str) {
        Some(host) if variant.fips && !host.contains("fips") => Err(Error::new(
            Kind::Config,
            format!(
                "could not use the endpoint {host}: AWS_USE_FIPS_ENDPOINT asks for another one"
            ),
        )
        .with_hint("unset AWS_USE_FIPS_ENDPOINT, or leave out --s3-endpoint")),
        _ => Ok(()),
    }
}
