//! Where a PostgreSQL ledger is: a URL as PostgreSQL's own tools take it, and how far the way there is trusted.
//!
//! Border: words only; nothing is connected to. A password in it is never shown.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use upload_net::AddressClass;
use upload_types::error::{Error, Kind, Result};

/// How long a connection may take to come about, unless the URL says something else.
const CONNECT: Duration = Duration::from_secs(5);
/// What is not acknowledged for this long is not coming any more, as little as who says nothing.
const SILENCE: Duration = Duration::from_secs(20);

/// A database and how to reach it. It holds the password, and shows nothing to a formatter.
#[derive(Clone)]
pub struct Address {
    config: Config,
    /// Roots of certificates beside the system's.
    roots: Option<PathBuf>,
}

impl Address {
    /// `postgres://USER[:PASSWORD]@HOST[:PORT][,…]/DATABASE[?NAME=VALUE&…]`, a Unix socket's directory as
    /// `?host=%2Fvar%2Frun%2Fpostgresql`. `password` is for a URL without one.
    ///
    /// Another machine is spoken to over TLS and has to show a certificate for its name, unless `sslmode=disable`: here,
    /// `prefer` and `require` are as good as `verify-full`. On this machine it is plain unless TLS is asked for.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is no such URL; it is not repeated.
    pub fn parse(url: &str, password: Option<&str>) -> Result<Self> {
        let wrong = || {
            Error::new(Kind::Usage, "could not understand the ledger's URL")
                .with_hint("it is postgres://USER@HOST/DATABASE; the password may be in PGPASSWORD")
        };
        let (plain, sslmode, roots) = without_tls(url).ok_or_else(wrong)?;
        // The parser's own words hold no value, only names.
        let mut config: Config = plain
            .parse()
            .map_err(|error: tokio_postgres::Error| wrong().with_source(error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong().with_source("it names no host"));
        }
        let near = is_near(&config);
        config.ssl_mode(match sslmode.as_deref() {
            Some("disable") => SslMode::Disable,
            None | Some("allow" | "prefer") if near => SslMode::Disable,
            None | Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full") => {
                SslMode::Require
            }
            Some(_) => return Err(wrong().with_source("sslmode is none that there is")),
        });
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        config
            .keepalives_idle(SILENCE)
            .keepalives_interval(SILENCE / 4)
            .keepalives_retries(3);
        if config.get_application_name().is_none() {
            config.application_name("upload");
        }
        Ok(Self {
            config,
            roots: roots.map(Into::into),
        })
    }

    /// Whether the URL itself holds a password.
    #[must_use]
    pub fn tells_password(url: &str) -> bool {
        without_tls(url)
            .and_then(|(plain, ..)| plain.parse::<Config>().ok())
            .is_some_and(|config| config.get_password().is_some())
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn roots(&self) -> Option<&PathBuf> {
        self.roots.as_ref()
    }

    pub(super) fn wants_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(postgres://…)")
    }
}

/// The URL without what it says of TLS: that is `sslmode` and `sslrootcert`.
fn without_tls(url: &str) -> Option<(String, Option<String>, Option<String>)> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut others) = (None, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let text = percent_encoding::percent_decode_str(value)
            .decode_utf8()
            .ok()?
            .into_owned();
        match name {
            "sslmode" => mode = Some(text),
            "sslrootcert" => roots = Some(text),
            _ => others.push(pair),
        }
    }
    let question = if others.is_empty() { "" } else { "?" };
    Some((format!("{base}{question}{}", others.join("&")), mode, roots))
}

/// Whether every host is this machine.
fn is_near(config: &Config) -> bool {
    let near = |host: &Host| match host {
        Host::Tcp(name) => AddressClass::of_name(name).is_loopback(),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(near),
        addresses => addresses
            .iter()
            .all(|address| AddressClass::of_ip(*address).is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        Address::parse(url, None).unwrap().config().get_ssl_mode()
    }

    #[test]
    fn another_machine_is_spoken_to_over_tls_alone() {
        for far in [
            "postgres://u@db.example/l",
            "postgres://u@localhost,db.example/l",
            "postgresql://u@10.0.0.1/l",
        ] {
            assert_eq!(mode(far), SslMode::Require, "{far}");
            for word in ["prefer", "allow", "require", "verify-ca", "verify-full"] {
                assert_eq!(mode(&format!("{far}?sslmode={word}")), SslMode::Require);
            }
            assert_eq!(mode(&format!("{far}?sslmode=disable")), SslMode::Disable);
        }
        // A name that is near by word leads elsewhere by address.
        assert_eq!(
            mode("postgres://u@localhost/l?hostaddr=10.0.0.1"),
            SslMode::Require
        );
        for near in [
            "postgres://u@localhost/l",
            "postgres://u@[::1]:5433/l",
            "postgres:///l?host=%2Frun%2Fpg&user=u",
        ] {
            assert_eq!(mode(near), SslMode::Disable, "{near}");
        }
        assert_eq!(
            mode("postgres://u@localhost/l?sslmode=verify-full&sslrootcert=%2Fca.pem"),
            SslMode::Require
        );
    }

    #[test]
    fn a_password_is_found_and_not_shown() {
        let given = Address::parse("postgres://u:hush%21@localhost/l", Some("other")).unwrap();
        assert_eq!(given.config().get_password(), Some(&b"hush!"[..]));
        assert!(!format!("{given:?}").contains("hush"));
        let added = Address::parse("postgres://u@localhost/l", Some("hush!")).unwrap();
        assert_eq!(added.config().get_password(), Some(&b"hush!"[..]));
        assert!(
            Address::tells_password("postgres://u:p@h/l")
                && Address::tells_password("postgres://h/l?password=p")
        );
        assert!(!Address::tells_password("postgres://u@h/l"));
    }

    #[test]
    fn what_is_no_address_is_said_without_repeating_it() {
        for bad in [
            "postgres://u:hush@/l",
            "postgres://u:hush@h:x/l",
            "postgres://u:hush@h/l?sslmode=hush",
            "postgres://u:hush@h/l?hush=1",
            "postgres://u:hush@h/l?sslmode",
        ] {
            let error = Address::parse(bad, None).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{bad}");
            assert!(
                !format!("{error:?} {error}").contains("u:hush"),
                "{error:?}"
            );
        }
    }
}
