//! What a store answers to a part, and what it is taken for.
//!
//! Border: answers to a PUT that a client survives by itself; those that end a run are `refusals`.

use crate::support::PART;
use crate::support::proxy::{Fault, Requests, Response};
use crate::trial::{LARGE, SIZES, Trial, each, first_put};

/// Each size, the answer in place of the first one.
#[track_caller]
fn is_survived(fault: &Fault, kind: &str) {
    each(SIZES, |trial, size| {
        let run = trial.survives(size, |proxy| {
            proxy.inject(Requests::put().nth(1), fault.clone());
        });
        assert_eq!(run.retries(), [kind], "{size}: {}", run.output);
        run.wastes_little().asks_little();
    });
}

/// Each of them at small sizes: how many bytes there were makes no difference to what is answered.
#[track_caller]
fn are_survived(faults: impl IntoIterator<Item = Fault>, kind: &str) {
    let cases = faults
        .into_iter()
        .flat_map(|fault| [(1, fault.clone()), (PART + 1, fault)]);
    each(cases, |trial, (size, fault)| {
        let run = trial.survives(size, |proxy| {
            proxy.inject(Requests::put().nth(1), fault.clone());
        });
        assert_eq!(run.retries(), [kind], "{size}: {}", run.output);
    });
}

#[test]
fn an_internal_error_three_times() {
    each(SIZES, |trial, size| {
        let run = trial.survives(size, |proxy| {
            proxy.inject(Requests::put().first(3), Fault::s3(500, "InternalError"));
        });
        assert_eq!(run.retries(), ["temporary"; 3], "{size}: {}", run.output);
        run.wastes(3 * PART);
    });
}

#[test]
fn a_gateway_in_between_that_fails() {
    are_survived([500, 502, 504].map(Fault::html_page), "temporary");
}

#[test]
fn a_request_that_timed_out_is_no_refusal() {
    is_survived(&Fault::s3(400, "RequestTimeout"), "temporary");
}

#[test]
fn a_body_that_did_not_arrive_whole() {
    are_survived([Fault::s3(400, "IncompleteBody")], "temporary");
}

/// 503 and 429, with every kind of `Retry-After`. What it means in seconds is tested in `src/backend/response.rs`.
#[test]
fn a_store_that_wants_to_be_asked_less_often() {
    is_survived(&Fault::slow_down(), "throttled");
    let mut answers = vec![Response::new(429)];
    for retry_after in ["0", "-1", "soon", "Sat, 21 Nov 2026 10:00:00 GMT"] {
        answers.push(Response::s3(503, "SlowDown").header("retry-after", retry_after));
    }
    are_survived(answers.into_iter().map(Fault::Respond), "throttled");
}

#[test]
fn a_time_to_wait_is_waited() {
    let mut trial = Trial::new();
    let answer = Response::s3(503, "SlowDown").header("retry-after", "2");
    let run = trial.survives(1, |proxy| {
        proxy.inject(Requests::put().nth(1), Fault::Respond(answer));
    });
    assert_eq!(run.waits(), [2000]);
    let answer = Response::s3(503, "SlowDown")
        .header("date", "Sat, 21 Nov 2026 10:00:00 GMT")
        .header("retry-after", "Sat, 21 Nov 2026 10:00:02 GMT");
    let run = trial.survives(1, |proxy| {
        proxy.inject(Requests::put().nth(1), Fault::Respond(answer));
    });
    assert_eq!(run.waits(), [2000]);
}

