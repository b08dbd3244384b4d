//! URLs to read an object: presigned with an expiry, or URLs of a CDN.

use crate::gateway::*;

async fn create_ready_upload(gateway: &TestGateway, name: &str) -> Receipt {
    let upload = gateway
        .create_upload(&BeginRequest {
            name: name.into(),
            ..begin_request(5)
        })
        .await;
    let parts = gateway.put_parts(&upload, &[b"bytes".to_vec()]).await;
    expect_json(gateway.complete(&upload, &parts).await, 200).await
}

#[tokio::test]
async fn read_url_expires_and_serves_an_attachment() {
    let gateway = TestGateway::new().await;
    let receipt = create_ready_upload(&gateway, "r\u{e9}sum\u{e9} 1.html").await;
    let url = async |seconds: u64| {
        let path = format!(
            "/v1/uploads/{}/url?expires={seconds}",
            receipt.id.as_ref().unwrap()
        );
        let read: ReadUrl = expect_json(gateway.get(&path).await, 200).await;
        assert_eq!(read.expires_in, Some(seconds));
        gateway.client.get(read.url.expose()).send().await.unwrap()
    };
    let object = url(60).await;
    let header = |name: &str| object.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        header("content-disposition"),
        "attachment; filename=\"r_sum_ 1.html\"; filename*=UTF-8''r%C3%A9sum%C3%A9%201.html"
    );
    assert_eq!(
        (
            header("x-content-type-options").as_str(),
            header("content-type").as_str()
        ),
        ("nosniff", "video/quicktime")
    );
    assert_eq!(object.bytes().await.unwrap(), "bytes");

    let path = format!("/v1/uploads/{}/url?expires=1", receipt.id.as_ref().unwrap());
    let read: ReadUrl = expect_json(gateway.get(&path).await, 200).await;
    for _ in 0..2000 {
        let response = gateway.client.get(read.url.expose()).send().await.unwrap();
        if response.status() == StatusCode::FORBIDDEN {
            return;
        }
        assert_eq!(response.status(), 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the URL does not expire");
}

#[tokio::test]
async fn cdn_urls_replace_location_and_read_url() {
    let base = "https://cdn.example.com/a%20b/";
    let gateway =
        TestGateway::with_config(|config| config.cdn_url = Some(base.parse().unwrap())).await;
    let receipt = create_ready_upload(&gateway, "film.mov").await;
    assert_eq!(receipt.location, Some(format!("{base}{}", receipt.key)));
    let read: ReadUrl = expect_json(
        gateway
            .get(&format!("/v1/uploads/{}/url", receipt.id.as_ref().unwrap()))
            .await,
        200,
    )
    .await;
    assert_eq!(
        (Some(read.url.expose()), read.expires_in),
        (receipt.location.as_deref(), None)
    );
    // The receipt keeps its location when the configuration changes.
    let gateway = gateway.restart().await;
    let status: UploadStatus = expect_json(
        gateway
            .get(&format!("/v1/uploads/{}", receipt.id.as_ref().unwrap()))
            .await,
        200,
    )
    .await;
    assert_eq!(status.receipt, Some(receipt));
}
