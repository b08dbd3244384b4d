//! Files that go up in one form, of which nobody says when they were posted.
//!
//! Border: the form as a browser writes it; whether a browser does, `scripts/uppy` tells.

use super::*;

async fn params(world: &World, name: &str) -> Value {
    fine(
        world
            .get(&format!("/s3/params?filename={name}&type="))
            .await,
    )
    .await
}

/// Posts a form with a file, and other values or fields than were given.
async fn post(world: &World, params: &Value, file: &[u8], change: &[(&str, &str)]) -> Response {
    let fields = params["fields"].as_object().unwrap();
    let boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
    let changed = |name: &str| {
        change
            .iter()
            .find(|(changed, _)| *changed == name)
            .map(|(_, value)| *value)
    };
    let more = change
        .iter()
        .filter(|(name, _)| !fields.contains_key(*name))
        .map(|(name, value)| (*name, *value));
    let said = fields.iter().map(|(name, value)| {
        (
            name.as_str(),
            changed(name).unwrap_or(value.as_str().unwrap()),
        )
    });
    let mut body = Vec::new();
    for (name, value) in said.chain(more) {
        let field = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend(field.bytes());
    }
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"x\"\r\nContent-Type: text/plain\r\n\r\n";
    body.extend(format!("--{boundary}\r\n{head}").bytes());
    body.extend(file);
    body.extend(format!("\r\n--{boundary}--\r\n").bytes());
    let post = world
        .client
        .post(params["url"].as_str().unwrap())
        .body(body);
    post.header(
        "content-type",
        format!("multipart/form-data; boundary={boundary}"),
    )
    .send()
    .await
    .unwrap()
}

/// The upload in a state, once there is one.
async fn found(world: &World, state: &str) -> UploadStatus {
    loop {
        let list: UploadList =
            good(world.get(&format!("/v1/uploads?state={state}")).await, 200).await;
        if let [upload] = list.uploads.as_slice() {
            return upload.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_goes_up_in_one_form_and_is_found() {
    let world = with(|config| config.sweep_interval = Some(Duration::from_millis(200))).await;
    let answer = world
        .get("/s3/params?filename=%C3%BC.txt&type=text%2Fplain&metadata%5Bname%5D=%C3%BC.txt")
        .await;
    let params = fine(answer).await;
    assert_eq!(params["method"], "POST");
    let fields = params["fields"].as_object().unwrap();
    assert_eq!(fields["content-type"], "text/plain");
    assert_eq!(fields["x-amz-meta-name"], "=?UTF-8?B?w7wudHh0?=");
    let other = format!("{}x", fields["key"].as_str().unwrap());
    for change in [
        [("key", other.as_str())],
        [("x-amz-meta-more", "1")],
        [("content-type", "text/html")],
        [("x-amz-signature", "0")],
        [("policy", "e30=")],
        [("x-amz-date", "20200101T000000Z")],
    ] {
        let status = post(&world, &params, b"bytes", &change)
            .await
            .status()
            .as_u16();
        assert!((400..500).contains(&status), "{change:?}: {status}");
    }
    let answer = post(&world, &params, b"bytes", &[]).await;
    let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(answer.status(), 201);
    let place = format!(
        "{}/{}",
        params["url"].as_str().unwrap(),
        fields["key"].as_str().unwrap()
    );
    assert_eq!(answer.headers()["location"], place.as_str());
    // The same again is no other object, and another is none at all.
    assert_eq!(post(&world, &params, b"bytes", &[]).await.status(), 201);
    assert_eq!(post(&world, &params, b"other", &[]).await.status(), 412);
    let upload = found(&world, "ready").await;
    let receipt = upload.receipt.unwrap();
    assert_eq!(
        (upload.size, receipt.size, receipt.proof),
        (Some(5), 5, Proof::None)
    );
    assert_eq!(
        (receipt.etag.quoted().as_str(), receipt.key.as_str()),
        (etag.as_str(), fields["key"].as_str().unwrap())
    );
    assert_eq!(bytes(&world, upload.id.as_str()).await, b"bytes");
}

#[tokio::test]
async fn a_form_that_nobody_posts_ends_and_one_that_was_posted_never_does() {
    let world = companion().await;
    let [nothing, something] = [params(&world, "a").await, params(&world, "b").await];
    assert_eq!(post(&world, &something, b"bytes", &[]).await.status(), 201);
    // Nobody has looked before both of them ended.
    world.ledger("UPDATE upload SET expires_at = 0, lease_until = 0");
    let world = after(world, Duration::from_millis(50)).await;
    for (params, state) in [(&nothing, "expired"), (&something, "ready")] {
        let upload = found(&world, state).await;
        assert_eq!(
            upload.key.as_str(),
            params["fields"]["key"].as_str().unwrap()
        );
    }
}
