//! Several processes or machines with one upload: one holds the lease, the others stop, and there
//! is one object.
//!
//! Not here: races of claims (unit tests of the gateway).

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use rustix::process::Signal;

use crate::support::command::Output;
use crate::support::events::{failure_kind, upload_id};
use crate::support::interceptor::{HoldPoint, Interceptor};
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::wait;
use crate::support::world::World;
use crate::support::{PART, files};

/// Claims an upload as another holder. Returns false if the lease is held.
fn claim_as_other(world: &World, id: &str) -> bool {
    let body = r#"{"holder":"another-machine"}"#;
    let mut connection = TcpStream::connect(world.gateway.addr()).unwrap();
    let (host, length) = (world.gateway.addr(), body.len());
    let head =
        format!("POST /v1/uploads/{id}/claim HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    let head = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    connection
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    assert!(
        response.starts_with("HTTP/1.1 200") || response.contains("lease_held"),
        "{response}"
    );
    response.starts_with("HTTP/1.1 200")
}

/// Returns true if the run completed, and false if it stopped because of another holder.
fn completed(output: &Output) -> bool {
    match output.code() {
        Some(0) => true,
        Some(75) => {
            let reasons = ["another process", "another client", "another machine"];
            assert!(
                reasons.iter().any(|text| output.stderr().contains(text)),
                "{output}"
            );
            false
        }
        _ => panic!("{output}"),
    }
}

#[test]
fn concurrent_puts_stop_or_complete_one_object() {
    for processes in [2, 8] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 3 * PART + 1);
        let running: Vec<_> = (0..processes).map(|_| world.put(&file).spawn()).collect();
        let done = running
            .into_iter()
            .map(|running| completed(&running.wait()));
        assert!(done.filter(|done| *done).count() >= 1);
        world.assert_holds_only(&file);
    }
}

#[test]
fn suspended_process_stops_after_another_machine_took_over() {
    let world = World::with_args(&["--lease", "1s"]);
    let file = world.sandbox.file("film.bin", 8 * PART);
    let mut sleeper = world.run_until_blocked(world.put(&file).arg("--json"), PART + 1);
    let id = sleeper.wait_for("an upload id", |running| upload_id(&running.stdout()));
    sleeper.signal(Signal::STOP);
    world.proxy.unblock();
    wait::until("the end of the lease", || {
        claim_as_other(&world, &id).then_some(())
    });
    sleeper.signal(Signal::CONT);
    assert_eq!(failure_kind(&sleeper.wait().exits(75)), "lease_lost");
    assert!(
        world.store().objects().is_empty(),
        "the upload was completed"
    );
    // The other machine does not renew its lease.
    wait::until("the end of the other lease", || {
        completed(&world.resume().run()).then_some(())
    });
    world.assert_holds_only(&file);
}

#[test]
fn two_machines_with_one_journal_make_one_object() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    world.put_and_kill_after_parts(&file, 1);
    let other = world.sandbox.copy_machine();
    let resume_there = || {
        other
            .upload(["resume", "--jobs", "2"])
            .env("UPLOAD_BACKEND", world.proxy.url())
    };
    let (one, two) = (world.resume().spawn(), resume_there().spawn());
    let results = [completed(&one.wait()), completed(&two.wait())];
    assert!(results.contains(&true), "no machine completed the upload");
    world.resume().run().succeeds();
    resume_there().run().succeeds();
    world.assert_holds_only(&file);
}

/// The file has a new version, but another machine holds the upload of the old one.
#[test]
fn upload_of_another_machine_is_not_aborted_for_a_new_version() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    world.put_and_kill_after_parts(&file, 1);
    let ledger = Connection::open(world.gateway.sandbox().ledger()).unwrap();
    ledger.busy_timeout(Duration::from_secs(10)).unwrap();
    let query = |sql| {
        ledger
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    let id = query("SELECT id FROM upload");
    // A call of the killed client that the gateway still answers may renew the lease.
    wait::until("the claim of the other machine", || {
        let sql = "UPDATE upload SET lease_until = 0";
        ledger.execute(sql, []).unwrap();
        claim_as_other(&world, &id).then_some(())
    });
    fs::write(&file, "another version").unwrap();
    let output = world.put(&file).arg("--json").run().exits(75);
    assert_eq!(failure_kind(&output), "busy");
    assert_eq!(query("SELECT state FROM upload"), "uploading");
}

