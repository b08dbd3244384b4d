//! Hints are followed literally: a command fails, the test runs the command or uses the flag that
//! its hint names, and this succeeds.
//!
//! Not here: whether each verb and flag in the texts exists (`hint_texts`).

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::reading_verbs::{damage_part, embedded};
use crate::support::command::{Command, Output};
use crate::support::events::receipts;
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Proxy, Requests, WHOLE_BODY};
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;
use crate::support::{MIB, PART, files};

/// The last hint on standard error, or the line that says how to continue a stopped run.
#[track_caller]
fn hint(output: &Output) -> &str {
    let mut hints = output.stderr().lines().filter_map(|line| {
        let stopped = line.starts_with("stopped: ").then_some(line);
        line.strip_prefix("hint: ").or(stopped)
    });
    hints
        .next_back()
        .unwrap_or_else(|| panic!("no hint: {output}"))
}

/// The commands that a text names, as a shell reads them, without the word `upload`: those between
/// backticks, and one at the end of the text after a colon.
fn commands(text: &str) -> Vec<Vec<String>> {
    let quoted = text.split('`').skip(1).step_by(2);
    let at_the_end = text.split_once(": upload ").map(|(_, command)| command);
    quoted
        .filter_map(|command| command.strip_prefix("upload "))
        .chain(at_the_end)
        .map(|command| shlex::split(command).expect("a shell can read the command"))
        .collect()
}

/// The only command of the last hint.
#[track_caller]
pub fn command(output: &Output) -> Vec<String> {
    match commands(hint(output)).as_slice() {
        [command] => command.clone(),
        commands => panic!("the hint names {commands:?}: {output}"),
    }
}

/// Replaces a placeholder of a command, as a user does.
fn with(mut command: Vec<String>, placeholder: &str, value: &str) -> Vec<String> {
    let word = command.iter_mut().find(|word| *word == placeholder);
    value.clone_into(word.unwrap_or_else(|| panic!("no {placeholder}")));
    command
}

/// The first flag that the last hint names, with the word that follows it.
#[track_caller]
fn flag(output: &Output) -> (&str, &str) {
    let (_, flag) = hint(output)
        .split_once("--")
        .unwrap_or_else(|| panic!("the hint names no flag: {output}"));
    let mut words = flag.split([' ', ',', ';', ')']);
    (words.next().unwrap(), words.next().unwrap_or_default())
}

#[track_caller]
fn assert_says_run_again(output: &Output) {
    assert!(hint(output).contains("run the command again"), "{output}");
    assert_eq!(commands(hint(output)), Vec::<Vec<String>>::new());
}

fn run(sandbox: &Sandbox, command: Vec<String>) -> Output {
    sandbox.upload(command).run()
}

#[test]
fn lost_gateway_hint_continues_the_upload() {
    let mut world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let journal = world.sandbox.path("my journal.db");
    let put = world
        .put(&file)
        .args(["--give-up-after", "2s", "--journal"])
        .arg(&journal);
    let running = world.run_until_blocked(put, 12 * MIB);
    world.gateway.kill9();
    world.proxy.unblock();
    let output = running.wait().exits(75);
    world.gateway.restart();
    let sent = world.bytes_put();
    run(&world.sandbox, command(&output)).succeeds();
    world.assert_holds_only(&file);
    assert!(
        world.bytes_put() - sent < 8 * PART,
        "the whole file was sent again"
    );
}

#[test]
fn lost_gateway_hint_for_several_files_continues_all() {
    let mut world = World::new();
    let sources = ["a.bin", "b.bin"].map(|name| world.sandbox.file(name, 4 * PART));
    let journal = world.sandbox.path("journal.db");
    let put = world
        .put(&sources[0])
        .arg(&sources[1])
        .args(["--give-up-after", "2s", "--journal"])
        .arg(&journal);
    let running = world.run_until_blocked(put, PART);
    world.gateway.kill9();
    world.proxy.unblock();
    let output = running.wait().exits(75);
    world.gateway.restart();
    let last = output.stderr().lines().next_back().unwrap();
    for command in commands(last) {
        run(&world.sandbox, command).succeeds();
    }
    assert_eq!(world.store().objects().len(), 2, "{output}");
}

