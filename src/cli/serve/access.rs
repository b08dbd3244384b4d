//! Who may use the gateway, and how much, as the flags say it.
//!
//! Border: texts to the gateway's own types; whether an issuer can be trusted so is `gateway/auth`.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use url::Url;

use crate::cli::args::access::{Access, AuthMode, JwtAlgorithm};
use crate::cli::parse;
use upload_gateway::{Algorithm, Auth, Issuer, Quota, Rate};
use upload_net::AddressClass;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::MAX_SIGN_PARTS;

/// Everybody may come in on loopback only.
///
/// # Errors
/// [`Kind::Config`] for a gateway away from loopback that lets everybody in, and for modes that do not go together or lack
/// something; [`Kind::Usage`] for what is no URL.
pub fn auth(flags: &Access, listen: SocketAddr) -> Result<Auth> {
    let has = |mode| flags.auth.contains(&mode);
    let (tokens, jwt) = (has(AuthMode::Tokens), has(AuthMode::Jwt));
    if has(AuthMode::None) && (tokens || jwt) {
        return Err(Error::new(
            Kind::Config,
            "--auth none lets everybody in, whatever else it names",
        )
        .with_hint("leave none out"));
    }
    if !jwt && flags.jwt_issuer.is_some() {
        return Err(Error::new(Kind::Config, "--jwt-issuer is for --auth jwt")
            .with_hint("add --auth jwt, or tokens,jwt"));
    }
    if jwt {
        return Ok(Auth::Jwt {
            issuers: vec![issuer(flags)?],
            tokens,
        });
    }
    if tokens {
        return Ok(Auth::Tokens);
    }
    if AddressClass::of_ip(listen.ip()).is_loopback() {
        return Ok(Auth::None);
    }
    Err(Error::new(
        Kind::Config,
        format!("a gateway on {listen} lets nobody in without authentication"),
    )
    .with_hint("make a token with `upload serve token add NAME` and run with --auth tokens"))
}

fn issuer(flags: &Access) -> Result<Issuer> {
    let missing = |what: &str| {
        Error::new(Kind::Config, format!("--auth jwt needs {what}")).with_hint(
            "it takes --jwt-issuer URL, --jwt-audience AUDIENCE and --jwt-claim NAME=GLOB",
        )
    };
    let unread =
        |error| Error::new(Kind::Usage, "could not use the value of --jwt-jwks").with_source(error);
    Ok(Issuer {
        issuer: flags
            .jwt_issuer
            .clone()
            .ok_or_else(|| missing("an issuer"))?,
        audience: flags
            .jwt_audience
            .clone()
            .ok_or_else(|| missing("an audience"))?,
        jwks: flags
            .jwt_jwks
            .as_deref()
            .map(Url::parse)
            .transpose()
            .map_err(unread)?,
        algorithm: match flags.jwt_algorithm {
            JwtAlgorithm::Rs256 => Algorithm::Rs256,
            JwtAlgorithm::Es256 => Algorithm::Es256,
            JwtAlgorithm::EdDsa => Algorithm::EdDsa,
        },
        claims: flags.jwt_claims.clone(),
        owner_claim: flags.jwt_owner_claim.clone(),
    })
}

/// `N/s`, or `N/s,burst=M`.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn rate(text: &str) -> Result<Rate> {
    let wrong = || {
        Error::new(Kind::Usage, "could not understand --rate").with_hint(format!(
            "it is N/s or N/s,burst=M, and M is at least {MAX_SIGN_PARTS}"
        ))
    };
    let (rate, burst) = text
        .split_once(',')
        .map_or((text, None), |(rate, burst)| (rate, Some(burst)));
    let number = |text: &str| text.trim().parse::<NonZeroU32>().map_err(|_| wrong());
    let per_second = number(rate.trim().strip_suffix("/s").ok_or_else(wrong)?)?;
    let least = u32::try_from(MAX_SIGN_PARTS)
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(wrong)?;
    let burst = match burst {
        None => per_second.max(least),
        Some(burst) => number(burst.trim().strip_prefix("burst=").ok_or_else(wrong)?)?,
    };
    if burst < least {
        Err(wrong())
    } else {
        Ok(Rate { per_second, burst })
    }
}