#[test]
fn no_time_to_wait_is_longer_than_reason() {
    let mut trial = Trial::new();
    let file = trial.file(1);
    let answer = Response::s3(503, "SlowDown").header("retry-after", "99999");
    trial
        .proxy()
        .inject(Requests::put().nth(1), Fault::Respond(answer));
    let mut running = trial.put(&file).spawn();
    running.wait_for_stdout(r#""kind":"throttled""#);
    let told = running.stdout();
    let wait = told
        .split(r#""wait_ms":"#)
        .nth(1)
        .and_then(|rest| rest.split('}').next())
        .expect("a wait");
    assert!(wait.parse::<u64>().unwrap() <= 301_000, "{told}");
}

/// Fewer at a time while a store asks for less; all that was asked for comes through.
#[test]
fn many_parts_that_are_throttled() {
    let mut trial = Trial::new();
    let run = trial.survives(LARGE, |proxy| {
        proxy.inject(Requests::put().first(6), Fault::slow_down());
    });
    assert_eq!(run.retries(), ["throttled"; 6], "{}", run.output);
}

#[test]
fn an_expired_url_costs_a_signature_and_no_wait() {
    let mut trial = Trial::new();
    for size in SIZES {
        let run = trial.survives(size, |proxy| {
            proxy.inject(Requests::put().nth(1), Fault::expired());
        });
        assert_eq!(
            (run.retries(), run.waits()),
            (vec!["url_expired".to_owned()], vec![0])
        );
        run.wastes_little().asks_little();
    }
}

#[test]
fn every_url_has_expired_twice() {
    let mut trial = Trial::new();
    let run = trial.survives(4 * PART, |proxy| {
        for part in 1..=4 {
            proxy.inject(Requests::part(part).first(2), Fault::expired());
        }
    });
    assert_eq!(run.retries(), ["url_expired"; 8]);
    are_survived(
        [
            Fault::s3(400, "ExpiredToken"),
            Fault::s3(403, "RequestExpired"),
        ],
        "url_expired",
    );
}

/// One that expires for good while others are on their way.
#[test]
fn one_url_of_many_has_expired() {
    let mut trial = Trial::new();
    let run = trial.survives(LARGE, |proxy| {
        proxy.inject(Requests::part(9).nth(1), Fault::expired());
    });
    assert_eq!(run.traffic.count("PUT"), LARGE.div_ceil(PART) + 1);
    run.asks_little();
}

#[test]
fn a_refusal_a_skewed_clock_and_another_place_are_worth_one_more_signature() {
    for (answer, kind) in [
        (Response::s3(403, "AccessDenied"), "unauthorized"),
        (Response::s3(403, "SignatureDoesNotMatch"), "unauthorized"),
        (Response::s3(403, "RequestTimeTooSkewed"), "clock_skew"),
        (
            Response::s3_with_message(403, "AccessDenied", "Request is not yet valid"),
            "clock_skew",
        ),
        (Response::s3(301, "PermanentRedirect"), "wrong_endpoint"),
    ] {
        are_survived([Fault::Respond(answer)], kind);
    }
}

#[test]
fn damage_on_the_way_is_told_from_a_file_that_changed() {
    is_survived(&Fault::s3(400, "BadDigest"), "corrupt");
    are_survived([Fault::s3(400, "XAmzContentChecksumMismatch")], "corrupt");
}

/// The store had it all along; its list says so.
#[test]
fn a_store_whose_etag_is_lost_on_the_way_is_asked_what_it_has() {
    let mut trial = Trial::new();
    for size in [1, PART, PART + 1] {
        let run = trial.survives(size, |proxy| {
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
fn a_yes_without_an_etag_is_none() {
    is_survived(&Fault::Respond(Response::new(200)), "missing_etag");
    are_survived(
        [Fault::Respond(Response::new(200).header("etag", "\"\""))],
        "missing_etag",
    );
}

/// What the tag says is the store's business: where it is another than the list has, the list is right.
#[test]
fn an_odd_etag_is_put_right_by_the_list() {
    let mut trial = Trial::new();
    for tag in [
        "W/\"weak\"",
        "bare",
        "\"0123456789abcdef0123456789abcdef-7\"",
    ] {
        for size in [1, PART + 1] {
            trial.survives(size, |proxy| {
                proxy.inject(Requests::put().nth(1), Fault::SetHeader("etag", tag));
            });
        }
    }
}

#[test]
fn an_error_behind_a_yes_is_an_error() {
    is_survived(&Fault::error_in_success(), "temporary");
    are_survived([Fault::s3(200, "SlowDown")], "throttled");
}

#[test]
fn a_store_that_has_other_bytes_by_its_own_word() {
    let other = format!("{:A<43}=", "");
    let wrong = Fault::SetHeader("x-amz-checksum-sha256", other.leak());
    let mut trial = Trial::new();
    for size in [1, PART, PART + 1] {
        let run = trial.survives(size, |proxy| {
            proxy.inject(Requests::put().nth(1), wrong.clone());
        });
        assert_eq!(run.retries()[..1], ["corrupt"], "{size}: {}", run.output);
    }
}

/// Pages with and without an ETag, redirects, and the status that is made for it.
#[test]
fn a_captive_portal_in_the_stores_place() {
    let portal = Response::html_page(200).header("etag", "\"0123456789abcdef0123456789abcdef\"");
    let answers = [
        portal,
        Response::html_page(302).header("location", "http://127.0.0.1:9/login"),
        Response::html_page(511),
    ];
    are_survived(answers.map(Fault::Respond), "unexpected_server");
}

#[test]
fn a_proxy_in_the_stores_place_that_fails() {
    are_survived([Fault::html_page(503)], "throttled");
    are_survived([Fault::html_page(404)], "unexpected_server");
}

#[test]
fn a_multipart_upload_that_the_store_does_not_know_is_asked_about() {
    each(["NoSuchUpload", "NoSuchKey"], |trial, code| {
        for size in [PART + 1, 4 * PART] {
            let run = trial.survives(size, |proxy| {
                proxy.inject(Requests::put().nth(1), Fault::s3(404, code));
            });
            run.wastes_little();
        }
    });
}

#[test]
fn bytes_that_flip_on_the_way_never_arrive() {
    each(SIZES.into_iter().filter(|size| *size > 0), |trial, size| {
        for at in [0, (size.min(PART) - 1) / 2, size.min(PART) - 1] {
            let run = trial.survives(size, |proxy| {
                proxy.inject(first_put(size), Fault::FlipBit { at });
            });
            assert_eq!(run.retries(), ["corrupt"], "{size}: {}", run.output);
            run.wastes_little().asks_little();
        }
    });
}
