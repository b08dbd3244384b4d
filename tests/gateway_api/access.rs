//! Access: owners, tokens, hosts; invalid configuration; the shape of every error.

use crate::gateway::*;

#[tokio::test]
async fn upload_of_another_owner_is_not_found() {
    let mut gateway = TestGateway::with_config(|config| config.auth = Auth::Tokens).await;
    assert_eq!(
        problem_code(gateway.get("/v1").await).await,
        "unauthenticated"
    );
    let ledger = Ledger::open(&LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db")))
        .await
        .unwrap();
    let alice = ledger.add_token("alice").await.unwrap();
    let bob = ledger.add_token("bob").await.unwrap();
    gateway.token = Some(alice.expose().to_owned());
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let alices: BeginResponse =
        expect_json(gateway.begin("shared-key", &begin_request(1)).await, 201).await;

    gateway.token = Some(bob.expose().to_owned());
    let bobs: BeginResponse =
        expect_json(gateway.begin("shared-key", &begin_request(2)).await, 201).await;
    assert_ne!(bobs.id, alices.id);
    let calls = calls();
    // No lease expires during the test, so the responses can differ only because of the owner.
    gateway.execute_sql("UPDATE upload SET lease_until = 9999999999999");
    let states = "pending uploading completing verified ready rejected aborting aborted expired";
    for state in states.split(' ') {
        gateway.execute_sql(&format!(
            "UPDATE upload SET state = '{state}' WHERE id = '{}'",
            upload.id
        ));
        for (method, path, body) in &calls {
            let mut responses = Vec::new();
            for id in [
                upload.id.as_str(),
                "00000000-0000-4000-8000-000000000000",
                "no%20id",
                "%ff",
            ] {
                let request = gateway.request(method.clone(), &format!("/v1/uploads/{id}{path}"));
                let request = if body.is_null() {
                    request
                } else {
                    request.json(&body)
                };
                responses.push(comparable(request.send().await.unwrap()).await);
            }
            assert_eq!(responses[0].0, 404, "{state} {method} {path}");
            assert!(
                responses.iter().all(|response| *response == responses[0]),
                "{state} {method} {path}: {responses:?}"
            );
        }
        let mut lists = Vec::new();
        let mut batches = Vec::new();
        for id in [upload.id.as_str(), "00000000-0000-4000-8000-000000000000"] {
            lists.push(comparable(gateway.get(&format!("/v1/uploads?after={id}")).await).await);
            let mut complete = calls
                .iter()
                .find(|call| call.1 == "/complete")
                .unwrap()
                .2
                .clone();
            complete["id"] = id.into();
            batches.push(
                comparable(
                    gateway
                        .post("/v1/batch", &serde_json::json!({"complete": [complete]}))
                        .await,
                )
                .await,
            );
        }
        assert_eq!(
            (&lists[0], &batches[0]),
            (&lists[1], &batches[1]),
            "{state}"
        );
        assert_eq!(lists[0].0, 404);
    }
    let listed: UploadList = expect_json(gateway.get("/v1/uploads").await, 200).await;
    assert_eq!(listed.uploads.len(), 1);
}

/// Every call on one upload: method, path after the id, and a valid body.
fn calls() -> Vec<(Method, &'static str, serde_json::Value)> {
    let part = part_spec(2, &bodies()[1]);
    let body = |value: Result<serde_json::Value, _>| value.unwrap();
    let claim = serde_json::to_value(ClaimRequest {
        holder: "h".into(),
        epoch: None,
    });
    let sign = serde_json::to_value(SignRequest {
        epoch: 1,
        parts: vec![part],
        copies: Vec::new(),
        credentials_rejected: false,
    });
    let checksum = Checksum::whole(&part.sha256);
    let complete = serde_json::to_value(CompleteRequest {
        epoch: 1,
        parts: Vec::new(),
        checksum,
    });
    vec![
        (Method::GET, "", serde_json::Value::Null),
        (Method::DELETE, "", serde_json::Value::Null),
        (Method::GET, "/parts", serde_json::Value::Null),
        (Method::GET, "/url", serde_json::Value::Null),
        (Method::POST, "/claim", body(claim)),
        (Method::POST, "/sign", body(sign)),
        (Method::POST, "/complete", body(complete)),
    ]
}

/// Fails if a new route is missing from [`calls`].
#[test]
fn owner_test_covers_every_route_of_an_upload() {
    let mut routes_served = Vec::new();
    let routes = include_str!("../../crates/gateway/src/routes/router.rs");
    for route in routes.split(".route(").skip(1) {
        let Some(rest) = route.trim_start().strip_prefix("\"/uploads/{id}") else {
            continue;
        };
        let (path, handlers) = rest.split_once('"').unwrap();
        let named =
            |method: &Method| handlers.contains(&format!("{}(", method.as_str().to_lowercase()));
        let methods = [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ];
        routes_served.extend(
            methods
                .into_iter()
                .filter(named)
                .map(|method| format!("{method} {path}")),
        );
    }
    let mut routes_tested: Vec<String> = calls()
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    routes_served.sort();
    routes_tested.sort();
    assert_eq!(routes_served, routes_tested);
}

/// The parts of a response that do not depend on time.
async fn comparable(response: Response) -> (StatusCode, Vec<(String, String)>, Vec<u8>) {
    // Each response has its own date and request id.
    let headers = response
        .headers()
        .iter()
        .filter(|(name, _)| *name != "date" && *name != "x-request-id");
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    (
        response.status(),
        headers,
        response.bytes().await.unwrap().to_vec(),
    )
}

#[tokio::test]
async fn every_error_is_problem_json() {
    let gateway = TestGateway::new().await;
    let send = |request: reqwest::RequestBuilder| async { request.send().await.unwrap() };
    let json = |body: &'static str| {
        gateway
            .request(Method::POST, "/v1/uploads")
            .header("content-type", "application/json")
            .body(body)
    };
    for body in ["", "{", "[]", "{\"name\":1}", "\u{0}"] {
        assert_eq!(
            problem_code(send(json(body)).await).await,
            "invalid_request",
            "{body}"
        );
    }
    let unknown = gateway.get("/v1/nothing").await;
    assert_eq!(
        (
            unknown.status().as_u16(),
            problem_code(unknown).await.as_str()
        ),
        (404, "not_found")
    );
    let wrong_method = send(gateway.request(Method::PATCH, "/v1/uploads")).await;
    assert_eq!(
        (
            wrong_method.status().as_u16(),
            problem_code(wrong_method).await.as_str()
        ),
        (405, "invalid_request")
    );
    let large = send(json("").body(vec![b' '; (1 << 20) + 1])).await;
    assert_eq!(
        (large.status().as_u16(), problem_code(large).await.as_str()),
        (413, "too_large")
    );
    for query in ["parts?after=-1", "url?expires=soon"] {
        let upload = "00000000-0000-4000-8000-000000000000";
        assert_eq!(
            problem_code(gateway.get(&format!("/v1/uploads/{upload}/{query}")).await).await,
            "invalid_request"
        );
    }
}

