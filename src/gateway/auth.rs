//! Who asks: everybody on this machine, the holder of an API token, or the process the gateway runs in.
//!
//! Border: turns a request's headers into an owner; what an owner may see is decided by `ledger`, where every query names
//! the owner. Tokens are `upl_ID_SECRET`; the ledger keeps the SHA-256 of the whole.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::gateway::Auth;
use crate::gateway::ledger::{Ledger, NewToken};
use crate::gateway::problem::Refusal;
use crate::names::Token;
use crate::wire::Code;

/// Whose uploads a request is about: their segment of every key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(pub String);

/// The owner of all uploads where nobody has to say who they are.
const LOCAL: &str = "local";

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
    Ledger,
    One([u8; 32]),
}

impl Guard {
    #[must_use]
    pub fn new(auth: &Auth, ledger: Ledger) -> Self {
        let rule = match auth {
            Auth::None => Rule::Nobody,
            Auth::Tokens => Rule::Ledger,
            Auth::Private(token) => Rule::One(digest(token.expose())),
        };
        Self { ledger, rule, segments: Mutex::default() }
    }

    /// The owner a request speaks for.
    ///
    /// # Errors
    /// `unauthenticated` without a valid token; without tokens, `forbidden` for a host that is not this machine.
    pub async fn owner(&self, uri: &Uri, headers: &HeaderMap) -> Result<Owner, Refusal> {
        match &self.rule {
            Rule::Nobody => {
                if !asks_loopback(uri, headers) {
                    let detail = "the Host header must name this machine's loopback address";
                    return Err(Refusal::saying(Code::Forbidden, detail));
                }
                self.segment(LOCAL.to_owned()).await
            }
            Rule::One(hash) => {
                let token = bearer(headers).ok_or_else(|| Refusal::new(Code::Unauthenticated))?;
                if !same(hash, &digest(token)) {
                    return Err(Refusal::new(Code::Unauthenticated));
                }
                self.segment(LOCAL.to_owned()).await
            }
            Rule::Ledger => {
                let token = bearer(headers).ok_or_else(|| Refusal::new(Code::Unauthenticated))?;
                let id = token_id(token).ok_or_else(|| Refusal::new(Code::Unauthenticated))?;
                let known = self.ledger.token(id).await?;
                let valid = known.filter(|known| known.revoked_at.is_none() && same(&known.hash, &digest(token)));
                let valid = valid.ok_or_else(|| Refusal::new(Code::Unauthenticated))?;
                self.segment(format!("token:{}", valid.name)).await
            }
        }
    }

    async fn segment(&self, subject: String) -> Result<Owner, Refusal> {
        let seen = self.segments.lock().unwrap_or_else(PoisonError::into_inner).get(&subject).cloned();
        if let Some(owner) = seen {
            return Ok(owner);
        }
        let owner = Owner(self.ledger.owner(&subject, fresh_segment()).await?);
        self.segments.lock().unwrap_or_else(PoisonError::into_inner).insert(subject, owner.clone());
        Ok(owner)
    }
}

/// The secret that a store shows with what it pushes: as a bearer token, bare (`MinIO`), or as the password of a user (Ceph).
pub struct Shown([u8; 32]);

impl Shown {
    #[must_use]
    pub fn new(secret: &Token) -> Self {
        Self(digest(secret.expose()))
    }

    /// # Errors
    /// `unauthenticated` for any other secret, and for none.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let bare = shown.trim();
        let password = bare.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let password = password.and_then(|(_, text)| BASE64_STANDARD.decode(text.trim()).ok());
        let password = password.and_then(|pair| String::from_utf8(pair).ok());
        let password = password.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password);
        let shown = [bearer(headers), Some(bare), password];
        // All are compared, whichever is right.
        let right = shown.into_iter().flatten().fold(false, |right, one| same(&self.0, &digest(one)) | right);
        if right { Ok(()) } else { Err(Refusal::new(Code::Unauthenticated)) }
    }
}

