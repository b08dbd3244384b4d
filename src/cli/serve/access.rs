//! Authentication, rates and quotas of a gateway, from the flags.
//!
//! Not here: checking an issuer (`gateway/auth`).

use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::issuers;
use crate::cli::args::access::{AccessArgs, AuthMode};
use crate::cli::parse;
use crate::cli::secret_redaction::not_understood;
use upload_gateway::{Auth, Quota, Rate};
use upload_net::AddressClass;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::MAX_SIGN_PARTS;

/// # Errors
/// [`Kind::Config`] for an address other than loopback without authentication, and for missing or
/// contradictory flags; [`Kind::Usage`] for a text that is not a URL.
pub fn auth(flags: &AccessArgs, listen: SocketAddr) -> Result<Auth> {
    let has = |mode| flags.auth.contains(&mode);
    let (tokens, jwt) = (has(AuthMode::Tokens), has(AuthMode::Jwt));
    if has(AuthMode::None) && (tokens || jwt) {
        return Err(
            Error::new(Kind::Config, "--auth none excludes every other mode")
                .with_hint("remove none from --auth"),
        );
    }
    if let Some(flag) = issuers::first_flag(flags).filter(|_| !jwt) {
        return Err(
            Error::new(Kind::Config, format!("{flag} needs --auth jwt")).with_hint(format!(
                "add --auth jwt, or --auth tokens,jwt; or remove {flag}"
            )),
        );
    }
    if jwt {
        return Ok(Auth::Jwt {
            issuers: issuers::issuers(flags)?,
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
        format!("authentication is required to listen on {listen}"),
    )
    .with_hint("make a token with `upload serve token add NAME`, and add --auth tokens"))
}

/// `N/s`, or `N/s,burst=M`.
///
/// # Errors
/// [`Kind::Usage`] for another text.
pub fn rate(text: &str) -> Result<Rate> {
    let wrong = || {
        not_understood("--rate", text).with_hint(format!(
            "write N/s or N/s,burst=M, with M at least {MAX_SIGN_PARTS}"
        ))
    };
    let number = |text: &str| text.trim().parse::<NonZeroU32>().map_err(|_| wrong());
    let (rate, burst) = match text.split_once(',') {
        Some((rate, burst)) => (rate, Some(burst)),
        None => (text, None),
    };
    let per_second = number(rate.trim().strip_suffix("/s").ok_or_else(wrong)?)?;
    let min_burst = u32::try_from(MAX_SIGN_PARTS)
        .ok()
        .and_then(NonZeroU32::new)
        .ok_or_else(wrong)?;
    let burst = match burst {
        None => per_second.max(min_burst),
        Some(burst) => number(burst.trim().strip_prefix("burst=").ok_or_else(wrong)?)?,
    };
    if burst < min_burst {
        Err(wrong())
    } else {
        Ok(Rate { per_second, burst })
    }
}

/// Any of `open=N`, `outstanding=SIZE` and `total=SIZE`, once each.
///
/// # Errors
/// [`Kind::Usage`] for another text.
pub fn quota(text: &str) -> Result<Quota> {
    let wrong = |reason: String| {
        not_understood("--quota", text)
            .with_source(reason)
            .with_hint("write any of open=1000,outstanding=1TiB,total=10TiB")
    };
    let mut quota = Quota::default();
    for pair in text.split(',') {
        let (name, value) = pair
            .trim()
            .split_once('=')
            .ok_or_else(|| wrong(format!("`{pair}` is not NAME=VALUE")))?;
        let count = || {
            value
                .parse()
                .map_err(|_| wrong(format!("`{value}` is not a number")))
        };
        let size = || parse::size(value).map_err(wrong);
        let (limit, value) = match name {
            "open" => (&mut quota.open, count()?),
            "outstanding" => (&mut quota.outstanding, size()?),
            "total" => (&mut quota.total, size()?),
            _ => return Err(wrong(format!("there is no quota `{name}`"))),
        };
        if limit.replace(value).is_some() {
            return Err(wrong(format!("`{name}` is given twice")));
        }
    }
    Ok(quota)
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::config_of;
    use super::*;

    #[test]
    fn other_addresses_than_loopback_require_authentication() {
        for line in [
            &["--listen", "0.0.0.0:8080"][..],
            &["--listen", "0.0.0.0:8080", "--auth", "none"],
        ] {
            let error = config_of(line).unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.hint().unwrap().contains("--auth tokens"));
        }
        assert!(matches!(
            config_of(&["--listen", "[::]:80", "--auth", "tokens"])
                .unwrap()
                .auth,
            Auth::Tokens
        ));
    }

    #[test]
    fn rate_and_quota_are_parsed() {
        let parsed_rate = |text| {
            rate(text)
                .map(|rate| (rate.per_second.get(), rate.burst.get()))
                .map_err(|error| error.kind())
        };
        assert_eq!(parsed_rate("100/s"), Ok((100, 1000)));
        assert_eq!(parsed_rate("20000/s"), Ok((20_000, 20_000)));
        assert_eq!(parsed_rate("1/s, burst=5000"), Ok((1, 5000)));
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
            assert_eq!(parsed_rate(wrong), Err(Kind::Usage), "{wrong}");
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
