//! Many files that were uploaded before: the next put asks the backend about them together, and
//! nothing is reported as stored unless the store's listing has it now.
//!
//! Not here: single files (`stored_objects`), and the costs of a few (`request_counts`).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::bucket::Bucket;
use crate::support::command::Output;
use crate::support::events::{Event, Receipt, events, failure_kind};
use crate::support::proxy::{Fault, Requests, Response, Traffic};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// The objects of a page of a listing.
const FILES_PER_PAGE: u64 = 1000;
/// Fewer files are confirmed one by one; some requests belong to the start of the gateway.
const MAX_ONE_BY_ONE: u64 = 32 + 8;

/// Small files, ten in each directory below `card`.
fn card(sandbox: &Sandbox, count: usize) -> Vec<PathBuf> {
    let root = sandbox.path("card");
    let file = |number: usize| {
        let directory = root.join(format!("{:03}", number / 10));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{number}.txt"));
        fs::write(&path, format!("file {number}")).unwrap();
        path
    };
    (0..count).map(file).collect()
}

fn put(world: &World, args: &[&str]) -> Output {
    let args = [&["put", "-r", "--json", "card"], args].concat();
    world.upload(&args).run().succeeds()
}

/// Puts, and returns the requests to the gateway's store.
fn put_and_count(world: &World, args: &[&str]) -> (Output, Traffic) {
    let before = world.part_proxy().traffic();
    let output = put(world, args);
    let traffic = world.part_proxy().traffic().since(&before);
    (output, traffic)
}

/// The receipt of each file, by path.
fn receipts(events: &[Event]) -> BTreeMap<String, Receipt> {
    let completed = events.iter().filter_map(|event| match event {
        Event::Completed { path, receipt, .. } => Some((path.clone(), receipt.clone())),
        _ => None,
    });
    completed.collect()
}

/// The paths whose objects were there before the run, and those that were sent.
fn already_and_sent(events: &[Event]) -> (usize, Vec<String>) {
    let (mut already, mut sent) = (0, Vec::new());
    for event in events {
        match event {
            Event::Completed {
                already_stored: true,
                ..
            } => already += 1,
            Event::Completed { path, .. } => sent.push(path.clone()),
            _ => {}
        }
    }
    (already, sent)
}

#[test]
fn thousands_of_known_files_need_a_page_of_the_listing_for_each_thousand() {
    const FILES: usize = 2100;
    let outer = World::new();
    let world = World::on_store(&outer.store());
    let files = card(&world.sandbox, FILES);
    let first = events(&put(&world, &[]));
    let receipt_file = world.sandbox.path("receipts");
    let args = ["--receipt", receipt_file.to_str().unwrap()];
    let before = world.proxy.traffic();
    let (output, store) = put_and_count(&world, &args);
    let calls = world.proxy.traffic().since(&before).posts("/v1/batch");
    let second = events(&output);
    assert_eq!(already_and_sent(&second), (FILES, vec![]));
    assert_eq!(store.count("PUT"), 0, "{store:?}");
    let pages = (FILES as u64).div_ceil(FILES_PER_PAGE);
    assert!(
        store.count("GET") <= pages + calls && store.count("HEAD") < MAX_ONE_BY_ONE,
        "{calls} calls: {store:?}"
    );
    // Every file has a plan, the receipt of the first run, and a line in the file of receipts.
    assert_eq!(receipts(&second), receipts(&first));
    let planned = second.iter().filter(|event| {
        let is_whole = |resumed: u64, size: u64| resumed == size;
        matches!(event, Event::Plan { already_stored: true, resumed_bytes, size, .. }
            if is_whole(*resumed_bytes, *size))
    });
    assert_eq!(planned.count(), FILES);
    let lines = fs::read_to_string(&receipt_file).unwrap();
    assert_eq!(lines.lines().count(), FILES + 1, "the last line sums up");
    let bytes: u64 = files
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    let Some(Event::Exit {
        uploads,
        completed,
        already_stored,
        bytes_sent,
        bytes_skipped,
        ..
    }) = second.last()
    else {
        panic!("{output}")
    };
    assert_eq!((*uploads, *completed, *already_stored), (2100, 2100, 2100));
    assert_eq!((*bytes_sent, *bytes_skipped), (0, bytes));

    // One object is deleted, another one is replaced by one of the same size, and a file is
    // changed.
    let receipts = receipts(&first);
    let key = |path: &str| receipts[path].key.clone();
    outer.store().delete(&key("card/050/501.txt"));
    outer.store().put(&key("card/150/1507.txt"), b"FILE 1507");
    fs::write(&files[1999], "changed").unwrap();
    let (output, store) = put_and_count(&world, &[]);
    let third = events(&output);
    let (already, mut sent) = already_and_sent(&third);
    sent.sort();
    let expected = ["card/050/501.txt", "card/150/1507.txt", "card/199/1999.txt"];
    assert_eq!(
        (already, sent),
        (FILES - 3, expected.map(String::from).into())
    );
    assert_eq!(store.count("PUT"), 3, "{store:?}");
    let restarted = third.iter().filter_map(|event| match event {
        Event::Restarted { path, .. } => Some(path.as_str()),
        _ => None,
    });
    let mut restarted: Vec<&str> = restarted.collect();
    restarted.sort_unstable();
    assert_eq!(restarted, expected[..2]);
    assert_eq!(already_and_sent(&events(&put(&world, &[]))).0, FILES);
}

