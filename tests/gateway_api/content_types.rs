//! The content types of uploads: their form, and the list of allowed ones.

use std::fmt::Write as _;

use crate::gateway::*;

fn with_type(content_type: &str) -> BeginRequest {
    BeginRequest {
        content_type: content_type.into(),
        ..begin_request(5)
    }
}

#[tokio::test]
async fn text_that_holds_a_second_type_is_rejected() {
    let gateway = TestGateway::with_config(|config| {
        config.allow_types = vec!["image/png".to_owned()];
        config.companion_path = Some("/".to_owned());
    })
    .await;
    for content_type in [
        "image/png;, text/html",
        "image/png, text/html",
        "image/png; a=b, text/html",
        "image/png; a=\"b\"; text/html",
        "image/png; charset",
        "image/png; a=b; a=c",
    ] {
        let response = gateway.begin("key", &with_type(content_type)).await;
        assert_eq!(response.status(), 400, "{content_type}");
        assert_eq!(problem_code(response).await, "invalid_request");
        let body = serde_json::json!({"filename": "a", "type": content_type});
        let response = gateway.post("/s3/multipart", &body).await;
        assert_eq!(response.status(), 400, "{content_type}");
        let query: String = form_urlencoded(content_type);
        let response = gateway
            .get(&format!("/s3/params?filename=a&type={query}"))
            .await;
        assert_eq!(response.status(), 400, "{content_type}");
    }
    let response = gateway.begin("key", &with_type("IMAGE/PNG; a=b")).await;
    assert_eq!(response.status(), 201);
}

fn form_urlencoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        write!(encoded, "%{byte:02X}").unwrap();
        encoded
    })
}

#[tokio::test]
async fn content_type_is_stored_and_told_in_one_form() {
    let gateway = TestGateway::new().await;
    for (content_type, stored) in [
        ("Text/HTML;Charset=UTF-8;", "text/html; charset=UTF-8"),
        (
            "video/mp4;codecs=\"avc1, mp4a\"",
            "video/mp4; codecs=\"avc1, mp4a\"",
        ),
    ] {
        let upload = gateway.create_upload(&with_type(content_type)).await;
        let parts = gateway.put_parts(&upload, &[b"bytes".to_vec()]).await;
        let receipt: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
        let path = format!("/v1/uploads/{}", receipt.id.as_ref().unwrap());
        let status: UploadStatus = expect_json(gateway.get(&path).await, 200).await;
        assert_eq!(status.content_type, stored);
        let head = gateway.store().head(&receipt.key).await.unwrap().unwrap();
        assert_eq!(head.content_type.as_deref(), Some(stored));
    }
}
