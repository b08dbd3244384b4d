//! Responses of the store to a part, and the failure kind that the client reports for each.
//!
//! Not here: responses that end a run (`permanent_failures`).

use crate::setup::{MANY_PARTS_SIZE, SIZES, Setup, first_put, for_each_case};
use crate::support::PART;
use crate::support::proxy::{Fault, Requests, Response};

/// For each size: the first PUT gets this response. Asserts one retry of `kind`.
#[track_caller]
fn assert_retried(fault: &Fault, kind: &str) {
    for_each_case(SIZES, |setup, size| {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put().nth(1), fault.clone());
        });
        assert_eq!(run.retry_kinds(), [kind], "{size}: {}", run.output);
        run.resends_little().makes_few_requests();
    });
}

/// Each fault at two small sizes, because a response does not depend on the number of bytes.
#[track_caller]
fn assert_all_retried(faults: impl IntoIterator<Item = Fault>, kind: &str) {
    let cases = faults
        .into_iter()
        .flat_map(|fault| [(1, fault.clone()), (PART + 1, fault)]);
    for_each_case(cases, |setup, (size, fault)| {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put().nth(1), fault.clone());
        });
        assert_eq!(run.retry_kinds(), [kind], "{size}: {}", run.output);
    });
}

#[test]
fn internal_errors_are_retried() {
    for_each_case(SIZES, |setup, size| {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put().first(3), Fault::s3(500, "InternalError"));
        });
        assert_eq!(
            run.retry_kinds(),
            ["temporary"; 3],
            "{size}: {}",
            run.output
        );
        run.resends_at_most(3 * PART);
    });
}

#[test]
fn error_pages_500_502_504_are_temporary() {
    assert_all_retried([500, 502, 504].map(Fault::html_page), "temporary");
}

#[test]
fn request_timeout_is_retried() {
    assert_retried(&Fault::s3(400, "RequestTimeout"), "temporary");
}

#[test]
fn incomplete_body_is_retried() {
    assert_all_retried([Fault::s3(400, "IncompleteBody")], "temporary");
}

/// 503 and 429, with each kind of `Retry-After`. `src/backend/response.rs` tests its value in
/// seconds.
#[test]
fn throttling_responses_are_retried() {
    assert_retried(&Fault::slow_down(), "throttled");
    let mut responses = vec![Response::new(429)];
    for retry_after in ["0", "-1", "soon", "Sat, 21 Nov 2026 10:00:00 GMT"] {
        responses.push(Response::s3(503, "SlowDown").header("retry-after", retry_after));
    }
    assert_all_retried(responses.into_iter().map(Fault::Respond), "throttled");
}

#[test]
fn retry_after_is_waited() {
    let mut setup = Setup::new();
    let response = Response::s3(503, "SlowDown").header("retry-after", "2");
    let run = setup.succeeding_put(1, |proxy| {
        proxy.inject(Requests::put().nth(1), Fault::Respond(response));
    });
    assert_eq!(run.retry_waits_ms(), [2000]);
    let response = Response::s3(503, "SlowDown")
        .header("date", "Sat, 21 Nov 2026 10:00:00 GMT")
        .header("retry-after", "Sat, 21 Nov 2026 10:00:02 GMT");
    let run = setup.succeeding_put(1, |proxy| {
        proxy.inject(Requests::put().nth(1), Fault::Respond(response));
    });
    assert_eq!(run.retry_waits_ms(), [2000]);
}

#[test]
fn retry_after_is_capped() {
    let mut setup = Setup::new();
    let file = setup.file(1);
    let response = Response::s3(503, "SlowDown").header("retry-after", "99999");
    setup
        .proxy()
        .inject(Requests::put().nth(1), Fault::Respond(response));
    let mut running = setup.put(&file).spawn();
    running.wait_for_stdout(r#""kind":"throttled""#);
    let stdout = running.stdout();
    let wait = stdout
        .split(r#""wait_ms":"#)
        .nth(1)
        .and_then(|rest| rest.split([',', '}']).next())
        .expect("a wait");
    assert!(wait.parse::<u64>().unwrap() <= 301_000, "{stdout}");
}

/// The client sends fewer parts at a time while the store throttles; all of them arrive.
#[test]
fn throttled_parts_all_arrive() {
    let mut setup = Setup::new();
    let run = setup.succeeding_put(MANY_PARTS_SIZE, |proxy| {
        proxy.inject(Requests::put().first(6), Fault::slow_down());
    });
    assert_eq!(run.retry_kinds(), ["throttled"; 6], "{}", run.output);
}

#[test]
fn expired_url_is_signed_again_without_waiting() {
    let mut setup = Setup::new();
    for size in SIZES {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put().nth(1), Fault::expired());
        });
        assert_eq!(
            (run.retry_kinds(), run.retry_waits_ms()),
            (vec!["url_expired".to_owned()], vec![0])
        );
        run.resends_little().makes_few_requests();
    }
}

#[test]
fn urls_that_expire_twice_are_signed_again() {
    let mut setup = Setup::new();
    let run = setup.succeeding_put(4 * PART, |proxy| {
        for part in 1..=4 {
            proxy.inject(Requests::part(part).first(2), Fault::expired());
        }
    });
    assert_eq!(run.retry_kinds(), ["url_expired"; 8]);
    assert_all_retried([Fault::s3(403, "RequestExpired")], "url_expired");
}

