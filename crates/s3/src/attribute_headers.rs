//! The attributes of an object as headers, beside those that the gateway requests for every object.
//! Pure.
//!
//! Not here: the forms of the values ([`upload_types::attributes`]).

use std::collections::BTreeMap;

use upload_types::attributes::{Attribute, Encryption};
use upload_types::wire::Attributes;

use crate::uri::encode;

/// The encryption of a new object.
pub(crate) const ENCRYPTION_HEADER: &str = "x-amz-server-side-encryption";
pub(crate) const KMS_KEY_HEADER: &str = "x-amz-server-side-encryption-aws-kms-key-id";
pub(crate) const TAGGING_HEADER: &str = "x-amz-tagging";
pub(crate) const STORAGE_CLASS_HEADER: &str = "x-amz-storage-class";
const KMS: &str = "aws:kms";

/// The header of an attribute. The header of the encryption contains the algorithm, and
/// [`KMS_KEY_HEADER`] the key.
pub(crate) fn header_name(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Acl => "x-amz-acl",
        Attribute::CacheControl => "cache-control",
        Attribute::ContentDisposition => "content-disposition",
        Attribute::ContentEncoding => "content-encoding",
        Attribute::ContentLanguage => "content-language",
        Attribute::Expires => "expires",
        Attribute::Sse => ENCRYPTION_HEADER,
        Attribute::StorageClass => STORAGE_CLASS_HEADER,
        Attribute::Tag => TAGGING_HEADER,
    }
}

/// The headers of attributes, by name.
pub(crate) fn headers(attributes: &Attributes) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let mut insert = |name: &str, value: String| headers.insert(name.to_owned(), value);
    for attribute in attributes.given() {
        let name = header_name(attribute);
        let value = attributes.value(attribute).unwrap_or_default();
        match attribute {
            Attribute::Sse => {
                if let Some(encryption) = Encryption::parse(value) {
                    insert(name, encryption.algorithm.to_owned());
                    if let Some(key) = encryption.key {
                        insert(KMS_KEY_HEADER, key.to_owned());
                    }
                }
            }
            Attribute::Tag => {
                insert(name, tagging(&attributes.tags));
            }
            _ => {
                insert(name, value.to_owned());
            }
        }
    }
    headers
}

/// Tags as the query that S3 expects.
fn tagging(tags: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = tags
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    pairs.join("&")
}

/// Adds the headers of the gateway to those of an object. Those of the gateway win, except for an
/// encryption of the object that is at least as strong.
pub(crate) fn merge(
    mut object: BTreeMap<String, String>,
    gateway: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let keeps_encryption = object.contains_key(ENCRYPTION_HEADER) && is_as_strong(&object, gateway);
    let kept =
        |name: &str| keeps_encryption && (name == ENCRYPTION_HEADER || name == KMS_KEY_HEADER);
    if !keeps_encryption && gateway.contains_key(ENCRYPTION_HEADER) {
        object.remove(KMS_KEY_HEADER);
    }
    for (name, value) in gateway {
        if !kept(name) {
            object.insert(name.clone(), value.clone());
        }
    }
    object
}

/// Whether the encryption of the headers of an object is that of the gateway or a stronger one: KMS
/// instead of AES256, or a named key instead of that of the bucket.
fn is_as_strong(object: &BTreeMap<String, String>, gateway: &BTreeMap<String, String>) -> bool {
    let encryption = |headers: &'_ BTreeMap<String, String>| {
        let value = |name: &str| headers.get(name).cloned();
        (value(ENCRYPTION_HEADER), value(KMS_KEY_HEADER))
    };
    let (own, required) = (encryption(object), encryption(gateway));
    match required {
        (None, None) => true,
        (Some(algorithm), None) if algorithm == "AES256" => true,
        (Some(algorithm), None) if algorithm == KMS => own.0.as_deref() == Some(KMS),
        required => own == required,
    }
}

