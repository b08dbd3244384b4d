//! The attributes of objects that a client chooses: headers, storage class, encryption, tags.
//!
//! Not here: headers of the gateway (`stored_headers`), metadata (`object_metadata`).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process;

use super::folders::folder;
use crate::support::bucket::Bucket;
use crate::support::command::Command;
use crate::support::events::{Receipt, failure_kind, receipts};
use crate::support::proxy::{Fault, Requests};
use crate::support::raw_http;
use crate::support::s3::{Response, S3};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, files, wait};

const ALL: &[&str] = &["--allow-attribute", "all"];

/// Flags that every store understands, and the headers that they make.
const FLAGS: &[&str] = &[
    "--cache-control",
    "max-age=60,  public",
    "--content-disposition",
    "attachment; filename=\"a b.pdf\"",
    "--content-encoding",
    "gzip",
    "--content-language",
    "de-CH, en",
    "--expires",
    "2030-01-31T13:00:00+01:00",
    "--tag",
    "team=Küche 1",
    "--tag",
    "empty=",
];
const HEADERS: &[(&str, &str)] = &[
    ("cache-control", "max-age=60, public"),
    ("content-disposition", "attachment; filename=\"a b.pdf\""),
    ("content-encoding", "gzip"),
    ("content-language", "de-CH, en"),
    ("expires", "Thu, 31 Jan 2030 12:00:00 GMT"),
];

/// The receipt of a `put`.
#[track_caller]
fn put(world: &World, file: &Path, args: &[&str]) -> Receipt {
    let receipt = world.sandbox.path("receipt.json");
    let put = world.put(file).args(args).arg("--receipt").arg(&receipt);
    put.run().succeeds();
    receipts(&receipt).pop().unwrap()
}

#[track_caller]
fn assert_has_attributes(store: &S3, key: &str) -> Response {
    assert_has_attributes_except(store, key, None)
}

