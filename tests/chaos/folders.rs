//! Folders, chosen keys, attributes and streams while requests fail: every object is there once, at
//! its key, with its bytes and its attributes.
//!
//! Not here: single files (the other modules), crashes (`tests/crash`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;

use crate::setup::for_each_case;
use crate::support::bucket::Bucket;
use crate::support::command::Command;
use crate::support::proxy::{Exchange, Fault, Proxy, Requests, Response, WHOLE_BODY};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, files};

/// Small files in the folder. They are begun in batches.
const SMALL_FILES: u64 = 40;
/// The size of the only file of two parts.
const LARGE_FILE_BYTES: u64 = PART + 1;
/// The size of the stream: four parts.
const STREAM_BYTES: u64 = 3 * PART + 700;
/// How long the client retries. The machine may be busy.
const RETRY: [&str; 4] = ["--give-up-after", "3m", "--stall-after", "2s"];

/// Faults after which a request is repeated.
fn faults() -> [Fault; 6] {
    [
        Fault::DropResponse,
        Fault::ResetAfter { bytes: 0 },
        Fault::ResetAfter { bytes: WHOLE_BODY },
        Fault::html_page(503),
        Fault::ReplaceResponse(Response::html_page(502)),
        Fault::DeliverTwice,
    ]
}

/// A folder with small files, an empty one among them, and one of two parts.
fn folder(sandbox: &Sandbox) -> PathBuf {
    fs::create_dir_all(sandbox.path("card/d")).unwrap();
    for number in 0..SMALL_FILES {
        sandbox.file(&format!("card/d/{number:02}"), number * 37);
    }
    sandbox.file("card/large", LARGE_FILE_BYTES);
    sandbox.path("card")
}

/// The SHA-256 of each file below the folder, by its path there.
fn contents(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let root = sandbox.path("card");
    let files = sandbox.files().into_iter();
    let below = files.filter_map(|file| {
        let path = file.strip_prefix(&root).ok()?.to_str()?.to_owned();
        Some((path, files::sha256(&file)))
    });
    below.collect()
}

/// Runs a command while the first requests of a kind fail.
#[track_caller]
fn run_with_faults(command: Command, proxy: &Proxy, requests: Requests, fault: &Fault) {
    proxy.clear_faults();
    proxy.inject(requests.first(3), fault.clone());
    let output = command.args(RETRY).run();
    proxy.clear_faults();
    assert_eq!(output.code(), Some(0), "{requests:?} {fault:?}: {output}");
}

/// Asserts that the bucket has the files of the folder at `prefix`, and nothing else.
#[track_caller]
fn assert_has_folder(bucket: &Bucket, sandbox: &Sandbox, prefix: &str) {
    let objects = bucket.store.objects().into_iter().map(|key| {
        let sha256 = bucket.store.sha256(&key);
        let path = key.strip_prefix(prefix).unwrap_or(&key);
        (path.to_owned(), sha256)
    });
    assert_eq!(objects.collect::<BTreeMap<_, _>>(), contents(sandbox));
    assert_no_open_uploads(bucket);
}

