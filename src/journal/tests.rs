//! The journal on a real disk: what is promised stays, what is not one is refused.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use upload_types::names::{ETag, Identity, PartNumber, Sha256};

fn intent() -> Intent {
    Intent {
        backend: "embedded".into(),
        instance_id: "instance".into(),
        path: "/tmp/\u{e9}/f".into(),
        name: "f".into(),
        content_type: "text/plain".into(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        identity: Identity {
            dev: u64::MAX,
            ino: 2,
            size: 20,
            mtime_ns: -1,
            ctime_ns: 5,
        },
        part_size: 10,
    }
}

fn begun(journal: &mut Journal) -> Upload {
    journal
        .intend(&[], vec![intent()])
        .unwrap()
        .remove(0)
        .unwrap()
}

#[test]
fn what_was_promised_is_there_after_the_connection_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/journal.db");
    let mut journal = Journal::open(&path).unwrap();
    let upload = begun(&mut journal);
    let (row, number) = (upload.row, PartNumber::FIRST);
    let (sha256, etag) = (Sha256::of(b"1"), "etag".parse::<ETag>().unwrap());
    let notes = [
        Note::Opened {
            row,
            id: "some-id".parse().unwrap(),
            part_size: 12,
            memo: None,
        },
        Note::Fingerprinted {
            row,
            number,
            sha256,
        },
        Note::Acknowledged {
            row,
            number,
            etag: etag.clone(),
        },
    ];
    journal.note(&notes).unwrap();
    drop(journal);

    let mut journal = Journal::open(&path).unwrap();
    let (source, moved, identity) = (intent().path, Path::new("/elsewhere"), intent().identity);
    let other = Identity { ino: 3, ..identity };
    let sources = [
        ("f", &*source, other),
        ("f", moved, identity),
        ("f", moved, other),
        ("g", &*source, identity),
    ];
    let mut found = journal.candidates("instance", &sources).unwrap();
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0, 0]);
    let elsewhere = journal.candidates("another instance", &sources).unwrap();
    assert!(
        elsewhere.iter().all(Vec::is_empty),
        "what another backend has is not there for this one"
    );
    let found = &found.remove(0)[0];
    assert_eq!(
        (found.state, found.intent.part_size, found.idem.as_str()),
        (State::Uploading, 12, upload.idem.as_str())
    );
    assert_eq!(
        (found.intent.identity, &found.intent.metadata),
        (intent().identity, &intent().metadata)
    );
    let part = Part {
        number,
        sha256,
        etag: Some(etag),
    };
    assert_eq!(journal.parts(found.row).unwrap(), [part]);

    journal
        .note(&[Note::Fingerprinted {
            row,
            number,
            sha256: Sha256::of(b"2"),
        }])
        .unwrap();
    assert_eq!(
        journal.parts(found.row).unwrap()[0].etag,
        None,
        "other bytes are not acknowledged"
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn an_upload_is_driven_by_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut ours = Journal::open(&path).unwrap();
    let mut theirs = Journal::open(&path).unwrap();
    let upload = begun(&mut ours);
    assert!(
        theirs.intend(&[], vec![intent()]).unwrap()[0].is_none(),
        "one source is begun once"
    );
    let error = theirs.take(&upload).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(
        error
            .to_string()
            .contains(&format!("pid {}", std::process::id())),
        "{error}"
    );
    ours.note(&[Note::Released { row: upload.row }]).unwrap();
    theirs.take(&upload).unwrap();
    assert_eq!(ours.take(&upload).unwrap_err().kind(), Kind::Busy);
    drop(theirs);
    ours.take(&upload).unwrap();
}

#[test]
fn who_died_drives_nothing_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    let upload = begun(&mut journal);
    // As after a kill: the file stays, its lock is gone.
    let left = dir.path().join("j.db.locks/0123");
    std::fs::write(&left, "1").unwrap();
    let named = "UPDATE upload SET presence = '0123'";
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute(named, [])
        .unwrap();
    let mut other = Journal::open(&path).unwrap();
    other.take(&upload).unwrap();
    assert!(!left.exists());
    drop((journal, other));
    assert_eq!(
        std::fs::read_dir(dir.path().join("j.db.locks"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn notes_are_written_all_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
    let row = begun(&mut journal).row;
    let (number, sha256) = (PartNumber::FIRST, Sha256::of(b"1"));
    let of_nobody = Note::Fingerprinted {
        row: row + 1,
        number,
        sha256,
    };
    journal
        .note(&[
            Note::Fingerprinted {
                row,
                number,
                sha256,
            },
            of_nobody,
        ])
        .unwrap_err();
    assert_eq!(journal.parts(row).unwrap(), []);
}

#[test]
fn one_upload_makes_room_for_another_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    let old = begun(&mut journal);
    let gone = [Note::Abandoned { row: old.row }];
    // What cannot be written: a key that is there already.
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON upload BEGIN SELECT RAISE(ABORT, 'no'); END";
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch(stop).unwrap();
    journal.intend(&gone, vec![intent()]).unwrap_err();
    assert_eq!(
        journal.all().unwrap()[0].state,
        State::Creating,
        "given up, and nothing came in its place"
    );
    other.execute_batch("DROP TRIGGER stop").unwrap();
    let new = journal
        .intend(&gone, vec![intent()])
        .unwrap()
        .remove(0)
        .unwrap();
    let states = journal
        .all()
        .unwrap()
        .into_iter()
        .map(|upload| (upload.row, upload.state));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [(new.row, State::Creating), (old.row, State::Abandoned)]
    );
}

