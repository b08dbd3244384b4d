//! Limits of each owner: signatures per second, open uploads, bytes. They also hold for concurrent
//! calls.

use std::num::NonZeroU32;

use crate::gateway::*;

async fn with_quota(quota: Quota) -> TestGateway {
    TestGateway::with_config(|config| config.quota = quota).await
}

/// Status, code, and `Retry-After`.
async fn rejection(response: Response) -> (u16, String, Option<String>) {
    let status = response.status().as_u16();
    let wait = response
        .headers()
        .get("retry-after")
        .map(|wait| wait.to_str().unwrap().to_owned());
    (status, problem_code(response).await, wait)
}

#[tokio::test]
async fn concurrent_begins_respect_the_quota_of_open_uploads() {
    let gateway = with_quota(Quota {
        open: Some(10),
        ..Quota::default()
    })
    .await;
    let request = begin_request(TWO_PARTS);
    let keys: Vec<String> = (0..50).map(|n| format!("key-{n}")).collect();
    let responses =
        futures_util::future::join_all(keys.iter().map(|key| gateway.begin(key, &request))).await;
    let mut begun = Vec::new();
    for (key, response) in keys.iter().zip(responses) {
        if response.status() == 201 {
            begun.push((key, expect_json::<BeginResponse>(response, 201).await));
        } else {
            assert_eq!(
                rejection(response).await,
                (429, "quota_exceeded".into(), Some("10".into()))
            );
        }
    }
    assert_eq!(begun.len(), 10);
    // A repeated begin does not count.
    for (key, upload) in &begun {
        assert_eq!(
            expect_json::<BeginResponse>(gateway.begin(key, &request).await, 200)
                .await
                .id,
            upload.id
        );
    }
    // The calls of a batch count too.
    let calls = |keys: [&str; 3]| {
        let calls = keys.map(|key| BatchBegin {
            idempotency_key: key.into(),
            request: begin_request(TWO_PARTS),
        });
        BatchRequest {
            begin: calls.to_vec(),
            complete: Vec::new(),
            ..BatchRequest::default()
        }
    };
    let statuses_of = async |keys| {
        let response: BatchResponse =
            expect_json(gateway.post("/v1/batch", &calls(keys)).await, 200).await;
        response
            .begin
            .into_iter()
            .map(|outcome| (outcome.status, outcome.retry_after))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        statuses_of(["a", "b", begun[0].0]).await,
        [(429, Some(10)), (429, Some(10)), (200, None)]
    );
    let path = format!("/v1/uploads/{}", begun[0].1.id);
    assert_eq!(
        gateway
            .request(Method::DELETE, &path)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let statuses = statuses_of(["a", "b", "c"]).await;
    assert_eq!(
        statuses.iter().filter(|(status, _)| *status == 201).count(),
        1,
        "{statuses:?}"
    );
}

#[tokio::test]
async fn open_and_ready_bytes_count_towards_the_quotas() {
    let quota = Quota {
        open: None,
        outstanding: Some(2 * TWO_PARTS),
        total: Some(3 * TWO_PARTS),
    };
    let mut gateway = TestGateway::with_config(|config| {
        config.quota = quota;
        config.auth = Auth::Tokens;
    })
    .await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db")))
        .await
        .unwrap();
    gateway.token = Some(ledger.add_token("alice").await.unwrap().expose().to_owned());
    let sized_begin = |size| BeginRequest {
        size: Some(size),
        ..begin_request(0)
    };
    let wait = (429, "quota_exceeded".to_owned(), Some("10".to_owned()));
    let never = (429, "quota_exceeded".to_owned(), None);
    assert_eq!(
        rejection(
            gateway
                .begin("too-large", &sized_begin(2 * TWO_PARTS + 1))
                .await
        )
        .await,
        never
    );
    let first: BeginResponse =
        expect_json(gateway.begin("1", &sized_begin(TWO_PARTS)).await, 201).await;
    let second: BeginResponse =
        expect_json(gateway.begin("2", &sized_begin(TWO_PARTS)).await, 201).await;
    assert_eq!(
        rejection(gateway.begin("3", &sized_begin(1)).await).await,
        wait
    );
    for upload in [&first, &second] {
        let parts = gateway.put_parts(upload, &bodies()).await;
        for _ in 0..2 {
            expect_json::<Receipt>(gateway.complete(upload, &parts).await, 200).await;
        }
    }
    // Bytes of ready uploads are no longer outstanding; they count once towards the total.
    assert_eq!(
        rejection(gateway.begin("3", &sized_begin(TWO_PARTS + 1)).await).await,
        never
    );
    expect_json::<BeginResponse>(gateway.begin("3", &sized_begin(TWO_PARTS)).await, 201).await;
    // Open uploads may be aborted, so waiting may help.
    assert_eq!(
        rejection(gateway.begin("4", &sized_begin(1)).await).await,
        wait
    );
    // Each owner has a separate quota.
    gateway.token = Some(ledger.add_token("bob").await.unwrap().expose().to_owned());
    expect_json::<BeginResponse>(gateway.begin("1", &sized_begin(2 * TWO_PARTS)).await, 201).await;
}

#[tokio::test]
async fn uploads_ready_before_a_quota_count() {
    let gateway = with_quota(Quota::default()).await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let parts = gateway.put_parts(&upload, &bodies()).await;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
    let TestGateway { dir, running, .. } = gateway;
    running.stop().await;
    let mut config = config(dir.path(), Auth::None);
    config.quota.total = Some(TWO_PARTS);
    let running = upload_gateway::start(config).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let gateway = TestGateway {
        dir,
        running,
        client,
        token: None,
    };
    assert_eq!(
        rejection(gateway.begin("more", &begin_request(1)).await).await,
        (429, "quota_exceeded".into(), None)
    );
    expect_json::<BeginResponse>(gateway.begin("nothing", &begin_request(0)).await, 201).await;
}

#[tokio::test]
async fn signature_rate_is_limited_for_each_owner() {
    let nonzero = |number| NonZeroU32::new(number).unwrap();
    let mut gateway = TestGateway::with_config(|config| {
        config.rate = Some(Rate {
            per_second: nonzero(1),
            burst: nonzero(1000),
        });
        config.auth = Auth::Tokens;
    })
    .await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db")))
        .await
        .unwrap();
    gateway.token = Some(ledger.add_token("alice").await.unwrap().expose().to_owned());
    let upload = gateway.create_upload(&begin_request(1000 * 5 * MIB)).await;
    let parts = |count| {
        (1..=count)
            .map(|number| PartSpec {
                size: 5 * MIB,
                ..part_spec(number, b"any")
            })
            .collect::<Vec<_>>()
    };
    expect_json::<SignResponse>(gateway.sign(&upload, parts(990)).await, 200).await;
    let (status, code, wait) = rejection(gateway.sign(&upload, parts(200)).await).await;
    let wait: u64 = wait.unwrap().parse().unwrap();
    assert_eq!((status, code.as_str()), (429, "rate_limited"));
    assert!((180..=191).contains(&wait), "{wait}");
    // Begin and batch also sign.
    let request = BeginRequest {
        parts: Some(parts(500)),
        ..begin_request(500 * 5 * MIB)
    };
    assert_eq!(
        rejection(gateway.begin("other", &request).await).await.1,
        "rate_limited"
    );
    let call = BatchBegin {
        idempotency_key: "other".into(),
        request: request.clone(),
    };
    let response = gateway
        .post(
            "/v1/batch",
            &BatchRequest {
                begin: vec![call],
                complete: Vec::new(),
                ..BatchRequest::default()
            },
        )
        .await;
    assert_eq!(
        expect_json::<BatchResponse>(response, 200).await.begin[0].status,
        429
    );
    // No upload was begun for these calls; there are permits left for calls that sign nothing.
    let list: UploadList = expect_json(gateway.get("/v1/uploads").await, 200).await;
    assert_eq!(list.uploads.len(), 1);
    expect_json::<BeginResponse>(gateway.begin("other", &begin_request(1)).await, 201).await;
    gateway.token = Some(ledger.add_token("bob").await.unwrap().expose().to_owned());
    expect_json::<BeginResponse>(gateway.begin("other", &request).await, 201).await;
}
