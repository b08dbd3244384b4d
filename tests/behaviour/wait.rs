//! `--wait ready`: the command ends when the gateway's hooks have ended, and as they did.
//!
//! Border: what a user sees; how hooks are run and what becomes of objects is `gateway_api/hooks`.

use std::fs;
use std::path::Path;

use crate::support::command::Output;
use crate::support::events::{Event, events};
use crate::support::interceptor::{HoldPoint, Interceptor};
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;

/// A gateway with one hook, a few words of shell.
#[track_caller]
fn checked_by(script: &str, more: &[&str]) -> World {
    let arg = format!("check={script}");
    let args = [
        "--hook",
        "check=exec:/bin/sh",
        "--hook-arg",
        "check=-c",
        "--hook-arg",
        &arg,
    ];
    World::with_args(&[&args, more].concat())
}

/// Shell that waits for a file.
fn until(path: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.02; done", path.display())
}

/// Shell that finds something bad, in words that are to harm no terminal.
const REJECTS: &str = r#"printf %s '{"reason":"Eicar \u001b[31m found"}'; exit 10"#;

#[track_caller]
fn rejected(output: Output) -> Output {
    let output = output.exits(77).stderr_contains("Eicar [31m found");
    assert!(
        output.stdout().is_empty() && !output.stderr().contains('\u{1b}'),
        "{output}"
    );
    output
}

#[test]
fn it_ends_when_the_checks_have_ended() {
    let place = Sandbox::new();
    let go = place.path("go");
    let world = checked_by(&until(&go), &[]);
    let (now, later) = (
        world.sandbox.file("now.bin", 100),
        world.sandbox.file("later.bin", 100),
    );
    // Who does not wait does not wait.
    world.put(&now).run().succeeds().line();
    let mut waits = world.put(&later).args(["--wait", "ready"]).spawn();
    waits.wait_for("that it waits", |it| {
        it.stderr()
            .contains("waiting for the backend's checks")
            .then_some(())
    });
    let mut told = world.put(&now).args(["--wait", "ready", "--json"]).spawn();
    told.wait_for("that it waits", |it| {
        it.stdout().contains(r#""type":"waiting""#).then_some(())
    });
    assert!(waits.is_running() && waits.stdout().is_empty());
    fs::write(&go, "").unwrap();
    assert!(
        waits
            .wait()
            .succeeds()
            .line()
            .starts_with("embedded:uploads/")
    );
    let told = events(&told.wait().succeeds());
    assert!(
        matches!(
            &told[told.len() - 2..],
            [Event::Completed { .. }, Event::Exit { code: 0, .. }]
        ),
        "{told:?}"
    );
}

#[test]
fn what_is_rejected_is_told_with_its_reason_and_not_sent_again_by_itself() {
    let world = checked_by(REJECTS, &[]);
    let file = world.sandbox.file("bad.bin", 100);
    let put = || world.put(&file).args(["--wait", "ready"]);
    rejected(put().run());
    wait::until("the object to go", || {
        world.store().objects().is_empty().then_some(())
    });
    let sent = world.bytes_put();
    for again in [put().run(), world.put(&file).run()] {
        rejected(again);
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
    rejected(put().arg("--force").run());
    assert_eq!(world.bytes_put(), sent + 100);
}

#[test]
fn who_waited_long_enough_can_wait_again() {
    let place = Sandbox::new();
    let go = place.path("go");
    let world = checked_by(&until(&go), &[]);
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
    for waits in [&mut put, &mut resume] {
        waits.wait_for("that it waits", |it| {
            it.stderr().contains("waiting for").then_some(())
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
fn an_interrupted_wait_is_taken_up_again() {
    let place = Sandbox::new();
    let go = place.path("go");
    let world = checked_by(&until(&go), &[]);
    let file = world.sandbox.file("film.bin", 100);
    let mut waits = world.put(&file).args(["--wait", "ready"]).spawn();
    waits.wait_for("that it waits", |it| {
        it.stderr().contains("waiting for").then_some(())
    });
    waits.signal(rustix::process::Signal::INT);
    waits
        .wait()
        .exits(130)
        .stderr_contains("to continue: upload resume --wait ready ");
    fs::write(&go, "").unwrap();
    world
        .put(&file)
        .args(["--wait", "ready"])
        .run()
        .succeeds()
        .line();
}

/// The second run of the hook is the one that counts, and it gets nothing of what the gateway knows.
#[test]
fn a_gateway_that_dies_while_a_hook_runs_runs_it_again() {
    let place = Sandbox::new();
    let (runs, env) = (place.path("runs"), place.path("env"));
    let script = format!(
        "echo run >> {0}; [ $(wc -l < {0}) -gt 1 ] || exec sleep 600; env > {1}; cat >> {1}",
        runs.display(),
        env.display()
    );
    let mut world = checked_by(&script, &["--lease", "1s"]);
    let file = world.sandbox.file("film.bin", 100);
    let waits = world.put(&file).args(["--wait", "ready"]).spawn();
    wait::until("the hook to run", || {
        fs::read_to_string(&runs)
            .ok()
            .filter(|runs| !runs.is_empty())
    });
    world.restart_gateway();
    waits.wait().succeeds().line();
    assert_eq!(fs::read_to_string(&runs).unwrap(), "run\nrun\n");
    let env = fs::read_to_string(&env).unwrap();
    let names = env
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name);
    let theirs = |name: &&str| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let known = ["PATH", "LANG", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"];
    assert!(
        names.filter(theirs).all(|name| known.contains(&name)),
        "{env}"
    );
}

/// The answer to complete was lost, and by the time anybody asks again the object is gone.
#[test]
fn what_was_rejected_behind_a_lost_answer_is_not_begun_anew() {
    let world = checked_by(REJECTS, &[]);
    let file = world.sandbox.file("bad.bin", 100);
    let gate = Interceptor::of(&world);
    gate.hold(HoldPoint::Response("POST", "/complete"));
    let client = world.put(&file).spawn();
    gate.wait_until_held(1);
    client.kill9();
    gate.release();
    wait::until("the object to go", || {
        world.store().objects().is_empty().then_some(())
    });
    let sent = world.bytes_put();
    rejected(world.resume().run());
    rejected(world.put(&file).run());
    assert_eq!(world.bytes_put(), sent);
    assert!(world.store().objects().is_empty());
}

#[test]
fn a_hook_that_cannot_be_is_refused() {
    let place = Sandbox::new();
    let serve = |args: &[&str]| {
        place
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
