//! Uploads without a plan while the store misbehaves, and while several gateways are at them, on both databases.
//!
//! Border: what is said on the wire is `tests/gateway_api/companion.rs`.

use super::*;
use crate::ledger::Upload;
use crate::limits::Quota;

impl World {
    async fn unplanned(&self, key: &str) -> Result<Upload, Refusal> {
        let request = BeginRequest {
            name: "a.bin".into(),
            size: None,
            content_type: "application/octet-stream".into(),
            part_size: None,
            metadata: BTreeMap::new(),
            holder: None,
            parts: None,
        };
        self.service.begin_parts(&self.owner, key, request).await
    }

    /// Signs and sends a part.
    async fn send_part(
        &self,
        service: &Service,
        upload: &Upload,
        number: u32,
        body: &[u8],
    ) -> Result<ETag, Refusal> {
        let place = Place {
            id: upload.id.as_str(),
            key: upload.key.as_str(),
        };
        let numbers = [PartNumber::try_from(number).unwrap()];
        let signed = service.sign_numbers(&self.owner, place, &numbers).await?;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client
            .put(signed[0].url.expose())
            .body(body.to_vec())
            .send()
            .await
            .unwrap();
        Ok(ETag::from_header(answer.headers()["etag"].to_str().unwrap()).unwrap())
    }

    async fn finish(
        &self,
        service: &Arc<Service>,
        upload: &Upload,
        parts: &[(u32, &ETag)],
    ) -> Result<Receipt, Refusal> {
        let place = Place {
            id: upload.id.as_str(),
            key: upload.key.as_str(),
        };
        let wanted = parts
            .iter()
            .map(|(number, etag)| (PartNumber::try_from(*number).unwrap(), (*etag).clone()));
        service
            .complete_parts(&self.owner, place, &wanted.collect())
            .await
    }

    async fn is(&self, upload: &Upload) -> UploadState {
        self.service
            .status(&self.owner, upload.id.as_str())
            .await
            .unwrap()
            .state
    }
}

#[tokio::test]
async fn the_object_decides_whatever_became_of_the_answer() {
    for world in [World::new().await, World::on_postgres().await] {
        let upload = world.unplanned("key").await.unwrap();
        let etag = world
            .send_part(&world.service, &upload, 1, &[7; 100])
            .await
            .unwrap();
        // The store has done it, and says that it has not.
        world.set(Method::POST, COMPLETE, Mood::Swallow);
        let done = world
            .finish(&world.service, &upload, &[(1, &etag)])
            .await
            .unwrap();
        assert_eq!(
            (done.size, done.parts, done.proof, done.checksum.is_none()),
            (100, 1, Proof::None, true)
        );
        world.heal();
        // Another gateway tells the same, and asks the store for nothing.
        let asked = world.asked(&Method::POST, COMPLETE).len();
        let twin = world.twin().await;
        assert_eq!(
            world.finish(&twin, &upload, &[(1, &etag)]).await.unwrap(),
            done
        );
        assert_eq!(world.asked(&Method::POST, COMPLETE).len(), asked);
        assert_eq!(world.is(&upload).await, UploadState::Ready);
    }
}

#[tokio::test]
async fn who_is_asked_while_another_completes_comes_to_the_same() {
    for world in [World::new().await, World::on_postgres().await] {
        let upload = world.unplanned("key").await.unwrap();
        let etag = world
            .send_part(&world.service, &upload, 1, &[7; 100])
            .await
            .unwrap();
        let other = world
            .send_part(&world.service, &upload, 2, &[8; 50])
            .await
            .unwrap();
        world.set(Method::POST, COMPLETE, Mood::Late);
        let twin = world.twin().await;
        let parts = [(1, &etag)];
        let (first, second, ()) = tokio::join!(
            world.finish(&world.service, &upload, &parts),
            async {
                until("one completes", async || {
                    world.is(&upload).await == UploadState::Completing
                })
                .await;
                // What this one wants comes too late to count.
                world.finish(&twin, &upload, &[(2, &other)]).await
            },
            async {
                until("both have asked", async || {
                    world.asked(&Method::POST, COMPLETE).len() >= 2
                })
                .await;
                world.heal();
            }
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!((first.size, &first), (100, &second));
    }
}

#[tokio::test]
async fn one_that_was_left_is_decided_by_a_sweep_and_one_that_expired_is_ended() {
    for world in [World::new().await, World::on_postgres().await] {
        let (left, silent) = (
            world.unplanned("left").await.unwrap(),
            world.unplanned("silent").await.unwrap(),
        );
        let etag = world
            .send_part(&world.service, &left, 1, &[7; 100])
            .await
            .unwrap();
        world
            .send_part(&world.service, &silent, 1, &[7; 100])
            .await
            .unwrap();
        world.set(Method::POST, COMPLETE, Mood::Down);
        let parts = [(1, &etag)];
        let asking = world.finish(&world.service, &left, &parts);
        let gone = timeout(Duration::from_secs(1), asking).await;
        assert!(gone.is_err(), "nobody knows yet");
        world.heal();
        world.ledger("UPDATE upload SET lease_until = 0, expires_at = 0");
        world.twin().await.sweep().await.unwrap();
        assert_eq!(
            (world.is(&left).await, world.is(&silent).await),
            (UploadState::Ready, UploadState::Expired)
        );
        assert!(
            world
                .service
                .store
                .find(&silent.key)
                .await
                .unwrap()
                .is_empty()
        );
        let gone = world
            .send_part(&world.service, &silent, 2, b"x")
            .await
            .unwrap_err();
        assert_eq!(gone.code, Code::Gone);
    }
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_adopted() {
    let world = World::new().await;
    world.set(Method::POST, "uploads", Mood::Swallow);
    assert_eq!(
        world
            .unplanned("key")
            .await
            .err()
            .map(|refusal| refusal.code),
        Some(Code::StoreUnavailable)
    );
    world.heal();
    let upload = world.unplanned("key").await.unwrap();
    assert_eq!(
        world.service.store.find(&upload.key).await.unwrap().len(),
        1
    );
    let etag = world
        .send_part(&world.service, &upload, 1, b"x")
        .await
        .unwrap();
    world
        .finish(&world.service, &upload, &[(1, &etag)])
        .await
        .unwrap();
}

#[tokio::test]
async fn of_many_who_grow_at_once_none_gets_past_a_quota() {
    let quota = Quota {
        open: None,
        outstanding: Some(12 << 20),
        total: None,
    };
    let own = tempfile::tempdir().unwrap();
    let ledger = LedgerConfig::Sqlite(own.path().join("ledger.db"));
    for config in [ledger, ledger::tests::postgres_config().await] {
        let world = World::on(config, tempfile::tempdir().unwrap(), |rules| {
            rules.quota = quota;
        })
        .await;
        let all = (0..6).map(async |n| {
            let upload = world.unplanned(&n.to_string()).await.unwrap();
            // Behind the first part: five MiB at least.
            world.send_part(&world.service, &upload, 2, b"x").await
        });
        let sent = futures_util::future::join_all(all).await;
        let refused: Vec<_> = sent
            .iter()
            .filter_map(|sent| sent.as_ref().err().map(|refusal| refusal.code))
            .collect();
        assert_eq!(refused, [Code::QuotaExceeded; 4]);
    }
}