#[track_caller]
fn assert_has_attributes_except(store: &S3, key: &str, except: Option<&str>) -> Response {
    let head = store.head(key);
    for (name, value) in HEADERS.iter().filter(|(name, _)| Some(*name) != except) {
        assert_eq!(head.header(name), Some(*value), "{name}");
    }
    let tags = [("team", "Küche 1"), ("empty", "")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(store.tags(key), BTreeMap::from(tags));
    head
}

#[track_caller]
fn bucket(name: &str) -> S3 {
    S3::real(&format!("upload-attributes-{name}-{}", process::id()))
}

#[test]
fn embedded_store_keeps_attributes_of_objects_of_any_size() {
    let world = World::with_args(ALL);
    for size in [0, 10, 2 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let receipt = put(&world, &file, FLAGS);
        assert!(receipt.unproven.is_empty(), "{:?}", receipt.unproven);
        let head = assert_has_attributes(&world.store(), &receipt.key);
        assert_eq!(head.header("x-amz-tagging-count"), Some("2"));
        let status = world.upload(&["status", &receipt.id]).run().succeeds();
        for line in [
            "attribute cache-control: max-age=60, public",
            "attribute tag: team=Küche 1",
        ] {
            assert!(status.lines().contains(&line), "{status}");
        }
        // A reader gets the stored bytes, also if they are declared to be compressed.
        let read = world.upload(&["cat", &receipt.id]).run().succeeds();
        assert!(read.stdout_bytes() == std::fs::read(&file).unwrap());
        assert_eq!(world.store().sha256(&receipt.key), files::sha256(&file));
    }
}

#[test]
fn each_file_of_a_directory_gets_the_attributes() {
    let world = World::with_args(ALL);
    folder(&world, &["a", "b/c"]);
    world.sandbox.file("card/large.bin", 2 * PART);
    let put = world.upload(&["put", "-r", "card", "--part-size", "5MiB"]);
    put.args(FLAGS).run().succeeds();
    let store = world.store();
    let keys = store.objects();
    assert_eq!(keys.len(), 3);
    for key in keys {
        assert_has_attributes(&store, &key);
    }
}

#[test]
fn object_of_a_stream_gets_the_attributes() {
    let world = World::with_args(ALL);
    let receipt = world.sandbox.path("receipt.json");
    let put = |file: &Path| -> Command {
        let put = world.upload(&["put", "-", "--name", "db.sql", "--part-size", "5MiB"]);
        let put = put.arg("--receipt").arg(&receipt);
        put.stdin_from(File::open(file).unwrap())
    };
    for size in [10, 2 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        put(&file).args(FLAGS).run().succeeds();
        let receipt = receipts(&receipt).pop().unwrap();
        assert!(receipt.unproven.is_empty(), "{:?}", receipt.unproven);
        assert_has_attributes(&world.store(), &receipt.key);
        assert_eq!(world.store().sha256(&receipt.key), files::sha256(&file));
    }

    // An unfinished stream with other attributes is replaced.
    let file = world.sandbox.file("large.bin", 4 * PART);
    let killed = world.run_until_blocked(put(&file).args(["--tag", "a=1"]), 2 * PART);
    killed.kill9();
    world.part_proxy().unblock();
    put(&file).args(["--tag", "a=2"]).run().succeeds();
    let receipt = receipts(&receipt).pop().unwrap();
    assert_eq!(world.store().tags(&receipt.key)["a"], "2");
    world.store().assert_no_open_uploads();
}

#[test]
fn s3_store_keeps_attributes_storage_class_and_encryption() {
    let store = bucket("kept");
    let world = World::on_store_with(&store, ALL, &[]);
    for size in [10, 2 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let own = ["--storage-class", "STANDARD_IA", "--sse", "AES256"];
        let receipt = put(&world, &file, &[FLAGS, &own].concat());
        assert!(receipt.unproven.is_empty(), "{:?}", receipt.unproven);
        let head = assert_has_attributes(&store, &receipt.key);
        let header = |name| head.header(name);
        assert_eq!(header("x-amz-storage-class"), Some("STANDARD_IA"));
        assert_eq!(header("x-amz-server-side-encryption"), Some("AES256"));
    }
}

#[test]
fn backend_in_the_same_process_permits_every_attribute() {
    let store = bucket("direct");
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let backend = format!("s3://{}", store.bucket());
    let put = sandbox.upload(["put", "--backend", &backend, "--s3-path-style"]);
    let put = put.args(["--s3-endpoint", &format!("http://{}", store.addr())]);
    let put = put.args(FLAGS).args(["--storage-class", "STANDARD_IA"]);
    let envs = store.envs().into_iter();
    let put = envs.fold(put.arg(&file), |put, (name, value)| put.env(name, value));
    put.run().succeeds();
    let objects = store.objects();
    let head = assert_has_attributes(&store, &objects[0]);
    assert_eq!(head.header("x-amz-storage-class"), Some("STANDARD_IA"));
}

#[test]
fn embedded_backend_refuses_what_its_store_does_not_have() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = |args: &[&str]| {
        let put = sandbox.upload(["put", "--json", "--backend", "embedded"]);
        put.args(args).arg(&file).run()
    };
    put(&["--cache-control", "no-store"]).succeeds();
    for (flags, name) in [
        (["--sse", "AES256"], "sse"),
        (["--storage-class", "COLD"], "storage-class"),
    ] {
        let output = put(&[&flags[..], &["--force"]].concat()).exits(77);
        assert_eq!(failure_kind(&output), "not_acceptable");
        assert!(
            output
                .stdout()
                .contains(&format!("{name}: the embedded store")),
            "{output}"
        );
    }
}

