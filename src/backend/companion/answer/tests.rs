//! Answers of Companions 4.15, 5.8 and 6.2 as they were seen on the wire, and some that none should ever give.
//!
//! Border: pure; what is done about them is tested with a true Companion (`tests/behaviour/companion.rs`).

use proptest::collection::vec;
use proptest::prelude::*;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

fn page(status: u16) -> Answer {
    let headers =
        HeaderMap::from_iter([(CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap())]);
    Answer {
        status,
        headers,
        body: b"<!DOCTYPE html>\n<html><pre>Error</pre></html>".into(),
    }
}

fn memo() -> Memo {
    Memo {
        key: "k".parse().unwrap(),
        upload_id: "u".into(),
        name: "n".into(),
        content_type: "t/t".into(),
        size: 11,
        part_size: 5,
        started: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[track_caller]
fn is(answer: &Answer, kind: Kind, explained: bool) {
    let refusal = refusal(answer);
    assert_eq!(
        (refusal.error.kind(), refusal.explained),
        (kind, explained),
        "{answer:?}"
    );
}

/// As AWS's library throws it and Companion passes it on.
fn thrown(status: u16, code: &str) -> Answer {
    answer(
        500,
        &format!(
            r#"{{"message":"m","error":{{"$fault":"client","$metadata":{{"httpStatusCode":{status}}},"name":"{code}","Code":"{code}"}}}}"#
        ),
    )
}

#[test]
fn what_the_store_said_counts_where_it_is_told() {
    for (status, code, kind) in [
        (404, "NoSuchUpload", Kind::Gone),
        (400, "InvalidPart", Kind::PartsMismatch),
        (400, "InvalidPartOrder", Kind::PartsMismatch),
        (400, "EntityTooSmall", Kind::NotAcceptable),
        (403, "AccessDenied", Kind::Unauthorized),
        (404, "NoSuchBucket", Kind::Config),
        (503, "SlowDown", Kind::Throttled(None)),
        (500, "InternalError", Kind::Temporary),
        (404, "Whatever", Kind::Gone),
    ] {
        is(&thrown(status, code), kind, true);
    }
    is(
        &answer(404, r#"{"error":"no such upload","code":"NoSuchUpload"}"#),
        Kind::Gone,
        true,
    );
}

#[test]
fn a_failure_without_a_reason_has_none() {
    for body in [
        r#"{"message":"Something went wrong"}"#,
        r#"{"message":"Something went wrong","requestId":"4d3f"}"#,
        r#"{"message":"connect ECONNREFUSED","error":{"code":"ECONNREFUSED","name":"Error","$metadata":{"attempts":3}}}"#,
        "",
        "[]",
        "{",
    ] {
        is(&answer(500, body), Kind::Temporary, false);
    }
    is(&page(500), Kind::Temporary, false);
}

#[test]
fn who_is_not_let_in_or_not_there_is_told_apart() {
    is(&answer(401, ""), Kind::Unauthorized, true);
    is(&page(403), Kind::Unauthorized, true);
    assert!(
        refusal(&answer(403, ""))
            .error
            .hint()
            .unwrap()
            .contains("--header")
    );
    is(
        &answer(404, r#"{"message":"Not Found"}"#),
        Kind::Incompatible,
        true,
    );
    is(
        &answer(
            400,
            r#"{"error":"This Companion server does not support uploading to S3"}"#,
        ),
        Kind::Incompatible,
        true,
    );
    is(
        &answer(400, r#"{"error":"s3: content type must be a string"}"#),
        Kind::NotAcceptable,
        true,
    );
    is(&answer(302, ""), Kind::UnexpectedServer, true);
    is(&page(200), Kind::UnexpectedServer, true);
    is(&answer(429, ""), Kind::Throttled(None), true);
    is(&answer(503, ""), Kind::Temporary, true);
    let named = Answer {
        headers: [("x-request-id".parse().unwrap(), "r-1".parse().unwrap())]
            .into_iter()
            .collect(),
        ..answer(500, "")
    };
    assert!(refusal(&named).error.to_string().contains("request r-1"));
}

#[test]
fn a_companion_is_known_by_how_it_refuses() {
    assert!(
        greets(&answer(
            400,
            r#"{"error":"s3: the part number must be a number between 1 and 10000."}"#
        ))
        .is_ok()
    );
    assert!(
        greets(&answer(
            404,
            r#"{"error":"no such upload","message":"no such upload","code":"not_found"}"#
        ))
        .is_ok()
    );
    for (stranger, kind) in [
        (
            answer(404, r#"{"message":"Not Found"}"#),
            Kind::Incompatible,
        ),
        (page(404), Kind::Incompatible),
        (
            answer(
                404,
                r#"{"code":"not_found","title":"no such upload","status":404}"#,
            ),
            Kind::Incompatible,
        ),
        (page(200), Kind::UnexpectedServer),
        (page(400), Kind::UnexpectedServer),
        (
            answer(401, r#"{"error":"who are you?"}"#),
            Kind::Unauthorized,
        ),
        (
            answer(
                400,
                r#"{"error":"This Companion server does not support uploading to S3"}"#,
            ),
            Kind::Incompatible,
        ),
        (page(403), Kind::Unauthorized),
        (page(502), Kind::Temporary),
    ] {
        assert_eq!(greets(&stranger).unwrap_err().kind(), kind, "{stranger:?}");
    }
}

#[test]
fn garbage_is_never_a_success() {
    let numbers = [PartNumber::FIRST];
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
        let answer = answer(200, body);
        assert!(created(&answer).is_err(), "{body}");
        assert!(signature(&answer).is_err(), "{body}");
        assert!(matches!(signatures(&answer, &numbers), Ok(None)), "{body}");
        assert!(parts(&answer, &memo()).is_err() || body == "[]", "{body}");
        assert!(completed(&answer, &memo(), None).is_err(), "{body}");
        assert!(
            aborted(&answer).is_err()
                || matches!(body, "" | "{}" | r#"{"url":1}"# | r#"{"key":""}"#),
            "{body}"
        );
    }
    for id in ["", ".", "..", "a\\u0000b"] {
        assert!(
            created(&answer(200, &format!(r#"{{"key":"k","uploadId":"{id}"}}"#))).is_err(),
            "{id}"
        );
    }
    for url in ["x", "https://s/k?X-Amz-Expires=0"] {
        assert!(
            signature(&answer(200, &format!(r#"{{"url":"{url}"}}"#))).is_err(),
            "{url}"
        );
    }
    assert!(
        completed(
            &answer(200, r#"{"location":"https://s/k","key":"other"}"#),
            &memo(),
            None
        )
        .is_err()
    );
    assert!(
        completed(
            &answer(200, r#"{"location":"https://s/k","error":{}}"#),
            &memo(),
            None
        )
        .is_err()
    );
}

#[test]
fn a_url_lives_as_long_as_the_first_that_says_so() {
    let life = |body: &str| signature(&answer(200, body)).unwrap().expires_in;
    assert_eq!(
        life(r#"{"url":"https://s/k?X-Amz-Expires=800&partNumber=1","expires":300}"#),
        300
    );
    assert_eq!(
        life(r#"{"url":"https://s/k?X-Amz-Expires=60","expires":800.5}"#),
        60
    );
    assert_eq!(life(r#"{"url":"https://s/k"}"#), URL_LIFE);
    let batch = answer(
        200,
        r#"{"presignedUrls":{"1":"https://s/k?X-Amz-Expires=800"}}"#,
    );
    let one = [PartNumber::FIRST];
    assert_eq!(
        signatures(&batch, &one).unwrap().unwrap()[0].1.expires_in,
        800
    );
    let two = [PartNumber::FIRST, 2.try_into().unwrap()];
    assert!(
        signatures(&batch, &two).unwrap().is_none(),
        "one of them is missing"
    );
    assert!(signatures(&answer(404, ""), &one).unwrap().is_none());
    assert!(signatures(&answer(401, ""), &one).is_err());
}

#[test]
fn lists_are_read_as_every_version_writes_them() {
    let body = r#"[{"PartNumber":"3","ETag":"bare"},{"PartNumber":1,"LastModified":"x","ETag":"\"quoted\"","Size":5},
        {"PartNumber":0,"ETag":"a"},{"PartNumber":9,"ETag":"beyond the plan"},{"PartNumber":2,"ETag":"\"\""}]"#;
    let parts: Vec<(u32, u64, String)> = parts(&answer(200, body), &memo())
        .unwrap()
        .into_iter()
        .map(|part| (part.number.get(), part.size, part.etag.to_string()))
        .collect();
    assert_eq!(parts, [(1, 5, "quoted".into()), (3, 1, "bare".into())]);
}

#[test]
fn what_is_said_of_the_object_is_held_against_its_parts() {
    let composite: ETag = "e09e4fd6265b36115fe3db32df945d84-2".parse().unwrap();
    let said = |body: &str| completed(&answer(200, body), &memo(), Some(composite.clone()));
    let (location, etag) =
        said(r#"{"location":"http://b.s3.example/a b","key":"k","bucket":"b"}"#).unwrap();
    assert_eq!(
        (location.as_str(), &etag),
        ("http://b.s3.example/a%20b", &composite)
    );
    assert_eq!(said(r#"{"key":"k"}"#).unwrap().0, "k");
    for secret in [
        "https://s/k?X-Amz-Signature=1",
        "https://u:p@s/k",
        "javascript:1",
        "s",
    ] {
        assert_eq!(
            said(&format!(r#"{{"location":"{secret}"}}"#)).unwrap().0,
            "k",
            "{secret}"
        );
    }
    let wrong = r#"{"location":"https://s/k","ETag":"\"00000000000000000000000000000000-2\""}"#;
    assert_eq!(said(wrong).unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(
        said(r#"{"location":"https://s/k","etag":"opaque"}"#)
            .unwrap()
            .1
            .as_str(),
        "opaque"
    );
}

const NAMES: &[&str] = &[
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

/// JSON of about the right shape, with values of any kind in it.
fn shaped() -> impl Strategy<Value = Vec<u8>> {
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
            vec((prop::sample::select(NAMES), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    });
    nested.prop_map(|value| value.to_string().into_bytes())
}

proptest! {
    #[test]
    fn no_bytes_do_harm(status in 0..600_u16, body in prop_oneof![vec(any::<u8>(), 0..200), shaped()]) {
        let answer = Answer { status, headers: HeaderMap::new(), body };
        let succeeded = [
            greets(&answer).is_ok() && !matches!(status, 200 | 400 | 404 | 422),
            created(&answer).is_ok(),
            signature(&answer).is_ok_and(|signed| signed.expires_in > 0),
            signatures(&answer, &[PartNumber::FIRST]).is_ok_and(|signed| signed.is_some()),
            parts(&answer, &memo()).is_ok(),
            completed(&answer, &memo(), None).is_ok(),
            aborted(&answer).is_ok() && !answer.body.trim_ascii().is_empty(),
        ];
        prop_assert!(answer.is_ok() || !succeeded.contains(&true), "{:?} of {:?}", succeeded, answer);
        prop_assert!(refusal(&answer).error.to_string().len() < 2000);
    }
}
