//! The rows of finished uploads: their receipts, their parts, and their size.

use std::slice;

use upload_types::wire::Receipt;
use upload_types::{Checksum, UploadId, new_id};

use super::*;

/// A command that sends a folder creates many rows at a time, and they grow afterwards.
#[test]
fn finished_small_file_takes_at_most_600_bytes() {
    const FILES: u64 = 2_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j.db");
    let mut journal = Journal::open(&path).unwrap();
    for first in (0..FILES).step_by(50) {
        let intent = |n: u64| Intent {
            path: format!(
                "/media/alice/Pictures/2026/November/{:03}/{n:08}.bin",
                n / 100
            )
            .into(),
            name: format!("{n:08}.bin"),
            content_type: "image/jpeg".into(),
            metadata: [].into(),
            attributes: Box::default(),
            key: None,
            if_exists: None,
            version: FileVersion {
                dev: 65_024,
                ino: 9_000_000 + n,
                size: 1024,
                mtime_ns: 1_796_053_639_564_275_930,
                ctime_ns: 1_796_053_639_564_275_930,
            },
            part_size: 8 << 20,
            ..intent()
        };
        let intents = (first..first + 50).map(intent).collect();
        let uploads = journal.intend(&[], intents).unwrap();
        for upload in uploads.into_iter().flatten() {
            let (row, number) = (upload.row, PartNumber::FIRST);
            let id: UploadId = new_id().parse().unwrap();
            let receipt = receipt_of_one(&upload, &id);
            let (sha256, etag) = (receipt.sha256.unwrap(), receipt.etag.clone());
            let begun = Record::Begun {
                row,
                id,
                part_size: 8 << 20,
                backend_state: None,
            };
            let hashed = Record::PartHashed {
                row,
                number,
                sha256,
            };
            let stored = Record::PartStored { row, number, etag };
            journal.record(&[begun, hashed]).unwrap();
            journal.record(&[stored]).unwrap();
            let completed = Record::Completed {
                row,
                receipt: Box::new(receipt),
            };
            journal.record(&[completed]).unwrap();
        }
    }
    let log = "PRAGMA wal_checkpoint(TRUNCATE)";
    let written = journal.connection().query_row(log, [], |_| Ok(()));
    written.unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len() / FILES;
    assert!(bytes <= 600, "{bytes} bytes for each file");
}

/// A receipt like those of a gateway for a file of one part.
fn receipt_of_one(upload: &Upload, id: &UploadId) -> Receipt {
    let sha256 = Sha256::of(id.as_str().as_bytes());
    // The extension differs from file to file.
    let number = upload.row;
    let key = format!("uploads/67ehkjzvusmd2cijjwuyi54ynb/{id}.{number:06}");
    let etag = &sha256.to_string()[..32];
    Receipt {
        id: Some(id.clone()),
        name: upload.intent.name.clone(),
        bucket: Some("bucket".into()),
        location: Some(format!("https://s3.example.com/bucket/{key}")),
        key: key.parse().unwrap(),
        size: 1024,
        parts: 1,
        part_size: 8 << 20,
        etag: etag.parse().unwrap(),
        checksum: Some(Checksum::whole(&sha256)),
        sha256: Some(sha256),
        unproven: vec!["length".into(), "expiry".into(), "put-once".into()],
        ..receipt()
    }
}

/// An upload of one part that is stored, its receipt, and the part.
fn stored_upload(journal: &mut Journal) -> (Upload, Receipt, Part) {
    let id: UploadId = "01a22d23-a6b9-76a2-a7d1-0ddf28ead520".parse().unwrap();
    let upload = create_upload(journal);
    let (row, number) = (upload.row, PartNumber::FIRST);
    let receipt = receipt_of_one(&upload, &id);
    let part = Part {
        number,
        sha256: receipt.sha256.unwrap(),
        etag: Some(receipt.etag.clone()),
    };
    let begun = Record::Begun {
        row,
        id,
        part_size: 8 << 20,
        backend_state: None,
    };
    journal.record(&[begun]).unwrap();
    journal.record(&part_records(row, &part)).unwrap();
    (upload, receipt, part)
}

/// The records of a part that is stored.
fn part_records(row: i64, part: &Part) -> [Record; 2] {
    let (number, sha256) = (part.number, part.sha256);
    let hashed = Record::PartHashed {
        row,
        number,
        sha256,
    };
    let etag = part.etag.clone().unwrap();
    [hashed, Record::PartStored { row, number, etag }]
}

