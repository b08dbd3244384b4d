//! Files that a browser posts in one form; a sweep finds them.
//!
//! The forms have the format of browsers; `scripts/uppy` tests with a browser.

use super::client::*;

async fn params(gateway: &TestGateway, name: &str) -> Value {
    expect_ok(
        gateway
            .get(&format!("/s3/params?filename={name}&type="))
            .await,
    )
    .await
}

/// Posts a form with a file; `change` replaces fields or adds some.
async fn post(
    gateway: &TestGateway,
    params: &Value,
    file: &[u8],
    change: &[(&str, &str)],
) -> Response {
    let fields = params["fields"].as_object().unwrap();
    let boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
    let changed = |name: &str| {
        change
            .iter()
            .find(|(changed, _)| *changed == name)
            .map(|(_, value)| *value)
    };
    let added = change
        .iter()
        .filter(|(name, _)| !fields.contains_key(*name))
        .map(|(name, value)| (*name, *value));
    let given = fields.iter().map(|(name, value)| {
        (
            name.as_str(),
            changed(name).unwrap_or(value.as_str().unwrap()),
        )
    });
    let mut body = Vec::new();
    for (name, value) in given.chain(added) {
        let field = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend(field.bytes());
    }
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"x\"\r\nContent-Type: text/plain\r\n\r\n";
    body.extend(format!("--{boundary}\r\n{head}").bytes());
    body.extend(file);
    body.extend(format!("\r\n--{boundary}--\r\n").bytes());
    let post = gateway
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

/// Waits for one upload in this state.
async fn wait_for_upload(gateway: &TestGateway, state: &str) -> UploadStatus {
    loop {
        let list: UploadList = expect_json(
            gateway.get(&format!("/v1/uploads?state={state}")).await,
            200,
        )
        .await;
        if let [upload] = list.uploads.as_slice() {
            return upload.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn file_posted_in_a_form_is_found_and_becomes_ready() {
    let gateway =
        with_config(|config| config.sweep_interval = Some(Duration::from_millis(200))).await;
    let response = gateway
        .get("/s3/params?filename=%C3%BC.txt&type=text%2Fplain&metadata%5Bname%5D=%C3%BC.txt")
        .await;
    let params = expect_ok(response).await;
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
        let status = post(&gateway, &params, b"bytes", &change)
            .await
            .status()
            .as_u16();
        assert!((400..500).contains(&status), "{change:?}: {status}");
    }
    let response = post(&gateway, &params, b"bytes", &[]).await;
    let etag = response.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(response.status(), 201);
    let location = format!(
        "{}/{}",
        params["url"].as_str().unwrap(),
        fields["key"].as_str().unwrap()
    );
    assert_eq!(response.headers()["location"], location.as_str());
    // The same form succeeds again, but not with other bytes.
    assert_eq!(post(&gateway, &params, b"bytes", &[]).await.status(), 201);
    assert_eq!(post(&gateway, &params, b"other", &[]).await.status(), 412);
    let upload = wait_for_upload(&gateway, "ready").await;
    let receipt = upload.receipt.unwrap();
    assert_eq!(
        (upload.size, receipt.size, receipt.proof),
        (Some(5), 5, Proof::None)
    );
    assert_eq!(
        (receipt.etag.quoted().as_str(), receipt.key.as_str()),
        (etag.as_str(), fields["key"].as_str().unwrap())
    );
    assert_eq!(object_bytes(&gateway, upload.id.as_str()).await, b"bytes");
}

#[tokio::test]
async fn unposted_form_expires_and_a_posted_one_becomes_ready() {
    let gateway = start_gateway().await;
    let [unposted, posted] = [params(&gateway, "a").await, params(&gateway, "b").await];
    assert_eq!(post(&gateway, &posted, b"bytes", &[]).await.status(), 201);
    // Both expire before the first sweep.
    gateway.execute_sql("UPDATE upload SET expires_at = 0, lease_until = 0");
    let gateway = restart_with_sweep(gateway, Duration::from_millis(50)).await;
    for (params, state) in [(&unposted, "expired"), (&posted, "ready")] {
        let upload = wait_for_upload(&gateway, state).await;
        assert_eq!(
            upload.key.as_str(),
            params["fields"]["key"].as_str().unwrap()
        );
    }
}
