//! The secret with which a store authenticates the events that it pushes.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::request::{authorization, bearer_token};
use super::tokens;
use crate::problem::Refusal;
use upload_types::Token;
use upload_types::wire::Code;

/// The SHA-256 of the secret. Stores send the secret as a bearer token, as the whole value of
/// `Authorization` (`MinIO`), or as the password of basic authentication (Ceph).
pub struct PushSecret([u8; 32]);

impl PushSecret {
    #[must_use]
    pub fn new(secret: &Token) -> Self {
        Self(tokens::sha256(secret.expose()))
    }

    /// # Errors
    /// `unauthenticated` for a missing or wrong secret.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let authorization = authorization(headers).unwrap_or_default().trim();
        let password = basic_password(authorization);
        let candidates = [
            bearer_token(headers),
            Some(authorization),
            password.as_deref(),
        ];
        // All candidates are compared, so that the time does not depend on which one matches.
        let matches = candidates
            .into_iter()
            .flatten()
            .fold(false, |matches, candidate| {
                tokens::equal(&self.0, &tokens::sha256(candidate)) | matches
            });
        if matches {
            Ok(())
        } else {
            Err(Refusal::new(Code::Unauthenticated))
        }
    }
}

/// The password in the value of `Authorization`, if it is basic authentication.
fn basic_password(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = BASE64_STANDARD.decode(credentials.trim()).ok()?;
    let credentials = String::from_utf8(credentials).ok()?;
    let (_, password) = credentials.split_once(':')?;
    Some(password.to_owned())
}
