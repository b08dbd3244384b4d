//! Who may end an upload: whoever holds it now, and who asks in nobody's name; never somebody who held it once.
//!
//! Border: races of claims are played beside the gateway's operations.

use reqwest::{Method, Response};

use crate::world::{TWO_PARTS, World, begin, bodies, code, good};
use upload_types::wire::{BeginResponse, ClaimRequest, ClaimResponse, UploadState, UploadStatus};

async fn abort(world: &World, upload: &BeginResponse, epoch: &str) -> Response {
    world
        .request(Method::DELETE, &format!("/v1/uploads/{}{epoch}", upload.id))
        .send()
        .await
        .unwrap()
}

async fn state(world: &World, upload: &BeginResponse) -> UploadState {
    good::<UploadStatus>(world.get(&format!("/v1/uploads/{}", upload.id)).await, 200)
        .await
        .state
}

#[tokio::test]
async fn who_held_an_upload_once_cannot_abort_it() {
    let world = World::new().await;
    let mut upload = world.begun(&begin(TWO_PARTS)).await;
    world.send(&upload, &bodies()).await;
    world.ledger("UPDATE upload SET lease_until = 0");
    let claim = ClaimRequest {
        holder: "holder-b".into(),
        epoch: None,
    };
    let claimed: ClaimResponse = good(
        world
            .post(&format!("/v1/uploads/{}/claim", upload.id), &claim)
            .await,
        200,
    )
    .await;

    assert_eq!(
        code(abort(&world, &upload, "?epoch=1").await).await,
        "lease_lost"
    );
    assert_eq!(
        code(abort(&world, &upload, "?epoch=3").await).await,
        "lease_lost"
    );
    assert_eq!(
        code(abort(&world, &upload, "?epoch=-1").await).await,
        "invalid_request"
    );
    assert_eq!(state(&world, &upload).await, UploadState::Uploading);
    assert_eq!(world.store().find(&upload.key).await.unwrap().len(), 1);

    assert_eq!(
        abort(&world, &upload, &format!("?epoch={}", claimed.epoch))
            .await
            .status(),
        204
    );
    assert!(world.store().find(&upload.key).await.unwrap().is_empty());
    // Nothing is left that the one before could end.
    assert_eq!(abort(&world, &upload, "?epoch=1").await.status(), 204);

    // However far the other came, who lost the upload hears of that first.
    upload = world.begun(&begin(3)).await;
    let parts = world.send(&upload, &[b"abc".to_vec()]).await;
    world.complete(&upload, &parts).await;
    assert_eq!(
        code(abort(&world, &upload, "?epoch=7").await).await,
        "lease_lost"
    );
    assert_eq!(
        code(abort(&world, &upload, "?epoch=1").await).await,
        "not_abortable"
    );
}

/// A person's word: `upload abort ID`, from any machine, whether its driver lives or not.
#[tokio::test]
async fn what_is_aborted_in_nobodys_name_is_ended_for_whoever_holds_it() {
    let world = World::new().await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let parts = world.send(&upload, &bodies()).await;
    assert_eq!(abort(&world, &upload, "").await.status(), 204);
    assert_eq!(code(world.complete(&upload, &parts).await).await, "gone");
    assert!(world.store().find(&upload.key).await.unwrap().is_empty());
}
