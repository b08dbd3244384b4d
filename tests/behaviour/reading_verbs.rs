//! The verbs that read, and the help, as a user sees them.
//!
//! Not here: `list` and `status` (`output`), orphans (`orphans`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::command::{Command, Output};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Proxy, Requests, Response};
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, files};

/// The URL of a port of this machine on which nothing listens.
fn unused_url() -> String {
    let proxy = Proxy::start();
    proxy.stop_listening();
    proxy.url()
}

/// A sandbox with one file in its embedded store, in parts of [`PART`] bytes.
pub fn embedded(size: u64) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", size);
    let put = sandbox.upload(["put", "--backend", "embedded", "--part-size", "5MiB"]);
    put.arg(&file).run().succeeds();
    (sandbox, file)
}

/// Damages the stored bytes of one part of a file in the embedded store.
#[track_caller]
pub fn damage_part(sandbox: &Sandbox, file: &Path, number: usize) {
    let bytes = fs::read(file).unwrap();
    let part_size = usize::try_from(PART).unwrap();
    let part = bytes.chunks(part_size).nth(number - 1).expect("a part");
    let is_stored = |path: &PathBuf| path != file && fs::read(path).unwrap() == part;
    let stored = sandbox
        .files()
        .into_iter()
        .find(is_stored)
        .expect("a stored part");
    files::flip_byte(&stored, 1);
}

/// A command that uses a bucket without a gateway. An S3 store in another process holds it.
fn direct(sandbox: &Sandbox, bucket: &S3, endpoint: &str, verb: &[&str]) -> Command {
    let command = sandbox
        .upload(verb)
        .args(["--s3-path-style", "--s3-endpoint", endpoint]);
    let envs = bucket.envs();
    let keys = envs.iter().filter(|(name, _)| *name != "AWS_REGION");
    keys.fold(command, |command, (name, value)| command.env(name, value))
}

#[test]
fn resume_of_nothing_succeeds_and_says_so() {
    let sandbox = Sandbox::new();
    let resume = |args: &[&str]| sandbox.upload(["resume"]).args(args).run().succeeds();
    let output = resume(&[]);
    assert_eq!(output.stdout(), "");
    assert_eq!(output.stderr().lines().count(), 1, "{output}");
    assert_eq!(resume(&["--quiet"]).stderr(), "");
    let exit: serde_json::Value = serde_json::from_str(resume(&["--json"]).line()).unwrap();
    assert_eq!(
        (&exit["type"], &exit["uploads"]),
        (&"exit".into(), &0.into())
    );
}

#[test]
fn url_of_embedded_object_is_an_error() {
    let (sandbox, file) = embedded(10);
    for more in [&[][..], &["--json"]] {
        let output = sandbox.upload(["url"]).arg(&file).args(more).run();
        assert_eq!(output.exits(69).stdout(), "");
    }
}

#[test]
fn url_of_direct_upload_outlives_the_command() {
    let keeper = Gateway::start(&[], &[]);
    let bucket = keeper.store();
    let (sandbox, endpoint) = (Sandbox::new(), keeper.url());
    let file = sandbox.file("film.bin", 3000);
    let name = format!("s3://{}", bucket.bucket());
    let put = direct(&sandbox, &bucket, &endpoint, &["put", "--backend", &name]);
    put.arg(&file).run().succeeds();
    let url = direct(&sandbox, &bucket, &endpoint, &["url"]);
    let url = url.arg(&file).run().succeeds().line().to_owned();
    let curl = sandbox
        .command("curl")
        .args(["-sS", "--noproxy", "*", &url]);
    let read = curl.run().succeeds();
    assert_eq!(read.stdout_bytes(), fs::read(&file).unwrap());
}

#[test]
fn region_is_chosen_alike_by_put_cat_and_url() {
    let keeper = Gateway::start(&[], &[]);
    let bucket = keeper.store();
    let (sandbox, endpoint) = (Sandbox::new(), keeper.url());
    let file = sandbox.file("film.bin", 3000);
    let name = format!("s3://{}", bucket.bucket());
    // With an endpoint, us-east-1 is the default.
    let put = direct(&sandbox, &bucket, &endpoint, &["put", "--backend", &name]);
    put.arg(&file).run().succeeds();
    let cat = direct(&sandbox, &bucket, &endpoint, &["cat"])
        .arg(&file)
        .run();
    assert_eq!(cat.succeeds().stdout_bytes(), fs::read(&file).unwrap());
    let url = direct(&sandbox, &bucket, &endpoint, &["url"]).arg(&file);
    assert!(url.run().succeeds().line().contains("us-east-1"));
    // Without an endpoint, the hint asks for the region of the bucket.
    let put = sandbox.upload(["put", "--force", "--backend", &name]);
    let put = put.arg(&file).env("AWS_ACCESS_KEY_ID", "a");
    let output = put.env("AWS_SECRET_ACCESS_KEY", "b").run().exits(78);
    assert!(output.stderr().contains("--s3-region"), "{output}");
}