#[test]
fn unreached_gateway_hint_repeats_the_command() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let put = || world.put(&file).args(["--give-up-after", "1s"]);
    world.proxy.stop_listening();
    assert_says_run_again(&put().run().exits(75));
    world.proxy.listen_again();
    put().run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn interrupt_before_begin_hint_repeats_the_command() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let unanswered = Fault::StallAfter { bytes: WHOLE_BODY };
    world.proxy.inject(Requests::info(), unanswered);
    let running = world.put(&file).spawn();
    wait::until("the first request", || {
        (world.proxy.traffic().count("GET") > 0).then_some(())
    });
    running.signal(Signal::INT);
    assert_says_run_again(&running.wait().exits(130));
    world.proxy.clear_faults();
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn interrupt_hint_continues_the_upload() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 8 * PART);
    let running = world.run_until_blocked(world.put(&file), 12 * MIB);
    running.signal(Signal::TERM);
    world.proxy.unblock();
    let output = running.wait().exits(143);
    run(&world.sandbox, command(&output)).succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn changed_source_hint_uploads_the_file_as_it_is() {
    for change in [
        |file: &Path| files::resize(file, 3 * PART),
        |file: &Path| files::flip_byte(file, 1),
    ] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 8 * PART);
        world.put_and_kill_after_parts(&file, 2);
        change(&file);
        let output = world.resume().run().exits(65);
        run(&world.sandbox, command(&output)).succeeds();
        world.assert_holds_only(&file);
    }
}

#[test]
fn ended_upload_hint_begins_a_new_one() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let (id, _) = world.put_and_kill_after_parts(&file, 1);
    world.upload(&["abort", &id]).run().succeeds();
    let output = world.upload(&["resume", &id]).run().exits(1);
    run(&world.sandbox, command(&output)).succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn busy_upload_hint_repeats_the_command() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 4 * PART);
    let first = world.run_until_blocked(world.put(&file), PART);
    let second = world.put(&file).args(["--give-up-after", "1s"]);
    assert_says_run_again(&second.run().exits(75));
    world.proxy.unblock();
    first.wait().succeeds();
    world.put(&file).run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn busy_store_hint_repeats_the_command_without_the_gateway() {
    let mut gateway = Gateway::start(&[], &[]);
    let file = gateway.sandbox().file("film.bin", 10);
    let put = |sandbox: &Sandbox| {
        let put = sandbox.upload(["put", "--backend", "embedded", "--give-up-after", "3s"]);
        put.arg(&file).run()
    };
    let output = put(gateway.sandbox()).exits(75);
    assert_says_run_again(&output);
    assert!(output.stderr().contains("waiting for the embedded store"));
    gateway.kill9();
    put(gateway.sandbox()).succeeds();
}

#[test]
fn missing_source_hint_names_path_and_files() {
    let sandbox = Sandbox::new();
    let put = |path: &Path| {
        let put = sandbox.upload(["put", "--backend", "embedded"]);
        put.arg(path).run()
    };
    let path = sandbox.path("film.bin");
    let absent = put(&path).exits(66);
    assert!(hint(&absent).contains("check the path"), "{absent}");
    put(&sandbox.file("film.bin", 10)).succeeds();
    let directory = put(&sandbox.path("home")).exits(66);
    assert!(hint(&directory).contains("the files in it"), "{directory}");
}

#[test]
fn rejected_token_hint_names_the_flag() {
    let world = World::with_args(&["--auth", "tokens"]);
    let file = world.sandbox.file("film.bin", 10);
    let output = world.put(&file).run().exits(77);
    let token = world.sandbox.path("token");
    fs::write(&token, world.gateway.token("ci")).unwrap();
    let (name, _) = flag(&output);
    let again = world.put(&file).arg(format!("--{name}")).arg(&token);
    again.run().succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn rejected_type_hint_names_another() {
    let world = World::with_args(&["--allow-type", "image/*"]);
    let file = world.sandbox.file("film.mp4", 10);
    let output = world.put(&file).run().exits(77);
    run(&world.sandbox, with(command(&output), "TYPE", "image/png")).succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn rejected_object_hint_has_it_checked_again() {
    let hooks = Sandbox::new();
    let marker = hooks.path("accept");
    let script = format!("check=[ -e {} ] || exit 10", marker.display());
    let hook = ["--hook", "check=exec:/bin/sh", "--hook-arg", "check=-c"];
    let world = World::with_args(&[&hook[..], &["--hook-arg", &script]].concat());
    let file = world.sandbox.file("film.bin", 10);
    let put = world.put(&file).args(["--wait", "ready"]);
    let output = put.run().exits(77);
    fs::write(&marker, "").unwrap();
    run(&world.sandbox, command(&output)).succeeds();
}

#[test]
fn rejected_part_size_hint_sends_smaller_parts() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 12 * MIB);
    world.proxy.inject(Requests::put(), Fault::html_page(413));
    let put = world
        .upload(&["put", "--part-size", "6MiB", "--give-up-after", "5s"])
        .arg(&file);
    let output = put.run().exits(69);
    world.proxy.clear_faults();
    let commands = commands(hint(&output));
    let [abort, put] = commands.as_slice() else {
        panic!("{output}")
    };
    run(&world.sandbox, abort.clone()).succeeds();
    run(&world.sandbox, with(put.clone(), "SIZE", "5MiB")).succeeds();
    assert_eq!(
        world.proxy.traffic().attempts(3),
        1,
        "12 MiB were not sent in parts of 5 MiB"
    );
    world.assert_holds_only(&file);
}

