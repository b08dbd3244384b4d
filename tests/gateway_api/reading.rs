//! How what was uploaded is read: presigned and for a while, or through a CDN.
//!
//! Border: what the bytes are is tested where they are sent.

use crate::world::*;

async fn finished(world: &World, name: &str) -> Receipt {
    let upload = world
        .begun(&BeginRequest {
            name: name.into(),
            ..begin(5)
        })
        .await;
    let parts = world.send(&upload, &[b"bytes".to_vec()]).await;
    good(world.complete(&upload, &parts).await, 200).await
}

#[tokio::test]
async fn a_read_url_is_good_for_a_while_and_an_attachment() {
    let world = World::new().await;
    let receipt = finished(&world, "r\u{e9}sum\u{e9} 1.html").await;
    let url = async |seconds: u64| {
        let path = format!("/v1/uploads/{}/url?expires={seconds}", receipt.id);
        let read: ReadUrl = good(world.get(&path).await, 200).await;
        assert_eq!(read.expires_in, Some(seconds));
        world.client.get(read.url.expose()).send().await.unwrap()
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

    let path = format!("/v1/uploads/{}/url?expires=1", receipt.id);
    let read: ReadUrl = good(world.get(&path).await, 200).await;
    for _ in 0..2000 {
        let answer = world.client.get(read.url.expose()).send().await.unwrap();
        if answer.status() == StatusCode::FORBIDDEN {
            return;
        }
        assert_eq!(answer.status(), 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never expires");
}

#[tokio::test]
async fn with_a_cdn_location_and_url_are_its_own() {
    let base = "https://cdn.example.com/a%20b/";
    let world = World::with(|config| config.cdn_url = Some(base.parse().unwrap())).await;
    let receipt = finished(&world, "film.mov").await;
    assert_eq!(receipt.location, format!("{base}{}", receipt.key));
    let read: ReadUrl = good(
        world.get(&format!("/v1/uploads/{}/url", receipt.id)).await,
        200,
    )
    .await;
    assert_eq!(
        (read.url.expose(), read.expires_in),
        (receipt.location.as_str(), None)
    );
    // It is the record's, whatever is configured later.
    let world = world.restarted().await;
    let status: UploadStatus =
        good(world.get(&format!("/v1/uploads/{}", receipt.id)).await, 200).await;
    assert_eq!(status.receipt, Some(receipt));
}
