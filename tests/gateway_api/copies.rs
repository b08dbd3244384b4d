//! Copies of parts: whose objects are copied, and which requests are refused.
//!
//! Not here: copies that the client asks for (`tests/behaviour/copies`).

use upload_types::UploadId;
use upload_types::wire::PartCopy;

use crate::gateway::*;

/// A begin with one part and a copy of it.
fn copied(body: &[u8], upload: &UploadId, start: u64) -> BeginRequest {
    let number = 1.try_into().unwrap();
    BeginRequest {
        parts: Some(vec![part_spec(1, body)]),
        copies: vec![PartCopy {
            number,
            upload: upload.clone(),
            start,
        }],
        ..begin_request(body.len() as u64)
    }
}

/// Uploads an object of one part.
async fn upload(gateway: &TestGateway, name: &str, body: &[u8]) -> UploadId {
    let request = BeginRequest {
        name: name.to_owned(),
        ..begin_request(body.len() as u64)
    };
    let begun = gateway.create_upload(&request).await;
    let parts = gateway.put_parts(&begun, &[body.to_vec()]).await;
    let _: Receipt = expect_json(gateway.complete(&begun, &parts).await, 200).await;
    begun.id
}

async fn begin(gateway: &TestGateway, key: &str, request: &BeginRequest) -> SignedPart {
    let begun: BeginResponse = expect_json(gateway.begin(key, request).await, 201).await;
    begun.parts.unwrap().pop().unwrap()
}

fn is_copied(part: &SignedPart) -> bool {
    matches!(part, SignedPart::Stored { stored, .. } if stored.copied)
}

#[tokio::test]
async fn only_ready_objects_of_the_same_owner_are_copied() {
    let mut gateway = TestGateway::with_config(|config| config.auth = Auth::Tokens).await;
    let ledger = LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db"));
    let ledger = Ledger::open(&ledger).await.unwrap();
    let token = async |name| {
        let token = ledger.add_token(name).await.unwrap();
        Some(token.expose().to_owned())
    };
    let (alice, bob) = (token("alice").await, token("bob").await);
    gateway.token.clone_from(&alice);
    let body = b"the same bytes";
    let source = upload(&gateway, "a.bin", body).await;
    assert!(is_copied(
        &begin(&gateway, "alice-1", &copied(body, &source, 0)).await
    ));

    let open = gateway.create_upload(&begin_request(5)).await.id;
    let unknown: UploadId = "0198-unknown".parse().unwrap();
    let other_bytes = b"other bytes...";
    for (name, request) in [
        ("unfinished", copied(body, &open, 0)),
        ("unknown", copied(body, &unknown, 0)),
        ("other bytes", copied(other_bytes, &source, 0)),
        ("after the end", copied(body, &source, 1)),
        ("overflow", copied(body, &source, u64::MAX)),
    ] {
        let part = begin(&gateway, &name.replace(' ', "-"), &request).await;
        assert!(matches!(part, SignedPart::Put(_)), "{name}: {part:?}");
    }
    gateway.token.clone_from(&bob);
    let part = begin(&gateway, "bob-1", &copied(body, &source, 0)).await;
    assert!(matches!(part, SignedPart::Put(_)), "{part:?}");
}

#[tokio::test]
async fn copy_of_no_part_or_of_a_part_twice_is_refused() {
    let gateway = TestGateway::new().await;
    let body = b"bytes";
    let source = upload(&gateway, "a.bin", body).await;
    let request = copied(body, &source, 0);
    let mut other = request.clone();
    other.copies[0].number = 2.try_into().unwrap();
    let mut twice = request.clone();
    twice.copies.push(request.copies[0].clone());
    for (key, request) in [("other", other), ("twice", twice)] {
        let response = gateway.begin(key, &request).await;
        assert_eq!(problem_code(response).await, "invalid_request", "{key}");
    }
}

#[tokio::test]
async fn repeated_begin_without_the_copy_gets_the_same_upload() {
    let gateway = TestGateway::new().await;
    let body = b"bytes";
    let source = upload(&gateway, "a.bin", body).await;
    let request = copied(body, &source, 0);
    let first: BeginResponse = expect_json(gateway.begin("k", &request).await, 201).await;
    let plain = BeginRequest {
        copies: Vec::new(),
        ..request
    };
    let second: BeginResponse = expect_json(gateway.begin("k", &plain).await, 200).await;
    assert_eq!(first.id, second.id);
}
