//! What goes wrong between a gateway and its store is decided by asking the store, never guessed.
//!
//! Border: the client is whole; its own faults are in `faults`. The store is another process' embedded one, behind a proxy.

use crate::support::PART;
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests};
use crate::support::world::World;

/// Puts a file of three parts while the store's proxy spoils `requests`; the store must hold it, once. Gives how many
/// parts were sent.
#[track_caller]
fn survives(requests: Requests, fault: Fault) -> u64 {
    let keeper = Gateway::start(&[], &[]);
    let store = keeper.store();
    let world = World::on_store(&store);
    // What a gateway sends to try its store is no concern here.
    let before = world.part_proxy().traffic();
    world.part_proxy().inject(requests, fault);
    let file = world.sandbox.file("film.bin", 2 * PART + 1);
    world.put(&file).run().succeeds();
    store.assert_holds_only(&file);
    world.part_proxy().traffic().since(&before).count("PUT")
}

#[test]
fn a_lost_answer_to_create_leaves_no_second_upload() {
    survives(Requests::store_create().nth(1), Fault::DropResponse);
}

#[test]
fn a_lost_answer_to_complete_is_settled_by_looking() {
    let sent = survives(Requests::store_complete().nth(1), Fault::DropResponse);
    assert_eq!(sent, 3, "parts were sent again");
}

#[test]
fn an_error_behind_a_success_is_an_error() {
    let sent = survives(Requests::store_complete().nth(1), Fault::error_in_success());
    assert_eq!(sent, 3, "parts were sent again");
}
