//! The issuers of tokens, from the flags `--jwt-…`. A value applies to all issuers, or to the one
//! that it begins with.
//!
//! Not here: the checks of an issuer (`gateway/auth`).

use url::Url;

use crate::cli::args::access::{AccessArgs, JwtAlgorithm};
use upload_gateway::{Algorithm, Issuer};
use upload_types::error::{Error, Kind, Result};

/// The default of `--jwt-owner-claim`, also for an issuer that no value applies to.
const DEFAULT_OWNER_CLAIM: &str = "sub";

/// The first of the flags that are for `--auth jwt` only.
pub fn first_flag(flags: &AccessArgs) -> Option<&'static str> {
    let given = [
        ("--jwt-issuer", !flags.jwt_issuer.is_empty()),
        ("--jwt-audience", !flags.jwt_audience.is_empty()),
        ("--jwt-jwks", !flags.jwt_jwks.is_empty()),
        ("--jwt-claim", !flags.jwt_claims.is_empty()),
    ];
    let first = given.into_iter().find(|(_, is_given)| *is_given);
    first.map(|(flag, _)| flag)
}

/// # Errors
/// [`Kind::Config`] for missing flags, for an issuer that is named twice, and for a value of an
/// issuer that is not named; [`Kind::Usage`] for a text that is not a URL.
pub fn issuers(flags: &AccessArgs) -> Result<Vec<Issuer>> {
    if flags.jwt_issuer.is_empty() {
        return Err(missing("--jwt-issuer"));
    }
    let mut issuers: Vec<&String> = flags.jwt_issuer.iter().collect();
    issuers.sort();
    if issuers.windows(2).any(|pair| pair[0] == pair[1]) {
        let text = "an issuer is named twice by --jwt-issuer";
        return Err(Error::new(Kind::Config, text).with_hint("name each issuer once"));
    }
    let audiences = flags.jwt_audience.iter();
    let audiences = audiences.map(|value| ("--jwt-audience", value));
    let jwks = flags.jwt_jwks.iter().map(|value| ("--jwt-jwks", value));
    let claims = flags.jwt_claims.iter();
    let claims = claims.map(|(name, _)| ("--jwt-claim", name));
    let owner_claims = flags.jwt_owner_claim.iter();
    let owner_claims = owner_claims.map(|value| ("--jwt-owner-claim", value));
    for (flag, value) in audiences.chain(jwks).chain(claims).chain(owner_claims) {
        check_scope(flag, value, &flags.jwt_issuer)?;
    }
    flags
        .jwt_issuer
        .iter()
        .map(|url| issuer(url, flags))
        .collect()
}

fn missing(flag: &str) -> Error {
    Error::new(Kind::Config, format!("--auth jwt needs {flag}"))
        .with_hint("add --jwt-issuer URL, --jwt-audience AUDIENCE and --jwt-claim NAME=GLOB")
}

fn issuer(url: &str, flags: &AccessArgs) -> Result<Issuer> {
    let wrong_url =
        |error| Error::new(Kind::Usage, "could not use the value of --jwt-jwks").with_source(error);
    let audiences: Vec<String> = values(&flags.jwt_audience, url);
    if audiences.is_empty() {
        return Err(missing("--jwt-audience"));
    }
    let jwks = most_specific(&flags.jwt_jwks, url);
    let claims = flags.jwt_claims.iter().filter_map(|(name, glob)| {
        let name = in_scope(name, url)?;
        Some((name.to_owned(), glob.clone()))
    });
    Ok(Issuer {
        issuer: url.to_owned(),
        audiences,
        jwks: jwks.map(Url::parse).transpose().map_err(wrong_url)?,
        algorithms: flags.jwt_algorithm.iter().copied().map(algorithm).collect(),
        claims: claims.collect(),
        owner_claim: most_specific(&flags.jwt_owner_claim, url)
            .unwrap_or(DEFAULT_OWNER_CLAIM)
            .to_owned(),
    })
}

/// The issuer that a value is for, and the rest of the value.
fn scope(value: &str) -> (Option<&str>, &str) {
    match value.split_once(' ') {
        Some((issuer, rest)) if issuer.contains("://") => (Some(issuer), rest),
        _ => (None, value),
    }
}

/// The value without the issuer, if it is for this one or for all.
fn in_scope<'a>(value: &'a str, issuer: &str) -> Option<&'a str> {
    let (of, value) = scope(value);
    of.is_none_or(|of| of == issuer).then_some(value)
}

fn values(values: &[String], issuer: &str) -> Vec<String> {
    let values = values.iter();
    values
        .filter_map(|value| in_scope(value, issuer))
        .map(str::to_owned)
        .collect()
}

/// The last value for this issuer alone, otherwise the last one for all issuers.
fn most_specific<'a>(values: &'a [String], issuer: &str) -> Option<&'a str> {
    let of = |wanted: Option<&str>| {
        let values = values.iter().rev();
        values
            .map(|value| scope(value))
            .find_map(|(of, value)| (of == wanted).then_some(value))
    };
    of(Some(issuer)).or_else(|| of(None))
}

