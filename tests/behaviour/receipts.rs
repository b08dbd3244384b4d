//! The file of `--receipt`: writing it never damages a source, the journal, or another hard link to
//! the old file.
//!
//! Not here: the content of receipts (`put`, `receipt_fields`).

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::PART;
use crate::support::world::World;

/// The last line of a receipt file of an earlier run.
const EARLIER: &str = "{\"type\":\"set\",\"files\":0}\n";

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn receipt_file_that_is_the_source_of_put_is_rejected_under_every_name() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 1000);
    let before = fs::read(&file).unwrap();
    let (soft, hard) = (world.sandbox.path("soft"), world.sandbox.path("hard"));
    symlink(&file, &soft).unwrap();
    fs::hard_link(&file, &hard).unwrap();
    for receipt in [&file, &soft, &hard] {
        for flag in ["--receipt", "--receipt-append"] {
            world.put(&file).arg(flag).arg(receipt).run().exits(2);
            // Here the symbolic link is the source.
            world.put(&soft).arg(flag).arg(receipt).run().exits(2);
        }
    }
    assert!(fs::read(&file).unwrap() == before);
    assert!(world.store().objects().is_empty());
}

#[test]
fn receipt_file_that_is_the_source_of_resume_is_rejected() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    world.put_and_kill_after_parts(&file, 2);
    let hard = world.sandbox.path("hard");
    fs::hard_link(&file, &hard).unwrap();
    for receipt in [&file, &hard] {
        world.resume().arg("--receipt").arg(receipt).run().exits(2);
    }
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn receipt_file_that_belongs_to_the_journal_is_rejected() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 1000);
    world.put(&file).run().succeeds();
    let journal = world.sandbox.journal();
    let put = world
        .put(&file)
        .arg("--force")
        .arg("--receipt")
        .arg(&journal);
    put.run().exits(2);
    world.upload(&["list"]).run().succeeds();
}

#[test]
fn existing_receipt_file_is_unchanged_until_an_upload_completes() {
    let world = World::new();
    let receipt = world.sandbox.path("receipt.json");
    let linked = world.sandbox.path("linked.json");
    fs::write(&receipt, EARLIER).unwrap();
    fs::hard_link(&receipt, &linked).unwrap();
    let missing = world.sandbox.path("missing");
    world
        .put(&missing)
        .arg("--receipt")
        .arg(&receipt)
        .run()
        .exits(66);
    assert_eq!(fs::read_to_string(&receipt).unwrap(), EARLIER);
    let file = world.sandbox.file("film.bin", 1000);
    world
        .put(&file)
        .arg("--receipt")
        .arg(&receipt)
        .run()
        .succeeds();
    assert_eq!(lines(&receipt), 1);
    assert!(fs::read_to_string(&receipt).unwrap().starts_with('{'));
    assert_eq!(fs::read_to_string(&linked).unwrap(), EARLIER);
}

