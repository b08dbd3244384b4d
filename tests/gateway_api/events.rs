//! A store that pushes its events: with its secret it is heard, without it is nobody.
//!
//! Border: what an event comes to is `gateway/service/tests/confirm.rs`.

use serde_json::json;
use upload_gateway::EventSource;
use upload_types::names::Token;

use crate::world::*;

const SECRET: &str = "a-long-random-word";

async fn world() -> World {
    World::with(|config| config.events = Some(EventSource::Webhook(Token::new(SECRET.into()))))
        .await
}

fn event(key: &str) -> String {
    let record = json!({"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}});
    json!({ "Records": [record] }).to_string()
}

async fn push(
    world: &World,
    authorization: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Response {
    let mut request = world.request(Method::POST, "/v1/events/s3").body(body);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.send().await.unwrap()
}

/// An upload whose one PUT was made, and whose client then died.
async fn put_alone(world: &World) -> BeginResponse {
    let body = b"seventy-seven".to_vec();
    let upload = world.begun(&begin(13)).await;
    world.send(&upload, &[body]).await;
    upload
}

async fn state(world: &World, upload: &BeginResponse) -> UploadState {
    good::<UploadStatus>(world.get(&format!("/v1/uploads/{}", upload.id)).await, 200)
        .await
        .state
}

async fn becomes_ready(world: &World, upload: &BeginResponse) {
    until("ready", async || {
        (state(world, upload).await == UploadState::Ready).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_event_with_the_secret_confirms_an_upload_whose_client_is_gone() {
    // Bearer as MinIO may, bare as MinIO does, a user's password as Ceph does.
    for shown in [
        &format!("Bearer {SECRET}"),
        SECRET,
        "Basic Y2VwaDphLWxvbmctcmFuZG9tLXdvcmQ=",
    ] {
        let world = world().await;
        let upload = put_alone(&world).await;
        assert_eq!(
            push(&world, Some(shown), event(upload.key.as_str()))
                .await
                .status(),
            200,
            "{shown}"
        );
        becomes_ready(&world, &upload).await;
    }
}

#[tokio::test]
async fn an_event_without_the_secret_is_nobodys() {
    let world = world().await;
    let upload = put_alone(&world).await;
    for shown in [
        None,
        Some("Bearer another"),
        Some(""),
        Some("Basic !!"),
        Some("Basic Y2VwaDpub3Q="),
        Some("Bearer"),
    ] {
        let response = push(&world, shown, event(upload.key.as_str())).await;
        assert_eq!(response.status(), 401, "{shown:?}");
    }
    // What is behind a forged event would be known by now: this one is looked into after them all.
    let other = world
        .begun(&BeginRequest {
            name: "other".into(),
            ..begin(13)
        })
        .await;
    world.send(&other, &[b"thirteen byte".to_vec()]).await;
    push(&world, Some(SECRET), event(other.key.as_str())).await;
    becomes_ready(&world, &other).await;
    assert_eq!(state(&world, &upload).await, UploadState::Uploading);
}

#[tokio::test]
async fn what_is_no_event_is_refused_and_harms_nobody() {
    let world = world().await;
    for body in ["", "{}", "[]", "hello", "{\"Records\":[{}]}"] {
        let problem: Problem = good(push(&world, Some(SECRET), body).await, 400).await;
        assert_eq!(problem.code, "invalid_request", "{body}");
    }
    assert_eq!(
        push(&world, Some(SECRET), vec![b' '; (256 << 10) + 1])
            .await
            .status(),
        413
    );
    assert_eq!(
        push(&world, Some(SECRET), event("uploads/no/such"))
            .await
            .status(),
        200
    );
    assert_eq!(
        push(&world, Some(SECRET), event("../../etc/passwd"))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn without_a_webhook_there_is_no_such_path() {
    let world = World::new().await;
    assert_eq!(
        push(&world, Some(SECRET), event("uploads/a/b"))
            .await
            .status(),
        404
    );
}
