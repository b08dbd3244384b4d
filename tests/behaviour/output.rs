//! Output without a terminal: data on standard output, messages on standard error, no control
//! characters.
//!
//! Not here: the fields of events (`support/events`), terminals (`terminal`).

use crate::support::PART;
use crate::support::events::{Event, events};
use crate::support::files;
use crate::support::sandbox::Sandbox;
use crate::support::world::{World, assert_receipt_matches};

#[test]
fn json_events_of_a_put_follow_the_documentation() {
    let world = World::new();
    let size = 3 * PART + 1;
    let file = world.sandbox.file("film.bin", size);
    let output = world.put(&file).arg("--json").run().succeeds();
    let events = events(&output);

    let plans: Vec<_> = events
        .iter()
        .filter(|event| matches!(event, Event::Plan { .. }))
        .collect();
    let Some(Event::Plan {
        path,
        size: planned,
        part_size,
        parts,
        resumed_bytes,
        ..
    }) = plans.last()
    else {
        panic!("no `plan` event: {output}")
    };
    assert_eq!(
        (*planned, *part_size, *parts, *resumed_bytes),
        (size, PART, 4, 0)
    );
    assert_eq!(*path, file.to_str().unwrap());

    let sha256s = files::part_sha256s(&file, PART);
    let mut numbers = Vec::new();
    for event in &events {
        if let Event::Part {
            number,
            size,
            sha256,
            skipped,
            ..
        } = event
        {
            assert_eq!(*sha256, files::hex(&sha256s[*number as usize - 1]));
            assert_eq!(*size, if *number == 4 { 1 } else { PART });
            assert!(!skipped);
            numbers.push(*number);
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4], "one event for each part");

    let Some(Event::Completed {
        upload, receipt, ..
    }) = events.get(events.len() - 2)
    else {
        panic!("the last event but one is not `completed`: {output}")
    };
    assert_eq!(*upload, receipt.id);
    assert_receipt_matches(receipt, &file, PART);
    let last = events.last().unwrap();
    let Event::Exit {
        code,
        uploads,
        completed,
        failed,
        bytes_sent,
        bytes_skipped,
        resumable,
        ..
    } = last
    else {
        panic!("the last event is not `exit`: {output}")
    };
    assert_eq!(
        (*code, *uploads, *completed, *failed, *resumable),
        (0, 1, 1, 0, false)
    );
    assert_eq!((*bytes_sent, *bytes_skipped), (size, 0));
}

#[test]
fn json_of_a_failure_ends_with_its_exit_code() {
    let world = World::new();
    let output = world
        .put(&world.sandbox.path("absent.bin"))
        .arg("--json")
        .run()
        .exits(66);
    let events = events(&output);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Failed { kind, .. } if kind == "no_source")),
        "no `failed` event: {output}"
    );
    let last = events.last();
    assert!(
        matches!(
            last,
            Some(Event::Exit {
                code: 66,
                uploads: 1,
                completed: 0,
                failed: 1,
                ..
            })
        ),
        "{output}"
    );
}

#[test]
fn json_ends_with_exit_if_no_upload_begins() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 1);
    let output = sandbox.upload(["put", "--json"]).arg(&file).run().exits(78);
    assert!(
        matches!(events(&output).last(), Some(Event::Exit { code: 78, .. })),
        "{output}"
    );
}

#[test]
fn output_without_a_terminal_is_plain_text() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    for args in [&[][..], &["--json"], &["-v"], &["--progress", "plain"]] {
        let output = world.put(&file).arg("--force").args(args).run().succeeds();
        for (name, text) in [("stdout", output.stdout()), ("stderr", output.stderr())] {
            let control = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(control, None, "on {name} with {args:?}: {output}");
        }
    }
}

#[test]
fn standard_output_holds_only_locations() {
    let world = World::new();
    let files = [
        world.sandbox.file("a.bin", 1),
        world.sandbox.file("b.bin", PART + 1),
    ];
    let output = world
        .put(&files[0])
        .arg(&files[1])
        .arg("-vv")
        .run()
        .succeeds();
    let keys = world.store().objects();
    assert_eq!(output.lines().len(), 2, "{output}");
    for line in output.lines() {
        assert!(
            keys.iter().any(|key| line.ends_with(key.as_str())),
            "{line} names none of {keys:?}"
        );
    }
}

#[test]
fn quiet_prints_only_the_location() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let output = world.put(&file).arg("--quiet").run().succeeds();
    assert_eq!(output.stderr(), "");
    output.line();
}

#[test]
fn closed_standard_output_does_not_change_the_exit_code() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    world.put(&file).stdout_closed().run().exits(0);
    world
        .put(&file)
        .args(["--json", "--force"])
        .stdout_closed()
        .run()
        .exits(0);
    world
        .put(&world.sandbox.path("absent.bin"))
        .arg("--json")
        .stdout_closed()
        .run()
        .exits(66);
}

#[test]
fn list_shows_completed_uploads_only_with_all() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 1);
    world.put(&file).run().succeeds();
    assert!(
        !world
            .upload(&["list"])
            .run()
            .succeeds()
            .stdout()
            .contains("film.bin")
    );
    let listed = world.upload(&["list", "--all"]).run().succeeds();
    assert!(listed.stdout().contains("film.bin"), "{listed}");
    let json = world.upload(&["list", "--all", "--json"]).run().succeeds();
    let line: serde_json::Value = serde_json::from_str(json.lines()[0]).unwrap();
    assert_eq!(
        (&line["v"], &line["type"]),
        (&1.into(), &"upload".into()),
        "{json}"
    );
}

#[test]
fn exit_event_holds_the_code_of_a_failed_receipt() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let output = world
        .put(&file)
        .args(["--json", "--receipt", "/dev/full"])
        .run()
        .exits(74);
    let Some(Event::Exit { code, .. }) = events(&output).into_iter().last() else {
        panic!("no `exit` event: {output}")
    };
    assert_eq!(code, 74);
}
