//! Authenticates requests: finds the owner from the headers of a request.
//!
//! The reason for a rejection is in the log, and not in the response.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::http::{HeaderMap, Uri};
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::config::Auth;
use super::jwt::{JwtError, JwtVerifier};
use super::last_uses::LastUses;
use super::limit_rules::{LimitRule, limits_for};
use super::owner::Owner;
use super::request::{bearer_token, host_is_loopback};
use super::tokens;
use crate::ledger::{Ledger, Used};
use crate::limits::OwnerLimits;
use crate::problem::{Refusal, ledger_failed};
use upload_net::Network;
use upload_types::error::Result;
use upload_types::sync::lock;
use upload_types::wire::Code;

/// The subject of all requests if there is only one owner.
const LOCAL_SUBJECT: &str = "local";

/// The value of `Retry-After` while an issuer's keys are unavailable.
const ISSUER_RETRY_AFTER_SECONDS: u64 = 5;
const MAX_CACHED_SEGMENTS: usize = 10_000;

/// Authenticates requests.
pub struct Authenticator {
    ledger: Ledger,
    scheme: Scheme,
    /// Segments by subject. The segment of an owner never changes.
    segments: Mutex<HashMap<String, String>>,
    rules: RwLock<Arc<[LimitRule]>>,
    last_uses: Arc<LastUses>,
}

/// The subject of a request, and the limits that apply to this request.
struct Identity {
    subject: String,
    limits: OwnerLimits,
    /// The id of its token, if that is in the ledger.
    token: Option<String>,
}

enum Scheme {
    /// Any request to a loopback address. The check of the host protects against requests from
    /// other sites' pages in browsers on this machine.
    Loopback,
    /// One token, by its SHA-256.
    SharedToken([u8; 32]),
    /// Tokens of the ledger, if `ledger` is set, and tokens of issuers.
    Tokens {
        ledger: bool,
        issuers: Option<JwtVerifier>,
    },
}

impl Authenticator {
    /// # Errors
    /// [`Kind::Config`](upload_types::error::Kind::Config) if the HTTP library cannot be set up.
    pub fn new(auth: &Auth, ledger: Ledger, network: &Network) -> Result<Self> {
        let scheme = match auth {
            Auth::None => Scheme::Loopback,
            Auth::Tokens => Scheme::Tokens {
                ledger: true,
                issuers: None,
            },
            Auth::Jwt { issuers, tokens } => Scheme::Tokens {
                ledger: *tokens,
                issuers: Some(JwtVerifier::new(issuers, network)?),
            },
            Auth::Private(token) => Scheme::SharedToken(tokens::sha256(token.expose())),
        };
        Ok(Self {
            scheme,
            segments: Mutex::default(),
            rules: RwLock::new(Arc::from([])),
            last_uses: Arc::new(LastUses::new(ledger.clone())),
            ledger,
        })
    }