#[test]
fn receipt_and_parts_are_read_as_they_were_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
    let (upload, whole, part) = stored_upload(&mut journal);
    let row = upload.row;
    let changed = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = whole.clone();
        change(&mut receipt);
        receipt
    };
    let receipts = [
        whole.clone(),
        // Of a store without checksums, of a client that hashes the file later.
        changed(&|receipt| (receipt.checksum, receipt.sha256) = (None, None)),
        // Of an object that was at the key before.
        changed(&|receipt| (receipt.id, receipt.name) = (None, "another".into())),
        // Of a multipart upload, at a chosen key.
        changed(&|receipt| {
            receipt.key = "pre/fix/a/\u{e9} b".parse().unwrap();
            receipt.location = Some("https://cdn.test/pre/fix/a/%C3%A9%20b".into());
            receipt.etag = "0f343b0931126a20f133d67c2b018a3b-1".parse().unwrap();
            receipt.checksum = Some(Checksum::composite([&part.sha256]));
            receipt.version_id = Some("v1".into());
        }),
        changed(&|receipt| (receipt.parts, receipt.double_after) = (7, Some(1000))),
        changed(&|receipt| receipt.location = None),
        whole.clone(),
    ];
    for receipt in receipts {
        let completed = Record::Completed {
            row,
            receipt: Box::new(receipt.clone()),
        };
        journal.record(&[completed]).unwrap();
        let read = journal.all().unwrap().remove(0);
        assert_eq!(read.receipt.as_ref(), Some(&receipt));
        assert_eq!(read.idempotency_key, upload.idempotency_key);
        assert_eq!(read.holder, upload.holder);
        assert_eq!(read.created_at, upload.created_at);
        assert_eq!(journal.parts(row).unwrap(), slice::from_ref(&part));
    }
    let count = "SELECT count(*) FROM part";
    let rows: i64 = journal
        .connection()
        .query_row(count, [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 0, "the receipt has the part");
}

#[test]
fn part_of_a_finished_upload_changes_as_if_it_had_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
    let (upload, receipt, part) = stored_upload(&mut journal);
    let row = upload.row;
    let completed = || Record::Completed {
        row,
        receipt: Box::new(receipt.clone()),
    };
    let hashed_as = |sha256| Record::PartHashed {
        row,
        number: part.number,
        sha256,
    };
    let same = [completed(), hashed_as(part.sha256)];
    journal.record(&same).unwrap();
    assert_eq!(journal.parts(row).unwrap(), slice::from_ref(&part));
    let sha256 = Sha256::of(b"another");
    let other = [completed(), hashed_as(sha256)];
    journal.record(&other).unwrap();
    let expected = Part {
        sha256,
        etag: None,
        ..part.clone()
    };
    assert_eq!(journal.parts(row).unwrap(), [expected]);

    let forgotten = [completed(), Record::DigestsForgotten { row }, completed()];
    journal.record(&forgotten).unwrap();
    assert_eq!(journal.parts(row).unwrap(), []);

    journal.record(&part_records(row, &part)).unwrap();
    journal
        .record(&[completed(), Record::Rejected { row }])
        .unwrap();
    assert_eq!(journal.parts(row).unwrap(), [part]);
    assert_eq!(journal.all().unwrap()[0].receipt, None);
}

#[test]
fn deletion_of_the_last_upload_leaves_nothing_that_uploads_share() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j.db")).unwrap();
    let mut rows = Vec::new();
    for name in ["a", "b"] {
        let intent = Intent {
            name: name.into(),
            instance_id: name.into(),
            ..intent()
        };
        let upload = journal
            .intend(&[], vec![intent])
            .unwrap()
            .remove(0)
            .unwrap();
        let row = upload.row;
        let begun = Record::Begun {
            row,
            id: "id".parse().unwrap(),
            part_size: 10,
            backend_state: None,
        };
        let completed = Record::Completed {
            row,
            receipt: Box::new(Receipt {
                instance_id: name.into(),
                ..receipt()
            }),
        };
        journal.record(&[begun, completed]).unwrap();
        rows.push(row);
    }
    let shared = |journal: &mut Journal| -> Vec<i64> {
        let count = |table| format!("SELECT count(*) FROM {table}");
        let db = journal.connection();
        ["backend", "receipt_common"]
            .map(|table| db.query_row(&count(table), [], |row| row.get(0)).unwrap())
            .to_vec()
    };
    assert_eq!(shared(&mut journal), [2, 2]);
    for left in [1, 0] {
        assert_eq!(journal.delete(&[rows.remove(0)]).unwrap(), 1);
        assert_eq!(shared(&mut journal), [left, left]);
        assert_eq!(journal.all().unwrap().len(), usize::try_from(left).unwrap());
    }
}
