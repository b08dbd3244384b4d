//! Answers of every shape, and what they may never be taken for.

use proptest::collection::vec;
use proptest::prelude::*;
use reqwest::header::{HeaderName, HeaderValue};

use super::*;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    });
    Answer {
        status,
        headers: headers.collect(),
        body: body.into(),
    }
}

fn s3(status: u16, code: &str, message: &str) -> Answer {
    let error =
        format!("<Error><Code>{code}</Code><Message>{message}</Message><Resource/></Error>");
    answer(status, &[], &format!("<?xml version=\"1.0\"?>\n{error}"))
}

fn kind(status: u16, code: &str, message: &str) -> Kind {
    of_store(&s3(status, code, message), false).kind()
}

fn part(answer: &Answer) -> Result<PutOutcome, Kind> {
    of_part(answer, &Sha256::of(b"part"), None, false).map_err(|error| error.kind())
}

#[test]
fn a_stores_errors_are_told_apart_by_code_not_status() {
    for (status, code, message, expected) in [
        (400, "BadDigest", "", Kind::Corrupt),
        (400, "XAmzContentSHA256Mismatch", "", Kind::Corrupt),
        (400, "RequestTimeout", "", Kind::Temporary),
        (400, "IncompleteBody", "", Kind::Temporary),
        (409, "ConditionalRequestConflict", "", Kind::Temporary),
        (403, "AccessDenied", "Request has expired", Kind::UrlExpired),
        (400, "ExpiredToken", "", Kind::UrlExpired),
        (403, "AccessDenied", "Access Denied", Kind::Unauthorized),
        (403, "SignatureDoesNotMatch", "", Kind::Unauthorized),
        (403, "RequestTimeTooSkewed", "", Kind::ClockSkew),
        (
            403,
            "AccessDenied",
            "Request is not yet valid",
            Kind::ClockSkew,
        ),
        (404, "NoSuchUpload", "", Kind::Gone),
        (404, "NoSuchKey", "", Kind::Gone),
        (404, "NoSuchBucket", "", Kind::Config),
        (405, "MethodNotAllowed", "", Kind::Config),
        (503, "SlowDown", "", Kind::Throttled(None)),
        (500, "InternalError", "", Kind::Temporary),
        (501, "NotImplemented", "", Kind::Incompatible),
        (411, "MissingContentLength", "", Kind::Incompatible),
        (400, "EntityTooLarge", "", Kind::Incompatible),
        (301, "PermanentRedirect", "", Kind::WrongEndpoint),
        (307, "TemporaryRedirect", "", Kind::WrongEndpoint),
        // Behind a success, as after it.
        (200, "InternalError", "", Kind::Temporary),
        (200, "SlowDown", "", Kind::Throttled(None)),
        (200, "AccessDenied", "Access Denied", Kind::Unauthorized),
    ] {
        assert_eq!(
            kind(status, code, message),
            expected,
            "{status} {code} {message}"
        );
    }
    assert_eq!(
        of_store(&s3(400, "InvalidRequest", ""), true).kind(),
        Kind::UrlExpired
    );
}

#[test]
fn what_answers_in_the_stores_place_is_told_apart_from_it() {
    let page = "<!DOCTYPE html><title>Welcome</title>";
    for (status, expected) in [
        (200, Kind::UnexpectedServer),
        (302, Kind::UnexpectedServer),
        (404, Kind::UnexpectedServer),
        (407, Kind::Unauthorized),
        (413, Kind::Incompatible),
        (502, Kind::Temporary),
        (503, Kind::Throttled(None)),
        (511, Kind::UnexpectedServer),
    ] {
        assert_eq!(
            part(&answer(status, &[("etag", "\"e\"")], page)),
            Err(expected),
            "{status}"
        );
    }
    assert_eq!(
        part(&answer(302, &[("location", "https://login.example")], "")),
        Err(Kind::UnexpectedServer)
    );
    assert_eq!(
        part(&answer(404, &[], "not found")),
        Err(Kind::Incompatible)
    );
}

