//! Tokens and signatures appear in no output and in no file of client or gateway.

use std::fs;
use std::path::PathBuf;

use crate::support::PART;
use crate::support::command::{Command, Output};
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;

/// Query parameters of a presigned URL.
const SIGNATURE: [&str; 2] = ["X-Amz-Signature", "X-Amz-Credential"];

#[track_caller]
fn assert_no_secret(name: &str, bytes: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let found = String::from_utf8_lossy(bytes).contains(secret);
        assert!(!found, "{name} contains {secret}");
    }
}

#[track_caller]
fn assert_no_secret_in_output(output: &Output, secrets: &[&str]) {
    assert_no_secret("standard output", output.stdout_bytes(), secrets);
    assert_no_secret("standard error", output.stderr().as_bytes(), secrets);
}

#[track_caller]
fn assert_no_secret_in_files(files: Vec<PathBuf>, secrets: &[&str]) {
    for path in files {
        // Skips the source and its stored parts, which are large and random.
        if path
            .metadata()
            .is_ok_and(|found| found.len() > 0 && found.len() % PART == 0)
        {
            continue;
        }
        assert_no_secret(
            &path.display().to_string(),
            &fs::read(&path).unwrap_or_default(),
            secrets,
        );
    }
}

#[test]
fn killed_and_resumed_put_shows_and_keeps_no_secret() {
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
    let verbose = |command: Command| {
        command
            .arg("-vvv")
            .env("UPLOAD_TOKEN", &token)
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "1")
    };

    // Killed in mid-transfer, so that the journal of an unfinished upload is searched too.
    let output = world
        .run_until_blocked(verbose(world.put(&file)), 3 * PART)
        .kill9();
    assert_no_secret_in_output(&output, &secrets);
    assert_no_secret_in_files(world.sandbox.files(), &secrets);
    world.proxy.unblock();

    let output = verbose(world.resume()).run().succeeds();
    assert_no_secret_in_output(&output, &secrets);
    let log = world.gateway.kill9();
    assert_no_secret("the gateway's log", log.as_bytes(), &secrets);
    assert_no_secret_in_files(world.sandbox.files(), &secrets);
    assert_no_secret_in_files(world.gateway.sandbox().files(), &secrets);
}

/// S3's error for a wrong signature, which holds the signed string and the signature.
fn signature_mismatch() -> Fault {
    let error = "<Error><Code>SignatureDoesNotMatch</Code><Message>canary-message</Message><StringToSign>canary-signed\
                 </StringToSign><SignatureProvided>canary-signature</SignatureProvided></Error>";
    Fault::Respond(
        Response::new(403)
            .header("x-amz-request-id", "ABC")
            .body("application/xml", error),
    )
}

/// Every verb that calls a backend, with the most verbose output and with faults.
#[test]
fn verbose_output_of_every_verb_holds_no_secret() {
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
        // If an HTTP proxy is configured, the HTTP library sends the parts, and its errors may hold
        // URLs. `NO_PROXY` excludes this machine.
        command = command
            .env("RUST_BACKTRACE", "full")
            .env("http_proxy", "http://127.0.0.1:1")
            .env("NO_PROXY", "127.0.0.1");
        path.into_iter().fold(command, Command::arg).run()
    };
    let check = |output: &Output| {
        assert_no_secret_in_output(output, &secrets);
        assert_no_secret_in_files(world.sandbox.files(), &secrets);
    };
    for json in [&[][..], &["--json"]] {
        let with = |args: &[&'static str]| [args, json].concat();
        let file = world.sandbox.file(&format!("{}.bin", json.len()), 3 * PART);
        world
            .proxy
            .inject(Requests::put().first(20), signature_mismatch());
        check(&run(&with(&["put", "--part-size", "5MiB"]), Some(&file)).exits(77));
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
        check(&run(&with(&["resume"]), None).succeeds());
        world.proxy.clear_faults();
        for args in [
            &["list", "--all"][..],
            &["config"],
            &["put", "--dry-run"],
            &["put"],
        ] {
            let path = (args[0] == "put").then_some(file.as_path());
            check(&run(&[args, json].concat(), path).succeeds());
        }
        check(&run(&with(&["status", "--remote"]), Some(&file)));
        // `upload url` prints a presigned URL, on standard output only.
        let url = run(&with(&["url"]), Some(&file)).succeeds();
        assert!(url.stdout().contains(SIGNATURE[0]), "{url}");
        assert_no_secret("standard error", url.stderr().as_bytes(), &secrets);
        let cat = run(&with(&["cat"]), Some(&file)).succeeds();
        assert_no_secret("standard error", cat.stderr().as_bytes(), &secrets);
        world.proxy.inject(
            Requests::get("/url"),
            Fault::Respond(Response::new(500).body("text/plain", "canary-body")),
        );
        check(&run(&with(&["url"]), Some(&file)));
        world.proxy.clear_faults();
        world.proxy.inject(Requests::put(), Fault::slow_down());
        check(
            &run(
                &with(&["put", "--force", "--give-up-after", "1s"]),
                Some(&file),
            )
            .exits(75),
        );
        world.proxy.clear_faults();
        check(&run(&with(&["abort"]), Some(&file)));
        let wrong = world
            .upload(&["put", "--force"])
            .arg(&file)
            .env("UPLOAD_TOKEN", "canary-token")
            .arg("-vvv")
            .run();
        check(&wrong.exits(77));
    }
}

/// The journal holds uploads of two backends. Without `--backend`, a token or header could reach
/// both.
#[test]
fn token_or_header_needs_a_backend_if_the_journal_names_several() {
    let (world, other) = (World::new(), World::new());
    let file = world.sandbox.file("film.bin", 3 * PART);
    for backend in [&world, &other] {
        backend
            .run_until_blocked(
                world.put(&file).env("UPLOAD_BACKEND", backend.proxy.url()),
                PART + 1,
            )
            .kill9();
        backend.proxy.unblock();
    }
    let requests = || [&world, &other].map(|backend| backend.proxy.traffic().0.len());
    let before = requests();
    let resume = || world.sandbox.upload(["resume"]);
    for resume in [
        resume().args(["--header", "x-key: canary"]),
        resume().env("UPLOAD_TOKEN", "canary"),
    ] {
        resume.run().exits(78).stderr_contains("--backend");
    }
    assert_eq!(requests(), before, "a backend received a request");
}
