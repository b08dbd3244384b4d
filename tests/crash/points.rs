//! The crash points in the sources, and counts of the points that a run passes.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Processes that pass points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    /// Also the embedded store.
    Gateway,
    /// Points of both processes between verified and ready; only uploads with hooks pass them.
    Hooks,
    /// Points of both processes that only streams pass.
    Streams,
    /// Points of the client that only sets pass: uploads of directories and lists.
    Sets,
}

/// The names of all points of a side, sorted.
pub fn of(side: Side) -> Vec<String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo"));
    let mut found = Vec::new();
    let mut add_points_of = |path: &Path| {
        let named = named_in(&fs::read_to_string(path).unwrap());
        found.extend(named.into_iter().filter(|name| is_on(name, side)));
    };
    for_each_source(&root.join("src"), &mut add_points_of);
    for_each_source(&root.join("crates"), &mut add_points_of);
    found.sort();
    found
}

/// Returns true if a point is on a side, by the first segment of its name.
fn is_on(name: &str, side: Side) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    match side {
        Side::Hooks => is_of_hooks(name),
        Side::Streams => is_of_streams(name),
        Side::Sets => is_of_sets(name),
        _ if is_of_hooks(name) || is_of_streams(name) || is_of_sets(name) => false,
        Side::Client => ["backend", "cli", "journal", "sqlite", "transfer"].contains(&first),
        Side::Gateway => ["gateway", "sqlite", "store"].contains(&first),
    }
}

fn is_of_streams(name: &str) -> bool {
    name.starts_with("stream.") || name.starts_with("gateway.stream.")
}

fn is_of_sets(name: &str) -> bool {
    name.starts_with("journal.sets.")
}

fn is_of_hooks(name: &str) -> bool {
    name.starts_with("gateway.hooks.")
        || ["transfer.waited", "journal.record.rejected"].contains(&name)
}

fn for_each_source(dir: &Path, on_file: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_each_source(&path, on_file);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            on_file(&path);
        }
    }
}

/// The string literals with a dot in the calls of `crash::point`; literals without a dot
/// belong to conditions.
fn named_in(code: &str) -> Vec<String> {
    let calls = code
        .split("crash::point(")
        .skip(1)
        .map(|rest| rest.split(");").next().unwrap_or_default());
    let texts = calls.flat_map(|call| call.split('"').skip(1).step_by(2));
    texts
        .filter(|text| text.contains('.'))
        .map(str::to_owned)
        .collect()
}

/// How often a run passes each point.
#[derive(Debug)]
pub struct PassCounts(BTreeMap<String, u32>);

impl PassCounts {
    /// Reads the file that `UPLOAD_CRASH_LOG` names.
    pub fn read(log: &Path) -> Self {
        let mut counts = BTreeMap::new();
        for name in fs::read_to_string(log).unwrap_or_default().lines() {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
        Self(counts)
    }

    pub fn of(&self, point: &str) -> u32 {
        self.0.get(point).copied().unwrap_or_default()
    }
}

#[test]
fn points_are_many_and_uniquely_named() {
    let (mut client, mut gateway) = (of(Side::Client), of(Side::Gateway));
    println!(
        "{} in the client, {} in the gateway",
        client.len(),
        gateway.len()
    );
    assert!(client.len() >= 40 && gateway.len() >= 25);
    gateway.retain(|name| !name.starts_with("sqlite."));
    client.append(&mut gateway);
    let all = client.len();
    client.sort();
    client.dedup();
    assert_eq!(client.len(), all);
}

#[test]
fn points_are_found_in_code() {
    let code = "crash::point(\"a.b\");\n  crash::point(if x == \"y\" { \"c.d\" } else { \"e.f\" });\nlet z = \"g.h\";";
    assert_eq!(named_in(code), ["a.b", "c.d", "e.f"]);
}

/// Without the feature or without debug assertions, `crash::point` is empty and reads no variable.
#[test]
fn release_builds_contain_no_crash_points() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(
        manifest.contains("\ndefault = [\"gateway\"]\n"),
        "the default features have changed"
    );
    let dir = tempfile::tempdir().unwrap();
    for (feature, assertions) in [(true, "no"), (false, "yes"), (false, "no")] {
        let made = dir.path().join(format!("{feature}-{assertions}.o"));
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args([
            "--edition",
            "2024",
            "--crate-name",
            "crash",
            "--crate-type",
            "lib",
            "--emit",
            "obj",
            "-C",
        ]);
        rustc
            .arg(format!("debug-assertions={assertions}"))
            .arg("-o")
            .arg(&made)
            .arg(root.join("crates/types/src/crash.rs"));
        if feature {
            rustc.args(["--cfg", "feature=\"crash-points\""]);
        }
        assert!(rustc.status().unwrap().success());
        let built = fs::read(&made).unwrap();
        assert!(
            !built.windows(12).any(|bytes| bytes == b"UPLOAD_CRASH"),
            "{feature} {assertions}"
        );
    }
}
