//! One upload and several who would drive it: one does, the others hear so; nothing is mixed, doubled or lost.
//!
//! Border: true processes here; every race of claims is played beside the gateway's operations.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::interrupt::{held, kill_after_parts, upload_id};
use crate::support::command::Output;
use crate::support::interceptor::{HoldPoint, Interceptor};
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;
use crate::support::{PART, files};

/// Claims an upload as a holder nobody has heard of; the status of the answer.
fn claimed(world: &World, id: &str) -> bool {
    let body = r#"{"holder":"another machine"}"#.replace(' ', "-");
    let mut connection = TcpStream::connect(world.gateway.addr()).unwrap();
    let (host, length) = (world.gateway.addr(), body.len());
    let head =
        format!("POST /v1/uploads/{id}/claim HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    let head = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    connection
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") || answer.contains("lease_held"),
        "{answer}"
    );
    answer.starts_with("HTTP/1.1 200")
}

/// Another machine with a copy of everything the first remembers.
fn copied(from: &Sandbox) -> Sandbox {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).map(drop).unwrap();
            }
        }
    }
    let machine = Sandbox::new();
    copy(&from.path("home/state"), &machine.path("home/state"));
    machine
}

/// Done, or stopped for now with a word on why.
fn done_or_told(output: &Output) -> bool {
    match output.code() {
        Some(0) => true,
        Some(75) => {
            let told = ["another process", "another client", "another machine"];
            assert!(
                told.iter().any(|text| output.stderr().contains(text)),
                "{output}"
            );
            false
        }
        _ => panic!("{output}"),
    }
}

#[test]
fn many_processes_put_one_file_and_there_is_one_object() {
    for processes in [2, 8] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 3 * PART + 1);
        let running: Vec<_> = (0..processes).map(|_| world.put(&file).spawn()).collect();
        let done = running
            .into_iter()
            .map(|running| done_or_told(&running.wait()));
        assert!(done.filter(|done| *done).count() >= 1);
        world.assert_holds_only(&file);
    }
}

#[test]
fn a_process_that_slept_while_another_machine_took_over_is_told_and_loses_nothing() {
    let world = World::with_args(&["--lease", "1s"]);
    let file = world.sandbox.file("film.bin", 8 * PART);
    let mut sleeper = held(&world, world.put(&file).arg("--json"), PART + 1);
    let id = sleeper.wait_for("an upload", |running| upload_id(&running.stdout()));
    sleeper.signal(Signal::STOP);
    world.proxy.unblock();
    wait::until("the lease to end", || claimed(&world, &id).then_some(()));
    sleeper.signal(Signal::CONT);
    sleeper
        .wait()
        .exits(75)
        .stderr_contains("taken this upload over");
    assert!(world.store().objects().is_empty(), "nothing was completed");
    // The other machine falls silent.
    wait::until("the lease to end again", || {
        done_or_told(&world.resume().run()).then_some(())
    });
    world.assert_holds_only(&file);
}

#[test]
fn two_machines_with_one_journal_make_one_object() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    kill_after_parts(&world, &file, 1);
    let other = copied(&world.sandbox);
    let there = || {
        other
            .upload(["resume", "--jobs", "2"])
            .env("UPLOAD_BACKEND", world.proxy.url())
    };
    let (one, two) = (world.resume().spawn(), there().spawn());
    let done = [done_or_told(&one.wait()), done_or_told(&two.wait())];
    assert!(done.contains(&true), "one of them has it to the end");
    world.resume().run().succeeds();
    there().run().succeeds();
    world.assert_holds_only(&file);
}

/// Here the file is of another generation by now; but what another machine has taken over is not ours to end.
#[test]
fn what_another_machine_took_over_is_not_ended_for_another_generation() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    kill_after_parts(&world, &file, 1);
    let ledger =
        Connection::open(world.gateway.sandbox().path("home/state/upload/gateway.db")).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    ledger
        .execute("UPDATE upload SET lease_until = 0", [])
        .unwrap();
    let (id, state) = ("SELECT id FROM upload", "SELECT state FROM upload");
    let told = |sql| {
        ledger
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert!(claimed(&world, &told(id)), "its lease is over");
    fs::write(&file, "another generation").unwrap();
    world
        .put(&file)
        .run()
        .exits(75)
        .stderr_contains("another client drives this upload");
    assert_eq!(told(state), "uploading");
}

/// It was asleep until the other had finished.
#[test]
fn who_wakes_when_all_is_done_says_so_or_stops() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let sleeper = held(&world, world.put(&file), PART + 1);
    sleeper.signal(Signal::STOP);
    world.proxy.unblock();
    let other = copied(&world.sandbox);
    other
        .upload(["resume", "--jobs", "2"])
        .env("UPLOAD_BACKEND", world.proxy.url())
        .run()
        .succeeds();
    sleeper.signal(Signal::CONT);
    done_or_told(&sleeper.wait());
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

/// It means to begin anew, for its file has changed; but what it would end is another's by now.
#[test]
fn who_slept_ends_no_upload_that_another_machine_goes_on_with() {
    let world = World::with_args(&["--lease", "1s"]);
    let gate = Interceptor::of(&world);
    let file = world.sandbox.file("film.bin", PART + 1000);
    gate.hold(HoldPoint::Response("PUT", ""));
    let mut sleeper = world
        .put(&file)
        .args(["--json", "--if-changed", "restart"])
        .spawn();
    gate.wait_until_held(2);
    let id = sleeper.wait_for("an upload", |running| upload_id(&running.stdout()));
    wait::until("the lease to end", || claimed(&world, &id).then_some(()));
    files::flip_byte(&file, 10);
    gate.release();
    sleeper
        .wait()
        .exits(75)
        .stderr_contains("taken this upload over");
    assert_eq!(
        world.store().open_uploads().len(),
        1,
        "the other's upload was ended"
    );
}

/// What one process has failed at is free at once, though it goes on with other files.
#[test]
fn what_failed_in_a_process_that_goes_on_is_not_held_by_it() {
    let world = World::new();
    let (small, large) = (
        world.sandbox.file("small.bin", PART + 1),
        world.sandbox.file("large.bin", 3 * PART),
    );
    world.proxy.inject(Requests::part(3), Fault::Hold);
    world.proxy.inject(
        Requests::complete().nth(1),
        Fault::Respond(Response::problem(403, "forbidden")),
    );
    let mut running = world.put(&small).arg(&large).arg("--json").spawn();
    running.wait_for_stdout("\"failed\"");
    wait::until("the last part to be held", || {
        world.proxy.is_holding().then_some(())
    });
    world.resume().arg(&small).run().succeeds();
    world.proxy.release();
    running.wait().exits(77);
    assert_eq!(world.store().objects().len(), 2);
}