fn check_scope(flag: &str, value: &str, issuers: &[String]) -> Result<()> {
    match scope(value) {
        (Some(issuer), _) if !issuers.iter().any(|known| known == issuer) => {
            let text = format!("{flag} names the issuer {issuer}, which --jwt-issuer does not");
            Err(Error::new(Kind::Config, text).with_hint(format!("add --jwt-issuer {issuer}")))
        }
        _ => Ok(()),
    }
}

fn algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Rs256 => Algorithm::Rs256,
        JwtAlgorithm::Rs384 => Algorithm::Rs384,
        JwtAlgorithm::Rs512 => Algorithm::Rs512,
        JwtAlgorithm::Ps256 => Algorithm::Ps256,
        JwtAlgorithm::Ps384 => Algorithm::Ps384,
        JwtAlgorithm::Ps512 => Algorithm::Ps512,
        JwtAlgorithm::Es256 => Algorithm::Es256,
        JwtAlgorithm::Es384 => Algorithm::Es384,
        JwtAlgorithm::EdDsa => Algorithm::EdDsa,
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::config_of;
    use super::*;
    use upload_gateway::Auth;

    const JWT: [&str; 8] = [
        "--auth",
        "jwt",
        "--jwt-issuer",
        "https://token.actions.githubusercontent.com",
        "--jwt-audience",
        "https://upload.example",
        "--jwt-claim",
        "repository=acme/*",
    ];

    fn parsed(line: &[&str]) -> (Vec<Issuer>, bool) {
        match config_of(line).unwrap().auth {
            Auth::Jwt { issuers, tokens } => (issuers, tokens),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn issuer_is_taken_from_the_flags() {
        let more_flags = [
            "--jwt-algorithm",
            "ES256,RS512",
            "--jwt-owner-claim",
            "repository_id",
            "--jwt-claim",
            "ref=refs/heads/main",
            "--jwt-audience",
            "other",
        ];
        let (issuers, tokens) = parsed(&[&JWT[..], &more_flags].concat());
        let [issuer] = issuers.try_into().unwrap();
        assert!(!tokens);
        assert_eq!(issuer.algorithms, [Algorithm::Es256, Algorithm::Rs512]);
        assert_eq!((issuer.jwks, issuer.claims.len()), (None, 2));
        assert_eq!(issuer.audiences, ["https://upload.example", "other"]);
        assert_eq!(
            (issuer.issuer.as_str(), issuer.owner_claim.as_str()),
            (JWT[3], "repository_id")
        );
        let (issuers, tokens) = parsed(&[&["--auth", "tokens,jwt"], &JWT[2..]].concat());
        assert!(tokens);
        assert_eq!(issuers[0].algorithms, [Algorithm::Rs256]);
        assert_eq!(issuers[0].owner_claim, "sub");
    }

    #[test]
    fn value_that_begins_with_an_issuer_is_for_that_one() {
        let line = [
            "--auth",
            "jwt",
            "--jwt-issuer=https://a.example",
            "--jwt-issuer=https://b.example/realm",
            "--jwt-audience=upload",
            "--jwt-audience=https://b.example/realm account",
            "--jwt-claim=https://a.example repository=acme/*",
            "--jwt-claim=https://b.example/realm realm_access.roles=uploader",
            "--jwt-claim=https://x.example/role=any",
            "--jwt-jwks=https://b.example/realm https://b.example/keys",
            "--jwt-owner-claim=https://a.example repository_id",
            "--jwt-owner-claim=uid",
        ];
        let (issuers, _) = parsed(&line);
        let [a, b] = issuers.try_into().unwrap();
        assert_eq!(a.audiences, ["upload"]);
        assert_eq!(b.audiences, ["upload", "account"]);
        let names = |issuer: &Issuer| -> Vec<String> {
            issuer.claims.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&a), ["repository", "https://x.example/role"]);
        assert_eq!(names(&b), ["realm_access.roles", "https://x.example/role"]);
        assert_eq!(a.jwks, None);
        assert_eq!(b.jwks.unwrap().as_str(), "https://b.example/keys");
        assert_eq!(
            (a.owner_claim, b.owner_claim),
            ("repository_id".into(), "uid".into())
        );
        let (issuers, _) = parsed(&line[..line.len() - 1]);
        assert_eq!(issuers[1].owner_claim, "sub");
    }

    #[test]
    fn contradictory_and_missing_flags_are_errors() {
        for line in [
            &["--auth", "jwt"][..],
            &JWT[..4],
            &JWT[2..],
            &[&["--auth", "none"], &JWT[..]].concat(),
            &["--auth", "none,tokens"],
            &[&JWT[..], &["--jwt-issuer", JWT[3]]].concat(),
            &[&JWT[..], &["--jwt-claim", "https://c.example a=b"]].concat(),
            &[&JWT[..4], &["--jwt-claim", "a=b"]].concat(),
        ] {
            let error = config_of(line).unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{line:?}");
        }
        let line = [&JWT[..], &["--jwt-jwks", "keys"]].concat();
        assert_eq!(config_of(&line).unwrap_err().kind(), Kind::Usage);
    }
}
