//! `upload serve sweep` while a gateway runs: a dry run, then a sweep. Another gateway's upload in
//! the same bucket must stay.
//!
//! Not here: the cases of a sweep (unit tests of the gateway).

use serde_json::Value;

use crate::support::PART;
use crate::support::command::Command;
use crate::support::commit_proxy::{CommitProxy, Loss};
use crate::support::gateway::{Gateway, store_args};
use crate::support::postgres::Database;
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::wait;

/// A gateway without a periodic sweep, and a bucket that holds an abandoned upload of this gateway
/// and one of another.
struct AbandonedUploads {
    _other: Gateway,
    bucket: S3,
    gateway: Gateway,
    args: Vec<String>,
    envs: Vec<(String, String)>,
    id: String,
}

impl AbandonedUploads {
    #[track_caller]
    fn new(database: Option<&Database>) -> Self {
        let other = Gateway::start(&[], &[]);
        let bucket = other.store();
        let (bucket_url, endpoint) = (
            format!("s3://{}", bucket.bucket()),
            format!("http://{}", bucket.addr()),
        );
        let args = [
            &store_args(&bucket_url, &endpoint)[..],
            &["--lease", "1s", "--upload-ttl", "1s"],
        ]
        .concat();
        let mut envs = bucket.envs().to_vec();
        envs.extend(database.map(Database::env));
        let gateway = Gateway::start(&[&args[..], &["--sweep-every", "never"]].concat(), &envs);
        begin_and_die(&other.url());
        let id = begin_and_die(&gateway.url());
        assert_eq!(bucket.open_uploads().len(), 2);
        let args = args.into_iter().map(str::to_owned).collect();
        let envs = envs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            _other: other,
            bucket,
            gateway,
            args,
            envs,
            id,
        }
    }

    fn sweep(&self, args: &[&str]) -> Command {
        let mut sweep = self
            .gateway
            .sandbox()
            .upload(["serve", "sweep"])
            .args(&self.args)
            .args(args);
        for (name, value) in &self.envs {
            sweep = sweep.env(name, value);
        }
        sweep
    }

    /// Runs the sweep; returns its lines of JSON.
    #[track_caller]
    fn sweep_json(&self, args: &[&str]) -> Vec<Value> {
        let output = self.sweep(&[args, &["--json"]].concat()).run().succeeds();
        output
            .lines()
            .into_iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Begins an upload of two parts and dies after the first; returns the upload id.
#[track_caller]
fn begin_and_die(url: &str) -> String {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 2 * PART);
    let put = sandbox
        .upload(["put", "--part-size", "5MiB", "--backend", url])
        .arg(&file);
    let died = put.env("UPLOAD_CRASH", "transfer.stored:1").run();
    assert_eq!(died.code(), None, "{died}");
    sandbox
        .upload(["list"])
        .run()
        .succeeds()
        .line()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

fn with_action<'a>(lines: &'a [Value], action: &str) -> Vec<&'a Value> {
    lines
        .iter()
        .filter(|line| line["action"] == action)
        .collect()
}

#[track_caller]
fn dry_run_then_sweep(database: Option<&Database>) {
    let uploads = AbandonedUploads::new(database);
    let found = wait::until("an expired upload", || {
        let lines = uploads.sweep_json(&["--dry-run"]);
        (!with_action(&lines, "expire").is_empty()).then_some(lines)
    });
    let [expired] = with_action(&found, "expire")[..] else {
        panic!("one expired upload expected: {found:?}")
    };
    assert_eq!(
        (expired["upload"].as_str(), &expired["state"]),
        (Some(uploads.id.as_str()), &"uploading".into())
    );
    assert_eq!(
        (&expired["multiparts"], &expired["object"]),
        (&1.into(), &false.into())
    );
    let [orphan] = with_action(&found, "report")[..] else {
        panic!("one orphan expected: {found:?}")
    };
    let key = orphan["key"].as_str().unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    // The dry run changed nothing.
    assert_eq!(uploads.bucket.open_uploads().len(), 2);
    assert_eq!(uploads.sweep_json(&["--dry-run"]), found);
    let output = uploads
        .sweep(&["--dry-run"])
        .run()
        .succeeds()
        .stderr_contains("would decide 0, expire 1, abort 0, clean up 0");
    assert!(
        output.stdout().contains("would expire") && output.stdout().contains("unknown"),
        "{output}"
    );

    let done = uploads.sweep_json(&[]);
    let [expired] = with_action(&done, "expire")[..] else {
        panic!("one expired upload expected: {done:?}")
    };
    assert_eq!(
        (expired["upload"].as_str(), &expired["became"]),
        (Some(uploads.id.as_str()), &"expired".into())
    );
    assert_eq!(
        (&expired["done"], &expired["dry_run"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        uploads.bucket.open_uploads(),
        [key],
        "the other gateway's upload was aborted"
    );
    assert_eq!(
        uploads.sweep_json(&["--dry-run"]),
        std::slice::from_ref(orphan)
    );
}

#[test]
fn sweep_does_what_its_dry_run_printed() {
    dry_run_then_sweep(None);
}

#[test]
fn sweep_on_postgresql_does_what_its_dry_run_printed() {
    dry_run_then_sweep(Some(&Database::new()));
}

/// Each sweep loses its connection at a later COMMIT than the previous one.
#[test]
fn sweep_on_postgresql_that_loses_its_connection_is_repeated() {
    for loss in [Loss::Commit, Loss::Response] {
        let database = Database::new();
        let uploads = AbandonedUploads::new(Some(&database));
        wait::until("an expired upload", || {
            let lines = uploads.sweep_json(&["--dry-run"]);
            (!with_action(&lines, "expire").is_empty()).then_some(())
        });
        let commits = CommitProxy::start(database.url());
        let mut lost = 0;
        for nth in 1.. {
            commits.lose(nth, loss);
            let sweep = uploads.sweep(&[]);
            sweep
                .env("UPLOAD_LEDGER", commits.url(database.url()))
                .run();
            if !commits.has_lost() {
                break;
            }
            lost += 1;
        }
        assert!(lost >= 2, "a sweep has only {lost} commits");
        // A sweep that was interrupted protects an upload for a while.
        wait::until("the end of the upload", || {
            uploads.sweep(&[]).run().succeeds();
            (uploads.bucket.open_uploads().len() == 1).then_some(())
        });
        assert!(with_action(&uploads.sweep_json(&["--dry-run"]), "expire").is_empty());
    }
}

#[test]
fn embedded_store_of_a_running_gateway_is_not_swept() {
    let gateway = Gateway::start(&[], &[]);
    gateway
        .sandbox()
        .upload(["serve", "sweep", "--dry-run"])
        .run()
        .exits(75)
        .stderr_contains("could not open the store");
}
