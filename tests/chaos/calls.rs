//! Calls to the gateway that go wrong: each is made again, and none is made twice by mistake.
//!
//! Border: between client and gateway, for a while; what ends a run is `refusals`, what the store says to the gateway `store`.

use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests, Response, WHOLE_BODY};
use crate::support::world::World;
use crate::support::{PART, wait};
use crate::trial::{SIZES, Trial, each};

fn calls() -> [Requests; 4] {
    [
        Requests::info(),
        Requests::begin(),
        Requests::sign(),
        Requests::complete(),
    ]
}

#[test]
fn answers_that_are_lost() {
    each(SIZES, |trial, size| {
        for requests in calls() {
            let run = trial.survives(size, |proxy| {
                proxy.inject(requests.nth(1), Fault::DropResponse);
            });
            assert_eq!(
                run.traffic.bytes("PUT"),
                size,
                "parts were sent again: {:?}",
                run.traffic
            );
            run.asks_little();
        }
    });
}

#[test]
fn connections_that_are_reset() {
    each([0, 10, WHOLE_BODY], |trial, bytes| {
        for requests in calls() {
            let run = trial.survives(PART + 1, |proxy| {
                proxy.inject(requests.nth(1), Fault::ResetAfter { bytes });
            });
            run.wastes(0).asks_little();
        }
    });
}

#[test]
fn gateways_in_between_that_fail() {
    each([500, 502, 503, 504], |trial, status| {
        for requests in calls() {
            trial
                .survives(PART + 1, |proxy| {
                    proxy.inject(requests.nth(1), Fault::html_page(status));
                })
                .wastes(0)
                .asks_little();
        }
    });
}

#[test]
fn a_gateway_that_wants_to_be_asked_later() {
    each(
        [
            (503, "unavailable"),
            (429, "rate_limited"),
            (409, "busy"),
            (502, "store_unavailable"),
        ],
        |trial, (status, code)| {
            let later = Fault::Respond(Response::problem(status, code).header("retry-after", "0"));
            for requests in [Requests::begin(), Requests::sign(), Requests::complete()] {
                let run = trial.survives(PART + 1, |proxy| {
                    proxy.inject(requests.nth(1), later.clone());
                });
                assert_eq!(run.retries(), ["throttled"], "{}", run.output);
                run.wastes(0).asks_little();
            }
        },
    );
}

/// A portal shuts in the midst of an upload, and opens again.
#[test]
fn a_captive_portal_for_a_while() {
    let portal = [
        Fault::html_page(200),
        Fault::Respond(Response::html_page(302).header("location", "http://127.0.0.1:9/login")),
        Fault::html_page(511),
        Fault::html_page(404),
        // An answer that a gateway could give, but for who gives it.
        Fault::RemoveHeader("x-upload-protocol"),
    ];
    each(portal, |trial, fault| {
        for requests in [Requests::begin(), Requests::sign(), Requests::complete()] {
            let run = trial.survives(PART + 1, |proxy| {
                proxy.inject(requests.nth(1), fault.clone());
            });
            assert_eq!(
                run.retries(),
                ["unexpected_server"],
                "{fault:?}: {}",
                run.output
            );
            run.wastes(0).asks_little();
        }
    });
    let run = Trial::new().survives(1, |proxy| {
        proxy.inject(Requests::info().first(2), Fault::html_page(511));
    });
    assert_eq!(run.retries(), ["unexpected_server"; 2]);
}

/// Another server's "not found" is no reason to begin anew.
#[test]
fn a_stranger_that_knows_no_such_upload() {
    let mut trial = Trial::new();
    let stranger = Response::new(404).body(
        "text/html",
        r#"{"code":"not_found","title":"no","status":404}"#,
    );
    let run = trial.survives(PART + 1, |proxy| {
        proxy.inject(Requests::sign().nth(1), Fault::Respond(stranger));
    });
    assert_eq!(run.traffic.posts("/v1/uploads"), 1, "{:?}", run.traffic);
}

