//! The log contains the causes of failures and no secrets.

use std::fs;
use std::time::Duration;

use http::Method;

use crate::client::{TestStore, captured_log, path, request_head, signer};

#[tokio::test]
async fn cause_of_an_internal_error_is_logged_and_not_sent() {
    let store = TestStore::new().await;
    fs::remove_dir(store.dir.join("tmp")).unwrap();
    let response = store.put("k", &[], b"x").await;
    response.assert_error(500, "InternalError");
    let cause = "No such file";
    assert!(!response.text().contains(cause), "{}", response.text());
    assert!(captured_log().contains(cause));
}

#[tokio::test]
async fn log_contains_no_signature_and_no_secret() {
    let store = TestStore::new().await;
    store.create_object("k").await;
    let request = store.presign(Method::GET, &path("k"), &[]).await;
    let query = request.uri.query().unwrap().to_owned();
    let signature = query.split("X-Amz-Signature=").nth(1).unwrap();
    let response = store.send(request.clone(), &[], Vec::new()).await;
    response.assert_ok();
    let unsigned = [("x-amz-meta-a", "b")];
    let response = store.send(request, &unsigned, Vec::new()).await;
    response.assert_error(403, "AccessDenied");

    let (access_key, secret) = &store.keys;
    let other_signer = signer(&(access_key.clone(), "x".repeat(40)));
    let mut forged = request_head(Method::GET, &store.url("/"), &[]);
    let ttl = Duration::from_mins(1);
    other_signer.sign(&mut forged, Some(ttl)).await.unwrap();
    let response = store.send(forged, &[], Vec::new()).await;
    response.assert_error(403, "SignatureDoesNotMatch");

    let log = captured_log();
    assert!(!log.is_empty());
    for secret in [signature, secret] {
        assert!(!log.contains(secret), "a secret is logged");
    }
    let is_of_s3s = |line: &str| line.contains(" s3s:");
    assert!(
        !log.lines().any(is_of_s3s),
        "the library s3s wrote to the log"
    );
}
