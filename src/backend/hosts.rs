//! Which places signed URLs may name: a backend that is not to be trusted must not send our bytes inside our own network.
//! Pure; parsed, never matched as text.
//!
//! Border: addresses as they are written. What a name resolves to is not looked at here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

use crate::error::{Error, Kind, Result};
use crate::names::Invalid;

/// A store that may be named although it is private or speaks plain HTTP: `HOST` or `HOST:PORT`; without a port, any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHost {
    host: Host,
    port: Option<u16>,
}

/// An IPv6 address stands in brackets.
impl FromStr for StoreHost {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid("a store host is HOST or HOST:PORT");
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, Some(port.parse().map_err(|_| wrong())?)),
            _ => (text, None),
        };
        Ok(Self { host: Host::parse(host).map_err(|_| wrong())?, port })
    }
}

impl fmt::Display for StoreHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

impl StoreHost {
    fn names(&self, url: &Url) -> bool {
        url.host().is_some_and(|host| host.to_owned() == self.host)
            && self.port.is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

/// Checks where a signed URL leads.
///
/// # Errors
/// [`Kind::Unusable`] for a URL that is none, carries a user, is plain HTTP away from loopback, or names a private
/// address, unless the backend itself is in such a place or the host was named on purpose.
pub fn check(url: &str, backend: &Url, named: &[StoreHost], insecure_http: bool) -> Result<Url> {
    let refuse = |why: &str, url: Option<&Url>| {
        let host = url.and_then(Url::host_str).unwrap_or("nowhere");
        Error::new(Kind::Unusable, format!("the backend signed a URL that {why} (host {host})"))
            .hinting(format!("if that store is yours, name it: --store-host {host}"))
    };
    let url = Url::parse(url).map_err(|_| refuse("cannot be read", None))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("carries a user name", Some(&url)));
    }
    let Some(host) = url.host() else { return Err(refuse("names no host", None)) };
    let on_purpose = named.iter().any(|named| named.names(&url));
    match url.scheme() {
        "https" => {}
        "http" if insecure_http || on_purpose || is_loopback(&host) => {}
        _ => return Err(refuse("is not https", Some(&url))),
    }
    if is_private(&host) && !on_purpose && !backend.host().is_some_and(|backend| is_private(&backend)) {
        return Err(refuse("names a private address", Some(&url)));
    }
    Ok(url)
}

/// Whether a host is this machine, as it is written.
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(_) => is_loopback(host),
        Host::Ipv4(address) => is_private_address(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_private_address(IpAddr::V6(*address)),
    }
}

fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            let this_network = v4.octets()[0] == 0;
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_broadcast() || shared || this_network
        }
        IpAddr::V6(v6) => {
            let mapped: Option<Ipv4Addr> = v6.to_ipv4_mapped();
            v6 == Ipv6Addr::UNSPECIFIED
                || v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || mapped.is_some_and(|v4| is_private_address(IpAddr::V4(v4)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(url: &str, backend: &str, named: &[&str]) -> bool {
        let named: Vec<_> = named.iter().map(|host| host.parse().unwrap()).collect();
        check(url, &backend.parse().unwrap(), &named, false).is_ok()
    }

    #[test]
    fn a_public_backend_may_not_send_us_inside() {
        let public = "https://upload.example";
        assert!(allowed("https://bucket.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=1", public, &[]));
        for url in [
            "https://169.254.169.254/latest",
            "https://10.0.0.1/",
            "https://192.168.1.1/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://100.64.0.1/",
            "https://localhost/",
            "https://localhost./",
            "http://bucket.example/",
            "ftp://bucket.example/",
            "https://bucket.example@10.0.0.1/",
            "https://user:pw@bucket.example/",
            "not a url",
        ] {
            assert!(!allowed(url, public, &[]), "{url}");
        }
        assert!(allowed("https://10.0.0.1:9000/b", public, &["10.0.0.1:9000"]));
        assert!(!allowed("https://10.0.0.1:9001/b", public, &["10.0.0.1:9000"]));
        assert!(allowed("http://minio.internal/b", public, &["minio.internal"]));
    }

    #[test]
    fn a_backend_on_this_machine_may_name_this_machine() {
        assert!(allowed("http://127.0.0.1:9000/b", "http://127.0.0.1:8080", &[]));
        assert!(!allowed("http://10.0.0.1:9000/b", "http://127.0.0.1:8080", &[]), "plain http leaves the machine");
    }
}
