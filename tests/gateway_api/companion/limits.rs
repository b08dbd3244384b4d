//! Limits of Companion's routes: owners, origins, sizes, quotas, hooks.

use super::client::*;

#[tokio::test]
async fn upload_requires_its_owner_and_its_key() {
    let mut gateway = with_config(|config| config.auth = Auth::Tokens).await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db")))
        .await
        .unwrap();
    let alice = ledger.add_token("alice").await.unwrap();
    gateway.token = Some(alice.expose().to_owned());
    let (upload, other) = (
        create_default(&gateway).await,
        create_default(&gateway).await,
    );
    let parts = json!([{"PartNumber": 1, "ETag": send_part(&gateway, &upload, 1, b"x").await}]);
    let unknown = MultipartUpload {
        id: "0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00".to_owned(),
        key: upload.key.clone(),
    };
    let crossed = MultipartUpload {
        id: upload.id.clone(),
        key: other.key.clone(),
    };
    let odd = MultipartUpload {
        id: "%2e%2e%2F".to_owned(),
        key: upload.key.clone(),
    };
    let planned = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let planned = MultipartUpload {
        id: planned.id.as_str().to_owned(),
        key: planned.key.as_str().to_owned(),
    };
    let all = async |gateway: &TestGateway, upload: &MultipartUpload| {
        let mut responses = Vec::new();
        for response in [
            gateway.get(&upload.path("")).await,
            gateway.get(&upload.path("/1")).await,
            gateway
                .get(&format!("{}&partNumbers=1", upload.path("/batch")))
                .await,
            complete(gateway, upload, parts.clone()).await,
            gateway
                .request(Method::DELETE, &upload.path(""))
                .send()
                .await
                .unwrap(),
        ] {
            responses.push(rejection(response).await);
        }
        responses
    };
    let not_found = vec![(404, "NoSuchUpload".to_owned()); 5];
    for other in [&unknown, &crossed, &odd, &planned] {
        assert_eq!(all(&gateway, other).await, not_found, "{}", other.id);
    }

    let bob = ledger.add_token("bob").await.unwrap();
    gateway.token = Some(bob.expose().to_owned());
    assert_eq!(all(&gateway, &upload).await, not_found);
    // Without a key the request is invalid.
    let keyless = gateway.get(&format!("/s3/multipart/{}", upload.id)).await;
    assert_eq!(rejection(keyless).await, (400, "invalid_request".into()));
}

/// An upload without a declared size is signed and completed through Companion's routes only.
#[tokio::test]
async fn upload_without_size_cannot_be_signed_or_completed_by_the_v1_routes() {
    let gateway = start_gateway().await;
    let upload = create_default(&gateway).await;
    let sign = SignRequest {
        epoch: 1,
        parts: vec![part_spec(1, b"x")],
        copies: Vec::new(),
        credentials_rejected: false,
    };
    assert_eq!(
        problem_code(
            gateway
                .post(&format!("/v1/uploads/{}/sign", upload.id), &sign)
                .await
        )
        .await,
        "invalid_request"
    );
    let sha256 = Sha256::of(b"x");
    let part = CompletePart {
        number: PartNumber::FIRST,
        etag: "x".parse().unwrap(),
        sha256,
    };
    let request = CompleteRequest {
        epoch: 1,
        parts: vec![part],
        checksum: Checksum::whole(&sha256),
    };
    assert_eq!(
        problem_code(
            gateway
                .post(&format!("/v1/uploads/{}/complete", upload.id), &request)
                .await
        )
        .await,
        "invalid_request"
    );
}