#[test]
fn cat_verifies_every_part_and_says_so() {
    let (sandbox, file) = embedded(2 * PART + 1);
    let cat = |args: &[&str]| sandbox.upload(["cat"]).arg(&file).args(args).run();
    let output = cat(&[]).succeeds();
    assert_eq!(output.stdout_bytes(), fs::read(&file).unwrap());
    assert!(output.stderr().contains("3 of 3 parts"), "{output}");
    assert_eq!(cat(&["--quiet"]).succeeds().stderr(), "");
}

/// The store has another object: of the same size, shorter, or much longer.
#[test]
fn cat_of_another_object_exits_with_65_and_writes_at_most_the_size_of_the_file() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 1000);
    world.put(&file).run().succeeds();
    for length in [1000, 999, 50_000_000] {
        world.proxy.clear_faults();
        let other = Response::new(200).body("application/octet-stream", &"x".repeat(length));
        let get = Requests::get(".bin");
        world.proxy.inject(get, Fault::ReplaceResponse(other));
        let output = world.upload(&["cat"]).arg(&file).run().exits(65);
        let written = output.stdout_bytes().len();
        assert!(written <= 1000, "{written} of {length} bytes");
    }
}

/// The part files of the embedded store are deleted or cut by another program.
#[test]
fn embedded_object_without_its_bytes_is_reported_as_gone_and_uploaded_again() {
    let (sandbox, file) = embedded(PART + 1);
    let parts = || -> Vec<PathBuf> {
        let files = sandbox.files().into_iter();
        let is_part = |path: &PathBuf| path.iter().any(|name| name == "parts");
        files.filter(is_part).collect()
    };
    let put = || {
        let put = sandbox.upload(["put", "--backend", "embedded", "--receipt", "r"]);
        put.arg(&file).run().succeeds()
    };
    for damage in [
        (|part| fs::remove_file(part).unwrap()) as fn(&Path),
        |part| files::resize(part, 100),
        |part| {
            let _ = fs::remove_dir_all(part.ancestors().nth(2).unwrap());
        },
    ] {
        // Those of earlier uploads are there as well.
        for part in parts() {
            damage(&part);
        }
        let cat = sandbox.upload(["cat"]).arg(&file).run().exits(1);
        assert_eq!(cat.stdout(), "");
        assert!(cat.stderr().starts_with("error: "), "{cat}");
        assert!(cat.stderr().contains("upload put"), "{cat}");
        put();
        let cat = sandbox.upload(["cat"]).arg(&file).run().succeeds();
        assert!(cat.stdout_bytes() == fs::read(&file).unwrap());
    }
    let count = parts().len();
    put();
    assert_eq!(parts().len(), count, "a whole object was uploaded again");
}

#[test]
fn cat_of_damaged_object_exits_with_65_and_names_the_part() {
    let (sandbox, file) = embedded(3 * PART);
    damage_part(&sandbox, &file, 2);
    let output = sandbox.upload(["cat"]).arg(&file).run().exits(65);
    assert!(output.stderr().contains("part 2"), "{output}");
    assert!(
        output.stdout_bytes().len() as u64 <= 2 * PART,
        "damaged bytes were written"
    );
}

#[test]
fn prune_with_orphans_of_an_unreachable_backend_prunes_the_journal_and_fails() {
    let world = World::new();
    let (done, open) = (
        world.sandbox.file("done.bin", 10),
        world.sandbox.file("open.bin", 4 * PART),
    );
    world.put(&done).run().succeeds();
    world.put_and_kill_after_parts(&open, 1);
    world.proxy.stop_listening();
    let output = world
        .upload(&["prune", "--orphans", "--json"])
        .run()
        .exits(75);
    let pruned: serde_json::Value = serde_json::from_str(output.line()).unwrap();
    assert_eq!(
        (&pruned["type"], &pruned["removed"]),
        (&"pruned".into(), &1.into())
    );
    assert!(output.stderr().contains("orphans"), "{output}");
    let listed = world.upload(&["list", "--all"]).run().succeeds();
    assert!(listed.line().contains("open.bin"), "{listed}");
    // The upload that was removed from the journal is not listed as an orphan.
    world.proxy.listen_again();
    let again = world.upload(&["prune", "--orphans"]).run().succeeds();
    assert_eq!(again.stdout(), "");
}

#[test]
fn help_describes_each_verb() {
    let sandbox = Sandbox::new();
    for verb in [
        &[][..],
        &["put"],
        &["serve", "token"],
        &["serve", "token", "add"],
    ] {
        let by_verb = sandbox.upload(["help"]).args(verb).run().succeeds();
        let by_flag = sandbox.upload(verb).arg("--help").run().succeeds();
        assert_eq!(by_verb.stdout(), by_flag.stdout(), "{verb:?}");
    }
}

