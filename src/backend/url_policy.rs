//! The stores that a presigned URL may name. A malicious backend must not make the client send a
//! file into the client's own network, or to another store than before (server-side request
//! forgery). Pure. URLs are parsed, never compared as text.
//!
//! Not here: the addresses of a name. `resolver` finds them and applies [`may_name`].

use std::fmt;
use std::str::FromStr;

use upload_net::AddressClass;
use url::{Host, Url};

use upload_types::error::{Error, Kind, Result};
use upload_types::{Invalid, SignedUrl};

/// A store that the user permits: `HOST` or `HOST:PORT`. Without a port, every port is permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHost {
    host: Host,
    port: Option<u16>,
}

/// An IPv6 address is in brackets.
impl FromStr for StoreHost {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid("a store host is HOST or HOST:PORT");
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| invalid())?))
            }
            _ => (text, None),
        };
        Ok(Self {
            host: Host::parse(host).map_err(|_| invalid())?,
            port,
        })
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
    /// Returns true if it has this domain name, with any port.
    pub fn has_name(&self, name: &str) -> bool {
        matches!(&self.host, Host::Domain(host) if host.eq_ignore_ascii_case(name))
    }

    fn matches(&self, url: &Url) -> bool {
        url.host().is_some_and(|host| host.to_owned() == self.host)
            && self
                .port
                .is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

/// The facts that decide which stores a presigned URL may name.
#[derive(Debug, Clone, Copy)]
pub struct UrlPolicy<'a> {
    pub backend: &'a Url,
    /// The backend runs in this process, so the user configured its store.
    pub in_process: bool,
    /// Stores that the user permits.
    pub store_hosts: &'a [StoreHost],
    pub allow_insecure_http: bool,
    /// Stores that URLs of this backend named before, as `HOST:PORT`. If empty, a URL may name any
    /// store.
    pub known_stores: &'a [String],
}

impl UrlPolicy<'_> {
    /// Parses and checks a presigned URL.
    ///
    /// # Errors
    /// [`Kind::Incompatible`] if the URL is malformed or has a user name. For a store that the user
    /// has not permitted, also if the URL uses plain HTTP to another machine, names an address that
    /// is less public than that of the backend, or names another store than before.
    pub fn check(&self, url: &str) -> Result<Url> {
        let url = Url::parse(url).map_err(|_| malformed("cannot be parsed"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed("contains a user name"));
        }
        if url.host().is_none() {
            return Err(malformed("has no host"));
        }
        let class = AddressClass::of_url(&url);
        let is_permitted =
            self.in_process || self.store_hosts.iter().any(|store| store.matches(&url));
        match url.scheme() {
            "https" => {}
            "http" if self.allow_insecure_http || is_permitted || class.is_loopback() => {}
            "http" => return Err(not_permitted("is not https", &url)),
            _ => return Err(malformed("is not https")),
        }
        let backend = AddressClass::of_url(self.backend);
        if !is_permitted && !may_name(backend, class) {
            return Err(not_permitted("names a private address", &url));
        }
        let store = authority(&url);
        // The backend may name itself: it receives no more that way than by other requests.
        let is_known = store == authority(self.backend) || self.known_stores.contains(&store);
        if !is_permitted && !is_known && !self.known_stores.is_empty() {
            return Err(not_permitted("names another store than before", &url));
        }
        Ok(url)
    }
}