#[test]
fn other_store_hint_permits_it() {
    let (first, second) = (Proxy::start(), Proxy::start());
    let mut gateway = Gateway::start(&["--public-url", &first.url()], &[]);
    first.forward_to(gateway.addr());
    let client = Sandbox::new();
    let put = |gateway: &Gateway, name: &str| {
        let put = client.upload(["put", "--backend", &gateway.url()]);
        put.arg(client.file(name, 10))
    };
    put(&gateway, "1.bin").run().succeeds();
    gateway.kill9();
    let address = gateway.addr().to_string();
    let serve = ["serve", "--listen", &address, "--public-url", &second.url()];
    let mut moved = gateway.sandbox().upload(serve).spawn();
    moved.wait_for("its address", |moved| {
        moved.stderr().contains("listening on ").then_some(())
    });
    second.forward_to(gateway.addr());
    let output = put(&gateway, "2.bin").run().exits(69);
    let (name, value) = flag(&output);
    let again = put(&gateway, "2.bin").arg(format!("--{name}")).arg(value);
    again.run().succeeds();
}

#[test]
fn unusable_journal_hint_names_another() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let garbage = sandbox.file("garbage", 5000);
    for journal in [sandbox.file("a-file", 1).join("journal.db"), garbage] {
        let put = |flag: &str, journal: &Path| {
            let put = sandbox.upload(["put", "--backend", "embedded", flag]);
            put.arg(journal).arg(&file).run()
        };
        let output = put("--journal", &journal).exits(73);
        let (name, _) = flag(&output);
        put(&format!("--{name}"), &sandbox.path("other.db")).succeeds();
    }
}

#[test]
fn unwritable_receipt_hint_writes_another() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = |flag: &str, receipt: &Path| {
        let put = sandbox.upload(["put", "--backend", "embedded", flag]);
        put.arg(receipt).arg(&file).run()
    };
    let output = put("--receipt", Path::new("/dev/full")).exits(74);
    let (name, _) = flag(&output);
    let other = sandbox.path("receipts.jsonl");
    let again = put(&format!("--{name}"), &other).succeeds();
    assert!(again.stderr().contains("nothing was sent"), "{again}");
    assert_eq!(receipts(&other).len(), 1);
}

#[test]
fn missing_backend_hint_names_one() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    for verb in [&["put"][..], &["list", "--orphans"]] {
        let command = |sandbox: &Sandbox| -> Command {
            let command = sandbox.upload(verb);
            if verb == ["put"] {
                command.arg(&file)
            } else {
                command
            }
        };
        let output = command(&sandbox).run().exits(78);
        assert!(hint(&output).contains("--backend"), "{output}");
        let mut forms = output
            .stderr()
            .lines()
            .filter(|line| line.starts_with("  "));
        let form = forms.next().unwrap().split_whitespace().next().unwrap();
        let again = command(&sandbox).args(["--backend", form]);
        again.run().succeeds();
    }
}

#[test]
fn unknown_upload_hint_lists_those_of_the_same_journal() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let journal = sandbox.path("my journal.db");
    let with_journal = |args: &[&str]| sandbox.upload(args).arg("--journal").arg(&journal);
    with_journal(&["put", "--backend", "embedded"])
        .arg(&file)
        .run()
        .succeeds();
    for verb in ["status", "cat", "url", "abort", "resume"] {
        let output = with_journal(&[verb, "nowhere"]).run().exits(1);
        let listed = run(&sandbox, command(&output)).succeeds();
        assert!(listed.stdout().contains("film.bin"), "{verb}: {listed}");
    }
}

#[test]
fn url_of_embedded_object_hint_reads_it() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 3000);
    let put = sandbox.upload(["put", "--backend", "embedded"]);
    put.arg(&file).run().succeeds();
    let output = sandbox.upload(["url"]).arg(&file).run().exits(69);
    assert_eq!(output.stdout(), "");
    let read = run(&sandbox, command(&output)).succeeds();
    assert_eq!(read.stdout_bytes(), fs::read(&file).unwrap());
}

