//! The same once more where parts do not go straight from the file to the socket, but through the HTTP library, as they do over
//! TLS and through proxies.
//!
//! Border: the faults whose course depends on who speaks HTTP; what an answer means is one and the same.

use crate::support::PART;
use crate::support::proxy::{ConnectionEnd, Fault, Requests, Response, WHOLE_BODY};
use crate::trial::{Run, SIZES, Trial, each, each_of};

/// As [`Trial::survives`]; the client sends parts to the store by way of a forward proxy, which is the one that fails.
#[track_caller]
fn survives(trial: &mut Trial, size: u64, requests: Requests, fault: Fault) -> Run {
    let file = trial.file(size);
    trial.proxy().clear_faults();
    trial.proxy().inject(requests, fault);
    let put = trial.put(&file).env("http_proxy", trial.proxy().url());
    let run = trial.watch(&file, size, put);
    trial.proxy().clear_faults();
    trial.arrived(run)
}

#[test]
fn connections_that_break() {
    each(SIZES, |trial, size| {
        for bytes in [0, size.min(PART) / 2, WHOLE_BODY] {
            for fault in [Fault::ResetAfter { bytes }, Fault::FinAfter { bytes }] {
                survives(trial, size, Requests::put().nth(1), fault)
                    .wastes_little()
                    .asks_little();
            }
        }
    });
}

#[test]
fn an_answer_before_the_end_is_heard() {
    let mut trial = Trial::new();
    // Without "close", a connection whose buffers took the rest looks as good as new.
    let answer = Response::s3_with_message(403, "AccessDenied", "Request has expired")
        .header("connection", "close");
    // The library may miss what was said when the connection is gone too: then the attempt failed for now.
    for (then, kinds) in [
        (ConnectionEnd::StayOpen, &["url_expired"][..]),
        (ConnectionEnd::Close, &["url_expired", "temporary"]),
    ] {
        let early = Fault::EarlyResponse {
            bytes: 1000,
            response: answer.clone(),
            then,
        };
        let run = survives(&mut trial, PART + 1, Requests::part(1).nth(1), early);
        assert!(
            matches!(run.retries().as_slice(), [kind] if kinds.contains(&kind.as_str())),
            "{then:?}: {}",
            run.output
        );
    }
}

#[test]
fn a_yes_before_the_end_is_not_believed() {
    let mut trial = Trial::new();
    let answer = Response::new(200).header("etag", "\"abc\"");
    for then in [
        ConnectionEnd::Reset,
        ConnectionEnd::Close,
        ConnectionEnd::StayOpen,
    ] {
        let early = Fault::EarlyResponse {
            bytes: 1000,
            response: answer.clone(),
            then,
        };
        survives(&mut trial, PART + 1, Requests::part(1).nth(1), early);
    }
}

#[test]
fn what_stands_still_is_given_up() {
    each_of(
        || Trial::new().impatient(),
        [PART / 2, WHOLE_BODY],
        |trial, bytes| {
            let run = survives(
                trial,
                PART,
                Requests::put().nth(1),
                Fault::StallAfter { bytes },
            );
            assert_eq!(run.retries()[0], "temporary");
        },
    );
}

#[test]
fn answers_that_are_scripted() {
    let mut trial = Trial::new();
    for (fault, kind) in [
        (Fault::slow_down(), "throttled"),
        (Fault::expired(), "url_expired"),
        (Fault::error_in_success(), "temporary"),
        (Fault::html_page(302), "unexpected_server"),
        (Fault::FlipBit { at: 0 }, "corrupt"),
    ] {
        let run = survives(&mut trial, PART + 1, Requests::put().nth(1), fault);
        assert_eq!(run.retries(), [kind], "{}", run.output);
    }
}

#[test]
fn every_part_goes_by_the_proxy_that_was_named() {
    let mut trial = Trial::new();
    let run = survives(
        &mut trial,
        3 * PART,
        Requests::put(),
        Fault::SetHeader("x-nothing", "1"),
    );
    assert_eq!(run.traffic.count("PUT"), 3);
    run.wastes(0).asks_little();
}
