//! The [`Fault`] of each kind of failed request.

use upload_s3::{Fault, Store};
use upload_types::error::Kind;

use crate::bucket::{Bucket, CONTENT_TYPE, key, object, part_spec, sign_part};

#[tokio::test]
async fn faults_of_unknown_upload_wrong_secret_missing_bucket_and_no_server_differ() {
    let mut bucket = Bucket::new().await;
    let store = bucket.store();
    let key = key("uploads/o/faults");
    let object = object(CONTENT_TYPE, "t");
    assert!(matches!(
        store.list(&key, "no-such-upload", None).await,
        Err(Fault::NoSuchUpload)
    ));

    let upload_id = store.create(&key, &object).await.unwrap();
    let mut wrong_secret = bucket.settings.clone();
    wrong_secret.keys.as_mut().unwrap().1.push('x');
    let wrong_secret = Store::new(wrong_secret).unwrap();
    let signed = sign_part(&wrong_secret, &key, &upload_id, &part_spec(1, b"x")).await;
    bucket.assert_put_rejected(&signed, b"x").await;

    bucket.settings.bucket.push('x');
    let Err(Fault::Rejected(rejection)) = bucket.store().create(&key, &object).await else {
        panic!("a call to a missing bucket was not rejected")
    };
    assert_eq!(rejection.kind, Kind::Config);
    assert!(
        rejection.text.contains("NoSuchBucket"),
        "{}",
        rejection.text
    );
    bucket.settings.endpoint = Some("http://127.0.0.1:1".parse().unwrap());
    let Err(Fault::Unavailable(text)) = bucket.store().head(&key).await else {
        panic!("a call to a port without a server did not fail as unavailable")
    };
    assert!(
        text.starts_with("HeadObject: ") && !text.contains("faults"),
        "the text names the operation and no URL: {text}"
    );
}
