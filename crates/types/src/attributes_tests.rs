//! Tests of the forms of attributes.

use proptest::prelude::*;

use super::*;

fn form(attribute: Attribute, value: &str) -> Option<String> {
    check_value(attribute, value).ok()
}

#[test]
fn values_have_one_form() {
    use Attribute::{
        Acl, CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, Expires, Sse,
        StorageClass,
    };
    const DATE: &str = "Thu, 31 Jan 2030 12:00:00 GMT";
    for (attribute, value, expected) in [
        (CacheControl, "\tmax-age=60,  public ", "max-age=60, public"),
        (CacheControl, "private=\"a, b\"", "private=\"a, b\""),
        (ContentEncoding, "gzip,br", "gzip,br"),
        (ContentLanguage, "de-CH, en", "de-CH, en"),
        (ContentLanguage, "x-klingon", "x-klingon"),
        (ContentDisposition, "inline", "inline"),
        (
            ContentDisposition,
            "attachment;\tfilename=\"a \\\"b\\\"; c.pdf\"; filename*=UTF-8''%e2%82%ac",
            "attachment; filename=\"a \\\"b\\\"; c.pdf\"; filename*=UTF-8''%e2%82%ac",
        ),
        (Acl, " public-read", "public-read"),
        (Expires, DATE, DATE),
        (Expires, "2030-01-31T12:00:00Z", DATE),
        (Expires, "2030-01-31T13:00:00.5+01:00", DATE),
        (Expires, "31 Jan 2030 14:00:00 +0200", DATE),
        (Expires, "2030-01-31", "Thu, 31 Jan 2030 00:00:00 GMT"),
        (StorageClass, "STANDARD_IA", "STANDARD_IA"),
        (Sse, "AES256", "AES256"),
        (Sse, "aws:kms:alias/mine", "aws:kms:alias/mine"),
    ] {
        let found = form(attribute, value);
        assert_eq!(found.as_deref(), Some(expected), "{value}");
        assert_eq!(form(attribute, expected).as_deref(), Some(expected));
    }
}

#[test]
fn values_without_their_form_are_rejected() {
    for attribute in Attribute::ALL {
        for value in [
            "",
            " ",
            "a\r\nx-amz-acl: public-read",
            "a\nb",
            "a\0",
            "\u{e9}",
            "\u{7f}",
            "a\"",
            "a,,b",
            "\"",
        ] {
            assert_eq!(form(attribute, value), None, "{attribute}: {value:?}");
        }
    }
    for (attribute, value) in [
        (Attribute::Acl, "Private"),
        (Attribute::Acl, "log-delivery-write"),
        (Attribute::Expires, "0"),
        (Attribute::Expires, "tomorrow"),
        (Attribute::Expires, "2030-01-31T12:00:00"),
        (Attribute::Expires, "2030-02-30"),
        (Attribute::Expires, "-002030-01-31"),
        (Attribute::CacheControl, "max age"),
        (Attribute::CacheControl, "max-age="),
        (Attribute::CacheControl, "a=\"b\"c"),
        (Attribute::CacheControl, "=1"),
        (Attribute::ContentEncoding, "aws-chunked"),
        (Attribute::ContentEncoding, "gzip, AWS-Chunked"),
        (Attribute::ContentEncoding, "gzip;q=1"),
        (Attribute::ContentLanguage, "*"),
        (Attribute::ContentLanguage, "12"),
        (Attribute::ContentLanguage, "en_US"),
        (Attribute::ContentLanguage, "toolonglang"),
        (Attribute::ContentDisposition, "attachment; filename"),
        (Attribute::ContentDisposition, "attachment; filename=a b"),
        (
            Attribute::ContentDisposition,
            "attachment; filename=a; FileName=b",
        ),
        (
            Attribute::ContentDisposition,
            "attachment; filename=\"a  b\"",
        ),
        (
            Attribute::ContentDisposition,
            "attachment; filename=\"a\tb\"",
        ),
        (
            Attribute::ContentDisposition,
            "attachment; filename=\"a\\\"",
        ),
        (Attribute::ContentDisposition, "inline, attachment"),
        (Attribute::StorageClass, "A B"),
        (Attribute::Sse, "aes256"),
        (Attribute::Sse, "aws:kms:"),
        (Attribute::Sse, "aws:kms:a b"),
    ] {
        assert_eq!(form(attribute, value), None, "{attribute}: {value:?}");
    }
    let long = |len: usize| format!("max-age={}", "1".repeat(len - 8));
    assert!(form(Attribute::CacheControl, &long(MAX_VALUE_BYTES)).is_some());
    assert!(form(Attribute::CacheControl, &long(MAX_VALUE_BYTES + 1)).is_none());
}

#[test]
fn tags_have_the_limits_of_s3() {
    for (key, value) in [
        ("team", ""),
        ("Stra\u{df}e 1", "a+b-c=d.e_f:g/h@i"),
        (&*"k".repeat(128), &*"\u{5199}".repeat(256)),
    ] {
        assert_eq!(check_tag(key, value), Ok(()), "{key}");
    }
    for (key, value) in [
        ("", "v"),
        ("aws:a", "v"),
        ("AWS:a", "v"),
        ("a&b", "v"),
        ("k", "a\nb"),
        ("k", "a\0b"),
        ("k", "a,b"),
        (&*"k".repeat(129), "v"),
        ("k", &*"v".repeat(257)),
    ] {
        assert!(check_tag(key, value).is_err(), "{key:?} {value:?}");
    }
    let tags = |count: usize, value: &str| Attributes {
        tags: (0..count)
            .map(|number| (format!("{number:0128}"), value.to_owned()))
            .collect(),
        ..Attributes::NONE
    };
    let value = "v".repeat(256);
    assert!(tags(10, &value).checked().is_ok());
    let error = tags(11, "").checked().unwrap_err().to_string();
    assert_eq!(error, "an object has at most 10 tags");
    let error = tags(10, &"\u{e9}".repeat(256)).checked().unwrap_err();
    assert!(error.to_string().contains("4096 bytes"), "{error}");
}

#[test]
fn given_attributes_are_named() {
    let attributes = Attributes {
        tags: [("a".to_owned(), String::new())].into(),
        sse: Some("AES256".into()),
        ..Attributes::NONE
    };
    let given: Vec<Attribute> = attributes.given().collect();
    assert_eq!(given, [Attribute::Sse, Attribute::Tag]);
    assert!(!attributes.is_empty() && Attributes::default().is_empty());
    for attribute in Attribute::ALL {
        assert_eq!(Attribute::from_name(attribute.name()), Some(attribute));
    }
}

proptest! {
    #[test]
    fn accepted_values_can_be_signed(value in "[ -~\t\r\n\u{e9}]{0,40}|[a-z=\", ;\\\\]{0,20}") {
        for attribute in Attribute::ALL {
            if let Ok(value) = check_value(attribute, &value) {
                prop_assert!(value.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
                prop_assert!(!value.contains("  ") && value.trim() == value);
                prop_assert_eq!(check_value(attribute, &value), Ok(value));
            }
        }
    }
}
