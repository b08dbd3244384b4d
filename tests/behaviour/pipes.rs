//! Streams: standard input, pipes by path, and the output of a command.
//!
//! A pipeline that fails, or that is interrupted, leaves no object. The same pipeline continues an
//! interrupted upload.

use std::fs::{self, File};
use std::io::{PipeWriter, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::command::{Command, Running};
use crate::support::events::{Event, events, failure_kind, parts_so_far, receipts};
use crate::support::proxy::{Fault, Requests};
use crate::support::random::Rng;
use crate::support::terminal::Terminal;
use crate::support::world::{World, max_bytes_sent};
use crate::support::{MIB, PART, files, wait};

/// `upload put - --name NAME` through the proxy, in parts of [`PART`], two at a time.
fn put_stream(world: &World, name: &str) -> Command {
    world.upload(&[
        "put",
        "-",
        "--name",
        name,
        "--part-size",
        "5MiB",
        "--jobs",
        "2",
    ])
}

/// Runs a command with the reading end of a pipe as its standard input.
fn spawn_with_pipe(command: Command) -> (Running, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let reader = File::from(OwnedFd::from(reader));
    (command.stdin_from(reader).spawn(), writer)
}

/// `cat FILE | upload put - --name NAME …` in a shell.
fn pipeline(world: &World, file: &Path, name: &str, args: &[&str]) -> Command {
    let upload = env!("CARGO_BIN_EXE_upload");
    world
        .sandbox
        .command("sh")
        .args([
            "-c",
            "file=$1 upload=$2; shift 2; cat \"$file\" | \"$upload\" put \"$@\"",
            "sh",
        ])
        .arg(file)
        .args([
            upload,
            "-",
            "--name",
            name,
            "--part-size",
            "5MiB",
            "--jobs",
            "2",
        ])
        .args(args)
        .env("UPLOAD_BACKEND", world.proxy.url())
}

/// Writes the first bytes of a file to a pipe, until `parts` parts are stored and in the journal.
fn write_until_stored(running: &mut Running, writer: &mut PipeWriter, bytes: &[u8], parts: usize) {
    writer.write_all(bytes).unwrap();
    running.wait_for("`part` events", |running| {
        (parts_so_far(&running.stdout()) >= parts).then_some(())
    });
}

#[track_caller]
fn assert_holds_nothing(world: &World) {
    let store = world.store();
    assert_eq!(store.objects(), Vec::<String>::new());
    store.assert_no_open_uploads();
}

#[test]
fn pipeline_is_stored_with_size_and_sha256_in_the_receipt() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 3 * PART + 7);
    let receipt = world.sandbox.path("receipt");
    let args = ["--receipt", receipt.to_str().unwrap()];
    let output = pipeline(&world, &file, "film.bin", &args).run().succeeds();
    world.assert_holds_only(&file);
    let receipts = receipts(&receipt);
    let [receipt] = receipts.as_slice() else {
        panic!("{receipts:?}")
    };
    assert_eq!(output.line(), receipt.location);
    assert_eq!((receipt.size, receipt.parts), (3 * PART + 7, 4));
    assert_eq!((receipt.part_size, receipt.double_after), (PART, Some(910)));
    assert_eq!(receipt.sha256, Some(files::sha256(&file)));
    assert_eq!(receipt.checksum, files::checksum(&file, PART));
    assert_eq!(
        (receipt.name.as_str(), receipt.proof.as_str()),
        ("film.bin", "sha256")
    );
    world
        .upload(&["cat", &receipt.id])
        .run()
        .succeeds()
        .stderr_contains("4 of 4 parts");
}

#[test]
fn streams_of_every_size_are_stored_as_they_are() {
    for size in [1, 77, PART - 1, PART, PART + 1, 2 * PART] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", size);
        put_stream(&world, "film.bin")
            .stdin_from(File::open(&file).unwrap())
            .run()
            .succeeds();
        world.assert_holds_only(&file);
        assert_eq!(world.proxy.traffic().posts("/complete"), 1, "{size}");
    }
}

#[test]
fn pipe_by_its_path_is_a_stream() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 7);
    for path in ["/dev/stdin", "/dev/fd/0", "/dev/fd/3"] {
        let upload = env!("CARGO_BIN_EXE_upload");
        let script = "cat \"$1\" | \"$2\" put \"$3\" --name \"$4\" 3<&0";
        world
            .sandbox
            .command("sh")
            .args(["-c", script, "sh"])
            .arg(&file)
            .args([upload, path, &path[5..].replace('/', "-")])
            .env("UPLOAD_BACKEND", world.proxy.url())
            .run()
            .succeeds();
    }
    let objects = world.store().objects();
    assert_eq!(objects.len(), 3);
    for object in objects {
        assert_eq!(world.store().sha256(&object), files::sha256(&file));
    }
}