#[test]
fn attribute_that_the_operator_does_not_allow_is_refused_before_anything_is_sent() {
    let world = World::with_args(&["--allow-attribute", "tag", "--allow-attribute", "sse"]);
    let file = world.sandbox.file("film.bin", 10);
    let output = world.put(&file).args(["--cache-control", "no-store"]).run();
    output
        .exits(77)
        .stderr_contains("this attribute is not allowed (cache-control; allowed: sse, tag)")
        .stderr_contains("--allow-attribute");
    assert_eq!(world.bytes_put(), 0);
    assert!(world.store().objects().is_empty());
    put(&world, &file, &["--tag", "a=b"]);
    world.assert_holds_only(&file);

    let world = World::new();
    let file = world.sandbox.file("film.bin", 10);
    let output = world.put(&file).args(["--tag", "a=b"]).run().exits(77);
    output.stderr_contains("(tag; the operator allows none)");
    world.resume().run().succeeds();
    assert!(world.store().objects().is_empty());
}

#[test]
fn header_of_the_gateway_cannot_be_changed() {
    let store = bucket("own");
    let own = [
        "--required-header",
        "cache-control: no-store",
        "--sse",
        "AES256",
    ];
    let world = World::on_store_with(&store, &[ALL, &own].concat(), &[]);
    let file = world.sandbox.file("film.bin", 10);
    let output = world.put(&file).args(["--cache-control", "public"]).run();
    output
        .exits(77)
        .stderr_contains("cache-control: the operator has chosen it for every object");
    assert!(store.objects().is_empty());
    for size in [10, 2 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let same = ["--cache-control", "no-store", "--tag", "a=b"];
        let receipt = put(&world, &file, &same);
        assert!(receipt.unproven.is_empty(), "{:?}", receipt.unproven);
        let head = store.head(&receipt.key);
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert_eq!(head.header("x-amz-server-side-encryption"), Some("AES256"));
    }
}

#[test]
fn attributes_survive_a_kill_of_client_and_gateway() {
    let mut world = World::with_args(ALL);
    let file = world.sandbox.file("film.bin", 6 * PART);
    let bytes = 3 * PART;
    let killed = world.run_until_blocked(world.put(&file).args(FLAGS), bytes);
    killed.kill9();
    world.part_proxy().unblock();
    world.restart_gateway();
    world.resume().run().succeeds();
    world.assert_holds_only(&file);
    assert_has_attributes(&world.store(), &world.store().objects()[0]);
    assert!(world.bytes_put() < 2 * 6 * PART);

    // Killed before the upload was begun, and put again.
    let small = world.sandbox.file("small.bin", 10);
    let put = world.put(&small).args(FLAGS);
    put.env("UPLOAD_CRASH", "transfer.start.recorded:1").run();
    world.resume().run().succeeds();
    let key = world.store().objects();
    let key = key.iter().find(|key| world.store().get(key).len() == 10);
    assert_has_attributes(&world.store(), key.unwrap());
}

#[test]
fn put_with_other_attributes_makes_another_object_and_put_without_any_does_not() {
    let world = World::with_args(ALL);
    let file = world.sandbox.file("film.bin", 10);
    let first = put(&world, &file, &["--cache-control", "no-store"]);
    assert_eq!(put(&world, &file, &[]).key, first.key);
    let same = ["--cache-control", " no-store "];
    assert_eq!(put(&world, &file, &same).key, first.key);
    let second = put(&world, &file, &["--cache-control", "public"]);
    assert_ne!(second.key, first.key);
    let head = world.store().head(&second.key);
    assert_eq!(head.header("cache-control"), Some("public"));

    // An unfinished upload with other attributes is replaced.
    let large = world.sandbox.file("large.bin", 4 * PART);
    let killed = world.run_until_blocked(world.put(&large).args(["--tag", "a=1"]), 2 * PART);
    killed.kill9();
    world.part_proxy().unblock();
    let receipt = put(&world, &large, &["--tag", "a=2"]);
    assert_eq!(world.store().tags(&receipt.key)["a"], "2");
    world.store().assert_no_open_uploads();
}

