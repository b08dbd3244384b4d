//! The configuration of an issuer of JSON Web Tokens.

use url::Url;

use upload_net::AddressClass;
use upload_types::error::{Error, Kind, Result};

/// An issuer, and the conditions under which its tokens are accepted.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The value of the claim `iss`.
    pub issuer: String,
    /// The claim `aud` must have one of these values.
    pub audiences: Vec<String>,
    /// The URL of the key set. If it is `None`, the issuer's discovery document has the URL.
    pub jwks: Option<Url>,
    /// The only accepted algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Names of required claims (see the file `claims`), with globs. Each of these claims must
    /// match one of its globs. In a glob, `*` matches any run of characters without `/` and `:`,
    /// and `**` any run.
    pub claims: Vec<(String, String)>,
    /// The claim that identifies the owner of uploads.
    pub owner_claim: String,
}

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Rs384 => Self::RS384,
            Algorithm::Rs512 => Self::RS512,
            Algorithm::Ps256 => Self::PS256,
            Algorithm::Ps384 => Self::PS384,
            Algorithm::Ps512 => Self::PS512,
            Algorithm::Es256 => Self::ES256,
            Algorithm::Es384 => Self::ES384,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}

impl Issuer {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`Kind::Config`] for a URL that is neither https nor http on loopback, for an empty audience
    /// or name of a claim, and for an issuer without algorithms or required claims.
    pub fn check(&self) -> Result<()> {
        let reject = |reason: &str, hint: &str| {
            let text = format!("could not use the issuer of tokens: {reason}");
            Err(Error::new(Kind::Config, text).with_hint(hint))
        };
        let url_hint = "write https://HOST[:PORT][/PATH]; http is accepted for loopback addresses";
        let Ok(url) = Url::parse(&self.issuer) else {
            return reject("it is not a URL", url_hint);
        };
        if !is_trusted_url(&url) || url.query().is_some() {
            return reject(
                "its URL is not https, or contains more than host, port and path",
                url_hint,
            );
        }
        if self.jwks.as_ref().is_some_and(|jwks| !is_trusted_url(jwks)) {
            return reject("the URL of its keys is not https", url_hint);
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return reject("the audience is empty", "name the audience of the tokens");
        }
        if self.algorithms.is_empty() {
            return reject(
                "no algorithm is accepted",
                "name the algorithm of the tokens",
            );
        }
        if self.owner_claim.is_empty() || self.claims.iter().any(|(name, _)| name.is_empty()) {
            return reject("the name of a claim is empty", "name the claim");
        }
        if self.claims.is_empty() {
            // An issuer such as GitHub signs tokens for all its users.
            return reject(
                "without a required claim, every token of the issuer would be accepted",
                "name a claim, such as --jwt-claim 'repository_owner=acme'; \
                 use --jwt-claim 'sub=**' to accept every token",
            );
        }
        Ok(())
    }
}

/// Returns true for a URL without credentials or fragment that is https, or http on loopback.
pub(super) fn is_trusted_url(url: &Url) -> bool {
    if url.host().is_none() {
        return false;
    }
    let is_loopback = AddressClass::of_url(url).is_loopback();
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    is_plain && (url.scheme() == "https" || url.scheme() == "http" && is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(url: &str) -> Issuer {
        Issuer {
            issuer: url.into(),
            audiences: vec!["upload".into()],
            jwks: None,
            algorithms: vec![Algorithm::Rs256],
            claims: vec![("sub".into(), "**".into())],
            owner_claim: "sub".into(),
        }
    }

    #[test]
    fn insecure_or_unrestricted_issuer_is_rejected() {
        for good in [
            "https://token.actions.githubusercontent.com",
            "http://127.0.0.1:8080/realm",
            "http://[::1]",
        ] {
            issuer(good).check().unwrap();
        }
        for bad in [
            "http://issuer.example",
            "issuer",
            "https://user@issuer.example",
            "https://a/?b",
            "file:///etc/passwd",
        ] {
            let error = issuer(bad).check().unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{bad}");
        }
        let good = issuer("https://issuer.example");
        let jwks = Some("http://issuer.example/keys".parse().unwrap());
        for bad in [
            Issuer {
                jwks,
                ..good.clone()
            },
            Issuer {
                audiences: vec!["upload".into(), String::new()],
                ..good.clone()
            },
            Issuer {
                algorithms: Vec::new(),
                ..good.clone()
            },
            Issuer {
                claims: Vec::new(),
                ..good.clone()
            },
            Issuer {
                owner_claim: String::new(),
                ..good
            },
        ] {
            assert_eq!(bad.check().unwrap_err().kind(), Kind::Config, "{bad:?}");
        }
    }
}