/// A request without a token is rejected. A token in the path gives access to these routes only.
#[tokio::test]
async fn token_in_the_path_opens_companion_routes_only() {
    let mut gateway = with_config(|config| config.auth = Auth::Tokens).await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db")))
        .await
        .unwrap();
    let alice = ledger.add_token("alice").await.unwrap();
    gateway.token = Some(alice.expose().to_owned());
    let upload = create_default(&gateway).await;
    send_part(&gateway, &upload, 1, b"x").await;
    gateway.token = None;
    for path in [
        "/s3/multipart/x?key=x",
        "/s3/params?filename=a",
        "/t/upl_no_token/s3/params?filename=a",
    ] {
        assert_eq!(
            rejection(gateway.get(path).await).await,
            (401, "unauthenticated".into()),
            "{path}"
        );
    }
    for slashes in ["/", "//"] {
        let path = upload.path("").replacen('/', slashes, 1);
        let list = expect_ok(gateway.get(&format!("/t/{}{path}", alice.expose())).await).await;
        assert_eq!(list.as_array().unwrap().len(), 1);
    }
    let v1 = gateway
        .get(&format!("/t/{}/v1/uploads", alice.expose()))
        .await;
    assert!(v1.status().is_client_error());
    expect_ok(
        gateway
            .request(
                Method::DELETE,
                &format!("/t/{}{}", alice.expose(), upload.path("")),
            )
            .send()
            .await
            .unwrap(),
    )
    .await;
}

#[tokio::test]
async fn size_and_type_limits_apply_without_a_declared_size() {
    let gateway = with_config(|config| {
        config.max_size = Some(6 << 20);
        config.allow_types = vec!["video/*".to_owned()];
    })
    .await;
    let upload = create_default(&gateway).await;
    // Part 3 would begin after 10 MiB.
    assert_eq!(
        rejection(gateway.get(&upload.path("/3")).await).await,
        (413, "too_large".into())
    );
    let first = send_part(&gateway, &upload, 1, &vec![1; PART]).await;
    let second = send_part(&gateway, &upload, 2, &vec![2; 2 << 20]).await;
    let parts = json!([{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]);
    assert_eq!(
        rejection(complete(&gateway, &upload, parts).await).await,
        (413, "too_large".into())
    );
    expect_ok(complete(&gateway, &upload, json!([{"PartNumber": 1, "ETag": first}])).await).await;
    let text = json!({"filename": "a", "type": "text/plain"});
    assert_eq!(
        rejection(gateway.post("/s3/multipart", &text).await).await,
        (415, "type_not_allowed".into())
    );
    assert_eq!(
        rejection(gateway.get("/s3/params?filename=a&type=text/plain").await).await,
        (415, "type_not_allowed".into())
    );
}

#[tokio::test]
async fn quotas_apply_without_a_declared_size() {
    let quota = Quota {
        open: Some(2),
        outstanding: Some(8 << 20),
        total: None,
    };
    let gateway = with_config(|config| config.quota = quota).await;
    let first = create_default(&gateway).await;
    // Signing a part counts the smallest size that its number implies; completing counts the sizes
    // of the stored parts.
    assert_eq!(
        rejection(gateway.get(&first.path("/3")).await).await,
        (429, "quota_exceeded".into())
    );
    let one = send_part(&gateway, &first, 1, &vec![1; PART]).await;
    let two = send_part(&gateway, &first, 2, &vec![2; 4 << 20]).await;
    let parts = json!([{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]);
    assert_eq!(
        rejection(complete(&gateway, &first, parts).await).await,
        (429, "quota_exceeded".into())
    );
    // A form counts as its largest permitted size.
    assert_eq!(
        rejection(gateway.get("/s3/params?filename=a&type=").await).await,
        (429, "quota_exceeded".into())
    );
    let second = create_default(&gateway).await;
    assert_eq!(
        rejection(
            gateway
                .post("/s3/multipart", &json!({"filename": "c"}))
                .await
        )
        .await,
        (429, "quota_exceeded".into())
    );
    assert_eq!(
        rejection(gateway.get(&second.path("/2")).await).await,
        (429, "quota_exceeded".into())
    );
    expect_ok(complete(&gateway, &first, json!([{"PartNumber": 1, "ETag": one}])).await).await;
    expect_ok(gateway.get(&second.path("/2")).await).await;
}

#[tokio::test]
async fn only_allowed_origins_may_call() {
    let page = "https://app.example";
    let gateway = with_config(|config| config.allow_origins = vec![page.to_owned()]).await;
    let ask = async |method: Method, path: &str, headers: &[(&str, &str)]| {
        let mut request = gateway.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    let allowed = |response: &Response| {
        let origin = response
            .headers()
            .get("access-control-allow-origin")
            .map(|origin| origin.to_str().unwrap().to_owned());
        assert!(
            response.headers()["vary"]
                .to_str()
                .unwrap()
                .starts_with("origin")
        );
        origin
    };
    let preflight = ("access-control-request-method", "PUT");
    for path in [
        "/s3/multipart",
        "/embedded/uploads/x?partNumber=1&uploadId=x",
        "/v1/uploads",
        "/nowhere",
    ] {
        let response = ask(
            Method::OPTIONS,
            path,
            &[
                ("origin", page),
                preflight,
                ("access-control-request-headers", "content-type"),
            ],
        )
        .await;
        assert_eq!(
            (response.status().as_u16(), allowed(&response).as_deref()),
            (200, Some(page)),
            "{path}"
        );
        assert_eq!(
            response.headers()["access-control-allow-headers"],
            "content-type"
        );
        let response = ask(
            Method::OPTIONS,
            path,
            &[("origin", "https://evil.example"), preflight],
        )
        .await;
        assert!(allowed(&response).is_none(), "{path}");
    }
    let path = "/s3/params?filename=a&type=";
    let response = ask(
        Method::GET,
        path,
        &[("origin", page), ("sec-fetch-site", "cross-site")],
    )
    .await;
    assert_eq!(
        (response.status().as_u16(), allowed(&response).as_deref()),
        (200, Some(page))
    );
    assert!(
        response.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("etag")
    );
    // Scripts and images of other origins cannot begin uploads.
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(
            rejection(ask(Method::GET, path, headers).await).await,
            (403, "forbidden".into()),
            "{headers:?}"
        );
    }
    let list: UploadList = expect_json(gateway.get("/v1/uploads").await, 200).await;
    assert_eq!(list.uploads.len(), 1);
}

#[tokio::test]
async fn hooks_reject_uploads_of_browsers() {
    let hook = Hook {
        name: "reject-all".to_owned(),
        kind: HookKind::Command {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), "cat >/dev/null; exit 10".into()],
        },
        time_limit: Duration::from_secs(30),
    };
    let gateway = with_config(|config| config.hooks = vec![hook]).await;
    let upload = create_default(&gateway).await;
    let etag = send_part(&gateway, &upload, 1, b"bad").await;
    expect_ok(complete(&gateway, &upload, json!([{"PartNumber": 1, "ETag": etag}])).await).await;
    while upload_status(&gateway, &upload).await["state"] != "rejected" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while gateway
        .store()
        .head(&upload.key.parse().unwrap())
        .await
        .unwrap()
        .is_some()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A form could be posted again while hooks read the object, so hooks disable forms.
    assert_eq!(
        rejection(gateway.get("/s3/params?filename=a&type=").await).await,
        (400, "invalid_request".into())
    );
}

