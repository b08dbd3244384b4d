//! Many uploads in one call: each is begun and completed as in a separate call.
//!
//! Not here: the ledger commits them together (unit tests of the ledger).

use serde_json::{Value, json};

use crate::gateway::*;

fn small_file(name: &str) -> BatchBegin {
    let body = name.as_bytes();
    let size = u64::try_from(body.len()).unwrap();
    let parts = Some(vec![part_spec(1, body)]);
    BatchBegin {
        idempotency_key: name.into(),
        request: BeginRequest {
            name: name.into(),
            parts,
            ..begin_request(size)
        },
    }
}

fn granted<T>(outcome: BatchOutcome<T>, status: u16) -> T {
    match outcome.body {
        BatchBody::Response(response) if outcome.status == status => response,
        _ => panic!("status {}", outcome.status),
    }
}

fn rejection<T>(outcome: &BatchOutcome<T>) -> &str {
    let BatchBody::Problem(problem) = &outcome.body else {
        panic!("granted with status {}", outcome.status)
    };
    assert_eq!(outcome.status, problem.status);
    &problem.code
}

async fn batch(
    gateway: &TestGateway,
    begin: Vec<BatchBegin>,
    complete: Vec<BatchComplete>,
) -> BatchResponse {
    expect_json(
        gateway
            .post(
                "/v1/batch",
                &BatchRequest {
                    begin,
                    complete,
                    ..BatchRequest::default()
                },
            )
            .await,
        200,
    )
    .await
}

/// Sends the one part of a small upload. Returns the call that completes it.
async fn put_part(gateway: &TestGateway, upload: &BeginResponse, body: &[u8]) -> BatchComplete {
    let signed = &upload.parts.as_ref().unwrap()[0];
    let sha256 = Sha256::of(body);
    let part = CompletePart {
        number: PartNumber::FIRST,
        etag: etag(&gateway.put(signed, body.to_vec()).await),
        sha256,
    };
    let request = CompleteRequest {
        epoch: upload.epoch,
        parts: vec![part],
        checksum: Checksum::whole(&sha256),
    };
    BatchComplete {
        id: upload.id.clone(),
        request,
    }
}

#[tokio::test]
async fn small_files_need_two_batch_calls_and_one_put_each() {
    let gateway = TestGateway::new().await;
    let names: Vec<String> = (0..40).map(|n| format!("file-{n}")).collect();
    let begun = batch(
        &gateway,
        names.iter().map(|name| small_file(name)).collect(),
        Vec::new(),
    )
    .await;
    assert_eq!((begun.begin.len(), begun.complete.len()), (40, 0));
    let mut completes = Vec::new();
    for (name, begun) in names.iter().zip(begun.begin) {
        let upload = granted(begun, 201);
        assert_eq!(upload.state, UploadState::Uploading);
        completes.push(put_part(&gateway, &upload, name.as_bytes()).await);
    }
    let again = completes.clone();
    for completes in [completes, again] {
        let ids: Vec<_> = completes
            .iter()
            .map(|complete| complete.id.clone())
            .collect();
        let done = batch(&gateway, Vec::new(), completes).await;
        assert_eq!(done.complete.len(), 40);
        for ((name, id), outcome) in names.iter().zip(ids).zip(done.complete) {
            let CompleteResponse::Receipt(receipt) = granted(outcome, 200) else {
                panic!("no receipt")
            };
            assert_eq!(
                (receipt.id, receipt.sha256),
                (Some(id), Some(Sha256::of(name.as_bytes())))
            );
        }
    }
    let ready: UploadList = expect_json(gateway.get("/v1/uploads?state=ready").await, 200).await;
    assert_eq!(ready.uploads.len(), 40);
}

