//! Tests of the receipts in the rows of uploads, on both databases, and of the size of a row.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::fixture::{Fixture, number, receipt, until, with_spec};
use crate::ledger::{Ledger, LedgerConfig, NewUpload, UploadFilter};
use upload_types::error::Kind;
use upload_types::plan::Plan;
use upload_types::wire::{Attributes, CompletePart, PartSpec, Receipt, UploadState};
use upload_types::{Checksum, Sha256, new_id};

pub async fn receipt_is_read_as_it_was_recorded(fixture: Fixture) {
    let ledger = &fixture.ledger;
    let second_gateway = fixture.second_gateway().await;
    let sha256 = Sha256::of(b"one");
    let change = |kind: u32, receipt: &mut Receipt| match kind {
        0 => {}
        1 => (receipt.checksum, receipt.location) = (None, None),
        2 => {
            let key = format!("the prefix/{}", receipt.key);
            receipt.location = Some(format!("https://cdn.test/{}", key.replace(' ', "%20")));
            receipt.key = key.parse().unwrap();
            receipt.bucket = Some("bucket".to_owned());
            receipt.etag = "0f343b0931126a20f133d67c2b018a3b-7".parse().unwrap();
            receipt.checksum = Some(Checksum::composite([&sha256, &sha256]));
            receipt.sha256 = Some(sha256);
            receipt.version_id = Some("v1".to_owned());
            receipt.double_after = Some(1000);
        }
        _ => {
            receipt.checksum = Some(Checksum::whole(&sha256));
            receipt.sha256 = Some(sha256);
            receipt.unproven = vec!["length".to_owned(), "expiry".to_owned()];
        }
    };
    for kind in 0..8 {
        let upload = fixture.begin(&format!("key {kind}"), 1).await;
        let mut expected = receipt(&upload);
        change(kind % 4, &mut expected);
        let from: &[UploadState] = &[UploadState::Pending];
        assert!(ledger.mark_recovered(&expected, from, None).await.unwrap());
        let found = second_gateway.upload(&fixture.owner, &upload.id).await;
        assert_eq!(found.unwrap().unwrap().receipt, Some(expected.clone()));
        let all = UploadFilter::default();
        let listed = ledger.upload_listing(&all, None, 100).await.unwrap();
        let mut same = listed
            .into_iter()
            .filter(|listed| listed.id == upload.id.as_str());
        assert_eq!(same.next().unwrap().receipt, Some(expected));
    }
    assert_eq!(fixture.count_rows("receipt_common").await, 4);
}

pub async fn first_receipts_of_two_gateways_share_their_fields(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    let mut all = Vec::new();
    for n in 0..8 {
        all.push(fixture.begin(&format!("key {n}"), 1).await);
    }
    let marked = all.iter().enumerate().map(|(n, upload)| {
        let ledger = [&fixture.ledger, &second_gateway][n % 2];
        let receipt = receipt(upload);
        async move {
            ledger
                .mark_recovered(&receipt, &[UploadState::Pending], None)
                .await
        }
    });
    for marked in futures_util::future::join_all(marked).await {
        assert!(marked.unwrap());
    }
    assert_eq!(fixture.count_rows("receipt_common").await, 1);
    for upload in all {
        let found = fixture.ledger.upload(&fixture.owner, &upload.id).await;
        assert_eq!(found.unwrap().unwrap().receipt, Some(receipt(&upload)));
    }
}

pub async fn metadata_is_read_as_it_was_recorded(fixture: Fixture) {
    let metadata = [
        vec![],
        vec![("mtime", "1796053639.564223141")],
        vec![("mtime", "-0.5"), ("mood", "good")],
        vec![("mtime", "yesterday"), ("mood", "\u{0}")],
        vec![("mtime", "1796053639.50")],
        vec![("mtime", "99999999999")],
    ];
    for (n, pairs) in metadata.into_iter().enumerate() {
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let metadata: BTreeMap<_, _> = pairs.collect();
        let new = with_spec(fixture.new_upload(&format!("key {n}"), 1), |spec| {
            spec.metadata = metadata.clone();
        });
        let (begun, _) = fixture.ledger.begin(new).await.unwrap();
        assert_eq!(begun.metadata, metadata);
        let found = fixture.ledger.upload(&fixture.owner, &begun.id).await;
        assert_eq!(found.unwrap().unwrap().metadata, metadata);
    }
}

/// A small file as the command line sends it.
fn small_file(fixture: &Fixture, n: u64) -> NewUpload {
    let id = new_id();
    let new = with_spec(fixture.new_upload(&new_id(), 1), |spec| {
        spec.key = format!("uploads/{}/{id}.bin", spec.owner).parse().unwrap();
        spec.id = id.parse().unwrap();
        spec.name = format!("{n:08}.bin");
        spec.content_type = "image/jpeg".to_owned();
        let mtime = ("mtime".to_owned(), "1796053639.564223141".to_owned());
        spec.metadata = [mtime].into();
        *spec.attributes = Attributes::NONE;
        spec.plan = Plan::pinned(1024, 8 << 20).unwrap();
    });
    NewUpload {
        pinned: vec![PartSpec {
            number: number(1),
            size: 1024,
            sha256: Sha256::of(id.as_bytes()),
            md5: None,
        }],
        holder: Some(uuid::Uuid::new_v4().to_string()),
        renewed: until(60),
        ..new
    }
}

/// Many rows are inserted at a time, and they grow afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_small_file_takes_at_most_700_bytes() {
    const FILES: u64 = 2_000;
    const GROUP: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let fixture = Fixture::on(LedgerConfig::Sqlite(path.clone()), None).await;
    for first in (0..FILES).step_by(usize::try_from(GROUP).unwrap()) {
        let mut group = Vec::new();
        for n in first..first + GROUP {
            let begun = fixture.ledger.begin(small_file(&fixture, n)).await;
            group.push(begun.unwrap().0);
        }
        for upload in group {
            let sha256 = Sha256::of(upload.id.as_str().as_bytes());
            let etag = &sha256.to_string()[..32];
            let receipt = Receipt {
                etag: etag.parse().unwrap(),
                checksum: Some(Checksum::whole(&sha256)),
                sha256: Some(sha256),
                unproven: vec!["length".to_owned(), "expiry".to_owned()],
                ..receipt(&upload)
            };
            let part = CompletePart {
                number: number(1),
                etag: receipt.etag.clone(),
                sha256,
            };
            let ledger = &fixture.ledger;
            let marked = ledger.mark_single_verified(&receipt, 1, part, None).await;
            assert!(marked.unwrap());
        }
    }
    assert_eq!(fixture.count_rows("part").await, 0);
    crate::ledger::write_log_into_file(&LedgerConfig::Sqlite(path.clone())).await;
    let bytes = std::fs::metadata(&path).unwrap().len() / FILES;
    assert!(bytes <= 700, "{bytes} bytes for each file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ledger_of_a_build_before_the_first_release_is_rejected() {
    let dir: TempDir = tempfile::tempdir().unwrap();
    let config = LedgerConfig::Sqlite(dir.path().join("ledger.db"));
    drop(Ledger::open(&config).await.unwrap());
    super::execute_sql(&config, "PRAGMA user_version = 1");
    let error = Ledger::open(&config).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("first release"), "{error}");
}
