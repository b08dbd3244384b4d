//! Responses of gateways, and of other servers that respond instead.

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::response::{gateway_error, problem_error};
use crate::backend::response::Response;
use upload_types::error::{Error, Kind};
use upload_types::wire::{Code, PROTOCOL_HEADER, Problem};

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    });
    Response {
        status,
        headers: headers.collect(),
        body: body.into(),
    }
}

/// An error that a retry may solve needs no hint: the engine adds it.
#[track_caller]
fn assert_hint(error: &Error) {
    let is_repeated = matches!(
        error.kind(),
        Kind::Temporary | Kind::Throttled(_) | Kind::PartsMismatch
    );
    assert!(is_repeated || error.hint().is_some(), "{error:?}");
}

#[test]
fn response_of_another_server_is_not_that_of_a_gateway() {
    let html = ("content-type", "text/html; charset=utf-8");
    let problem = r#"{"code":"not_found","title":"no such upload","status":404}"#;
    for (status, headers, body, kind) in [
        (404, &[][..], "nothing here", Kind::Incompatible),
        (404, &[html], "nothing here", Kind::UnexpectedServer),
        (302, &[], "", Kind::UnexpectedServer),
        (511, &[], "", Kind::UnexpectedServer),
        (502, &[html], "", Kind::Temporary),
        (407, &[html], "", Kind::Unauthorized),
        // The problem of another server.
        (404, &[], problem, Kind::Incompatible),
        (404, &[(PROTOCOL_HEADER, "1")], problem, Kind::NotFound),
    ] {
        let error = gateway_error(&response(status, headers, body));
        assert_eq!(error.kind(), kind, "{status} {headers:?}");
        assert_hint(&error);
    }
}

#[test]
fn every_code_has_kind_and_hint() {
    for code in Code::ALL {
        let problem = Problem {
            code: code.to_string(),
            title: code.title().into(),
            status: code.status(),
            detail: None,
            existing: None,
        };
        let error = problem_error(code.status(), &problem, None);
        assert_ne!(error.kind(), Kind::Incompatible, "{code}");
        assert_hint(&error);
    }
    let of_newer_gateway = Problem {
        code: "too_old".into(),
        title: "update".into(),
        status: 426,
        detail: None,
        existing: None,
    };
    let error = problem_error(426, &of_newer_gateway, None);
    assert_eq!(error.kind(), Kind::Incompatible);
    assert_hint(&error);
}

#[test]
fn quota_is_throttled_only_with_retry_after() {
    let quota_error = |headers: &[(&str, &str)]| {
        let problem = r#"{"code":"quota_exceeded","title":"the quota is used up","status":429,"detail":"at most 10 bytes"}"#;
        let headers = [&[(PROTOCOL_HEADER, "1")], headers].concat();
        gateway_error(&response(429, &headers, problem))
    };
    assert_eq!(
        quota_error(&[("retry-after", "10")]).kind(),
        Kind::Throttled(Some(Duration::from_secs(10)))
    );
    let error = quota_error(&[]);
    assert_eq!(error.kind(), Kind::NotAcceptable);
    assert_eq!(error.kind().exit_code(), 77);
    assert!(error.to_string().contains("at most 10 bytes"));
}
