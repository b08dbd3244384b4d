//! Power loss: only synced data survives, so an action that depends on the journal must follow a
//! sync of it. The test checks the order of system calls in the output of `strace`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::support::PART;
use crate::support::world::{World, location};

/// Actions that must follow a sync of the journal, each with a text that its system call contains.
const ACTIONS: [(&str, &str); 3] = [
    ("an upload is begun", "\"POST /v1/uploads HTTP"),
    ("an upload is completed", "/complete HTTP"),
    ("a location is printed", "\"embedded:uploads/"),
];

/// The path that strace prints after a file descriptor.
fn path_of(call: &str) -> Option<&str> {
    let (_, rest) = call.split_once('<')?;
    Some(rest.split_once('>')?.0)
}

#[test]
fn begin_complete_and_output_follow_a_sync_of_the_journal() {
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
    let (mut seen, mut syncs) = (BTreeSet::new(), 0);
    for line in trace.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let path = path_of(call).unwrap_or_default();
        if path.contains("/upload/journal") || path.contains("/state/upload") {
            if call.starts_with("pwrite64(") && !path.ends_with("-shm") {
                dirty.insert(path.to_owned());
            } else if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
                if call.contains("<unfinished") {
                    unfinished.insert(thread.to_owned(), path.to_owned());
                } else {
                    syncs += 1;
                    dirty.remove(path);
                }
            }
        }
        if call.starts_with("<... fsync resumed") || call.starts_with("<... fdatasync resumed") {
            syncs += 1;
            dirty.remove(&unfinished.remove(thread).unwrap_or_default());
        }
        // A new journal gets its name by a link, which changes the directory.
        if call.starts_with("link") {
            dirty.insert(
                call.split('"')
                    .nth(3)
                    .and_then(|to| Some(to.rsplit_once('/')?.0))
                    .unwrap()
                    .to_owned(),
            );
        }
        for (action, text) in ACTIONS {
            if call.contains(text) {
                assert!(
                    dirty.is_empty(),
                    "{action} before {dirty:?} is synced:\n{trace}"
                );
                seen.insert(action);
            }
        }
    }
    assert_eq!(
        seen.len(),
        ACTIONS.len(),
        "the trace shows only {seen:?}:\n{trace}"
    );
    assert!(syncs >= 4, "{trace}");
}
