//! What was left behind: uploads that expire, orphans that are shown, and a journal that forgets what has ended.
//!
//! Border: what the gateway's sweep does in each case is tested beside it.

use std::time::Duration;

use rusqlite::Connection;

use crate::interrupt::killed_after;
use crate::support::PART;
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;

/// Lets everything in the gateway's ledger be as old as can be.
fn age(world: &World) {
    let ledger =
        Connection::open(world.gateway.sandbox().path("home/state/upload/gateway.db")).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    ledger
        .execute("UPDATE upload SET lease_until = 0, expires_at = 0", [])
        .unwrap();
}

#[test]
fn an_upload_that_expired_is_swept_away_and_begun_anew() {
    for again in ["resume", "put"] {
        let world = World::with(&["--sweep-every", "100ms"]);
        let file = world.sandbox.file("film.bin", 4 * PART);
        killed_after(&world, &file, 1);
        assert_eq!(world.store().open_uploads().len(), 1);
        age(&world);
        wait::until("the sweep", || {
            world.store().open_uploads().is_empty().then_some(())
        });
        if again == "put" {
            world.put(&file)
        } else {
            world.resume()
        }
        .run()
        .succeeds();
        world.holds_only(&file);
    }
}

#[test]
fn orphans_are_listed_and_can_be_aborted() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let (id, _) = killed_after(&world, &file, 1);
    world.upload(&["list", "--orphans"]).run().succeeds();
    assert!(
        !world
            .upload(&["list", "--orphans"])
            .run()
            .succeeds()
            .stdout()
            .contains("orphan"),
        "the journal knows it"
    );

    let other = Sandbox::new();
    let there = |args: &[&str]| {
        other
            .upload(args)
            .env("UPLOAD_BACKEND", world.proxy.url())
            .run()
            .succeeds()
    };
    assert!(there(&["list"]).stdout().is_empty());
    for verb in [&["list", "--orphans"][..], &["prune"]] {
        let output = there(verb);
        assert!(
            output.line().starts_with(&id) && output.line().contains("orphan"),
            "{output}"
        );
    }
    let line: serde_json::Value =
        serde_json::from_str(there(&["list", "--orphans", "--json"]).line()).unwrap();
    assert_eq!(
        (&line["type"], &line["id"], &line["state"]),
        (&"orphan".into(), &id.into(), &"uploading".into())
    );
    there(&["abort", line["id"].as_str().unwrap()]);
    world.store().holds_nothing_open();
    assert!(there(&["prune"]).stdout().is_empty());
    // A machine that has no backend has no orphans to show.
    other.upload(["prune"]).run().succeeds();
    other.upload(["list", "--orphans"]).run().exits(78);
}

#[test]
fn prune_forgets_what_has_ended_and_nothing_else() {
    let world = World::new();
    let (done, open) = (
        world.sandbox.file("done.bin", 10),
        world.sandbox.file("open.bin", 4 * PART),
    );
    world.put(&done).run().succeeds();
    let (id, _) = killed_after(&world, &open, 1);
    let all = || {
        world
            .upload(&["list", "--all"])
            .run()
            .succeeds()
            .lines()
            .len()
    };
    world
        .upload(&["prune", "--older-than", "1d"])
        .run()
        .succeeds()
        .says("removed 0 ");
    assert_eq!(all(), 2);
    world.upload(&["prune"]).run().succeeds().says("removed 1 ");
    assert_eq!(all(), 1);
    let line = world
        .upload(&["list", "--json"])
        .run()
        .succeeds()
        .line()
        .to_owned();
    assert!(line.contains(&id));
    // Forgotten is not undone: the object is there, and the unfinished one goes on.
    assert_eq!(world.store().objects().len(), 1);
    world.resume().run().succeeds();
    assert_eq!(world.store().objects().len(), 2);
}

/// What the backend has not heard of is not given up: it can be aborted, or gone on with, once the backend is there again.
#[test]
fn an_abort_that_the_backend_did_not_hear_gives_nothing_up() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let (id, _) = killed_after(&world, &file, 1);
    world.proxy.refuse();
    world.upload(&["abort", &id]).run().exits(75);
    world.proxy.listen();
    assert!(
        world
            .upload(&["list"])
            .run()
            .succeeds()
            .line()
            .contains(&id)
    );
    world.upload(&["abort", &id]).run().succeeds();
    world.store().holds_nothing_open();
}
