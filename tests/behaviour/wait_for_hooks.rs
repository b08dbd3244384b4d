//! `--wait ready`: the command ends when the gateway's hooks have accepted or rejected the upload.
//!
//! Not here: how hooks run (`gateway_api/hooks`).

use std::fs;
use std::path::Path;

use crate::support::command::Output;
use crate::support::events::{Event, events};
use crate::support::interceptor::{HoldPoint, Interceptor};
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;

/// A gateway with one hook, a shell script.
#[track_caller]
fn with_hook(script: &str, args: &[&str]) -> World {
    let arg = format!("check={script}");
    let hook = [
        "--hook",
        "check=exec:/bin/sh",
        "--hook-arg",
        "check=-c",
        "--hook-arg",
        &arg,
    ];
    World::with_args(&[&hook, args].concat())
}

/// A script that waits until a file exists.
fn wait_for_file(path: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.02; done", path.display())
}

/// A script that rejects the upload, with a terminal escape in its reason.
const REJECT: &str = r#"printf %s '{"reason":"Eicar \u001b[31m found"}'; exit 10"#;

/// Asserts that the run reported the rejection, without the terminal escape.
#[track_caller]
fn assert_rejected(output: Output) {
    let output = output.exits(77).stderr_contains("Eicar [31m found");
    assert!(
        output.stdout().is_empty() && !output.stderr().contains('\u{1b}'),
        "{output}"
    );
}