#[tokio::test]
async fn invalid_call_does_not_affect_others() {
    let gateway =
        TestGateway::with_config(|config| config.allow_types = vec!["video/*".into()]).await;
    let mut wrong_type = small_file("b");
    wrong_type.request.content_type = "text/html".into();
    let mut no_key = small_file("c");
    no_key.idempotency_key = String::new();
    let begun = batch(
        &gateway,
        vec![wrong_type, small_file("a"), no_key],
        Vec::new(),
    )
    .await;
    assert_eq!(rejection(&begun.begin[0]), "type_not_allowed");
    assert_eq!(rejection(&begun.begin[2]), "invalid_request");
    let [_, upload, _] = begun.begin.try_into().unwrap();
    let complete = put_part(&gateway, &granted(upload, 201), b"a").await;

    let mut unknown = complete.clone();
    unknown.id = "0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00".parse().unwrap();
    let mut wrong_epoch = complete.clone();
    wrong_epoch.request.epoch += 1;
    let mut wrong_checksum = complete.clone();
    wrong_checksum.request.checksum = Checksum::whole(&Sha256::of(b"b"));
    let calls = [unknown, wrong_epoch, wrong_checksum, complete]
        .map(|call| serde_json::to_value(call).unwrap());
    let mut calls = Vec::from(calls);
    calls.insert(0, json!({"id": "0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00"}));
    calls.insert(0, json!("nonsense"));
    let begins = json!([{"idempotency_key": "d"}, serde_json::to_value(small_file("e")).unwrap()]);
    let response: BatchResponse = expect_json(
        gateway
            .post("/v1/batch", &json!({"begin": begins, "complete": calls}))
            .await,
        200,
    )
    .await;
    let codes: Vec<_> = response.complete[..5].iter().map(rejection).collect();
    assert_eq!(
        codes,
        [
            "invalid_request",
            "invalid_request",
            "not_found",
            "lease_lost",
            "source_mismatch"
        ]
    );
    assert_eq!(
        (response.complete.len(), response.complete[5].status),
        (6, 200)
    );
    assert_eq!(
        (rejection(&response.begin[0]), response.begin[1].status),
        ("invalid_request", 201)
    );
}

#[tokio::test]
async fn repeated_idempotency_key_returns_the_same_upload() {
    let gateway = TestGateway::new().await;
    let mut another = small_file("a");
    another.request.size = Some(2);
    let begun = batch(
        &gateway,
        vec![small_file("a"), small_file("b"), another, small_file("a")],
        Vec::new(),
    )
    .await;
    assert_eq!(rejection(&begun.begin[2]), "idempotency_mismatch");
    let [first, other, _, repeat] = begun.begin.try_into().unwrap();
    let (first, other, repeat) = (
        granted(first, 201),
        granted(other, 201),
        granted(repeat, 200),
    );
    assert_eq!((&first.id, first.epoch), (&repeat.id, repeat.epoch));
    assert_ne!(first.id, other.id);
    // A begin outside a batch returns the same upload.
    let alone: BeginResponse =
        expect_json(gateway.begin("a", &small_file("a").request).await, 200).await;
    assert_eq!(alone.id, first.id);
}

#[tokio::test]
async fn parts_of_begin_are_pinned() {
    let gateway = TestGateway::new().await;
    let bodies = bodies();
    let parts = vec![part_spec(2, &bodies[1])];
    let request = BeginRequest {
        parts: Some(parts.clone()),
        ..begin_request(TWO_PARTS)
    };
    let upload = gateway.create_upload(&request).await;
    assert_eq!(
        (
            upload.state,
            upload.parts.as_ref().unwrap()[0].number().get()
        ),
        (UploadState::Uploading, 2)
    );
    assert_eq!(
        problem_code(gateway.sign(&upload, vec![part_spec(2, &[3; 77])]).await).await,
        "part_pinned"
    );
    let parts = gateway.put_parts(&upload, &bodies).await;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;

    // Two SHA-256 for one part would give two URLs for it.
    let parts = Some(vec![part_spec(1, b"abc"), part_spec(1, b"abd")]);
    assert_eq!(
        problem_code(
            gateway
                .begin(
                    "other",
                    &BeginRequest {
                        parts,
                        ..begin_request(3)
                    }
                )
                .await
        )
        .await,
        "part_pinned"
    );
}

#[tokio::test]
async fn invalid_batch_is_rejected_as_a_whole() {
    let gateway = TestGateway::new().await;
    let post = async |body: Value| gateway.post("/v1/batch", &body).await;
    for body in [
        json!("begin"),
        json!({"begin": 1}),
        json!({"begin": vec![1; 200], "complete": vec![1; 57]}),
    ] {
        let response = post(body).await;
        assert_eq!(response.status(), 400);
        assert_eq!(problem_code(response).await, "invalid_request");
    }
    let most = post(json!({"begin": vec![1; 200], "complete": vec![1; 56]})).await;
    assert_eq!(
        expect_json::<BatchResponse>(most, 200).await.begin.len(),
        200
    );
    assert_eq!(
        expect_json::<BatchResponse>(post(json!({})).await, 200)
            .await
            .begin
            .len(),
        0
    );
}