#[test]
fn unfinished_upload_hint_of_reading_verbs_completes_it() {
    for verb in ["cat", "url"] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", 4 * PART);
        let (id, _) = world.put_and_kill_after_parts(&file, 1);
        let output = world.upload(&[verb, &id]).run().exits(75);
        run(&world.sandbox, command(&output)).succeeds();
        world.assert_holds_only(&file);
    }
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 4 * PART);
    let put = sandbox.upload(["put", "--backend", "embedded"]);
    // One part after the other, so that most are missing when the first is stored.
    let put = put.args([
        "--part-size",
        "5MiB",
        "--jobs",
        "1",
        "--limit-rate",
        "5MiB/s",
    ]);
    let mut running = put.arg("--json").arg(&file).spawn();
    running.wait_for_stdout("\"part\"");
    running.kill9();
    let url = sandbox.upload(["url"]).arg(&file).run().exits(75);
    run(&sandbox, command(&url)).succeeds();
    let read = sandbox.upload(["cat"]).arg(&file).run().succeeds();
    assert_eq!(read.stdout_bytes(), fs::read(&file).unwrap());
}

#[test]
fn removed_object_hint_uploads_the_file_again() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", PART);
    world.put(&file).run().succeeds();
    let [key] = &world.store().objects()[..] else {
        panic!("one object expected")
    };
    world.store().delete(key);
    let output = world.upload(&["cat"]).arg(&file).run().exits(1);
    run(&world.sandbox, command(&output)).succeeds();
    world.assert_holds_only(&file);
}

#[test]
fn wrong_path_of_a_backend_is_not_a_rejected_token() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let backend = format!("{}/elsewhere", world.proxy.url());
    let put = world.sandbox.upload(["put", "--backend", &backend]);
    let output = put.arg(&file).run().exits(69);
    assert!(!hint(&output).contains("token"), "{output}");
}

#[test]
fn damaged_object_hint_uploads_the_file_again() {
    let (sandbox, file) = embedded(3 * PART);
    damage_part(&sandbox, &file, 2);
    let cat = || sandbox.upload(["cat"]).arg(&file).run();
    let output = cat().exits(65);
    run(&sandbox, command(&output)).succeeds();
    assert_eq!(cat().succeeds().stdout_bytes(), fs::read(&file).unwrap());
}

#[test]
fn missing_authentication_hint_makes_a_token() {
    let sandbox = Sandbox::new();
    let check = |more: &[&str]| {
        let check = sandbox.upload(["serve", "--check", "--listen", "0.0.0.0:0"]);
        check.args(more).run()
    };
    let output = check(&[]).exits(78);
    let added = run(&sandbox, with(command(&output), "NAME", "alice")).succeeds();
    assert!(!added.line().is_empty());
    let (name, value) = flag(&output);
    check(&[&format!("--{name}"), value]).succeeds();
}

#[test]
fn unusable_ledger_hint_names_another() {
    let sandbox = Sandbox::new();
    let unusable = sandbox.file("a-file", 1).join("gateway.db");
    for verb in [&["token", "add", "alice"][..], &["sweep"]] {
        let serve = |ledger: String| {
            let serve = sandbox.upload(["serve"]).args(verb);
            serve.arg("--ledger").arg(ledger).run()
        };
        let output = serve(format!("sqlite:{}", unusable.display())).exits(73);
        let (name, value) = flag(&output);
        assert_eq!((name, value), ("ledger", "sqlite:FILE"));
        serve(value.replace("FILE", sandbox.path("other.db").to_str().unwrap())).succeeds();
    }
}

#[test]
fn unknown_token_hint_lists_tokens() {
    let sandbox = Sandbox::new();
    let add = sandbox.upload(["serve", "token", "add", "me"]);
    add.run().succeeds();
    let revoke = sandbox.upload(["serve", "token", "revoke", "nowhere"]);
    let output = revoke.run().exits(1);
    run(&sandbox, command(&output)).succeeds();
}

#[test]
fn unknown_verb_of_man_hint_lists_verbs() {
    let sandbox = Sandbox::new();
    let output = sandbox.upload(["man", "nowhere"]).run().exits(2);
    run(&sandbox, command(&output)).succeeds();
}

#[test]
fn misspelt_key_hint_corrects_it() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("serve.toml");
    let check = |key: &str| {
        fs::write(&path, format!("{key} = \"127.0.0.1:0\"\n")).unwrap();
        let check = sandbox.upload(["serve", "--check", "--config"]);
        check.arg(&path).run()
    };
    let output = check("lisen").exits(78);
    let key = hint(&output).split('`').nth(1).unwrap();
    check(key).succeeds();
}
