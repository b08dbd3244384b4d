//! The journal on a real disk.

mod finished;

use std::os::unix::fs::PermissionsExt as _;

use std::path::Path;

use rusqlite::TransactionBehavior;
use upload_types::error::Kind;
use upload_types::wire::{Attributes, IfExists};
use upload_types::{ETag, PartNumber, Sha256};

use super::*;
use crate::source::FileVersion;

fn intent() -> Intent {
    Intent {
        backend: "s3://bucket".into(),
        s3_service: Some(S3Service {
            endpoint: Some("http://127.0.0.1:9000".into()),
            region: None,
            path_style: true,
        }),
        instance_id: "instance".into(),
        path: "/tmp/\u{e9}/f".into(),
        name: "f".into(),
        content_type: "text/plain".into(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        attributes: Box::new(Attributes {
            cache_control: Some("no-store".into()),
            tags: [("team".to_owned(), "a".to_owned())].into(),
            ..Attributes::NONE
        }),
        key: Some("a/\u{e9} b".into()),
        if_exists: Some(IfExists::Overwrite),
        version: FileVersion {
            dev: u64::MAX,
            ino: 2,
            size: 20,
            mtime_ns: -1,
            ctime_ns: 5,
        },
        part_size: 10,
        stream: None,
        file_set: None,
    }
}

fn create_upload(journal: &mut Journal) -> Upload {
    journal
        .intend(&[], vec![intent()])
        .unwrap()
        .remove(0)
        .unwrap()
}

#[test]
fn journal_of_a_build_before_the_first_release_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch("CREATE TABLE upload (row INTEGER PRIMARY KEY, receipt TEXT)")
        .unwrap();
    old.pragma_update(None, "application_id", schema::SCHEMA.application_id)
        .unwrap();
    for version in 1..=7 {
        old.pragma_update(None, "user_version", version).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "version {version}");
        assert!(error.to_string().contains("before the first release"));
    }
    drop(old);
    // As the hint says.
    std::fs::rename(&path, dir.path().join("old")).unwrap();
    let mut journal = Journal::open(&path).unwrap();
    create_upload(&mut journal);
}

#[test]
fn records_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/journal.db");
    let mut journal = Journal::open(&path).unwrap();
    let upload = create_upload(&mut journal);
    let (row, number) = (upload.row, PartNumber::FIRST);
    let (sha256, etag) = (Sha256::of(b"1"), "etag".parse::<ETag>().unwrap());
    let records = [
        Record::Begun {
            row,
            id: "some-id".parse().unwrap(),
            part_size: 12,
            backend_state: None,
        },
        Record::PartHashed {
            row,
            number,
            sha256,
        },
        Record::PartStored {
            row,
            number,
            etag: etag.clone(),
        },
    ];
    journal.record(&records).unwrap();
    drop(journal);

    let mut journal = Journal::open(&path).unwrap();
    let (source, moved, version) = (intent().path, Path::new("/elsewhere"), intent().version);
    let other = FileVersion { ino: 3, ..version };
    let sources = [
        ("f", &*source, other),
        ("f", moved, version),
        ("f", moved, other),
        ("g", &*source, version),
        ("g", moved, version),
    ];
    let mut found = journal.candidates("instance", &sources).unwrap();
    assert_eq!(
        found.iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 1, 0, 0, 1]
    );
    let elsewhere = journal.candidates("another instance", &sources).unwrap();
    assert!(
        elsewhere.iter().all(Vec::is_empty),
        "uploads to another backend are not candidates"
    );
    let found = &found.remove(0)[0];
    assert_eq!(
        (found.state, found.intent.part_size, &found.idempotency_key),
        (State::Uploading, 12, &upload.idempotency_key)
    );
    assert_eq!(
        (
            found.intent.version,
            &found.intent.metadata,
            &found.intent.attributes
        ),
        (intent().version, &intent().metadata, &intent().attributes)
    );
    assert_eq!(found.intent.s3_service, intent().s3_service);
    let part = Part {
        number,
        sha256,
        etag: Some(etag),
    };
    assert_eq!(journal.parts(found.row).unwrap(), [part]);

    journal
        .record(&[Record::PartHashed {
            row,
            number,
            sha256: Sha256::of(b"2"),
        }])
        .unwrap();
    assert_eq!(
        journal.parts(found.row).unwrap()[0].etag,
        None,
        "the ETag of other bytes is removed"
    );
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn upload_is_driven_by_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut ours = Journal::open(&path).unwrap();
    let mut theirs = Journal::open(&path).unwrap();
    let upload = create_upload(&mut ours);
    assert!(
        theirs.intend(&[], vec![intent()]).unwrap()[0].is_none(),
        "one unfinished upload for each source"
    );
    let error = theirs.take(&upload).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
    assert!(
        error
            .to_string()
            .contains(&format!("pid {}", std::process::id())),
        "{error}"
    );
    ours.record(&[Record::Released { row: upload.row }])
        .unwrap();
    theirs.take(&upload).unwrap();
    assert_eq!(ours.take(&upload).unwrap_err().kind(), Kind::Busy);
    drop(theirs);
    ours.take(&upload).unwrap();
}