#[tokio::test]
async fn companion_routes_exist_only_if_enabled() {
    let gateway = TestGateway::new().await;
    // The embedded store serves these paths, and requires a signature.
    assert_eq!(gateway.get("/s3/params?filename=a").await.status(), 403);
    assert_eq!(
        gateway
            .post("/s3/multipart", &json!({"filename": "a"}))
            .await
            .status(),
        403
    );
    let form = "multipart/form-data; boundary=x";
    let post = gateway
        .request(Method::POST, "/embedded")
        .header("content-type", form)
        .body("--x--\r\n");
    assert_eq!(post.send().await.unwrap().status(), 403);
    // Companion's path must not be a path of the API.
    for path in [
        "/v1",
        "embedded",
        "/a b",
        "//",
        "/a//b",
        "/embedded/x",
        "/../x",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            companion_path: Some(path.to_owned()),
            ..config(dir.path(), Auth::None)
        };
        assert_eq!(
            config.validate().unwrap_err().kind(),
            Kind::Config,
            "{path}"
        );
    }
    for origin in [
        "*",
        "null",
        "app.example",
        "https://app.example/page",
        "https://*.example",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            allow_origins: vec![origin.to_owned()],
            ..config(dir.path(), Auth::None)
        };
        assert_eq!(
            config.validate().unwrap_err().kind(),
            Kind::Config,
            "{origin}"
        );
    }
}
