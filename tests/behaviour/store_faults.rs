//! Faults between a gateway and its store: the gateway reads the store to find out what happened.
//! The store is the embedded one of another gateway, behind a proxy.
//!
//! Not here: faults between client and backend (`backend_faults`).

use crate::support::PART;
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;

/// Puts a file of three parts while `fault` is injected at the store; asserts that the store holds
/// one correct object. Returns the number of PUTs.
#[track_caller]
fn put_with_fault(requests: Requests, fault: Fault) -> u64 {
    let store_gateway = Gateway::start(&[], &[]);
    let store = store_gateway.store();
    let world = World::on_store(&store);
    // Excludes the requests of the gateway's probe.
    let before = world.part_proxy().traffic();
    world.part_proxy().inject(requests, fault);
    let file = world.sandbox.file("film.bin", 2 * PART + 1);
    world.put(&file).run().succeeds();
    store.assert_holds_only(&file);
    world.part_proxy().traffic().since(&before).count("PUT")
}

#[test]
fn lost_response_to_create_leaves_no_second_upload() {
    put_with_fault(Requests::store_create().nth(1), Fault::DropResponse);
}

#[test]
fn lost_response_to_complete_is_decided_by_the_object() {
    let sent = put_with_fault(Requests::store_complete().nth(1), Fault::DropResponse);
    assert_eq!(sent, 3, "parts were sent again");
}

#[test]
fn error_in_a_successful_complete_is_an_error() {
    let sent = put_with_fault(Requests::store_complete().nth(1), Fault::error_in_success());
    assert_eq!(sent, 3, "parts were sent again");
}

/// The list of parts is needed to continue, not to upload.
#[test]
fn store_without_a_list_of_parts_ends_a_resume_with_the_reason() {
    let store_gateway = Gateway::start(&[], &[]);
    let world = World::on_store(&store_gateway.store());
    let file = world.sandbox.file("film.bin", 4 * PART);
    world.put_and_kill_after_parts(&file, 1);
    let unknown = Fault::Respond(Response::s3(405, "MethodNotAllowed"));
    world.part_proxy().inject(Requests::store_list(), unknown);
    let output = world.resume().run().exits(77);
    output.stderr_contains("does not support");
    world.upload(&["abort"]).arg(&file).run().succeeds();
    world.put(&file).run().succeeds();
    store_gateway.store().assert_holds_only(&file);
}
