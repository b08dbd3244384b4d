//! Secrets as types that do not show their value when they are formatted.
//!
//! Not here: where secrets are read from.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A presigned URL. Its query is a secret: `Debug` shows host and path only.
#[derive(Clone)]
pub struct SignedUrl(SecretString);

impl SignedUrl {
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url.into())
    }

    /// The URL with its secret, for the one request that it signs.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.expose().split(['?', '#']).next().unwrap_or_default();
        // The text before an `@` may be a password.
        let address = address.split_once("://").map_or(address, |(_, rest)| rest);
        write!(
            f,
            "{}?REDACTED",
            address.rsplit_once('@').map_or(address, |(_, rest)| rest)
        )
    }
}

impl Serialize for SignedUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for SignedUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}

/// An API token. `Debug` does not show it.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    #[must_use]
    pub fn new(token: String) -> Self {
        Self(token.into())
    }

    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let url = SignedUrl::new("https://user:pw@store.example/b/k?X-Amz-Signature=canary".into());
        assert_eq!(format!("{url:?}"), "store.example/b/k?REDACTED");
        assert_eq!(format!("{:?}", Token::new("canary".into())), "REDACTED");
    }
}
