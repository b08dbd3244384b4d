//! JSON Web Tokens: whether one is an issuer's, for us, good now, and whom it speaks for.
//!
//! Border: what a token says and whether it counts. Where an issuer's keys come from is `jwks`; the signature itself is the
//! library's work. The algorithm is the configuration's, never the token's.

use std::sync::Arc;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::jwks::{Absent, Keys};
use upload_net::{AddressClass, HttpClient};
use upload_types::error::{Error, Kind, Result};

/// The longest token: GitHub's have 2 KiB, those of directories with many groups more.
const TOKEN_MAX: usize = 8 << 10;
/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 30;
/// The longest value of a claim that names an owner.
const OWNER_MAX: usize = 255;

/// Who signs tokens, and which of them let somebody in.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// As the claim `iss` has it, to the letter.
    pub issuer: String,
    /// What the claim `aud` must name.
    pub audience: String,
    /// Where the keys are; None asks the issuer's discovery document.
    pub jwks: Option<Url>,
    /// The one that is taken.
    pub algorithm: Algorithm,
    /// Names of claims and globs: each claim that is named must match one of its globs. In a glob, `*` is any run of characters
    /// without `/` and `:`, `**` any run at all.
    pub claims: Vec<(String, String)>,
    /// The claim that names the owner of uploads.
    pub owner_claim: String,
}

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Es256 => Self::ES256,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}

/// Why a token lets nobody in.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// It never will; the reason is for the log.
    Invalid(String),
    /// Whether it would cannot be told: the issuer's keys are out of reach.
    Unknown,
}

fn invalid<T>(why: impl Into<String>) -> Result<T, Denied> {
    Err(Denied::Invalid(why.into()))
}

/// Checks what an operator configured.
///
/// # Errors
/// [`Kind::Config`] for URLs that are no plain https (http on loopback), for an empty audience or name of a claim, and for an
/// issuer whose every token would let its holder in.
pub fn check(issuer: &Issuer) -> Result<()> {
    let wrong = |what: &str| {
        Err(Error::new(
            Kind::Config,
            format!("could not use the issuer of tokens: {what}"),
        ))
    };
    let Ok(url) = Url::parse(&issuer.issuer) else {
        return wrong("it is no URL");
    };
    if !is_safe(&url) || url.query().is_some() {
        return wrong("it is https://host[:port][/path] (http on loopback alone)");
    }
    if issuer.jwks.as_ref().is_some_and(|jwks| !is_safe(jwks)) {
        return wrong("its keys are at an https URL (http on loopback alone)");
    }
    if issuer.audience.is_empty() {
        return wrong("tokens must name an audience");
    }
    if issuer.owner_claim.is_empty() || issuer.claims.iter().any(|(name, _)| name.is_empty()) {
        return wrong("a claim has a name");
    }
    if issuer.claims.is_empty() {
        return Err(Error::new(Kind::Config, "without a claim to match, everybody the issuer knows would be let in")
            .with_hint(
                "name one, such as --jwt-claim 'repository_owner=acme'; --jwt-claim 'sub=**' if everybody is meant",
            ));
    }
    Ok(())
}

/// Https, or http to this machine.
pub fn is_safe(url: &Url) -> bool {
    if url.host().is_none() {
        return false;
    }
    let loopback = AddressClass::of_url(url).is_loopback();
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    plain && (url.scheme() == "https" || url.scheme() == "http" && loopback)
}

/// Checks tokens of some issuers.
pub struct Verifier(Vec<Known>);

struct Known {
    issuer: Issuer,
    validation: Validation,
    keys: Arc<Keys>,
}

impl Verifier {
    /// # Errors
    /// [`Kind::Config`] when the HTTP library cannot be set up.
    pub fn new(issuers: &[Issuer]) -> Result<Self> {
        let http = HttpClient::new().map_err(|error| {
            Error::new(Kind::Config, "could not set up HTTP").with_source(error)
        })?;
        let known = |issuer: &Issuer| {
            let mut validation = Validation::new(issuer.algorithm.into());
            validation.leeway = LEEWAY;
            validation.validate_nbf = true;
            validation.set_issuer(&[&issuer.issuer]);
            validation.set_audience(&[&issuer.audience]);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            Known {
                issuer: issuer.clone(),
                validation,
                keys: Arc::new(Keys::new(http.clone(), issuer)),
            }
        };
        Ok(Self(issuers.iter().map(known).collect()))
    }

