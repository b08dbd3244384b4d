//! Events that a store pushes: authentication and form.
//!
//! Not here: the effect of an event (unit tests of the gateway).

use serde_json::json;
use upload_gateway::EventSource;
use upload_types::Token;

use crate::gateway::*;

const SECRET: &str = "a-long-random-word";

async fn start_gateway() -> TestGateway {
    TestGateway::with_config(|config| {
        config.events = Some(EventSource::Webhook(Token::new(SECRET.into())));
    })
    .await
}

fn event(key: &str) -> String {
    let record = json!({"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}});
    json!({ "Records": [record] }).to_string()
}

async fn push(
    gateway: &TestGateway,
    authorization: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Response {
    let mut request = gateway.request(Method::POST, "/v1/events/s3").body(body);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.send().await.unwrap()
}

/// Begins an upload and sends its only part, but does not complete it.
async fn put_without_complete(gateway: &TestGateway) -> BeginResponse {
    let body = b"seventy-seven".to_vec();
    let upload = gateway.create_upload(&begin_request(13)).await;
    gateway.put_parts(&upload, &[body]).await;
    upload
}

async fn state(gateway: &TestGateway, upload: &BeginResponse) -> UploadState {
    expect_json::<UploadStatus>(
        gateway.get(&format!("/v1/uploads/{}", upload.id)).await,
        200,
    )
    .await
    .state
}

async fn wait_until_ready(gateway: &TestGateway, upload: &BeginResponse) {
    until("the upload to be ready", async || {
        (state(gateway, upload).await == UploadState::Ready).then_some(())
    })
    .await;
}

#[tokio::test]
async fn authenticated_event_confirms_an_upload_without_its_client() {
    // Two forms that MinIO sends, and the password of a URL as Ceph sends it.
    for authorization in [
        &format!("Bearer {SECRET}"),
        SECRET,
        "Basic Y2VwaDphLWxvbmctcmFuZG9tLXdvcmQ=",
    ] {
        let gateway = start_gateway().await;
        let upload = put_without_complete(&gateway).await;
        assert_eq!(
            push(&gateway, Some(authorization), event(upload.key.as_str()))
                .await
                .status(),
            200,
            "{authorization}"
        );
        wait_until_ready(&gateway, &upload).await;
    }
}

#[tokio::test]
async fn event_about_a_chosen_key_is_understood_in_every_encoding() {
    let gateway = TestGateway::with_config(|config| {
        config.events = Some(EventSource::Webhook(Token::new(SECRET.into())));
        config.client_keys = ClientKeys::All;
    })
    .await;
    for (key, named) in [
        ("app/a b+c", "app/a b+c"),
        ("app/a b+c%2Fé 2", "app/a+b%2Bc%252F%C3%A9+2"),
        ("app/é", "app/%C3%A9"),
    ] {
        let request = BeginRequest {
            key: Some(key.to_owned()),
            ..begin_request(13)
        };
        let upload = gateway.create_upload(&request).await;
        gateway
            .put_parts(&upload, &[b"seventy-seven".to_vec()])
            .await;
        let pushed = push(&gateway, Some(SECRET), event(named)).await;
        assert_eq!(pushed.status(), 200);
        wait_until_ready(&gateway, &upload).await;
    }
}

#[tokio::test]
async fn unauthenticated_event_is_rejected_without_effect() {
    let gateway = start_gateway().await;
    let upload = put_without_complete(&gateway).await;
    for authorization in [
        None,
        Some("Bearer another"),
        Some(""),
        Some("Basic !!"),
        Some("Basic Y2VwaDpub3Q="),
        Some("Bearer"),
    ] {
        let response = push(&gateway, authorization, event(upload.key.as_str())).await;
        assert_eq!(response.status(), 401, "{authorization:?}");
    }
    // Events are processed in order: when this one takes effect, the rejected ones would have, too.
    let other = gateway
        .create_upload(&BeginRequest {
            name: "other".into(),
            ..begin_request(13)
        })
        .await;
    gateway
        .put_parts(&other, &[b"thirteen byte".to_vec()])
        .await;
    push(&gateway, Some(SECRET), event(other.key.as_str())).await;
    wait_until_ready(&gateway, &other).await;
    assert_eq!(state(&gateway, &upload).await, UploadState::Uploading);
}

#[tokio::test]
async fn invalid_event_is_rejected_without_harm() {
    let gateway = start_gateway().await;
    for body in ["", "{}", "[]", "hello", "{\"Records\":[{}]}"] {
        let problem: Problem = expect_json(push(&gateway, Some(SECRET), body).await, 400).await;
        assert_eq!(problem.code, "invalid_request", "{body}");
    }
    assert_eq!(
        push(&gateway, Some(SECRET), vec![b' '; (256 << 10) + 1])
            .await
            .status(),
        413
    );
    assert_eq!(
        push(&gateway, Some(SECRET), event("uploads/no/such"))
            .await
            .status(),
        200
    );
    assert_eq!(
        push(&gateway, Some(SECRET), event("../../etc/passwd"))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn event_route_exists_only_with_a_webhook() {
    let gateway = TestGateway::new().await;
    assert_eq!(
        push(&gateway, Some(SECRET), event("uploads/a/b"))
            .await
            .status(),
        404
    );
}
