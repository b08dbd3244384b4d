//! Opening the store, and the files in its directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use upload_embedded_store::Embedded;
use upload_types::error::Kind;

use crate::client::{MIB, OPEN_TIMEOUT, TestStore, files_in, random_bytes, wait_until_closed};

/// Opens and closes a store.
async fn reopen(dir: &Path) {
    drop(Embedded::open(dir, OPEN_TIMEOUT).await.unwrap());
    wait_until_closed(dir).await;
}

async fn assert_not_opened(dir: &Path) {
    let error = Embedded::open(dir, OPEN_TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Io, "{error}");
}

#[tokio::test]
async fn reopened_store_keeps_parts_and_removes_leftovers_of_a_crash() {
    let store = TestStore::new().await;
    let body = random_bytes(1, 5 * MIB);
    let id = store.create_upload("k").await;
    store.put_part("k", &id, 1, &body).await.assert_ok();
    let files = store.files();
    let keys = store.keys.clone();
    let (dir, temp_dir) = store.close().await;
    reopen(&dir).await;

    // As after a kill: the lock file names a process, and a draft and a part file without a row are
    // left. The file with another name does not belong to the store.
    fs::write(dir.join("lock"), "1\n").unwrap();
    fs::write(dir.join("tmp").join("0".repeat(32)), b"draft").unwrap();
    let part_file = files.keys().next().unwrap();
    let shard = part_file.parent().unwrap();
    let shard_name = shard.file_name().unwrap().to_str().unwrap();
    let without_row = format!("{}{shard_name}", "0".repeat(30));
    fs::write(shard.join(without_row), b"without a row").unwrap();
    let foreign = shard.join("foreign");
    fs::write(&foreign, b"").unwrap();

    let mut store = TestStore::open(&dir).await;
    store.temp_dir = temp_dir;
    let left: Vec<PathBuf> = store.files().into_keys().collect();
    assert_eq!(left, [part_file.clone(), foreign]);
    assert_eq!(store.keys, keys);
    assert_eq!(store.part_numbers("k", &id).await, ["1"]);
    let completed = store.complete("k", &id, &[], &[(1, &body)]).await;
    completed.assert_ok();
    assert!(store.get("k", &[]).await.assert_ok().body == body);
}

#[tokio::test]
async fn second_opener_waits_or_fails_with_the_process_id() {
    let store = TestStore::new().await;
    let short_wait = Duration::from_millis(120);
    let error = Embedded::open(&store.dir, short_wait).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    let holder = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    let dir = store.dir.clone();
    let waiting = tokio::spawn(async move {
        let opened = Embedded::open(&dir, Duration::from_secs(20)).await;
        opened.map(drop)
    });
    let _temp_dir = store.close().await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn files_and_directories_are_private() {
    let store = TestStore::new().await;
    store.put("k", &[], b"x").await.assert_ok();
    let mut count = 0;
    let mut paths = vec![store.dir.clone()];
    while let Some(path) = paths.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}", path.display());
        if metadata.is_dir() {
            let entries = fs::read_dir(path).unwrap();
            paths.extend(entries.map(|entry| entry.unwrap().path()));
        }
        count += 1;
    }
    assert!(count > 8, "{count}");
}

#[tokio::test]
async fn newer_foreign_or_missing_manifest_is_rejected() {
    let store = TestStore::new().await;
    store.put("k", &[], b"x").await.assert_ok();
    let (dir, _temp_dir) = store.close().await;
    reopen(&dir).await;
    let database = dir.join("store.db");
    let files = files_in(&dir);
    assert_eq!(files.len(), 1);
    let set_pragma = |name: &str, value: i32| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        let before: i32 = connection
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap();
        connection.pragma_update(None, name, value).unwrap();
        before
    };
    for (name, value) in [("user_version", 1000), ("application_id", 7)] {
        let before = set_pragma(name, value);
        assert_not_opened(&dir).await;
        set_pragma(name, before);
        reopen(&dir).await;
    }
    fs::remove_file(&database).unwrap();
    assert_not_opened(&dir).await;
    assert!(!database.exists());
    assert_eq!(files_in(&dir), files);
}

/// A copy of a store as after a crash of the machine: with a lock file that names a process, and
/// without the write-ahead log of the database.
fn copy_as_after_crash(store: &TestStore) -> PathBuf {
    let copy = store.dir.with_extension("crashed");
    let mut dirs = vec![store.dir.clone()];
    while let Some(dir) = dirs.pop() {
        let target = |path: &Path| copy.join(path.strip_prefix(&store.dir).unwrap());
        fs::create_dir(target(&dir)).unwrap();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_str().unwrap();
            if path.is_dir() {
                dirs.push(path);
            } else if !name.ends_with("-wal") && !name.ends_with("-shm") {
                fs::copy(&path, target(&path)).unwrap();
            }
        }
    }
    copy
}

#[tokio::test]
async fn part_files_without_rows_are_set_aside_and_removed_after_a_week() {
    let store = TestStore::new().await;
    let content = store.create_object("k").await;
    let dir = copy_as_after_crash(&store);
    assert_eq!(files_in(&dir).len(), 2);
    reopen(&dir).await;
    assert_eq!(files_in(&dir).len(), 0);
    let lost_files = || {
        let entries = fs::read_dir(dir.join("lost")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let lost_bytes: Vec<u8> = lost_files()
        .iter()
        .flat_map(|path| fs::read(path).unwrap())
        .collect();
    assert!(lost_bytes == content);

    for (age_in_days, expected_count) in [(6, 2), (8, 1)] {
        let modified = SystemTime::now() - Duration::from_hours(age_in_days * 24);
        let oldest = fs::File::open(&lost_files()[0]).unwrap();
        oldest.set_modified(modified).unwrap();
        reopen(&dir).await;
        assert_eq!(lost_files().len(), expected_count);
    }
}

#[tokio::test]
async fn empty_manifest_is_rejected_and_part_files_stay() {
    let store = TestStore::new().await;
    store.create_object("k").await;
    let dir = copy_as_after_crash(&store);
    let before = files_in(&dir);
    let database = dir.join("store.db");
    fs::write(&database, b"").unwrap();
    for _ in 0..2 {
        assert_not_opened(&dir).await;
    }
    assert_eq!(fs::read(&database).unwrap(), b"");
    assert_eq!(files_in(&dir), before);
    let lock = fs::metadata(dir.join("lock")).unwrap();
    assert!(
        lock.len() > 0,
        "the next process must compare rows and files"
    );
}
