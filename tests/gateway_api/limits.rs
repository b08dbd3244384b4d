//! How much each owner may have: signatures in a second, uploads that are open, bytes.
//!
//! Border: the arithmetic is tested beside it; here nobody gets past it, however many ask at once.

use std::num::NonZeroU32;

use crate::world::*;

async fn with_quota(quota: Quota) -> World {
    World::with(|config| config.quota = quota).await
}

/// The code, and how long to wait.
async fn refused(answer: Response) -> (u16, String, Option<String>) {
    let status = answer.status().as_u16();
    let wait = answer
        .headers()
        .get("retry-after")
        .map(|wait| wait.to_str().unwrap().to_owned());
    (status, code(answer).await, wait)
}

#[tokio::test]
async fn of_fifty_who_begin_at_once_ten_get_in() {
    let world = with_quota(Quota {
        open: Some(10),
        ..Quota::default()
    })
    .await;
    let request = begin(TWO_PARTS);
    let keys: Vec<String> = (0..50).map(|n| format!("key-{n}")).collect();
    let answers =
        futures_util::future::join_all(keys.iter().map(|key| world.begin(key, &request))).await;
    let mut begun = Vec::new();
    for (key, answer) in keys.iter().zip(answers) {
        if answer.status() == 201 {
            begun.push((key, good::<BeginResponse>(answer, 201).await));
        } else {
            assert_eq!(
                refused(answer).await,
                (429, "quota_exceeded".into(), Some("10".into()))
            );
        }
    }
    assert_eq!(begun.len(), 10);
    // Who repeats begins nothing.
    for (key, upload) in &begun {
        assert_eq!(
            good::<BeginResponse>(world.begin(key, &request).await, 200)
                .await
                .id,
            upload.id
        );
    }
    // Within a batch too, nobody gets in between.
    let calls = |keys: [&str; 3]| {
        let calls = keys.map(|key| BatchBegin {
            idempotency_key: key.into(),
            request: begin(TWO_PARTS),
        });
        BatchRequest {
            begin: calls.to_vec(),
            complete: Vec::new(),
        }
    };
    let batch = async |keys| {
        let answer: BatchResponse = good(world.post("/v1/batch", &calls(keys)).await, 200).await;
        answer
            .begin
            .into_iter()
            .map(|outcome| (outcome.status, outcome.retry_after))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        batch(["a", "b", begun[0].0]).await,
        [(429, Some(10)), (429, Some(10)), (200, None)]
    );
    let path = format!("/v1/uploads/{}", begun[0].1.id);
    assert_eq!(
        world
            .request(Method::DELETE, &path)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let again = batch(["a", "b", "c"]).await;
    assert_eq!(
        again.iter().filter(|(status, _)| *status == 201).count(),
        1,
        "{again:?}"
    );
}

#[tokio::test]
async fn bytes_count_while_they_are_open_and_when_they_are_ready() {
    let quota = Quota {
        open: None,
        outstanding: Some(2 * TWO_PARTS),
        total: Some(3 * TWO_PARTS),
    };
    let mut world = World::with(|config| {
        config.quota = quota;
        config.auth = Auth::Tokens;
    })
    .await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(world.place.path().join("ledger.db")))
        .await
        .unwrap();
    world.token = Some(ledger.add_token("alice").await.unwrap().expose().to_owned());
    let begin = |size| BeginRequest {
        size: Some(size),
        ..begin(0)
    };
    let wait = (429, "quota_exceeded".to_owned(), Some("10".to_owned()));
    let never = (429, "quota_exceeded".to_owned(), None);
    assert_eq!(
        refused(world.begin("too-large", &begin(2 * TWO_PARTS + 1)).await).await,
        never
    );
    let first: BeginResponse = good(world.begin("1", &begin(TWO_PARTS)).await, 201).await;
    let second: BeginResponse = good(world.begin("2", &begin(TWO_PARTS)).await, 201).await;
    assert_eq!(refused(world.begin("3", &begin(1)).await).await, wait);
    for upload in [&first, &second] {
        let parts = world.send(upload, &bodies()).await;
        for _ in 0..2 {
            good::<Receipt>(world.complete(upload, &parts).await, 200).await;
        }
    }
    // Ready bytes are no more outstanding, and stay; said twice they count once.
    assert_eq!(
        refused(world.begin("3", &begin(TWO_PARTS + 1)).await).await,
        never
    );
    good::<BeginResponse>(world.begin("3", &begin(TWO_PARTS)).await, 201).await;
    // What is open may still be given up.
    assert_eq!(refused(world.begin("4", &begin(1)).await).await, wait);
    // Another owner has it all.
    world.token = Some(ledger.add_token("bob").await.unwrap().expose().to_owned());
    good::<BeginResponse>(world.begin("1", &begin(2 * TWO_PARTS)).await, 201).await;
}

