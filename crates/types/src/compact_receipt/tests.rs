//! Tests of the compact form of receipts.

use proptest::prelude::*;

use super::*;
use crate::digest::{Checksum, Sha256};
use crate::wire::Proof;

const ID: &str = "01a22d23-a6b9-76a2-a7d1-0ddf28ead520";

fn receipt() -> Receipt {
    let sha256 = Sha256::of(b"1");
    let key = format!("uploads/67ehkjzvusmd2cijjwuyi54ynb/{ID}.bin");
    Receipt {
        id: ID.parse().ok(),
        backend: "https://uploads.example.com".into(),
        instance_id: "386804fd-1f70-4dbd-81d4-9ae90568db42".into(),
        name: "000.bin".into(),
        bucket: Some("bucket".into()),
        key: key.parse().unwrap(),
        location: Some(format!("https://s3.example.com/bucket/{key}")),
        version_id: None,
        size: 1024,
        parts: 1,
        part_size: 8 << 20,
        double_after: None,
        etag: "0f343b0931126a20f133d67c2b018a3b".parse().unwrap(),
        checksum: Some(Checksum::whole(&sha256)),
        proof: Proof::Sha256,
        unproven: vec!["length".into(), "expiry".into()],
        sha256: Some(sha256),
        started: "2026-11-30T15:47:20.889Z".parse().unwrap(),
        finished: "2026-11-30T15:47:20.922Z".parse().unwrap(),
    }
}

fn row_of(receipt: &Receipt) -> RowValues<'_> {
    RowValues {
        id: receipt.id.as_ref(),
        name: &receipt.name,
        key: Some("67ehkjzvusmd2cijjwuyi54ynb/none"),
        began: receipt.started,
    }
}

#[test]
fn receipt_of_a_small_file_takes_at_most_70_bytes_of_its_own() {
    let receipt = receipt();
    let compact = CompactReceipt::new(&receipt, &row_of(&receipt));
    assert!(compact.own.len() <= 70, "{}", compact.own.len());
    let id = "01a22d23-a6b9-7016-9b82-5018ed530030";
    let text = serde_json::to_string(&receipt).unwrap().replace(ID, id);
    let other: Receipt = serde_json::from_str(&text).unwrap();
    let other = CompactReceipt::new(&other, &row_of(&other));
    assert_eq!(other.common, compact.common, "stored once for both");
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(ID.to_owned()),
        Just("name".to_owned()),
        "[a-c/ %\u{e9}]{0,6}".prop_map(String::from),
        any::<String>(),
    ]
}

fn keys() -> impl Strategy<Value = String> {
    let affixes = ("[a/ \u{e9}]{0,4}", "[a. ]{0,4}");
    prop_oneof![
        affixes.prop_map(|(before, after)| format!("{before}{ID}{after}")),
        "[a-c/ %\u{e9}]{1,8}".prop_map(String::from),
    ]
}

fn checksums() -> impl Strategy<Value = Option<Checksum>> {
    let digest = any::<[u8; 32]>().prop_map(|bytes| Sha256::new(bytes).base64());
    let parts = prop_oneof![
        Just(String::new()),
        "-[1-9][0-9]{0,4}",
        "-0[1-9]",
        "-\\+[1-9]"
    ];
    prop::option::of(
        (digest, parts).prop_map(|(digest, parts)| format!("{digest}{parts}").parse().unwrap()),
    )
}

fn times() -> impl Strategy<Value = Timestamp> {
    let (first, last) = (
        Timestamp::MIN.as_nanosecond(),
        Timestamp::MAX.as_nanosecond(),
    );
    let near = 1_796_053_639_000_000_000_i128;
    let nanoseconds = prop_oneof![first..=last, near..near + 10_000_000, -9_000_000..9_i128];
    nanoseconds.prop_map(|ns| Timestamp::from_nanosecond(ns).unwrap())
}

prop_compose! {
    fn receipts()(
        (id, backend, instance_id, name) in (prop::option::of("[a-z]{1,3}"), texts(), texts(), texts()),
        (bucket, key, version_id) in (prop::option::of(texts()), keys(), prop::option::of(texts())),
        location in prop::option::of(prop_oneof![Just(None), texts().prop_map(Some)]),
        (size, parts, part_size) in (any::<u64>(), any::<u32>(), any::<u64>()),
        double_after in prop::option::of(any::<u32>()),
        etag in prop_oneof!["[a-f0-9]{32}", "[a-f0-9]{32}-[0-9]{1,3}", "[A-F0-9+-]{1,40}"],
        (checksum, sha256) in (checksums(), prop::option::of(any::<[u8; 32]>())),
        is_whole in any::<bool>(),
        unproven in prop::collection::vec(texts(), 0..3),
        (started, finished) in (times(), times()),
        proof in prop_oneof![Just(Proof::Sha256), Just(Proof::Payload), Just(Proof::None)],
    ) -> Receipt {
        let near = format!("https://cdn/{}?x", encoded_path(&key));
        let of_checksum = checksum.as_ref().filter(|_| is_whole).and_then(|checksum| {
            let text = checksum.as_str().split('-').next()?;
            Sha256::from_base64(text).ok()
        });
        Receipt {
            id: id.map(|id| if id.len() == 3 { ID.to_owned() } else { id }.parse().unwrap()),
            backend, instance_id, name, bucket,
            key: key.parse().unwrap(),
            location: location.map(|other| other.unwrap_or(near)),
            version_id, size, parts, part_size, double_after,
            etag: etag.parse().unwrap(),
            checksum, proof, unproven,
            sha256: of_checksum.or(sha256.map(Sha256::new)),
            started, finished,
        }
    }
}

proptest! {
    #[test]
    fn receipt_is_read_as_it_was_written(
        receipt in receipts(),
        has_id in any::<bool>(),
        name in texts(),
        key in prop::option::of(texts()),
        began in times(),
    ) {
        let id: Option<UploadId> = Some(ID).filter(|_| has_id).map(|id| id.parse().unwrap());
        let row = RowValues { id: id.as_ref(), name: &name, key: key.as_deref(), began };
        let compact = CompactReceipt::new(&receipt, &row);
        // As in the database.
        let common = serde_json::to_string(&compact.common).unwrap();
        let common = serde_json::from_str(&common).unwrap();
        let stored = CompactReceipt { common, own: compact.own };
        let read = stored.receipt(&row).unwrap();
        let json = |receipt: &Receipt| serde_json::to_string(receipt).unwrap();
        prop_assert_eq!(json(&read), json(&receipt));
    }

    #[test]
    fn damaged_bytes_are_rejected_or_read(
        own in prop::collection::vec(any::<u8>(), 0..80),
        cut in any::<prop::sample::Index>(),
    ) {
        let receipt = receipt();
        let row = row_of(&receipt);
        let good = CompactReceipt::new(&receipt, &row);
        let damaged = |own| CompactReceipt { own, common: good.common.clone() }.receipt(&row);
        let _ = damaged(own);
        prop_assert!(damaged(good.own[..cut.index(good.own.len())].to_vec()).is_err());
    }
}
