//! Uploads that outlive a stop, a crash between two commits, and a store that lost or replaced what it had.
//!
//! Border: the states a crash leaves are staged in ledger and store; killing the process is left to the tests of the command.

use crate::world::*;

#[tokio::test]
async fn an_upload_goes_on_after_the_gateway_was_stopped() {
    let world = World::new().await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let bodies = bodies();
    let signed: SignResponse =
        good(world.sign(&upload, vec![spec(1, &bodies[0])]).await, 200).await;
    etag(&world.put(&signed.parts[0], bodies[0].clone()).await);
    let info: BackendInfo = good(world.get("/v1").await, 200).await;

    let world = world.restarted().await;
    let again: BackendInfo = good(world.get("/v1").await, 200).await;
    assert_eq!(again.instance_id, info.instance_id);
    let listed: PartList = good(
        world.get(&format!("/v1/uploads/{}/parts", upload.id)).await,
        200,
    )
    .await;
    assert_eq!(listed.parts.len(), 1);
    let parts = world.send(&upload, &bodies).await;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;
}

/// A gateway killed between the store's Create and its own commit.
#[tokio::test]
async fn begin_repeated_after_a_crash_adopts_what_the_store_has() {
    let world = World::new().await;
    let request = begin(TWO_PARTS);
    let upload: BeginResponse = good(world.begin("key", &request).await, 201).await;
    world.send(&upload, &bodies()).await;
    let spare = world
        .store()
        .create(&upload.key, &object("video/quicktime", "token"))
        .await
        .unwrap();
    world.ledger("UPDATE upload SET store_upload = NULL, state = 'pending'");

    let again: BeginResponse = good(world.begin("key", &request).await, 200).await;
    assert_eq!(again.id, upload.id);
    let open = world.store().find(&upload.key).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_ne!(open[0], spare);
    let listed: PartList = good(
        world.get(&format!("/v1/uploads/{}/parts", upload.id)).await,
        200,
    )
    .await;
    assert_eq!(listed.parts.len(), 2);

    world.store().abort(&upload.key, &open[0]).await.unwrap();
    world.ledger("UPDATE upload SET store_upload = NULL, state = 'pending'");
    good::<BeginResponse>(world.begin("key", &request).await, 200).await;
    let parts = world.send(&upload, &bodies()).await;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;
}

/// A gateway killed while the store completed: the object decides.
#[tokio::test]
async fn a_complete_whose_answer_was_lost_is_found_done() {
    let world = World::new().await;
    for state in ["completing", "uploading"] {
        let request = BeginRequest {
            name: state.into(),
            ..begin(TWO_PARTS)
        };
        let upload = world.begun(&request).await;
        let parts = world.send(&upload, &bodies()).await;
        let open = world.store().find(&upload.key).await.unwrap();
        world
            .store()
            .complete(&upload.key, &open[0], &parts, TWO_PARTS)
            .await
            .unwrap();
        world.ledger(&format!(
            "UPDATE upload SET state = '{state}' WHERE name = '{state}'"
        ));

        let path = format!("/v1/uploads/{}", upload.id);
        let listed: PartList = good(world.get(&format!("{path}/parts")).await, 200).await;
        assert!(listed.parts.len() <= 2);
        let receipt: Receipt = good(world.complete(&upload, &parts).await, 200).await;
        assert_eq!(receipt.parts, 2);
    }
}

#[tokio::test]
async fn an_upload_the_store_has_lost_is_gone() {
    let world = World::new().await;
    for listed in [true, false] {
        let request = BeginRequest {
            name: listed.to_string(),
            ..begin(TWO_PARTS)
        };
        let upload = world.begun(&request).await;
        let parts = world.send(&upload, &bodies()).await;
        let open = world.store().find(&upload.key).await.unwrap();
        world.store().abort(&upload.key, &open[0]).await.unwrap();
        let path = format!("/v1/uploads/{}", upload.id);
        if listed {
            assert_eq!(
                code(world.get(&format!("{path}/parts")).await).await,
                "gone"
            );
        }
        assert_eq!(code(world.complete(&upload, &parts).await).await, "gone");
        let status: UploadStatus = good(world.get(&path).await, 200).await;
        assert_eq!(status.state, UploadState::Expired);
    }
}

/// Somebody with the store's keys put other bytes at the key: never called ours.
#[tokio::test]
async fn an_object_that_is_not_ours_makes_no_receipt() {
    let world = World::new().await;
    let upload = world.begun(&begin(3)).await;
    let part = spec(1, b"abc");
    let foreign = world
        .store()
        .sign_put(
            &upload.key,
            &object("text/plain", "another"),
            &part,
            Duration::from_mins(1),
        )
        .await;
    etag(
        &world
            .put(&SignedPart::Put(foreign.unwrap()), b"abc".to_vec())
            .await,
    );
    let claimed = CompletePart {
        number: PartNumber::FIRST,
        etag: "e".parse().unwrap(),
        sha256: part.sha256,
    };
    let listed: PartList = good(
        world.get(&format!("/v1/uploads/{}/parts", upload.id)).await,
        200,
    )
    .await;
    assert!(listed.parts.is_empty());
    assert_eq!(
        code(world.complete(&upload, &[claimed]).await).await,
        "gone"
    );
    assert!(
        world.store().head(&upload.key).await.unwrap().is_some(),
        "what is not ours is not removed"
    );
}