#[tokio::test]
async fn what_was_ready_before_there_were_quotas_counts() {
    let world = with_quota(Quota::default()).await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let parts = world.send(&upload, &bodies()).await;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;
    let World { place, running, .. } = world;
    running.stop().await;
    let mut config = config(place.path(), Auth::None);
    config.quota.total = Some(TWO_PARTS);
    let running = upload_gateway::start(config).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let world = World {
        place,
        running,
        client,
        token: None,
    };
    assert_eq!(
        refused(world.begin("more", &begin(1)).await).await,
        (429, "quota_exceeded".into(), None)
    );
    good::<BeginResponse>(world.begin("nothing", &begin(0)).await, 201).await;
}

#[tokio::test]
async fn signatures_are_rationed_for_each_owner() {
    let some = |number| NonZeroU32::new(number).unwrap();
    let mut world = World::with(|config| {
        config.rate = Some(Rate {
            per_second: some(1),
            burst: some(1000),
        });
        config.auth = Auth::Tokens;
    })
    .await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(world.place.path().join("ledger.db")))
        .await
        .unwrap();
    world.token = Some(ledger.add_token("alice").await.unwrap().expose().to_owned());
    let upload = world.begun(&begin(1000 * 5 * MIB)).await;
    let parts = |count| {
        (1..=count)
            .map(|number| PartSpec {
                size: 5 * MIB,
                ..spec(number, b"any")
            })
            .collect::<Vec<_>>()
    };
    good::<SignResponse>(world.sign(&upload, parts(990)).await, 200).await;
    let (status, code, wait) = refused(world.sign(&upload, parts(200)).await).await;
    let wait: u64 = wait.unwrap().parse().unwrap();
    assert_eq!((status, code.as_str()), (429, "rate_limited"));
    assert!((180..=190).contains(&wait), "{wait}");
    // Begin and batch sign too.
    let request = BeginRequest {
        parts: Some(parts(500)),
        ..begin(500 * 5 * MIB)
    };
    assert_eq!(
        refused(world.begin("other", &request).await).await.1,
        "rate_limited"
    );
    let call = BatchBegin {
        idempotency_key: "other".into(),
        request: request.clone(),
    };
    let answer = world
        .post(
            "/v1/batch",
            &BatchRequest {
                begin: vec![call],
                complete: Vec::new(),
            },
        )
        .await;
    assert_eq!(
        good::<BatchResponse>(answer, 200).await.begin[0].status,
        429
    );
    // Nothing was begun for it, and whoever asks for no signature is not held up.
    let list: UploadList = good(world.get("/v1/uploads").await, 200).await;
    assert_eq!(list.uploads.len(), 1);
    good::<BeginResponse>(world.begin("other", &begin(1)).await, 201).await;
    world.token = Some(ledger.add_token("bob").await.unwrap().expose().to_owned());
    good::<BeginResponse>(world.begin("other", &request).await, 201).await;
}
