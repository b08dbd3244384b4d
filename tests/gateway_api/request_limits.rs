//! Limits of requests: pages of long lists, sizes of bodies.
//!
//! Not here: slow requests (unit tests of the listener and the body reader), and the limits that
//! owners share (`fairness`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::gateway::*;

#[tokio::test]
async fn long_list_of_uploads_is_complete_page_by_page() {
    let gateway = TestGateway::new().await;
    let begun: BeginResponse =
        expect_json(gateway.begin("first", &begin_request(1)).await, 201).await;
    // 1200 more uploads of the same owner, some of them created at the same time.
    gateway.execute_sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
         INSERT INTO upload (id, owner, idempotency_key, request_sha256, name, size, content_type, metadata, part_size, part_count,
            key, token, kind, state, epoch, lease_until, created_at, expires_at)
         SELECT format('%08d-0000-4000-8000-000000000000', i), owner, CAST('k' || i AS BLOB), request_sha256, name, size, content_type, metadata,
            part_size, part_count, key || i, token, kind, iif(i % 3, 'ready', 'aborted'), 1, 0, created_at - i / 7, expires_at
         FROM n, upload WHERE idempotency_key = CAST('first' AS BLOB)",
    );
    for (query, count) in [
        ("", 1201),
        ("state=ready&", 800),
        ("state=pending&", 1),
        ("state=rejected&", 0),
    ] {
        let (mut seen, mut after, mut last) = (BTreeSet::new(), String::new(), None);
        loop {
            let page: UploadList = expect_json(
                gateway.get(&format!("/v1/uploads?{query}{after}")).await,
                200,
            )
            .await;
            assert!(page.uploads.len() <= 500);
            for upload in page.uploads {
                assert!(
                    last.is_none_or(|last| last >= upload.created_at),
                    "the newest upload is not listed first"
                );
                last = Some(upload.created_at);
                assert!(seen.insert(upload.id), "an upload is listed twice");
            }
            match page.next {
                None => break,
                Some(next) => after = format!("after={next}"),
            }
        }
        assert_eq!(seen.len(), count, "{query}");
        assert!(seen.contains(&begun.id) || query.contains('y') || query.contains("rej"));
    }
    assert_eq!(
        problem_code(
            gateway
                .get("/v1/uploads?after=00000000-0000-4000-8000-000000000000")
                .await
        )
        .await,
        "not_found"
    );
}

#[tokio::test]
async fn request_bodies_are_limited_by_route() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let path = |verb: &str| format!("/v1/uploads/{}/{verb}", upload.id);
    let size = async |path: &str, bytes: usize| {
        let request = gateway
            .request(Method::POST, path)
            .header("content-type", "application/json");
        let response = request.body(vec![b' '; bytes]).send().await.unwrap();
        (response.status().as_u16(), problem_code(response).await)
    };
    let (large, unparsable) = (
        (413, "too_large".to_owned()),
        (400, "invalid_request".to_owned()),
    );
    for path in ["/v1/uploads".to_owned(), path("sign"), path("claim")] {
        assert_eq!(size(&path, 1 << 20).await, unparsable, "{path}");
        assert_eq!(size(&path, (1 << 20) + 1).await, large, "{path}");
    }
    for path in ["/v1/batch".to_owned(), path("complete")] {
        assert_eq!(size(&path, 4 << 20).await, unparsable, "{path}");
        assert_eq!(size(&path, (4 << 20) + 1).await, large, "{path}");
    }
    // A compressed body is not decompressed.
    let compressed = gateway
        .request(Method::POST, "/v1/uploads")
        .header("content-encoding", "gzip");
    let compressed = compressed
        .header("content-type", "application/json")
        .body(vec![0x1f, 0x8b, 8, 0, 0, 0]);
    assert_eq!(
        problem_code(compressed.send().await.unwrap()).await,
        "invalid_request"
    );
}

#[tokio::test]
async fn hostile_json_is_rejected_without_harm() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let nested = format!(
        "{{\"name\":\"a\",\"size\":1,\"content_type\":\"a/b\",\"x\":{}}}",
        deep(32)
    );
    let texts = [
        deep(100_000),
        nested,
        format!("{{\"parts\":{}1", "[".repeat(200_000)),
        "{\"size\":-1}".into(),
        "{\"size\":1e400}".into(),
        "{\"size\":18446744073709551616}".into(),
        "{\"name\":\"\\ud800\"}".into(),
        "\u{feff}{}".into(),
        "{\"epoch\":1,\"epoch\":2,\"parts\":[]}".into(),
        "nul".into(),
    ];
    let calls = ["/v1/uploads".into(), "/v1/batch".into()];
    let verbs =
        ["sign", "claim", "complete"].map(|verb| format!("/v1/uploads/{}/{verb}", upload.id));
    for path in calls.iter().chain(&verbs) {
        for text in &texts {
            let request = gateway
                .request(Method::POST, path)
                .header("content-type", "application/json");
            let response = request
                .header("idempotency-key", "k")
                .body(text.clone())
                .send()
                .await
                .unwrap();
            if path.ends_with("batch") && response.status() == 200 {
                continue;
            }
            assert_eq!(
                problem_code(response).await,
                "invalid_request",
                "{path} {}",
                &text[..text.len().min(60)]
            );
        }
    }
    for part in [
        json!({"number": 0}),
        json!({"number": -1}),
        json!({"number": 10_001}),
        json!({"size": -1}),
        json!({"sha256": "0"}),
    ] {
        let mut spec = serde_json::to_value(part_spec(1, &bodies()[0])).unwrap();
        let (Value::Object(spec), Value::Object(part)) = (&mut spec, part) else {
            unreachable!()
        };
        spec.extend(part);
        let body = json!({"epoch": upload.epoch, "parts": [spec]});
        assert_eq!(
            problem_code(gateway.post(&verbs[0], &body).await).await,
            "invalid_request",
            "{body}"
        );
    }
    let parts = gateway.put_parts(&upload, &bodies()).await;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
}