/// Both have found that the object of the upload is gone.
#[test]
fn finished_upload_is_replaced_by_one_of_two_processes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut ours = Journal::open(&path).unwrap();
    let mut theirs = Journal::open(&path).unwrap();
    let row = create_upload(&mut ours).row;
    let (id, receipt) = ("id".parse().unwrap(), Box::new(receipt()));
    let begun = Record::Begun {
        row,
        id,
        part_size: 10,
        backend_state: None,
    };
    ours.record(&[begun, Record::Completed { row, receipt }])
        .unwrap();
    let abandoned = [Record::Abandoned { row }];
    let new = ours.intend(&abandoned, vec![intent()]).unwrap().remove(0);
    assert_ne!(new.unwrap().row, row);
    let new = theirs.intend(&abandoned, vec![intent()]).unwrap().remove(0);
    assert!(new.is_none(), "another process has begun an upload");
    assert_eq!(ours.all().unwrap().len(), 2);
}

/// The process may still drive other uploads of its command line.
#[test]
fn ended_upload_is_not_busy_while_its_process_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut ours = Journal::open(&path).unwrap();
    let mut theirs = Journal::open(&path).unwrap();
    let upload = create_upload(&mut ours);
    ours.record(&[Record::Abandoned { row: upload.row }])
        .unwrap();
    assert_eq!(theirs.take(&upload).unwrap().state, State::Abandoned);
}

#[test]
fn lock_of_a_killed_process_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    let upload = create_upload(&mut journal);
    // After a kill, the file stays and its lock is released.
    let left = dir.path().join("j.db.locks/0123");
    std::fs::write(&left, "1").unwrap();
    let named = "UPDATE upload SET process = '0123'";
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
fn records_are_written_all_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
    let row = create_upload(&mut journal).row;
    let (number, sha256) = (PartNumber::FIRST, Sha256::of(b"1"));
    let without_upload = Record::PartHashed {
        row: row + 1,
        number,
        sha256,
    };
    journal
        .record(&[
            Record::PartHashed {
                row,
                number,
                sha256,
            },
            without_upload,
        ])
        .unwrap_err();
    assert_eq!(journal.parts(row).unwrap(), []);
}

#[test]
fn upload_is_replaced_in_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    let old = create_upload(&mut journal);
    let gone = [Record::Abandoned { row: old.row }];
    // Makes the insertion fail.
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON upload BEGIN SELECT RAISE(ABORT, 'no'); END";
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch(stop).unwrap();
    journal.intend(&gone, vec![intent()]).unwrap_err();
    assert_eq!(
        journal.all().unwrap()[0].state,
        State::Creating,
        "the old upload was abandoned, and the new one was not created"
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
fn journal_is_not_written_after_a_failed_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    let row = create_upload(&mut journal).row;
    // Simulates a full disk.
    let pages: i64 = journal
        .connection()
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .unwrap();
    journal
        .connection()
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let part_hashed = |n: u32| {
        let number = PartNumber::try_from(n).unwrap();
        Record::PartHashed {
            row,
            number,
            sha256: Sha256::of(&n.to_be_bytes()),
        }
    };
    let many: Vec<Record> = (1..=1000).map(part_hashed).collect();
    assert_eq!(journal.record(&many).unwrap_err().kind(), Kind::Io);
    journal
        .connection()
        .pragma_update(None, "max_page_count", 1 << 20)
        .unwrap();
    journal.record(&[part_hashed(1)]).unwrap_err();
    drop(journal);
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!(journal.parts(row).unwrap(), []);
    journal.record(&[part_hashed(1)]).unwrap();
}

#[test]
fn locked_journal_is_reported_as_locked_and_can_be_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    let row = create_upload(&mut journal).row;
    journal
        .connection()
        .busy_timeout(std::time::Duration::ZERO)
        .unwrap();
    let mut other = rusqlite::Connection::open(&path).unwrap();
    let lock = other
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .unwrap();
    assert_eq!(
        journal
            .record(&[Record::Released { row }])
            .unwrap_err()
            .kind(),
        Kind::Locked
    );
    drop(lock);
    journal.record(&[Record::Released { row }]).unwrap();
}

