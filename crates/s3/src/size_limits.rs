//! Sizes and numbers of parts that stores allow, by the host of their endpoint. Pure: a table from
//! the stores' documentation, because a probe cannot find out the sizes.
//!
//! Not here: capabilities. A store is never assumed to enforce something because of its name: see
//! [`crate::probe`].

use url::{Host, Url};

use upload_types::wire::Limits;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Suffixes of hosts and the limits there. Every other host has the limits of S3: Ceph, Garage,
/// `MinIO` and others run on hosts of their operators.
const BY_HOST_SUFFIX: &[(&str, Limits)] = &[
    // Cloudflare R2, "Limits" and "Multipart upload": a request has at most 5 GiB less 5 MiB, an
    // object 5 TiB less 5 GiB, and all parts except the last have one size.
    (
        "r2.cloudflarestorage.com",
        Limits {
            max_part: 5 * GIB - 5 * MIB,
            max_size: 5 * 1024 * GIB - 5 * GIB,
            equal_parts: true,
            ..Limits::S3
        },
    ),
    // Backblaze B2, "Large Files": a part has 5 MB to 5 GB, a file at most 10 TB, in decimal units.
    (
        "backblazeb2.com",
        Limits {
            max_part: 5_000_000_000,
            max_size: 10_000_000_000_000,
            ..Limits::S3
        },
    ),
    // Google Cloud Storage, "Quotas and limits": an object has at most 5 TiB.
    (
        "storage.googleapis.com",
        Limits {
            max_size: 5 * 1024 * GIB,
            ..Limits::S3
        },
    ),
];

/// The limits at an endpoint; `None` means AWS.
pub(crate) fn of_endpoint(endpoint: Option<&Url>) -> Limits {
    let Some(Host::Domain(host)) = endpoint.and_then(Url::host) else {
        return Limits::S3;
    };
    let host = host.trim_end_matches('.');
    let is_below = |suffix: &str| {
        host.strip_suffix(suffix)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    BY_HOST_SUFFIX
        .iter()
        .find(|(suffix, _)| is_below(suffix))
        .map_or(Limits::S3, |(_, limits)| *limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str) -> Limits {
        of_endpoint(Some(&endpoint.parse().unwrap()))
    }

    #[test]
    fn known_hosts_are_matched_by_suffix() {
        let r2 = at("https://0123456789abcdef.eu.r2.cloudflarestorage.com");
        assert_eq!(
            (r2.max_part, r2.max_size, r2.equal_parts),
            (5_363_466_240, 5_492_189_429_760, true)
        );
        let b2 = at("https://s3.us-west-004.backblazeb2.com/");
        assert_eq!(
            (b2.max_part, b2.max_size, b2.equal_parts),
            (5_000_000_000, 10_000_000_000_000, false)
        );
        for google in [
            "https://STORAGE.googleapis.com.",
            "https://media.storage.googleapis.com",
        ] {
            assert_eq!(at(google).max_size, 5_497_558_138_880);
        }
    }

    #[test]
    fn unknown_hosts_have_the_limits_of_s3() {
        assert_eq!(of_endpoint(None), Limits::S3);
        for other in [
            "https://s3.eu-west-1.amazonaws.com",
            "http://127.0.0.1:9000",
            "http://[::1]:9000",
            "https://minio.example.com",
            "https://notbackblazeb2.com",
            "https://storage.googleapis.com.example.com",
        ] {
            assert_eq!(at(other), Limits::S3, "{other}");
        }
    }

    #[test]
    fn every_limit_admits_a_plan() {
        for (host, limits) in BY_HOST_SUFFIX {
            assert!(
                limits.min_part >= 5 * MIB && limits.min_part < limits.max_part,
                "{host}"
            );
            assert!(
                u64::from(limits.max_parts) * limits.max_part >= limits.max_size,
                "{host}"
            );
        }
    }
}