#[test]
fn first_part_is_sent_while_the_producer_is_still_running() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART + 7);
    let bytes = fs::read(&file).unwrap();
    let (mut running, mut writer) = spawn_with_pipe(put_stream(&world, "film").arg("--json"));
    let part = usize::try_from(PART).unwrap();
    write_until_stored(&mut running, &mut writer, &bytes[..part], 1);
    assert_eq!(world.bytes_put(), PART);
    // A byte at a time, and then the rest.
    writer.write_all(&bytes[part..=part]).unwrap();
    writer.write_all(&bytes[part + 1..]).unwrap();
    drop(writer);
    running.wait().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn output_of_a_command_is_stored_if_the_command_succeeds() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 7);
    let output = world
        .upload(&[
            "put",
            "--name",
            "film.bin",
            "--from-command",
            "--",
            "sh",
            "-c",
        ])
        .args(["cat film.bin; echo a note >&2"])
        .run()
        .succeeds();
    assert!(output.stderr().contains("a note"), "{output}");
    world.assert_holds_only(&file);
}

#[test]
fn failed_command_leaves_no_object_and_its_status_is_named() {
    let world = World::new();
    let command = |script: &str| {
        world
            .upload(&[
                "put",
                "--name",
                "zeros",
                "--json",
                "--from-command",
                "--",
                "sh",
                "-c",
            ])
            .arg(script)
    };
    for (script, status) in [
        (
            "head -c 20000000 /dev/zero; echo broken >&2; exit 3",
            "exit code 3",
        ),
        ("echo a; exit 1", "exit code 1"),
        // Its output ends before the command does.
        ("echo a; exec >&-; exit 4", "exit code 4"),
        ("head -c 9000000 /dev/zero; kill -9 $$", "signal 9"),
        ("exit 7", "exit code 7"),
    ] {
        let output = command(script).run().exits(65);
        assert_eq!(failure_kind(&output), "command_failed", "{script}");
        assert!(output.stdout().contains(status), "{script}: {output}");
        assert_eq!(
            output.stderr().contains("broken"),
            script.contains("broken")
        );
        assert_holds_nothing(&world);
    }
    // Nothing of it is unfinished.
    let listed = world.upload(&["list", "--json"]).run().succeeds();
    assert_eq!(listed.stdout(), "");
    world
        .upload(&[
            "put",
            "--name",
            "x",
            "--from-command",
            "--",
            "/no/such/program",
        ])
        .run()
        .exits(66)
        .stderr_contains("/no/such/program");
}

#[test]
fn signal_ends_the_command_of_a_stream() {
    let world = World::new();
    let script = "echo $$ > pid; echo a; exec sleep 600";
    let put = ["put", "--name", "x", "--from-command", "--", "sh", "-c"];
    let running = world.upload(&put).arg(script).spawn();
    let pid: u32 = wait::until("the id of the command", || {
        let line = fs::read_to_string(world.sandbox.path("pid")).ok()?;
        line.strip_suffix('\n')?.parse().ok()
    });
    running.signal(Signal::TERM);
    running.wait().exits(143);
    wait::until("the end of the command", || {
        // A process that its parent has not waited for is a zombie.
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (status.is_empty() || status.contains(") Z ")).then_some(())
    });
    assert_eq!(world.store().objects(), Vec::<String>::new());
}

/// Stops an upload amid its stream, and runs the same stream again.
fn stop_and_run_again(stop: impl FnOnce(Running, PipeWriter)) {
    let world = World::new();
    let size = 6 * PART + 7;
    let file = world.sandbox.file("film.bin", size);
    let bytes = fs::read(&file).unwrap();
    let command = put_stream(&world, "film.bin").arg("--json");
    let (mut running, mut writer) = spawn_with_pipe(command);
    let half = usize::try_from(3 * PART + 99).unwrap();
    write_until_stored(&mut running, &mut writer, &bytes[..half], 3);
    stop(running, writer);
    assert_eq!(world.store().objects(), Vec::<String>::new());
    let before = world.proxy.traffic();
    assert_eq!(before.posts("/complete"), 0);

    let output = pipeline(&world, &file, "film.bin", &["--json"])
        .run()
        .succeeds();
    world.assert_holds_only(&file);
    let after = world.proxy.traffic().since(&before);
    assert_eq!(after.bytes("PUT"), size - 3 * PART);
    assert_eq!(after.posts("/v1/uploads"), 0, "the upload was begun again");
    let events = events(&output);
    let compared = events.iter().find_map(|event| match event {
        Event::Comparing { parts, .. } => Some(*parts),
        _ => None,
    });
    // After a signal, the bytes before the end of the pipe may have become a fourth, short part.
    assert!(matches!(compared, Some(3 | 4)), "{compared:?}");
    let skipped = events.iter().filter(|event| {
        let Event::Part { skipped, .. } = event else {
            return false;
        };
        *skipped
    });
    assert_eq!(skipped.count(), 3);
}