/// Files in different directories have consecutive keys.
#[test]
fn known_files_of_many_directories_share_the_pages_of_the_listing() {
    const FILES: usize = 400;
    let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
    card(&sandbox, FILES);
    let put = || {
        let before = bucket.proxy.traffic();
        let put = bucket.put(&sandbox, &["-r", "--json", "card"]);
        let output = put.arg(bucket.url("in/")).run().succeeds();
        (output, bucket.proxy.traffic().since(&before))
    };
    put();
    let (output, store) = put();
    assert_eq!(already_and_sent(&events(&output)), (FILES, vec![]));
    // A slow search needs several calls, each with a page of its own.
    let (gets, heads) = (store.count("GET"), store.count("HEAD"));
    assert!(gets + heads < MAX_ONE_BY_ONE, "{gets} GET, {heads} HEAD");
    bucket.store.delete("in/card/007/77.txt");
    let (output, store) = put();
    let (already, sent) = already_and_sent(&events(&output));
    assert_eq!((already, sent), (FILES - 1, vec!["card/007/77.txt".into()]));
    assert_eq!(store.count("PUT"), 1, "{store:?}");
}

#[test]
fn put_that_is_ended_while_files_are_confirmed_changes_nothing() {
    const FILES: usize = 300;
    let world = World::new();
    card(&world.sandbox, FILES);
    put(&world, &[]);
    let before = world.proxy.traffic();
    let put_until_asked = || {
        world.proxy.inject(Requests::batch(), Fault::Hold);
        let running = world.upload(&["put", "-r", "--json", "card"]).spawn();
        crate::support::wait::until("a request about the files", || {
            world.proxy.is_holding().then_some(())
        });
        running
    };
    let running = put_until_asked();
    running.signal(Signal::INT);
    let output = running.wait().exits(130);
    let events_of_run = events(&output);
    assert_eq!(already_and_sent(&events_of_run), (0, vec![]), "{output}");
    let failed = events_of_run
        .iter()
        .filter(|event| matches!(event, Event::Failed { kind, .. } if kind == "interrupted"));
    assert_eq!(failed.count(), FILES);
    world.proxy.clear_faults();
    world.proxy.release();
    put_until_asked().kill9();
    world.proxy.clear_faults();
    world.proxy.release();
    let output = put(&world, &[]);
    assert_eq!(already_and_sent(&events(&output)), (FILES, vec![]));
    assert_eq!(world.proxy.traffic().since(&before).count("PUT"), 0);
    let list = world.upload(&["list", "--json"]).run().succeeds();
    for line in list.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_ne!(line["type"], "upload", "an unfinished upload");
    }
}

#[test]
fn gateway_without_the_call_is_asked_for_each_status() {
    const FILES: usize = 300;
    let world = World::new();
    card(&world.sandbox, FILES);
    put(&world, &[]);
    // As an older gateway, whose response does not have the field.
    world.proxy.inject(
        Requests::batch().first(1),
        Fault::ReplaceText("\"present\"".into(), "\"unknown\"".into()),
    );
    let before = world.proxy.traffic();
    let output = put(&world, &[]);
    assert_eq!(already_and_sent(&events(&output)), (FILES, vec![]));
    let traffic = world.proxy.traffic().since(&before);
    assert_eq!(traffic.count("PUT"), 0);
    assert!(traffic.posts("/v1/batch") > 1, "{traffic:?}");
}

#[test]
fn failed_call_is_repeated() {
    const FILES: usize = 300;
    let world = World::new();
    card(&world.sandbox, FILES);
    put(&world, &[]);
    let unavailable = Response::json(503, r#"{"code":"unavailable","title":"x","status":503}"#);
    world
        .proxy
        .inject(Requests::batch().first(2), Fault::Respond(unavailable));
    let output = put(&world, &[]);
    let events = events(&output);
    assert_eq!(already_and_sent(&events), (FILES, vec![]));
    let retries = events
        .iter()
        .filter(|event| matches!(event, Event::Retry { path: None, .. }));
    assert!(retries.count() >= 1, "{output}");
}

#[test]
fn files_are_not_reported_as_stored_if_the_backend_cannot_tell() {
    const FILES: usize = 100;
    let world = World::new();
    card(&world.sandbox, FILES);
    put(&world, &[]);
    world.proxy.inject(
        Requests::batch(),
        Fault::Respond(Response::json(
            503,
            r#"{"code":"unavailable","title":"x","status":503}"#,
        )),
    );
    let args = ["put", "-r", "--json", "--give-up-after", "2s", "card"];
    let output = world.upload(&args).run().exits(75);
    let events = events(&output);
    assert_eq!(already_and_sent(&events), (0, vec![]));
    let failed = events
        .iter()
        .filter(|event| matches!(event, Event::Failed { .. }));
    assert_eq!(failed.count(), FILES);
    assert_eq!(failure_kind(&output), "temporary");
}
