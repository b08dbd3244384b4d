//! The settings of a store.
//!
//! Not here: the checks of the settings, in [`crate::store`].

use std::collections::BTreeMap;
use std::fmt;

use upload_net::Network;
use url::Url;

use crate::observer::Observer;

/// A bucket, its location and its requirements.
#[derive(Clone)]
pub struct Settings {
    pub bucket: String,
    /// Prepended to every key, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The endpoint of control calls. `None` means AWS in `region`.
    pub endpoint: Option<Url>,
    /// The endpoint in presigned URLs, if it differs from `endpoint`.
    pub public_endpoint: Option<Url>,
    pub region: Option<String>,
    pub path_style: bool,
    /// Access key and secret. `None` means the AWS credential chain.
    pub keys: Option<(String, String)>,
    /// Headers that every created object gets: server-side encryption, and others that the bucket's
    /// policy requires.
    pub create_headers: BTreeMap<String, String>,
    /// True if locations are `embedded:KEY` instead of URLs.
    pub embedded: bool,
    /// The base URL of a CDN that serves the objects.
    pub cdn: Option<Url>,
    /// For control calls, and for the requests of the AWS credential chain.
    pub network: Network,
    /// Called after each control call.
    pub observer: Observer,
}

/// Shows neither keys nor headers, which may be secret.
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