/// An attribute that the gateway sets to another value for every object, with the reason.
pub(crate) fn conflict(
    attributes: &Attributes,
    gateway: &BTreeMap<String, String>,
) -> Option<(Attribute, &'static str)> {
    let own = headers(attributes);
    let attribute = attributes.given().find(|attribute| {
        let name = header_name(*attribute);
        match attribute {
            Attribute::Sse => !is_as_strong(&own, gateway),
            _ => gateway
                .get(name)
                .is_some_and(|set| own.get(name) != Some(set)),
        }
    })?;
    let reason = match attribute {
        Attribute::Sse => "the operator has chosen another encryption",
        _ => "the operator has chosen it for every object",
    };
    Some((attribute, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sse(text: &str) -> Attributes {
        Attributes {
            sse: Some(text.to_owned()),
            ..Attributes::NONE
        }
    }

    #[test]
    fn attributes_become_headers() {
        let attributes = Attributes {
            cache_control: Some("max-age=60".into()),
            content_disposition: Some("inline".into()),
            content_encoding: Some("gzip".into()),
            acl: Some("public-read".into()),
            content_language: Some("de".into()),
            expires: Some("Thu, 31 Jan 2030 12:00:00 GMT".into()),
            sse: Some("aws:kms:k-1".into()),
            storage_class: Some("STANDARD_IA".into()),
            tags: [
                ("a b".to_owned(), "x/y+z@".to_owned()),
                ("\u{e9}".to_owned(), String::new()),
            ]
            .into(),
        };
        let expected = [
            ("cache-control", "max-age=60"),
            ("content-disposition", "inline"),
            ("content-encoding", "gzip"),
            ("content-language", "de"),
            ("expires", "Thu, 31 Jan 2030 12:00:00 GMT"),
            ("x-amz-acl", "public-read"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "k-1"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-tagging", "a%20b=x%2Fy%2Bz%40&%C3%A9="),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers(&attributes), expected.into());
        assert!(headers(&Attributes::NONE).is_empty());
    }

    #[test]
    fn encryption_of_the_gateway_is_never_weakened() {
        for (gateway, own, merged) in [
            (None, Some("AES256"), Some("AES256")),
            (None, Some("aws:kms:k"), Some("aws:kms:k")),
            (None, None, None),
            (Some("AES256"), None, Some("AES256")),
            (Some("AES256"), Some("aws:kms"), Some("aws:kms")),
            (Some("AES256"), Some("aws:kms:k"), Some("aws:kms:k")),
            (Some("aws:kms"), Some("aws:kms:k"), Some("aws:kms:k")),
            (Some("aws:kms:k"), Some("aws:kms:k"), Some("aws:kms:k")),
            // Conflicts.
            (Some("aws:kms"), Some("AES256"), Some("aws:kms")),
            (Some("aws:kms:k"), Some("AES256"), Some("aws:kms:k")),
            (Some("aws:kms:k"), Some("aws:kms"), Some("aws:kms:k")),
            (Some("aws:kms:k"), Some("aws:kms:l"), Some("aws:kms:k")),
        ] {
            let of = |text: Option<&str>| headers(&text.map_or(Attributes::NONE, sse));
            let found = merge(of(own), &of(gateway));
            assert_eq!(found, of(merged), "{gateway:?} {own:?}");
            let conflict = own.and_then(|own| conflict(&sse(own), &of(gateway)));
            let is_conflict = own.is_some() && merged != own;
            assert_eq!(conflict.is_some(), is_conflict, "{gateway:?} {own:?}");
        }
    }

    #[test]
    fn headers_of_the_gateway_win_and_conflicts_are_named() {
        let gateway = BTreeMap::from([("cache-control".to_owned(), "no-store".to_owned())]);
        let with = |value: &str| Attributes {
            cache_control: Some(value.to_owned()),
            storage_class: Some("COLD".into()),
            ..Attributes::NONE
        };
        assert_eq!(conflict(&with("no-store"), &gateway), None);
        let (attribute, _) = conflict(&with("public"), &gateway).unwrap();
        assert_eq!(attribute, Attribute::CacheControl);
        let merged = merge(headers(&with("public")), &gateway);
        assert_eq!(merged["cache-control"], "no-store");
        assert_eq!(merged["x-amz-storage-class"], "COLD");
    }
}