#[test]
fn receipt_replaces_the_target_of_a_symbolic_link_and_leaves_no_other_file() {
    let world = World::new();
    let folder = world.sandbox.path("receipts");
    fs::create_dir(&folder).unwrap();
    let (target, link) = (folder.join("target.json"), folder.join("link.json"));
    fs::write(&target, EARLIER).unwrap();
    symlink(&target, &link).unwrap();
    let files = [world.sandbox.file("a", 1), world.sandbox.file("b", 2)];
    let put = world
        .put(&files[0])
        .arg(&files[1])
        .arg("--receipt")
        .arg(&link);
    put.run().succeeds();
    assert_eq!(lines(&target), 2);
    assert!(link.is_symlink());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn appended_receipts_follow_those_of_earlier_runs() {
    let world = World::new();
    let receipt = world.sandbox.path("receipt.json");
    for name in ["a", "b"] {
        let file = world.sandbox.file(name, 10);
        let put = world.put(&file).arg("--receipt-append").arg(&receipt);
        put.run().succeeds();
    }
    assert_eq!(lines(&receipt), 2);
}

/// A receipt file is replaced or extended; every other file stays as it is.
#[test]
fn file_that_is_no_receipt_file_is_rejected_before_anything_is_sent() {
    for flag in ["--receipt", "--receipt-append"] {
        let world = World::new();
        let sandbox = &world.sandbox;
        fs::create_dir(sandbox.path("dir")).unwrap();
        fs::write(sandbox.path("dir/a"), "precious").unwrap();
        fs::write(sandbox.path("dir/b"), "{\"path\":1}\n").unwrap();
        fs::write(sandbox.path("list"), "dir/a\ndir/b\n").unwrap();
        symlink(sandbox.path("dir/a"), sandbox.path("link")).unwrap();
        fs::write(sandbox.path("token"), "secret\n").unwrap();
        let put = sandbox.upload(["put", "list", "--backend", "embedded"]);
        put.run().succeeds();
        let ledger = sandbox.path("ledger");
        let files = sandbox.files();
        let of_store = files.iter().find(|file| file.ends_with("embedded.db"));
        fs::copy(of_store.expect("a ledger"), &ledger).unwrap();
        let contents = |names: &[&str]| -> Vec<Vec<u8>> {
            let paths = names.iter().map(|name| sandbox.path(name));
            paths.map(|path| fs::read(path).unwrap()).collect()
        };
        let names = ["dir/a", "dir/b", "token", "ledger", "list"];
        let before = contents(&names);
        let sources: [&[&str]; 3] = [&["-r", "dir"], &["--files-from", "list"], &["list"]];
        for target in ["dir/a", "dir/b", "link", "token", "ledger"] {
            for source in sources {
                let put = world.upload(&["put", flag]).arg(sandbox.path(target));
                put.args(source).run().exits(2);
            }
        }
        assert_eq!(contents(&names), before);
        assert!(world.store().objects().is_empty());
    }
}

#[test]
fn receipts_on_standard_output_follow_what_its_file_has() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    for path in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        let log = world.sandbox.path("log");
        fs::write(&log, "earlier\n").unwrap();
        let output = File::options().append(true).open(&log).unwrap();
        let put = world.put(&file).args(["--force", "--receipt", path]);
        put.stdout_to(output).run().succeeds();
        let log = fs::read_to_string(&log).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 3, "{log}");
        assert_eq!(lines[0], "earlier");
        assert_eq!(lines.iter().filter(|line| line.starts_with('{')).count(), 1);
    }
}

#[test]
fn receipts_can_be_written_to_a_pipe() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 1000);
    let output = world
        .put(&file)
        .args(["--receipt", "/dev/stdout"])
        .run()
        .succeeds();
    assert!(output.lines().iter().any(|line| line.starts_with('{')));
}

#[test]
fn receipt_file_in_a_missing_folder_is_an_error_before_anything_is_sent() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 1000);
    let receipt = world.sandbox.path("missing/receipt.json");
    world
        .put(&file)
        .arg("--receipt")
        .arg(&receipt)
        .run()
        .exits(74);
    assert!(world.store().objects().is_empty());
}

#[test]
fn receipts_and_events_name_the_path_of_each_source() {
    let world = World::new();
    let receipt = world.sandbox.path("receipt.json");
    let (old, new) = (world.sandbox.file("old", 10), world.sandbox.file("new", 20));
    world.put(&old).run().succeeds();
    let put = world.put(&old).arg(&new).arg("--json");
    let output = put.arg("--receipt").arg(&receipt).run().succeeds();
    let values = |text: &str| -> Vec<serde_json::Value> {
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    };
    for (file, size, is_old) in [(&old, 10, true), (&new, 20, false)] {
        let path = file.to_str().unwrap();
        let of_file = |value: &&serde_json::Value| value["path"] == path;
        let receipts = values(&fs::read_to_string(&receipt).unwrap());
        assert_eq!(receipts.iter().find(of_file).unwrap()["size"], size);
        let events = values(output.stdout());
        let mut completed = events.iter().filter(|event| event["type"] == "completed");
        let event = completed.find(|event| event["path"] == path).unwrap();
        assert_eq!(event["receipt"]["size"], size);
        assert_eq!(event["already_stored"], is_old);
    }
}
