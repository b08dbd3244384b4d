//! Kills at each crash point that only streams pass: of the client, and of the gateway. Afterwards
//! the same pipeline runs again.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use crate::assertions;
use crate::points::{self, Side};
use crate::restartable_gateway::RestartableGateway;
use crate::support::command::Command;
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files};

/// Uploads a stream of three parts, with a kill at one passage of this point and a repetition of
/// the pipeline. Returns false if the point was passed less often.
fn put_with_kill(point: &str, passage: u32) -> bool {
    let mut gateway = RestartableGateway::new();
    let is_of_gateway = point.starts_with("gateway.");
    let crash_point = format!("{point}:{passage}");
    gateway.start(Some(("UPLOAD_CRASH", crash_point.as_str())).filter(|_| is_of_gateway));
    let client = Sandbox::new();
    let file = client.file("stream", 2 * PART + 1000);
    let pipeline = |file: &Path| -> Command {
        let args = [
            "put",
            "-",
            "--name",
            "stream",
            "--part-size",
            "5MiB",
            "--jobs",
            "2",
        ];
        let put = client.upload(args);
        let put = put.args(["--backend", &gateway.proxy.url()]);
        put.stdin_from(File::open(file).unwrap())
    };
    let (first, again) = (pipeline(&file), pipeline(&file));
    let first = if is_of_gateway {
        first
    } else {
        first.env("UPLOAD_CRASH", &crash_point)
    };
    let output = gateway.run_client(first);
    assertions::assert_no_secrets(&output);
    let was_killed = output.code().is_none() || gateway.was_killed;
    if output.code() != Some(0) {
        let output = gateway.run_client(again);
        assertions::assert_no_secrets(&output);
        assert_eq!(output.code(), Some(0), "{crash_point}: {output}");
    }
    gateway.restart_if_dead();
    // A stream that was complete when its client was killed stays, beside that of the repetition.
    let store = S3::from_credentials(&gateway.credentials());
    let contents: BTreeSet<String> = store
        .objects()
        .iter()
        .map(|key| store.sha256(key))
        .collect();
    assert_eq!(
        contents,
        BTreeSet::from([files::sha256(&file)]),
        "{crash_point}"
    );
    store.assert_no_open_uploads();
    gateway.kill();
    assertions::assert_databases_intact(gateway.sandbox.files());
    assertions::assert_databases_intact(client.files());
    was_killed
}

#[test]
fn stream_that_is_killed_at_each_point_is_whole_after_the_same_pipeline() {
    let points = points::of(Side::Streams);
    assert!(points.len() >= 7, "{points:?}");
    for point in points {
        assert!(put_with_kill(&point, 1), "no process was killed at {point}");
        if put_with_kill(&point, 2) {
            put_with_kill(&point, 3);
        }
    }
}
