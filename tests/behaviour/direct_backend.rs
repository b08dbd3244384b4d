//! `s3://` backends: each is an endpoint, a bucket and a prefix, and verbs of an upload need no
//! flags that the journal knows.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::bucket::Bucket;
use crate::support::command::{Command, Output};
use crate::support::events::{parts_so_far, upload_id};
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files};

impl Bucket {
    /// `upload put` to this bucket, below the prefix `in`.
    fn put_in(&self, sandbox: &Sandbox, file: &Path) -> Command {
        let file = file.to_str().unwrap();
        self.put(sandbox, &["--backend", &self.url("in"), file])
    }

    /// Runs `put --json` until two parts are stored, and ends it. Returns the output and the id.
    fn put_until_two_parts_are_stored(
        &self,
        sandbox: &Sandbox,
        file: &Path,
        end: impl FnOnce(crate::support::command::Running) -> Output,
    ) -> (Output, String) {
        self.proxy.block_after(4 * PART - 1);
        let mut running = self.put_in(sandbox, file).arg("--json").spawn();
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
}

#[test]
fn file_that_one_endpoint_has_is_uploaded_to_another() {
    let (here, there) = (Bucket::new(), Bucket::new());
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 3000);
    here.put_in(&sandbox, &file).run().succeeds();
    there.put_in(&sandbox, &file).run().succeeds();
    there.store.assert_holds_only(&file);
    // The endpoint of the environment counts like that of the flag.
    let sent = here.bytes_put();
    let put = here.upload(&sandbox, &["put", "--s3-path-style", "--json", "--backend"]);
    let put = put.arg(here.url("in")).arg(&file);
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
        let put = bucket.upload(&sandbox, &["put", "--backend", &bucket.url(prefix)]);
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
    there.put_in(&sandbox, &file).run().succeeds();
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
        .put_in(&sandbox, &file)
        .args(["--s3-region", "us-east-1"]);
    put.run().succeeds();
    let run = |verb: &[&str]| {
        let command = bucket.upload(&sandbox, verb).arg(&file);
        command.env("AWS_REGION", "eu-west-1").run().succeeds()
    };
    assert_eq!(run(&["cat"]).stdout_bytes(), fs::read(&file).unwrap());
    assert!(run(&["url"]).line().contains("us-east-1"));
    let backend = bucket.url("in");
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
    let running = bucket.put_in(&sandbox, &file).spawn();
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
