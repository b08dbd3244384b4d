//! The same faults with parts that the HTTP library sends, as over TLS and through proxies, instead
//! of the direct path from file to socket.
//!
//! Only faults that depend on the implementation of HTTP are repeated here.

use crate::setup::{Run, SIZES, Setup, for_each_case, for_each_case_with};
use crate::support::PART;
use crate::support::proxy::{ConnectionEnd, Fault, Requests, Response, WHOLE_BODY};

/// As [`Setup::succeeding_put`], but the client sends parts through a forward proxy, which has the
/// fault.
#[track_caller]
fn succeeding_put(setup: &mut Setup, size: u64, requests: Requests, fault: Fault) -> Run {
    let file = setup.file(size);
    setup.proxy().clear_faults();
    setup.proxy().inject(requests, fault);
    let put = setup.put(&file).env("http_proxy", setup.proxy().url());
    let run = setup.record(&file, size, put);
    setup.proxy().clear_faults();
    setup.assert_arrived(run)
}

#[test]
fn broken_connections_cost_one_attempt() {
    for_each_case(SIZES, |setup, size| {
        for bytes in [0, size.min(PART) / 2, WHOLE_BODY] {
            for fault in [Fault::ResetAfter { bytes }, Fault::FinAfter { bytes }] {
                succeeding_put(setup, size, Requests::put().nth(1), fault)
                    .resends_little()
                    .makes_few_requests();
            }
        }
    });
}

#[test]
fn early_error_response_is_read() {
    let mut setup = Setup::new();
    // Without "close", a connection with the rest of the body in its buffers looks reusable.
    let response = Response::s3_with_message(403, "AccessDenied", "Request has expired")
        .header("connection", "close");
    // If the connection is closed too, the library may miss the response and report a broken
    // connection.
    for (then, kinds) in [
        (ConnectionEnd::StayOpen, &["url_expired"][..]),
        (ConnectionEnd::Close, &["url_expired", "temporary"]),
    ] {
        let early = Fault::EarlyResponse {
            bytes: 1000,
            response: response.clone(),
            then,
        };
        let run = succeeding_put(&mut setup, PART + 1, Requests::part(1).nth(1), early);
        assert!(
            matches!(run.retry_kinds().as_slice(), [kind] if kinds.contains(&kind.as_str())),
            "{then:?}: {}",
            run.output
        );
    }
}

#[test]
fn early_success_response_is_not_accepted() {
    let mut setup = Setup::new();
    let response = Response::new(200).header("etag", "\"abc\"");
    for then in [
        ConnectionEnd::Reset,
        ConnectionEnd::Close,
        ConnectionEnd::StayOpen,
    ] {
        let early = Fault::EarlyResponse {
            bytes: 1000,
            response: response.clone(),
            then,
        };
        succeeding_put(&mut setup, PART + 1, Requests::part(1).nth(1), early);
    }
}

#[test]
fn stalled_part_is_retried() {
    for_each_case_with(
        || Setup::new().with_short_stall_limit(),
        [PART / 2, WHOLE_BODY],
        |setup, bytes| {
            let run = succeeding_put(
                setup,
                PART,
                Requests::put().nth(1),
                Fault::StallAfter { bytes },
            );
            assert_eq!(run.retry_kinds()[0], "temporary");
        },
    );
}

#[test]
fn error_responses_are_classified() {
    let mut setup = Setup::new();
    for (fault, kind) in [
        (Fault::slow_down(), "throttled"),
        (Fault::expired(), "url_expired"),
        (Fault::error_in_success(), "temporary"),
        (Fault::html_page(302), "unexpected_server"),
        (Fault::FlipBit { at: 0 }, "corrupt"),
    ] {
        let run = succeeding_put(&mut setup, PART + 1, Requests::put().nth(1), fault);
        assert_eq!(run.retry_kinds(), [kind], "{}", run.output);
    }
}

#[test]
fn every_part_passes_the_configured_proxy() {
    let mut setup = Setup::new();
    let run = succeeding_put(
        &mut setup,
        3 * PART,
        Requests::put(),
        Fault::SetHeader("x-nothing", "1"),
    );
    assert_eq!(run.traffic.count("PUT"), 3);
    run.resends_at_most(0).makes_few_requests();
}
