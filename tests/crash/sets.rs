//! Kills of the client at each crash point that `put -r` passes. Afterwards, `upload resume` finds
//! the files again.

use std::fs;
use std::path::PathBuf;

use crate::assertions;
use crate::points::{self, Side};
use crate::support::gateway::Gateway;
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files};

/// Makes a directory with small files, and with one of two parts.
fn directory(sandbox: &Sandbox, seed: u64) -> Vec<PathBuf> {
    let root = sandbox.path("card/sub");
    fs::create_dir_all(&root).unwrap();
    let sizes = [
        ("empty", 0),
        ("a", 1000),
        ("b", 2000),
        ("film", PART + 1000),
    ];
    let files = sizes.map(|(name, size)| {
        let path = root.join(name);
        files::random(&path, size, seed + size);
        path
    });
    files.to_vec()
}

/// Puts a directory with a kill at one passage of this point, and resumes. Returns false if the
/// point was passed less often.
fn put_with_kill(gateway: &Gateway, seed: u64, point: &str, passage: u32) -> bool {
    let client = Sandbox::new();
    let files = directory(&client, seed);
    let store = gateway.store();
    let earlier = store.objects();
    let crash_point = format!("{point}:{passage}");
    let flags = ["--json", "--jobs", "2", "--backend", &gateway.url()];
    let put = client.upload(["put", "-r", "card"]).args(flags);
    let output = put.env("UPLOAD_CRASH", &crash_point).run();
    assertions::assert_no_secrets(&output);
    let was_killed = output.code().is_none();
    if was_killed {
        // Before the set is recorded, there may be no journal; afterwards, it may be finished.
        let list = client.upload(["list", "--json"]).run().succeeds();
        let is_unfinished = list.stdout().contains(r#""type":"set""#);
        let again = if is_unfinished {
            client.upload(["resume"])
        } else {
            client.upload(["put", "-r", "card"]).args(flags)
        };
        let output = again.run().succeeds();
        assertions::assert_no_secrets(&output);
    } else {
        assert_eq!(output.code(), Some(0), "{crash_point}: {output}");
    }
    assertions::assert_stored(&store, &earlier, &files);
    let list = client.upload(["list", "--json"]).run().succeeds();
    assert_eq!(list.stdout(), "", "{crash_point}");
    assertions::assert_databases_intact(client.files());
    was_killed
}

#[test]
fn directory_that_is_killed_at_each_point_is_whole_after_resume() {
    let gateway = Gateway::start(&[], &[]);
    let mut seed = 0;
    let mut killed = 0;
    for point in points::of(Side::Client) {
        seed += 10_000_000;
        killed += u32::from(put_with_kill(&gateway, seed, &point, 1));
    }
    assert!(killed >= 20, "only {killed} points were passed");
    for point in points::of(Side::Sets) {
        for passage in 1..=3 {
            seed += 10_000_000;
            let was_killed = put_with_kill(&gateway, seed, &point, passage);
            assert!(
                was_killed || passage > 1,
                "no process was killed at {point}"
            );
        }
    }
}