/// Parses the URL of an object that a backend signed for other programs, and serialises it: in
/// visible ASCII characters.
///
/// # Errors
/// [`Kind::Incompatible`] if it is not an http or https URL with a host, or has a user name, white
/// space or a control character.
pub fn read_url(text: &str) -> Result<SignedUrl> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(malformed("contains white space or a control character"));
    }
    let url = Url::parse(text).map_err(|_| malformed("cannot be parsed"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(malformed("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(malformed("contains a user name"));
    }
    if url.host().is_none() {
        return Err(malformed("has no host"));
    }
    Ok(SignedUrl::new(url.into()))
}

fn malformed(reason: &str) -> Error {
    let what = format!("the backend signed a URL that {reason}");
    Error::new(Kind::Incompatible, what)
        .with_hint("ask the operator of the backend to correct the address of its store")
}

fn not_permitted(reason: &str, url: &Url) -> Error {
    let store = authority(url);
    let what = format!("the backend signed a URL that {reason} (host {store})");
    Error::new(Kind::Incompatible, what).with_hint(format!(
        "if you trust that store, permit it: --store-host {store}"
    ))
}

/// `HOST:PORT`
pub fn authority(url: &Url) -> String {
    format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default()
    )
}

/// Returns true if a backend with an address of class `backend` may name a store with an address of
/// class `store`.
pub fn may_name(backend: AddressClass, store: AddressClass) -> bool {
    match store {
        AddressClass::Public => true,
        // A gateway on this machine may use a store in the local network.
        AddressClass::Private => {
            matches!(backend, AddressClass::Private | AddressClass::Loopback)
        }
        AddressClass::Loopback | AddressClass::Special => backend == store,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "https://upload.example";

    fn check(url: &str, backend: &str, store_hosts: &[&str], known: &[&str]) -> Result<Url> {
        let store_hosts: Vec<_> = store_hosts
            .iter()
            .map(|host| host.parse().unwrap())
            .collect();
        let known: Vec<_> = known.iter().map(|&store| store.to_owned()).collect();
        let policy = UrlPolicy {
            backend: &backend.parse().unwrap(),
            in_process: false,
            store_hosts: &store_hosts,
            allow_insecure_http: false,
            known_stores: &known,
        };
        policy.check(url)
    }

    fn is_allowed(url: &str, backend: &str, store_hosts: &[&str]) -> bool {
        check(url, backend, store_hosts, &[]).is_ok()
    }

    #[test]
    fn public_backend_must_not_name_private_address() {
        assert!(is_allowed(
            "https://bucket.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=1",
            PUBLIC,
            &[]
        ));
        for url in [
            "https://169.254.169.254/latest",
            "https://169.254.169.254%2f@bucket.example/",
            "https://bucket.example@169.254.169.254/",
            "https://bucket.example:443@169.254.169.254/",
            "https://bucket.example%2f@10.0.0.1/",
            "https://bucket.example%00.10.0.0.1/",
            "https://user@bucket.example/",
            "https://user:pw@bucket.example/",
            "https://:pw@bucket.example/",
            "https://10.0.0.1/",
            "https://10.1/",
            "https://012.0.0.1/",
            "https://0xa.0.0.1/",
            "https://167772161/",
            "https://192.168.1.1/",
            "https://172.16.0.1/",
            "https://172.31.255.255/",
            "https://100.64.0.1/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0177.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://017700000001/",
            "https://0x7f000001/",
            "https://\u{ff11}27.0.0.1/",
            "https://127\u{3002}0\u{3002}0\u{3002}1/",
            "https://127.0.0.1./",
            "https://0.0.0.0/",
            "https://0/",
            "https://255.255.255.255/",
            "https://224.0.0.1/",
            "https://168.63.129.16/",
            "https://192.0.0.192/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[2002:7f00:1::]/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://[ff02::1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://bucket.localhost/",
            "http://bucket.example/",
            "ftp://bucket.example/",
            "file:///etc/passwd",
            "data:text/plain,hello",
            "//bucket.example/",
            "https:///",
            "https://",
            "not a url",
            "",
        ] {
            assert!(!is_allowed(url, PUBLIC, &[]), "{url}");
        }
    }

    #[test]
    fn read_url_is_http_in_visible_ascii() {
        for text in [
            "javascript:alert(1)",
            "data:text/html,hello",
            "file:///etc/passwd",
            "https://user:pw@store.example/k",
            "https://store.example/\u{1b}]0;title\u{7}",
            "https://store.example/\u{9b}31m",
            "https://store.example/a\nb",
            "https://store.example/a b",
            "https://",
            "",
        ] {
            assert!(read_url(text).is_err(), "{text:?}");
        }
        let signed = "https://store.example/a%2Bb?X-Amz-Signature=1&response-content-type=a%2Fb";
        assert_eq!(read_url(signed).unwrap().expose(), signed);
        let url = read_url("http://b\u{fc}cher.example/\u{202e}gnp?\u{feff}").unwrap();
        assert!(
            url.expose().bytes().all(|b| b.is_ascii_graphic()),
            "{}",
            url.expose()
        );
    }

    /// A browser would send a request for each of these URLs to another server.
    #[test]
    fn lookalike_of_known_store_is_rejected() {
        let known = ["good.example:443"];
        for url in [
            "https://good.example.evil/",
            "https://evil/good.example",
            "https://evil/?good.example",
            "https://evil#good.example",
            "https://evil#@good.example/",
            "https://evil\\@good.example/",
            "https://evil\\.good.example/",
            "https://evilgood.example/",
            "https://good.example:444/",
            "https://good.example./",
            "https://g\u{43e}od.example/",
            "https://good.example%2eevil/",
            "https://good.example\u{3002}evil/",
        ] {
            assert!(check(url, PUBLIC, &[], &known).is_err(), "{url}");
            assert!(
                check(url, PUBLIC, &[], &[]).is_ok(),
                "{url} is rejected for another reason"
            );
        }
        for url in [
            "https://good.example/",
            "https://GOOD.example:443/k",
            "https:good.example",
            "https://good\n.example/",
        ] {
            let url = check(url, PUBLIC, &[], &known).unwrap();
            assert_eq!(authority(&url), known[0]);
        }
        let backend_itself = check("https://upload.example/k", PUBLIC, &[], &known);
        assert!(backend_itself.is_ok());
        let moved = "https://moved.example/k";
        let permitted = check(moved, PUBLIC, &["moved.example"], &known);
        assert!(permitted.is_ok());
    }

    #[test]
    fn permitted_store_may_be_private() {
        assert!(is_allowed(
            "https://10.0.0.1:9000/b",
            PUBLIC,
            &["10.0.0.1:9000"]
        ));
        assert!(!is_allowed(
            "https://10.0.0.1:9001/b",
            PUBLIC,
            &["10.0.0.1:9000"]
        ));
        assert!(is_allowed(
            "http://minio.internal/b",
            PUBLIC,
            &["minio.internal"]
        ));
        assert!(is_allowed(
            "https://[fd00::1]:9000/b",
            PUBLIC,
            &["[fd00::1]"]
        ));
    }

    #[test]
    fn backend_may_name_store_that_is_as_private_as_itself() {
        let on_this_machine = "http://127.0.0.1:8080";
        let in_this_network = "https://10.0.0.7";
        for (url, backend) in [
            ("http://127.0.0.1:9000/b", on_this_machine),
            ("https://10.0.0.1:9000/b", "http://localhost:8080"),
            ("https://192.168.0.1/b", in_this_network),
        ] {
            assert!(is_allowed(url, backend, &[]), "{url} by {backend}");
        }
        for (url, backend, reason) in [
            (
                "http://10.0.0.1:9000/b",
                on_this_machine,
                "plain HTTP to another machine",
            ),
            (
                "https://127.0.0.1/b",
                in_this_network,
                "a service that only this machine may use",
            ),
            (
                "https://169.254.169.254/b",
                in_this_network,
                "metadata of a cloud",
            ),
            (
                "https://169.254.169.254/b",
                on_this_machine,
                "metadata of a cloud",
            ),
        ] {
            assert!(!is_allowed(url, backend, &[]), "{reason}");
        }
    }

    #[test]
    fn backend_in_process_may_name_any_store() {
        let policy = UrlPolicy {
            backend: &"http://127.0.0.1:8080".parse().unwrap(),
            in_process: true,
            store_hosts: &[],
            allow_insecure_http: false,
            known_stores: &[],
        };
        assert!(policy.check("http://10.0.0.1:9000/b").is_ok());
        assert!(policy.check("http://user@10.0.0.1:9000/b").is_err());
    }
}
