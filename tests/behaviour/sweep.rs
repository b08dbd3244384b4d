//! `upload serve sweep`, beside a gateway that runs: what would be done is told, and then it is done.
//!
//! Border: what a sweep does in each case is tested beside the operations; a second gateway's upload in the same bucket is what
//! nobody here may touch.

use serde_json::Value;

use crate::support::PART;
use crate::support::command::Command;
use crate::support::gateway::Gateway;
use crate::support::postgres::Database;
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::wait;

/// A gateway that sweeps nothing by itself, in whose bucket are an upload that it began and one that it did not; both their clients
/// died.
struct Place {
    _other: Gateway,
    bucket: S3,
    gateway: Gateway,
    args: Vec<String>,
    envs: Vec<(String, String)>,
    id: String,
}

impl Place {
    #[track_caller]
    fn new(database: Option<&Database>) -> Self {
        let other = Gateway::start(&[], &[]);
        let bucket = other.store();
        let (place, endpoint) = (
            format!("s3://{}", bucket.bucket()),
            format!("http://{}", bucket.addr()),
        );
        let args = [
            "--store",
            &place,
            "--s3-endpoint",
            &endpoint,
            "--s3-path-style",
            "--lease",
            "1s",
            "--upload-ttl",
            "1s",
        ];
        let mut envs = bucket.envs().to_vec();
        envs.extend(database.map(Database::env));
        let gateway = Gateway::start(&[&args[..], &["--sweep-every", "never"]].concat(), &envs);
        begun(&other.url());
        let id = begun(&gateway.url());
        assert_eq!(bucket.open_uploads().len(), 2);
        let args = args.map(str::to_owned).to_vec();
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

    fn sweep(&self, more: &[&str]) -> Command {
        let mut sweep = self
            .gateway
            .sandbox()
            .upload(["serve", "sweep"])
            .args(&self.args)
            .args(more);
        for (name, value) in &self.envs {
            sweep = sweep.env(name, value);
        }
        sweep
    }

    #[track_caller]
    fn swept(&self, more: &[&str]) -> Vec<Value> {
        let output = self.sweep(&[more, &["--json"]].concat()).run().succeeds();
        output
            .lines()
            .into_iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Begins an upload of two parts and dies when the first is stored; gives its id.
#[track_caller]
fn begun(url: &str) -> String {
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

fn of<'a>(lines: &'a [Value], action: &str) -> Vec<&'a Value> {
    lines
        .iter()
        .filter(|line| line["action"] == action)
        .collect()
}

#[track_caller]
fn told_then_done(database: Option<&Database>) {
    let place = Place::new(database);
    let found = wait::until("the upload to expire", || {
        let lines = place.swept(&["--dry-run"]);
        (!of(&lines, "expire").is_empty()).then_some(lines)
    });
    let [expired] = of(&found, "expire")[..] else {
        panic!("one upload expired: {found:?}")
    };
    assert_eq!(
        (expired["upload"].as_str(), &expired["state"]),
        (Some(place.id.as_str()), &"uploading".into())
    );
    assert_eq!(
        (&expired["multiparts"], &expired["object"]),
        (&1.into(), &false.into())
    );
    let [stranger] = of(&found, "report")[..] else {
        panic!("one stranger: {found:?}")
    };
    let key = stranger["key"].as_str().unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    // It was told and nothing else.
    assert_eq!(place.bucket.open_uploads().len(), 2);
    assert_eq!(place.swept(&["--dry-run"]), found);
    let output = place
        .sweep(&["--dry-run"])
        .run()
        .succeeds()
        .stderr_contains("would decide 0, expire 1, abort 0, clear 0");
    assert!(
        output.stdout().contains("would expire") && output.stdout().contains("unknown"),
        "{output}"
    );

    let done = place.swept(&[]);
    let [expired] = of(&done, "expire")[..] else {
        panic!("one upload expired: {done:?}")
    };
    assert_eq!(
        (expired["upload"].as_str(), &expired["became"]),
        (Some(place.id.as_str()), &"expired".into())
    );
    assert_eq!(
        (&expired["done"], &expired["dry_run"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        place.bucket.open_uploads(),
        [key],
        "another gateway's is left alone"
    );
    assert_eq!(place.swept(&["--dry-run"]), std::slice::from_ref(stranger));
}

#[test]
fn what_would_be_done_is_told_and_then_it_is_done() {
    told_then_done(None);
}

#[test]
fn on_postgresql_it_is_told_and_done_likewise() {
    told_then_done(Some(&Database::new()));
}

#[test]
fn a_store_that_a_gateway_holds_is_not_swept_beside_it() {
    let gateway = Gateway::start(&[], &[]);
    gateway
        .sandbox()
        .upload(["serve", "sweep", "--dry-run"])
        .run()
        .exits(75)
        .stderr_contains("could not open the store");
}
