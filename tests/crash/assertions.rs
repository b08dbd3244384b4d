//! Assertions that hold after every run: of the store, of databases and of secrets.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::support::command::Output;
use crate::support::files;
use crate::support::s3::S3;

/// The client's token, which must not be printed or stored.
pub const TOKEN: &str = "canary-token-c4Wm";
/// The token, and marks of a presigned URL.
const SECRETS: [&str; 3] = [TOKEN, "X-Amz-Signature", "X-Amz-Credential"];

/// Asserts that the store has each source once in addition to `known_objects`, and no open upload.
#[track_caller]
pub fn assert_stored(store: &S3, known_objects: &[String], sources: &[PathBuf]) {
    assert_objects(store, known_objects, sources);
    store.assert_no_open_uploads();
}

/// Asserts that the store has each source once in addition to `known_objects`.
#[track_caller]
pub fn assert_objects(store: &S3, known_objects: &[String], sources: &[PathBuf]) {
    let objects: Vec<String> = store
        .objects()
        .into_iter()
        .filter(|key| !known_objects.contains(key))
        .collect();
    let mut stored: Vec<String> = objects.iter().map(|key| store.sha256(key)).collect();
    let mut wanted: Vec<String> = sources.iter().map(|path| files::sha256(path)).collect();
    stored.sort();
    wanted.sort();
    assert_eq!(stored, wanted, "objects and files differ: {objects:?}");
}

/// Asserts that the databases among these files are intact, and that they contain no secret.
#[track_caller]
pub fn assert_databases_intact(paths: Vec<PathBuf>) {
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|ext| ext == "db") {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
            let check = Connection::open_with_flags(&path, flags).unwrap();
            let result: String = check
                .query_row("PRAGMA quick_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(result, "ok", "{}", path.display());
        }
        if name.contains(".db") {
            let text = fs::read(&path).unwrap_or_default();
            assert_contains_no_secret(&path.display().to_string(), &String::from_utf8_lossy(&text));
        }
    }
}

#[track_caller]
pub fn assert_no_secrets(output: &Output) {
    assert_contains_no_secret("standard output", output.stdout());
    assert_contains_no_secret("standard error", output.stderr());
}

#[track_caller]
fn assert_contains_no_secret(name: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {name}");
    }
}

/// Bytes of parts that a run reported as stored. The last line of a killed run may be incomplete.
pub fn stored_bytes_reported(stdout: &str) -> u64 {
    let lines = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines
        .filter(|line| line["type"] == "part")
        .filter_map(|line| line["size"].as_u64())
        .sum()
}

/// All bytes that a run sent, from its last event.
#[track_caller]
pub fn bytes_sent(output: &Output) -> u64 {
    let last = output
        .lines()
        .last()
        .copied()
        .unwrap_or_default()
        .to_owned();
    let exit: serde_json::Value = serde_json::from_str(&last)
        .unwrap_or_else(|_| panic!("the last line is not JSON: {output}"));
    exit["bytes_sent"]
        .as_u64()
        .unwrap_or_else(|| panic!("no exit event: {output}"))
}