#[test]
fn values_that_no_header_can_have_are_refused_before_anything_is_sent() {
    let world = World::with_args(ALL);
    let file = world.sandbox.file("film.bin", 10);
    let long = format!("max-age={}", "1".repeat(8 << 10));
    let long_meta = format!("k={}", "v".repeat(8 << 10));
    let unicode_meta = format!("k={}", "é".repeat(1 << 10));
    let eleven: Vec<String> = (0..11).map(|number| format!("k{number}=v")).collect();
    let eleven = eleven.iter().flat_map(|tag| ["--tag", tag]);
    let hostile: [Vec<&[u8]>; 18] = [
        vec![b"--acl", b"public"],
        vec![b"--expires", b"tomorrow"],
        vec![b"--cache-control", b"a\r\nx-amz-acl: public-read"],
        vec![b"--cache-control", b"max age"],
        vec![b"--cache-control", long.as_bytes()],
        vec![b"--cache-control", b"\xff"],
        vec![b"--content-disposition", b"attachment; filename=\"a\nb\""],
        vec![b"--content-encoding", b"aws-chunked"],
        vec![b"--content-language", b"en_US"],
        vec![b"--storage-class", b"A&B"],
        vec![b"--sse", b"none"],
        vec![b"--tag", b"k=a\r\nb"],
        vec![b"--tag", b"k=\xff"],
        vec![b"--tag", b"k=1", b"--tag", b"k=2"],
        eleven.map(str::as_bytes).collect(),
        vec![b"--meta", b"k=a\r\nx-amz-acl: public-read"],
        vec![b"--meta", long_meta.as_bytes()],
        vec![b"--meta", unicode_meta.as_bytes()],
    ];
    let before = world.proxy.traffic();
    for args in hostile {
        let args: Vec<&OsStr> = args.into_iter().map(OsStr::from_bytes).collect();
        world.put(&file).args(&args).run().exits(2);
    }
    assert_eq!(world.proxy.traffic().since(&before).requests(), 0);
}

#[test]
fn access_list_is_that_of_the_request_and_is_unproven() {
    let store = bucket("acl");
    let world = World::on_store_with(&store, ALL, &[]);
    for size in [10, 2 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let private = put(&world, &file, &[]);
        assert!(!store.acl(&private.key).contains("AllUsers"));
        let public = put(&world, &file, &["--acl", "public-read"]);
        assert_ne!(public.key, private.key, "another object");
        assert!(store.acl(&public.key).contains("AllUsers"));
        assert_eq!(public.unproven, ["acl"]);
    }
    let embedded = World::with_args(ALL);
    let file = embedded.sandbox.file("film.bin", 10);
    let private = put(&embedded, &file, &["--acl", "bucket-owner-full-control"]);
    assert_eq!(private.unproven, ["acl"]);
    let public = embedded.put(&file).args(["--acl", "public-read"]);
    public.run().exits(77);
}

/// Stores do not report access lists: an object at the key may have another one.
#[test]
fn access_list_of_an_object_at_the_key_is_applied_or_refused() {
    let bucket = Bucket::of(bucket("acl-again"));
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.bin", 10);
    let put = |args: &[&str]| {
        let put = bucket.put(&sandbox, args);
        put.arg(&file).arg(bucket.url("in/")).run()
    };
    let is_public = || bucket.store.acl("in/a.bin").contains("AllUsers");
    put(&["--acl", "public-read"]).succeeds();
    assert!(is_public());
    put(&["--acl", "public-read"]).succeeds();
    put(&["--acl", "private"]).exits(77);
    assert!(is_public());
    put(&["--acl", "private", "--if-exists", "update"]).succeeds();
    assert!(!is_public());
    put(&["--acl", "public-read", "--if-exists", "overwrite"]).succeeds();
    assert!(is_public());
    put(&["--acl", "private", "--force"]).succeeds();
    assert!(!is_public());
}

