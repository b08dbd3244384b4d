//! Answers that arrive byte by byte or never end: each verb ends in a bounded time, with bounded
//! memory.
//!
//! Not here: connections on which no byte moves (`chaos::stalls`).

use std::fs;

use serde_json::{Value, json};

use crate::support::PART;
use crate::support::command::{Command, Output};
use crate::support::events::upload_id;
use crate::support::proxy::{Fault, Requests};
use crate::support::world::World;
use crate::test_backend::{Answer, Request, TestBackend};

/// So slow that no answer arrives whole within any limit of these tests.
const DRIP: Fault = Fault::TrickleResponse { rate: 20 };

/// Makes the body of every answer of the gateway arrive byte by byte.
fn drip(_: &Request, answer: Option<&Value>) -> Option<Answer> {
    Some(Answer::dripping(answer?))
}

/// Runs several commands at the same time.
fn run_all(commands: impl IntoIterator<Item = Command>) -> Vec<Output> {
    let running: Vec<_> = commands.into_iter().map(Command::spawn).collect();
    running.into_iter().map(|running| running.wait()).collect()
}

#[test]
fn give_up_after_holds_from_the_first_byte_of_the_first_response() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let _backend = TestBackend::relay(&world, drip);
    let put = |args: &[&str]| world.put(&file).args(["--give-up-after", "1s"]).args(args);
    for output in run_all([put(&[]), put(&["--json"]), put(&["--dry-run"])]) {
        output.exits(75);
    }
    assert_eq!(world.bytes_put(), 0);
}

#[test]
fn verbs_that_ask_give_up_on_responses_that_drip() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let put = world.put(&file).arg("--json").run().succeeds();
    let id = upload_id(put.stdout()).unwrap();
    let unfinished = world.sandbox.file("other.bin", 4 * PART);
    world.put_and_kill_after_parts(&unfinished, 1);
    let backend = TestBackend::relay(&world, drip);
    let ask = |args: &[&str]| world.upload(args).args(["--give-up-after", "1s"]);
    let commands = [
        ask(&["status", "--remote", &id]),
        ask(&["url", &id]),
        ask(&["cat", &id]),
        ask(&["list", "--orphans"]),
        ask(&["prune", "--orphans", "--older-than", "1d"]),
    ];
    for output in run_all(commands) {
        let output = output.exits(75);
        assert!(output.stderr().contains("--give-up-after"), "{output}");
    }
    drop(backend);
    world.proxy.forward_to(world.gateway.addr());
    // A successful abort has no body.
    world.proxy.inject(Requests::abort(), DRIP);
    ask(&["abort"]).arg(&unfinished).run().exits(75);
    ask(&["cat", &id]).run().succeeds();
}

/// Without `--give-up-after` too, an answer that drips ends: its time is limited, not only the
/// pauses between its bytes.
#[test]
fn answer_that_drips_is_cut_without_a_limit_on_the_verb() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.put(&file).run().succeeds();
    let _backend = TestBackend::relay(&world, drip);
    let ask = |verb: &[&str]| {
        let limits = ["--stall-after", "1s", "--give-up-after", "never"];
        world.upload(verb).arg(&file).args(limits)
    };
    let commands = [ask(&["status", "--remote"]), ask(&["url"]), ask(&["cat"])];
    for output in run_all(commands) {
        output.exits(75);
    }
}

#[test]
fn part_whose_answer_drips_is_sent_again() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.proxy.inject(Requests::put().first(1), DRIP);
    let put = world.put(&file).args(["--stall-after", "1s", "--json"]);
    let output = put.run().succeeds();
    assert!(output.stdout().contains(r#""type":"retry""#), "{output}");
    world.assert_holds_only(&file);
}

/// An object may take any time while its bytes move, but not at a few bytes a second.
#[test]
fn cat_ends_on_an_object_that_drips_and_not_on_a_slow_one() {
    let (slow, dripping) = (World::new(), World::new());
    let put = |world: &World| {
        let file = world.sandbox.file("film.bin", 20 << 10);
        world.put(&file).run().succeeds();
        let cat = world.upload(&["cat", "--stall-after", "1s"]).arg(&file);
        (file, cat.args(["--give-up-after", "3s"]))
    };
    let ((file, cat_slow), (_, cat_dripping)) = (put(&slow), put(&dripping));
    // Longer than the period in which bytes are counted, and longer than the limit of the verb.
    let rate = Fault::TrickleResponse { rate: 4 << 10 };
    slow.proxy.inject(Requests::get(".bin"), rate);
    let _backend = TestBackend::relay(&dripping, |request, _| {
        let is_object = request.path.contains(".bin?");
        is_object.then(|| Answer::dripping_text("x".repeat(20 << 10)))
    });
    let cat_slow = cat_slow.spawn();
    cat_dripping.run().exits(75);
    let whole = cat_slow.wait().succeeds();
    assert_eq!(whole.stdout_bytes(), fs::read(&file).unwrap());
}

#[test]
fn list_of_more_parts_than_planned_ends_with_69() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    world.put_and_kill_after_parts(&file, 1);
    // Pages without end, each with a greater `next`.
    let backend = TestBackend::relay(&world, |request, _| {
        let after = request.path.split_once("/parts?after=")?.1;
        let after: u64 = after.parse().unwrap();
        let part = |number| json!({"number": number, "size": PART, "etag": "e"});
        let parts: Vec<_> = (after + 1..=after + 1000).map(part).collect();
        Some(Answer::json(&json!({"parts": parts, "next": after + 1000})))
    });
    let lists = || backend.requests("/parts?");
    world
        .upload(&["status", "--remote"])
        .arg(&file)
        .run()
        .exits(69);
    assert_eq!(lists(), 1);
    world.put(&file).run().exits(69);
    // The engine repeats calls that violate the protocol, three times.
    assert!(lists() <= 5, "{} requests", lists());
}

/// Pages without end, each with other uploads, and each page in order.
#[test]
fn endless_list_of_uploads_ends_with_69() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.put(&file).run().succeeds();
    let padding = "x".repeat(100_000);
    let backend = TestBackend::relay(&world, move |request, _| {
        let query = request.path.split_once("/v1/uploads?")?.1;
        let page = query
            .split_once("after=")
            .map_or(0, |(_, after)| after[1..].parse::<u64>().unwrap());
        let upload = |number: u64| {
            json!({
                "id": format!("u{number}"), "state": "pending", "name": "n", "key": "k",
                "content_type": "a/b", "metadata": {"padding": padding}, "part_size": 5 << 20,
                "part_count": 1, "created_at": "2026-01-01T00:00:00Z",
                "expires_at": "2027-01-01T00:00:00Z",
            })
        };
        let uploads: Vec<_> = (page + 1..=page + 20).map(upload).collect();
        let next = format!("u{}", page + 20);
        Some(Answer::json(&json!({"uploads": uploads, "next": next})))
    });
    let verbs = [&["list", "--orphans"][..], &["prune", "--orphans"]];
    for output in run_all(verbs.map(|verb| world.upload(verb))) {
        output.exits(69);
    }
    // 2 MB each: both verbs stop near 32 MiB.
    let pages = backend.requests("/v1/uploads?");
    assert!((20..=40).contains(&pages), "{pages} pages");
}
