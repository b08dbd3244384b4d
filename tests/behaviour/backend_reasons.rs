//! The reason of a failure that lies with the backend, its store or the network between, and what
//! the client says of a backend: clocks, firewalls, missing tokens, missing proof.
//!
//! Not here: exit codes of other permanent failures (`chaos::permanent_failures`).

use jiff::{SignedDuration, Timestamp};

use crate::support::PART;
use crate::support::command::Output;
use crate::support::events::failure_kind;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;

/// The `Date` of a server whose clock is ahead of that of this machine.
fn date(ahead: SignedDuration) -> String {
    let date = (Timestamp::now() + ahead).to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::rfc2822::to_string(&date).unwrap()
}

/// A gateway whose clock is behind signs URLs that have expired for the store. No further URL is
/// better, so the run ends at a terminal too (`--give-up-after never`).
#[test]
fn urls_that_are_expired_when_made_end_the_run_with_the_clocks_named() {
    for (size, parts) in [(10, 1), (2 * PART, 2)] {
        let world = World::new();
        let file = world.sandbox.file("film.bin", size);
        let expired = Response::s3_with_message(403, "AccessDenied", "Request has expired");
        let date = date(SignedDuration::from_mins(20));
        let fault = Fault::Respond(expired.header("date", &date));
        world.proxy.inject(Requests::put(), fault);
        let put = || {
            world
                .put(&file)
                .args(["--json", "--give-up-after", "never"])
        };
        let output = put().run().exits(75);
        assert_eq!(failure_kind(&output), "url_expired");
        let stderr = output.stderr();
        let minutes = ["19m", "20m"]
            .iter()
            .any(|minutes| stderr.contains(minutes));
        assert!(minutes && stderr.contains("behind"), "{output}");
        let puts = world.proxy.traffic().count("PUT");
        assert!(puts <= 5 * parts, "{puts} requests");
        world.proxy.clear_faults();
        put().run().succeeds();
        world.assert_holds_only(&file);
    }
}

/// The permissions of the bucket have nothing to do with it.
#[test]
fn html_403_is_from_a_proxy_or_firewall_and_not_from_the_store() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    world.proxy.inject(Requests::put(), Fault::html_page(403));
    let output = world.put(&file).arg("--json").run().exits(69);
    assert_eq!(failure_kind(&output), "incompatible");
    assert!(output.stderr().contains("firewall"), "{output}");
    assert!(!output.stderr().contains("bucket"), "{output}");
    assert!(world.proxy.traffic().count("PUT") <= 2);
    // S3's own refusal, for comparison.
    world.proxy.clear_faults();
    let denied = Fault::s3(403, "AccessDenied");
    world.proxy.inject(Requests::put(), denied);
    let output = world.put(&file).run().exits(77);
    assert!(output.stderr().contains("bucket"), "{output}");
    // The backend behind a firewall.
    world.proxy.inject(Requests::info(), Fault::html_page(403));
    let output = world.put(&file).run().exits(77);
    assert!(output.stderr().contains("firewall"), "{output}");
}

#[test]
fn missing_token_and_wrong_token_are_different_errors() {
    let world = World::with_args(&["--auth", "tokens"]);
    let token = world.gateway.token("ci");
    let file = world.sandbox.file("film.bin", 10);
    let missing = world.put(&file).run().exits(77);
    assert!(missing.stderr().contains("none was given"), "{missing}");
    let put = || world.put(&file).env("UPLOAD_TOKEN", format!("{token}x"));
    let wrong = put().run().exits(77);
    assert!(!wrong.stderr().contains("none was given"), "{wrong}");
    // The hint of the first helps.
    world
        .put(&file)
        .env("UPLOAD_TOKEN", &token)
        .run()
        .succeeds();
    let asked = world.upload(&["status", "--remote"]).arg(&file).run();
    let asked = asked.exits(77);
    assert!(asked.stderr().contains("none was given"), "{asked}");
}

#[test]
fn backend_without_proof_is_named_once_in_a_run() {
    let world = World::new();
    let (first, second) = (
        world.sandbox.file("first.bin", 10),
        world.sandbox.file("second.bin", 10),
    );
    let put = |args: &[&str]| {
        world
            .put(&first)
            .arg(&second)
            .arg("--force")
            .args(args)
            .run()
    };
    let named = |output: &Output| output.stderr().matches("proof: none").count();
    assert_eq!(named(&put(&[]).succeeds()), 0);
    // Of the same length, as the proxy requires.
    let (sha256, none) = (r#""proof":"sha256""#, r#""proof":"none"  "#);
    let replace = Fault::ReplaceText(sha256.to_owned(), none.to_owned());
    world.proxy.inject(Requests::info(), replace);
    for args in [&[][..], &["--quiet"], &["--json"]] {
        let output = put(args).succeeds();
        assert_eq!(named(&output), 1, "{output}");
        let warning = output
            .stderr()
            .lines()
            .find(|line| line.contains("proof: none"));
        assert!(warning.unwrap().contains(&world.proxy.url()), "{output}");
    }
}
