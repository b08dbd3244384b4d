//! Who may ask and what is not taken: owners, tokens, hosts, settings, and the shape of every error.
//!
//! Border: no upload is finished here.

use crate::world::*;

#[tokio::test]
async fn another_owners_upload_is_as_unknown_as_any() {
    let mut world = World::with(|config| config.auth = Auth::Tokens).await;
    assert_eq!(code(world.get("/v1").await).await, "unauthenticated");
    let ledger = Ledger::open(&LedgerConfig::Sqlite(world.place.path().join("ledger.db")))
        .await
        .unwrap();
    let alice = ledger.add_token("alice").await.unwrap();
    let bob = ledger.add_token("bob").await.unwrap();
    world.token = Some(alice.expose().to_owned());
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let mine: BeginResponse = good(world.begin("shared-key", &begin(1)).await, 201).await;

    world.token = Some(bob.expose().to_owned());
    let theirs: BeginResponse = good(world.begin("shared-key", &begin(2)).await, 201).await;
    assert_ne!(theirs.id, mine.id);
    let calls = calls();
    // Nothing is held or expired, so that only the owner decides.
    world.ledger("UPDATE upload SET lease_until = 9999999999999");
    let states = "pending uploading completing verified ready rejected aborting aborted expired";
    for state in states.split(' ') {
        world.ledger(&format!(
            "UPDATE upload SET state = '{state}' WHERE id = '{}'",
            upload.id
        ));
        for (method, path, body) in &calls {
            let mut answers = Vec::new();
            for id in [
                upload.id.as_str(),
                "00000000-0000-4000-8000-000000000000",
                "no%20id",
                "%ff",
            ] {
                let request = world.request(method.clone(), &format!("/v1/uploads/{id}{path}"));
                let request = if body.is_null() {
                    request
                } else {
                    request.json(&body)
                };
                answers.push(whole(request.send().await.unwrap()).await);
            }
            assert_eq!(answers[0].0, 404, "{state} {method} {path}");
            assert!(
                answers.iter().all(|answer| *answer == answers[0]),
                "{state} {method} {path}: {answers:?}"
            );
        }
        let mut behind = Vec::new();
        let mut batched = Vec::new();
        for id in [upload.id.as_str(), "00000000-0000-4000-8000-000000000000"] {
            behind.push(whole(world.get(&format!("/v1/uploads?after={id}")).await).await);
            let mut complete = calls
                .iter()
                .find(|call| call.1 == "/complete")
                .unwrap()
                .2
                .clone();
            complete["id"] = id.into();
            batched.push(
                whole(
                    world
                        .post("/v1/batch", &serde_json::json!({"complete": [complete]}))
                        .await,
                )
                .await,
            );
        }
        assert_eq!(
            (&behind[0], &batched[0]),
            (&behind[1], &batched[1]),
            "{state}"
        );
        assert_eq!(behind[0].0, 404);
    }
    let listed: UploadList = good(world.get("/v1/uploads").await, 200).await;
    assert_eq!(listed.uploads.len(), 1);
}

