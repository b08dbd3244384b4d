//! What the network and the store do wrong costs time and a few bytes, never the file.
//!
//! Border: faults between client and backend that a client survives by itself, in one run.

use crate::support::PART;
use crate::support::command::Output;
use crate::support::events::{Event, events};
use crate::support::proxy::{Fault, Requests};
use crate::support::world::World;

const SIZE: u64 = 4 * PART;

/// Puts a file of four parts through a proxy that spoils `requests`; the object must be right all the same.
#[track_caller]
fn survives(requests: Requests, fault: Fault) -> (World, Output) {
    let world = World::new();
    world.proxy.inject(requests, fault);
    let file = world.sandbox.file("film.bin", SIZE);
    let output = world.put(&file).arg("--json").run().succeeds();
    world.assert_holds_only(&file);
    (world, output)
}

/// Kinds of the retries of parts that were reported.
fn retries(output: &Output) -> Vec<String> {
    let retries = events(output).into_iter();
    retries
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
fn a_bit_that_flips_on_the_way_is_refused_and_sent_again() {
    let (world, output) = survives(Requests::put().nth(2), Fault::FlipBit { at: PART / 2 });
    let traffic = world.proxy.traffic();
    let refused: Vec<_> = traffic
        .by_method("PUT")
        .filter(|exchange| exchange.status == Some(400))
        .collect();
    assert_eq!(refused.len(), 1, "the store did not refuse it: {traffic:?}");
    assert_eq!(traffic.attempts(refused[0].part.unwrap()), 2);
    assert_eq!(traffic.count("PUT"), 5);
    assert_eq!(retries(&output).len(), 1, "{output}");
}

#[test]
fn a_bit_that_flips_in_a_small_file_is_refused_and_sent_again() {
    let world = World::new();
    world
        .proxy
        .inject(Requests::put().nth(1), Fault::FlipBit { at: 3 });
    let file = world.sandbox.file("small.bin", 1000);
    let output = world.put(&file).arg("--json").run().succeeds();
    world.assert_holds_only(&file);
    assert_eq!(world.proxy.traffic().count("PUT"), 2);
    assert_eq!(retries(&output).len(), 1, "{output}");
}

#[test]
fn a_connection_that_breaks_costs_one_part() {
    for bytes in [1, PART / 2, PART - 1, PART] {
        let (world, _) = survives(Requests::put().nth(3), Fault::CutAfter { bytes });
        let traffic = world.proxy.traffic();
        assert_eq!(traffic.count("PUT"), 5, "cut after {bytes}: {traffic:?}");
        assert!(traffic.bytes("PUT") <= SIZE + PART);
    }
}

#[test]
fn a_part_whose_answer_is_lost_is_settled() {
    let (world, _) = survives(Requests::put().nth(1), Fault::DropResponse);
    assert!(world.proxy.traffic().count("PUT") <= 5);
}

#[test]
fn a_small_file_whose_answer_is_lost_is_settled() {
    let world = World::new();
    world
        .proxy
        .inject(Requests::put().nth(1), Fault::DropResponse);
    let file = world.sandbox.file("small.bin", 1000);
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn slow_down_is_obeyed() {
    let (world, output) = survives(Requests::put().first(2), Fault::slow_down());
    assert_eq!(world.proxy.traffic().count("PUT"), 6);
    assert_eq!(retries(&output), ["throttled", "throttled"], "{output}");
}

#[test]
fn an_expired_url_is_signed_again() {
    let (world, _) = survives(Requests::put().nth(2), Fault::expired());
    let traffic = world.proxy.traffic();
    assert_eq!(traffic.count("PUT"), 5);
    assert!(
        traffic.posts("/sign") >= 2 || traffic.count("POST") >= 3,
        "{traffic:?}"
    );
}

#[test]
fn a_lost_answer_to_begin_makes_one_upload() {
    let (world, _) = survives(Requests::begin().nth(1), Fault::DropResponse);
    assert_eq!(world.proxy.traffic().posts("/v1/uploads"), 2);
    assert_eq!(world.proxy.traffic().count("PUT"), 4);
}

#[test]
fn a_lost_answer_to_sign_is_asked_again() {
    survives(Requests::sign().nth(1), Fault::DropResponse);
}

#[test]
fn a_lost_answer_to_complete_makes_one_object() {
    let (world, _) = survives(Requests::complete().nth(1), Fault::DropResponse);
    assert_eq!(
        world.proxy.traffic().count("PUT"),
        4,
        "parts were sent again"
    );
}

#[test]
fn a_gateway_that_fails_for_a_while_is_asked_again() {
    for requests in [Requests::begin(), Requests::sign(), Requests::complete()] {
        survives(requests.first(2), Fault::html_page(502));
    }
}
