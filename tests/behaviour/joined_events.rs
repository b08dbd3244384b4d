//! The events of `--json` join each file to its object: by the number and the path of the source.
//!
//! Not here: the fields of each event (`support/events`, `output`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::support::PART;
use crate::support::command::Output;
use crate::support::events::events;
use crate::support::proxy::{Fault, Requests};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

#[track_caller]
fn lines(output: &Output) -> Vec<Value> {
    // Checks the fields of each event.
    events(output);
    let lines = output.lines().into_iter();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_event_of_a_source_has_its_number_and_path() {
    let world = World::new();
    let mut paths = vec![
        world.sandbox.file("small.bin", 10),
        world.sandbox.file("large.bin", 2 * PART),
        world.sandbox.path("absent.bin"),
    ];
    let first_puts = Requests::put().first(1);
    world
        .proxy
        .inject(first_puts, Fault::s3(500, "InternalError"));
    let put = world.upload(&["put", "--json", "--part-size", "5MiB"]);
    let output = put.args(&paths).run().exits(66);
    let lines = lines(&output);
    let mut by_source: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["type"] != "exit") {
        let source = line["source"].as_u64().unwrap_or_else(|| panic!("{line}"));
        by_source.entry(source).or_default().push(line);
    }
    let kinds: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["type"].as_str())
        .collect();
    for kind in ["plan", "part", "retry", "completed", "failed"] {
        assert!(kinds.contains(&kind), "no `{kind}` event: {output}");
    }
    for lines in by_source.into_values() {
        let path = lines[0]["path"].as_str().unwrap();
        assert!(lines.iter().all(|line| line["path"] == path), "{output}");
        let index = paths.iter().position(|known| known.to_str() == Some(path));
        paths.remove(index.unwrap_or_else(|| panic!("{path} has two numbers: {output}")));
    }
    assert!(paths.is_empty(), "no event of {paths:?}");
}

#[test]
fn retry_of_a_call_about_the_backend_names_no_source() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let unavailable = Fault::html_page(502);
    world.proxy.inject(Requests::info().first(1), unavailable);
    let output = world.put(&file).arg("--json").run().succeeds();
    let lines = lines(&output);
    let retry = lines.iter().find(|line| line["type"] == "retry").unwrap();
    assert_eq!(
        (&retry["source"], &retry["path"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        retry["message"].as_str().unwrap().contains("502"),
        "{retry}"
    );
}

#[test]
fn exit_counts_sources_that_were_stored_sent_and_failed() {
    let world = World::new();
    let [stored, new] = ["stored", "new"].map(|name| world.sandbox.file(name, 10));
    world.put(&stored).run().succeeds();
    let put = world.put(&stored).arg(&new).arg("--json");
    let output = put.arg(world.sandbox.path("absent")).run().exits(66);
    let lines = lines(&output);
    let exit = lines.last().unwrap();
    let counts = ["uploads", "completed", "already_stored", "failed"].map(|key| &exit[key]);
    assert_eq!(counts, [3, 2, 1, 1], "{exit}");
}

#[test]
fn plan_precedes_progress_of_a_file_that_is_stored_already() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 1);
    world.put(&file).run().succeeds();
    // The engine reports progress ten times a second.
    let slow = Fault::Delay(Duration::from_millis(350));
    world.proxy.inject(Requests::any().after(1), slow);
    let output = world.put(&file).arg("--json").run().succeeds();
    let lines = lines(&output);
    assert_eq!(lines[0]["type"], "plan", "{output}");
    assert_eq!(lines[0]["already_stored"], true);
    assert_eq!(lines[0]["resumed_bytes"], PART + 1);
}

#[test]
fn resume_of_a_finished_upload_reports_its_plan() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.put(&file).run().succeeds();
    let output = world.resume().arg("--json").arg(&file).run().succeeds();
    let lines = lines(&output);
    let kinds: Vec<&Value> = lines.iter().map(|line| &line["type"]).collect();
    assert_eq!(kinds, ["plan", "completed", "exit"]);
    assert_eq!(lines[0]["already_stored"], true);
    assert_eq!(lines[1]["already_stored"], true);
    assert_eq!(lines[2]["bytes_skipped"], 10);
}

#[test]
fn dry_run_tells_a_stored_empty_file_from_a_new_one() {
    let world = World::new();
    let (old, new) = (world.sandbox.file("old", 0), world.sandbox.file("new", 0));
    world.put(&old).run().succeeds();
    let dry_run = world.put(&old).arg(&new).args(["--json", "--dry-run"]);
    let lines = lines(&dry_run.run().succeeds());
    assert_eq!(lines[0]["already_stored"], true);
    assert_eq!(lines[1]["already_stored"], false);
}

#[test]
fn wrong_command_line_ends_with_an_exit_event() {
    let sandbox = Sandbox::new();
    for verb in ["put", "resume"] {
        let args = [verb, "film.bin", "--json", "--nonsense"];
        let output = sandbox.upload(args).run().exits(2);
        let lines = lines(&output);
        assert_eq!(lines.len(), 1, "{output}");
        assert_eq!(
            (&lines[0]["type"], &lines[0]["code"]),
            (&"exit".into(), &2.into())
        );
    }
    // Other verbs have no events.
    let output = sandbox
        .upload(["list", "--json", "--nonsense"])
        .run()
        .exits(2);
    assert_eq!(output.stdout(), "");
}

#[test]
fn setting_without_a_value_is_null() {
    let sandbox = Sandbox::new();
    let output = sandbox.upload(["config", "--json"]).run().succeeds();
    let lines: Vec<Value> = output
        .lines()
        .into_iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let proxy = lines.iter().find(|line| line["key"] == "proxy").unwrap();
    assert_eq!(proxy["value"], Value::Null);
}
