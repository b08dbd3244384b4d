//! Faults between client and backend that one run survives.
//!
//! Not here: combinations and bounds of retries (`tests/chaos`).

use crate::support::PART;
use crate::support::command::Output;
use crate::support::events::{Event, events};
use crate::support::proxy::{Fault, Requests};
use crate::support::world::World;

const SIZE: u64 = 4 * PART;

/// Puts a file of four parts while `fault` is injected; asserts that the object is correct.
#[track_caller]
fn put_with_fault(requests: Requests, fault: Fault) -> (World, Output) {
    let world = World::new();
    world.proxy.inject(requests, fault);
    let file = world.sandbox.file("film.bin", SIZE);
    let output = world.put(&file).arg("--json").run().succeeds();
    world.assert_holds_only(&file);
    (world, output)
}

/// The kinds of the reported retries.
fn retry_kinds(output: &Output) -> Vec<String> {
    events(output)
        .into_iter()
        .filter_map(|event| {
            if let Event::Retry { kind, .. } = event {
                Some(kind)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn corrupted_part_is_rejected_and_sent_again() {
    let (world, output) = put_with_fault(Requests::put().nth(2), Fault::FlipBit { at: PART / 2 });
    let traffic = world.proxy.traffic();
    let rejected: Vec<_> = traffic
        .by_method("PUT")
        .filter(|exchange| exchange.status == Some(400))
        .collect();
    assert_eq!(rejected.len(), 1, "{traffic:?}");
    assert_eq!(traffic.attempts(rejected[0].part.unwrap()), 2);
    assert_eq!(traffic.count("PUT"), 5);
    assert_eq!(retry_kinds(&output).len(), 1, "{output}");
}

#[test]
fn corrupted_small_file_is_rejected_and_sent_again() {
    let world = World::new();
    world
        .proxy
        .inject(Requests::put().nth(1), Fault::FlipBit { at: 3 });
    let file = world.sandbox.file("small.bin", 1000);
    let output = world.put(&file).arg("--json").run().succeeds();
    world.assert_holds_only(&file);
    assert_eq!(world.proxy.traffic().count("PUT"), 2);
    assert_eq!(retry_kinds(&output).len(), 1, "{output}");
}

#[test]
fn closed_connection_costs_one_part() {
    for bytes in [1, PART / 2, PART - 1, PART] {
        let (world, _) = put_with_fault(Requests::put().nth(3), Fault::CutAfter { bytes });
        let traffic = world.proxy.traffic();
        assert_eq!(traffic.count("PUT"), 5, "cut after {bytes}: {traffic:?}");
        assert!(traffic.bytes("PUT") <= SIZE + PART);
    }
}

#[test]
fn lost_response_to_a_part_is_survived() {
    let (world, _) = put_with_fault(Requests::put().nth(1), Fault::DropResponse);
    assert!(world.proxy.traffic().count("PUT") <= 5);
}

#[test]
fn lost_response_to_a_small_file_is_survived() {
    let world = World::new();
    world
        .proxy
        .inject(Requests::put().nth(1), Fault::DropResponse);
    let file = world.sandbox.file("small.bin", 1000);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn slow_down_is_retried_as_throttled() {
    let (world, output) = put_with_fault(Requests::put().first(2), Fault::slow_down());
    assert_eq!(world.proxy.traffic().count("PUT"), 6);
    assert_eq!(retry_kinds(&output), ["throttled", "throttled"], "{output}");
}

#[test]
fn expired_url_is_signed_again() {
    let (world, _) = put_with_fault(Requests::put().nth(2), Fault::expired());
    let traffic = world.proxy.traffic();
    assert_eq!(traffic.count("PUT"), 5);
    assert!(traffic.posts("/sign") >= 2, "{traffic:?}");
}

#[test]
fn lost_response_to_begin_makes_one_upload() {
    let (world, _) = put_with_fault(Requests::begin().nth(1), Fault::DropResponse);
    assert_eq!(world.proxy.traffic().posts("/v1/uploads"), 2);
    assert_eq!(world.proxy.traffic().count("PUT"), 4);
}

#[test]
fn lost_response_to_sign_is_retried() {
    put_with_fault(Requests::sign().nth(1), Fault::DropResponse);
}

#[test]
fn lost_response_to_complete_makes_one_object() {
    let (world, _) = put_with_fault(Requests::complete().nth(1), Fault::DropResponse);
    assert_eq!(
        world.proxy.traffic().count("PUT"),
        4,
        "parts were sent again"
    );
}

#[test]
fn temporary_gateway_failure_is_retried() {
    for requests in [Requests::begin(), Requests::sign(), Requests::complete()] {
        put_with_fault(requests.first(2), Fault::html_page(502));
    }
}