/// An end of input after a signal is not the end of the stream.
fn stop_by_signal(signal: Signal, code: i32) {
    stop_and_run_again(|running, writer| {
        running.signal(signal);
        drop(writer);
        let output = running.wait().exits(code);
        assert!(output.stdout().contains("whole pipeline again"), "{output}");
        assert!(!output.stdout().contains("upload resume"), "{output}");
    });
}

#[test]
fn sigterm_completes_nothing_and_the_same_pipeline_sends_the_rest() {
    stop_by_signal(Signal::TERM, 143);
}

#[test]
fn sigint_completes_nothing_and_the_same_pipeline_sends_the_rest() {
    stop_by_signal(Signal::INT, 130);
}

#[test]
fn sighup_completes_nothing_and_the_same_pipeline_sends_the_rest() {
    stop_by_signal(Signal::HUP, 129);
}

#[test]
fn killed_process_completes_nothing_and_the_same_pipeline_sends_the_rest() {
    stop_and_run_again(|running, _writer| drop(running.kill9()));
}

#[test]
fn stream_that_is_killed_four_times_sends_each_part_about_once() {
    let mut rng = Rng::new(5);
    let world = World::new();
    let size = 40 * MIB;
    let file = world.sandbox.file("film.bin", size);
    let put = || put_stream(&world, "film.bin").stdin_from(File::open(&file).unwrap());
    for _ in 0..4 {
        world
            .run_until_blocked(put(), rng.between(1, 9 * MIB))
            .kill9();
    }
    world.proxy.unblock();
    put().run().succeeds();
    world.assert_holds_only(&file);
    let begun = world.proxy.traffic().posts("/v1/uploads");
    assert_eq!(begun, 1, "the upload was begun again");
    let sent = world.bytes_put();
    let most = max_bytes_sent(size, 4);
    assert!((size..=most).contains(&sent), "{sent} bytes were sent");
}

#[test]
fn changed_stream_is_sent_from_its_first_other_part() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART + 7);
    let bytes = fs::read(&file).unwrap();
    let (mut running, mut writer) = spawn_with_pipe(put_stream(&world, "film.bin").arg("--json"));
    let whole = usize::try_from(4 * PART).unwrap();
    write_until_stored(&mut running, &mut writer, &bytes[..whole], 4);
    running.kill9();
    // Other bytes in part 3, and an earlier end in part 4.
    files::flip_byte(&file, 2 * PART + 1);
    files::resize(&file, 4 * PART - 9);
    let before = world.proxy.traffic();
    pipeline(&world, &file, "film.bin", &[]).run().succeeds();
    world.assert_holds_only(&file);
    let after = world.proxy.traffic().since(&before);
    let attempts = [1, 2, 3, 4].map(|part| after.attempts(part));
    assert_eq!(attempts, [0, 0, 1, 1]);
}

#[test]
fn same_name_after_a_complete_stream_is_a_new_object() {
    let world = World::new();
    let first = world.sandbox.file("first.bin", 77);
    let second = world.sandbox.file("second.bin", 78);
    for file in [&first, &second] {
        pipeline(&world, file, "db.sql", &[]).run().succeeds();
    }
    let mut stored: Vec<String> = world
        .store()
        .objects()
        .iter()
        .map(|key| world.store().sha256(key))
        .collect();
    stored.sort_unstable();
    let mut expected = [files::sha256(&first), files::sha256(&second)];
    expected.sort_unstable();
    assert_eq!(stored, expected);
}

#[test]
fn stream_without_bytes_is_completed_only_on_request() {
    let world = World::new();
    let empty = world.sandbox.file("empty", 0);
    let put = || put_stream(&world, "empty").stdin_from(File::open(&empty).unwrap());
    let output = put().run().exits(65).stderr_contains("--allow-empty");
    assert_eq!(output.stdout(), "");
    assert_holds_nothing(&world);
    assert_eq!(world.proxy.traffic().posts("/v1/uploads"), 0);
    put().arg("--allow-empty").run().succeeds();
    world.assert_holds_only(&empty);
}

