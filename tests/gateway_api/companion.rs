//! Uppy Companion's routes over the true service and the embedded store, asked as each Uppy asks.
//!
//! Border: requests and answers on the wire; the browser itself is `scripts/uppy`. What holds for every upload (states, leases,
//! crashes) is tested with the others.

use serde_json::{Value, json};

use crate::world::*;

mod bounds;
mod forms;

const PART: usize = 5 << 20;

async fn companion() -> World {
    with(|_| ()).await
}

async fn with(change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        config.companion_path = Some("/".to_owned());
        change(config);
    })
    .await
}

/// An upload as `create` answers it.
struct Begun {
    id: String,
    key: String,
}

impl Begun {
    fn path(&self, behind: &str) -> String {
        format!(
            "/s3/multipart/{}{behind}?key={}",
            self.id,
            self.key.replace('/', "%2F")
        )
    }
}

async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    (status, answer.json().await.unwrap())
}

async fn fine(answer: Response) -> Value {
    let (status, body) = read(answer).await;
    assert_eq!(status, 200, "{body}");
    assert!(
        body.get("error").is_none(),
        "older clients take that for a failure: {body}"
    );
    body
}

/// Status and code, in Companion's shape.
async fn refused(answer: Response) -> (u16, String) {
    let request = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let (status, body) = read(answer).await;
    assert!(
        body["error"].is_string() && body["message"].is_string(),
        "{body}"
    );
    assert_eq!(body["requestId"], request.as_str());
    (status, body["code"].as_str().unwrap().to_owned())
}

async fn create(world: &World, body: &Value) -> Begun {
    let body = fine(world.post("/s3/multipart", body).await).await;
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    Begun {
        id: text("uploadId"),
        key: text("key"),
    }
}

async fn begun(world: &World) -> Begun {
    create(
        world,
        &json!({"filename": "a b.bin", "type": "video/mp4", "metadata": {}}),
    )
    .await
}

async fn url(world: &World, upload: &Begun, number: u32) -> String {
    let body = fine(world.get(&upload.path(&format!("/{number}"))).await).await;
    assert!(
        body["expires"].as_u64().unwrap() >= 3600,
        "some never ask again: {body}"
    );
    body["url"].as_str().unwrap().to_owned()
}