    /// Whom the token speaks for: a subject as the ledger knows owners by.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn subject(&self, token: &str) -> Result<String, Denied> {
        if token.len() > TOKEN_MAX {
            return invalid("it is too long");
        }
        let Ok(head) = decode_header(token) else {
            return invalid("it is no token, or says that nobody signed it");
        };
        // Nothing is believed yet: this only tells whose keys would have to prove it.
        let Ok(Said { iss }) = insecure_decode_claims(token) else {
            return invalid("it names no issuer");
        };
        let Some(known) = self.0.iter().find(|known| known.issuer.issuer == iss) else {
            return invalid("it is another issuer's");
        };
        if head.alg != known.issuer.algorithm.into() {
            return invalid(format!("it is signed with {:?}", head.alg));
        }
        if head.crit.is_some() {
            return invalid("it demands what is not understood");
        }
        let Some(kid) = head.kid else {
            return invalid("it does not say which key signed it");
        };
        let key = known.keys.get(&kid).await.map_err(|absent| match absent {
            Absent::Unknown => Denied::Invalid("its key is none of the issuer's".to_owned()),
            Absent::Unreachable => Denied::Unknown,
        })?;
        let claims = decode::<Map<String, Value>>(token, &key, &known.validation);
        let claims = claims
            .map_err(|error| Denied::Invalid(reason(error.kind())))?
            .claims;
        matching(&known.issuer.claims, &claims)?;
        subject(&known.issuer, &claims)
    }
}

/// Of a payload, before anything proves it.
#[derive(Deserialize)]
struct Said {
    iss: String,
}

/// Without a word of the token's own.
fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not good yet",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidIssuer => "it is another issuer's",
        ErrorKind::MissingRequiredClaim(name) => return format!("it has no {name}"),
        _ => "it is no token",
    }
    .to_owned()
}

/// Whether each claim that is asked for matches one of its globs.
fn matching(wanted: &[(String, String)], claims: &Map<String, Value>) -> Result<(), Denied> {
    let fits = |name: &str, text: &str| {
        wanted
            .iter()
            .any(|(of, glob)| of == name && glob_matches(glob, text))
    };
    for (name, _) in wanted {
        let met = match claims.get(name) {
            Some(Value::String(text)) => fits(name, text),
            Some(Value::Bool(said)) => fits(name, &said.to_string()),
            Some(Value::Number(number)) => fits(name, &number.to_string()),
            Some(Value::Array(values)) => values
                .iter()
                .filter_map(Value::as_str)
                .any(|text| fits(name, text)),
            Some(Value::Null | Value::Object(_)) | None => false,
        };
        if !met {
            return invalid(format!("its claim {name} is not one that is let in"));
        }
    }
    Ok(())
}

/// The subject of the ledger for these claims; no two issuers share one, for no issuer has a space in it.
fn subject(issuer: &Issuer, claims: &Map<String, Value>) -> Result<String, Denied> {
    let owner = match claims.get(&issuer.owner_claim) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if owner.is_empty() || owner.len() > OWNER_MAX || owner.chars().any(char::is_control) {
        return invalid(format!("its claim {} names no owner", issuer.owner_claim));
    }
    Ok(format!("jwt:{} {owner}", issuer.issuer))
}

