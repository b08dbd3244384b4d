//! `s3://` backends: each is an endpoint, a bucket and a prefix, and verbs of an upload need no
//! flags that the journal knows.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::command::{Command, Output};
use crate::support::events::{parts_so_far, upload_id};
use crate::support::gateway::Gateway;
use crate::support::proxy::Proxy;
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files};

/// A bucket at an endpoint of its own. All of them have the same name.
struct Bucket {
    _keeper: Gateway,
    store: S3,
    proxy: Proxy,
}

impl Bucket {
    fn new() -> Self {
        let keeper = Gateway::start(&[], &[]);
        let (store, proxy) = (keeper.store(), Proxy::start());
        proxy.forward_to(store.addr());
        Self {
            _keeper: keeper,
            store,
            proxy,
        }
    }

    /// Adds the keys of this bucket, as the configuration of a machine has them.
    fn with_keys(&self, command: Command) -> Command {
        let envs = self.store.envs();
        let keys = envs.iter().filter(|(name, _)| *name != "AWS_REGION");
        keys.fold(command, |command, (name, value)| command.env(name, value))
    }

    fn endpoint(&self) -> [String; 3] {
        let path_style = "--s3-path-style".to_owned();
        ["--s3-endpoint".to_owned(), self.proxy.url(), path_style]
    }

    /// `upload put` to this bucket, below the prefix `in`.
    fn put(&self, sandbox: &Sandbox, file: &Path) -> Command {
        let put = ["put", "--part-size", "5MiB", "--jobs", "2", "--backend"];
        let put = sandbox.upload(put).arg(self.backend("in"));
        self.with_keys(put.args(self.endpoint()).arg(file))
    }

    fn backend(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.store.bucket())
    }

    /// A command without any S3 flag.
    fn upload(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        self.with_keys(sandbox.upload(args))
    }

    /// Runs `put --json` until two parts are stored, and ends it. Returns the output and the id.
    fn put_until_two_parts_are_stored(
        &self,
        sandbox: &Sandbox,
        file: &Path,
        end: impl FnOnce(crate::support::command::Running) -> Output,
    ) -> (Output, String) {
        self.proxy.block_after(4 * PART - 1);
        let mut running = self.put(sandbox, file).arg("--json").spawn();
        running.wait_for("`part` events", |running| {
            (parts_so_far(&running.stdout()) >= 2).then_some(())
        });
        let output = end(running);
        self.proxy.unblock();
        let id = upload_id(output.stdout()).expect("an upload id");
        (output, id)
    }

    fn put_and_kill(&self, sandbox: &Sandbox, file: &Path) -> String {
        let kill = crate::support::command::Running::kill9;
        self.put_until_two_parts_are_stored(sandbox, file, kill).1
    }

    fn bytes_put(&self) -> u64 {
        self.proxy.traffic().bytes("PUT")
    }
}

#[test]
fn file_that_one_endpoint_has_is_uploaded_to_another() {
    let (here, there) = (Bucket::new(), Bucket::new());
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 3000);
    here.put(&sandbox, &file).run().succeeds();
    there.put(&sandbox, &file).run().succeeds();
    there.store.assert_holds_only(&file);
    // The endpoint of the environment counts like that of the flag.
    let sent = here.bytes_put();
    let put = here.upload(&sandbox, &["put", "--s3-path-style", "--json", "--backend"]);
    let put = put.arg(here.backend("in")).arg(&file);
    let output = put.env("AWS_ENDPOINT_URL", format!("{}/", here.proxy.url()));
    let output = output.run().succeeds();
    assert!(output.stdout().contains(r#""already_stored":true"#));
    assert_eq!(here.bytes_put(), sent);
    here.store.assert_holds_only(&file);
}

#[test]
fn file_below_one_prefix_is_uploaded_below_another() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 3000);
    for prefix in ["a", "b"] {
        let put = bucket.upload(&sandbox, &["put", "--backend", &bucket.backend(prefix)]);
        put.args(bucket.endpoint()).arg(&file).run().succeeds();
    }
    let keys = bucket.store.objects();
    let has = |prefix| keys.iter().any(|key| key.starts_with(prefix));
    assert!(has("a/") && has("b/"), "{keys:?}");
}

#[test]
fn put_to_another_endpoint_leaves_the_begun_upload_alone() {
    let (here, there) = (Bucket::new(), Bucket::new());
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 8 * PART);
    let id = here.put_and_kill(&sandbox, &file);
    there.put(&sandbox, &file).run().succeeds();
    there.store.assert_holds_only(&file);
    assert_eq!(here.store.open_uploads().len(), 1);
    let sent = here.bytes_put();
    here.upload(&sandbox, &["resume", &id]).run().succeeds();
    here.store.assert_holds_only(&file);
    assert!(here.bytes_put() - sent <= 6 * PART);
}