/// As two runs of a cron job that overlap.
#[test]
fn second_put_of_the_same_files_waits_for_the_first() {
    let world = World::new();
    let files: Vec<_> = (0..20)
        .map(|number| world.sandbox.file(&format!("{number}.bin"), 1000))
        .chain([world.sandbox.file("film.bin", 8 * PART)])
        .collect();
    let put = || world.put(&files[0]).args(&files[1..]);
    let first = world.run_until_blocked(put(), PART + 1);
    let mut second = put().spawn();
    let pid = format!("pid {}", first.pid());
    second.wait_for("the process that it waits for", |running| {
        running.stderr().contains(&pid).then_some(())
    });
    world.proxy.unblock();
    first.wait().succeeds();
    let second = second.wait().succeeds();
    let waiting = second.stderr().lines().filter(|line| line.contains(&pid));
    assert_eq!(waiting.count(), 1, "{second}");
    assert_eq!(second.lines().len(), files.len(), "{second}");
    assert_eq!(world.store().objects().len(), files.len());
    assert!(world.bytes_put() < 9 * PART, "bytes were sent twice");
}

/// The other process is killed; this one continues its upload.
#[test]
fn put_continues_the_upload_of_a_process_that_is_killed_meanwhile() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let first = world.run_until_blocked(world.put(&file), 2 * PART);
    let mut second = world.put(&file).arg("--json").spawn();
    second.wait_for_stdout("\"blocked\"");
    first.kill9();
    world.proxy.unblock();
    second.wait().succeeds();
    world.assert_holds_only(&file);
}

/// `resume` waits too, with a limit, and stops at a signal.
#[test]
fn resume_waits_for_another_process_until_the_limit_or_a_signal() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let first = world.run_until_blocked(world.put(&file), PART);
    let quiet = world.resume().args(["--quiet", "--give-up-after", "1s"]);
    let output = quiet.run().exits(75);
    let lines: Vec<_> = output.stderr().lines().collect();
    assert!(
        lines[0].contains(&format!("pid {}", first.pid())),
        "{output}"
    );
    assert!(lines[0].starts_with("error"), "{output}");
    let mut waiting = world.resume().arg("--json").spawn();
    waiting.wait_for_stdout("\"blocked\"");
    waiting.signal(Signal::INT);
    waiting.wait().exits(130);
    let mut waiting = world.resume().arg("--json").spawn();
    waiting.wait_for_stdout("\"blocked\"");
    world.proxy.unblock();
    first.wait().succeeds();
    waiting.wait().succeeds();
    world.assert_holds_only(&file);
}

/// The process was suspended until the other machine had completed the upload.
#[test]
fn suspended_process_succeeds_or_stops_after_another_completed() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let sleeper = world.run_until_blocked(world.put(&file), PART + 1);
    sleeper.signal(Signal::STOP);
    world.proxy.unblock();
    let other = world.sandbox.copy_machine();
    other
        .upload(["resume", "--jobs", "2"])
        .env("UPLOAD_BACKEND", world.proxy.url())
        .run()
        .succeeds();
    sleeper.signal(Signal::CONT);
    completed(&sleeper.wait());
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

/// The file has changed, so the process tries to replace the upload, but another machine has
/// claimed it.
#[test]
fn upload_claimed_by_another_machine_is_not_aborted() {
    let world = World::with_args(&["--lease", "1s"]);
    let interceptor = Interceptor::of(&world);
    let file = world.sandbox.file("film.bin", PART + 1000);
    interceptor.hold(HoldPoint::Response("PUT", ""));
    let mut sleeper = world
        .put(&file)
        .args(["--json", "--if-changed", "restart"])
        .spawn();
    interceptor.wait_until_held(2);
    let id = sleeper.wait_for("an upload id", |running| upload_id(&running.stdout()));
    wait::until("the end of the lease", || {
        claim_as_other(&world, &id).then_some(())
    });
    files::flip_byte(&file, 10);
    interceptor.release();
    assert_eq!(failure_kind(&sleeper.wait().exits(75)), "lease_lost");
    assert_eq!(
        world.store().open_uploads().len(),
        1,
        "the other machine's upload was aborted"
    );
}

