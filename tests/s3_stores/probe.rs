//! Probes of the store.

use upload_s3::{Capability, ProbeDepth, Support};

use crate::bucket::{Bucket, lacks};

#[tokio::test]
async fn full_probe_finds_the_capabilities_and_leaves_nothing() {
    let bucket = Bucket::new().await;
    let store = bucket.store();
    let profile = store.probe(ProbeDepth::Full, None).await.unwrap();
    let expected = |capability: Capability| match capability.name() {
        // LocalStack ignores the hash of the payload, and Garage rejects it.
        "payload" if lacks("payload") => Support::No,
        "payload" if lacks("if-none-match") => Support::Refused,
        name if lacks(name) => Support::No,
        "put-once" | "complete-once" | "complete-match" if lacks("if-none-match") => Support::No,
        // The gateway requests neither here.
        "encryption" | "required-headers" => Support::Untried,
        // Every store keeps them, as S3 does; HeadObject is compared.
        "unsigned-headers" => Support::No,
        _ => Support::Yes,
    };
    for capability in Capability::ALL {
        assert_eq!(
            profile.support(capability),
            expected(capability),
            "{}: {}",
            capability.name(),
            profile.observed(capability)
        );
    }
    assert!(store.open_uploads(None).await.unwrap().0.is_empty());
    let listing = bucket.request("GET", "?list-type=2").await;
    let listing = listing.text().await.unwrap();
    assert!(
        listing.contains("ListBucketResult") && !listing.contains("<Key>"),
        "{listing}"
    );
}