    /// Applies these rules to further requests.
    pub fn set_limit_rules(&self, rules: &[LimitRule]) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules.into();
    }

    /// The uses that are not in the ledger yet.
    pub fn last_uses(&self) -> &Arc<LastUses> {
        &self.last_uses
    }

    /// The owner of a request.
    ///
    /// # Errors
    /// `unauthenticated` without a valid token; `forbidden` if no token is required and the host is
    /// not a loopback address; `unavailable` if the keys of an issuer are unavailable.
    pub async fn owner(&self, uri: &Uri, headers: &HeaderMap) -> Result<Owner, Refusal> {
        let token = || bearer_token(headers).ok_or_else(|| Refusal::new(Code::Unauthenticated));
        let identity = match &self.scheme {
            Scheme::Loopback => {
                if !host_is_loopback(uri, headers) {
                    let detail = "the Host header must name this machine's loopback address";
                    return Err(Refusal::with_detail(Code::Forbidden, detail));
                }
                self.identity(LOCAL_SUBJECT.to_owned(), None)
            }
            Scheme::SharedToken(sha256) => {
                if !tokens::equal(sha256, &tokens::sha256(token()?)) {
                    return Err(reject_token("it is not this gateway's token"));
                }
                self.identity(LOCAL_SUBJECT.to_owned(), None)
            }
            Scheme::Tokens { ledger, issuers } => {
                let token = token()?;
                match (tokens::id(token), issuers) {
                    (Some(id), _) if *ledger => self.api_token_identity(id, token).await?,
                    (_, Some(issuers)) => {
                        let verified = issuers.verify(token).await;
                        let verified = verified.map_err(|error| match error {
                            JwtError::Invalid(reason) => reject_token(&reason),
                            JwtError::KeysUnavailable => {
                                Refusal::retry_after(Code::Unavailable, ISSUER_RETRY_AFTER_SECONDS)
                            }
                        })?;
                        self.identity(verified.subject, Some(&verified.claims))
                    }
                    _ => return Err(reject_token("it does not have the form of an API token")),
                }
            }
        };
        let segment = self.segment_of(&identity.subject).await?;
        // The token of one run of one process has no operator who could ask for its use.
        if !matches!(self.scheme, Scheme::SharedToken(_)) {
            let owner = Used::Owner(segment.clone());
            let token = identity.token.map(Used::Token);
            let used = [owner].into_iter().chain(token);
            self.last_uses.record(used, Timestamp::now());
        }
        Ok(Owner::of_request(
            segment,
            identity.subject,
            identity.limits,
        ))
    }

    /// A subject with the limits of the rules.
    fn identity(&self, subject: String, claims: Option<&Map<String, Value>>) -> Identity {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let limits = limits_for(&rules, &subject, claims);
        Identity {
            subject,
            limits,
            token: None,
        }
    }

    /// The subject of a token of the ledger. The limits of the token precede those of the rules.
    async fn api_token_identity(&self, id: &str, token: &str) -> Result<Identity, Refusal> {
        let known = self
            .ledger
            .token(id)
            .await
            .map_err(ledger_failed)?
            .ok_or_else(|| reject_token("the ledger has no token with its id"))?;
        let now = Timestamp::now();
        tokens::check(&known, token, now).map_err(reject_token)?;
        let Identity {
            subject, limits, ..
        } = self.identity(known.subject(), None);
        let limits = known.limits.or(limits);
        Ok(Identity {
            subject,
            limits,
            token: Some(known.id),
        })
    }

    async fn segment_of(&self, subject: &str) -> Result<String, Refusal> {
        let cached = lock(&self.segments).get(subject).cloned();
        if let Some(segment) = cached {
            return Ok(segment);
        }
        let segment = self.ledger.owner_segment(subject, new_segment()).await;
        let segment = segment.map_err(ledger_failed)?;
        let mut segments = lock(&self.segments);
        if segments.len() >= MAX_CACHED_SEGMENTS {
            segments.clear();
        }
        segments.insert(subject.to_owned(), segment.clone());
        Ok(segment)
    }
}

/// Logs the reason, without the token.
fn reject_token(reason: &str) -> Refusal {
    tracing::info!(reason, "token refused");
    Refusal::new(Code::Unauthenticated)
}

/// 26 characters of `[a-z2-7]` from 122 random bits.
fn new_segment() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bits = Uuid::new_v4().as_u128();
    let mut segment = String::with_capacity(26);
    for _ in 0..26 {
        let index = usize::try_from(bits & 31).unwrap_or(0);
        segment.push(ALPHABET.get(index).copied().map_or('a', char::from));
        bits >>= 5;
    }
    segment
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;
    use crate::LedgerConfig;
    use upload_types::error::Kind;

    #[test]
    fn segment_is_26_lowercase_letters_and_digits() {
        let segment = new_segment();
        assert!(
            segment.len() == 26
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
        assert_ne!(segment, new_segment());
    }

    #[tokio::test]
    async fn token_works_until_it_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let config = LedgerConfig::Sqlite(dir.path().join("ledger.db"));
        let ledger = Ledger::open(&config).await.unwrap();
        let authenticator =
            Authenticator::new(&Auth::Tokens, ledger.clone(), &Network::default()).unwrap();
        let owner_of = async |token: &str| {
            let mut headers = HeaderMap::new();
            let value = format!("Bearer {token}").parse().unwrap();
            headers.insert(header::AUTHORIZATION, value);
            authenticator
                .owner(&Uri::from_static("/v1"), &headers)
                .await
                .map_err(|refusal| refusal.code)
        };
        let token = ledger.add_token("ci").await.unwrap();
        let other = ledger.add_token("cd").await.unwrap();
        let owner = owner_of(token.expose()).await.unwrap();
        assert_eq!(owner_of(token.expose()).await.unwrap(), owner);
        assert_ne!(owner_of(other.expose()).await.unwrap(), owner);
        for wrong in ["", "upl__", "upl_x_y", &format!("{}0", token.expose())] {
            assert_eq!(owner_of(wrong).await, Err(Code::Unauthenticated), "{wrong}");
        }
        let id = tokens::id(token.expose()).unwrap();
        ledger.revoke(id).await.unwrap();
        assert_eq!(owner_of(token.expose()).await, Err(Code::Unauthenticated));
        assert_eq!(ledger.revoke(id).await.unwrap_err().kind(), Kind::NotFound);
        let bytes = std::fs::read(dir.path().join("ledger.db-wal")).unwrap();
        let secret = token.expose().as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}
