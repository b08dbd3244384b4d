//! Compares the headers of an object with those that the gateway requested for it. Pure.
//!
//! A signature covers `host`, `x-amz-*` and the headers that it names. S3 keeps some other headers
//! with an object, so the holder of the URL of a single PUT can add them. Parts keep no headers.

use std::collections::BTreeMap;

use crate::object_headers::{ENCRYPTION_HEADER, Head, KEPT_HEADERS};

/// The beginnings of the other headers that HeadObject shows as they were requested.
const SHOWN_PREFIXES: [&str; 2] = ["x-amz-meta-", "x-amz-server-side-encryption"];
/// Other headers that HeadObject shows as they were requested.
const SHOWN_HEADERS: [&str; 4] = [
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-legal-hold",
];
const KMS_KEY_HEADER: &str = "x-amz-server-side-encryption-aws-kms-key-id";
/// Not shown by HeadObject.
const ENCRYPTION_CONTEXT_HEADER: &str = "x-amz-server-side-encryption-context";
const STORAGE_CLASS_HEADER: &str = "x-amz-storage-class";

/// Returns true for a header of HeadObject that is compared.
pub(crate) fn is_compared(name: &str) -> bool {
    KEPT_HEADERS.contains(&name)
        || SHOWN_HEADERS.contains(&name)
        || SHOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            && name != ENCRYPTION_CONTEXT_HEADER
}

/// The names of the headers whose values differ from the requested ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderDifferences {
    /// Headers that need no signature, and that the gateway did not request with this value.
    pub unsigned: Vec<String>,
    /// Requested headers of the encryption that the object does not have.
    pub encryption: Vec<String>,
    /// Other requested headers that the object does not have.
    pub required: Vec<String>,
}

/// Compares an object with the headers that the gateway requests for each new object.
pub(crate) fn differences(
    object: &Head,
    requested: &BTreeMap<String, String>,
) -> HeaderDifferences {
    let shown = |name: &str| object.headers.get(name).map(String::as_str);
    let unsigned = KEPT_HEADERS.iter().filter(|name| {
        shown(name).is_some_and(|value| Some(value) != requested_value(requested, name))
    });
    let missing = requested
        .iter()
        .filter(|(name, value)| is_compared(name) && !is_applied(name, value, shown(name)))
        // A header with another value is not missing.
        .filter(|(name, _)| !KEPT_HEADERS.contains(&name.as_str()) || shown(name).is_none())
        .map(|(name, _)| name.clone());
    let (encryption, required) =
        missing.partition(|name: &String| name.starts_with(ENCRYPTION_HEADER));
    HeaderDifferences {
        unsigned: unsigned.map(|name| (*name).to_owned()).collect(),
        encryption,
        required,
    }
}

fn requested_value<'a>(requested: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    requested.get(name).map(String::as_str)
}

/// Whether HeadObject shows the effect of a requested header.
fn is_applied(name: &str, requested: &str, shown: Option<&str>) -> bool {
    match (name, shown) {
        // S3 omits the default class.
        (STORAGE_CLASS_HEADER, None) => requested == "STANDARD",
        (_, None) => false,
        // S3 shows the ARN of the key; an alias names a key that only KMS knows.
        (KMS_KEY_HEADER, Some(shown)) => {
            requested.contains("alias/") || shown == requested || shown.ends_with(requested)
        }
        (_, Some(shown)) => shown == requested,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn compare(shown: &[(&str, &str)], requested: &[(&str, &str)]) -> [Vec<String>; 3] {
        let object = Head {
            size: 1,
            etag: "e".parse().unwrap(),
            checksum: None,
            token: None,
            content_type: None,
            modified: None,
            version_id: None,
            headers: pairs(shown),
        };
        let found = differences(&object, &pairs(requested));
        [found.unsigned, found.encryption, found.required]
    }

    #[test]
    fn headers_that_the_gateway_did_not_request_are_unsigned() {
        let none: [&str; 0] = [];
        for name in KEPT_HEADERS {
            assert_eq!(compare(&[(name, "x")], &[]), [vec![name], vec![], vec![]]);
            assert_eq!(compare(&[(name, "x")], &[(name, "x")]), [none; 3]);
            assert_eq!(
                compare(&[(name, "x")], &[(name, "y")]),
                [vec![name], vec![], vec![]]
            );
            assert_eq!(compare(&[], &[(name, "y")]), [vec![], vec![], vec![name]]);
        }
        assert_eq!(compare(&[("x-amz-meta-a", "b")], &[]), [none; 3]);
    }

    #[test]
    fn requested_headers_that_the_object_lacks_are_found() {
        const SSE: &str = "x-amz-server-side-encryption";
        let none: [&str; 0] = [];
        assert_eq!(
            compare(&[], &[(SSE, "AES256")]),
            [vec![], vec![SSE], vec![]]
        );
        assert_eq!(
            compare(&[(SSE, "AES256")], &[(SSE, "aws:kms")]),
            [vec![], vec![SSE], vec![]]
        );
        assert_eq!(compare(&[(SSE, "AES256")], &[(SSE, "AES256")]), [none; 3]);
        let arn = "arn:aws:kms:eu-west-1:1:key/k-1";
        for key in ["k-1", arn, "alias/mine"] {
            let shown = [(KMS_KEY_HEADER, arn)];
            assert_eq!(compare(&shown, &[(KMS_KEY_HEADER, key)]), [none; 3]);
        }
        assert_eq!(
            compare(&[(KMS_KEY_HEADER, arn)], &[(KMS_KEY_HEADER, "k-2")]),
            [vec![], vec![KMS_KEY_HEADER], vec![]]
        );
        let class = |class| compare(&[], &[(STORAGE_CLASS_HEADER, class)]);
        assert_eq!(class("STANDARD"), [none; 3]);
        assert_eq!(class("GLACIER_IR")[2], [STORAGE_CLASS_HEADER]);
        // HeadObject does not show these.
        for name in ["x-amz-acl", "x-amz-tagging", ENCRYPTION_CONTEXT_HEADER] {
            assert_eq!(compare(&[], &[(name, "x")]), [none; 3], "{name}");
        }
    }
}
