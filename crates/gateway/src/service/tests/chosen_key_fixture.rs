//! Uploads at a key that their clients have chosen, for tests.

use std::time::Duration;

use super::fixture::{Fixture, receipt, response_to, send};
use crate::ledger::Ledger;
use crate::problem::Refusal;
use crate::service::Service;
use crate::service::begin::Begun;
use upload_s3::{NewObject, Profile};
use upload_types::wire::{
    Attributes, BeginRequest, BeginResponse, Code, CompleteRequest, ExistingObject, IfExists,
    ObjectState, PartSpec, SignedPut,
};
use upload_types::{Key, PartNumber, Sha256, UploadId};

pub const KEY: &str = "app/1.2.3/x.bin";
pub static NO_ATTRIBUTES: Attributes = Attributes::NONE;
pub const LEASES_ENDED: &str = "UPDATE upload SET lease_until = 1";
pub const CLEANUP_DUE: &str =
    "UPDATE upload SET cleanup_at = 1, may_land_until = 1 WHERE cleanup_at > 1";

/// A store of which a probe has found that it enforces every condition.
pub async fn probed() -> Fixture {
    let mut fixture = Fixture::new().await;
    let config = fixture.service.config();
    let ledger = Ledger::open(&fixture.ledger_config).await.unwrap();
    let store = fixture.service.store.clone();
    let store = store.with_profile(Profile::embedded());
    fixture.service = Service::new(ledger, store, (*config).clone());
    fixture
}

/// An upload of these bytes at [`KEY`], with the requests that send it.
pub struct Sent {
    pub upload: BeginResponse,
    pub puts: Vec<SignedPut>,
    pub complete: CompleteRequest,
}

impl Fixture {
    pub async fn begin_at(
        &self,
        idempotency_key: &str,
        if_exists: IfExists,
        size: usize,
    ) -> Result<Begun, Refusal> {
        let request = BeginRequest {
            key: Some(KEY.to_owned()),
            if_exists: Some(if_exists),
            ..Self::begin_request(size)
        };
        self.service
            .begin(&self.owner, idempotency_key, request)
            .await
    }

    pub async fn refused_at(&self, idempotency_key: &str, if_exists: IfExists) -> Refusal {
        let begun = self.begin_at(idempotency_key, if_exists, 3).await;
        begun.err().expect("the upload was begun")
    }

    /// Begins an upload at [`KEY`] and sends its parts.
    pub async fn send_at(&self, idempotency_key: &str, if_exists: IfExists, body: &[u8]) -> Sent {
        let begun = self.begin_at(idempotency_key, if_exists, body.len()).await;
        self.send_to(begun.unwrap().response, body).await
    }

    pub async fn send_to(&self, upload: BeginResponse, body: &[u8]) -> Sent {
        let (puts, complete) = self.send_body(&upload, body).await;
        Sent {
            upload,
            puts,
            complete,
        }
    }

    /// Completes an upload, which must become ready.
    pub async fn finish(&self, sent: &Sent) {
        receipt(self.complete(&sent.upload, &sent.complete).await);
    }

    pub async fn ready_at(&self, idempotency_key: &str, if_exists: IfExists, body: &[u8]) -> Sent {
        let sent = self.send_at(idempotency_key, if_exists, body).await;
        self.finish(&sent).await;
        sent
    }

    /// The bytes of the object at [`KEY`].
    pub async fn object(&self) -> Option<Vec<u8>> {
        let (url, _) = self
            .service
            .store
            .sign_internal_get(&key(), Duration::from_mins(1))
            .await
            .unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.get(url.expose()).send().await.unwrap();
        let is_there = response.status().is_success();
        let bytes = response.bytes().await.unwrap();
        is_there.then(|| bytes.to_vec())
    }

    /// Puts an object of another program at [`KEY`], with this token.
    pub async fn put_foreign(&self, token: &str, body: &[u8]) {
        let store = &self.service.store;
        store.delete(&key()).await.unwrap();
        let part = PartSpec {
            number: PartNumber::FIRST,
            size: body.len() as u64,
            sha256: Sha256::of(body),
            md5: None,
        };
        let object = NewObject {
            content_type: "a/b",
            name: "",
            token,
            metadata: &[].into(),
            attributes: &NO_ATTRIBUTES,
        };
        let ttl = Duration::from_mins(1);
        let put = store.sign_put(&key(), &object, &part, ttl).await.unwrap();
        send(&put, body).await;
    }

    /// The store's ids of the multipart uploads that are open at [`KEY`].
    pub async fn multiparts(&self) -> Vec<String> {
        self.service.store.find(&key()).await.unwrap()
    }

    pub async fn object_of(&self, id: &UploadId) -> Option<ObjectState> {
        let status = self.service.status(&self.owner, id.as_str()).await;
        status.unwrap().object
    }
}

pub fn key() -> Key {
    KEY.parse().unwrap()
}

/// The object that a refusal with `exists` describes.
pub fn existing(refusal: Refusal) -> ExistingObject {
    assert_eq!(refusal.code, Code::Exists);
    *refusal.existing.unwrap()
}

/// Sends a presigned request a second time. Returns the status.
pub async fn put_again(put: &SignedPut, body: &[u8]) -> u16 {
    response_to(put, body).await.status().as_u16()
}
