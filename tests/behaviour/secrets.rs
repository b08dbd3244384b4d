//! Tokens and signatures are nowhere: not in what is printed, not in what is kept.
//!
//! Border: everything under the temporary directories of client and gateway is searched, but for the file's own bytes.

use std::fs;
use std::path::PathBuf;

use crate::interrupt::held;
use crate::support::PART;
use crate::support::proxy::{Fault, Requests};
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
    let mut world = World::with(&["--auth", "tokens", "-vv"]);
    let token = world.gateway.token("canary");
    let file = world.sandbox.file("film.bin", 6 * PART);
    world.proxy.spoil(Requests::put().nth(1), Fault::expired());
    world.proxy.spoil(Requests::put().nth(2), Fault::FlipBit { at: 1 });
    world.proxy.spoil(Requests::put().nth(3), Fault::CutAfter { bytes: 100 });
    let secrets = [token.as_str(), SIGNATURE[0], SIGNATURE[1]];
    let loud = |command: crate::support::command::Command| {
        command.arg("-vvv").env("UPLOAD_TOKEN", &token).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1")
    };

    // Killed in the middle, so that the journal is looked at as it stands half way.
    let output = held(&world, loud(world.put(&file)), 3 * PART).kill9();
    holds_none("standard output", output.stdout_bytes(), &secrets);
    holds_none("standard error", output.stderr().as_bytes(), &secrets);
    search(world.sandbox.files(), &secrets);
    world.proxy.open();

    let output = loud(world.resume()).run().succeeds();
    holds_none("standard output", output.stdout_bytes(), &secrets);
    holds_none("standard error", output.stderr().as_bytes(), &secrets);
    let spoken = world.gateway.kill9();
    holds_none("the gateway's standard error", spoken.as_bytes(), &secrets);
    search(world.sandbox.files(), &secrets);
    search(world.gateway.sandbox().files(), &secrets);
}

#[track_caller]
fn search(files: Vec<PathBuf>, secrets: &[&str]) {
    for path in files {
        // The source and its stored parts: random bytes, and many.
        if path.metadata().is_ok_and(|found| found.len() > 0 && found.len() % PART == 0) {
            continue;
        }
        holds_none(&path.display().to_string(), &fs::read(&path).unwrap_or_default(), secrets);
    }
}
