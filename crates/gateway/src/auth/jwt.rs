//! Verifies JSON Web Tokens: issuer, audience, time, required claims, and the owner.
//!
//! Not here: the issuer's keys (`jwks`), the meaning of claims (`claims`) and the signature, which
//! the library verifies. A token may name only an algorithm of the configuration, and that must be
//! the one of its key.

use std::sync::Arc;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::{check_required, subject};
use super::issuer::{Algorithm, Issuer};
use super::jwks::{KeyCache, WantedKey};
use super::key_refresh::KeyError;
use upload_net::{HttpClient, Network};
use upload_types::error::{Error, Kind, Result};

/// GitHub's tokens have 2 KiB; tokens of directories with many groups are larger.
const MAX_TOKEN_BYTES: usize = 32 << 10;
/// The accepted difference between clocks.
const CLOCK_LEEWAY_SECONDS: u64 = 30;

/// The reason that a token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JwtError {
    /// The token is invalid. The reason is for the log.
    Invalid(String),
    /// The issuer's keys are unavailable, so the token cannot be verified.
    KeysUnavailable,
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, JwtError> {
    Err(JwtError::Invalid(reason.into()))
}

/// Verifies the tokens of a list of issuers.
pub(super) struct JwtVerifier(Vec<KnownIssuer>);

struct KnownIssuer {
    issuer: Issuer,
    keys: Arc<KeyCache>,
}

impl JwtVerifier {
    /// # Errors
    /// [`Kind::Config`] if the HTTP library cannot be set up.
    pub(super) fn new(issuers: &[Issuer], network: &Network) -> Result<Self> {
        let http = HttpClient::new(network.clone()).map_err(|error| {
            Error::new(Kind::Config, "could not set up HTTP").with_source(error)
        })?;
        let known = |issuer: &Issuer| KnownIssuer {
            issuer: issuer.clone(),
            keys: Arc::new(KeyCache::new(http.clone(), issuer)),
        };
        Ok(Self(issuers.iter().map(known).collect()))
    }

    /// The subject of a valid token, by which the ledger identifies the owner, and its claims.
    pub(super) async fn verify(&self, token: &str) -> Result<Verified, JwtError> {
        if token.len() > MAX_TOKEN_BYTES {
            return invalid("it is too long");
        }
        let Ok(header) = decode_header(token) else {
            return invalid("it does not have the form of a signed token");
        };
        // The claim is not verified yet: it only selects the keys that must verify the token.
        let Ok(UnverifiedClaims { iss }) = insecure_decode_claims(token) else {
            return invalid("it has no issuer");
        };
        let Some(known) = self.0.iter().find(|known| known.issuer.issuer == iss) else {
            return invalid("its issuer is not configured");
        };
        let algorithms = known.issuer.algorithms.iter().copied();
        let Some(algorithm) = algorithms
            .into_iter()
            .find(|algorithm| header.alg == (*algorithm).into())
        else {
            return invalid(format!(
                "it is signed with {:?}, which is not a configured algorithm",
                header.alg
            ));
        };
        if header.crit.is_some() {
            return invalid("it requires an extension that is not supported");
        }
        let claims = known.verify(token, header.kid, algorithm).await?;
        check_required(&known.issuer.claims, &claims)
            .or_else(|name| invalid(format!("its claim {name} does not match")))?;
        let Some(subject) = subject(&known.issuer, &claims) else {
            let name = &known.issuer.owner_claim;
            return invalid(format!("its claim {name} does not identify an owner"));
        };
        Ok(Verified { subject, claims })
    }
}

type Claims = Map<String, Value>;

impl KnownIssuer {
    /// The claims of a token, after its signature and the registered claims were verified.
    async fn verify(
        &self,
        token: &str,
        id: Option<String>,
        algorithm: Algorithm,
    ) -> Result<Claims, JwtError> {
        let validation = self.validation(algorithm);
        let mut wanted = WantedKey {
            id,
            algorithm,
            newer_than: None,
        };
        loop {
            let found = self.keys.get(wanted.clone()).await;
            let found = found.map_err(|error| match error {
                KeyError::Unknown => JwtError::Invalid("the issuer has no such key".to_owned()),
                KeyError::Unavailable => JwtError::KeysUnavailable,
            })?;
            let error = match decode::<Claims>(token, &found.key, &validation) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) => error,
            };
            // A token without the id of its key may be signed with a newer one.
            let may_be_replaced = matches!(error.kind(), ErrorKind::InvalidSignature)
                && wanted.id.is_none()
                && wanted.newer_than.is_none();
            if !may_be_replaced {
                return invalid(reason(error.kind()));
            }
            wanted.newer_than = found.fetched;
        }
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm.into());
        validation.leeway = CLOCK_LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer.issuer]);
        validation.set_audience(&self.issuer.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation
    }
}

/// A valid token.
pub(super) struct Verified {
    pub subject: String,
    pub claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct UnverifiedClaims {
    iss: String,
}

/// The reason for the library's error, without any text of the token.
fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it has another issuer",
        ErrorKind::MissingRequiredClaim(name) => return format!("it has no {name}"),
        _ => "it does not have the form of a signed token",
    }
    .to_owned()
}
