//! Who may use Companion's routes, for what, and how much.
//!
//! Border: as in the file above.

use super::*;

#[tokio::test]
async fn an_upload_is_its_owners_under_its_own_key() {
    let mut world = with(|config| config.auth = Auth::Tokens).await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(world.place.path().join("ledger.db")))
        .await
        .unwrap();
    let alice = ledger.add_token("alice").await.unwrap();
    world.token = Some(alice.expose().to_owned());
    let (upload, other) = (begun(&world).await, begun(&world).await);
    let parts = json!([{"PartNumber": 1, "ETag": send(&world, &upload, 1, b"x").await}]);
    let unknown = Begun {
        id: "0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00".to_owned(),
        key: upload.key.clone(),
    };
    let crossed = Begun {
        id: upload.id.clone(),
        key: other.key.clone(),
    };
    let odd = Begun {
        id: "%2e%2e%2F".to_owned(),
        key: upload.key.clone(),
    };
    let planned = world.begun(&begin(TWO_PARTS)).await;
    let planned = Begun {
        id: planned.id.as_str().to_owned(),
        key: planned.key.as_str().to_owned(),
    };
    let all = async |world: &World, upload: &Begun| {
        let mut answers = Vec::new();
        for answer in [
            world.get(&upload.path("")).await,
            world.get(&upload.path("/1")).await,
            world
                .get(&format!("{}&partNumbers=1", upload.path("/batch")))
                .await,
            complete(world, upload, parts.clone()).await,
            world
                .request(Method::DELETE, &upload.path(""))
                .send()
                .await
                .unwrap(),
        ] {
            answers.push(refused(answer).await);
        }
        answers
    };
    let none = vec![(404, "NoSuchUpload".to_owned()); 5];
    for stranger in [&unknown, &crossed, &odd, &planned] {
        assert_eq!(all(&world, stranger).await, none, "{}", stranger.id);
    }
    // What has no plan is signed and completed here alone.
    let sign = SignRequest {
        epoch: 1,
        parts: vec![spec(1, b"x")],
    };
    assert_eq!(
        code(
            world
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
        code(
            world
                .post(&format!("/v1/uploads/{}/complete", upload.id), &request)
                .await
        )
        .await,
        "invalid_request"
    );

    let bob = ledger.add_token("bob").await.unwrap();
    world.token = Some(bob.expose().to_owned());
    assert_eq!(all(&world, &upload).await, none);
    // Without a key it is nobody's question.
    let keyless = world.get(&format!("/s3/multipart/{}", upload.id)).await;
    assert_eq!(refused(keyless).await, (400, "invalid_request".into()));
    // Nobody is let in without a token; with it in the path, these routes are open, and no others.
    world.token = None;
    for path in [
        "/s3/multipart/x?key=x",
        "/s3/params?filename=a",
        "/t/upl_no_token/s3/params?filename=a",
    ] {
        assert_eq!(
            refused(world.get(path).await).await,
            (401, "unauthenticated".into()),
            "{path}"
        );
    }
    for slashes in ["/", "//"] {
        let path = upload.path("").replacen('/', slashes, 1);
        let list = fine(world.get(&format!("/t/{}{path}", alice.expose())).await).await;
        assert_eq!(list.as_array().unwrap().len(), 1);
    }
    let v1 = world
        .get(&format!("/t/{}/v1/uploads", alice.expose()))
        .await;
    assert!(v1.status().is_client_error());
    fine(
        world
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
async fn limits_hold_for_what_has_no_size() {
    let world = with(|config| {
        config.max_size = Some(6 << 20);
        config.allow_types = vec!["video/*".to_owned()];
    })
    .await;
    let upload = begun(&world).await;
    // The third part would be behind ten MiB.
    assert_eq!(
        refused(world.get(&upload.path("/3")).await).await,
        (413, "too_large".into())
    );
    let first = send(&world, &upload, 1, &vec![1; PART]).await;
    let second = send(&world, &upload, 2, &vec![2; 2 << 20]).await;
    let parts = json!([{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]);
    assert_eq!(
        refused(complete(&world, &upload, parts).await).await,
        (413, "too_large".into())
    );
    fine(complete(&world, &upload, json!([{"PartNumber": 1, "ETag": first}])).await).await;
    let text = json!({"filename": "a", "type": "text/plain"});
    assert_eq!(
        refused(world.post("/s3/multipart", &text).await).await,
        (415, "type_not_allowed".into())
    );
    assert_eq!(
        refused(world.get("/s3/params?filename=a&type=text/plain").await).await,
        (415, "type_not_allowed".into())
    );
}

#[tokio::test]
async fn quotas_hold_for_what_has_no_size() {
    let quota = Quota {
        open: Some(2),
        outstanding: Some(8 << 20),
        total: None,
    };
    let world = with(|config| config.quota = quota).await;
    let first = begun(&world).await;
    // Parts count for as much as they must have by now, and for all they have in the end.
    assert_eq!(
        refused(world.get(&first.path("/3")).await).await,
        (429, "quota_exceeded".into())
    );
    let one = send(&world, &first, 1, &vec![1; PART]).await;
    let two = send(&world, &first, 2, &vec![2; 4 << 20]).await;
    let parts = json!([{"PartNumber": 1, "ETag": one}, {"PartNumber": 2, "ETag": two}]);
    assert_eq!(
        refused(complete(&world, &first, parts).await).await,
        (429, "quota_exceeded".into())
    );
    // A form counts for as much as it may bring.
    assert_eq!(
        refused(world.get("/s3/params?filename=a&type=").await).await,
        (429, "quota_exceeded".into())
    );
    let second = begun(&world).await;
    assert_eq!(
        refused(world.post("/s3/multipart", &json!({"filename": "c"})).await).await,
        (429, "quota_exceeded".into())
    );
    assert_eq!(
        refused(world.get(&second.path("/2")).await).await,
        (429, "quota_exceeded".into())
    );
    fine(complete(&world, &first, json!([{"PartNumber": 1, "ETag": one}])).await).await;
    fine(world.get(&second.path("/2")).await).await;
}

#[tokio::test]
async fn pages_come_in_by_their_origin() {
    let page = "https://app.example";
    let world = with(|config| config.allow_origins = vec![page.to_owned()]).await;
    let ask = async |method: Method, path: &str, headers: &[(&str, &str)]| {
        let mut request = world.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    let allowed = |answer: &Response| {
        let origin = answer
            .headers()
            .get("access-control-allow-origin")
            .map(|origin| origin.to_str().unwrap().to_owned());
        assert!(
            answer.headers()["vary"]
                .to_str()
                .unwrap()
                .starts_with("origin")
        );
        origin
    };
    let wish = ("access-control-request-method", "PUT");
    for path in [
        "/s3/multipart",
        "/embedded/uploads/x?partNumber=1&uploadId=x",
        "/v1/uploads",
        "/nowhere",
    ] {
        let answer = ask(
            Method::OPTIONS,
            path,
            &[
                ("origin", page),
                wish,
                ("access-control-request-headers", "content-type"),
            ],
        )
        .await;
        assert_eq!(
            (answer.status().as_u16(), allowed(&answer).as_deref()),
            (200, Some(page)),
            "{path}"
        );
        assert_eq!(
            answer.headers()["access-control-allow-headers"],
            "content-type"
        );
        let answer = ask(
            Method::OPTIONS,
            path,
            &[("origin", "https://evil.example"), wish],
        )
        .await;
        assert!(allowed(&answer).is_none(), "{path}");
    }
    let path = "/s3/params?filename=a&type=";
    let answer = ask(
        Method::GET,
        path,
        &[("origin", page), ("sec-fetch-site", "cross-site")],
    )
    .await;
    assert_eq!(
        (answer.status().as_u16(), allowed(&answer).as_deref()),
        (200, Some(page))
    );
    assert!(
        answer.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("etag")
    );
    // Neither a script nor a picture of another page begins anything here.
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(
            refused(ask(Method::GET, path, headers).await).await,
            (403, "forbidden".into()),
            "{headers:?}"
        );
    }
    let list: UploadList = good(world.get("/v1/uploads").await, 200).await;
    assert_eq!(list.uploads.len(), 1);
}

#[tokio::test]
async fn hooks_judge_what_browsers_send() {
    let hook = Hook {
        name: "no".to_owned(),
        kind: HookKind::Command {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), "cat >/dev/null; exit 10".into()],
        },
        time_limit: Duration::from_secs(30),
    };
    let world = with(|config| config.hooks = vec![hook]).await;
    let upload = begun(&world).await;
    let etag = send(&world, &upload, 1, b"bad").await;
    fine(complete(&world, &upload, json!([{"PartNumber": 1, "ETag": etag}])).await).await;
    while status(&world, &upload).await["state"] != "rejected" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while world
        .store()
        .head(&upload.key.parse().unwrap())
        .await
        .unwrap()
        .is_some()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What is sent in a form could be another thing when they have looked at it.
    assert_eq!(
        refused(world.get("/s3/params?filename=a&type=").await).await,
        (400, "invalid_request".into())
    );
}

#[tokio::test]
async fn without_the_flag_there_are_no_such_routes() {
    let world = World::new().await;
    // What is left is the embedded store, which wants a signature.
    assert_eq!(world.get("/s3/params?filename=a").await.status(), 403);
    assert_eq!(
        world
            .post("/s3/multipart", &json!({"filename": "a"}))
            .await
            .status(),
        403
    );
    let form = "multipart/form-data; boundary=x";
    let post = world
        .request(Method::POST, "/embedded")
        .header("content-type", form)
        .body("--x--\r\n");
    assert_eq!(post.send().await.unwrap().status(), 403);
    // Nor is any beneath a path of the API's own.
    for path in [
        "/v1",
        "embedded",
        "/a b",
        "//",
        "/a//b",
        "/embedded/x",
        "/../x",
    ] {
        let place = tempfile::tempdir().unwrap();
        let config = Config {
            companion_path: Some(path.to_owned()),
            ..config(place.path(), Auth::None)
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
        let place = tempfile::tempdir().unwrap();
        let config = Config {
            allow_origins: vec![origin.to_owned()],
            ..config(place.path(), Auth::None)
        };
        assert_eq!(
            config.validate().unwrap_err().kind(),
            Kind::Config,
            "{origin}"
        );
    }
}
