//! The class of an address: this machine, a private network, the public Internet, or none of them.
//! Only this file decides it. The class determines whether plain HTTP, missing authentication and
//! missing TLS are allowed. Pure.
//!
//! Not here: DNS. A name is public until it is resolved, except for `localhost` and names below it
//! (RFC 6761).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The machines that can reach an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// All machines.
    Public,
    /// Machines of the same network (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// This machine only.
    Loopback,
    /// Link-local, instance metadata, multicast, reserved: no store or gateway has such an address.
    Special,
}

impl AddressClass {
    #[must_use]
    pub fn of_ip(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    #[must_use]
    pub fn of_host(host: &Host<&str>) -> Self {
        match host {
            Host::Domain(name) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                if name == "localhost" || name.ends_with(".localhost") {
                    Self::Loopback
                } else {
                    Self::Public
                }
            }
            Host::Ipv4(address) => Self::of_v4(*address),
            Host::Ipv6(address) => Self::of_v6(*address),
        }
    }

    /// The class of a host as text: a name, an IPv4 address, or an IPv6 address with or without
    /// brackets. Any other text is public.
    #[must_use]
    pub fn of_name(host: &str) -> Self {
        if let Ok(address) = host.parse() {
            return Self::of_ip(address);
        }
        let host = Host::parse(host);
        host.map_or(Self::Public, |host| match &host {
            Host::Domain(name) => Self::of_host(&Host::Domain(name.as_str())),
            Host::Ipv4(address) => Self::of_v4(*address),
            Host::Ipv6(address) => Self::of_v6(*address),
        })
    }

    /// The class of a URL's host. A URL without a host is public.
    #[must_use]
    pub fn of_url(url: &Url) -> Self {
        url.host().map_or(Self::Public, |host| Self::of_host(&host))
    }

    #[must_use]
    pub fn is_loopback(self) -> bool {
        self == Self::Loopback
    }

    /// Returns true if requests to such an address bypass every proxy: a proxy on another machine
    /// would reach another host at the same address.
    #[must_use]
    pub fn bypasses_proxy(self) -> bool {
        matches!(self, Self::Loopback | Self::Special)
    }

    fn of_v4(v4: Ipv4Addr) -> Self {
        match v4.octets() {
            [127, ..] => Self::Loopback,
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Self::Private,
            // "This network", multicast and reserved; link-local; protocol assignments (instance
            // metadata of Oracle Cloud); the host agent of Azure.
            [0 | 224..=255, ..] | [169, 254, ..] | [192, 0, 0, _] | [168, 63, 129, 16] => {
                Self::Special
            }
            _ => Self::Public,
        }
    }

    fn of_v6(v6: Ipv6Addr) -> Self {
        let embedded = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Self::of_v4(Ipv4Addr::new(a, b, c, d))
        };
        match v6.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // IPv4-mapped: the kernel connects to the IPv4 address.
            [0, 0, 0, 0, 0, 0xffff, high, low] => embedded(high, low),
            // Translated (NAT64, 6to4) and the deprecated IPv4-compatible form: classified by the
            // IPv4 address, but packets leave the machine.
            [0, 0, 0, 0, 0, 0, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..] => match embedded(high, low) {
                Self::Loopback => Self::Special,
                class => class,
            },
            // Instance metadata of AWS, link-local and multicast.
            [0xfd00, 0x0ec2, ..] | [0xfe80..=0xffff, ..] => Self::Special,
            [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff, ..] => Self::Private,
            _ => Self::Public,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_of_each_kind_of_host() {
        use AddressClass::{Loopback, Private, Public, Special};
        let table = [
            ("localhost", Loopback),
            ("LOCALHOST.", Loopback),
            ("bucket.localhost", Loopback),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("2130706433", Loopback),
            ("0177.0.0.1", Loopback),
            ("0x7f.1", Loopback),
            ("::1", Loopback),
            ("[::1]", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::127.0.0.1", Special),
            ("64:ff9b::7f00:1", Special),
            ("2002:7f00:1::", Special),
            ("10.0.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("fd12::1", Private),
            ("::ffff:10.0.0.1", Private),
            ("64:ff9b:1::1", Private),
            ("0.0.0.0", Special),
            ("169.254.169.254", Special),
            ("192.0.0.192", Special),
            ("168.63.129.16", Special),
            ("224.0.0.1", Special),
            ("255.255.255.255", Special),
            ("::", Special),
            ("fd00:ec2::254", Special),
            ("fe80::1", Special),
            ("ff02::1", Special),
            ("example.com", Public),
            ("localhost.example.com", Public),
            ("notlocalhost", Public),
            ("172.32.0.1", Public),
            ("100.128.0.1", Public),
            ("128.0.0.1", Public),
            ("2001:db8::1", Public),
            ("", Public),
            ("a b", Public),
        ];
        for (host, class) in table {
            assert_eq!(AddressClass::of_name(host), class, "{host}");
        }
    }

    #[test]
    fn class_of_a_url_is_that_of_its_host() {
        let of = |url: &str| AddressClass::of_url(&url.parse().unwrap());
        assert!(of("http://LocalHost:1/x").is_loopback());
        assert!(of("http://[::ffff:127.0.0.1]/").is_loopback());
        assert_eq!(
            of("https://user@example.com/?h=127.0.0.1"),
            AddressClass::Public
        );
        assert_eq!(of("data:text/plain,localhost"), AddressClass::Public);
        assert!(of("http://169.254.169.254/").bypasses_proxy());
        assert!(!of("http://10.0.0.1/").bypasses_proxy());
    }
}