#[test]
fn arguments_are_named_as_id_or_file() {
    let sandbox = Sandbox::new();
    for verb in ["resume", "status", "abort", "cat", "url"] {
        for page in [["help", verb], ["man", verb]] {
            let output = sandbox.upload(page).run().succeeds();
            assert!(output.stdout().contains("ID|FILE"), "{page:?}");
        }
    }
}

/// The failures of `upload serve` and of the verbs below it, with a store or a ledger that cannot
/// be reached.
fn gateway_failures(sandbox: &Sandbox) -> Vec<Output> {
    let store = ["--store", "s3://bucket", "--s3-endpoint", &unused_url()].map(str::to_owned);
    let ledger = format!(
        "sqlite:{}",
        sandbox.file("a-file", 1).join("l.db").display()
    );
    let postgres = unused_url().replace("http://", "postgres://user@") + "/ledger";
    let with_store = |verb: &[&str]| {
        let serve = sandbox.upload(["serve"]).args(verb).args(&store);
        let serve = serve.env("AWS_ACCESS_KEY_ID", "a");
        serve.env("AWS_SECRET_ACCESS_KEY", "b").run()
    };
    let with_ledger = |verb: &[&str], ledger: &str| {
        let serve = sandbox.upload(["serve"]).args(verb);
        serve.args(["--ledger", ledger]).run()
    };
    vec![
        with_store(&["--probe"]),
        with_store(&["sweep"]),
        with_store(&["--listen", "127.0.0.1:0"]),
        with_ledger(&["--listen", "127.0.0.1:0"], &ledger),
        with_ledger(&["sweep"], &ledger),
        with_ledger(&["token", "list"], &ledger),
        with_ledger(&["token", "list"], &postgres),
        with_ledger(&["--check"], "nonsense"),
    ]
}

#[test]
fn hints_of_serve_do_not_speak_of_uploads() {
    let sandbox = Sandbox::new();
    for output in gateway_failures(&sandbox) {
        assert_ne!(output.code(), Some(0), "{output}");
        assert!(output.stderr().contains("hint: "), "{output}");
        for word in ["resume", "--journal", "--backend"] {
            assert!(!output.stderr().contains(word), "{output}");
        }
    }
}

#[test]
fn direct_upload_to_a_store_without_proof_names_no_flag_of_serve() {
    let keeper = Gateway::start(&[], &[]);
    let bucket = keeper.store();
    let proxy = Proxy::start();
    proxy.forward_to(bucket.addr());
    let accept = Response::new(200).header("etag", "\"e\"");
    proxy.inject(Requests::put(), Fault::ReplaceResponse(accept));
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let name = format!("s3://{}", bucket.bucket());
    let put = direct(
        &sandbox,
        &bucket,
        &proxy.url(),
        &["put", "--backend", &name],
    );
    let output = put.arg(&file).run().exits(78);
    assert!(output.stderr().contains("hint: "), "{output}");
    // `put` has no such flag: only a command of the gateway may name it.
    let outside_commands: String = output.stderr().split('`').step_by(2).collect();
    assert!(!outside_commands.contains("--store-probe"), "{output}");
}

#[test]
fn log_of_the_in_process_gateway_is_shown_with_verbose_only() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = |args: &[&str]| {
        let put = sandbox.upload(["put", "--give-up-after", "2s", "--backend", "s3://bucket"]);
        let put = put.arg("--s3-endpoint").arg(unused_url()).arg(&file);
        let put = put.args(args).env("AWS_ACCESS_KEY_ID", "a");
        put.env("AWS_SECRET_ACCESS_KEY", "b").run().exits(75)
    };
    let output = put(&[]);
    assert!(!output.stderr().contains("WARN"), "{output}");
    let output = put(&["-v"]);
    assert!(output.stderr().contains("WARN"), "{output}");
}

#[test]
fn lines_about_an_unopened_source_have_no_empty_name() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 6);
    let put = sandbox.upload(["put", "-vv", "--give-up-after", "2s", "--backend"]);
    let output = put.arg(unused_url()).arg(&file).run().exits(75);
    assert!(output.stderr().contains("retry: "), "{output}");
    for line in output.stderr().lines() {
        assert!(!line.starts_with([':', ' ']), "{line:?}");
        assert!(!line.contains(": :") && !line.contains(", ,"), "{line:?}");
    }
}

#[test]
fn summary_has_no_duration_of_zero() {
    let (sandbox, file) = embedded(6);
    let put = sandbox.upload(["put", "--force", "--backend", "embedded"]);
    let output = put.arg(&file).run().succeeds();
    assert!(!output.stderr().contains(" 0s"), "{output}");
}
