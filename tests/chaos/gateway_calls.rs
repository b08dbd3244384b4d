//! Gateway calls that fail temporarily: each is repeated, and none takes effect twice.
//!
//! Not here: failures that end a run (`permanent_failures`), failures between gateway and store
//! (`gateway_to_store`).

use crate::setup::{SIZES, Setup, for_each_case};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests, Response, WHOLE_BODY};
use crate::support::world::World;
use crate::support::{PART, wait};

fn calls() -> [Requests; 4] {
    [
        Requests::info(),
        Requests::begin(),
        Requests::sign(),
        Requests::complete(),
    ]
}

#[test]
fn lost_responses_are_requested_again() {
    for_each_case(SIZES, |setup, size| {
        for requests in calls() {
            let run = setup.succeeding_put(size, |proxy| {
                proxy.inject(requests.nth(1), Fault::DropResponse);
            });
            assert_eq!(
                run.traffic.bytes("PUT"),
                size,
                "parts were sent again: {:?}",
                run.traffic
            );
            run.makes_few_requests();
        }
    });
}

#[test]
fn reset_connections_are_retried() {
    for_each_case([0, 10, WHOLE_BODY], |setup, bytes| {
        for requests in calls() {
            let run = setup.succeeding_put(PART + 1, |proxy| {
                proxy.inject(requests.nth(1), Fault::ResetAfter { bytes });
            });
            run.resends_at_most(0).makes_few_requests();
        }
    });
}

#[test]
fn error_pages_are_retried() {
    for_each_case([500, 502, 503, 504], |setup, status| {
        for requests in calls() {
            setup
                .succeeding_put(PART + 1, |proxy| {
                    proxy.inject(requests.nth(1), Fault::html_page(status));
                })
                .resends_at_most(0)
                .makes_few_requests();
        }
    });
}

#[test]
fn responses_with_retry_after_are_retried() {
    for_each_case(
        [
            (503, "unavailable"),
            (429, "rate_limited"),
            (409, "busy"),
            (502, "store_unavailable"),
        ],
        |setup, (status, code)| {
            let later = Fault::Respond(Response::problem(status, code).header("retry-after", "0"));
            for requests in [Requests::begin(), Requests::sign(), Requests::complete()] {
                let run = setup.succeeding_put(PART + 1, |proxy| {
                    proxy.inject(requests.nth(1), later.clone());
                });
                assert_eq!(run.retry_kinds(), ["throttled"], "{}", run.output);
                run.resends_at_most(0).makes_few_requests();
            }
        },
    );
}

/// A captive portal appears during an upload and disappears again.
#[test]
fn temporary_captive_portal_is_survived() {
    let portal = [
        Fault::html_page(200),
        Fault::Respond(Response::html_page(302).header("location", "http://127.0.0.1:9/login")),
        Fault::html_page(511),
        Fault::html_page(404),
        // A gateway's response without the header that identifies a gateway.
        Fault::RemoveHeader("x-upload-protocol"),
    ];
    for_each_case(portal, |setup, fault| {
        for requests in [Requests::begin(), Requests::sign(), Requests::complete()] {
            let run = setup.succeeding_put(PART + 1, |proxy| {
                proxy.inject(requests.nth(1), fault.clone());
            });
            assert_eq!(
                run.retry_kinds(),
                ["unexpected_server"],
                "{fault:?}: {}",
                run.output
            );
            run.resends_at_most(0).makes_few_requests();
        }
    });
    let run = Setup::new().succeeding_put(1, |proxy| {
        proxy.inject(Requests::info().first(2), Fault::html_page(511));
    });
    assert_eq!(run.retry_kinds(), ["unexpected_server"; 2]);
}

/// A 404 from another server does not mean that the gateway lost the upload.
#[test]
fn not_found_of_another_server_does_not_begin_again() {
    let mut setup = Setup::new();
    let foreign = Response::new(404).body(
        "text/html",
        r#"{"code":"not_found","title":"no","status":404}"#,
    );
    let run = setup.succeeding_put(PART + 1, |proxy| {
        proxy.inject(Requests::sign().nth(1), Fault::Respond(foreign));
    });
    assert_eq!(run.traffic.posts("/v1/uploads"), 1, "{:?}", run.traffic);
}

