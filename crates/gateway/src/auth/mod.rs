//! Who asks: everybody on this machine, the holder of an API token or of an issuer's, or the process the gateway runs in.
//!
//! Border: turns a request's headers into an owner; what an owner may see is decided by `ledger`, where every query names
//! the owner. Whoever is turned away learns nothing of why; the log does.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use uuid::Uuid;

use crate::ledger::Ledger;
use crate::problem::{Refusal, ledger_failed};
use upload_net::AddressClass;
use upload_types::error::Result;
use upload_types::names::Token;
use upload_types::sync::lock;
use upload_types::wire::Code;

mod config;
mod jwks;
mod jwt;
mod tokens;

pub use config::Auth;
pub use jwt::{Algorithm, Issuer, check};
use jwt::{Denied, Verifier};

/// Whose uploads a request is about: their segment of every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(pub String);

/// The owner of all uploads where nobody has to say who they are.
const LOCAL: &str = "local";

/// Seconds after which to ask again when an issuer's keys are out of reach.
const ISSUER_WAIT: u64 = 5;
/// Subjects whose segment is remembered; more are asked for anew.
const SEGMENTS: usize = 10_000;

/// Checks who asks.
pub struct Guard {
    ledger: Ledger,
    rule: Rule,
    /// Segments of subjects seen before; an owner's never changes.
    segments: Mutex<HashMap<String, Owner>>,
}

enum Rule {
    /// Loopback only, against pages of other sites in this machine's browsers.
    Nobody,
    One([u8; 32]),
    /// Tokens of the ledger, if it is to be asked, and those of issuers.
    Known {
        ledger: bool,
        issuers: Option<Verifier>,
    },
}

impl Guard {
    /// # Errors
    /// [`Kind::Config`](upload_types::error::Kind::Config) when the HTTP library cannot be set up.
    pub fn new(auth: &Auth, ledger: Ledger) -> Result<Self> {
        let rule = match auth {
            Auth::None => Rule::Nobody,
            Auth::Tokens => Rule::Known {
                ledger: true,
                issuers: None,
            },
            Auth::Jwt { issuers, tokens } => Rule::Known {
                ledger: *tokens,
                issuers: Some(Verifier::new(issuers)?),
            },
            Auth::Private(token) => Rule::One(tokens::digest(token.expose())),
        };
        Ok(Self {
            ledger,
            rule,
            segments: Mutex::default(),
        })
    }

    /// The owner a request speaks for.
    ///
    /// # Errors
    /// `unauthenticated` without a valid token; without tokens, `forbidden` for a host that is not this machine; `unavailable`
    /// when an issuer's keys cannot be had.
    pub async fn owner(&self, uri: &Uri, headers: &HeaderMap) -> Result<Owner, Refusal> {
        let token = || bearer(headers).ok_or_else(|| Refusal::new(Code::Unauthenticated));
        match &self.rule {
            Rule::Nobody => {
                if !asks_loopback(uri, headers) {
                    let detail = "the Host header must name this machine's loopback address";
                    return Err(Refusal::with_detail(Code::Forbidden, detail));
                }
                self.segment(LOCAL.to_owned()).await
            }
            Rule::One(hash) => {
                if !tokens::same(hash, &tokens::digest(token()?)) {
                    return Err(turned_away("it is not this gateway's"));
                }
                self.segment(LOCAL.to_owned()).await
            }
            Rule::Known { ledger, issuers } => {
                let token = token()?;
                let subject = match (tokens::id(token), issuers) {
                    (Some(id), _) if *ledger => self.holder(id, token).await?,
                    (_, Some(issuers)) => {
                        issuers
                            .subject(token)
                            .await
                            .map_err(|denied| match denied {
                                Denied::Invalid(why) => turned_away(&why),
                                Denied::Unknown => {
                                    Refusal::retry_after(Code::Unavailable, ISSUER_WAIT)
                                }
                            })?
                    }
                    _ => return Err(turned_away("it is no token of this gateway")),
                };
                self.segment(subject).await
            }
        }
    }

    /// The subject that holds a token of the ledger.
    async fn holder(&self, id: &str, token: &str) -> Result<String, Refusal> {
        let known = self
            .ledger
            .token(id)
            .await
            .map_err(ledger_failed)?
            .ok_or_else(|| turned_away("the ledger does not know it"))?;
        tokens::judge(&known, token, Timestamp::now()).map_err(turned_away)?;
        Ok(format!("token:{}", known.name))
    }

