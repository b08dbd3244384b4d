//! Benchmarks of the hot paths: hashing, planning, commits of the journal, signing.
//!
//! ```text
//! cargo bench --bench micro [FILTER]
//! ```
//!
//! One thread and no network. Not here: whole uploads (`benches/peers`).

use std::fs;
use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tempfile::TempDir;

use upload::journal::{Intent, Journal, Record};
use upload::source::{FileVersion, SourceFile, WithMd5};
use upload_s3::{Settings, Store};
use upload_types::plan::Plan;
use upload_types::wire::{Limits, PartSpec, Proof};
use upload_types::{ByteRange, ETag, Key, PartNumber, Sha256};

const MIB: u64 = 1 << 20;

/// The limits of Amazon S3.
const LIMITS: Limits = Limits {
    min_part: 5 * MIB,
    max_part: 5 << 30,
    max_parts: 10_000,
    max_size: 10_000 * (5 << 30),
    equal_parts: false,
};

fn main() {
    divan::main();
}

/// Hashes one part from the page cache.
#[divan::bench(args = [5, 8, 64])]
fn hash(bencher: Bencher, mib: u64) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, vec![7; usize::try_from(mib * MIB).unwrap()]).unwrap();
    let file = SourceFile::open(&path).unwrap();
    let range = ByteRange {
        start: 0,
        len: mib * MIB,
    };
    bencher
        .counter(BytesCount::new(range.len))
        .bench(|| file.hash(black_box(range), WithMd5::No, |_| ()).unwrap());
}

/// Plans a file and visits every part, up to the largest object: 48.8 TiB.
#[divan::bench(args = [MIB, 1 << 30, 10_000 * (5 << 30)])]
fn plan(bencher: Bencher, size: u64) {
    bencher.bench(|| {
        let plan = Plan::new(black_box(size), None, &LIMITS).unwrap();
        plan.parts()
            .fold(0, |sum, (_, range)| sum + black_box(range).len)
    });
}

/// A journal with one upload that has begun.
struct BegunUpload {
    journal: Journal,
    row: i64,
    _dir: TempDir,
}

/// Each intent has a file of its own, because a journal accepts one unfinished upload per file.
fn intent(nth: u64) -> Intent {
    Intent {
        backend: "http://127.0.0.1:8080".into(),
        s3_service: None,
        instance_id: "instance".into(),
        path: format!("/data/{nth}.bin").into(),
        name: format!("{nth}.bin"),
        content_type: "application/octet-stream".into(),
        metadata: [].into(),
        attributes: Box::default(),
        key: None,
        if_exists: None,
        version: FileVersion {
            dev: 1,
            ino: nth,
            size: 10_000 * 5 * MIB,
            mtime_ns: 3,
            ctime_ns: 4,
        },
        part_size: 5 * MIB,
        stream: None,
        file_set: None,
    }
}

impl BegunUpload {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&dir.path().join("journal.db")).unwrap();
        let row = journal.intend(&[], vec![intent(0)]).unwrap()[0]
            .as_ref()
            .unwrap()
            .row;
        journal
            .record(&[Record::Begun {
                row,
                id: "some-id".parse().unwrap(),
                part_size: 5 * MIB,
                backend_state: None,
            }])
            .unwrap();
        Self {
            journal,
            row,
            _dir: dir,
        }
    }

    /// Commits one record for each of `count` parts.
    fn record_parts(&mut self, count: u32, record: impl Fn(i64, PartNumber) -> Record) {
        let records: Vec<_> = numbers(count)
            .map(|number| record(self.row, number))
            .collect();
        self.journal.record(&records).unwrap();
    }
}

fn numbers(count: u32) -> impl Iterator<Item = PartNumber> {
    (1..=count).map(|number| number.try_into().unwrap())
}

/// One commit of new uploads; includes the sync of the disk.
#[divan::bench(args = [1, 10, 100])]
fn intend(bencher: Bencher, count: u64) {
    let mut upload = BegunUpload::new();
    let mut nth = 0;
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        nth += count;
        upload
            .journal
            .intend(&[], (nth..nth + count).map(intent).collect())
            .unwrap()
    });
}

/// One commit of parts with a new SHA-256.
#[divan::bench(args = [1, 10, 100])]
fn record_hashed_parts(bencher: Bencher, count: u32) {
    let mut upload = BegunUpload::new();
    let mut round = 0_u64;
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        // A repeated SHA-256 would not be written.
        round += 1;
        let sha256 = Sha256::of(&round.to_le_bytes());
        upload.record_parts(count, |row, number| Record::PartHashed {
            row,
            number,
            sha256,
        });
    });
}

/// One commit of stored parts.
#[divan::bench(args = [1, 10, 100])]
fn record_stored_parts(bencher: Bencher, count: u32) {
    let mut upload = BegunUpload::new();
    let sha256 = Sha256::of(b"part");
    upload.record_parts(count, |row, number| Record::PartHashed {
        row,
        number,
        sha256,
    });
    let mut round = 0_u64;
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        round += 1;
        let etag: ETag = format!("{round:032x}").parse().unwrap();
        upload.record_parts(count, |row, number| Record::PartStored {
            row,
            number,
            etag: etag.clone(),
        });
    });
}

/// Presigns the parts of one request.
#[divan::bench(args = [Proof::Sha256, Proof::Payload, Proof::None])]
fn sign_parts(bencher: Bencher, proof: Proof) {
    let store = Store::new(Settings {
        bucket: "bucket".into(),
        prefix: String::new(),
        endpoint: Some("http://127.0.0.1:9".parse().unwrap()),
        public_endpoint: None,
        region: Some("us-east-1".into()),
        path_style: true,
        keys: Some(("key".into(), "secret".into())),
        create_headers: [].into(),
        embedded: false,
        cdn: None,
        network: upload_net::Network::default(),
        observer: upload_s3::unobserved,
    });
    let store = store.unwrap().with_proof(proof);
    let key: Key = "uploads/qv6sbtmjtuyd3zgirbsblv3pxc/f3cb9e94-d624-474f-8406-59b7943563ab.mov"
        .parse()
        .unwrap();
    let part = |number| PartSpec {
        number: PartNumber::try_from(number).unwrap(),
        size: 8 * MIB,
        sha256: Sha256::of(b"part"),
        md5: None,
    };
    let parts: Vec<PartSpec> = (1..=1000).map(part).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    bencher
        .counter(ItemsCount::new(parts.len()))
        .bench_local(|| {
            let url_ttl = Duration::from_mins(15);
            runtime
                .block_on(store.sign_parts(
                    &key,
                    "an-upload-id-as-long-as-those-of-stores-are",
                    &parts,
                    |_| url_ttl,
                ))
                .unwrap()
        });
}
