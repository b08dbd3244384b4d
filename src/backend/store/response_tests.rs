//! Responses of stores, and of other servers that respond instead.

use reqwest::header::{HeaderName, HeaderValue};

use super::response::{PutOutcome, UrlLifetime, put_outcome, store_error};
use crate::backend::response::Response;
use upload_types::error::Kind;
use upload_types::{Md5, Sha256};

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

fn s3_error(status: u16, code: &str, message: &str) -> Response {
    let error =
        format!("<Error><Code>{code}</Code><Message>{message}</Message><Resource/></Error>");
    response(status, &[], &format!("<?xml version=\"1.0\"?>\n{error}"))
}

fn outcome(response: &Response) -> Result<PutOutcome, Kind> {
    put_outcome(response, &Sha256::of(b"part"), None, UrlLifetime::Valid)
        .map_err(|error| error.kind())
}

#[test]
fn code_of_an_error_decides_before_its_status() {
    for (status, code, message, kind) in [
        (400, "BadDigest", "", Kind::Corrupt),
        (400, "XAmzContentSHA256Mismatch", "", Kind::Corrupt),
        (400, "RequestTimeout", "", Kind::Temporary),
        (400, "IncompleteBody", "", Kind::Temporary),
        (409, "ConditionalRequestConflict", "", Kind::Temporary),
        (403, "AccessDenied", "Request has expired", Kind::UrlExpired),
        (400, "ExpiredToken", "", Kind::CredentialsRejected),
        (403, "InvalidAccessKeyId", "", Kind::CredentialsRejected),
        (
            400,
            "InvalidRequest",
            "The provided token has expired",
            Kind::CredentialsRejected,
        ),
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
        // An error with a success status.
        (200, "InternalError", "", Kind::Temporary),
        (200, "SlowDown", "", Kind::Throttled(None)),
        (200, "AccessDenied", "Access Denied", Kind::Unauthorized),
    ] {
        let error = store_error(&s3_error(status, code, message), UrlLifetime::Valid);
        assert_eq!(error.kind(), kind, "{status} {code} {message}");
        // An error that a retry may solve needs no hint: the engine adds it.
        let is_repeated = matches!(
            kind,
            Kind::Temporary | Kind::Throttled(_) | Kind::UrlExpired
        );
        assert!(is_repeated || error.hint().is_some(), "{error:?}");
    }
    let rejected_late = store_error(&s3_error(400, "InvalidRequest", ""), UrlLifetime::Expired);
    assert_eq!(rejected_late.kind(), Kind::UrlExpired);
}

#[test]
fn response_of_another_server_is_not_that_of_a_store() {
    let page = "<!DOCTYPE html><title>Welcome</title>";
    for (status, kind) in [
        (200, Kind::UnexpectedServer),
        (302, Kind::UnexpectedServer),
        (404, Kind::UnexpectedServer),
        (407, Kind::Unauthorized),
        (401, Kind::Incompatible),
        (403, Kind::Incompatible),
        (413, Kind::Incompatible),
        (502, Kind::Temporary),
        (503, Kind::Throttled(None)),
        (511, Kind::UnexpectedServer),
    ] {
        let response = response(status, &[("etag", "\"e\"")], page);
        assert_eq!(outcome(&response), Err(kind), "{status}");
    }
    let redirect = response(302, &[("location", "https://login.example")], "");
    assert_eq!(outcome(&redirect), Err(Kind::UnexpectedServer));
    let plain_text = response(404, &[], "not found");
    assert_eq!(outcome(&plain_text), Err(Kind::Incompatible));
}

#[test]
fn part_is_stored_only_with_every_sign_of_success() {
    let stored = |etag: &str| Ok(PutOutcome::Stored(etag.parse().unwrap()));
    for etag in ["\"abc\"", "abc", "W/\"abc\""] {
        let response = response(200, &[("etag", etag)], "");
        assert_eq!(outcome(&response), stored("abc"), "{etag}");
    }
    let checksum = Sha256::of(b"part").base64();
    let with_checksum = [("etag", "abc"), ("x-amz-checksum-sha256", &checksum)];
    assert_eq!(outcome(&response(200, &with_checksum, "\n")), stored("abc"));
    let same_etag_twice = [("etag", "abc"), ("etag", "\"abc\"")];
    assert_eq!(outcome(&response(200, &same_etag_twice, "")), stored("abc"));

    for etags in [
        &[][..],
        &[("etag", "")],
        &[("etag", "\"\"")],
        &[("etag", "a"), ("etag", "b")],
    ] {
        let response = response(200, etags, "");
        assert_eq!(outcome(&response), Err(Kind::MissingEtag), "{etags:?}");
    }
    let checksum = Sha256::of(b"trap").base64();
    let other_checksum = [("etag", "abc"), ("x-amz-checksum-sha256", &checksum)];
    assert_eq!(
        outcome(&response(200, &other_checksum, "")),
        Err(Kind::Corrupt)
    );
    let etag = [("etag", "abc")];
    assert_eq!(
        outcome(&response(200, &etag, "{}")),
        Err(Kind::UnexpectedServer)
    );
    let error = "<Error xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Code>InternalError</Code></Error>";
    assert_eq!(outcome(&response(200, &etag, error)), Err(Kind::Temporary));
}

#[test]
fn etag_in_the_form_of_an_md5_must_be_that_of_the_part() {
    let md5: Md5 = "kAFQmDzST7DWlj99KOF/cg==".parse().unwrap();
    let outcome = |etag: &str, headers: &[(&str, &str)]| {
        let headers = [&[("etag", etag)], headers].concat();
        let response = response(200, &headers, "");
        let sha256 = Sha256::of(b"abc");
        put_outcome(&response, &sha256, Some(&md5), UrlLifetime::Valid)
            .map_err(|error| error.kind())
    };
    let sse = "x-amz-server-side-encryption";
    let customer_key = "x-amz-server-side-encryption-customer-algorithm";
    assert!(outcome("\"900150983cd24fb0d6963f7d28e17f72\"", &[]).is_ok());
    let upper_case = "\"900150983CD24FB0D6963F7D28E17F72\"";
    assert!(outcome(upper_case, &[(sse, "AES256")]).is_ok());
    let other = "\"00000000000000000000000000000000\"";
    assert_eq!(outcome(other, &[]), Err(Kind::Corrupt));
    assert_eq!(outcome(other, &[(sse, "AES256")]), Err(Kind::Corrupt));
    assert!(outcome(other, &[(sse, "aws:kms")]).is_ok());
    assert!(outcome(other, &[(customer_key, "aws:kms")]).is_ok());
    assert!(outcome("\"opaque\"", &[]).is_ok());
}