#[test]
fn parts_with_rejected_credentials_are_signed_again() {
    assert_all_retried(
        [
            Fault::s3(400, "ExpiredToken"),
            Fault::s3(400, "InvalidToken"),
            Fault::s3(403, "InvalidAccessKeyId"),
        ],
        "credentials_rejected",
    );
}

/// One URL is expired while other parts are being sent.
#[test]
fn one_expired_url_costs_one_attempt() {
    let mut setup = Setup::new();
    let run = setup.succeeding_put(MANY_PARTS_SIZE, |proxy| {
        proxy.inject(Requests::part(9).nth(1), Fault::expired());
    });
    assert_eq!(run.traffic.count("PUT"), MANY_PARTS_SIZE.div_ceil(PART) + 1);
    run.makes_few_requests();
}

#[test]
fn rejected_urls_are_signed_once_more() {
    for (response, kind) in [
        (Response::s3(403, "AccessDenied"), "unauthorized"),
        (Response::s3(403, "SignatureDoesNotMatch"), "unauthorized"),
        (Response::s3(403, "RequestTimeTooSkewed"), "clock_skew"),
        (
            Response::s3_with_message(403, "AccessDenied", "Request is not yet valid"),
            "clock_skew",
        ),
        (Response::s3(301, "PermanentRedirect"), "wrong_endpoint"),
    ] {
        assert_all_retried([Fault::Respond(response)], kind);
    }
}

#[test]
fn corruption_in_transit_is_not_a_changed_source() {
    assert_retried(&Fault::s3(400, "BadDigest"), "corrupt");
    assert_all_retried([Fault::s3(400, "XAmzContentChecksumMismatch")], "corrupt");
}

/// The store has the part, as its list shows.
#[test]
fn stripped_etags_are_taken_from_the_part_list() {
    let mut setup = Setup::new();
    for size in [1, PART, PART + 1] {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put(), Fault::RemoveHeader("etag"));
        });
        assert!(
            run.traffic.by_method("PUT").count() <= 3 * 2,
            "{:?}",
            run.traffic
        );
    }
}

#[test]
fn success_without_etag_is_retried() {
    assert_retried(&Fault::Respond(Response::new(200)), "missing_etag");
    assert_all_retried(
        [Fault::Respond(Response::new(200).header("etag", "\"\""))],
        "missing_etag",
    );
}

/// ETags are opaque. If the ETag of the response differs from that of the list, the client uses the
/// list.
#[test]
fn unexpected_etag_is_corrected_by_the_part_list() {
    let mut setup = Setup::new();
    for tag in [
        "W/\"weak\"",
        "bare",
        "\"0123456789abcdef0123456789abcdef-7\"",
    ] {
        for size in [1, PART + 1] {
            setup.succeeding_put(size, |proxy| {
                proxy.inject(Requests::put().nth(1), Fault::SetHeader("etag", tag));
            });
        }
    }
}

#[test]
fn error_body_with_status_200_is_retried() {
    assert_retried(&Fault::error_in_success(), "temporary");
    assert_all_retried([Fault::s3(200, "SlowDown")], "throttled");
}

#[test]
fn other_checksum_in_the_response_is_corruption() {
    let other_checksum = "A".repeat(43) + "=";
    let corrupt = Fault::SetHeader("x-amz-checksum-sha256", other_checksum.leak());
    let mut setup = Setup::new();
    for size in [1, PART, PART + 1] {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put().nth(1), corrupt.clone());
        });
        assert_eq!(
            run.retry_kinds()[..1],
            ["corrupt"],
            "{size}: {}",
            run.output
        );
    }
}

/// Pages with and without an ETag, redirects, and status 511.
#[test]
fn captive_portal_is_not_the_store() {
    let portal = Response::html_page(200).header("etag", "\"0123456789abcdef0123456789abcdef\"");
    let responses = [
        portal,
        Response::html_page(302).header("location", "http://127.0.0.1:9/login"),
        Response::html_page(511),
    ];
    assert_all_retried(responses.map(Fault::Respond), "unexpected_server");
}

#[test]
fn error_pages_503_and_404_have_their_own_kinds() {
    assert_all_retried([Fault::html_page(503)], "throttled");
    assert_all_retried([Fault::html_page(404)], "unexpected_server");
}

#[test]
fn unknown_upload_response_is_checked_with_the_gateway() {
    for_each_case(["NoSuchUpload", "NoSuchKey"], |setup, code| {
        for size in [PART + 1, 4 * PART] {
            let run = setup.succeeding_put(size, |proxy| {
                proxy.inject(Requests::put().nth(1), Fault::s3(404, code));
            });
            run.resends_little();
        }
    });
}

#[test]
fn flipped_bits_are_detected_and_sent_again() {
    for_each_case(SIZES.into_iter().filter(|size| *size > 0), |setup, size| {
        for at in [0, (size.min(PART) - 1) / 2, size.min(PART) - 1] {
            let run = setup.succeeding_put(size, |proxy| {
                proxy.inject(first_put(size), Fault::FlipBit { at });
            });
            assert_eq!(run.retry_kinds(), ["corrupt"], "{size}: {}", run.output);
            run.resends_little().makes_few_requests();
        }
    });
}