#[test]
fn a_part_is_stored_by_all_marks_of_success_and_no_fewer() {
    let ours = Sha256::of(b"part").base64();
    let stored = |etag: &str| Ok(PutOutcome::Stored(etag.parse().unwrap()));
    for tag in ["\"abc\"", "abc", "W/\"abc\""] {
        assert_eq!(
            part(&answer(200, &[("etag", tag)], "")),
            stored("abc"),
            "{tag}"
        );
    }
    assert_eq!(
        part(&answer(
            200,
            &[("etag", "abc"), ("x-amz-checksum-sha256", &ours)],
            "\n"
        )),
        stored("abc")
    );
    assert_eq!(
        part(&answer(200, &[("etag", "abc"), ("etag", "\"abc\"")], "")),
        stored("abc")
    );
    for tags in [
        &[][..],
        &[("etag", "")],
        &[("etag", "\"\"")],
        &[("etag", "a"), ("etag", "b")],
    ] {
        assert_eq!(
            part(&answer(200, tags, "")),
            Err(Kind::MissingEtag),
            "{tags:?}"
        );
    }
    let other = Sha256::of(b"trap").base64();
    assert_eq!(
        part(&answer(
            200,
            &[("etag", "abc"), ("x-amz-checksum-sha256", &other)],
            ""
        )),
        Err(Kind::Corrupt)
    );
    assert_eq!(
        part(&answer(200, &[("etag", "abc")], "{}")),
        Err(Kind::UnexpectedServer)
    );
    let namespaced = "<Error xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Code>InternalError</Code></Error>";
    assert_eq!(
        part(&answer(200, &[("etag", "abc")], namespaced)),
        Err(Kind::Temporary)
    );
}

#[test]
fn what_no_gateway_would_say_is_not_taken_for_one() {
    let is = |answer: &Answer| of_gateway(answer).kind();
    let html = [("content-type", "text/html; charset=utf-8")];
    assert_eq!(is(&answer(404, &[], "nothing here")), Kind::Incompatible);
    assert_eq!(
        is(&answer(404, &html, "nothing here")),
        Kind::UnexpectedServer
    );
    assert_eq!(is(&answer(302, &[], "")), Kind::UnexpectedServer);
    assert_eq!(is(&answer(511, &[], "")), Kind::UnexpectedServer);
    assert_eq!(is(&answer(502, &html, "")), Kind::Temporary);
    assert_eq!(is(&answer(407, &html, "")), Kind::Unauthorized);
    // Another server's problem is not our gateway's.
    let problem = r#"{"code":"not_found","title":"no such upload","status":404}"#;
    assert_eq!(is(&answer(404, &[], problem)), Kind::Incompatible);
    assert_eq!(
        is(&answer(404, &[(PROTOCOL_HEADER, "1")], problem)),
        Kind::NotFound
    );
}

#[test]
fn every_code_of_the_table_has_a_kind() {
    for code in Code::ALL {
        let problem = Problem {
            code: code.to_string(),
            title: code.title().into(),
            status: code.status(),
            detail: None,
        };
        let kind = of_problem(code.status(), &problem, None).kind();
        assert!(!matches!(kind, Kind::Incompatible), "{code}: {kind:?}");
    }
    let newer = Problem {
        code: "too_old".into(),
        title: "update".into(),
        status: 426,
        detail: None,
    };
    assert_eq!(of_problem(426, &newer, None).kind(), Kind::Incompatible);
}

#[test]
fn patience_is_asked_for_in_seconds_milliseconds_or_by_a_date() {
    let asked = |headers: &[(&str, &str)]| answer(503, headers, "").retry_after();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let now = ("date", "Sat, 21 Nov 2026 10:00:00 GMT");
    assert_eq!(asked(&[("retry-after", "2")]), seconds(2));
    assert_eq!(asked(&[("retry-after", "99999")]), seconds(99_999));
    assert_eq!(
        asked(&[("x-amz-retry-after", "1500")]),
        Some(Duration::from_millis(1500))
    );
    assert_eq!(
        asked(&[("retry-after", "Sat, 21 Nov 2026 10:00:07 GMT"), now]),
        seconds(7)
    );
    assert_eq!(
        asked(&[("retry-after", "Sat, 21 Nov 2026 09:00:00 GMT"), now]),
        seconds(0)
    );
    assert_eq!(
        asked(&[("retry-after", "Sat, 21 Nov 2026 10:00:07 GMT")]),
        None
    );
    for junk in ["-1", "soon", "", "1e9", "99999999999999999999999"] {
        assert_eq!(asked(&[("retry-after", junk), now]), None, "{junk:?}");
    }
}