#[test]
fn attribute_that_the_store_ignores_is_unproven() {
    let store = bucket("ignored");
    let world = World::on_store_with(&store, ALL, &[]);
    for (header, flags, name) in [
        ("x-amz-tagging-count", ["--tag", "a=b"], "tag"),
        (
            "x-amz-storage-class",
            ["--storage-class", "STANDARD_IA"],
            "storage-class",
        ),
        (
            "x-amz-server-side-encryption",
            ["--sse", "AES256"],
            "encryption",
        ),
        (
            "content-language",
            ["--content-language", "de"],
            "content-language",
        ),
        ("x-amz-meta-a_b", ["--meta", "a_b=é"], "metadata"),
    ] {
        for size in [10, 2 * PART] {
            let fault = Fault::RemoveHeader(header);
            world.part_proxy().clear_faults();
            world.part_proxy().inject(Requests::store_head(), fault);
            let file = world.sandbox.file(&format!("{name}-{size}"), size);
            assert_eq!(put(&world, &file, &flags).unproven, [name]);
        }
    }
}

#[test]
fn store_that_refuses_an_attribute_is_named_with_it() {
    let store = bucket("refused");
    let world = World::on_store_with(&store, ALL, &[]);
    for size in [10, 2 * PART] {
        let file = world.sandbox.file(&format!("{size}.bin"), size);
        let put = world.put(&file).args(["--storage-class", "NO_SUCH_CLASS"]);
        let output = put.run().exits(77);
        output.stderr_contains("InvalidStorageClass");
        assert!(store.objects().is_empty());
        let addr = world.gateway.addr();
        let begun = raw_http::request(addr, "GET", "/v1/uploads?state=pending", &[], b"");
        assert!(begun.body.contains(r#""uploads":[]"#), "{}", begun.body);
    }
}

#[test]
fn attributes_with_a_companion_are_refused() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = sandbox.upload(["put", "--backend", "companion+http://127.0.0.1:1/"]);
    let put = put.args(["--tag", "a=b", "--cache-control", "no-store"]);
    put.arg(&file)
        .run()
        .exits(78)
        .stderr_contains("a Companion cannot set --cache-control, --tag");
    sandbox.upload(["resume"]).run().succeeds();
}

#[test]
fn object_in_quarantine_keeps_its_attributes() {
    let store = bucket("quarantine");
    let hook = ["--hook", "check=exec:/bin/sh", "--hook-arg", "check=-c"];
    let rejects = [
        "--hook-arg",
        "check=exit 10",
        "--on-reject",
        "quarantine:bad",
    ];
    let world = World::on_store_with(&store, &[ALL, &hook, &rejects].concat(), &[]);
    let file = world.sandbox.file("film.bin", 100);
    let class = ["--storage-class", "STANDARD_IA"];
    let put = world.put(&file).args(FLAGS).args(class);
    put.run().exits(77);
    let key = wait::until("the object in quarantine", || {
        let objects = store.objects();
        objects.into_iter().find(|key| key.starts_with("bad/"))
    });
    // LocalStack's CopyObject loses this header.
    let head = assert_has_attributes_except(&store, &key, Some("expires"));
    assert_eq!(head.header("x-amz-storage-class"), Some("STANDARD_IA"));
}

/// A single PUT carries the attributes. If the store refuses it, the upload does not stay in the
/// way of one without them.
#[test]
fn attribute_that_the_store_refuses_ends_the_upload() {
    for (status, code) in [
        (400, "InvalidArgument"),
        (501, "NotImplemented"),
        (400, "InvalidTag"),
    ] {
        let world = World::with_args(ALL);
        let file = world.sandbox.file("a.bin", 1000);
        let refusal = Fault::s3(status, code);
        world.proxy.inject(Requests::put().nth(1), refusal);
        let put = world.put(&file).args(["--json", "--tag", "a=b"]);
        let output = put.run().exits(77);
        assert_eq!(failure_kind(&output), "not_acceptable", "{code}");
        assert_eq!(world.store().objects(), [""; 0]);
        world.store().assert_no_open_uploads();
        let list = world.upload(&["list"]).run().succeeds();
        assert_eq!(list.stdout(), "", "{code}");
        world.put(&file).run().succeeds();
        world.assert_holds_only(&file);
    }
}