/// `open=N`, `outstanding=SIZE` and `total=SIZE`, any of them, once each.
///
/// # Errors
/// [`Kind::Usage`] for anything else.
pub fn quota(text: &str) -> Result<Quota> {
    let wrong = |why: String| {
        Error::new(Kind::Usage, "could not understand --quota")
            .with_source(why)
            .with_hint("it is any of open=1000,outstanding=1TiB,total=10TiB")
    };
    let mut quota = Quota::default();
    for pair in text.split(',') {
        let (name, value) = pair
            .trim()
            .split_once('=')
            .ok_or_else(|| wrong(format!("`{pair}` limits nothing")))?;
        let count = || {
            value
                .parse()
                .map_err(|_| wrong(format!("`{value}` is no number")))
        };
        let (slot, most) = match name {
            "open" => (&mut quota.open, count()?),
            "outstanding" => (&mut quota.outstanding, parse::size(value).map_err(wrong)?),
            "total" => (&mut quota.total, parse::size(value).map_err(wrong)?),
            _ => return Err(wrong(format!("there is no quota `{name}`"))),
        };
        if slot.replace(most).is_some() {
            return Err(wrong(format!("`{name}` is there twice")));
        }
    }
    Ok(quota)
}

#[cfg(test)]
mod tests {
    use super::super::tests::made;
    use super::*;

    #[test]
    fn away_from_loopback_somebody_has_to_be_asked_for() {
        for line in [
            &["--listen", "0.0.0.0:8080"][..],
            &["--listen", "0.0.0.0:8080", "--auth", "none"],
        ] {
            let error = made(line).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.hint().unwrap().contains("--auth tokens"));
        }
        assert!(matches!(
            made(&["--listen", "[::]:80", "--auth", "tokens"])
                .unwrap()
                .auth,
            Auth::Tokens
        ));
    }

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

    #[test]
    fn an_issuer_is_named_with_what_it_must_say() {
        let more = [
            "--jwt-algorithm",
            "ES256",
            "--jwt-owner-claim",
            "repository_id",
            "--jwt-claim",
            "ref=refs/heads/main",
        ];
        let Auth::Jwt {
            issuers,
            tokens: false,
        } = made(&[&JWT[..], &more].concat()).unwrap().auth
        else {
            panic!("jwt")
        };
        let [issuer] = issuers.try_into().unwrap();
        assert_eq!(
            (issuer.algorithm, issuer.jwks, issuer.claims.len()),
            (Algorithm::Es256, None, 2)
        );
        assert_eq!(
            (issuer.issuer.as_str(), issuer.owner_claim.as_str()),
            (JWT[3], "repository_id")
        );
        let Auth::Jwt {
            issuers,
            tokens: true,
        } = made(&[&["--auth", "tokens,jwt"], &JWT[2..]].concat())
            .unwrap()
            .auth
        else {
            panic!("both")
        };
        assert_eq!(
            (issuers[0].algorithm, issuers[0].owner_claim.as_str()),
            (Algorithm::Rs256, "sub")
        );
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        for line in [
            &["--auth", "jwt"][..],
            &JWT[..4],
            &JWT[2..],
            &[&["--auth", "none"], &JWT[..]].concat(),
            &["--auth", "none,tokens"],
        ] {
            assert_eq!(made(line).unwrap_err().kind(), Kind::Config, "{line:?}");
        }
        assert_eq!(
            made(&[&JWT[..], &["--jwt-jwks", "keys"]].concat())
                .unwrap_err()
                .kind(),
            Kind::Usage
        );
    }

    #[test]
    fn limits_are_read_or_refused() {
        let of = |text| {
            rate(text)
                .map(|rate| (rate.per_second.get(), rate.burst.get()))
                .map_err(|error| error.kind())
        };
        assert_eq!(of("100/s"), Ok((100, 1000)));
        assert_eq!(of("20000/s"), Ok((20_000, 20_000)));
        assert_eq!(of("1/s, burst=5000"), Ok((1, 5000)));
        for wrong in [
            "100",
            "0/s",
            "-1/s",
            "1/m",
            "1/s,burst=999",
            "1/s,5000",
            "",
            "1/s,burst=2000,",
        ] {
            assert_eq!(of(wrong), Err(Kind::Usage), "{wrong}");
        }
        let all = Quota {
            open: Some(1000),
            outstanding: Some(1 << 40),
            total: Some(10 << 40),
        };
        assert_eq!(
            quota("open=1000, outstanding=1TiB,total=10TiB").unwrap(),
            all
        );
        assert_eq!(
            quota("open=0").unwrap(),
            Quota {
                open: Some(0),
                ..Quota::default()
            }
        );
        for wrong in [
            "",
            "open",
            "open=",
            "open=1KiB",
            "open=1,open=2",
            "files=1",
            "total=-1",
            "open=1,",
        ] {
            assert_eq!(quota(wrong).unwrap_err().kind(), Kind::Usage, "{wrong}");
        }
    }
}
