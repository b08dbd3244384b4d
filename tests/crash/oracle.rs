//! What must be true once all is over, however it went.
//!
//! Border: reads; does nothing.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::support::command::Output;
use crate::support::files;
use crate::support::s3::S3;

/// A secret that goes with every call.
pub const CANARY: &str = "canary-in-the-coal-mine";
/// It, and marks of a presigned URL.
const SECRETS: [&str; 3] = [CANARY, "X-Amz-Signature", "X-Amz-Credential"];

/// Asserts that beside what was `there`, the store holds each file once, byte for byte, and nothing half done.
#[track_caller]
pub fn holds(store: &S3, there: &[String], sources: &[PathBuf]) {
    let objects: Vec<String> = store
        .objects()
        .into_iter()
        .filter(|key| !there.contains(key))
        .collect();
    let mut stored: Vec<String> = objects.iter().map(|key| store.sha256(key)).collect();
    let mut wanted: Vec<String> = sources.iter().map(|path| files::sha256(path)).collect();
    stored.sort();
    wanted.sort();
    assert_eq!(stored, wanted, "objects and files differ: {objects:?}");
    store.assert_no_open_uploads();
}

/// Asserts that databases beneath are whole, and that no secret stands in any file but a source or a store's own.
#[track_caller]
pub fn whole(beneath: Vec<PathBuf>) {
    for path in beneath {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|ext| ext == "db") {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
            let check = Connection::open_with_flags(&path, flags).unwrap();
            let said: String = check
                .query_row("PRAGMA quick_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(said, "ok", "{}", path.display());
        }
        if name.contains(".db") {
            let text = fs::read(&path).unwrap_or_default();
            tells_no_secret(&path.display().to_string(), &String::from_utf8_lossy(&text));
        }
    }
}

#[track_caller]
pub fn discreet(output: &Output) {
    tells_no_secret("standard output", output.stdout());
    tells_no_secret("standard error", output.stderr());
}

#[track_caller]
fn tells_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} stands in {what}");
    }
}

/// Bytes of parts that a run said are stored; a run that died may have said half a line.
pub fn told(stdout: &str) -> u64 {
    let lines = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines
        .filter(|line| line["type"] == "part")
        .filter_map(|line| line["size"].as_u64())
        .sum()
}

/// Bytes that a run which came to its end has sent.
#[track_caller]
pub fn sent(output: &Output) -> u64 {
    let last = output
        .lines()
        .last()
        .copied()
        .unwrap_or_default()
        .to_owned();
    let exit: serde_json::Value =
        serde_json::from_str(&last).unwrap_or_else(|_| panic!("no last line: {output}"));
    exit["bytes_sent"]
        .as_u64()
        .unwrap_or_else(|| panic!("no exit: {output}"))
}