/// Whether a request that changes something says that its body is JSON: a page of another site cannot without a preflight.
#[must_use]
pub fn says_json(method: &Method, headers: &HeaderMap) -> bool {
    let json = || {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next()?.trim().eq_ignore_ascii_case("application/json"))
    };
    method != Method::POST || json().unwrap_or(false)
}

/// Whether the request was sent to a loopback address by name: a rebound DNS name is not one.
fn asks_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let header = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = uri.authority().map(axum::http::uri::Authority::as_str).or(header) else { return false };
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The id in `upl_ID_SECRET`.
fn token_id(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix("upl_")?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some(id)
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Compares in a time that does not tell where two hashes differ.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
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

impl Ledger {
    /// Makes an API token for `name`; tokens of one name share their uploads. What it gives is shown once and kept nowhere.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is empty, longer than 64 characters or not printable; else when the ledger fails.
    pub async fn add_token(&self, name: &str) -> Result<Token> {
        if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
            return Err(Error::new(Kind::Usage, "a token's name has 1 to 64 printable characters"));
        }
        let id: String = Uuid::new_v4().simple().to_string().chars().take(12).collect();
        let token = format!("upl_{id}_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let new = NewToken { id, name: name.to_owned(), hash: digest(&token) };
        self.insert_token(new, Timestamp::now()).await?;
        Ok(Token::new(token))
    }

    /// Revokes the token of that id, at once.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no valid token of that id; else when the ledger fails.
    pub async fn revoke(&self, id: &str) -> Result<()> {
        if self.revoke_token(id, Timestamp::now()).await? {
            return Ok(());
        }
        Err(Error::new(Kind::NotFound, format!("there is no valid token {id}"))
            .hinting("`upload serve token list` shows the tokens"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::LedgerConfig;

    fn host(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        asks_loopback(&Uri::from_static("/v1"), &headers)
    }

    #[test]
    fn only_loopback_hosts_are_this_machine() {
        for good in ["127.0.0.1:8080", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8080"] {
            assert!(host(good), "{good}");
        }
        for bad in ["example.com", "127.0.0.1.example.com", "localhost.example.com", "10.0.0.1", "", "a@127.0.0.1:80@x"]
        {
            assert!(!host(bad), "{bad}");
        }
        assert!(!asks_loopback(&Uri::from_static("/v1"), &HeaderMap::new()));
    }

    #[test]
    fn a_segment_is_26_plain_characters() {
        let segment = fresh_segment();
        assert!(segment.len() == 26 && segment.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_ne!(segment, fresh_segment());
    }

    #[tokio::test]
    async fn a_token_works_until_it_is_revoked() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&LedgerConfig::Sqlite(place.path().join("ledger.db"))).await.unwrap();
        let guard = Guard::new(&Auth::Tokens, ledger.clone());
        let ask = async |token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            guard.owner(&Uri::from_static("/v1"), &headers).await.map_err(|refusal| refusal.code)
        };
        let token = ledger.add_token("ci").await.unwrap();
        let other = ledger.add_token("cd").await.unwrap();
        let owner = ask(token.expose()).await.unwrap();
        assert_eq!(ask(token.expose()).await.unwrap(), owner);
        assert_ne!(ask(other.expose()).await.unwrap(), owner);
        for wrong in ["", "upl__", "upl_x_y", &format!("{}0", token.expose())] {
            assert_eq!(ask(wrong).await, Err(Code::Unauthenticated), "{wrong}");
        }
        let id = token_id(token.expose()).unwrap();
        ledger.revoke(id).await.unwrap();
        assert_eq!(ask(token.expose()).await, Err(Code::Unauthenticated));
        assert_eq!(ledger.revoke(id).await.unwrap_err().kind(), Kind::NotFound);
        let bytes = std::fs::read(place.path().join("ledger.db-wal")).unwrap();
        let secret = token.expose().as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}
