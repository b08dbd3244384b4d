//! A machine that loses its power keeps what was synced and nothing else: so what depends on the journal waits for the disk.
//!
//! Border: the order of system calls, as `strace` sees it. That SQLite keeps what it synced is SQLite's own promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::PART;
use crate::support::world::{World, location};

/// What is asked of others, or told, only when the journal has it on disk; by how the call begins.
const PROMISES: [(&str, &str); 3] = [
    ("an upload is begun", "\"POST /v1/uploads HTTP"),
    ("an upload is completed", "/complete HTTP"),
    ("a location is printed", "\"embedded:uploads/"),
];

/// The path that strace puts behind a descriptor.
fn path(call: &str) -> Option<&str> {
    let (_, rest) = call.split_once('<')?;
    Some(rest.split_once('>')?.0)
}

#[test]
fn nothing_is_promised_before_the_journal_is_on_disk() {
    let world = World::new();
    let trace = world.sandbox.path("trace");
    let file = world.sandbox.file("film.bin", 2 * PART);
    let strace = world
        .sandbox
        .command("strace")
        .env("UPLOAD_BACKEND", world.proxy.url());
    let calls = "trace=pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync,link,linkat";
    let strace = strace
        .args(["-f", "-qq", "-y", "-s", "80", "-e", calls, "-o"])
        .arg(&trace);
    let put = strace
        .arg(env!("CARGO_BIN_EXE_upload"))
        .args(["put", "--part-size", "5MiB"])
        .arg(&file);
    location(put.run());

    let trace = fs::read_to_string(&trace).unwrap();
    let (mut dirty, mut unfinished) = (BTreeSet::new(), BTreeMap::new());
    let (mut kept, mut syncs) = (BTreeSet::new(), 0);
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let at = path(call).unwrap_or_default();
        if at.contains("/upload/journal") || at.contains("/state/upload") {
            if call.starts_with("pwrite64(") && !at.ends_with("-shm") {
                dirty.insert(at.to_owned());
            } else if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
                if call.contains("<unfinished") {
                    unfinished.insert(thread.to_owned(), at.to_owned());
                } else {
                    syncs += 1;
                    dirty.remove(at);
                }
            }
        }
        if call.starts_with("<... fsync resumed") || call.starts_with("<... fdatasync resumed") {
            syncs += 1;
            dirty.remove(&unfinished.remove(thread).unwrap_or_default());
        }
        // A new journal is put into place by a link, which is in the directory, which is a file like any other.
        if call.starts_with("link") {
            dirty.insert(
                call.split('"')
                    .nth(3)
                    .and_then(|to| Some(to.rsplit_once('/')?.0))
                    .unwrap()
                    .to_owned(),
            );
        }
        for (what, begins) in PROMISES {
            if call.contains(begins) {
                assert!(
                    dirty.is_empty(),
                    "{what} before {dirty:?} is synced:\n{trace}"
                );
                kept.insert(what);
            }
        }
    }
    assert_eq!(
        kept.len(),
        PROMISES.len(),
        "{kept:?} was seen alone:\n{trace}"
    );
    assert!(syncs >= 4, "{trace}");
}
