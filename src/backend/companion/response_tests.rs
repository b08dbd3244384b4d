//! Recorded responses of Companions 4.15, 5.8 and 6.2, and responses that no Companion sends.
//!
//! Not here: the reaction of the client; `tests/behaviour/companion.rs` tests it with a real
//! Companion.

use proptest::collection::vec;
use proptest::prelude::*;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::response::{
    DEFAULT_URL_LIFETIME_SECS, check_companion, failure, parse_aborted, parse_completed,
    parse_created, parse_parts, parse_signature, parse_signatures,
};
use super::saved_upload::SavedUpload;
use crate::backend::response::Response;
use upload_types::error::Kind;
use upload_types::{ETag, PartNumber};

fn response(status: u16, body: &str) -> Response {
    Response {
        status,
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

fn html_page(status: u16) -> Response {
    let content_type = "text/html; charset=utf-8".parse().unwrap();
    Response {
        status,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, content_type)]),
        body: b"<!DOCTYPE html>\n<html><pre>Error</pre></html>".into(),
    }
}

/// An upload of 11 bytes with the key `k`, in parts of 5 bytes.
fn saved_upload() -> SavedUpload {
    SavedUpload {
        key: "k".parse().unwrap(),
        upload_id: "u".into(),
        name: "n".into(),
        content_type: "t/t".into(),
        size: 11,
        part_size: 5,
        started: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Given,
    Missing,
}

#[track_caller]
fn assert_failure(response: &Response, kind: Kind, reason: Reason) {
    let failure = failure(response);
    let is_explained = reason == Reason::Given;
    assert_eq!(failure.error.kind(), kind, "{response:?}");
    assert_eq!(failure.is_explained, is_explained, "{response:?}");
    // An error that a retry may solve needs no hint: the engine adds it.
    let is_repeated = matches!(
        kind,
        Kind::Temporary | Kind::Throttled(_) | Kind::PartsMismatch
    );
    assert!(
        is_repeated || failure.error.hint().is_some(),
        "{response:?}"
    );
}

/// An error of AWS's library that Companion forwards.
fn aws_error(status: u16, code: &str) -> Response {
    let metadata = format!(r#"{{"httpStatusCode":{status}}}"#);
    let error =
        format!(r#"{{"$fault":"client","$metadata":{metadata},"name":"{code}","Code":"{code}"}}"#);
    response(500, &format!(r#"{{"message":"m","error":{error}}}"#))
}

#[test]
fn forwarded_store_code_decides_the_kind() {
    for (status, code, kind) in [
        (404, "NoSuchUpload", Kind::Gone),
        (400, "InvalidPart", Kind::PartsMismatch),
        (400, "InvalidPartOrder", Kind::PartsMismatch),
        (400, "EntityTooSmall", Kind::NotAcceptable),
        (403, "AccessDenied", Kind::Unauthorized),
        (400, "ExpiredToken", Kind::CredentialsRejected),
        (404, "NoSuchBucket", Kind::Config),
        (503, "SlowDown", Kind::Throttled(None)),
        (500, "InternalError", Kind::Temporary),
        (404, "UnknownCode", Kind::Gone),
    ] {
        assert_failure(&aws_error(status, code), kind, Reason::Given);
    }
    let of_gateway = response(404, r#"{"error":"no such upload","code":"NoSuchUpload"}"#);
    assert_failure(&of_gateway, Kind::Gone, Reason::Given);
}

#[test]
fn failure_without_reason_is_unexplained() {
    for body in [
        r#"{"message":"Something went wrong"}"#,
        r#"{"message":"Something went wrong","requestId":"4d3f"}"#,
        r#"{"message":"connect ECONNREFUSED","error":{"code":"ECONNREFUSED","name":"Error","$metadata":{"attempts":3}}}"#,
        "",
        "[]",
        "{",
    ] {
        assert_failure(&response(500, body), Kind::Temporary, Reason::Missing);
    }
    assert_failure(&html_page(500), Kind::Temporary, Reason::Missing);
}

#[test]
fn status_decides_without_store_code() {
    let no_s3 = r#"{"error":"This Companion server does not support uploading to S3"}"#;
    let no_type = r#"{"error":"s3: content type must be a string"}"#;
    for (response, kind) in [
        (response(401, ""), Kind::Unauthorized),
        (html_page(403), Kind::Unauthorized),
        (
            response(404, r#"{"message":"Not Found"}"#),
            Kind::Incompatible,
        ),
        (response(400, no_s3), Kind::Incompatible),
        (response(400, no_type), Kind::NotAcceptable),
        (response(302, ""), Kind::UnexpectedServer),
        (html_page(200), Kind::UnexpectedServer),
        (response(429, ""), Kind::Throttled(None)),
        (response(503, ""), Kind::Temporary),
    ] {
        assert_failure(&response, kind, Reason::Given);
    }
    let error = failure(&response(403, "")).error;
    assert!(error.hint().unwrap().contains("--header"));
    let with_request_id = Response {
        headers: [("x-request-id".parse().unwrap(), "r-1".parse().unwrap())]
            .into_iter()
            .collect(),
        ..response(500, "")
    };
    let error = failure(&with_request_id).error;
    assert!(error.to_string().contains("request r-1"));
}

#[test]
fn companion_is_recognised_by_its_rejection_of_part_0() {
    let by_companion = r#"{"error":"s3: the part number must be a number between 1 and 10000."}"#;
    let by_gateway = r#"{"error":"no such upload","message":"no such upload","code":"not_found"}"#;
    for (status, body) in [(400, by_companion), (404, by_gateway)] {
        assert!(check_companion(&response(status, body)).is_ok(), "{body}");
    }
    let problem = r#"{"code":"not_found","title":"no such upload","status":404}"#;
    let no_s3 = r#"{"error":"This Companion server does not support uploading to S3"}"#;
    for (response, kind) in [
        (
            response(404, r#"{"message":"Not Found"}"#),
            Kind::Incompatible,
        ),
        (html_page(404), Kind::Incompatible),
        (response(404, problem), Kind::Incompatible),
        (html_page(200), Kind::UnexpectedServer),
        (html_page(400), Kind::UnexpectedServer),
        (
            response(401, r#"{"error":"not authenticated"}"#),
            Kind::Unauthorized,
        ),
        (response(400, no_s3), Kind::Incompatible),
        (html_page(403), Kind::Unauthorized),
        (html_page(502), Kind::Temporary),
    ] {
        let error = check_companion(&response).unwrap_err();
        assert_eq!(error.kind(), kind, "{response:?}");
    }
}

#[test]
fn garbage_is_no_success_of_a_companion() {
    let numbers = [PartNumber::FIRST];
    let upload = saved_upload();
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{",
        "[{}]",
        r#"{"error":"x"}"#,
        r#"{"url":1}"#,
        r#"{"key":""}"#,
    ] {
        let response = response(200, body);
        assert!(parse_created(&response).is_err(), "{body}");
        assert!(parse_signature(&response).is_err(), "{body}");
        let signatures = parse_signatures(&response, &numbers);
        assert!(matches!(signatures, Ok(None)), "{body}");
        assert!(
            parse_parts(&response, &upload).is_err() || body == "[]",
            "{body}"
        );
        assert!(parse_completed(&response, &upload, None).is_err(), "{body}");
        let is_aborted = matches!(body, "" | "{}" | r#"{"url":1}"# | r#"{"key":""}"#);
        assert!(parse_aborted(&response).is_err() || is_aborted, "{body}");
    }
    for id in ["", ".", "..", "a\\u0000b"] {
        let body = format!(r#"{{"key":"k","uploadId":"{id}"}}"#);
        assert!(parse_created(&response(200, &body)).is_err(), "{id}");
    }
    for url in ["x", "https://s/k?X-Amz-Expires=0"] {
        let body = format!(r#"{{"url":"{url}"}}"#);
        assert!(parse_signature(&response(200, &body)).is_err(), "{url}");
    }
    for body in [
        r#"{"location":"https://s/k","key":"other"}"#,
        r#"{"location":"https://s/k","error":{}}"#,
    ] {
        let completed = parse_completed(&response(200, body), &upload, None);
        assert!(completed.is_err(), "{body}");
    }
}

#[test]
fn shortest_stated_lifetime_of_a_url_counts() {
    let expires_in = |body: &str| parse_signature(&response(200, body)).unwrap().expires_in;
    let longer_in_url = r#"{"url":"https://s/k?X-Amz-Expires=800&partNumber=1","expires":300}"#;
    assert_eq!(expires_in(longer_in_url), 300);
    let shorter_in_url = r#"{"url":"https://s/k?X-Amz-Expires=60","expires":800.5}"#;
    assert_eq!(expires_in(shorter_in_url), 60);
    let unstated = r#"{"url":"https://s/k"}"#;
    assert_eq!(expires_in(unstated), DEFAULT_URL_LIFETIME_SECS);
    let batch = r#"{"presignedUrls":{"1":"https://s/k?X-Amz-Expires=800"}}"#;
    let one = [PartNumber::FIRST];
    let signatures = parse_signatures(&response(200, batch), &one).unwrap();
    assert_eq!(signatures.unwrap()[0].1.expires_in, 800);
}

#[test]
fn batch_without_route_or_with_missing_part_has_no_signatures() {
    let batch = r#"{"presignedUrls":{"1":"https://s/k?X-Amz-Expires=800"}}"#;
    let one = [PartNumber::FIRST];
    let two = [PartNumber::FIRST, 2.try_into().unwrap()];
    let missing_part = parse_signatures(&response(200, batch), &two);
    assert!(missing_part.unwrap().is_none());
    let no_route = parse_signatures(&response(404, ""), &one);
    assert!(no_route.unwrap().is_none());
    assert!(parse_signatures(&response(401, ""), &one).is_err());
}

#[test]
fn lists_of_every_version_are_read() {
    let body = r#"[{"PartNumber":"3","ETag":"bare"},{"PartNumber":1,"LastModified":"x","ETag":"\"quoted\"","Size":5},
        {"PartNumber":0,"ETag":"a"},{"PartNumber":9,"ETag":"beyond the plan"},{"PartNumber":2,"ETag":"\"\""}]"#;
    let parts = parse_parts(&response(200, body), &saved_upload()).unwrap();
    let parts: Vec<(u32, u64, String)> = parts
        .into_iter()
        .map(|part| (part.number.get(), part.size, part.etag.to_string()))
        .collect();
    assert_eq!(parts, [(1, 5, "quoted".into()), (3, 1, "bare".into())]);
}

#[test]
fn completed_object_is_compared_with_its_parts() {
    let composite: ETag = "e09e4fd6265b36115fe3db32df945d84-2".parse().unwrap();
    let completed = |body: &str| {
        parse_completed(
            &response(200, body),
            &saved_upload(),
            Some(composite.clone()),
        )
    };
    let object =
        completed(r#"{"location":"http://b.s3.example/a b","key":"k","bucket":"b"}"#).unwrap();
    assert_eq!(object.location, "http://b.s3.example/a%20b");
    assert_eq!(object.bucket.as_deref(), Some("b"));
    assert_eq!(object.etag, composite);
    let object = completed(r#"{"key":"k","bucket":7}"#).unwrap();
    assert_eq!((object.location.as_str(), object.bucket), ("k", None));
    for location in [
        "https://s/k?X-Amz-Signature=1",
        "https://u:p@s/k",
        "javascript:1",
        "s",
    ] {
        let body = format!(r#"{{"location":"{location}"}}"#);
        assert_eq!(completed(&body).unwrap().location, "k", "{location}");
    }
    let other_md5 = r#"{"location":"https://s/k","ETag":"\"00000000000000000000000000000000-2\""}"#;
    assert_eq!(completed(other_md5).unwrap_err().kind(), Kind::Corrupt);
    let no_md5 = r#"{"location":"https://s/k","etag":"opaque"}"#;
    assert_eq!(completed(no_md5).unwrap().etag.as_str(), "opaque");
}

const FIELDS: &[&str] = &[
    "url",
    "expires",
    "presignedUrls",
    "1",
    "key",
    "uploadId",
    "location",
    "ETag",
    "error",
    "code",
    "PartNumber",
    "Size",
];

/// JSON with the fields of a Companion's responses and random values.
fn any_json() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(Value::from(
            "https://s/k?X-Amz-Expires=99999999999999999999"
        )),
    ];
    let nested = leaf.prop_recursive(3, 30, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((prop::sample::select(FIELDS), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    });
    nested.prop_map(|value| value.to_string().into_bytes())
}

proptest! {
    #[test]
    fn success_needs_a_status_of_success(
        status in 0..600_u16,
        body in prop_oneof![vec(any::<u8>(), 0..200), any_json()],
    ) {
        let response = Response { status, headers: HeaderMap::new(), body };
        let upload = saved_upload();
        let is_recognised_status = matches!(status, 200 | 400 | 404 | 422);
        let succeeded = [
            check_companion(&response).is_ok() && !is_recognised_status,
            parse_created(&response).is_ok(),
            parse_signature(&response).is_ok_and(|signed| signed.expires_in > 0),
            parse_signatures(&response, &[PartNumber::FIRST]).is_ok_and(|signed| signed.is_some()),
            parse_parts(&response, &upload).is_ok(),
            parse_completed(&response, &upload, None).is_ok(),
            parse_aborted(&response).is_ok() && !response.body.trim_ascii().is_empty(),
        ];
        prop_assert!(
            response.is_success() || !succeeded.contains(&true),
            "{:?} of {:?}", succeeded, response
        );
        prop_assert!(failure(&response).error.to_string().len() < 2000);
    }
}
