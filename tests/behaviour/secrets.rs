//! Tokens and signatures are nowhere: not in what is printed, not in what is kept.
//!
//! Border: everything under the temporary directories of client and gateway is searched, but for the file's own bytes.

use std::fs;
use std::path::PathBuf;

use crate::interrupt::held;
use crate::support::PART;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;

/// Marks of a presigned URL.
const SIGNATURE: [&str; 2] = ["X-Amz-Signature", "X-Amz-Credential"];

#[track_caller]
fn holds_none(what: &str, bytes: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let found = String::from_utf8_lossy(bytes).contains(secret);
        assert!(!found, "{secret} stands in {what}");
    }
}

#[test]
fn no_token_and_no_signature_is_printed_or_kept() {
    let mut world = World::with_args(&["--auth", "tokens", "-vvv", "--log-format", "json"]);
    let token = world.gateway.token("canary");
    let file = world.sandbox.file("film.bin", 6 * PART);
    world.proxy.inject(Requests::put().nth(1), Fault::expired());
    world
        .proxy
        .inject(Requests::put().nth(2), Fault::FlipBit { at: 1 });
    world
        .proxy
        .inject(Requests::put().nth(3), Fault::CutAfter { bytes: 100 });
    let secrets = [token.as_str(), SIGNATURE[0], SIGNATURE[1]];
    let loud = |command: crate::support::command::Command| {
        command
            .arg("-vvv")
            .env("UPLOAD_TOKEN", &token)
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "1")
    };

    // Killed in the middle, so that the journal is looked at as it stands half way.
    let output = held(&world, loud(world.put(&file)), 3 * PART).kill9();
    holds_none("standard output", output.stdout_bytes(), &secrets);
    holds_none("standard error", output.stderr().as_bytes(), &secrets);
    search(world.sandbox.files(), &secrets);
    world.proxy.unblock();

    let output = loud(world.resume()).run().succeeds();
    holds_none("standard output", output.stdout_bytes(), &secrets);
    holds_none("standard error", output.stderr().as_bytes(), &secrets);
    let spoken = world.gateway.kill9();
    holds_none("the gateway's standard error", spoken.as_bytes(), &secrets);
    search(world.sandbox.files(), &secrets);
    search(world.gateway.sandbox().files(), &secrets);
}

/// What S3 says of a signature that does not fit: the whole of what was signed, and the signature.
fn echo() -> Fault {
    let error = "<Error><Code>SignatureDoesNotMatch</Code><Message>canary-message</Message><StringToSign>canary-signed\
                 </StringToSign><SignatureProvided>canary-signature</SignatureProvided></Error>";
    Fault::Respond(
        Response::new(403)
            .header("x-amz-request-id", "ABC")
            .body("application/xml", error),
    )
}