/// Sends a part as a browser does, with no header of ours; its ETag in quotes.
async fn put(world: &World, url: &str, body: &[u8]) -> String {
    let answer = world
        .client
        .put(url)
        .body(body.to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

async fn send(world: &World, upload: &Begun, number: u32, body: &[u8]) -> String {
    put(world, &url(world, upload, number).await, body).await
}

async fn complete(world: &World, upload: &Begun, parts: Value) -> Response {
    world
        .post(&upload.path("/complete"), &json!({"parts": parts}))
        .await
}

async fn status(world: &World, upload: &Begun) -> Value {
    let answer = world.get(&format!("/v1/uploads/{}", upload.id)).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn bytes(world: &World, id: &str) -> Vec<u8> {
    let url: ReadUrl = good(world.get(&format!("/v1/uploads/{id}/url")).await, 200).await;
    world
        .client
        .get(url.url.expose())
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec()
}

/// The next gateway on the same ledger and store, which sweeps.
async fn after(world: World, sweep_every: Duration) -> World {
    let World {
        place,
        running,
        client,
        token,
    } = world;
    running.stop().await;
    let mut config = config(place.path(), Auth::None);
    (config.companion_path, config.sweep_interval) = (Some("/".to_owned()), Some(sweep_every));
    let running = upload_gateway::start(config).await.unwrap();
    World {
        place,
        running,
        client,
        token,
    }
}

async fn open(world: &World) -> usize {
    world.store().open_uploads(None).await.unwrap().0.len()
}

#[tokio::test]
async fn a_file_goes_up_in_parts_and_is_an_object_byte_for_byte() {
    let world = companion().await;
    let upload = begun(&world).await;
    let owner_and_id = upload.key.strip_prefix("uploads/").unwrap();
    assert!(
        owner_and_id.ends_with(&format!("/{}.bin", upload.id)),
        "the key is ours: {owner_and_id}"
    );
    let before = status(&world, &upload).await;
    assert_eq!(
        (before.get("size"), &before["state"], &before["name"]),
        (None, &json!("pending"), &json!("a b.bin"))
    );
    assert_eq!(fine(world.get(&upload.path("")).await).await, json!([]));

    let [one, two] = bodies();
    let second = send(&world, &upload, 2, &two).await;
    let wrong = send(&world, &upload, 1, &two).await;
    // The last word on a part counts.
    let first = send(&world, &upload, 1, &one).await;
    assert_ne!(first, wrong);
    let list = fine(world.get(&upload.path("")).await).await;
    let part = |number: u32, etag: &str, size: usize| json!({"PartNumber": number, "ETag": etag, "Size": size});
    assert_eq!(
        list,
        json!([part(1, &first, one.len()), part(2, &second, two.len())])
    );
    assert!(first.starts_with('"') && first.ends_with('"'));

    // Bare and in quotes, twice in one object, in any order, with whatever else there is.
    let parts = json!([
        {"PartNumber": 2, "ETag": second, "etag": second, "content-length": "0"},
        {"PartNumber": 1, "ETag": first.trim_matches('"')},
    ]);
    let done = fine(complete(&world, &upload, parts.clone()).await).await;
    assert_eq!(
        (&done["key"], &done["bucket"]),
        (&json!(upload.key), &json!("embedded"))
    );
    assert!(
        done["location"]
            .as_str()
            .unwrap()
            .ends_with(&format!("/embedded/{}", upload.key))
    );
    assert_eq!(
        bytes(&world, &upload.id).await,
        [one.clone(), two.clone()].concat()
    );
    // An answer that was lost is given again, whatever is asked with.
    for again in [parts, json!([{"PartNumber": 1, "ETag": "x"}])] {
        assert_eq!(fine(complete(&world, &upload, again).await).await, done);
    }
    assert_eq!(fine(world.get(&upload.path("")).await).await, list);
    let after = status(&world, &upload).await;
    let receipt = &after["receipt"];
    assert_eq!(
        (&after["state"], &after["size"], &after["part_count"]),
        (&json!("ready"), &json!(TWO_PARTS), &json!(2))
    );
    assert_eq!(
        (&receipt["proof"], receipt.get("checksum")),
        (&json!("none"), None),
        "nobody knows its fingerprints"
    );
    assert_eq!(
        (&receipt["size"], &receipt["parts"]),
        (&json!(TWO_PARTS), &json!(2))
    );
    // Nothing more comes in, and it stays.
    assert_eq!(
        refused(world.get(&upload.path("/3")).await).await,
        (410, "NoSuchUpload".into())
    );
    let abort = world
        .request(Method::DELETE, &upload.path(""))
        .send()
        .await
        .unwrap();
    assert_eq!(refused(abort).await, (409, "not_abortable".into()));
    assert_eq!(open(&world).await, 0);
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing_and_may_be_given_up_again() {
    let world = companion().await;
    let upload = begun(&world).await;
    let url = url(&world, &upload, 1).await;
    let etag = put(&world, &url, &[7; 100]).await;
    assert_eq!(open(&world).await, 1);
    for _ in 0..2 {
        let answer = world
            .request(Method::DELETE, &upload.path(""))
            .send()
            .await
            .unwrap();
        assert_eq!(fine(answer).await, json!({}));
    }
    assert_eq!(open(&world).await, 0);
    let parts = json!([{"PartNumber": 1, "ETag": etag}]);
    for answer in [
        world.get(&upload.path("")).await,
        world.get(&upload.path("/1")).await,
        complete(&world, &upload, parts).await,
    ] {
        assert_eq!(refused(answer).await, (410, "NoSuchUpload".into()));
    }
    assert_eq!(
        world
            .client
            .put(&url)
            .body(vec![7; 100])
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(status(&world, &upload).await["state"], "aborted");
}

#[tokio::test]
async fn complete_is_held_to_what_the_store_has() {
    let world = companion().await;
    let upload = begun(&world).await;
    let etag = send(&world, &upload, 1, &[7; 100]).await;
    for (parts, answer) in [
        (json!([]), (400, "invalid_request")),
        (json!("x"), (400, "invalid_request")),
        (json!([{"PartNumber": 1}]), (400, "invalid_request")),
        (
            json!([{"PartNumber": 1, "ETag": "\"other\""}]),
            (422, "parts_mismatch"),
        ),
        (
            json!([{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": etag}]),
            (422, "parts_mismatch"),
        ),
    ] {
        assert_eq!(
            refused(complete(&world, &upload, parts).await).await,
            (answer.0, answer.1.to_owned())
        );
    }
    // Parts that the store finds too small: it says so, and the upload goes on.
    let second = send(&world, &upload, 2, &[8; 100]).await;
    let both = json!([{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": second}]);
    assert_eq!(
        refused(complete(&world, &upload, both).await).await,
        (422, "parts_mismatch".into())
    );
    let only = json!([{"PartNumber": 2, "ETag": second}]);
    fine(complete(&world, &upload, only).await).await;
    assert_eq!(bytes(&world, &upload.id).await, [8; 100]);
}

#[tokio::test]
async fn many_complete_one_upload_and_it_is_one_object() {
    let world = companion().await;
    let upload = begun(&world).await;
    let etag = send(&world, &upload, 1, &[7; 100]).await;
    let parts = json!([{"PartNumber": 1, "ETag": etag}]);
    let all = (0..8).map(|_| complete(&world, &upload, parts.clone()));
    for answer in futures_util::future::join_all(all).await {
        fine(answer).await;
    }
    assert_eq!(bytes(&world, &upload.id).await, [7; 100]);
}

#[tokio::test]
async fn a_complete_that_was_left_is_decided_by_the_next_gateway() {
    let world = companion().await;
    let upload = begun(&world).await;
    let etag = send(&world, &upload, 1, &[7; 100]).await;
    let etag = etag.trim_matches('"');
    // As a gateway leaves it that died before it asked the store.
    world.ledger(
        "UPDATE upload SET state = 'completing', size = 100, part_size = 100, lease_until = 0",
    );
    world.ledger(&format!(
        "INSERT INTO part (upload, number, size, etag, state) VALUES ('{}', 1, 100, '{etag}', 'stored')",
        upload.id
    ));
    let world = after(world, Duration::from_millis(50)).await;
    // Who asks again and the sweep come to the same.
    let parts = json!([{"PartNumber": 1, "ETag": etag}]);
    fine(complete(&world, &upload, parts).await).await;
    assert_eq!(bytes(&world, &upload.id).await, [7; 100]);
}

#[tokio::test]
async fn a_resumed_upload_sends_what_is_missing() {
    let world = companion().await;
    let upload = begun(&world).await;
    let [one, two] = bodies();
    send(&world, &upload, 1, &one).await;
    // Uppy 6 after a reload: what it lists is in quotes, what it sends now is not.
    let list = fine(
        world
            .get(&format!("//s3/multipart/{}?key={}", upload.id, upload.key))
            .await,
    )
    .await;
    let second = send(&world, &upload, 2, &two).await;
    let parts = json!([
        {"PartNumber": list[0]["PartNumber"], "ETag": list[0]["ETag"]},
        {"PartNumber": 2, "ETag": second.trim_matches('"')},
    ]);
    fine(complete(&world, &upload, parts).await).await;
    assert_eq!(bytes(&world, &upload.id).await, [one, two].concat());
}

#[tokio::test]
async fn urls_come_many_at_a_time_too() {
    let world = companion().await;
    let upload = begun(&world).await;
    let urls = fine(
        world
            .get(&format!("{}&partNumbers=3,1,%202,1", upload.path("/batch")))
            .await,
    )
    .await;
    let urls = urls["presignedUrls"].as_object().unwrap();
    assert_eq!(urls.keys().collect::<Vec<_>>(), ["1", "2", "3"]);
    put(&world, urls["3"].as_str().unwrap(), b"third").await;
    for numbers in ["", "0", "1,x", "10001", "1.5"] {
        let answer = world
            .get(&format!("{}&partNumbers={numbers}", upload.path("/batch")))
            .await;
        assert_eq!(
            refused(answer).await,
            (400, "invalid_request".into()),
            "{numbers}"
        );
    }
    for number in ["0", "-1", "abc", "1abc", "10001", "99999999999", "status"] {
        let answer = world.get(&upload.path(&format!("/{number}"))).await;
        assert_eq!(
            refused(answer).await,
            (400, "invalid_request".into()),
            "{number}"
        );
    }
}

#[tokio::test]
async fn what_uppies_offer_is_taken() {
    let world = companion().await;
    for body in [
        json!({"filename": "a"}),
        json!({"filename": "a", "type": null, "metadata": null}),
        json!({"filename": "a", "type": "", "metadata": {"relativePath": null, "n": 1, "name": "Über uns.pdf", "o": {"a": [1]}}}),
        json!({"filename": "../../etc/passwd", "type": "text/plain", "metadata": []}),
        json!({"filename": "a\u{0}\r\nX: y\u{202e}.exe", "type": "text/plain", "more": {"a": 1}}),
        json!({"filename": "é".repeat(700), "type": "text/plain"}),
        json!({"filename": "/", "type": "text/plain; charset=utf-8"}),
    ] {
        let upload = create(&world, &body).await;
        let mut pieces = upload.key.split('/');
        assert_eq!(pieces.next(), Some("uploads"), "{body}");
        let (owner, name) = (pieces.next().unwrap(), pieces.next().unwrap());
        assert!(
            owner.len() == 26 && name.starts_with(&upload.id) && pieces.next().is_none(),
            "{body}: {name}"
        );
        let etag = send(&world, &upload, 1, b"x").await;
        fine(complete(&world, &upload, json!([{"PartNumber": 1, "ETag": etag}])).await).await;
    }
    for (body, expected) in [
        (json!({}), (400, "invalid_request")),
        (json!({"filename": ""}), (400, "invalid_request")),
        (json!({"filename": 5}), (400, "invalid_request")),
        (json!([]), (400, "invalid_request")),
        (
            json!({"filename": "a", "type": 5}),
            (400, "invalid_request"),
        ),
        (
            json!({"filename": "a", "type": "not a type"}),
            (400, "invalid_request"),
        ),
        (
            json!({"filename": "a", "metadata": {"upload-token": "mine"}}),
            (400, "invalid_request"),
        ),
        (
            json!({"filename": "a", "metadata": {"a": "x".repeat(4000)}}),
            (400, "invalid_request"),
        ),
        (
            json!({"filename": "x".repeat(200 << 10)}),
            (413, "too_large"),
        ),
    ] {
        let answer = refused(world.post("/s3/multipart", &body).await).await;
        assert_eq!(answer, (expected.0, expected.1.to_owned()));
    }
    assert_eq!(
        refused(world.get("/s3/params?type=text/plain").await).await,
        (400, "invalid_request".into())
    );
    let no_json = world
        .request(Method::POST, "/s3/multipart")
        .header("content-type", "text/plain")
        .body("{}");
    assert_eq!(
        refused(no_json.send().await.unwrap()).await,
        (400, "invalid_request".into())
    );
    let (status, sts) = read(world.get("/s3/sts").await).await;
    assert!(status == 400 && sts["error"].is_string());
}

#[tokio::test]
async fn a_create_is_repeated_by_its_key() {
    let world = companion().await;
    let ask = async |key: &str, name: &str| {
        let request = world
            .request(Method::POST, "/s3/multipart")
            .header("idempotency-key", key);
        request
            .json(&json!({"filename": name}))
            .send()
            .await
            .unwrap()
    };
    let first = fine(ask("k", "a").await).await;
    assert_eq!(
        fine(ask("k", "a").await).await["uploadId"],
        first["uploadId"]
    );
    assert_eq!(
        refused(ask("k", "b").await).await,
        (422, "idempotency_mismatch".into())
    );
    assert_ne!(
        fine(ask("l", "a").await).await["uploadId"],
        first["uploadId"]
    );
    assert_eq!(open(&world).await, 2);
}