/// The gateway's ledger was lost or restored: the client begins again, with the SHA-256 it has.
#[test]
fn unknown_upload_begins_again() {
    let mut setup = Setup::new();
    for size in [PART + 1, 4 * PART] {
        let gone = Fault::Respond(Response::problem(404, "not_found"));
        let run = setup.run(size, |proxy| proxy.inject(Requests::sign().nth(1), gone));
        assert_eq!(run.output.code(), Some(0), "{}", run.output);
        assert_eq!(run.traffic.posts("/v1/uploads"), 2);
        assert_eq!(run.traffic.bytes("PUT"), size);
    }
}

/// The client begins again three times; then it fails.
#[test]
fn begin_is_repeated_at_most_three_times() {
    let mut setup = Setup::new();
    let gone = Fault::Respond(Response::problem(404, "not_found"));
    let run = setup.run(PART + 1, |proxy| {
        proxy.inject(Requests::sign().first(10), gone);
    });
    assert_eq!(run.traffic.posts("/v1/uploads"), 4);
    run.output.exits(1).stderr_contains("3 times");
}

/// The journal does not keep a rejected idempotency key: the next run generates another one.
#[test]
fn rejected_begin_leaves_nothing_in_the_journal() {
    for_each_case(
        [
            (400, "invalid_request"),
            (422, "idempotency_mismatch"),
            (415, "type_not_allowed"),
        ],
        |setup, (status, code)| {
            let refused = Fault::Respond(Response::problem(status, code));
            let run = setup.run(PART + 1, |proxy| proxy.inject(Requests::begin(), refused));
            assert_ne!(run.output.code(), Some(0), "{code}: {}", run.output);
            let list = setup.world.upload(&["list"]).run().succeeds();
            assert_eq!(list.stdout(), "", "{code}");
        },
    );
}

#[test]
fn malformed_response_is_retried() {
    for_each_case(
        ["", "{}", "[1,", r#"{"parts":[{"number":0}]}"#],
        |setup, body| {
            for requests in calls() {
                let nonsense = Fault::Respond(Response::json(200, body));
                let run =
                    setup.succeeding_put(PART + 1, |proxy| proxy.inject(requests.nth(1), nonsense));
                assert_eq!(
                    run.retry_kinds(),
                    ["protocol_error"],
                    "{body}: {}",
                    run.output
                );
            }
        },
    );
}

/// While the gateway is unreachable, parts in flight arrive and parts with signed URLs are sent.
/// No part is sent twice.
#[test]
fn absent_gateway_does_not_stop_signed_parts() {
    let store_gateway = Gateway::start(&[], &[]);
    let store = store_gateway.store();
    let world = World::on_store(&store);
    let mut setup = Setup::on_world(world, Some(store));
    let size = 6 * PART;
    let file = setup.file(size);
    let before = setup.world.part_proxy().traffic();
    setup.world.part_proxy().block_after(1);
    let running = setup.put(&file).spawn();
    wait::until("two parts in flight and two signed", || {
        (setup.proxy().traffic().signed() >= 4).then_some(())
    });
    setup
        .proxy()
        .inject(Requests::any(), Fault::CutAfter { bytes: 0 });
    setup.proxy().stop_listening();
    setup.world.part_proxy().unblock();
    let sent = || setup.world.part_proxy().traffic().since(&before);
    wait::until("the signed parts to be stored", || {
        (sent().stored() == 4).then_some(())
    });
    let before_return = setup.proxy().traffic();
    setup.proxy().clear_faults();
    setup.proxy().listen_again();
    let output = running.wait().succeeds();
    assert!(
        output.stdout().contains("\"kind\":\"temporary\""),
        "no call failed while the gateway was unreachable: {output}"
    );
    assert_eq!(sent().bytes("PUT"), size, "parts were sent again");
    assert_eq!(
        setup
            .proxy()
            .traffic()
            .since(&before_return)
            .posts("/v1/uploads"),
        0,
        "the client began again"
    );
    setup.assert_stored(&file);
}
