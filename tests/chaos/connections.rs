//! Connections that break, at every moment of a part.
//!
//! Border: connections between client and store; what stands still is `stillness`.

use std::time::Duration;

use crate::support::PART;
use crate::support::proxy::{ConnectionEnd, Fault, Requests, Response, WHOLE_BODY};
use crate::trial::{LARGE, SIZES, Trial, each, first_put};

/// At the first byte, the second, in the midst, at the last, and after all of them.
fn moments(size: u64) -> Vec<u64> {
    let len = size.min(PART);
    let mut moments = vec![
        0,
        1.min(len),
        len / 2,
        len.saturating_sub(1),
        len,
        WHOLE_BODY,
    ];
    moments.dedup();
    moments
}

#[test]
fn a_reset_at_any_byte_costs_one_attempt() {
    each(SIZES, |trial, size| {
        for bytes in moments(size) {
            let run = trial.survives(size, |proxy| {
                proxy.inject(first_put(size), Fault::ResetAfter { bytes });
            });
            run.wastes_little().asks_little();
        }
    });
}

#[test]
fn a_reset_costs_one_part_of_many() {
    let mut trial = Trial::new();
    for bytes in [1, PART / 2, PART - 1] {
        let run = trial.survives(LARGE, |proxy| {
            proxy.inject(Requests::part(7).nth(1), Fault::ResetAfter { bytes });
        });
        assert_eq!(
            run.traffic.count("PUT"),
            LARGE.div_ceil(PART) + 1,
            "{bytes}"
        );
        run.wastes(PART).asks_little();
    }
}

#[test]
fn a_connection_that_is_closed_at_any_byte_costs_one_attempt() {
    each(SIZES, |trial, size| {
        for bytes in [0, size.min(PART) / 2, WHOLE_BODY] {
            let run = trial.survives(size, |proxy| {
                proxy.inject(first_put(size), Fault::FinAfter { bytes });
            });
            run.wastes_little().asks_little();
        }
    });
}

/// What was said counts, though the connection died while the body was on its way.
#[test]
fn an_answer_before_the_end_is_heard() {
    let heard = [
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
    each(cases, |trial, (size, then)| {
        for (answer, kind) in &heard {
            let early = Fault::EarlyResponse {
                bytes: 1000,
                response: answer.clone(),
                then,
            };
            let run = trial.survives(size, |proxy| proxy.inject(first_put(size), early));
            let retries = run.retries();
            // Where the connection breaks at once, the HTTP library may report that in place of the answer.
            let broken = then != ConnectionEnd::StayOpen && retries == ["temporary"];
            assert!(
                broken || retries == [*kind],
                "{then:?}: {retries:?} for {kind}: {}",
                run.output
            );
            run.wastes_little().asks_little();
        }
    });
}

#[test]
fn a_yes_before_the_end_is_not_believed() {
    let mut trial = Trial::new();
    let yes = Response::new(200).header("etag", "\"abc\"");
    for then in [
        ConnectionEnd::Reset,
        ConnectionEnd::Close,
        ConnectionEnd::StayOpen,
    ] {
        let early = Fault::EarlyResponse {
            bytes: 1000,
            response: yes.clone(),
            then,
        };
        let run = trial.survives(PART + 1, |proxy| {
            proxy.inject(Requests::part(1).nth(1), early);
        });
        assert_eq!(run.traffic.attempts(1), 2, "{then:?}");
    }
}

/// The store (and the gateway) are away for a while in the midst of it.
#[test]
fn nobody_listens_for_a_while() {
    each([1, PART + 1, 4 * PART], |trial, size| {
        let file = trial.file(size);
        trial.proxy().stop_listening();
        let mut running = trial.put(&file).spawn();
        running.wait_for_stdout("\"retry\"");
        trial.proxy().listen_again();
        running.wait().succeeds();
        trial.has(&file);
    });
}

/// What lies idle and was closed meanwhile is noticed, at the latest when the first bytes come back: hardly has it answered, each
/// connection is gone.
#[test]
fn connections_that_close_after_each_answer_cost_little() {
    let mut trial = Trial::new();
    for size in [PART + 1, 4 * PART] {
        let run = trial.survives(size, |proxy| {
            proxy.inject(Requests::any(), Fault::KeepOpen(Duration::ZERO));
        });
        assert!(run.retries().len() <= 1, "{}", run.output);
        run.wastes_little().asks_little();
    }
}

/// The peer says nothing more and does not close; the next part takes another connection.
#[test]
fn a_connection_that_closes_slowly_holds_up_nothing() {
    let mut trial = Trial::new();
    let slow = Fault::KeepOpen(Duration::from_millis(1500));
    let run = trial.survives(4 * PART, |proxy| proxy.inject(Requests::part(1), slow));
    run.wastes_little().asks_little();
}