#[test]
fn wait_ends_when_the_hooks_have_accepted() {
    let hook_sandbox = Sandbox::new();
    let go = hook_sandbox.path("go");
    let world = with_hook(&wait_for_file(&go), &[]);
    let (first, second) = (
        world.sandbox.file("first.bin", 100),
        world.sandbox.file("second.bin", 100),
    );
    let without_waiting = world.put(&first).args(["--wait", "none"]);
    without_waiting.run().succeeds().line();
    let mut plain = world.put(&second).args(["--wait", "ready"]).spawn();
    plain.wait_for("a message that it waits", |running| {
        running.stderr().contains("waiting for").then_some(())
    });
    let mut json = world
        .put(&first)
        .args(["--wait", "ready", "--json"])
        .spawn();
    json.wait_for("a `waiting` event", |running| {
        running
            .stdout()
            .contains(r#""type":"waiting""#)
            .then_some(())
    });
    assert!(plain.is_running() && plain.stdout().is_empty());
    fs::write(&go, "").unwrap();
    assert!(
        plain
            .wait()
            .succeeds()
            .line()
            .starts_with("embedded:uploads/")
    );
    let events = events(&json.wait().succeeds());
    assert!(
        matches!(
            &events[events.len() - 2..],
            [Event::Completed { .. }, Event::Exit { code: 0, .. }]
        ),
        "{events:?}"
    );
}

/// Without `--wait`, a gateway with hooks is waited for: the object may be removed again. Without
/// hooks there is nothing to wait for.
#[test]
fn put_waits_for_hooks_by_default_and_status_shows_the_reason_of_a_rejection() {
    let world = with_hook(REJECT, &[]);
    let file = world.sandbox.file("bad.bin", 100);
    assert_rejected(world.put(&file).run());
    let status = world.upload(&["status", "--remote"]).arg(&file);
    let status = status.run().succeeds();
    assert!(status.stdout().contains("Eicar [31m found"), "{status}");
    assert!(!status.stdout().contains('\u{1b}'), "{status}");
    let hook_sandbox = Sandbox::new();
    let go = hook_sandbox.path("go");
    let world = with_hook(&wait_for_file(&go), &[]);
    let file = world.sandbox.file("film.bin", 100);
    let short = world.put(&file).args(["--wait-timeout", "1s"]).run();
    short.exits(75).stderr_contains("upload resume ");
    world.put(&file).args(["--wait", "none"]).run().succeeds();
    fs::write(&go, "").unwrap();
    world.put(&file).run().succeeds().line();
    let without_hooks = World::new();
    let file = without_hooks.sandbox.file("film.bin", 100);
    let put = without_hooks.put(&file).arg("--json").run().succeeds();
    let events = events(&put);
    let waits = |event: &Event| matches!(event, Event::Waiting { .. });
    assert!(!events.iter().any(waits), "{events:?}");
}

#[test]
fn rejected_upload_is_reported_and_not_sent_again() {
    let world = with_hook(REJECT, &[]);
    let file = world.sandbox.file("bad.bin", 100);
    let put = || world.put(&file).args(["--wait", "ready"]);
    assert_rejected(put().run());
    wait::until("the removal of the object", || {
        world.store().objects().is_empty().then_some(())
    });
    let sent = world.bytes_put();
    for output in [put().run(), world.put(&file).run()] {
        assert_rejected(output);
    }
    world.resume().run().succeeds();
    let listed = world
        .upload(&["list", "--all"])
        .run()
        .succeeds()
        .line()
        .to_owned();
    assert!(listed.contains("  rejected  "), "{listed}");
    let id = listed.split(' ').next().unwrap();
    world.resume().arg(id).run().exits(77);
    let line = world
        .upload(&["status", id, "--json"])
        .run()
        .succeeds()
        .line()
        .to_owned();
    assert!(line.contains(r#""state":"rejected""#), "{line}");
    assert_eq!(world.bytes_put(), sent);
    assert_rejected(put().arg("--force").run());
    assert_eq!(world.bytes_put(), sent + 100);
}

#[test]
fn wait_that_timed_out_can_be_repeated() {
    let hook_sandbox = Sandbox::new();
    let go = hook_sandbox.path("go");
    let world = with_hook(&wait_for_file(&go), &[]);
    let file = world.sandbox.file("film.bin", 100);
    let put = || world.put(&file).args(["--wait", "ready"]);
    let output = put()
        .args(["--wait-timeout", "1s", "--json"])
        .run()
        .exits(75)
        .stderr_contains("upload resume --wait ready ");
    let events = events(&output);
    let Some(Event::Failed {
        upload: Some(id), ..
    }) = events.iter().rev().nth(1)
    else {
        panic!("{events:?}")
    };
    let (mut put, mut resume) = (
        put().spawn(),
        world.resume().args(["--wait", "ready", id]).spawn(),
    );
    for running in [&mut put, &mut resume] {
        running.wait_for("a message that it waits", |running| {
            running.stderr().contains("waiting for").then_some(())
        });
    }
    fs::write(&go, "").unwrap();
    assert_eq!(
        put.wait().succeeds().line(),
        resume.wait().succeeds().line()
    );
    assert_eq!(world.bytes_put(), 100);
}

#[test]
fn interrupted_wait_can_be_repeated() {
    let hook_sandbox = Sandbox::new();
    let go = hook_sandbox.path("go");
    let world = with_hook(&wait_for_file(&go), &[]);
    let file = world.sandbox.file("film.bin", 100);
    let mut waiting = world.put(&file).args(["--wait", "ready"]).spawn();
    waiting.wait_for("a message that it waits", |running| {
        running.stderr().contains("waiting for").then_some(())
    });
    waiting.signal(rustix::process::Signal::INT);
    waiting
        .wait()
        .exits(130)
        .stderr_contains("upload resume --wait ready ");
    fs::write(&go, "").unwrap();
    world
        .put(&file)
        .args(["--wait", "ready"])
        .run()
        .succeeds()
        .line();
}

/// The result of the hook's second run counts. The hook's environment holds none of the gateway's
/// variables.
#[test]
fn killed_gateway_runs_its_hook_again() {
    let hook_sandbox = Sandbox::new();
    let (runs, env) = (hook_sandbox.path("runs"), hook_sandbox.path("env"));
    let script = format!(
        "echo run >> {0}; [ $(wc -l < {0}) -gt 1 ] || exec sleep 600; env > {1}; cat >> {1}",
        runs.display(),
        env.display()
    );
    let mut world = with_hook(&script, &["--lease", "1s"]);
    let file = world.sandbox.file("film.bin", 100);
    let waiting = world.put(&file).args(["--wait", "ready"]).spawn();
    wait::until("the hook's first run", || {
        fs::read_to_string(&runs)
            .ok()
            .filter(|runs| !runs.is_empty())
    });
    world.restart_gateway();
    waiting.wait().succeeds().line();
    assert_eq!(fs::read_to_string(&runs).unwrap(), "run\nrun\n");
    let env = fs::read_to_string(&env).unwrap();
    let names = env
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name);
    let is_variable = |name: &&str| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let allowed = ["PATH", "LANG", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"];
    assert!(
        names
            .filter(is_variable)
            .all(|name| allowed.contains(&name)),
        "{env}"
    );
}

/// The client is killed before the response to complete; the object is removed before the client
/// asks again.
#[test]
fn rejected_upload_with_lost_response_is_not_begun_again() {
    let world = with_hook(REJECT, &[]);
    let file = world.sandbox.file("bad.bin", 100);
    let interceptor = Interceptor::of(&world);
    interceptor.hold(HoldPoint::Response("POST", "/complete"));
    let client = world.put(&file).spawn();
    interceptor.wait_until_held(1);
    client.kill9();
    interceptor.release();
    wait::until("the removal of the object", || {
        world.store().objects().is_empty().then_some(())
    });
    let sent = world.bytes_put();
    assert_rejected(world.resume().run());
    assert_rejected(world.put(&file).run());
    assert_eq!(world.bytes_put(), sent);
    assert!(world.store().objects().is_empty());
}

#[test]
fn invalid_hook_is_rejected_at_start() {
    let sandbox = Sandbox::new();
    let serve = |args: &[&str]| {
        sandbox
            .upload(["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            .run()
    };
    for (args, code) in [
        (&["--hook", "clamav"][..], 2),
        (&["--hook-arg", "a=b"], 2),
        (&["--on-reject", "burn"], 2),
        (&["--hook", "exec:/nowhere"], 78),
        (&["--hook", "exec:bin/sh"], 78),
        (&["--hook", "https://hooks.example/secret-path"], 78),
    ] {
        let output = serve(args).exits(code);
        assert!(!output.stderr().contains("secret-path"), "{output}");
    }
}
