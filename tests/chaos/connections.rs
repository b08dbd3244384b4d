//! Connections between client and store that break at each moment of a part.
//!
//! Not here: connections that stall (`stalls`).

use std::time::Duration;

use crate::setup::{MANY_PARTS_SIZE, SIZES, Setup, first_put, for_each_case};
use crate::support::PART;
use crate::support::events::{Event, events};
use crate::support::proxy::{ConnectionEnd, Fault, Requests, Response, WHOLE_BODY};

/// Offsets of the first byte, the second, the middle and the last one, and after all of them.
fn offsets(size: u64) -> Vec<u64> {
    let len = size.min(PART);
    let mut offsets = vec![
        0,
        1.min(len),
        len / 2,
        len.saturating_sub(1),
        len,
        WHOLE_BODY,
    ];
    offsets.dedup();
    offsets
}

#[test]
fn reset_at_any_byte_costs_one_attempt() {
    for_each_case(SIZES, |setup, size| {
        for bytes in offsets(size) {
            let run = setup.succeeding_put(size, |proxy| {
                proxy.inject(first_put(size), Fault::ResetAfter { bytes });
            });
            run.resends_little().makes_few_requests();
        }
    });
}

#[test]
fn reset_costs_one_part_of_many() {
    let mut setup = Setup::new();
    for bytes in [1, PART / 2, PART - 1] {
        let run = setup.succeeding_put(MANY_PARTS_SIZE, |proxy| {
            proxy.inject(Requests::part(7).nth(1), Fault::ResetAfter { bytes });
        });
        assert_eq!(
            run.traffic.count("PUT"),
            MANY_PARTS_SIZE.div_ceil(PART) + 1,
            "{bytes}"
        );
        run.resends_at_most(PART).makes_few_requests();
    }
}

#[test]
fn connection_closed_at_any_byte_costs_one_attempt() {
    for_each_case(SIZES, |setup, size| {
        for bytes in [0, size.min(PART) / 2, WHOLE_BODY] {
            let run = setup.succeeding_put(size, |proxy| {
                proxy.inject(first_put(size), Fault::FinAfter { bytes });
            });
            run.resends_little().makes_few_requests();
        }
    });
}

/// The response counts, although the connection broke while the body was being sent.
#[test]
fn early_error_response_is_read() {
    let responses = [
        (Response::s3(400, "RequestTimeout"), "temporary"),
        (
            Response::s3_with_message(403, "AccessDenied", "Request has expired"),
            "url_expired",
        ),
        (
            Response::s3(307, "TemporaryRedirect").header("location", "http://127.0.0.1:9/"),
            "wrong_endpoint",
        ),
        (Response::s3(503, "SlowDown"), "throttled"),
    ];
    let sizes = [PART - 1, PART + 1];
    let cases = sizes.into_iter().flat_map(|size| {
        [
            ConnectionEnd::Reset,
            ConnectionEnd::Close,
            ConnectionEnd::StayOpen,
        ]
        .map(|then| (size, then))
    });
    for_each_case(cases, |setup, (size, then)| {
        for (response, kind) in &responses {
            let early = Fault::EarlyResponse {
                bytes: 1000,
                response: response.clone(),
                then,
            };
            let run = setup.succeeding_put(size, |proxy| proxy.inject(first_put(size), early));
            let retry_kinds = run.retry_kinds();
            // If the connection breaks at once, the HTTP library may report that instead of the
            // response.
            let broken = then != ConnectionEnd::StayOpen && retry_kinds == ["temporary"];
            assert!(
                broken || retry_kinds == [*kind],
                "{then:?}: {retry_kinds:?} for {kind}: {}",
                run.output
            );
            run.resends_little().makes_few_requests();
        }
    });
}

#[test]
fn early_success_response_is_not_accepted() {
    let mut setup = Setup::new();
    let success = Response::new(200).header("etag", "\"abc\"");
    for then in [
        ConnectionEnd::Reset,
        ConnectionEnd::Close,
        ConnectionEnd::StayOpen,
    ] {
        let early = Fault::EarlyResponse {
            bytes: 1000,
            response: success.clone(),
            then,
        };
        let run = setup.succeeding_put(PART + 1, |proxy| {
            proxy.inject(Requests::part(1).nth(1), early);
        });
        assert_eq!(run.traffic.attempts(1), 2, "{then:?}");
    }
}

/// Store and gateway accept no connections for a while, before the first call.
#[test]
fn refused_connections_are_retried() {
    for_each_case([1, PART + 1, 4 * PART], |setup, size| {
        let file = setup.file(size);
        setup.proxy().stop_listening();
        let mut running = setup.put(&file).spawn();
        running.wait_for_stdout("\"retry\"");
        setup.proxy().listen_again();
        running.wait().succeeds();
        setup.assert_stored(&file);
    });
}

/// Each connection is closed after its response, while it is idle. A request that was just sent on
/// it is repeated, on another connection.
#[test]
fn connections_closed_after_each_response_cost_little() {
    let mut setup = Setup::new();
    for size in [PART + 1, 4 * PART] {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::any(), Fault::KeepOpen(Duration::ZERO));
        });
        for event in events(&run.output) {
            if let Event::Retry { kind, attempt, .. } = event {
                let retry = (kind.as_str(), attempt);
                assert_eq!(retry, ("temporary", 1), "{}", run.output);
            }
        }
        run.resends_little().makes_few_requests();
    }
}

/// The peer neither sends nor closes after its response; the next part uses another connection.
#[test]
fn slowly_closing_connection_delays_nothing() {
    let mut setup = Setup::new();
    let slow = Fault::KeepOpen(Duration::from_millis(1500));
    let run = setup.succeeding_put(4 * PART, |proxy| proxy.inject(Requests::part(1), slow));
    run.resends_little().makes_few_requests();
}