/// Every verb that talks to a backend, as loud as it gets, with everything going wrong in between.
#[test]
fn no_verb_prints_a_secret_however_loud() {
    let world = World::with_args(&["--auth", "tokens", "-vvv"]);
    let token = world.gateway.token("canary");
    let secrets = [
        token.as_str(),
        SIGNATURE[0],
        SIGNATURE[1],
        "Bearer",
        "canary-",
    ];
    let run = |args: &[&str], path: Option<&std::path::Path>| {
        let mut command = world
            .upload(args)
            .env("UPLOAD_TOKEN", &token)
            .env("RUST_LOG", "trace")
            .arg("-vvv");
        // With a proxy configured, parts go by the HTTP library, whose errors name URLs; this machine is reached without it.
        command = command
            .env("RUST_BACKTRACE", "full")
            .env("http_proxy", "http://127.0.0.1:1")
            .env("NO_PROXY", "127.0.0.1");
        path.into_iter()
            .fold(command, crate::support::command::Command::arg)
            .run()
    };
    let silent = |output: &crate::support::command::Output| {
        holds_none("standard output", output.stdout_bytes(), &secrets);
        holds_none("standard error", output.stderr().as_bytes(), &secrets);
        search(world.sandbox.files(), &secrets);
    };
    for json in [&[][..], &["--json"]] {
        let with = |args: &[&'static str]| [args, json].concat();
        let file = world.sandbox.file(&format!("{}.bin", json.len()), 3 * PART);
        world.proxy.inject(Requests::put().first(20), echo());
        silent(&run(&with(&["put", "--part-size", "5MiB"]), Some(&file)).exits(77));
        world.proxy.clear_faults();
        world
            .proxy
            .inject(Requests::put().first(3), Fault::CutAfter { bytes: 100 });
        world
            .proxy
            .inject(Requests::sign().nth(2), Fault::DropResponse);
        world
            .proxy
            .inject(Requests::complete().nth(1), Fault::DropResponse);
        silent(&run(&with(&["resume"]), None).succeeds());
        world.proxy.clear_faults();
        for args in [
            &["list", "--all"][..],
            &["config"],
            &["put", "--dry-run"],
            &["put"],
        ] {
            let path = (args[0] == "put").then_some(file.as_path());
            silent(&run(&[args, json].concat(), path).succeeds());
        }
        silent(&run(&with(&["status", "--remote"]), Some(&file)));
        // Whoever asks for a URL gets one, on standard output and nowhere else.
        let url = run(&with(&["url"]), Some(&file)).succeeds();
        assert!(url.stdout().contains(SIGNATURE[0]), "{url}");
        holds_none("standard error", url.stderr().as_bytes(), &secrets);
        let cat = run(&with(&["cat"]), Some(&file)).succeeds();
        holds_none("standard error", cat.stderr().as_bytes(), &secrets);
        world.proxy.inject(
            Requests::get("/url"),
            Fault::Respond(Response::new(500).body("text/plain", "canary-body")),
        );
        silent(&run(&with(&["url"]), Some(&file)));
        world.proxy.clear_faults();
        world.proxy.inject(Requests::put(), Fault::slow_down());
        silent(
            &run(
                &with(&["put", "--force", "--give-up-after", "1s"]),
                Some(&file),
            )
            .exits(75),
        );
        world.proxy.clear_faults();
        silent(&run(&with(&["abort"]), Some(&file)));
        let wrong = world
            .upload(&["put", "--force"])
            .arg(&file)
            .env("UPLOAD_TOKEN", "canary-token")
            .arg("-vvv")
            .run();
        silent(&wrong.exits(77));
    }
}

#[track_caller]
fn search(files: Vec<PathBuf>, secrets: &[&str]) {
    for path in files {
        // The source and its stored parts: random bytes, and many.
        if path
            .metadata()
            .is_ok_and(|found| found.len() > 0 && found.len() % PART == 0)
        {
            continue;
        }
        holds_none(
            &path.display().to_string(),
            &fs::read(&path).unwrap_or_default(),
            secrets,
        );
    }
}

/// Without a backend that is named, a token or a header is nobody's where there are two who might get it.
#[test]
fn one_secret_is_not_shown_to_several_backends() {
    let (world, other) = (World::new(), World::new());
    let file = world.sandbox.file("film.bin", 3 * PART);
    for to in [&world, &other] {
        held(
            to,
            world.put(&file).env("UPLOAD_BACKEND", to.proxy.url()),
            PART + 1,
        )
        .kill9();
        to.proxy.unblock();
    }
    let asked = || [&world, &other].map(|to| to.proxy.traffic().0.len());
    let before = asked();
    let resume = || world.sandbox.upload(["resume"]);
    for resume in [
        resume().args(["--header", "x-key: canary"]),
        resume().env("UPLOAD_TOKEN", "canary"),
    ] {
        resume.run().exits(78).stderr_contains("--backend");
    }
    assert_eq!(asked(), before, "somebody was asked");
}
