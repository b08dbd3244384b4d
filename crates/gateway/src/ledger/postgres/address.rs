//! The address of a PostgreSQL ledger: parses a URL in the form that PostgreSQL's own tools accept,
//! and decides whether to use TLS. `Debug` and errors never contain the password.
//!
//! Not here: connecting (`connector`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use upload_net::AddressClass;
use upload_types::error::{Error, Kind, Result};

/// The time limit for connecting to a host, unless the URL has `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is lost if sent bytes are not acknowledged for this long. An idle connection is
/// probed after this long.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(20);
const KEEPALIVE_PROBES: u32 = 3;

/// A database and how to reach it, with the password. `Debug` shows none of it.
#[derive(Clone)]
pub struct PostgresAddress {
    config: Config,
    /// A PEM file of additional certificate authorities.
    root_certificates: Option<PathBuf>,
}

impl PostgresAddress {
    /// Parses `postgres://USER[:PASSWORD]@HOST[:PORT][,…]/DATABASE[?NAME=VALUE&…]`. The directory
    /// of a Unix socket is `?host=%2Fvar%2Frun%2Fpostgresql`. `password` is used if the URL has
    /// none.
    ///
    /// Connections to another machine use TLS and verify the certificate for its name, unless
    /// `sslmode=disable`: `prefer` and `require` mean `verify-full`. Connections to this machine
    /// use TLS only if `sslmode` requires it.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a URL that cannot be parsed. The error does not contain the URL.
    pub fn parse(url: &str, password: Option<&str>) -> Result<Self> {
        let invalid = || {
            Error::new(Kind::Usage, "could not parse the URL of the ledger")
                .with_hint("write postgres://USER@HOST/DATABASE; the password may be in PGPASSWORD")
        };
        let (plain_url, ssl_mode, root_certificates) =
            split_tls_parameters(url).ok_or_else(invalid)?;
        // The parser's errors contain names of parameters, but no values.
        let mut config: Config = plain_url
            .parse()
            .map_err(|error: tokio_postgres::Error| invalid().with_source(error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(invalid().with_source("it has no host"));
        }
        let is_local = is_this_machine(&config);
        config.ssl_mode(match ssl_mode.as_deref() {
            Some("disable") => SslMode::Disable,
            None | Some("allow" | "prefer") if is_local => SslMode::Disable,
            None | Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full") => {
                SslMode::Require
            }
            Some(_) => return Err(invalid().with_source("sslmode has an unknown value")),
        });
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_TIMEOUT);
        }
        config
            .keepalives_idle(SILENCE_TIMEOUT)
            .keepalives_interval(SILENCE_TIMEOUT / 4)
            .keepalives_retries(KEEPALIVE_PROBES);
        if config.get_application_name().is_none() {
            config.application_name("upload");
        }
        Ok(Self {
            config,
            root_certificates: root_certificates.map(Into::into),
        })
    }

    /// Returns true if the URL contains a password.
    #[must_use]
    pub fn contains_password(url: &str) -> bool {
        split_tls_parameters(url)
            .and_then(|(plain_url, ..)| plain_url.parse::<Config>().ok())
            .is_some_and(|config| config.get_password().is_some())
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn root_certificates(&self) -> Option<&Path> {
        self.root_certificates.as_deref()
    }

    pub(super) fn requires_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresAddress(postgres://…)")
    }
}

/// The URL without `sslmode` and `sslrootcert`, and the decoded values of these two. The library's
/// parser rejects some of their values.
fn split_tls_parameters(url: &str) -> Option<(String, Option<String>, Option<String>)> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut ssl_mode, mut root_certificates, mut others) = (None, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value)
            .decode_utf8()
            .ok()?
            .into_owned();
        match name {
            "sslmode" => ssl_mode = Some(value),
            "sslrootcert" => root_certificates = Some(value),
            _ => others.push(pair),
        }
    }
    let separator = if others.is_empty() { "" } else { "?" };
    let plain_url = format!("{base}{separator}{}", others.join("&"));
    Some((plain_url, ssl_mode, root_certificates))
}

/// Returns true if every host is this machine.
fn is_this_machine(config: &Config) -> bool {
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => AddressClass::of_name(name).is_loopback(),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_local),
        addresses => addresses
            .iter()
            .all(|address| AddressClass::of_ip(*address).is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        PostgresAddress::parse(url, None)
            .unwrap()
            .config()
            .get_ssl_mode()
    }

    #[test]
    fn remote_connections_require_tls() {
        for remote in [
            "postgres://u@db.example/l",
            "postgres://u@localhost,db.example/l",
            "postgresql://u@10.0.0.1/l",
        ] {
            assert_eq!(mode(remote), SslMode::Require, "{remote}");
            for word in ["prefer", "allow", "require", "verify-ca", "verify-full"] {
                assert_eq!(mode(&format!("{remote}?sslmode={word}")), SslMode::Require);
            }
            assert_eq!(mode(&format!("{remote}?sslmode=disable")), SslMode::Disable);
        }
        // The address in `hostaddr` counts, not the name of the host.
        assert_eq!(
            mode("postgres://u@localhost/l?hostaddr=10.0.0.1"),
            SslMode::Require
        );
        for local in [
            "postgres://u@localhost/l",
            "postgres://u@[::1]:5433/l",
            "postgres:///l?host=%2Frun%2Fpg&user=u",
        ] {
            assert_eq!(mode(local), SslMode::Disable, "{local}");
        }
        assert_eq!(
            mode("postgres://u@localhost/l?sslmode=verify-full&sslrootcert=%2Fca.pem"),
            SslMode::Require
        );
    }

    #[test]
    fn password_is_parsed_and_not_shown() {
        let given =
            PostgresAddress::parse("postgres://u:hush%21@localhost/l", Some("other")).unwrap();
        assert_eq!(given.config().get_password(), Some(&b"hush!"[..]));
        assert!(!format!("{given:?}").contains("hush"));
        let added = PostgresAddress::parse("postgres://u@localhost/l", Some("hush!")).unwrap();
        assert_eq!(added.config().get_password(), Some(&b"hush!"[..]));
        assert!(
            PostgresAddress::contains_password("postgres://u:p@h/l")
                && PostgresAddress::contains_password("postgres://h/l?password=p")
        );
        assert!(!PostgresAddress::contains_password("postgres://u@h/l"));
    }

    #[test]
    fn error_for_an_invalid_url_does_not_contain_it() {
        for bad in [
            "postgres://u:hush@/l",
            "postgres://u:hush@h:x/l",
            "postgres://u:hush@h/l?sslmode=hush",
            "postgres://u:hush@h/l?hush=1",
            "postgres://u:hush@h/l?sslmode",
        ] {
            let error = PostgresAddress::parse(bad, None).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{bad}");
            assert!(
                !format!("{error:?} {error}").contains("u:hush"),
                "{error:?}"
            );
        }
    }
}
