//! Many uploads in one call: each begun and completed as if it had been asked for alone.
//!
//! Border: that the ledger commits them together is tested beside the ledger's thread.

use serde_json::{Value, json};

use crate::world::*;

fn small(name: &str) -> BatchBegin {
    let body = name.as_bytes();
    let size = u64::try_from(body.len()).unwrap();
    let parts = Some(vec![spec(1, body)]);
    BatchBegin {
        idempotency_key: name.into(),
        request: BeginRequest {
            name: name.into(),
            parts,
            ..begin(size)
        },
    }
}

fn answer<T>(outcome: BatchOutcome<T>, status: u16) -> T {
    match outcome.body {
        BatchBody::Response(answer) if outcome.status == status => answer,
        _ => panic!("answered {}", outcome.status),
    }
}

fn refused<T>(outcome: &BatchOutcome<T>) -> &str {
    let BatchBody::Problem(problem) = &outcome.body else {
        panic!("granted with {}", outcome.status)
    };
    assert_eq!(outcome.status, problem.status);
    &problem.code
}

async fn batch(
    world: &World,
    begin: Vec<BatchBegin>,
    complete: Vec<BatchComplete>,
) -> BatchResponse {
    good(
        world
            .post("/v1/batch", &BatchRequest { begin, complete })
            .await,
        200,
    )
    .await
}