/// A process that failed with one file releases its lock, although it continues with other files.
#[test]
fn failed_upload_is_released_while_its_process_continues() {
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
    wait::until("a held part", || world.proxy.is_holding().then_some(()));
    world.resume().arg(&small).run().succeeds();
    world.proxy.release();
    running.wait().exits(77);
    assert_eq!(world.store().objects().len(), 2);
}

/// The upload cannot be started, and is not driven by the process that tried.
#[test]
fn upload_that_could_not_start_is_released_while_its_process_continues() {
    let world = World::new();
    let (small, large) = (
        world.sandbox.file("small.bin", 4 * PART),
        world.sandbox.file("large.bin", 3 * PART),
    );
    world.put_and_kill_after_parts(&small, 1);
    let journal = Connection::open(world.sandbox.journal()).unwrap();
    journal.busy_timeout(Duration::from_secs(10)).unwrap();
    journal
        .execute("UPDATE upload SET part_size = 0", [])
        .unwrap();
    world.proxy.inject(Requests::part(3), Fault::Hold);
    let mut running = world.put(&small).arg(&large).arg("--json").spawn();
    running.wait_for_stdout("\"failed\"");
    wait::until("a held part", || world.proxy.is_holding().then_some(()));
    let drivers: i64 = journal
        .query_row(
            "SELECT count(process) FROM upload WHERE name = 'small.bin'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(drivers, 0);
    world.proxy.release();
    running.wait();
}

/// The journal is locked by a program that uploads nothing.
#[test]
fn locked_journal_is_not_an_upload_of_another_process() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    world.put_and_kill_after_parts(&file, 1);
    world.proxy.inject(Requests::info(), Fault::Hold);
    let put = world.put(&file).arg("--json").spawn();
    wait::until("the first request", || {
        world.proxy.is_holding().then_some(())
    });
    let mut journal = Connection::open(world.sandbox.journal()).unwrap();
    let lock = journal
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    world.proxy.release();
    let output = put.wait().exits(75);
    drop(lock);
    assert_eq!(failure_kind(&output), "locked");
    assert!(!output.stdout().contains("\"blocked\""), "{output}");
}

/// Another machine with a copy of the journal sends the rest; this one hashes all parts to check
/// the receipt, and records them: a later `put` compares them.
#[test]
fn digests_of_an_upload_completed_elsewhere_are_recorded() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 6 * PART);
    world.put_and_kill_after_parts(&file, 1);
    let other = world.sandbox.copy_machine();
    let resume = other.upload(["resume"]);
    let resume = resume.env("UPLOAD_BACKEND", world.proxy.url());
    resume.run().succeeds();
    world.resume().run().succeeds();
    let journal = Connection::open(world.sandbox.journal()).unwrap();
    let digests = || -> i64 {
        let sql = "SELECT count(*) FROM part";
        journal.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(digests(), 6);
    // As a journal of an earlier version, which did not record them.
    for is_forgotten in [false, true] {
        if is_forgotten {
            journal
                .execute("DELETE FROM part WHERE number > 2", [])
                .unwrap();
        }
        files::touch(&file);
        let sent = world.bytes_put();
        world.put(&file).run().succeeds();
        assert_eq!(world.bytes_put(), sent, "forgotten: {is_forgotten}");
        assert_eq!(digests(), 6, "forgotten: {is_forgotten}");
    }
    journal
        .execute("DELETE FROM part WHERE number > 2", [])
        .unwrap();
    files::flip_byte(&file, 6 * PART - 1);
    let dry = world.put(&file).args(["--dry-run", "--json"]);
    let dry = dry.run().succeeds();
    assert!(dry.stdout().contains("\"already_stored\":false"), "{dry}");
    world.put(&file).run().succeeds();
    assert_eq!(world.store().objects().len(), 2);
}