#[test]
fn stream_below_its_minimum_size_is_not_completed() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 7);
    let args = ["--min-size", "6MiB", "--json"];
    let output = pipeline(&world, &file, "film.bin", &args).run().exits(65);
    assert_eq!(failure_kind(&output), "stream_too_small");
    assert_holds_nothing(&world);
    pipeline(&world, &file, "film.bin", &["--min-size", "5MiB"])
        .run()
        .succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn stream_of_another_size_than_expected_is_stored_whole() {
    for expected in ["1", "1GiB"] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 2 * PART + 7);
        put_stream(&world, "film.bin")
            .args(["--expected-size", expected])
            .stdin_from(File::open(&file).unwrap())
            .run()
            .succeeds();
        world.assert_holds_only(&file);
    }
}

#[test]
fn read_error_completes_nothing() {
    let world = World::new();
    let directory = File::open(world.sandbox.path("home")).unwrap();
    let output = put_stream(&world, "film.bin").stdin_from(directory).run();
    let output = output
        .exits(74)
        .stderr_contains("could not read the stream");
    assert_eq!(output.stdout(), "");
    assert_holds_nothing(&world);
}

#[test]
fn failed_parts_are_sent_again_from_memory() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    for part in [1, 3] {
        let first = Requests::part(part).nth(1);
        world
            .proxy
            .inject(first, Fault::CutAfter { bytes: 1 << 20 });
    }
    world
        .proxy
        .inject(Requests::part(2).nth(1), Fault::slow_down());
    world
        .proxy
        .inject(Requests::part(4).nth(1), Fault::FlipBit { at: 9 });
    world
        .proxy
        .inject(Requests::sign().nth(2), Fault::DropResponse);
    world
        .proxy
        .inject(Requests::complete().nth(1), Fault::DropResponse);
    pipeline(&world, &file, "film.bin", &[]).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn unreachable_backend_says_to_run_the_whole_pipeline_again() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    world
        .proxy
        .inject(Requests::put(), Fault::s3(503, "ServiceUnavailable"));
    let args = ["--give-up-after", "2s"];
    let output = pipeline(&world, &file, "film.bin", &args).run().exits(75);
    let text = output.stderr();
    assert!(text.contains("run the whole pipeline again"), "{output}");
    assert!(!text.contains("upload resume"), "{output}");
    assert_eq!(world.store().objects(), Vec::<String>::new());
}

#[test]
fn resume_leaves_streams_out_and_list_status_and_abort_show_them() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART);
    let bytes = fs::read(&file).unwrap();
    let (mut running, mut writer) = spawn_with_pipe(put_stream(&world, "db.sql").arg("--json"));
    write_until_stored(&mut running, &mut writer, &bytes, 1);
    running.kill9();

    world
        .resume()
        .run()
        .succeeds()
        .stderr_contains("1 stream is left out: run their pipelines again")
        .stderr_contains("nothing to resume");
    let listed = world.upload(&["list", "--json"]).run().succeeds();
    let line: Value = serde_json::from_str(listed.line()).unwrap();
    assert_eq!(line["path"], "-");
    assert_eq!(
        (&line["name"], &line["stream"]),
        (&"db.sql".into(), &true.into())
    );
    assert_eq!(
        (&line["size"], &line["stored_bytes"]),
        (&Value::Null, &PART.into())
    );
    let id = line["upload"].as_str().unwrap();
    for subject in [id, "-"] {
        let output = world.resume().arg(subject).run().exits(1);
        let output = output.stderr_contains("run the whole pipeline again");
        assert_eq!(output.stdout(), "");
    }
    let list = world.upload(&["list"]).run().succeeds();
    assert!(list.stdout().contains("- (db.sql)"), "{list}");
    let status = world.upload(&["status", "-", "--remote"]).run().succeeds();
    for text in ["- (db.sql)", "5.0 MiB stored", "unknown", "1 parts stored"] {
        assert!(status.stdout().contains(text), "{text}: {status}");
    }
    world.upload(&["abort", id]).run().succeeds();
    assert_holds_nothing(&world);
}

#[test]
fn stream_needs_a_name_and_stands_alone() {
    let world = World::new();
    let null = || File::open("/dev/null").unwrap();
    world
        .upload(&["put", "-"])
        .stdin_from(null())
        .run()
        .exits(2)
        .stderr_contains("upload put - --name db.sql.zst");
    for words in [
        &["put", "-", "a", "--name", "x"][..],
        &["put", "a", "--expected-size", "1G"],
        &[
            "put",
            "-",
            "--name",
            "x",
            "--min-size",
            "1",
            "--allow-empty",
        ],
        &["put", "--from-command", "--", "true"],
    ] {
        world.upload(words).stdin_from(null()).run().exits(2);
    }
    let terminal = Terminal::new(80);
    world
        .upload(&["put", "-", "--name", "x"])
        .stdin_from(terminal.tty())
        .run()
        .exits(2)
        .stderr_contains("is a terminal");
    assert_eq!(world.proxy.traffic().0.len(), 0);
}