/// Statuses, and more often those that mean something.
fn status() -> impl Strategy<Value = u16> {
    let known = vec![
        200, 201, 202, 204, 206, 301, 302, 307, 400, 401, 403, 404, 407, 412, 413, 429, 500, 502,
        503, 511,
    ];
    prop_oneof![proptest::sample::select(known), 200..600_u16]
}

fn header() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
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

fn body() -> impl Strategy<Value = Vec<u8>> {
    let known = vec![
        "",
        "\n",
        "<html>",
        "<Error><Code>InternalError</Code></Error>",
        "<Error>",
        "{}",
        "\u{feff}<HTML>",
    ];
    prop_oneof![
        proptest::sample::select(known).prop_map(|body| body.as_bytes().to_vec()),
        vec(any::<u8>(), 0..200),
        "<Error><Code>[A-Za-z]{0,20}</Code><Message>.{0,20}</Message>(</Error>)?"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn garbage_never_means_success(
        status in status(), headers in vec(header(), 0..5), body in body(), stale in any::<bool>()
    ) {
        let answer = Answer { status, headers: headers.into_iter().collect(), body };
        let ours = Sha256::of(b"part");
        if let Ok(PutOutcome::Stored(etag)) = of_part(&answer, &ours, None, stale) {
            prop_assert!([200, 201, 204].contains(&status));
            prop_assert!(answer.body.trim_ascii().is_empty());
            for tag in answer.headers.get_all("etag") {
                let tag = ETag::from_header(tag.to_str().unwrap());
                prop_assert_eq!(tag.as_ref(), Ok(&etag));
            }
            prop_assert!(answer.headers.contains_key("etag"));
            prop_assert!(answer.headers.get_all("x-amz-checksum-sha256").iter().all(|sum| *sum == ours.base64()));
        }
        // Whatever it is, it is told without what came over the wire, but for codes and titles.
        for error in [of_store(&answer, stale), of_gateway(&answer)] {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
    }
}

#[test]
fn a_quota_is_waited_for_where_the_gateway_says_that_it_helps() {
    let refused = |headers: &[(&str, &str)]| {
        let problem = r#"{"code":"quota_exceeded","title":"the quota is used up","status":429,"detail":"at most 10 bytes"}"#;
        of_gateway(&answer(
            429,
            &[&[(PROTOCOL_HEADER, "1")], headers].concat(),
            problem,
        ))
    };
    assert_eq!(
        refused(&[("retry-after", "10")]).kind(),
        Kind::Throttled(Some(Duration::from_secs(10)))
    );
    let error = refused(&[]);
    assert_eq!(
        (error.kind(), error.kind().exit_code()),
        (Kind::NotAcceptable, 77)
    );
    assert!(error.to_string().contains("at most 10 bytes"));
}

#[test]
fn an_etag_that_looks_like_an_md5_is_held_to_be_it_where_there_is_one() {
    let ours: Md5 = "kAFQmDzST7DWlj99KOF/cg==".parse().unwrap();
    let of = |etag: &str, more: &[(&str, &str)]| {
        let answer = answer(200, &[&[("etag", etag)], more].concat(), "");
        of_part(&answer, &Sha256::of(b"abc"), Some(&ours), false).map_err(|error| error.kind())
    };
    let other = "\"00000000000000000000000000000000\"";
    assert!(of("\"900150983cd24fb0d6963f7d28e17f72\"", &[]).is_ok());
    assert!(
        of(
            "\"900150983CD24FB0D6963F7D28E17F72\"",
            &[("x-amz-server-side-encryption", "AES256")]
        )
        .is_ok()
    );
    assert_eq!(of(other, &[]), Err(Kind::Corrupt));
    assert_eq!(
        of(other, &[("x-amz-server-side-encryption", "AES256")]),
        Err(Kind::Corrupt)
    );
    for own in [
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-customer-algorithm",
    ] {
        assert!(of(other, &[(own, "aws:kms")]).is_ok(), "{own}");
    }
    assert!(of("\"opaque\"", &[]).is_ok());
}