#[tokio::test]
async fn foreign_host_and_form_requests_are_rejected() {
    let gateway = TestGateway::new().await;
    for host in ["evil.example", "127.0.0.1.evil.example", ""] {
        let response = gateway
            .request(Method::GET, "/v1")
            .header("host", host)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (
                response.status().as_u16(),
                problem_code(response).await.as_str()
            ),
            (403, "forbidden"),
            "{host}"
        );
    }
    let body = serde_json::to_vec(&begin_request(1)).unwrap();
    let form = gateway
        .request(Method::POST, "/v1/uploads")
        .header("content-type", "text/plain")
        .body(body);
    let form = form.header("idempotency-key", "key").send().await.unwrap();
    assert_eq!(problem_code(form).await, "invalid_request");
}

#[tokio::test]
async fn invalid_configuration_is_rejected_and_creates_nothing() {
    let rejection = async |change: fn(&mut Config)| {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), Auth::None);
        change(&mut config);
        let kind = upload_gateway::start(config).await.unwrap_err().kind();
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "files were created"
        );
        kind
    };
    assert_eq!(
        rejection(|config| config.listen = "0.0.0.0:0".parse().unwrap()).await,
        Kind::Config
    );
    assert_eq!(
        rejection(|config| config.allow_types = vec!["video".into()]).await,
        Kind::Config
    );
    assert_eq!(
        rejection(|config| config.sse = Some("rot13".into())).await,
        Kind::Config
    );
    assert_eq!(
        rejection(|config| config.public_url = Some("ftp://x/".parse().unwrap())).await,
        Kind::Config
    );
    assert_eq!(
        rejection(|config| config.public_url = Some("https://up.example".parse().unwrap())).await,
        Kind::Config
    );
    let unprobed_store = |config: &mut Config| {
        config.store = StoreConfig::S3 {
            bucket: "bucket".into(),
            prefix: String::new(),
            endpoint: Some("http://127.0.0.1:1".parse().unwrap()),
            public_endpoint: None,
            region: Some("us-east-1".into()),
            path_style: true,
        };
        config.proof = None;
    };
    assert_eq!(rejection(unprobed_store).await, Kind::Config);
}

/// An owner keeps its uploads when its token is replaced; a revoked or expired token is rejected.
#[tokio::test]
async fn tokens_of_one_owner_share_uploads_until_revoked_or_expired() {
    let mut gateway = TestGateway::with_config(|config| config.auth = Auth::Tokens).await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db")))
        .await
        .unwrap();
    let old = ledger.add_token("ci").await.unwrap();
    let new = ledger
        .add_limited_token("ci", Some(Duration::from_hours(2)), OwnerLimits::default())
        .await
        .unwrap();
    gateway.token = Some(old.expose().to_owned());
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    gateway.token = Some(new.expose().to_owned());
    expect_json::<UploadStatus>(
        gateway.get(&format!("/v1/uploads/{}", upload.id)).await,
        200,
    )
    .await;
    ledger
        .revoke(old.expose().split('_').nth(1).unwrap())
        .await
        .unwrap();
    expect_json::<BackendInfo>(gateway.get("/v1").await, 200).await;
    gateway.execute_sql("UPDATE token SET expires_at = expires_at - 7200000");
    assert_eq!(
        problem_code(gateway.get("/v1").await).await,
        "unauthenticated"
    );
    gateway.token = Some(old.expose().to_owned());
    assert_eq!(
        problem_code(gateway.get("/v1").await).await,
        "unauthenticated"
    );
}

#[tokio::test]
async fn private_gateway_accepts_only_its_token() {
    let token = upload_types::Token::new("canary".into());
    let mut gateway = TestGateway::with_config(|config| config.auth = Auth::Private(token)).await;
    for wrong in [None, Some("canary2"), Some("")] {
        gateway.token = wrong.map(str::to_owned);
        assert_eq!(
            problem_code(gateway.get("/v1").await).await,
            "unauthenticated"
        );
    }
    gateway.token = Some("canary".to_owned());
    expect_json::<BackendInfo>(gateway.get("/v1").await, 200).await;
}
