//! The credential for the store: from the settings, or from the AWS chain. Keeps the credential of
//! the chain until it expires, until the AWS configuration files change, or until the store rejects
//! it.
//!
//! Not here: the sources of the chain ([`crate::aws`]), and signatures ([`super::signer`]).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqsign_aws_v4::Credential;
use reqsign_core::time::Timestamp;
use tokio::sync::Mutex;

use upload_net::HttpClient;

use crate::aws::{Chain, Fingerprint, SharedConfig};
use crate::fault::Fault;

/// A credential with less time left than this is replaced: a URL expires before its credential.
const MIN_TTL: Duration = Duration::from_mins(5);
/// The pause between searches while the older credential is still valid.
const SEARCH_PAUSE: Duration = Duration::from_secs(10);

/// The pause between searches while there is no valid credential.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// Provides a credential; clones share it.
#[derive(Clone)]
pub(crate) struct Credentials(Arc<Source>);

enum Source {
    Fixed(Credential),
    Chain { chain: Chain, state: Mutex<State> },
}

#[derive(Default)]
struct State {
    found: Option<Found>,
    /// The end of the last search, if it found nothing, and the reason.
    failed: Option<(Instant, Box<Fault>)>,
}

/// A credential of the chain.
struct Found {
    credential: Credential,
    /// The configuration files from before the search.
    fingerprint: Fingerprint,
    searched_at: Instant,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self.0 {
            Source::Fixed(_) => "Credentials(fixed)",
            Source::Chain { .. } => "Credentials(chain)",
        })
    }
}

impl Credentials {
    pub(crate) fn fixed(access_key: &str, secret_key: &str) -> Self {
        Self::of(Credential {
            access_key_id: access_key.to_owned(),
            secret_access_key: secret_key.to_owned(),
            session_token: None,
            expires_in: None,
        })
    }

    pub(super) fn of(credential: Credential) -> Self {
        Self(Arc::new(Source::Fixed(credential)))
    }

    /// The AWS chain. The first call of [`Self::get`] searches it.
    pub(crate) fn chain(http: HttpClient) -> Self {
        Self(Arc::new(Source::Chain {
            chain: Chain::new(http),
            state: Mutex::default(),
        }))
    }

    /// Returns a credential that is valid for five minutes or more, and that the configuration
    /// files of now provide. If the chain provides no such one, returns the older one until that
    /// expires.
    ///
    /// # Errors
    /// Those of [`Chain::credential`].
    pub(super) async fn get(&self) -> Result<Credential, Fault> {
        let (chain, state) = match &*self.0 {
            Source::Fixed(credential) => return Ok(credential.clone()),
            Source::Chain { chain, state } => (chain, state),
        };
        let mut state = state.lock().await;
        let fingerprint = SharedConfig::fingerprint_of_process();
        if let Some(found) = &state.found {
            let is_recent = found.fingerprint == fingerprint && found.is_valid_for(MIN_TTL);
            let has_searched = found.fingerprint == fingerprint
                && found.searched_at.elapsed() < SEARCH_PAUSE
                || state.has_failed_within(SEARCH_PAUSE);
            if is_recent || has_searched && found.is_valid_for(Duration::ZERO) {
                return Ok(found.credential.clone());
            }
        }
        // Requests that waited for a search that failed share its result.
        if let Some((at, fault)) = &state.failed
            && at.elapsed() < FAILURE_PAUSE
        {
            return Err(Fault::clone(fault));
        }
        match state.search(chain, fingerprint).await {
            Ok(credential) => Ok(credential),
            Err(fault) => match &state.found {
                Some(found) if found.is_valid_for(Duration::ZERO) => {
                    tracing::warn!(%fault, "could not renew the AWS credentials");
                    Ok(found.credential.clone())
                }
                _ => Err(fault),
            },
        }
    }

    /// Searches the chain again because the store has rejected `rejected`, unless another caller
    /// did so within `pause`. Returns true if the credential is another one now.
    ///
    /// # Errors
    /// Those of [`Chain::credential`].
    pub(super) async fn renew(
        &self,
        rejected: &Credential,
        pause: Duration,
    ) -> Result<bool, Fault> {
        let Source::Chain { chain, state } = &*self.0 else {
            return Ok(false);
        };
        let mut state = state.lock().await;
        let fingerprint = SharedConfig::fingerprint_of_process();
        if let Some(found) = &state.found {
            if !is_same(&found.credential, rejected) {
                return Ok(true);
            }
            if found.fingerprint == fingerprint && found.searched_at.elapsed() < pause {
                return Ok(false);
            }
        }
        let credential = state.search(chain, fingerprint).await?;
        Ok(!is_same(&credential, rejected))
    }

    /// Searches the chain again because the store has rejected a credential in a URL, unless that
    /// happened within `pause`.
    ///
    /// # Errors
    /// Those of [`Chain::credential`].
    pub(super) async fn renew_after(&self, pause: Duration) -> Result<(), Fault> {
        let Source::Chain { chain, state } = &*self.0 else {
            return Ok(());
        };
        let mut state = state.lock().await;
        let is_recent = |found: &Found| found.searched_at.elapsed() < pause;
        if state.found.as_ref().is_some_and(is_recent) || state.has_failed_within(pause) {
            return Ok(());
        }
        let fingerprint = SharedConfig::fingerprint_of_process();
        state.search(chain, fingerprint).await.map(drop)
    }
}

impl State {
    fn has_failed_within(&self, pause: Duration) -> bool {
        self.failed
            .as_ref()
            .is_some_and(|(at, _)| at.elapsed() < pause)
    }

    async fn search(
        &mut self,
        chain: &Chain,
        fingerprint: Fingerprint,
    ) -> Result<Credential, Fault> {
        // Every call of the store has this future as a part of its own.
        let result = Box::pin(chain.credential()).await;
        self.failed = result
            .as_ref()
            .err()
            .map(|fault| (Instant::now(), Box::new(fault.clone())));
        let credential = result?;
        self.found = Some(Found {
            credential: credential.clone(),
            fingerprint,
            searched_at: Instant::now(),
        });
        Ok(credential)
    }
}

impl Found {
    fn is_valid_for(&self, ttl: Duration) -> bool {
        self.credential
            .expires_in
            .is_none_or(|end| end > Timestamp::now() + ttl)
    }
}

fn is_same(a: &Credential, b: &Credential) -> bool {
    a.access_key_id == b.access_key_id
        && a.secret_access_key == b.secret_access_key
        && a.session_token == b.session_token
}
