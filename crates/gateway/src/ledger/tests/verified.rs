//! How an upload of one part is verified, whatever keeps the ledger.
//!
//! Border: as the tests beside it.

use super::*;

pub async fn one_part_is_verified_in_one_step(world: World) {
    let upload = world.begun("one", 1).await;
    let proof = receipt(&upload);
    let verify = |epoch, text| {
        world
            .ledger
            .verify_single(&proof, epoch, sealed(1, text), None)
    };
    let state = async || {
        let (upload, parts) = world
            .ledger
            .upload_whole(&world.owner, &upload.id)
            .await
            .unwrap()
            .unwrap();
        (
            upload.state,
            upload.receipt.is_some(),
            parts[0].etag.is_some(),
        )
    };
    let pins = vec![spec(1, "one")];
    world
        .ledger
        .pin(&upload.id, 1, pins, until(90))
        .await
        .unwrap();

    assert!(
        !verify(2, "one").await.unwrap(),
        "another has taken it over"
    );
    assert_eq!(state().await, (UploadState::Uploading, false, false));
    assert!(
        !verify(1, "other").await.unwrap(),
        "it was signed for another SHA-256"
    );
    assert_eq!(state().await, (UploadState::Uploading, false, false));

    let ends = join_all((0..4).map(|_| verify(1, "one"))).await;
    assert_eq!(
        ends.into_iter()
            .filter(|won| *won.as_ref().unwrap())
            .count(),
        1
    );
    assert_eq!(state().await, (UploadState::Ready, true, true));
    assert!(!verify(1, "one").await.unwrap(), "once");

    // One that is being aborted is nobody's to verify; one that another process took to completing is anybody's.
    let aborted = world.begun("aborted", 1).await;
    world
        .ledger
        .give_up(&aborted.id, None, at(90))
        .await
        .unwrap();
    assert!(
        !world
            .ledger
            .verify_single(&receipt(&aborted), 1, sealed(1, "one"), None)
            .await
            .unwrap()
    );
    let completing = world.begun("completing", 1).await;
    world
        .ledger
        .seal(&completing.id, 1, vec![sealed(1, "one")], until(90))
        .await
        .unwrap();
    let hooks = Some(at(30));
    assert!(
        world
            .ledger
            .verify_single(&receipt(&completing), 1, sealed(1, "one"), hooks)
            .await
            .unwrap()
    );
    assert_eq!(world.state(&completing).await, UploadState::Verified);
    assert_eq!(world.ledger.next_hooked().await.unwrap(), hooks);
}