#[test]
fn a_write_that_failed_is_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    let row = begun(&mut journal).row;
    // A disk that is full.
    let pages: i64 = journal
        .db
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    journal
        .db
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let fingerprinted = |n: u32| {
        let number = PartNumber::try_from(n).unwrap();
        Note::Fingerprinted {
            row,
            number,
            sha256: Sha256::of(&n.to_be_bytes()),
        }
    };
    let many: Vec<Note> = (1..=1000).map(fingerprinted).collect();
    assert_eq!(journal.note(&many).unwrap_err().kind(), Kind::Io);
    journal
        .db
        .pragma_update(None, "max_page_count", 1 << 20)
        .unwrap();
    journal.note(&[fingerprinted(1)]).unwrap_err();
    drop(journal);
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!(journal.parts(row).unwrap(), []);
    journal.note(&[fingerprinted(1)]).unwrap();
}

#[test]
fn one_that_another_process_keeps_is_busy_and_not_broken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    let row = begun(&mut journal).row;
    journal.db.busy_timeout(std::time::Duration::ZERO).unwrap();
    let mut other = rusqlite::Connection::open(&path).unwrap();
    let kept = other
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    assert_eq!(
        journal.note(&[Note::Released { row }]).unwrap_err().kind(),
        Kind::Busy
    );
    drop(kept);
    journal.note(&[Note::Released { row }]).unwrap();
}

#[test]
fn a_journal_that_is_removed_while_it_is_used_is_put_back() {
    let all = |dir: &Path| std::fs::remove_dir_all(dir).unwrap();
    let alone = |dir: &Path| std::fs::remove_file(dir.join("j.db")).unwrap();
    for remove in [&all as &dyn Fn(&Path), &alone] {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state/j.db");
        let mut journal = Journal::open(&path).unwrap();
        let upload = begun(&mut journal);
        remove(&place.path().join("state"));
        let (row, number, sha256) = (upload.row, PartNumber::FIRST, Sha256::of(b"1"));
        journal
            .note(&[Note::Fingerprinted {
                row,
                number,
                sha256,
            }])
            .unwrap();

        // It is whole, it is private, and says that we live.
        let mut other = Journal::open(&path).unwrap();
        assert_eq!(other.take(&upload).unwrap_err().kind(), Kind::Busy);
        journal
            .note(&[Note::Opened {
                row,
                id: "id".parse().unwrap(),
                part_size: 7,
                memo: None,
            }])
            .unwrap();
        drop(journal);
        let found = other.take(&upload).unwrap();
        assert_eq!((found.state, found.intent.part_size), (State::Uploading, 7));
        assert_eq!(other.parts(row).unwrap().len(), 1);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let names = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(
            names
                .filter(|name| name.to_string_lossy().contains(".new-"))
                .count(),
            0
        );
    }
}

#[test]
fn a_journal_in_whose_place_another_was_put_is_written_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut ours = Journal::open(&path).unwrap();
    let row = begun(&mut ours).row;
    for file in ["j.db", "j.db-wal", "j.db-shm"] {
        std::fs::remove_file(dir.path().join(file)).unwrap();
    }
    let mut theirs = Journal::open(&path).unwrap();
    begun(&mut theirs);
    assert_eq!(
        ours.note(&[Note::Released { row }]).unwrap_err().kind(),
        Kind::Io
    );
    // Nor does it take the other's log with it when it goes.
    drop(ours);
    assert!(dir.path().join("j.db-wal").exists());
    let check = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(
        check
            .query_row("PRAGMA quick_check", [], |row| row.get::<_, String>(0))
            .unwrap(),
        "ok"
    );
    assert_eq!(Journal::open(&path).unwrap().all().unwrap().len(), 1);
}

#[test]
fn a_journal_of_ten_thousand_parts_stays_below_three_mebibytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
    let row = begun(&mut journal).row;
    let size = || -> u64 {
        let files = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap());
        files
            .filter(std::fs::Metadata::is_file)
            .map(|file| file.len())
            .sum()
    };
    let mut most = 0;
    for first in (1..=10_000_u32).step_by(8) {
        let numbers = || (first..first + 8).map(|n| PartNumber::try_from(n).unwrap());
        let sha256 = |number: PartNumber| Sha256::of(&number.get().to_be_bytes());
        let hashed = numbers().map(|number| Note::Fingerprinted {
            row,
            number,
            sha256: sha256(number),
        });
        journal.note(&hashed.collect::<Vec<_>>()).unwrap();
        // As AWS writes them: the MD5 in hex.
        let etag = |number: PartNumber| format!("{:032x}", number.get()).parse::<ETag>().unwrap();
        let stored = numbers().map(|number| Note::Acknowledged {
            row,
            number,
            etag: etag(number),
        });
        journal.note(&stored.collect::<Vec<_>>()).unwrap();
        most = most.max(size());
    }
    assert_eq!(journal.parts(row).unwrap().len(), 10_000);
    assert!(most <= 3 << 20, "{most} bytes");
}