    async fn segment(&self, subject: String) -> Result<Owner, Refusal> {
        let seen = lock(&self.segments).get(&subject).cloned();
        if let Some(owner) = seen {
            return Ok(owner);
        }
        let segment = self.ledger.owner(&subject, fresh_segment()).await;
        let owner = Owner(segment.map_err(ledger_failed)?);
        let mut segments = lock(&self.segments);
        if segments.len() >= SEGMENTS {
            segments.clear();
        }
        segments.insert(subject, owner.clone());
        Ok(owner)
    }
}

/// The secret that a store shows with what it pushes: as a bearer token, bare (`MinIO`), or as the password of a user (Ceph).
pub struct Shown([u8; 32]);

impl Shown {
    #[must_use]
    pub fn new(secret: &Token) -> Self {
        Self(tokens::digest(secret.expose()))
    }

    /// # Errors
    /// `unauthenticated` for any other secret, and for none.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let bare = shown.trim();
        let password = bare
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let password = password.and_then(|(_, text)| BASE64_STANDARD.decode(text.trim()).ok());
        let password = password.and_then(|pair| String::from_utf8(pair).ok());
        let password = password
            .as_deref()
            .and_then(|pair| pair.split_once(':'))
            .map(|(_, password)| password);
        let shown = [bearer(headers), Some(bare), password];
        // All are compared, whichever is right.
        let right = shown.into_iter().flatten().fold(false, |right, one| {
            tokens::same(&self.0, &tokens::digest(one)) | right
        });
        if right {
            Ok(())
        } else {
            Err(Refusal::new(Code::Unauthenticated))
        }
    }
}

/// Whether a request that changes something says that its body is JSON: a page of another site cannot without a preflight.
#[must_use]
pub fn says_json(method: &Method, headers: &HeaderMap) -> bool {
    let json = || {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        Some(
            value
                .split(';')
                .next()?
                .trim()
                .eq_ignore_ascii_case("application/json"),
        )
    };
    method != Method::POST || json().unwrap_or(false)
}

/// Whether the request was sent to a loopback address by name: a rebound DNS name is not one.
fn asks_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let header = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = uri
        .authority()
        .map(axum::http::uri::Authority::as_str)
        .or(header)
    else {
        return false;
    };
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else {
        return false;
    };
    AddressClass::of_name(authority.host()).is_loopback()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Nobody is told why; the log is, without the token.
fn turned_away(why: &str) -> Refusal {
    tracing::info!(why, "turned a token away");
    Refusal::new(Code::Unauthenticated)
}

/// 26 of `[a-z0-9]` from 122 random bits.
fn fresh_segment() -> String {
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
    use super::*;
    use crate::LedgerConfig;
    use upload_types::error::Kind;

    fn host(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        asks_loopback(&Uri::from_static("/v1"), &headers)
    }

    #[test]
    fn only_loopback_hosts_are_this_machine() {
        for good in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "localhost:1",
            "LOCALHOST",
            "[::1]:8080",
        ] {
            assert!(host(good), "{good}");
        }
        for bad in [
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "10.0.0.1",
            "",
            "a@127.0.0.1:80@x",
        ] {
            assert!(!host(bad), "{bad}");
        }
        assert!(!asks_loopback(&Uri::from_static("/v1"), &HeaderMap::new()));
    }

    #[test]
    fn a_segment_is_26_plain_characters() {
        let segment = fresh_segment();
        assert!(
            segment.len() == 26
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
        assert_ne!(segment, fresh_segment());
    }

    #[tokio::test]
    async fn a_token_works_until_it_is_revoked() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&LedgerConfig::Sqlite(place.path().join("ledger.db")))
            .await
            .unwrap();
        let guard = Guard::new(&Auth::Tokens, ledger.clone()).unwrap();
        let ask = async |token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::AUTHORIZATION,
                format!("Bearer {token}").parse().unwrap(),
            );
            guard
                .owner(&Uri::from_static("/v1"), &headers)
                .await
                .map_err(|refusal| refusal.code)
        };
        let token = ledger.add_token("ci").await.unwrap();
        let other = ledger.add_token("cd").await.unwrap();
        let owner = ask(token.expose()).await.unwrap();
        assert_eq!(ask(token.expose()).await.unwrap(), owner);
        assert_ne!(ask(other.expose()).await.unwrap(), owner);
        for wrong in ["", "upl__", "upl_x_y", &format!("{}0", token.expose())] {
            assert_eq!(ask(wrong).await, Err(Code::Unauthenticated), "{wrong}");
        }
        let id = tokens::id(token.expose()).unwrap();
        ledger.revoke(id).await.unwrap();
        assert_eq!(ask(token.expose()).await, Err(Code::Unauthenticated));
        assert_eq!(ledger.revoke(id).await.unwrap_err().kind(), Kind::NotFound);
        let bytes = std::fs::read(place.path().join("ledger.db-wal")).unwrap();
        let secret = token.expose().as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}
