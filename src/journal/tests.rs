//! The journal on a real disk: what is promised stays, what is not one is refused.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::names::{ETag, Fingerprint, Identity, PartNumber};

fn intent() -> Intent {
    Intent {
        backend: "embedded".into(),
        instance_id: "instance".into(),
        path: "/tmp/\u{e9}/f".into(),
        name: "f".into(),
        content_type: "text/plain".into(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        identity: Identity { dev: u64::MAX, ino: 2, size: 20, mtime_ns: -1, ctime_ns: 5 },
        part_size: 10,
    }
}

#[test]
fn what_was_promised_is_there_after_the_connection_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/journal.db");
    let mut journal = Journal::open(&path).unwrap();
    let (upload, lock) = journal.intend(intent()).unwrap();
    journal.opened(upload.row, &"some-id".parse().unwrap(), 12).unwrap();
    let (fingerprint, etag) = (Fingerprint::of(b"1"), "etag".parse::<ETag>().unwrap());
    journal.fingerprinted(&[(upload.row, PartNumber::FIRST, fingerprint)]).unwrap();
    journal.acknowledged(&[(upload.row, PartNumber::FIRST, etag.clone())]).unwrap();
    drop((journal, lock));

    let mut journal = Journal::open(&path).unwrap();
    let found = journal.candidates("instance", "f", &intent().path, &intent().identity).unwrap();
    assert_eq!(found.len(), 1);
    let found = &found[0];
    assert_eq!(
        (found.state, found.intent.part_size, found.idem.as_str()),
        (State::Uploading, 12, upload.idem.as_str())
    );
    assert_eq!((found.intent.identity, &found.intent.metadata), (intent().identity, &intent().metadata));
    let part = Part { number: PartNumber::FIRST, fingerprint, etag: Some(etag) };
    assert_eq!(journal.parts(found.row).unwrap(), [part]);

    journal.fingerprinted(&[(found.row, PartNumber::FIRST, Fingerprint::of(b"2"))]).unwrap();
    assert_eq!(journal.parts(found.row).unwrap()[0].etag, None, "other bytes are not acknowledged");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn an_upload_is_driven_by_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
    let (upload, lock) = journal.intend(intent()).unwrap();
    let error = journal.lock(&upload).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    drop(lock);
    journal.lock(&upload).unwrap();
}
