//! Uploads from browsers while the store fails and with several gateways, on both databases.
//!
//! Not here: the HTTP routes (`tests/gateway_api`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;

use super::fixture::{CREATE_QUERY, Fixture, Interference, UPLOAD_ID_QUERY, send, wait_until};
use crate::ledger::{self, LedgerConfig, Upload};
use crate::limits::Quota;
use crate::problem::Refusal;
use crate::service::UploadRef;
use crate::service::shared_state::Service;
use upload_types::wire::{BeginRequest, Code, Proof, Receipt, UploadState};
use upload_types::{ETag, PartNumber};

impl Fixture {
    async fn begin_multipart(&self, key: &str) -> Result<Upload, Refusal> {
        let request = BeginRequest {
            attributes: Box::default(),
            name: "a.bin".into(),
            size: None,
            expected_size: None,
            content_type: "application/octet-stream".into(),
            part_size: None,
            metadata: BTreeMap::new(),
            modified: None,
            key: None,
            if_exists: None,
            holder: None,
            parts: None,
            copies: Vec::new(),
        };
        self.service
            .begin_multipart(&self.owner, key, request)
            .await
    }

    /// Signs and sends a part.
    async fn send_part(&self, upload: &Upload, number: u32, body: &[u8]) -> Result<ETag, Refusal> {
        let numbers = [PartNumber::try_from(number).unwrap()];
        let signed = self
            .service
            .sign_part_numbers(&self.owner, reference(upload), &numbers)
            .await?;
        Ok(send(&signed[0], body).await)
    }

    async fn complete_multipart(
        &self,
        service: &Arc<Service>,
        upload: &Upload,
        parts: &[(u32, &ETag)],
    ) -> Result<Receipt, Refusal> {
        let parts = parts
            .iter()
            .map(|(number, etag)| (PartNumber::try_from(*number).unwrap(), (*etag).clone()));
        service
            .complete_multipart(&self.owner, reference(upload), &parts.collect())
            .await
    }
}

fn reference(upload: &Upload) -> UploadRef<'_> {
    UploadRef {
        id: upload.id.as_str(),
        object_name: upload.key.as_str(),
    }
}

#[tokio::test]
async fn lost_response_to_complete_is_decided_by_the_object() {
    for fixture in [Fixture::new().await, Fixture::on_postgres().await] {
        let upload = fixture.begin_multipart("key").await.unwrap();
        let etag = fixture.send_part(&upload, 1, &[7; 100]).await.unwrap();
        let parts = [(1, &etag)];
        fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::LoseResponse);
        let receipt = fixture
            .complete_multipart(&fixture.service, &upload, &parts)
            .await
            .unwrap();
        assert_eq!((receipt.size, receipt.parts), (100, 1));
        assert_eq!((receipt.proof, &receipt.checksum), (Proof::None, &None));
        fixture.stop_interfering();
        // Another gateway returns the same receipt without a request to the store.
        let count = || fixture.requests(&Method::POST, UPLOAD_ID_QUERY).len();
        let before = count();
        let second_gateway = fixture.second_gateway().await;
        let repeated = fixture
            .complete_multipart(&second_gateway, &upload, &parts)
            .await
            .unwrap();
        assert_eq!(repeated, receipt);
        assert_eq!(count(), before);
        assert_eq!(fixture.state_of(&upload.id).await, UploadState::Ready);
    }
}