#[test]
fn removed_journal_is_written_again() {
    let remove_dir = |dir: &Path| std::fs::remove_dir_all(dir).unwrap();
    let remove_file = |dir: &Path| std::fs::remove_file(dir.join("j.db")).unwrap();
    for remove in [&remove_dir as &dyn Fn(&Path), &remove_file] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/j.db");
        let mut journal = Journal::open(&path).unwrap();
        let upload = create_upload(&mut journal);
        remove(&dir.path().join("state"));
        let (row, number, sha256) = (upload.row, PartNumber::FIRST, Sha256::of(b"1"));
        journal
            .record(&[Record::PartHashed {
                row,
                number,
                sha256,
            }])
            .unwrap();

        // The new file is complete and private, and names this process.
        let mut other = Journal::open(&path).unwrap();
        assert_eq!(other.take(&upload).unwrap_err().kind(), Kind::Busy);
        journal
            .record(&[Record::Begun {
                row,
                id: "id".parse().unwrap(),
                part_size: 7,
                backend_state: None,
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
fn journal_replaced_by_another_file_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut ours = Journal::open(&path).unwrap();
    let row = create_upload(&mut ours).row;
    for file in ["j.db", "j.db-wal", "j.db-shm"] {
        std::fs::remove_file(dir.path().join(file)).unwrap();
    }
    let mut theirs = Journal::open(&path).unwrap();
    create_upload(&mut theirs);
    assert_eq!(
        ours.record(&[Record::Released { row }]).unwrap_err().kind(),
        Kind::Io
    );
    // Closing it does not remove the log of the other file.
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
fn journal_of_10000_parts_stays_below_3_mib() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
    let row = create_upload(&mut journal).row;
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
        let hashed = numbers().map(|number| Record::PartHashed {
            row,
            number,
            sha256: sha256(number),
        });
        journal.record(&hashed.collect::<Vec<_>>()).unwrap();
        // An ETag of AWS: an MD5 in hexadecimal.
        let etag = |number: PartNumber| format!("{:032x}", number.get()).parse::<ETag>().unwrap();
        let stored = numbers().map(|number| Record::PartStored {
            row,
            number,
            etag: etag(number),
        });
        journal.record(&stored.collect::<Vec<_>>()).unwrap();
        most = most.max(size());
    }
    assert_eq!(journal.parts(row).unwrap().len(), 10_000);
    assert!(most <= 3 << 20, "{most} bytes");
}

#[test]
fn state_changes_are_those_of_the_table() {
    use State::{Abandoned, Completed, Completing, Creating, Rejected, Uploading};
    let receipt = Box::new(receipt());
    let record = |row, next| match next {
        Uploading => Some(Record::Begun {
            row,
            id: "id".parse().unwrap(),
            part_size: 10,
            backend_state: None,
        }),
        Completing => Some(Record::Completing { row }),
        Completed => Some(Record::Completed {
            row,
            receipt: receipt.clone(),
        }),
        Rejected => Some(Record::Rejected { row }),
        Abandoned => Some(Record::Abandoned { row }),
        Creating => None,
    };
    let table = [
        (Creating, vec![Uploading, Abandoned]),
        (Uploading, vec![Completing, Completed, Rejected, Abandoned]),
        (Completing, vec![Completed, Rejected, Abandoned]),
        (Completed, vec![Completed, Rejected, Abandoned]),
        (Rejected, vec![Rejected, Abandoned]),
        (Abandoned, vec![Abandoned]),
    ];
    // Each record is named by the state that it leads to.
    let records_to_reach = |state| match state {
        Creating => vec![],
        Uploading => vec![Uploading],
        Completing => vec![Uploading, Completing],
        Completed => vec![Uploading, Completed],
        Rejected => vec![Uploading, Rejected],
        Abandoned => vec![Abandoned],
    };
    for (from, allowed) in table {
        for next in State::ALL {
            assert_eq!(
                from.can_become(next),
                allowed.contains(&next),
                "{from:?} to {next:?}"
            );
            if !allowed.contains(&next) {
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
            let row = create_upload(&mut journal).row;
            let records = records_to_reach(from).into_iter().chain([next]);
            for state in records {
                journal.record(&[record(row, state).unwrap()]).unwrap();
            }
            let upload = &journal.all().unwrap()[0];
            assert_eq!(upload.state, next, "from {from:?}");
            assert_eq!(upload.receipt.is_some(), next == Completed);
        }
    }
}

fn receipt() -> upload_types::wire::Receipt {
    let now = jiff::Timestamp::UNIX_EPOCH;
    upload_types::wire::Receipt {
        id: Some("id".parse().unwrap()),
        backend: "embedded".into(),
        instance_id: "instance".into(),
        name: "n".into(),
        bucket: None,
        key: "key".parse().unwrap(),
        version_id: None,
        location: Some("embedded:key".into()),
        size: 20,
        parts: 2,
        part_size: 10,
        double_after: None,
        etag: "etag".parse().unwrap(),
        checksum: None,
        proof: upload_types::wire::Proof::None,
        unproven: vec![],
        sha256: None,
        started: now,
        finished: now,
    }
}
