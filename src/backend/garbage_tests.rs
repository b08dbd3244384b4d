//! Random responses: none counts as success, and no error shows control characters.

use proptest::collection::vec;
use proptest::prelude::*;
use reqwest::header::{HeaderName, HeaderValue};

use super::{PutOutcome, Response, UrlLifetime, gateway_error, put_outcome, store_error};
use upload_types::wire::PROTOCOL_HEADER;
use upload_types::{ETag, Sha256};

/// Any status, often one with a meaning.
fn any_status() -> impl Strategy<Value = u16> {
    let meaningful = vec![
        200, 201, 202, 204, 206, 301, 302, 307, 400, 401, 403, 404, 407, 412, 413, 429, 500, 502,
        503, 511,
    ];
    prop_oneof![proptest::sample::select(meaningful), 200..600_u16]
}

fn any_header() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let names = vec![
        "etag",
        "x-amz-checksum-sha256",
        "content-type",
        "retry-after",
        "date",
        PROTOCOL_HEADER,
        "x-amz-id-2",
    ];
    let values = prop_oneof![
        proptest::sample::select(vec![
            "\"abc\"",
            "W/\"abc\"",
            "\"\"",
            "text/html",
            "1",
            "99999999999999999999"
        ])
        .prop_map(|value| value.as_bytes().to_vec()),
        Just(Sha256::of(b"part").base64().into_bytes()),
        vec(prop_oneof![32..127_u8, 128..=255_u8], 0..40),
    ];
    (proptest::sample::select(names), values).prop_map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_bytes(&value).unwrap(),
        )
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let meaningful = vec![
        "",
        "\n",
        "<html>",
        "<Error><Code>InternalError</Code></Error>",
        "<Error>",
        "{}",
        "\u{feff}<HTML>",
    ];
    prop_oneof![
        proptest::sample::select(meaningful).prop_map(|body| body.as_bytes().to_vec()),
        vec(any::<u8>(), 0..200),
        "<Error><Code>[A-Za-z]{0,20}</Code><Message>.{0,20}</Message>(</Error>)?"
            .prop_map(String::into_bytes),
    ]
}

fn any_lifetime() -> impl Strategy<Value = UrlLifetime> {
    prop_oneof![Just(UrlLifetime::Valid), Just(UrlLifetime::Expired)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn garbage_is_never_success(
        status in any_status(),
        headers in vec(any_header(), 0..5),
        body in any_body(),
        lifetime in any_lifetime(),
    ) {
        let response = Response { status, headers: headers.into_iter().collect(), body };
        let sha256 = Sha256::of(b"part");
        if let Ok(PutOutcome::Stored(etag)) = put_outcome(&response, &sha256, None, lifetime) {
            prop_assert!([200, 201, 204].contains(&status));
            prop_assert!(response.body.trim_ascii().is_empty());
            for header in response.headers.get_all("etag") {
                let header = ETag::from_header(header.to_str().unwrap());
                prop_assert_eq!(header.as_ref(), Ok(&etag));
            }
            prop_assert!(response.headers.contains_key("etag"));
            let checksums = response.headers.get_all("x-amz-checksum-sha256");
            prop_assert!(checksums.iter().all(|checksum| *checksum == sha256.base64()));
        }
        for error in [store_error(&response, lifetime), gateway_error(&response)] {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
    }
}