#[tokio::test]
async fn concurrent_completes_in_two_gateways_have_the_same_receipt() {
    for fixture in [Fixture::new().await, Fixture::on_postgres().await] {
        let upload = fixture.begin_multipart("key").await.unwrap();
        let etag = fixture.send_part(&upload, 1, &[7; 100]).await.unwrap();
        let other_etag = fixture.send_part(&upload, 2, &[8; 50]).await.unwrap();
        fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::Delay);
        let second_gateway = fixture.second_gateway().await;
        let (parts, other_parts) = ([(1, &etag)], [(2, &other_etag)]);
        let (first, second, ()) = tokio::join!(
            fixture.complete_multipart(&fixture.service, &upload, &parts),
            async {
                wait_until("the first gateway completes", async || {
                    fixture.state_of(&upload.id).await == UploadState::Completing
                })
                .await;
                // These parts are too late and are ignored.
                fixture
                    .complete_multipart(&second_gateway, &upload, &other_parts)
                    .await
            },
            async {
                wait_until("both gateways complete", async || {
                    fixture.requests(&Method::POST, UPLOAD_ID_QUERY).len() >= 2
                })
                .await;
                fixture.stop_interfering();
            }
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.size, &first), (100, &second));
    }
}

#[tokio::test]
async fn sweep_decides_an_abandoned_complete_and_ends_an_expired_upload() {
    for fixture in [Fixture::new().await, Fixture::on_postgres().await] {
        let abandoned = fixture.begin_multipart("abandoned").await.unwrap();
        let expired = fixture.begin_multipart("expired").await.unwrap();
        let etag = fixture.send_part(&abandoned, 1, &[7; 100]).await.unwrap();
        fixture.send_part(&expired, 1, &[7; 100]).await.unwrap();
        fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::Unavailable);
        let parts = [(1, &etag)];
        let complete = fixture.complete_multipart(&fixture.service, &abandoned, &parts);
        let timed_out = tokio::time::timeout(Duration::from_secs(1), complete).await;
        assert!(
            timed_out.is_err(),
            "a complete with unknown outcome must not return"
        );
        fixture.stop_interfering();
        fixture.execute_sql("UPDATE upload SET lease_until = 0, expires_at = 0");
        fixture.second_gateway().await.sweep(None).await.unwrap();
        assert_eq!(fixture.state_of(&abandoned.id).await, UploadState::Ready);
        assert_eq!(fixture.state_of(&expired.id).await, UploadState::Expired);
        let multiparts = fixture.service.store.find(&expired.key).await.unwrap();
        assert!(multiparts.is_empty());
        let refusal = fixture.send_part(&expired, 2, b"x").await.unwrap_err();
        assert_eq!(refusal.code, Code::Gone);
    }
}

#[tokio::test]
async fn begin_finds_the_multipart_upload_of_a_lost_create() {
    let fixture = Fixture::new().await;
    fixture.interfere(Method::POST, CREATE_QUERY, Interference::LoseResponse);
    let refusal = fixture.begin_multipart("key").await.err().unwrap();
    assert_eq!(refusal.code, Code::StoreUnavailable);
    fixture.stop_interfering();
    let upload = fixture.begin_multipart("key").await.unwrap();
    let multiparts = fixture.service.store.find(&upload.key).await.unwrap();
    assert_eq!(multiparts.len(), 1);
    let etag = fixture.send_part(&upload, 1, b"x").await.unwrap();
    fixture
        .complete_multipart(&fixture.service, &upload, &[(1, &etag)])
        .await
        .unwrap();
}

#[tokio::test]
async fn quota_holds_under_concurrent_signs() {
    let quota = Quota {
        open: None,
        outstanding: Some(12 << 20),
        total: None,
    };
    let dir = tempfile::tempdir().unwrap();
    let sqlite = LedgerConfig::Sqlite(dir.path().join("ledger.db"));
    for ledger_config in [sqlite, ledger::tests::postgres_config().await] {
        let fixture = Fixture::with_ledger(ledger_config, tempfile::tempdir().unwrap(), |config| {
            config.quota = quota;
        })
        .await;
        let sends = (0..6).map(async |n| {
            let upload = fixture.begin_multipart(&n.to_string()).await.unwrap();
            // A second part means that the first one has at least 5 MiB.
            fixture.send_part(&upload, 2, b"x").await
        });
        let refused: Vec<Code> = join_all(sends)
            .await
            .into_iter()
            .filter_map(|sent| sent.err().map(|refusal| refusal.code))
            .collect();
        assert_eq!(refused, [Code::QuotaExceeded; 4]);
    }
}
