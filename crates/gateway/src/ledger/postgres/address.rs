//! The address of a PostgreSQL ledger: parses a URL in the form that PostgreSQL's own tools accept,
//! and decides whether to use TLS. `Debug` and errors never contain the password.
//!
//! Not here: connecting (`hosts`).

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use upload_net::AddressClass;
use upload_types::error::{Error, Kind, Result};

/// The time limit for connecting to one server, until it accepts the login, unless the URL has
/// `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is lost if sent bytes are not acknowledged for this long, or if an idle server does
/// not respond to a probe for this long, unless the URL has `tcp_user_timeout`.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection is probed after this long, unless the URL has `keepalives_idle`.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_PROBES: u32 = 3;
const DEFAULT_PORT: u16 = 5432;

/// A database and how to reach it, with the password. `Debug` shows none of it.
#[derive(Clone)]
pub struct PostgresAddress {
    config: Config,
    /// A PEM file of additional certificate authorities.
    root_certificates: Option<PathBuf>,
    origin: Option<AddressOrigin>,
}

/// Reads the address again, from the file that it came from.
pub type AddressOrigin = Arc<dyn Fn() -> Result<PostgresAddress> + Send + Sync>;

/// One server of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// The name that its certificate must have, or the directory of its socket.
    pub host: Option<Host>,
    pub ip: Option<IpAddr>,
    pub port: u16,
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
    /// Only servers that accept writes are used, also with `target_session_attrs=any`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a URL that cannot be parsed, or that demands a read-only server. The
    /// error does not contain the URL.
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
        if config.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
            return Err(invalid().with_source("the ledger needs a server that accepts writes"));
        }
        check_numbers(&config).map_err(|reason| invalid().with_source(reason))?;
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
        if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
            config.keepalives_idle(KEEPALIVE_IDLE);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(KEEPALIVE_INTERVAL);
        }
        if config.get_keepalives_retries().is_none() {
            config.keepalives_retries(KEEPALIVE_PROBES);
        }
        if config.get_application_name().is_none() {
            config.application_name("upload");
        }
        Ok(Self {
            config,
            root_certificates: root_certificates.map(Into::into),
            origin: None,
        })
    }

    /// The address, which `origin` can read again, for example because the password has changed.
    #[must_use]
    pub fn with_origin(self, origin: AddressOrigin) -> Self {
        Self {
            origin: Some(origin),
            ..self
        }
    }

    /// Returns true if the URL contains a password.
    #[must_use]
    pub fn contains_password(url: &str) -> bool {
        split_tls_parameters(url)
            .and_then(|(plain_url, ..)| plain_url.parse::<Config>().ok())
            .is_some_and(|config| config.get_password().is_some())
    }

    pub(super) fn origin(&self) -> Option<&AddressOrigin> {
        self.origin.as_ref()
    }

    /// Returns true if both describe the same database, reached in the same way.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.config == other.config && self.root_certificates == other.root_certificates
    }

    #[cfg(test)]
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Its servers, in the order of the URL.
    pub(super) fn servers(&self) -> Vec<Server> {
        let (hosts, addresses) = (self.config.get_hosts(), self.config.get_hostaddrs());
        let ports = self.config.get_ports();
        (0..hosts.len().max(addresses.len()))
            .map(|index| Server {
                host: hosts.get(index).cloned(),
                ip: addresses.get(index).copied(),
                port: ports
                    .get(index)
                    .or(ports.first())
                    .copied()
                    .unwrap_or(DEFAULT_PORT),
            })
            .collect()
    }

    /// How to connect to one server.
    pub(super) fn config_of(&self, server: &Server) -> Config {
        let mut config = without_hosts(&self.config);
        match &server.host {
            Some(Host::Tcp(name)) => _ = config.host(name),
            #[cfg(unix)]
            Some(Host::Unix(directory)) => _ = config.host_path(directory),
            None => {}
        }
        if let Some(ip) = server.ip {
            config.hostaddr(ip);
        }
        config.port(server.port);
        config
    }

    /// The time limit for connecting to one server.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.config
            .get_connect_timeout()
            .copied()
            .unwrap_or(CONNECT_TIMEOUT)
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

/// # Errors
/// The reason why the hosts do not match the addresses or the ports.
fn check_numbers(config: &Config) -> std::result::Result<(), &'static str> {
    let (hosts, addresses) = (config.get_hosts().len(), config.get_hostaddrs().len());
    if hosts > 0 && addresses > 0 && hosts != addresses {
        return Err("it has not as many hosts as values of hostaddr");
    }
    let ports = config.get_ports().len();
    if ports > 1 && ports != hosts.max(addresses) {
        return Err("it has not as many ports as hosts");
    }
    Ok(())
}

/// A copy of everything but the servers.
fn without_hosts(config: &Config) -> Config {
    let mut copy = Config::new();
    if let Some(user) = config.get_user() {
        copy.user(user);
    }
    if let Some(password) = config.get_password() {
        copy.password(password);
    }
    if let Some(database) = config.get_dbname() {
        copy.dbname(database);
    }
    if let Some(options) = config.get_options() {
        copy.options(options);
    }
    if let Some(name) = config.get_application_name() {
        copy.application_name(name);
    }
    if let Some(limit) = config.get_connect_timeout() {
        copy.connect_timeout(*limit);
    }
    if let Some(limit) = config.get_tcp_user_timeout() {
        copy.tcp_user_timeout(*limit);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        copy.keepalives_interval(interval);
    }
    if let Some(probes) = config.get_keepalives_retries() {
        copy.keepalives_retries(probes);
    }
    copy.keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding());
    copy
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
    fn each_server_is_reached_with_the_settings_of_the_url() {
        let url =
            "postgres://u:p@one:1,two:2/l?options=-ca%3Db&keepalives_idle=7&connect_timeout=9";
        let address = PostgresAddress::parse(url, None).unwrap();
        let servers = address.servers();
        let found: Vec<Config> = servers
            .iter()
            .map(|server| address.config_of(server))
            .collect();
        for (config, (host, port)) in found.iter().zip([("one", 1), ("two", 2)]) {
            let mut expected = address.config().clone();
            assert_eq!(config.get_hosts(), [Host::Tcp(host.to_owned())]);
            assert_eq!(config.get_ports(), [port]);
            // Only the servers differ.
            expected.target_session_attrs(config.get_target_session_attrs());
            assert_eq!(without_hosts(config), without_hosts(&expected));
            assert_eq!(config.get_keepalives_idle(), Duration::from_secs(7));
            assert_eq!(config.get_options(), Some("-ca=b"));
            assert_eq!(config.get_password(), Some(&b"p"[..]));
        }
        assert_eq!(found.len(), 2);
        assert_eq!(address.connect_timeout(), Duration::from_secs(9));
        let default = PostgresAddress::parse("postgres://u@h/l?hostaddr=10.0.0.1", None).unwrap();
        let server = Server {
            host: Some(Host::Tcp("h".to_owned())),
            ip: Some([10, 0, 0, 1].into()),
            port: 5432,
        };
        assert_eq!(default.servers(), [server]);
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
            "postgres://u:hush@h/l?target_session_attrs=read-only",
            "postgres://u:hush@h,i,j/l?port=1,2",
            "postgres://u:hush@h,i/l?hostaddr=10.0.0.1",
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
