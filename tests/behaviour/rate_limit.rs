//! A client that makes more calls than `--rate` permits waits as the gateway asks, and loses
//! nothing.

use std::fs;

use crate::support::world::World;

/// Each file costs a begin and a complete: together 1,200 calls, and the burst is 1,000. The rate
/// is so low that a put of less than four seconds has to wait.
#[test]
fn puts_beyond_the_rate_wait_and_succeed() {
    const FILES: usize = 600;
    let world = World::with_args(&["--rate", "50/s"]);
    let dir = world.sandbox.path("tree");
    fs::create_dir(&dir).unwrap();
    let mut paths = Vec::new();
    for n in 0..FILES {
        let path = dir.join(n.to_string());
        fs::write(&path, n.to_string()).unwrap();
        paths.push(path);
    }
    let output = world.upload(&["put"]).args(&paths).run().succeeds();
    assert_eq!(output.lines().len(), FILES);
    assert_eq!(world.store().objects().len(), FILES);
}