#[test]
fn verbs_of_an_unfinished_upload_need_no_flags() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 8 * PART);
    let id = bucket.put_and_kill(&sandbox, &file);
    let status = bucket.upload(&sandbox, &["status", "--remote", "--json", &id]);
    let status: serde_json::Value = serde_json::from_str(status.run().succeeds().line()).unwrap();
    assert_eq!(status["remote"]["state"], "uploading");
    assert_eq!(status["s3_service"]["endpoint"], bucket.proxy.url());
    bucket.upload(&sandbox, &["abort", &id]).run().succeeds();
    assert_eq!(bucket.store.open_uploads(), Vec::<String>::new());
    let id = bucket.put_and_kill(&sandbox, &file);
    // Another endpoint is configured by now.
    let resume = bucket.upload(&sandbox, &["resume", &id]);
    let resume = resume.env("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1");
    resume.run().succeeds();
    bucket.store.assert_holds_only(&file);
}

#[test]
fn verbs_of_a_finished_upload_need_no_flags() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 3000);
    let put = bucket
        .put(&sandbox, &file)
        .args(["--s3-region", "us-east-1"]);
    put.run().succeeds();
    let run = |verb: &[&str]| {
        let command = bucket.upload(&sandbox, verb).arg(&file);
        command.env("AWS_REGION", "eu-west-1").run().succeeds()
    };
    assert_eq!(run(&["cat"]).stdout_bytes(), fs::read(&file).unwrap());
    assert!(run(&["url"]).line().contains("us-east-1"));
    let backend = bucket.backend("in");
    assert!(
        run(&["url", "--backend", &backend])
            .line()
            .contains("us-east-1")
    );
    let status = run(&["status", "--remote", "--json"]);
    assert!(
        status.stdout().contains(r#""object":"present""#),
        "{status}"
    );
}

#[test]
fn endpoint_flag_other_than_that_of_the_upload_is_rejected() {
    let (here, there) = (Bucket::new(), Bucket::new());
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 8 * PART);
    let id = here.put_and_kill(&sandbox, &file);
    for verb in [
        &["resume"][..],
        &["resume", &id],
        &["abort", &id],
        &["url", &id],
    ] {
        let command = here.upload(&sandbox, verb).args(there.endpoint());
        let output = command.run().exits(2);
        assert!(output.stderr().contains(&here.proxy.url()), "{output}");
    }
    assert_eq!(there.proxy.traffic().0.len(), 0);
    // The endpoint of the upload is accepted.
    let resume = here.upload(&sandbox, &["resume"]).args(here.endpoint());
    resume.run().succeeds();
    here.store.assert_holds_only(&file);
}

#[test]
fn hints_of_an_interrupted_put_can_be_run_as_they_are() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 8 * PART);
    let commands = |output: &Output| -> Vec<Vec<String>> {
        let hints = output.stderr().lines();
        let hints = hints.filter_map(|line| line.split_once(": upload "));
        hints
            .map(|(_, command)| shlex::split(command).unwrap())
            .collect()
    };
    bucket.proxy.block_after(4 * PART - 1);
    let running = bucket.put(&sandbox, &file).spawn();
    bucket.proxy.wait_until_blocked();
    running.signal(Signal::TERM);
    let output = running.wait().exits(143);
    bucket.proxy.unblock();
    let commands = commands(&output);
    assert!(!commands.is_empty(), "{output}");
    let sent = bucket.bytes_put();
    for command in &commands {
        bucket.with_keys(sandbox.upload(command)).run().succeeds();
    }
    bucket.store.assert_holds_only(&file);
    assert!(
        bucket.bytes_put() - sent < 8 * PART,
        "all of it was sent again"
    );
}

/// `resume` and `cat` name the S3 service in the command that uploads the file again.
#[test]
fn hints_to_put_again_name_the_endpoint() {
    let bucket = Bucket::new();
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 8 * PART);
    let id = bucket.put_and_kill(&sandbox, &file);
    files::flip_byte(&file, 1);
    let output = bucket.upload(&sandbox, &["resume", &id]).run().exits(65);
    let command = output.stderr().split('`').nth(1).unwrap_or_default();
    let command = shlex::split(command).unwrap();
    bucket
        .with_keys(sandbox.upload(&command[1..]))
        .run()
        .succeeds();
    bucket.store.assert_holds_only(&file);
}
