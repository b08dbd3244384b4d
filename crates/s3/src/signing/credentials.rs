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
use tokio::sync::{Mutex, OwnedMutexGuard};

use upload_net::HttpClient;

use super::ttl::CREDENTIAL_EXPIRY_MARGIN;
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
    Chain {
        chain: Chain,
        state: Arc<Mutex<State>>,
    },
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
            state: Arc::default(),
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
        let state = Arc::clone(state).lock_owned().await;
        let fingerprint = SharedConfig::fingerprint_of_process();
        if let Some(known) = state.known(fingerprint) {
            return known;
        }
        let (result, state) = search(state, chain.clone(), fingerprint).await?;
        match (result, &state.found) {
            (Err(fault), Some(found)) if found.is_valid_for(Duration::ZERO) => {
                tracing::warn!(%fault, "could not renew the AWS credentials");
                Ok(found.credential.clone())
            }
            (result, _) => result,
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
        let state = Arc::clone(state).lock_owned().await;
        let fingerprint = SharedConfig::fingerprint_of_process();
        if let Some(found) = &state.found {
            if !is_same(&found.credential, rejected) {
                return Ok(true);
            }
            if found.fingerprint == fingerprint && found.searched_at.elapsed() < pause {
                return Ok(false);
            }
        }
        let (credential, _) = search(state, chain.clone(), fingerprint).await?;
        Ok(!is_same(&credential?, rejected))
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
        let state = Arc::clone(state).lock_owned().await;
        let is_recent = |found: &Found| found.searched_at.elapsed() < pause;
        if state.found.as_ref().is_some_and(is_recent) || state.has_failed_within(pause) {
            return Ok(());
        }
        let fingerprint = SharedConfig::fingerprint_of_process();
        let (result, _) = search(state, chain.clone(), fingerprint).await?;
        result.map(drop)
    }
}

type Locked = OwnedMutexGuard<State>;

/// Searches the chain, and keeps the result in the state.
///
/// # Errors
/// [`Fault::NoCredentials`] if the runtime has ended the search.
async fn search(
    state: Locked,
    chain: Chain,
    fingerprint: Fingerprint,
) -> Result<(Result<Credential, Fault>, Locked), Fault> {
    let credential = async move { chain.credential().await };
    finish_search(state, credential, fingerprint).await
}

/// Runs a search to its end, also if the caller is cancelled: a service may have replaced a token
/// that is valid once, and the new one must be kept.
async fn finish_search(
    mut state: Locked,
    credential: impl Future<Output = Result<Credential, Fault>> + Send + 'static,
    fingerprint: Fingerprint,
) -> Result<(Result<Credential, Fault>, Locked), Fault> {
    let searched = tokio::spawn(async move {
        let result = credential.await;
        state.keep(&result, fingerprint);
        (result, state)
    });
    searched
        .await
        .map_err(|_| Fault::NoCredentials("the search for AWS credentials has ended".to_owned()))
}

impl State {
    fn has_failed_within(&self, pause: Duration) -> bool {
        self.failed
            .as_ref()
            .is_some_and(|(at, _)| at.elapsed() < pause)
    }

    /// The credential, or the failure of the last search. Returns `None` if a search is due.
    fn known(&self, fingerprint: Fingerprint) -> Option<Result<Credential, Fault>> {
        if let Some(found) = &self.found {
            let is_recent = found.fingerprint == fingerprint && found.is_valid_for(MIN_TTL);
            let has_searched = found.fingerprint == fingerprint
                && found.searched_at.elapsed() < SEARCH_PAUSE
                || self.has_failed_within(SEARCH_PAUSE);
            // In its last seconds, a credential must be replaced, not used up.
            if is_recent || has_searched && found.is_valid_for(CREDENTIAL_EXPIRY_MARGIN) {
                return Some(Ok(found.credential.clone()));
            }
        }
        // Requests that waited for a search that failed share its result.
        match &self.failed {
            Some((at, fault)) if at.elapsed() < FAILURE_PAUSE => match &self.found {
                Some(found) if found.is_valid_for(Duration::ZERO) => {
                    Some(Ok(found.credential.clone()))
                }
                _ => Some(Err(Fault::clone(fault))),
            },
            _ => None,
        }
    }

    fn keep(&mut self, result: &Result<Credential, Fault>, fingerprint: Fingerprint) {
        self.failed = result
            .as_ref()
            .err()
            .map(|fault| (Instant::now(), Box::new(fault.clone())));
        if let Ok(credential) = result {
            self.found = Some(Found {
                credential: credential.clone(),
                fingerprint,
                searched_at: Instant::now(),
            });
        }
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

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    fn credential(left: Duration) -> Credential {
        Credential {
            access_key_id: "a".to_owned(),
            secret_access_key: "b".to_owned(),
            session_token: None,
            expires_in: Some(Timestamp::now() + left),
        }
    }

    #[tokio::test]
    async fn search_continues_after_its_caller_was_cancelled() {
        let state = Arc::<Mutex<State>>::default();
        let fingerprint = SharedConfig::fingerprint_of_process();
        let response = Arc::new(Notify::new());
        let waiting = Arc::clone(&response);
        let renewed = async move {
            waiting.notified().await;
            Ok(credential(Duration::from_hours(1)))
        };
        let locked = Arc::clone(&state).lock_owned().await;
        let caller = finish_search(locked, renewed, fingerprint);
        let cancelled = tokio::time::timeout(Duration::ZERO, caller).await;
        assert!(cancelled.is_err());
        response.notify_one();
        let state = state.lock().await;
        assert!(state.found.is_some(), "the renewed token is lost");
    }

    #[test]
    fn credential_in_its_last_seconds_is_replaced() {
        let fingerprint = SharedConfig::fingerprint_of_process();
        let after_a_search = |left| {
            let mut state = State::default();
            state.keep(&Ok(credential(Duration::from_secs(left))), fingerprint);
            state.known(fingerprint).is_some()
        };
        assert!(after_a_search(600), "it is valid for long");
        assert!(after_a_search(60), "the search has just ended");
        assert!(!after_a_search(5));
    }
}