/// Every call about one upload: method, what stands behind its id, and a body that is good.
fn calls() -> Vec<(Method, &'static str, serde_json::Value)> {
    let part = spec(2, &bodies()[1]);
    let body = |value: Result<serde_json::Value, _>| value.unwrap();
    let claim = serde_json::to_value(ClaimRequest {
        holder: "h".into(),
        epoch: None,
    });
    let sign = serde_json::to_value(SignRequest {
        epoch: 1,
        parts: vec![part],
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

/// A call that is new is new in the matrix too.
#[test]
fn every_call_about_an_upload_is_asked_of_another_owner() {
    let mut served = Vec::new();
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
        served.extend(
            methods
                .into_iter()
                .filter(named)
                .map(|method| format!("{method} {path}")),
        );
    }
    let mut asked: Vec<String> = calls()
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    served.sort();
    asked.sort();
    assert_eq!(served, asked);
}

/// All that an answer tells but the time.
async fn whole(answer: Response) -> (StatusCode, Vec<(String, String)>, Vec<u8>) {
    // Each answer has its own date, and the name of its own request.
    let headers = answer
        .headers()
        .iter()
        .filter(|(name, _)| *name != "date" && *name != "x-request-id");
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    (
        answer.status(),
        headers,
        answer.bytes().await.unwrap().to_vec(),
    )
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let world = World::new().await;
    let send = |request: reqwest::RequestBuilder| async { request.send().await.unwrap() };
    let json = |body: &'static str| {
        world
            .request(Method::POST, "/v1/uploads")
            .header("content-type", "application/json")
            .body(body)
    };
    for body in ["", "{", "[]", "{\"name\":1}", "\u{0}"] {
        assert_eq!(
            code(send(json(body)).await).await,
            "invalid_request",
            "{body}"
        );
    }
    let unknown = world.get("/v1/nothing").await;
    assert_eq!(
        (unknown.status().as_u16(), code(unknown).await.as_str()),
        (404, "not_found")
    );
    let wrong = send(world.request(Method::PATCH, "/v1/uploads")).await;
    assert_eq!(
        (wrong.status().as_u16(), code(wrong).await.as_str()),
        (405, "invalid_request")
    );
    let large = send(json("").body(vec![b' '; (1 << 20) + 1])).await;
    assert_eq!(
        (large.status().as_u16(), code(large).await.as_str()),
        (413, "too_large")
    );
    for query in ["parts?after=-1", "url?expires=soon"] {
        let upload = "00000000-0000-4000-8000-000000000000";
        assert_eq!(
            code(world.get(&format!("/v1/uploads/{upload}/{query}")).await).await,
            "invalid_request"
        );
    }
}

#[tokio::test]
async fn pages_of_other_sites_cannot_reach_an_open_gateway() {
    let world = World::new().await;
    for host in ["evil.example", "127.0.0.1.evil.example", ""] {
        let answer = world
            .request(Method::GET, "/v1")
            .header("host", host)
            .send()
            .await
            .unwrap();
        assert_eq!(
            (answer.status().as_u16(), code(answer).await.as_str()),
            (403, "forbidden"),
            "{host}"
        );
    }
    let body = serde_json::to_vec(&begin(1)).unwrap();
    let form = world
        .request(Method::POST, "/v1/uploads")
        .header("content-type", "text/plain")
        .body(body);
    let form = form.header("idempotency-key", "key").send().await.unwrap();
    assert_eq!(code(form).await, "invalid_request");
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused() {
    let refused = async |change: fn(&mut Config)| {
        let place = tempfile::tempdir().unwrap();
        let mut config = config(place.path(), Auth::None);
        change(&mut config);
        let kind = upload_gateway::start(config).await.unwrap_err().kind();
        assert_eq!(
            std::fs::read_dir(place.path()).unwrap().count(),
            0,
            "nothing was made"
        );
        kind
    };
    assert_eq!(
        refused(|config| config.listen = "0.0.0.0:0".parse().unwrap()).await,
        Kind::Config
    );
    assert_eq!(
        refused(|config| config.allow_types = vec!["video".into()]).await,
        Kind::Config
    );
    assert_eq!(
        refused(|config| config.sse = Some("rot13".into())).await,
        Kind::Config
    );
    assert_eq!(
        refused(|config| config.public_url = Some("ftp://x/".parse().unwrap())).await,
        Kind::Config
    );
    assert_eq!(
        refused(|config| config.public_url = Some("https://up.example".parse().unwrap())).await,
        Kind::Config
    );
    let unknown = |config: &mut Config| {
        config.store = StoreConfig::S3 {
            bucket: "bucket".into(),
            prefix: String::new(),
            endpoint: Some("http://127.0.0.1:1".parse().unwrap()),
            region: Some("us-east-1".into()),
            path_style: true,
        };
        config.proof = None;
    };
    assert_eq!(refused(unknown).await, Kind::Config);
}

/// A token is replaced without its owner losing anything, and ends when it was said to.
#[tokio::test]
async fn tokens_of_one_name_share_their_uploads_and_end() {
    let mut world = World::with(|config| config.auth = Auth::Tokens).await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(world.place.path().join("ledger.db")))
        .await
        .unwrap();
    let old = ledger.add_token("ci").await.unwrap();
    let new = ledger
        .add_expiring_token("ci", Duration::from_hours(2))
        .await
        .unwrap();
    world.token = Some(old.expose().to_owned());
    let upload = world.begun(&begin(TWO_PARTS)).await;
    world.token = Some(new.expose().to_owned());
    good::<UploadStatus>(world.get(&format!("/v1/uploads/{}", upload.id)).await, 200).await;
    ledger
        .revoke(old.expose().split('_').nth(1).unwrap())
        .await
        .unwrap();
    good::<BackendInfo>(world.get("/v1").await, 200).await;
    world.ledger("UPDATE token SET expires_at = expires_at - 7200000");
    assert_eq!(code(world.get("/v1").await).await, "unauthenticated");
    world.token = Some(old.expose().to_owned());
    assert_eq!(code(world.get("/v1").await).await, "unauthenticated");
}

#[tokio::test]
async fn a_private_gateway_serves_its_token_alone() {
    let token = upload_types::names::Token::new("canary".into());
    let mut world = World::with(|config| config.auth = Auth::Private(token)).await;
    for wrong in [None, Some("canary2"), Some("")] {
        world.token = wrong.map(str::to_owned);
        assert_eq!(code(world.get("/v1").await).await, "unauthenticated");
    }
    world.token = Some("canary".to_owned());
    good::<BackendInfo>(world.get("/v1").await, 200).await;
}
