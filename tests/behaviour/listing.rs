//! `list` and `status` for people: a table that fits the terminal, and a summary.
//!
//! Not here: the lines for programs (`output`), orphans (`orphans`).

use serde_json::Value;

use crate::support::PART;
use crate::support::proxy::Proxy;
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;
use crate::support::wait;
use crate::support::world::World;

/// The lines of `upload list --all` on a terminal of this width.
fn list_on_a_terminal(world: &World, columns: u16) -> Vec<String> {
    let terminal = Terminal::new(columns);
    let list = world.upload(&["list", "--all"]);
    list.stdout_to(terminal.tty()).run().succeeds();
    let text = wait::until("the table", || {
        Some(terminal.text()).filter(|text| text.contains("open.bin"))
    });
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[test]
fn list_on_a_terminal_has_a_heading_and_fits_its_width() {
    let world = World::new();
    let done = world.sandbox.file("done.bin", 10);
    world.put(&done).run().succeeds();
    let open = world.sandbox.file("open.bin", 4 * PART);
    let (id, _) = world.put_and_kill_after_parts(&open, 1);
    let json = world.upload(&["list", "--all", "--json"]).run().succeeds();
    let uploads: Vec<Value> = json
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let completed = uploads
        .iter()
        .find(|line| line["state"] == "completed")
        .unwrap();
    let (day, _) = completed["created_at"]
        .as_str()
        .unwrap()
        .split_once('T')
        .unwrap();
    for columns in [40, 80, 200] {
        let lines = list_on_a_terminal(&world, columns);
        assert!(lines[0].starts_with("UPLOAD"), "{lines:#?}");
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(columns), "{lines:#?}");
        let text = lines.join("\n");
        for part in ["done.bin", &id, "uploading", "completed", day, "http://"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let wide = list_on_a_terminal(&world, 200).join("\n");
    let location = completed["receipt"]["location"].as_str().unwrap();
    assert!(wide.contains(location), "{wide}");
    // Programs get a line for each upload.
    let piped = world.upload(&["list", "--all"]).run().succeeds();
    assert_eq!(piped.lines().len(), 2, "{piped}");
}

#[test]
fn status_is_a_summary_and_lists_parts_only_on_request() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let (id, _) = world.put_and_kill_after_parts(&file, 1);
    let status = |args: &[&str]| world.upload(&["status", &id]).args(args).run().succeeds();
    let summary = status(&[]);
    assert!(summary.lines().len() <= 12, "{summary}");
    let json: Value = serde_json::from_str(status(&["--json"]).line()).unwrap();
    let stored = json["stored_parts"].as_u64().unwrap();
    let sha256s = |output: &str| {
        let is_sha256 = |word: &&str| word.len() == 64;
        output.split_whitespace().filter(is_sha256).count() as u64
    };
    let backend = world.proxy.url();
    for part in [&format!("{stored} of 4"), "uploading", "film.bin", &backend] {
        assert!(summary.stdout().contains(part), "{part}: {summary}");
    }
    assert_eq!(sha256s(summary.stdout()), 0);
    let with_parts = status(&["--parts"]);
    assert!(sha256s(with_parts.stdout()) >= stored, "{with_parts}");
    assert_eq!(with_parts.lines().len(), summary.lines().len() + 4);

    world.resume().run().succeeds();
    let json: Value = serde_json::from_str(status(&["--json"]).line()).unwrap();
    for field in ["location", "key", "checksum", "proof"] {
        let value = json["receipt"][field].as_str().unwrap();
        assert!(status(&[]).stdout().contains(value), "{field}");
    }
}

#[test]
fn list_prints_the_journal_even_if_the_backend_fails() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = sandbox.upload(["put", "--backend", "embedded"]).arg(&file);
    put.run().succeeds();
    let proxy = Proxy::start();
    proxy.stop_listening();
    let list = sandbox.upload(["list", "--all", "--orphans", "--backend", &proxy.url()]);
    let output = list.run().exits(75);
    assert!(output.line().contains("film.bin"), "{output}");
}

/// A wrong name is not an empty journal.
#[test]
fn journal_that_a_flag_names_must_exist_to_be_read() {
    let sandbox = Sandbox::new();
    let absent = sandbox.path("no/such.db");
    for verb in [&["list"][..], &["status", "x"], &["cat", "x"], &["prune"]] {
        let output = sandbox.upload(verb).arg("--journal").arg(&absent).run();
        output.exits(73).stderr_contains("such.db");
    }
    assert!(!sandbox.path("no").exists(), "a directory was made");
    // The default one is made by the first upload.
    sandbox.upload(["list"]).run().succeeds();
}
