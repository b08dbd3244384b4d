//! Which points there are, by the sources; and which of them a run passes, by its own account.
//!
//! Border: names and counts.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    /// With the store in its process.
    Gateway,
    /// Of either, between verified and ready; nobody passes them without hooks.
    Hooks,
}

/// The names of all points of a side, in order.
pub fn of(side: Side) -> Vec<String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo"));
    let mut found = Vec::new();
    let mut see = |path: &Path| {
        let named = named_in(&fs::read_to_string(path).unwrap());
        found.extend(named.into_iter().filter(|name| is_on(name, side)));
    };
    visit(&root.join("src"), &mut see);
    visit(&root.join("crates"), &mut see);
    found.sort();
    found
}

/// Whether a point is on a side, by the first part of its name.
fn is_on(name: &str, side: Side) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    match (side, of_hooks(name)) {
        (Side::Hooks, of_hooks) => of_hooks,
        (_, true) => false,
        (Side::Client, false) => {
            ["backend", "cli", "journal", "sqlite", "transfer"].contains(&first)
        }
        (Side::Gateway, false) => ["gateway", "sqlite", "store"].contains(&first),
    }
}

fn of_hooks(name: &str) -> bool {
    name.starts_with("gateway.hooks.")
        || ["transfer.waited", "journal.record.rejected"].contains(&name)
}

fn visit(dir: &Path, see: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, see);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            see(&path);
        }
    }
}

/// Every text that a call of `crash::point` names, but for what it is compared with.
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

/// How often each point was passed.
#[derive(Debug)]
pub struct Passed(BTreeMap<String, u32>);

impl Passed {
    /// Reads what `UPLOAD_CRASH_LOG` has written.
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
fn there_are_many_and_each_has_a_name_of_its_own() {
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

/// What a build without the feature, or without debug assertions, has of it: an empty function, and no word of what it looks for.
#[test]
fn nothing_of_it_is_in_a_build_that_is_not_a_tests() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(
        manifest.contains("\ndefault = [\"gateway\"]\n"),
        "another default"
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