/// A later probe removes the multipart uploads of an interrupted one.
#[track_caller]
fn assert_no_open_uploads(bucket: &Bucket) {
    let mut open = bucket.store.open_uploads();
    open.retain(|key| !key.contains("uploads/probe/"));
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn folder_arrives_once_while_calls_to_the_gateway_fail() {
    for_each_case(faults(), |_, fault| {
        for requests in [
            Requests::info(),
            Requests::batch(),
            Requests::begin(),
            Requests::sign(),
            Requests::complete(),
            Requests::put(),
        ] {
            let world = World::new();
            folder(&world.sandbox);
            let put = || world.upload(&["put", "-r", "--part-size", "5MiB", "card"]);
            run_with_faults(put(), &world.proxy, requests, &fault);
            let stored = || {
                let store = world.store();
                let keys = store.objects().into_iter();
                let mut found: Vec<String> = keys.map(|key| store.sha256(&key)).collect();
                found.sort();
                store.assert_no_open_uploads();
                found
            };
            let mut expected: Vec<String> = contents(&world.sandbox).into_values().collect();
            expected.sort();
            assert_eq!(stored(), expected, "{requests:?} {fault:?}");
            // The store has all of it now.
            let sent = world.bytes_put();
            run_with_faults(put(), &world.proxy, requests, &fault);
            assert_eq!(world.bytes_put(), sent, "{requests:?} {fault:?}");
            assert_eq!(stored(), expected, "{requests:?} {fault:?}");
        }
    });
}

#[test]
fn folder_arrives_at_its_keys_with_its_attributes_while_the_store_fails() {
    for_each_case(faults(), |_, fault| {
        for requests in [
            Requests::put(),
            Requests::store_create(),
            Requests::store_complete(),
            Requests::store_head(),
            Requests::get(""),
        ] {
            let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
            folder(&sandbox);
            bucket.store.put("in/d/07", b"an earlier object");
            let flags = [
                "-r",
                "--if-exists",
                "overwrite",
                "--cache-control",
                "max-age=60",
                "--meta",
                "run=7",
            ];
            let put = bucket.put(&sandbox, &flags);
            let put = put.arg("card/.").arg(bucket.url("in/"));
            run_with_faults(put, &bucket.proxy, requests, &fault);
            assert_has_folder(&bucket, &sandbox, "in/");
            for key in bucket.store.objects() {
                let head = bucket.store.head(&key);
                let attributes = ["cache-control", "x-amz-meta-run"].map(|name| head.header(name));
                assert_eq!(
                    attributes,
                    [Some("max-age=60"), Some("7")],
                    "{key}: {requests:?} {fault:?}"
                );
            }
        }
    });
}

/// An object that another program has put is not replaced after any fault.
#[test]
fn object_of_another_program_stays_while_the_store_fails() {
    for_each_case(faults(), |_, fault| {
        for requests in [Requests::put(), Requests::store_head(), Requests::get("")] {
            let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
            let small = sandbox.file("small", 700);
            bucket.store.put("in/small", b"an earlier object");
            let put = bucket.put(&sandbox, &["--json"]).args(RETRY);
            let put = put.arg(&small).arg(bucket.url("in/"));
            bucket.proxy.inject(requests.first(3), fault.clone());
            let output = put.run();
            assert_eq!(output.code(), Some(77), "{requests:?} {fault:?}: {output}");
            assert_eq!(bucket.store.get("in/small"), b"an earlier object");
            assert_no_open_uploads(&bucket);
        }
    });
}

#[test]
fn moved_folder_has_its_bytes_while_copies_fail() {
    let copies = || Requests::put().with_text("x-amz-copy-source");
    let more = [
        Fault::error_in_success(),
        Fault::Respond(Response::s3(412, "PreconditionFailed")),
        Fault::Respond(Response::s3(501, "NotImplemented")),
        Fault::ReplaceResponse(Response::new(200)),
    ];
    for_each_case(faults().into_iter().chain(more), |_, fault| {
        let (bucket, sandbox) = (Bucket::new(), Sandbox::new());
        folder(&sandbox);
        let put = |prefix: &str| {
            let put = bucket.put(&sandbox, &["-r", "card/."]);
            put.arg(bucket.url(prefix))
        };
        put("a/").run().succeeds();
        let before = bucket.proxy.traffic();
        run_with_faults(put("b/"), &bucket.proxy, copies(), &fault);
        let traffic = bucket.proxy.traffic().since(&before);
        let mut puts = traffic.by_method("PUT");
        let is_copy = |put: &Exchange| put.part.is_some() && put.bytes == 0;
        assert!(puts.any(is_copy), "no copy was requested");
        for key in bucket.store.objects() {
            if key.starts_with("a/") {
                bucket.store.delete(&key);
            }
        }
        assert_has_folder(&bucket, &sandbox, "b/");
    });
}

#[test]
fn stream_arrives_whole_while_requests_fail() {
    for_each_case(faults(), |_, fault| {
        for requests in [
            Requests::info(),
            Requests::begin(),
            Requests::sign(),
            Requests::part(2),
            Requests::complete(),
        ] {
            let world = World::new();
            let file = world.sandbox.file("stream", STREAM_BYTES);
            let words = ["put", "-", "--name", "s.bin", "--part-size", "5MiB"];
            let put = world.upload(&words).stdin_from(File::open(&file).unwrap());
            // A file as standard input is a stream, too.
            run_with_faults(put, &world.proxy, requests, &fault);
            world.assert_holds_only(&file);
        }
    });
}
