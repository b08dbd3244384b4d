//! A gateway sweeps by itself: at its start, and again and again.
//!
//! Border: what a sweep does in each case is tested beside the operations.

use crate::world::*;

async fn becomes(world: &World, upload: &BeginResponse, state: UploadState) -> UploadStatus {
    let path = format!("/v1/uploads/{}", upload.id);
    for _ in 0..2000 {
        let status: UploadStatus = good(world.get(&path).await, 200).await;
        if status.state == state {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never becomes {state:?}");
}

/// Client and gateway died while the store completed; the client never comes back.
#[tokio::test]
async fn a_gateway_that_starts_again_decides_what_was_completing() {
    let world = World::new().await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let parts = world.send(&upload, &bodies()).await;
    for part in &parts {
        let (number, etag) = (part.number, &part.etag);
        world.ledger(&format!(
            "UPDATE part SET etag = '{etag}' WHERE number = {number}"
        ));
    }
    world.ledger("UPDATE upload SET state = 'completing', lease_until = 0");
    let world = world.restarted().await;
    let receipt = becomes(&world, &upload, UploadState::Ready)
        .await
        .receipt
        .unwrap();
    assert_eq!(
        (receipt.parts, &receipt.checksum),
        (2, &Some(checksum(&upload, &parts)))
    );
    // Should it come back all the same, it is told so.
    assert_eq!(
        good::<Receipt>(world.complete(&upload, &parts).await, 200).await,
        receipt
    );
}

#[tokio::test]
async fn it_goes_round_again_and_again() {
    let world = World::with(|config| config.sweep_interval = Some(Duration::from_millis(20))).await;
    for name in ["a", "b"] {
        let upload = world
            .begun(&BeginRequest {
                name: name.into(),
                ..begin(TWO_PARTS)
            })
            .await;
        world.send(&upload, &bodies()).await;
        world.ledger("UPDATE upload SET lease_until = 0, expires_at = 0 WHERE state = 'uploading'");
        becomes(&world, &upload, UploadState::Expired).await;
        for _ in 0..2000 {
            if world.store().find(&upload.key).await.unwrap().is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(world.store().find(&upload.key).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn silence_is_counted_from_the_last_call() {
    let world = World::with(|config| config.upload_ttl = Duration::from_hours(1)).await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    world.ledger("UPDATE upload SET expires_at = 0");
    // Its lease lives, so it may go on; and with that, the end moves on.
    good::<SignResponse>(world.sign(&upload, vec![spec(2, &bodies()[1])]).await, 200).await;
    let path = format!("/v1/uploads/{}", upload.id);
    let after_sign: UploadStatus = good(world.get(&path).await, 200).await;
    assert!(after_sign.expires_at >= upload.expires_at);
    world.ledger("UPDATE upload SET expires_at = 0");
    let claim = ClaimRequest {
        holder: "holder-a".into(),
        epoch: Some(upload.epoch),
    };
    good::<ClaimResponse>(world.post(&format!("{path}/claim"), &claim).await, 200).await;
    let after_claim: UploadStatus = good(world.get(&path).await, 200).await;
    assert!(after_claim.expires_at >= after_sign.expires_at);
}
