//! The key set of an issuer: fetched when a token needs a key, and cached.
//!
//! Not here: when to fetch (`key_refresh`) and the selection of usable keys (`jwk`). The fetched
//! URL does not depend on the token: it is from the configuration, or from the issuer's discovery
//! document.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use url::Url;

use super::issuer::{Algorithm, Issuer, is_trusted_url};
use super::jwk::KeySet;
use super::key_refresh::{FetchTimes, KeyError, KeyLookup, look_up};
use upload_net::HttpClient;
use upload_types::sync::lock;

/// The time limit of a request to an issuer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that wait for the keys of one issuer. They are not authenticated yet, so there may be
/// only a few of them: further ones are refused.
const MAX_WAITING_REQUESTS: usize = 64;
/// The largest response. GitHub's key set has 10 KiB.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// The cached keys of one issuer.
pub(super) struct KeyCache {
    http: HttpClient,
    issuer: String,
    jwks: Option<Url>,
    algorithms: Vec<Algorithm>,
    state: Mutex<State>,
    /// Locked by the task that fetches. Other tasks wait for its result.
    fetching: tokio::sync::Mutex<()>,
    waiting: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    keys: KeySet,
    times: FetchTimes,
}

/// The key that a token needs.
#[derive(Clone)]
pub(super) struct WantedKey {
    /// `None` if the token does not name its key.
    pub id: Option<String>,
    pub algorithm: Algorithm,
    /// Only a key that was fetched later, since the issuer may have replaced its key.
    pub newer_than: Option<Instant>,
}

pub(super) struct FoundKey {
    pub key: DecodingKey,
    pub fetched: Option<Instant>,
}

impl State {
    fn find(&self, wanted: &WantedKey) -> Option<FoundKey> {
        let fetched = self.times.fetched;
        if wanted.newer_than.is_some() && fetched <= wanted.newer_than {
            return None;
        }
        let key = self.keys.find(wanted.id.as_deref(), wanted.algorithm)?;
        Some(FoundKey {
            key: key.clone(),
            fetched,
        })
    }
}

impl KeyCache {
    pub(super) fn new(http: HttpClient, issuer: &Issuer) -> Self {
        Self {
            http,
            issuer: issuer.issuer.clone(),
            jwks: issuer.jwks.clone(),
            algorithms: issuer.algorithms.clone(),
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            waiting: Arc::new(Semaphore::new(MAX_WAITING_REQUESTS)),
        }
    }

    /// The key for a token, and when it was fetched. Fetches the key set if necessary.
    pub(super) async fn get(self: &Arc<Self>, wanted: WantedKey) -> Result<FoundKey, KeyError> {
        match self.look_up(&wanted) {
            (KeyLookup::Use, Some(key)) => return Ok(key),
            (KeyLookup::UseAndRefresh, Some(key)) => {
                // While a fetch is in progress, no further task must wait for it.
                if self.fetching.try_lock().is_ok() {
                    tokio::spawn(Arc::clone(self).fetch_if_needed(wanted));
                }
                return Ok(key);
            }
            // A lookup that fails waits too: a fetch in progress may find the key.
            _ => {}
        }
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_| KeyError::Unavailable)?;
        // In a separate task: if this client disconnects, the fetch continues for other requests.
        let fetch = Arc::clone(self).fetch_if_needed(wanted.clone());
        let _ = tokio::spawn(async move {
            fetch.await;
            drop(waiting);
        })
        .await;
        match self.look_up(&wanted) {
            (KeyLookup::Fail(error), _) => Err(error),
            (_, Some(key)) => Ok(key),
            (_, None) => Err(KeyError::Unknown),
        }
    }

    fn look_up(&self, wanted: &WantedKey) -> (KeyLookup, Option<FoundKey>) {
        let state = lock(&self.state);
        let key = state.find(wanted);
        let lookup = look_up(&state.times, key.is_some(), Instant::now());
        (lookup, key)
    }

    /// Fetches the key set, unless another task has fetched it while this one waited.
    async fn fetch_if_needed(self: Arc<Self>, wanted: WantedKey) {
        let _fetching = self.fetching.lock().await;
        let is_for_missing = {
            let state = lock(&self.state);
            let (now, is_known) = (Instant::now(), state.find(&wanted).is_some());
            let lookup = look_up(&state.times, is_known, now);
            if !matches!(lookup, KeyLookup::Fetch | KeyLookup::UseAndRefresh) {
                return;
            }
            // Before the first success, a fetch is for the whole set, not for a missing key.
            !is_known && state.times.fetched.is_some()
        };
        let fetched = self.fetch().await;
        let mut state = lock(&self.state);
        let now = Instant::now();
        state.times.attempted = Some(now);
        if is_for_missing {
            state.times.record_for_missing(now);
        }
        match fetched {
            Ok(keys) => {
                tracing::debug!(issuer = %self.issuer, keys = keys.len(), "issuer's keys fetched");
                state.keys = keys;
                state.times.fetched = Some(now);
            }
            Err(reason) => {
                tracing::warn!(issuer = %self.issuer, reason, "could not fetch the issuer's keys");
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<Value>,
        }
        let url = match &self.jwks {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let jwks: Jwks = self.get_json(&url).await?;
        let (keys, rejected) = KeySet::of(jwks.keys, &self.algorithms);
        if keys.len() == 0 {
            return Err(format!("none of its {rejected} keys is usable"));
        }
        Ok(keys)
    }

    /// The URL of the key set in the issuer's discovery document (`OpenID` Connect Discovery 1.0).
    async fn discover(&self) -> Result<Url, String> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let issuer = self.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let url: Url = url.parse().map_err(|_| "the issuer is not a URL")?;
        let discovery: Discovery = self.get_json(&url).await?;
        if discovery.issuer != self.issuer {
            return Err("its discovery document names another issuer".to_owned());
        }
        // A remote issuer must not direct requests to this machine.
        let is_allowed = |jwks: &Url| {
            is_trusted_url(jwks) && (jwks.scheme() == "https" || url.scheme() == "http")
        };
        discovery
            .jwks_uri
            .parse()
            .ok()
            .filter(is_allowed)
            .ok_or_else(|| "its discovery document has no https URL for its keys".to_owned())
    }

    async fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, String> {
        let response = self
            .http
            .get(url, REQUEST_TIMEOUT, MAX_RESPONSE_BYTES)
            .await
            .map_err(|error| error.to_string())?;
        if response.status != 200 {
            return Err(format!(
                "the response has status {}",
                response.status.as_u16()
            ));
        }
        serde_json::from_slice(&response.body)
            .map_err(|_| "the response has an unexpected form".to_owned())
    }
}