#[tokio::test]
async fn batch_does_not_complete_uploads_of_another_owner() {
    let mut gateway = TestGateway::with_config(|config| config.auth = Auth::Tokens).await;
    assert_eq!(
        problem_code(gateway.post("/v1/batch", &BatchRequest::default()).await).await,
        "unauthenticated"
    );
    let ledger = Ledger::open(&LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db")))
        .await
        .unwrap();
    let token = async |name: &str| Some(ledger.add_token(name).await.unwrap().expose().to_owned());
    gateway.token = token("one").await;
    let begun = batch(&gateway, vec![small_file("a")], Vec::new()).await;
    let first = granted(begun.begin.into_iter().next().unwrap(), 201);
    let complete = put_part(&gateway, &first, b"a").await;
    gateway.token = token("two").await;
    let response = batch(&gateway, vec![small_file("a")], vec![complete]).await;
    assert_eq!(rejection(&response.complete[0]), "not_found");
    let second = granted(response.begin.into_iter().next().unwrap(), 201);
    assert_ne!(second.id, first.id, "another owner has another upload");
}

#[tokio::test]
async fn statuses_in_a_batch_are_those_of_single_calls() {
    let gateway = TestGateway::new().await;
    let mut uploads = Vec::new();
    for number in 0..8 {
        let name = format!("file-{number}");
        let begun = batch(&gateway, vec![small_file(&name)], vec![]).await;
        let upload = granted(begun.begin.into_iter().next().unwrap(), 201);
        if number < 7 {
            let complete = put_part(&gateway, &upload, name.as_bytes()).await;
            let completed = batch(&gateway, vec![], vec![complete]).await;
            granted(completed.complete.into_iter().next().unwrap(), 200);
        }
        uploads.push(upload);
    }
    let store = gateway.store();
    store.delete(&uploads[2].key).await.unwrap();
    let path = |id: &UploadId| format!("/v1/uploads/{id}");
    let ids: Vec<&UploadId> = uploads.iter().map(|upload| &upload.id).collect();
    let request = json!({"status": [ids[0], "0198c0de-0000-7000-8000-000000000000", "..", ids[1],
        ids[2], ids[3], ids[4], ids[5], ids[6], ids[7]]});
    let response: BatchResponse = expect_json(gateway.post("/v1/batch", &request).await, 200).await;
    let mut statuses = response.status.into_iter();
    let mut next = || statuses.next().unwrap();
    let first: UploadStatus = granted(next(), 200);
    assert_eq!(first.id, *ids[0]);
    for _ in 0..2 {
        assert_eq!(rejection(&next()), "not_found");
    }
    for id in &ids[1..] {
        let status: UploadStatus = granted(next(), 200);
        let single: UploadStatus = expect_json(gateway.get(&path(id)).await, 200).await;
        assert_eq!(status, single);
        let expected = match *id {
            id if id == ids[2] => Some(ObjectState::Missing),
            id if id == ids[7] => None,
            _ => Some(ObjectState::Present),
        };
        assert_eq!(status.object, expected);
    }
    assert!(statuses.next().is_none());
}

/// Asks which of these uploads are ready and in the store's listing.
async fn present(gateway: &TestGateway, ids: &[&str]) -> Vec<bool> {
    let response = gateway.post("/v1/batch", &json!({"present": ids})).await;
    let response: BatchResponse = expect_json(response, 200).await;
    response.present
}

#[tokio::test]
async fn object_is_present_only_if_the_listing_has_it_as_recorded() {
    let mut gateway = TestGateway::with_config(|config| config.auth = Auth::Tokens).await;
    let location = LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db"));
    let ledger = Ledger::open(&location).await.unwrap();
    let token = async |name: &str| Some(ledger.add_token(name).await.unwrap().expose().to_owned());
    gateway.token = token("one").await;
    let mut uploads = Vec::new();
    for number in 0..9 {
        let name = format!("file-{number}");
        let begun = batch(&gateway, vec![small_file(&name)], vec![]).await;
        let upload = granted(begun.begin.into_iter().next().unwrap(), 201);
        if number < 8 {
            let complete = put_part(&gateway, &upload, name.as_bytes()).await;
            let completed = batch(&gateway, vec![], vec![complete]).await;
            granted(completed.complete.into_iter().next().unwrap(), 200);
        }
        uploads.push(upload);
    }
    gateway.store().delete(&uploads[2].key).await.unwrap();
    let ids: Vec<&str> = uploads.iter().map(|upload| upload.id.as_str()).collect();
    let asked = [
        ids[0],
        "0198c0de-0000-7000-8000-000000000000",
        "..",
        ids[8],
        ids[2],
        ids[1],
        ids[4],
        ids[5],
        ids[6],
        ids[0],
    ];
    let expected = [
        true, false, false, false, false, true, true, true, true, true,
    ];
    assert_eq!(present(&gateway, &asked).await, expected);
    gateway.token = token("two").await;
    assert_eq!(
        present(&gateway, &asked).await,
        [false; 10],
        "another owner"
    );
    let too_many = json!({"present": vec![ids[0]; MAX_BATCH_PRESENT + 1]});
    let response = gateway.post("/v1/batch", &too_many).await;
    assert_eq!(response.status(), 400);
}