/// The gateway's ledger was lost, or restored from before: the upload begins anew, with what was fingerprinted.
#[test]
fn a_gateway_that_knows_no_such_upload() {
    let mut trial = Trial::new();
    for size in [PART + 1, 4 * PART] {
        let gone = Fault::Respond(Response::problem(404, "not_found"));
        let run = trial.run(size, |proxy| proxy.inject(Requests::sign().nth(1), gone));
        assert_eq!(run.output.code(), Some(0), "{}", run.output);
        assert_eq!(run.traffic.posts("/v1/uploads"), 2);
        assert_eq!(run.traffic.bytes("PUT"), size);
    }
}

/// It begins anew three times, and then says that this leads nowhere.
#[test]
fn a_gateway_that_forgets_each_upload() {
    let mut trial = Trial::new();
    let gone = Fault::Respond(Response::problem(404, "not_found"));
    let run = trial.run(PART + 1, |proxy| {
        proxy.inject(Requests::sign().first(10), gone);
    });
    assert_eq!(run.traffic.posts("/v1/uploads"), 4);
    run.output.exits(1).stderr_contains("3 times");
}

/// A key that the gateway has for something else is not kept: the next run draws another.
#[test]
fn a_begin_that_is_refused_for_good_leaves_nothing_to_go_on_with() {
    each(
        [
            (400, "invalid_request"),
            (422, "idempotency_mismatch"),
            (415, "type_not_allowed"),
        ],
        |trial, (status, code)| {
            let refused = Fault::Respond(Response::problem(status, code));
            let run = trial.run(PART + 1, |proxy| proxy.inject(Requests::begin(), refused));
            assert_ne!(run.output.code(), Some(0), "{code}: {}", run.output);
            let left = trial.world.upload(&["list"]).run().succeeds();
            assert_eq!(left.stdout(), "", "{code}");
        },
    );
}

#[test]
fn nonsense_once() {
    each(
        ["", "{}", "[1,", r#"{"parts":[{"number":0}]}"#],
        |trial, body| {
            for requests in calls() {
                let nonsense = Fault::Respond(Response::json(200, body));
                let run = trial.survives(PART + 1, |proxy| proxy.inject(requests.nth(1), nonsense));
                assert_eq!(run.retries(), ["protocol_error"], "{body}: {}", run.output);
            }
        },
    );
}

/// While the gateway is away, parts whose URLs are good go on: those on the wire arrive, and those signed behind them are begun.
/// None is sent twice.
#[test]
fn a_gateway_that_is_away_does_not_stop_the_store() {
    let keeper = Gateway::start(&[], &[]);
    let store = keeper.store();
    let world = World::on_store(&store);
    let mut trial = Trial::of(world, Some(store));
    let size = 6 * PART;
    let file = trial.file(size);
    let before = trial.world.part_proxy().traffic();
    trial.world.part_proxy().block_after(1);
    let running = trial.put(&file).spawn();
    wait::until("two parts on the wire and two signed", || {
        (trial.proxy().traffic().signed() >= 4).then_some(())
    });
    trial
        .proxy()
        .inject(Requests::any(), Fault::CutAfter { bytes: 0 });
    trial.proxy().stop_listening();
    trial.world.part_proxy().unblock();
    let sent = || trial.world.part_proxy().traffic().since(&before);
    wait::until("what is signed to be stored", || {
        (sent().stored() == 4).then_some(())
    });
    let away = trial.proxy().traffic();
    trial.proxy().clear_faults();
    trial.proxy().listen_again();
    let output = running.wait().succeeds();
    assert!(
        output.stdout().contains("\"kind\":\"temporary\""),
        "nobody missed the gateway: {output}"
    );
    assert_eq!(sent().bytes("PUT"), size, "parts were sent again");
    assert_eq!(
        trial.proxy().traffic().since(&away).posts("/v1/uploads"),
        0,
        "it began anew"
    );
    trial.has(&file);
}