/// Sends the one part of a small upload, and says how it is to be completed.
async fn sent(world: &World, upload: &BeginResponse, body: &[u8]) -> BatchComplete {
    let signed = &upload.parts.as_ref().unwrap()[0];
    let sha256 = Sha256::of(body);
    let part = CompletePart {
        number: PartNumber::FIRST,
        etag: etag(&world.put(signed, body.to_vec()).await),
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
async fn small_files_take_two_calls_together_and_a_put_each() {
    let world = World::new().await;
    let names: Vec<String> = (0..40).map(|n| format!("file-{n}")).collect();
    let begun = batch(
        &world,
        names.iter().map(|name| small(name)).collect(),
        Vec::new(),
    )
    .await;
    assert_eq!((begun.begin.len(), begun.complete.len()), (40, 0));
    let mut completes = Vec::new();
    for (name, begun) in names.iter().zip(begun.begin) {
        let upload = answer(begun, 201);
        assert_eq!(upload.state, UploadState::Uploading);
        completes.push(sent(&world, &upload, name.as_bytes()).await);
    }
    let again = completes.clone();
    for completes in [completes, again] {
        let ids: Vec<_> = completes
            .iter()
            .map(|complete| complete.id.clone())
            .collect();
        let done = batch(&world, Vec::new(), completes).await;
        assert_eq!(done.complete.len(), 40);
        for ((name, id), outcome) in names.iter().zip(ids).zip(done.complete) {
            let CompleteResponse::Receipt(receipt) = answer(outcome, 200) else {
                panic!("not decided")
            };
            assert_eq!(
                (receipt.id, receipt.sha256),
                (id, Some(Sha256::of(name.as_bytes())))
            );
        }
    }
    let ready: UploadList = good(world.get("/v1/uploads?state=ready").await, 200).await;
    assert_eq!(ready.uploads.len(), 40);
}

#[tokio::test]
async fn a_bad_call_spoils_no_other() {
    let world = World::with(|config| config.allow_types = vec!["video/*".into()]).await;
    let mut wrong_type = small("b");
    wrong_type.request.content_type = "text/html".into();
    let mut no_key = small("c");
    no_key.idempotency_key = String::new();
    let begun = batch(&world, vec![wrong_type, small("a"), no_key], Vec::new()).await;
    assert_eq!(refused(&begun.begin[0]), "type_not_allowed");
    assert_eq!(refused(&begun.begin[2]), "invalid_request");
    let [_, upload, _] = begun.begin.try_into().unwrap();
    let complete = sent(&world, &answer(upload, 201), b"a").await;

    let mut unknown = complete.clone();
    unknown.id = "0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00".parse().unwrap();
    let mut fenced = complete.clone();
    fenced.request.epoch += 1;
    let mut other = complete.clone();
    other.request.checksum = Checksum::whole(&Sha256::of(b"b"));
    let calls = [unknown, fenced, other, complete].map(|call| serde_json::to_value(call).unwrap());
    let mut calls = Vec::from(calls);
    calls.insert(0, json!({"id": "0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00"}));
    calls.insert(0, json!("nonsense"));
    let begins = json!([{"idempotency_key": "d"}, serde_json::to_value(small("e")).unwrap()]);
    let answer: BatchResponse = good(
        world
            .post("/v1/batch", &json!({"begin": begins, "complete": calls}))
            .await,
        200,
    )
    .await;
    let codes: Vec<_> = answer.complete[..5].iter().map(refused).collect();
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
    assert_eq!((answer.complete.len(), answer.complete[5].status), (6, 200));
    assert_eq!(
        (refused(&answer.begin[0]), answer.begin[1].status),
        ("invalid_request", 201)
    );
}

#[tokio::test]
async fn a_key_that_comes_twice_repeats() {
    let world = World::new().await;
    let mut another = small("a");
    another.request.size = Some(2);
    let begun = batch(
        &world,
        vec![small("a"), small("b"), another, small("a")],
        Vec::new(),
    )
    .await;
    assert_eq!(refused(&begun.begin[2]), "idempotency_mismatch");
    let [first, other, _, repeat] = begun.begin.try_into().unwrap();
    let (first, other, repeat) = (answer(first, 201), answer(other, 201), answer(repeat, 200));
    assert_eq!((&first.id, first.epoch), (&repeat.id, repeat.epoch));
    assert_ne!(first.id, other.id);
    // Alone, it is the same upload too.
    let alone: BeginResponse = good(world.begin("a", &small("a").request).await, 200).await;
    assert_eq!(alone.id, first.id);
}

#[tokio::test]
async fn parts_are_pinned_from_the_beginning() {
    let world = World::new().await;
    let bodies = bodies();
    let parts = vec![spec(2, &bodies[1])];
    let request = BeginRequest {
        parts: Some(parts.clone()),
        ..begin(TWO_PARTS)
    };
    let upload = world.begun(&request).await;
    assert_eq!(
        (
            upload.state,
            upload.parts.as_ref().unwrap()[0].number().get()
        ),
        (UploadState::Uploading, 2)
    );
    assert_eq!(
        code(world.sign(&upload, vec![spec(2, &[3; 77])]).await).await,
        "part_pinned"
    );
    let parts = world.send(&upload, &bodies).await;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;

    // One part with two fingerprints would be two URLs for one place.
    let parts = Some(vec![spec(1, b"abc"), spec(1, b"abd")]);
    assert_eq!(
        code(
            world
                .begin("other", &BeginRequest { parts, ..begin(3) })
                .await
        )
        .await,
        "part_pinned"
    );
}

#[tokio::test]
async fn a_batch_that_cannot_be_one_is_refused_whole() {
    let world = World::new().await;
    let post = async |body: Value| world.post("/v1/batch", &body).await;
    for body in [
        json!("begin"),
        json!({"begin": 1}),
        json!({"begin": vec![1; 200], "complete": vec![1; 57]}),
    ] {
        let answer = post(body).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(code(answer).await, "invalid_request");
    }
    let most = post(json!({"begin": vec![1; 200], "complete": vec![1; 56]})).await;
    assert_eq!(good::<BatchResponse>(most, 200).await.begin.len(), 200);
    assert_eq!(
        good::<BatchResponse>(post(json!({})).await, 200)
            .await
            .begin
            .len(),
        0
    );
}

#[tokio::test]
async fn nobody_completes_what_is_anothers() {
    let mut world = World::with(|config| config.auth = Auth::Tokens).await;
    assert_eq!(
        code(world.post("/v1/batch", &BatchRequest::default()).await).await,
        "unauthenticated"
    );
    let ledger = Ledger::open(&LedgerConfig::Sqlite(world.place.path().join("ledger.db")))
        .await
        .unwrap();
    let token = async |name: &str| Some(ledger.add_token(name).await.unwrap().expose().to_owned());
    world.token = token("one").await;
    let begun = batch(&world, vec![small("a")], Vec::new()).await;
    let complete = sent(
        &world,
        &answer(begun.begin.into_iter().next().unwrap(), 201),
        b"a",
    )
    .await;
    world.token = token("two").await;
    let theirs = batch(&world, vec![small("a")], vec![complete]).await;
    assert_eq!(refused(&theirs.complete[0]), "not_found");
    assert_ne!(
        answer(theirs.begin.into_iter().next().unwrap(), 201)
            .id
            .as_str(),
        ""
    );
}
