//! Forms of browsers: the signature, and the fields that the policy covers.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use upload_embedded_store::{BUCKET, REGION, Service};

use crate::client::{Response, TestStore, hex};

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// A time in the format of `X-Amz-Date`.
fn amz_date(time: SystemTime) -> String {
    let date = jiff::Timestamp::try_from(time).unwrap();
    date.strftime("%Y%m%dT%H%M%SZ").to_string()
}

async fn store() -> TestStore {
    TestStore::with_service(Service::for_browsers).await
}

/// Posts a form with a policy that covers each of these fields.
async fn post(store: &TestStore, fields: &[(&str, &str)], file: &str) -> Response {
    let now = SystemTime::now();
    let (access_key, secret) = &store.keys;
    let date = amz_date(now);
    let day = &date[..8];
    let credential = format!("{access_key}/{day}/{REGION}/s3/aws4_request");
    let signing_fields = [
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", credential.as_str()),
        ("x-amz-date", date.as_str()),
    ];
    let mut fields = [fields, &signing_fields].concat();
    let mut conditions: Vec<Value> = fields
        .iter()
        .map(|(name, value)| json!({ *name: value }))
        .collect();
    conditions.push(json!({ "bucket": BUCKET }));
    let expiration = jiff::Timestamp::try_from(now + Duration::from_mins(5)).unwrap();
    let expiration = expiration.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let policy = json!({ "expiration": expiration, "conditions": conditions });
    let policy = BASE64.encode(policy.to_string());
    let day_key = hmac(format!("AWS4{secret}").as_bytes(), day);
    let service_key = hmac(&hmac(&day_key, REGION), "s3");
    let signature = hex(&hmac(&hmac(&service_key, "aws4_request"), &policy));
    fields.extend([("policy", policy.as_str()), ("x-amz-signature", &signature)]);
    send(store, &fields, file).await
}

async fn send(store: &TestStore, fields: &[(&str, &str)], file: &str) -> Response {
    let mut body = String::new();
    for (name, value) in fields {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"");
        write!(body, "{head}\r\n\r\n{value}\r\n").unwrap();
    }
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"";
    write!(body, "{head}\r\n\r\n{file}\r\n--b--\r\n").unwrap();
    let response = reqwest::Client::new()
        .post(store.url(&format!("/{BUCKET}")))
        .header("content-type", "multipart/form-data; boundary=b")
        .body(body)
        .send()
        .await
        .unwrap();
    Response {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

#[tokio::test]
async fn fields_that_the_policy_covers_are_enforced() {
    let store = store().await;
    for (name, value, status, code) in [
        ("x-amz-checksum-crc32", "AAAAAA==", 400, "BadDigest"),
        ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww==", 400, "BadDigest"),
        ("ACL", "public-read", 501, "NotImplemented"),
        ("x-amz-acl", "public-read", 501, "NotImplemented"),
        ("x-amz-storage-class", "GLACIER", 501, "NotImplemented"),
        (
            "x-amz-server-side-encryption",
            "AES256",
            501,
            "NotImplemented",
        ),
        ("tagging", "<Tagging/>", 501, "NotImplemented"),
    ] {
        let response = post(&store, &[("key", "k"), (name, value)], "hello").await;
        assert_eq!(response.status, status, "{name}: {}", response.text());
        response.assert_error(status, code);
    }
    store.get("k", &[]).await.assert_error(404, "NoSuchKey");
    let fields = [
        ("key", "k"),
        ("x-amz-checksum-crc32", "NhCmhg=="),
        ("x-amz-acl", "private"),
        ("content-type", "text/plain"),
    ];
    for _ in 0..2 {
        post(&store, &fields, "hello").await.assert_ok();
    }
    let response = post(&store, &[("key", "k")], "other").await;
    response.assert_error(412, "PreconditionFailed");
    let object = store.get("k", &[]).await.assert_ok();
    assert_eq!(object.body, b"hello");
    assert_eq!(object.header("content-type"), "text/plain");
}

#[tokio::test]
async fn form_with_signature_version_2_is_rejected() {
    let store = store().await;
    let (access_key, secret) = &store.keys;
    let policy = json!({
        "expiration": "2099-01-01T00:00:00Z",
        "conditions": [{ "key": "k" }, { "bucket": BUCKET }],
    });
    let policy = BASE64.encode(policy.to_string());
    let key = aws_lc_rs::hmac::Key::new(
        aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        secret.as_bytes(),
    );
    let signature = BASE64.encode(aws_lc_rs::hmac::sign(&key, policy.as_bytes()));
    let fields = [
        ("key", "k"),
        ("AWSAccessKeyId", access_key.as_str()),
        ("policy", policy.as_str()),
        ("signature", signature.as_str()),
    ];
    let response = send(&store, &fields, "hello").await;
    response.assert_error(403, "AccessDenied");
    store.get("k", &[]).await.assert_error(404, "NoSuchKey");
}
