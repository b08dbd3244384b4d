//! What stores allow that nobody can find out by trying: sizes and numbers of parts, by the host that their endpoints have.
//!
//! Border: pure; a table of what their documents say. What can be tried is `probe`, and a store is never believed to enforce
//! something because of its name.

use url::{Host, Url};

use upload_types::wire::Limits;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Ends of hosts, and what is allowed there. Whoever is not in the table is taken for S3: Ceph, Garage, `MinIO` and others stand on
/// hosts of their owners.
const KNOWN: &[(&str, Limits)] = &[
    // "Limits" and "Multipart upload" of Cloudflare's R2: a request has at most 5 GiB less 5 MiB, an object 5 TiB less 5 GiB, and all
    // parts but the last are of one size.
    (
        "r2.cloudflarestorage.com",
        Limits {
            max_part: 5 * GIB - 5 * MIB,
            max_size: 5 * 1024 * GIB - 5 * GIB,
            equal_parts: true,
            ..Limits::S3
        },
    ),
    // "Large Files" of Backblaze B2: a part has 5 MB to 5 GB, a file at most 10 TB, in decimal.
    (
        "backblazeb2.com",
        Limits {
            max_part: 5_000_000_000,
            max_size: 10_000_000_000_000,
            ..Limits::S3
        },
    ),
    // "Quotas and limits" of Google Cloud Storage: an object has at most 5 TiB.
    (
        "storage.googleapis.com",
        Limits {
            max_size: 5 * 1024 * GIB,
            ..Limits::S3
        },
    ),
];

/// What is allowed at an endpoint; none is AWS itself.
#[must_use]
pub fn limits(endpoint: Option<&Url>) -> Limits {
    let Some(Host::Domain(host)) = endpoint.and_then(Url::host) else {
        return Limits::S3;
    };
    let host = host.trim_end_matches('.');
    let is = |end: &str| {
        host.strip_suffix(end)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    KNOWN
        .iter()
        .find(|(end, _)| is(end))
        .map_or(Limits::S3, |(_, limits)| *limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str) -> Limits {
        limits(Some(&endpoint.parse().unwrap()))
    }

    #[test]
    fn a_store_is_known_by_the_end_of_its_host() {
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
        assert_eq!(
            at("https://STORAGE.googleapis.com.").max_size,
            5_497_558_138_880
        );
        assert_eq!(
            at("https://media.storage.googleapis.com").max_size,
            5_497_558_138_880
        );
    }

    #[test]
    fn whoever_is_not_known_is_taken_for_s3() {
        assert_eq!(limits(None), Limits::S3);
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
    fn every_limit_can_be_planned_with() {
        for (host, limits) in KNOWN {
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
