//! Begin: idempotency keys, concurrent calls, rejected requests.

use upload_types::attributes::Attribute;

use crate::gateway::*;

#[tokio::test]
async fn begin_is_idempotent() {
    let gateway =
        TestGateway::with_config(|config| config.allow_attributes = Attribute::ALL.into()).await;
    let info: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;
    assert_eq!(info.allow_attributes.len(), Attribute::ALL.len());
    let request = begin_request(TWO_PARTS);
    let first: BeginResponse = expect_json(gateway.begin("key-1", &request).await, 201).await;
    assert_eq!(
        (first.part_size, first.part_count, first.state),
        (5 * MIB, 2, UploadState::Pending)
    );
    let key = first.key.as_str();
    let owner = key
        .strip_prefix("uploads/")
        .and_then(|rest| rest.split('/').next())
        .unwrap();
    assert!(
        owner.len() == 26
            && owner
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
        "{key}"
    );
    assert_eq!(key, format!("uploads/{owner}/{}.mov", first.id));

    let again: BeginResponse = expect_json(gateway.begin("key-1", &request).await, 200).await;
    assert_eq!((&again.id, again.epoch), (&first.id, first.epoch));
    assert_eq!(gateway.store().find(&first.key).await.unwrap().len(), 1);
    let other: BeginResponse = expect_json(gateway.begin("key-2", &request).await, 201).await;
    assert_ne!(other.id, first.id);
    assert_eq!(
        problem_code(gateway.begin("key-1", &begin_request(TWO_PARTS + 1)).await).await,
        "idempotency_mismatch"
    );
    let others = [
        BeginRequest {
            name: "b".into(),
            ..request.clone()
        },
        BeginRequest {
            content_type: "text/plain".into(),
            ..request.clone()
        },
        BeginRequest {
            part_size: Some(6 * MIB),
            ..request.clone()
        },
        BeginRequest {
            metadata: [("k".to_owned(), "v".to_owned())].into(),
            ..request.clone()
        },
        BeginRequest {
            attributes: Box::new(Attributes {
                cache_control: Some("no-store".into()),
                ..Attributes::NONE
            }),
            ..request.clone()
        },
    ];
    for other in others {
        assert_eq!(
            problem_code(gateway.begin("key-1", &other).await).await,
            "idempotency_mismatch"
        );
    }
    assert_eq!(
        problem_code(gateway.post("/v1/uploads", &request).await).await,
        "invalid_request"
    );
    for holder in [Some("holder-b".to_owned()), None] {
        let other_holder = BeginRequest {
            holder,
            ..request.clone()
        };
        assert_eq!(
            problem_code(gateway.begin("key-1", &other_holder).await).await,
            "lease_held"
        );
    }
}

#[tokio::test]
async fn concurrent_begins_with_one_key_make_one_upload() {
    let gateway = TestGateway::new().await;
    let request = begin_request(TWO_PARTS);
    let responses =
        futures_util::future::join_all((0..10).map(|_| gateway.begin("key", &request))).await;
    let mut ids = Vec::new();
    for response in responses {
        if response.status() == StatusCode::CONFLICT {
            assert_eq!(response.headers()["retry-after"], "1");
            assert_eq!(problem_code(response).await, "busy");
        } else {
            ids.push(response.json::<BeginResponse>().await.unwrap());
        }
    }
    assert!(ids.iter().all(|response| response.id == ids[0].id));
    assert_eq!(gateway.store().find(&ids[0].key).await.unwrap().len(), 1);
}

#[tokio::test]
async fn rejected_begin_names_its_reason_by_code() {
    let gateway = TestGateway::with_config(|config| {
        config.allow_types = vec!["video/*".to_owned()];
        config.max_size = Some(100 * MIB);
    })
    .await;
    let rejection = async |change: fn(&mut BeginRequest)| {
        let mut request = begin_request(1);
        change(&mut request);
        let response = gateway.begin("key", &request).await;
        (response.status().as_u16(), problem_code(response).await)
    };
    assert_eq!(
        rejection(|r| r.name = "a\u{7}".into()).await,
        (422, "name_invalid".into())
    );
    assert_eq!(
        rejection(|r| r.content_type = "text/html".into()).await,
        (415, "type_not_allowed".into())
    );
    assert_eq!(
        rejection(|r| r.size = Some(100 * MIB + 1)).await,
        (413, "too_large".into())
    );
    assert_eq!(
        rejection(|r| r.size = Some(u64::MAX)).await,
        (413, "too_large".into())
    );
    assert_eq!(
        rejection(|r| r.part_size = Some(1)).await,
        (400, "invalid_request".into())
    );
    assert_eq!(
        rejection(|r| r.expected_size = Some(1)).await,
        (400, "invalid_request".into())
    );
    assert_eq!(
        rejection(|r| drop(r.metadata.insert("A".into(), "b".into()))).await,
        (400, "invalid_request".into())
    );
    assert_eq!(
        rejection(|r| r.attributes.cache_control = Some("no-store".into())).await,
        (403, "attribute_not_allowed".into())
    );
    assert_eq!(
        rejection(|r| r.attributes.content_language = Some("en\r\n".into())).await,
        (400, "invalid_request".into())
    );
    assert_eq!(
        rejection(|r| drop(r.attributes.tags.insert("a&b".into(), String::new()))).await,
        (400, "invalid_request".into())
    );
}

#[tokio::test]
async fn repeated_begin_of_a_touched_source_returns_the_same_upload() {
    let gateway = TestGateway::new().await;
    let request = |second| BeginRequest {
        modified: Some(jiff::Timestamp::from_second(second).unwrap()),
        ..begin_request(TWO_PARTS)
    };
    let first: BeginResponse = expect_json(gateway.begin("key-1", &request(1)).await, 201).await;
    let again: BeginResponse = expect_json(gateway.begin("key-1", &request(2)).await, 200).await;
    assert_eq!(again.id, first.id);
    let path = format!("/v1/uploads/{}", first.id);
    let status: UploadStatus = expect_json(gateway.get(&path).await, 200).await;
    assert_eq!(status.metadata["mtime"], "1");
}