#[test]
fn companion_needs_the_size_of_a_source() {
    let world = World::new();
    let args = ["--backend", "companion+http://127.0.0.1:9"];
    put_stream(&world, "x")
        .args(args)
        .stdin_from(File::open("/dev/null").unwrap())
        .run()
        .exits(78)
        .stderr_contains("needs the size");
}

#[test]
fn dry_run_reads_nothing() {
    let world = World::new();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"bytes").unwrap();
    drop(writer);
    let stdin = File::from(OwnedFd::from(reader.try_clone().unwrap()));
    let put = put_stream(&world, "x").arg("--dry-run");
    let output = put.stdin_from(stdin).run().succeeds();
    assert!(
        output.stderr().contains("a stream of unknown size"),
        "{output}"
    );
    let mut left = String::new();
    reader.read_to_string(&mut left).unwrap();
    assert_eq!(left, "bytes");
    assert_holds_nothing(&world);
}

#[test]
fn stream_to_the_embedded_store_is_read_back() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART + 7);
    let output = world
        .sandbox
        .upload([
            "put",
            "-",
            "--name",
            "a.bin",
            "--backend",
            "embedded",
            "--json",
        ])
        .stdin_from(File::open(&file).unwrap())
        .run()
        .succeeds();
    let receipt = events(&output).into_iter().find_map(|event| match event {
        Event::Completed { receipt, .. } => Some(receipt),
        _ => None,
    });
    let id = receipt.expect("a receipt").id;
    let copy = world.sandbox.upload(["cat", &id]).run().succeeds();
    assert_eq!(files::sha256_of(copy.stdout_bytes()), files::sha256(&file));
}

/// The largest resident set so far in bytes; `None` after the end of the process.
fn peak_memory(running: &Running) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).ok()?;
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[test]
fn stream_of_512_mib_uses_at_most_96_mib() {
    let world = World::new();
    let mut running = world
        .upload(&["put", "--name", "zeros", "--from-command", "--"])
        .args(["head", "-c", "536870912", "/dev/zero"])
        .spawn();
    let mut most = 0;
    wait::within(Duration::from_mins(5), || {
        most = most.max(peak_memory(&running).unwrap_or_default());
        (!running.is_running()).then_some(())
    })
    .expect("the end of the upload");
    running.wait().succeeds();
    let zeros = world.sandbox.path("zeros");
    files::sparse(&zeros, 512 * MIB);
    world.assert_holds_only(&zeros);
    assert!(most > MIB, "the peak was not measured");
    assert!(most <= 96 * MIB, "peak: {} MiB", most / MIB);
}

/// The last shares of the time for which the producer has waited, and for which the program has.
fn waits(running: &Running) -> Option<(u64, u64)> {
    let lines = running.stdout();
    let mut lines = lines.lines().rev();
    lines.find_map(|line| {
        let event: Value = serde_json::from_str(line).ok()?;
        let producer = event["producer_waits_percent"].as_u64()?;
        Some((producer, event["waits_for_producer_percent"].as_u64()?))
    })
}

#[test]
fn progress_says_whether_the_producer_or_the_network_is_slower() {
    let world = World::new();
    let put = || {
        let put = ["put", "-", "--name", "dump", "--json", "--buffer", "10MiB"];
        let (reader, writer) = std::io::pipe().unwrap();
        let put = world.upload(&put).args(["--part-size", "5MiB"]);
        (put.stdin_from(File::from(OwnedFd::from(reader))), writer)
    };
    // The producer writes nothing.
    let (command, writer) = put();
    let mut running = command.spawn();
    running.wait_for("an idle upload", |running| {
        let (producer, own) = waits(running)?;
        (producer == 0 && own >= 95).then_some(())
    });
    drop(writer);
    running.wait().exits(65);
    // The store accepts nothing.
    let (command, mut writer) = put();
    world.part_proxy().block_after(MIB);
    let mut running = command.spawn();
    let producer = thread::spawn(move || writer.write_all(&vec![7; 30 << 20]));
    running.wait_for("a producer that waits", |running| {
        let (producer, own) = waits(running)?;
        (producer >= 50 && own < 50).then_some(())
    });
    world.part_proxy().unblock();
    running.wait().succeeds();
    producer.join().unwrap().unwrap();
}