/// Hostile names reach keys, headers and SQL statements only as data.
#[tokio::test]
async fn hostile_names_are_only_data() {
    let gateway = TestGateway::new().await;
    let names = [
        "../../etc/passwd",
        "'; DROP TABLE upload; --",
        "a\\b\"c.EXE",
        "%00%0d%0aset-cookie: a=b",
        "\u{202e}fdp.exe",
        "CON.\u{1f4a9}",
        ".",
        "..",
        "a/b/c.tar.gz",
        "x.$(reboot)",
    ];
    for name in names {
        let body = name.as_bytes().to_vec();
        let request = BeginRequest {
            name: name.into(),
            ..begin_request(body.len() as u64)
        };
        let upload = gateway.create_upload(&request).await;
        let (directory, file) = upload.key.as_str().rsplit_once('/').unwrap();
        let (stem, extension) = file.split_once('.').unwrap_or((file, "none"));
        assert_eq!(stem, upload.id.as_str(), "{name}");
        assert!(
            extension
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
            "{name}: {file}"
        );
        assert_eq!(directory.split('/').count(), 2);
        let parts = gateway
            .put_parts(&upload, std::slice::from_ref(&body))
            .await;
        expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
        let status: UploadStatus = expect_json(
            gateway.get(&format!("/v1/uploads/{}", upload.id)).await,
            200,
        )
        .await;
        assert_eq!(status.name, name);
        let read: ReadUrl = expect_json(
            gateway.get(&format!("/v1/uploads/{}/url", upload.id)).await,
            200,
        )
        .await;
        let object = gateway.client.get(read.url.expose()).send().await.unwrap();
        assert_eq!(object.headers()["x-content-type-options"], "nosniff");
        let disposition = object.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            disposition.starts_with("attachment; filename=\"")
                && disposition.matches('"').count() == 2,
            "{disposition}"
        );
        assert!(!object.headers().contains_key("set-cookie"));
        assert_eq!(object.bytes().await.unwrap(), body);
    }
    // The same texts as ids and in queries.
    for text in names {
        let path = |verb: &str| {
            format!(
                "/v1/uploads/{}/{verb}",
                text.replace(['%', '/', '\\', ' ', '"'], "_")
            )
        };
        assert_eq!(
            problem_code(gateway.get(&path("parts")).await).await,
            "not_found",
            "{text}"
        );
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        assert_eq!(
            problem_code(gateway.get(&format!("/v1/uploads?after={encoded}")).await).await,
            "not_found",
            "{text}"
        );
        assert_eq!(
            problem_code(gateway.get(&format!("/v1/uploads?state={encoded}")).await).await,
            "invalid_request",
            "{text}"
        );
    }
    let listed: UploadList = expect_json(gateway.get("/v1/uploads").await, 200).await;
    assert_eq!(listed.uploads.len(), names.len());
}

#[tokio::test]
async fn batch_and_sign_have_the_same_part_limit() {
    let gateway = TestGateway::new().await;
    let parts = (1..=501)
        .map(|number| PartSpec {
            size: 5 * MIB,
            ..part_spec(number, b"any")
        })
        .collect::<Vec<_>>();
    let begins = ["a", "b"].map(|key| BatchBegin {
        idempotency_key: key.into(),
        request: BeginRequest {
            parts: Some(parts.clone()),
            ..begin_request(501 * 5 * MIB)
        },
    });
    let request = BatchRequest {
        begin: begins.to_vec(),
        complete: Vec::new(),
        ..BatchRequest::default()
    };
    assert_eq!(
        problem_code(gateway.post("/v1/batch", &request).await).await,
        "invalid_request"
    );
    let request = BatchRequest {
        begin: begins[..1].to_vec(),
        complete: Vec::new(),
        ..BatchRequest::default()
    };
    expect_json::<BatchResponse>(gateway.post("/v1/batch", &request).await, 200).await;
}
