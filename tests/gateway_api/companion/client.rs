//! A gateway with Companion's routes, and the requests of a browser.

pub use serde_json::{Value, json};

pub use crate::gateway::*;

pub const PART: usize = 5 << 20;

pub async fn start_gateway() -> TestGateway {
    with_config(|_| ()).await
}

pub async fn with_config(change: impl FnOnce(&mut Config)) -> TestGateway {
    TestGateway::with_config(|config| {
        config.companion_path = Some("/".to_owned());
        change(config);
    })
    .await
}

/// An upload as `create` returns it.
pub struct MultipartUpload {
    pub id: String,
    pub key: String,
}

impl MultipartUpload {
    pub fn path(&self, suffix: &str) -> String {
        format!(
            "/s3/multipart/{}{suffix}?key={}",
            self.id,
            self.key.replace('/', "%2F")
        )
    }
}

pub async fn read_json(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    (status, response.json().await.unwrap())
}

pub async fn expect_ok(response: Response) -> Value {
    let (status, body) = read_json(response).await;
    assert_eq!(status, 200, "{body}");
    assert!(
        body.get("error").is_none(),
        "older clients treat this as a failure: {body}"
    );
    body
}

/// Status and code of an error in Companion's shape.
pub async fn rejection(response: Response) -> (u16, String) {
    let request = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let (status, body) = read_json(response).await;
    assert!(
        body["error"].is_string() && body["message"].is_string(),
        "{body}"
    );
    assert_eq!(body["requestId"], request.as_str());
    (status, body["code"].as_str().unwrap().to_owned())
}

pub async fn create(gateway: &TestGateway, body: &Value) -> MultipartUpload {
    let body = expect_ok(gateway.post("/s3/multipart", body).await).await;
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    MultipartUpload {
        id: text("uploadId"),
        key: text("key"),
    }
}

pub async fn create_default(gateway: &TestGateway) -> MultipartUpload {
    create(
        gateway,
        &json!({"filename": "a b.bin", "type": "video/mp4", "metadata": {}}),
    )
    .await
}

pub async fn part_url(gateway: &TestGateway, upload: &MultipartUpload, number: u32) -> String {
    let body = expect_ok(gateway.get(&upload.path(&format!("/{number}"))).await).await;
    assert!(
        body["expires"].as_u64().unwrap() >= 3600,
        "the URL expires too early for clients that never request another: {body}"
    );
    body["url"].as_str().unwrap().to_owned()
}

/// Sends a part as a browser does, without headers of the gateway. Returns the quoted ETag.
pub async fn put_bytes(gateway: &TestGateway, url: &str, body: &[u8]) -> String {
    let response = gateway
        .client
        .put(url)
        .body(body.to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    response.headers()["etag"].to_str().unwrap().to_owned()
}

pub async fn send_part(
    gateway: &TestGateway,
    upload: &MultipartUpload,
    number: u32,
    body: &[u8],
) -> String {
    put_bytes(gateway, &part_url(gateway, upload, number).await, body).await
}

pub async fn complete(gateway: &TestGateway, upload: &MultipartUpload, parts: Value) -> Response {
    gateway
        .post(&upload.path("/complete"), &json!({"parts": parts}))
        .await
}

pub async fn upload_status(gateway: &TestGateway, upload: &MultipartUpload) -> Value {
    let response = gateway.get(&format!("/v1/uploads/{}", upload.id)).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

pub async fn object_bytes(gateway: &TestGateway, id: &str) -> Vec<u8> {
    let url: ReadUrl = expect_json(gateway.get(&format!("/v1/uploads/{id}/url")).await, 200).await;
    gateway
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

/// Stops the gateway and starts another one on its ledger and store, with this sweep interval.
pub async fn restart_with_sweep(gateway: TestGateway, sweep_every: Duration) -> TestGateway {
    let TestGateway {
        dir,
        running,
        client,
        token,
    } = gateway;
    running.stop().await;
    let mut config = config(dir.path(), Auth::None);
    (config.companion_path, config.sweep_interval) = (Some("/".to_owned()), Some(sweep_every));
    let running = upload_gateway::start(config).await.unwrap();
    TestGateway {
        dir,
        running,
        client,
        token,
    }
}

pub async fn open_upload_count(gateway: &TestGateway) -> usize {
    gateway.store().open_uploads(None).await.unwrap().0.len()
}
