//! Compares the headers of an object with those that were requested for it. Pure.
//!
//! A signature covers `host`, `x-amz-*` and the headers that it names. S3 keeps some other headers
//! with an object, so the holder of the URL of a single PUT can add them. Parts keep no headers.

use std::collections::BTreeMap;

use upload_types::attributes::Attribute;
use upload_types::decode_words;

use crate::attribute_headers::{
    ENCRYPTION_HEADER, KMS_KEY_HEADER, STORAGE_CLASS_HEADER, header_name,
};
use crate::object_headers::{Head, KEPT_HEADERS, NewObject};

/// The beginnings of the other headers that HeadObject shows as they were requested.
const SHOWN_PREFIXES: [&str; 2] = ["x-amz-meta-", "x-amz-server-side-encryption"];
/// Other headers that HeadObject shows as they were requested.
const SHOWN_HEADERS: [&str; 4] = [
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-legal-hold",
];
/// The number of tags: HeadObject does not show the tags themselves.
const TAG_COUNT_HEADER: &str = "x-amz-tagging-count";
/// The name of metadata that the object does not have, beside those of attributes.
const METADATA: &str = "metadata";
/// Not shown by HeadObject.
const ENCRYPTION_CONTEXT_HEADER: &str = "x-amz-server-side-encryption-context";

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
    /// Headers that need no signature, and that neither the gateway nor the client requested with
    /// this value.
    pub unsigned: Vec<String>,
    /// Requested headers of the encryption that the object does not have.
    pub encryption: Vec<String>,
    /// Other headers that the gateway requests for every object, and that the object does not have.
    pub required: Vec<String>,
    /// Names of attributes of the client, and `metadata`, if the object does not have them.
    pub attributes: Vec<String>,
}

/// Compares an object with the headers that the gateway requests for each new object, and with what
/// the client has chosen for this one.
pub(crate) fn differences(
    object: &Head,
    gateway: &BTreeMap<String, String>,
    new: &NewObject<'_>,
) -> HeaderDifferences {
    let shown = |name: &str| object.headers.get(name).map(String::as_str);
    let requested = new.headers_with(gateway);
    let chosen = |name: &str| !gateway.contains_key(name) && requested.contains_key(name);
    let unsigned = KEPT_HEADERS.iter().filter(|name| {
        let is_of_gateway = |value: &str| {
            requested_value(gateway, name).is_some_and(|set| is_same_list(set, value))
        };
        shown(name).is_some_and(|value| !is_of_gateway(value) && !chosen(name))
    });
    let is_encryption = |name: &str| name.starts_with(ENCRYPTION_HEADER);
    let missing = requested
        .iter()
        .filter(|(name, _)| gateway.contains_key(*name) || is_encryption(name))
        .filter(|(name, value)| is_compared(name) && !is_applied(name, value, shown(name)))
        // A header with another value is not missing.
        .filter(|(name, _)| !KEPT_HEADERS.contains(&name.as_str()) || shown(name).is_none())
        .map(|(name, _)| name.clone());
    let (encryption, required) = missing.partition(|name: &String| is_encryption(name));
    let is_missing = |attribute: &Attribute| {
        let name = header_name(*attribute);
        match attribute {
            // The encryption has headers of its own, and HeadObject does not show access lists.
            Attribute::Sse | Attribute::Acl => false,
            _ if !chosen(name) => false,
            Attribute::Tag => {
                let count = shown(TAG_COUNT_HEADER).and_then(|count| count.parse().ok());
                count != Some(new.attributes.tags.len())
            }
            _ => !is_applied(
                name,
                requested_value(&requested, name).unwrap_or(""),
                shown(name),
            ),
        }
    };
    let attributes = new.attributes.given().filter(is_missing);
    let mut attributes: Vec<String> = attributes
        .map(|attribute| attribute.name().to_owned())
        .collect();
    let has_metadata = new.metadata_headers().iter().all(|(name, value)| {
        gateway.contains_key(name)
            || decode_words(shown(name).unwrap_or_default()) == decode_words(value)
    });
    if !has_metadata {
        attributes.push(METADATA.to_owned());
    }
    HeaderDifferences {
        unsigned: unsigned.map(|name| (*name).to_owned()).collect(),
        encryption,
        required,
        attributes,
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
        (_, Some(shown)) => is_same_list(shown, requested),
    }
}