/// Whether `*` (no `/`, no `:`) and `**` (anything) can be filled in so that the glob is the text.
fn glob_matches(glob: &str, text: &str) -> bool {
    // What stands before each star holds for these beginnings of the text.
    let text: Vec<char> = text.chars().collect();
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    let mut glob = glob.chars().peekable();
    while let Some(c) = glob.next() {
        let mut next = vec![false; text.len() + 1];
        if c == '*' {
            let all = glob.next_if_eq(&'*').is_some();
            let mut open = false;
            for (at, slot) in next.iter_mut().enumerate() {
                let before = at.checked_sub(1).and_then(|before| text.get(before));
                open &= all || !matches!(before, Some('/' | ':'));
                open |= ends.get(at).copied().unwrap_or(false);
                *slot = open;
            }
        } else {
            for (at, was) in ends.iter().enumerate() {
                if *was
                    && text.get(at) == Some(&c)
                    && let Some(slot) = next.get_mut(at + 1)
                {
                    *slot = true;
                }
            }
        }
        ends = next;
    }
    ends.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issuer(url: &str) -> Issuer {
        Issuer {
            issuer: url.into(),
            audience: "upload".into(),
            jwks: None,
            algorithm: Algorithm::Rs256,
            claims: vec![("sub".into(), "**".into())],
            owner_claim: "sub".into(),
        }
    }

    fn claims(value: Value) -> Map<String, Value> {
        let Value::Object(claims) = value else {
            panic!("an object")
        };
        claims
    }

    #[test]
    fn a_star_stays_within_its_segment_and_two_do_not() {
        for (glob, text) in [
            ("acme/*", "acme/app"),
            (
                "repo:acme/*:ref:refs/heads/main",
                "repo:acme/app:ref:refs/heads/main",
            ),
            ("refs/heads/**", "refs/heads/fix/a:b"),
            ("**", ""),
            ("*", ""),
            ("a*c*e", "abcde"),
            ("**/main", "a/b/main"),
            ("é*", "éa"),
            ("", ""),
        ] {
            assert!(glob_matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [
            ("acme/*", "acme/app/x"),
            ("acme/*", "acmeX/app"),
            ("acme/*", "evil/acme/app"),
            (
                "repo:acme/*:ref:refs/heads/main",
                "repo:acme/app:environment:x:ref:refs/heads/main",
            ),
            (
                "repo:acme/*:ref:refs/heads/main",
                "repo:acme/app:ref:refs/heads/main2",
            ),
            ("*", "a:b"),
            ("acme", "acme2"),
            ("", "a"),
        ] {
            assert!(!glob_matches(glob, text), "{glob} {text}");
        }
        // No glob takes for ever.
        assert!(!glob_matches(&"*a".repeat(200), &"ab".repeat(200)));
    }

    #[test]
    fn each_claim_that_is_named_must_match_one_of_its_globs() {
        let wanted = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(name, glob)| ((*name).to_owned(), (*glob).to_owned()))
                .collect()
        };
        let claims = claims(
            json!({"repository": "acme/app", "ref": "refs/heads/main", "run": 7, "ok": true,
            "groups": ["dev", "ops"], "none": null}),
        );
        for good in [
            &[("repository", "acme/*")][..],
            &[("repository", "other/*"), ("repository", "acme/*")],
            &[("repository", "acme/*"), ("ref", "refs/heads/main")],
            &[("run", "7"), ("ok", "true"), ("groups", "ops")],
        ] {
            assert_eq!(matching(&wanted(good), &claims), Ok(()), "{good:?}");
        }
        for bad in [
            &[("repository", "other/*")][..],
            &[("repository", "acme/*"), ("ref", "refs/heads/dev")],
            &[("groups", "admin")],
            &[("none", "**")],
            &[("absent", "**")],
        ] {
            assert!(matching(&wanted(bad), &claims).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_owner_is_a_claim_of_one_issuer() {
        let by = |claim: &str, value: Value| {
            subject(
                &Issuer {
                    owner_claim: claim.into(),
                    ..issuer("https://issuer.example")
                },
                &claims(value),
            )
        };
        assert_eq!(
            by("sub", json!({"sub": "repo:a/b:ref:c"})).unwrap(),
            "jwt:https://issuer.example repo:a/b:ref:c"
        );
        assert_eq!(
            by("id", json!({"id": 7})).unwrap(),
            "jwt:https://issuer.example 7"
        );
        for nobody in [
            json!({}),
            json!({"sub": ""}),
            json!({"sub": ["a"]}),
            json!({"sub": "a\nb"}),
            json!({"sub": "a".repeat(256)}),
        ] {
            assert!(by("sub", nobody.clone()).is_err(), "{nobody}");
        }
    }

    #[test]
    fn an_issuer_is_reached_safely_and_lets_not_everybody_in_by_mistake() {
        for good in [
            "https://token.actions.githubusercontent.com",
            "http://127.0.0.1:8080/realm",
            "http://[::1]",
        ] {
            check(&issuer(good)).unwrap();
        }
        for bad in [
            "http://issuer.example",
            "issuer",
            "https://user@issuer.example",
            "https://a/?b",
            "file:///etc/passwd",
        ] {
            assert_eq!(
                check(&issuer(bad)).unwrap_err().kind(),
                Kind::Config,
                "{bad}"
            );
        }
        let good = issuer("https://issuer.example");
        let jwks = Some("http://issuer.example/keys".parse().unwrap());
        for bad in [
            Issuer {
                jwks,
                ..good.clone()
            },
            Issuer {
                audience: String::new(),
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
            assert_eq!(check(&bad).unwrap_err().kind(), Kind::Config, "{bad:?}");
        }
    }
}
