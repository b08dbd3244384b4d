//! Which places signed URLs may name: a backend that is not to be trusted must not send our bytes inside our own network,
//! nor to another store than before. Pure; parsed, never matched as text.
//!
//! Border: what may be; what a name resolves to is looked up by `resolver`, which asks here.

use std::fmt;
use std::str::FromStr;

use upload_net::AddressClass;
use url::{Host, Url};

use upload_types::error::{Error, Kind, Result};
use upload_types::names::Invalid;

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
            Some((host, port)) if !text.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| wrong())?))
            }
            _ => (text, None),
        };
        Ok(Self {
            host: Host::parse(host).map_err(|_| wrong())?,
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
    /// Whether it is this host, at whatever port.
    pub fn is(&self, name: &str) -> bool {
        matches!(&self.host, Host::Domain(host) if host.eq_ignore_ascii_case(name))
    }

    fn names(&self, url: &Url) -> bool {
        url.host().is_some_and(|host| host.to_owned() == self.host)
            && self
                .port
                .is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

/// What decides where a signed URL may lead.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub backend: &'a Url,
    /// The backend runs in this process: what it names was configured by whoever runs it.
    pub own: bool,
    /// Stores that were named on purpose.
    pub named: &'a [StoreHost],
    pub insecure_http: bool,
    /// Where this backend's URLs led before, as [`place`] tells it; none is anywhere.
    pub known: &'a [String],
}

/// Checks where a signed URL leads.
///
/// # Errors
/// [`Kind::Incompatible`] for a URL that is none, carries a user, is plain HTTP away from loopback, names an address that only
/// this machine or network can reach, unless the backend itself is in such a place, or leads elsewhere than before. A host
/// that was named on purpose may be all of that, but for the first two.
pub fn check(url: &str, rules: &Rules) -> Result<Url> {
    let refuse = |why: &str, url: Option<&Url>| {
        let place = url.map_or_else(|| "nowhere".to_owned(), place);
        Error::new(
            Kind::Incompatible,
            format!("the backend signed a URL that {why} (host {place})"),
        )
        .with_hint(format!(
            "if that store is yours, name it: --store-host {place}"
        ))
    };
    let url = Url::parse(url).map_err(|_| refuse("cannot be read", None))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("carries a user name", Some(&url)));
    }
    if url.host().is_none() {
        return Err(refuse("names no host", None));
    }
    let class = AddressClass::of_url(&url);
    let on_purpose = rules.own || rules.named.iter().any(|named| named.names(&url));
    match url.scheme() {
        "https" => {}
        "http" if rules.insecure_http || on_purpose || class.is_loopback() => {}
        _ => return Err(refuse("is not https", Some(&url))),
    }
    let backend = AddressClass::of_url(rules.backend);
    if !on_purpose && !may_lead(backend, class) {
        return Err(refuse("names a private address", Some(&url)));
    }
    // Whoever answers our calls may have our bytes as well.
    let same = place(&url) == place(rules.backend);
    if !on_purpose && !same && !rules.known.is_empty() && !rules.known.contains(&place(&url)) {
        return Err(refuse("leads to another store than before", Some(&url)));
    }
    Ok(url)
}

/// `HOST:PORT`.
pub fn place(url: &Url) -> String {
    format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default()
    )
}

/// Whether a backend with an address of class `backend` may lead to a store with one of class `store`.
pub fn may_lead(backend: AddressClass, store: AddressClass) -> bool {
    match store {
        AddressClass::Public => true,
        // A gateway on this machine may stand in front of a store in this network.
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

    fn checked(url: &str, backend: &str, named: &[&str], known: &[&str]) -> Result<Url> {
        let named: Vec<_> = named.iter().map(|host| host.parse().unwrap()).collect();
        let known: Vec<_> = known.iter().map(|&place| place.to_owned()).collect();
        let backend = backend.parse().unwrap();
        check(
            url,
            &Rules {
                backend: &backend,
                own: false,
                named: &named,
                insecure_http: false,
                known: &known,
            },
        )
    }

    fn allowed(url: &str, backend: &str, named: &[&str]) -> bool {
        checked(url, backend, named, &[]).is_ok()
    }

    #[test]
    fn a_public_backend_may_not_send_us_inside() {
        assert!(allowed(
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
            assert!(!allowed(url, PUBLIC, &[]), "{url}");
        }
    }

    /// Every one of these is read as a browser reads it: the host is the evil one, and it is not the known one.
    #[test]
    fn a_host_that_only_looks_like_the_known_one_is_another() {
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
            assert!(checked(url, PUBLIC, &[], &known).is_err(), "{url}");
            assert!(
                checked(url, PUBLIC, &[], &[]).is_ok(),
                "{url} is refused for something else"
            );
        }
        for url in [
            "https://good.example/",
            "https://GOOD.example:443/k",
            "https:good.example",
            "https://good\n.example/",
        ] {
            let url = checked(url, PUBLIC, &[], &known).unwrap();
            assert_eq!(place(&url), known[0]);
        }
        assert!(
            checked("https://upload.example/k", PUBLIC, &[], &known).is_ok(),
            "the backend itself"
        );
        assert!(
            checked(
                "https://moved.example/k",
                PUBLIC,
                &["moved.example"],
                &known
            )
            .is_ok(),
            "named on purpose"
        );
    }

    #[test]
    fn what_is_named_on_purpose_may_be_private() {
        assert!(allowed(
            "https://10.0.0.1:9000/b",
            PUBLIC,
            &["10.0.0.1:9000"]
        ));
        assert!(!allowed(
            "https://10.0.0.1:9001/b",
            PUBLIC,
            &["10.0.0.1:9000"]
        ));
        assert!(allowed(
            "http://minio.internal/b",
            PUBLIC,
            &["minio.internal"]
        ));
        assert!(allowed("https://[fd00::1]:9000/b", PUBLIC, &["[fd00::1]"]));
    }

    #[test]
    fn a_backend_may_name_what_is_as_near_as_itself() {
        assert!(allowed(
            "http://127.0.0.1:9000/b",
            "http://127.0.0.1:8080",
            &[]
        ));
        assert!(allowed(
            "https://10.0.0.1:9000/b",
            "http://localhost:8080",
            &[]
        ));
        assert!(
            !allowed("http://10.0.0.1:9000/b", "http://127.0.0.1:8080", &[]),
            "plain http leaves the machine"
        );
        let inside = "https://10.0.0.7";
        assert!(allowed("https://192.168.0.1/b", inside, &[]));
        assert!(
            !allowed("https://127.0.0.1/b", inside, &[]),
            "a service of ours that trusts this machine"
        );
        assert!(
            !allowed("https://169.254.169.254/b", inside, &[]),
            "a cloud's metadata"
        );
        assert!(!allowed(
            "https://169.254.169.254/b",
            "http://127.0.0.1:8080",
            &[]
        ));
    }

    #[test]
    fn a_backend_in_this_process_is_us() {
        let backend = "http://127.0.0.1:8080".parse().unwrap();
        let rules = Rules {
            backend: &backend,
            own: true,
            named: &[],
            insecure_http: false,
            known: &[],
        };
        assert!(check("http://10.0.0.1:9000/b", &rules).is_ok());
        assert!(check("http://user@10.0.0.1:9000/b", &rules).is_err());
    }
}