/// Whether two lists have the same members: some stores change the spaces around commas.
fn is_same_list(one: &str, other: &str) -> bool {
    fn members(list: &str) -> impl Iterator<Item = &str> {
        list.split(',').map(str::trim)
    }
    members(one).eq(members(other))
}

#[cfg(test)]
mod tests {
    use upload_types::wire::Attributes;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn compare(shown: &[(&str, &str)], requested: &[(&str, &str)]) -> [Vec<String>; 3] {
        let (metadata, attributes) = (BTreeMap::new(), Attributes::NONE);
        let found = compare_with(shown, requested, (&metadata, &attributes));
        assert!(found.attributes.is_empty());
        [found.unsigned, found.encryption, found.required]
    }

    fn compare_with(
        shown: &[(&str, &str)],
        requested: &[(&str, &str)],
        (metadata, attributes): (&BTreeMap<String, String>, &Attributes),
    ) -> HeaderDifferences {
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
        let new = NewObject {
            content_type: "a/b",
            name: "",
            token: "t",
            metadata,
            attributes,
        };
        differences(&object, &pairs(requested), &new)
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
        let requested = [("cache-control", "public, max-age=1")];
        let shown = [("cache-control", "public,max-age=1")];
        assert_eq!(compare(&shown, &requested), [none; 3]);
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

    #[test]
    fn attributes_that_the_object_lacks_are_named() {
        let attributes = Attributes {
            cache_control: Some("public,max-age=1".into()),
            storage_class: Some("COLD".into()),
            sse: Some("aws:kms:k-1".into()),
            tags: pairs(&[("a", "1"), ("b", "2")]),
            ..Attributes::NONE
        };
        let kept = [
            ("cache-control", "public, max-age=1"),
            ("x-amz-storage-class", "COLD"),
            ("x-amz-server-side-encryption", "aws:kms"),
            (KMS_KEY_HEADER, "arn:aws:kms:eu-west-1:1:key/k-1"),
            ("x-amz-tagging-count", "2"),
        ];
        let metadata = BTreeMap::new();
        let found = |shown: &[(&str, &str)]| compare_with(shown, &[], (&metadata, &attributes));
        assert_eq!(found(&kept), HeaderDifferences::default());
        let found = found(&[("cache-control", "no-store"), ("x-amz-tagging-count", "1")]);
        assert_eq!(
            found.attributes,
            ["cache-control", "storage-class", "tag"],
            "another value of a signed header is that of the store"
        );
        assert!(found.unsigned.is_empty() && found.required.is_empty());
        assert_eq!(
            found.encryption,
            ["x-amz-server-side-encryption", KMS_KEY_HEADER]
        );
    }

    #[test]
    fn header_that_the_gateway_sets_is_no_attribute() {
        let attributes = Attributes {
            cache_control: Some("no-store".into()),
            ..Attributes::NONE
        };
        let set = [("cache-control", "no-store")];
        let metadata = BTreeMap::new();
        let found = compare_with(&[], &set, (&metadata, &attributes));
        assert_eq!(found.required, ["cache-control"]);
        assert!(found.attributes.is_empty());
        let other = [("cache-control", "public")];
        let found = compare_with(&other, &set, (&metadata, &attributes));
        assert_eq!(found.unsigned, ["cache-control"]);
    }

    #[test]
    fn metadata_is_compared_after_decoding() {
        let metadata = pairs(&[("a_b", "caf\u{e9}"), ("e", "")]);
        let found = |shown: &[(&str, &str)]| {
            compare_with(shown, &[], (&metadata, &Attributes::NONE)).attributes
        };
        let none: [&str; 0] = [];
        assert_eq!(found(&[("x-amz-meta-a_b", "=?UTF-8?B?Y2Fmw6k=?=")]), none);
        assert_eq!(found(&[("x-amz-meta-a_b", "=?utf-8?q?caf=C3=A9?=")]), none);
        assert_eq!(found(&[("x-amz-meta-a_b", "caf\u{e9}")]), none);
        assert_eq!(found(&[("x-amz-meta-a_b", "cafe")]), ["metadata"]);
        assert_eq!(found(&[("x-amz-meta-a-b", "caf\u{e9}")]), ["metadata"]);
    }
}
