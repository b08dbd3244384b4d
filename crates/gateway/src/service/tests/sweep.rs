//! What the sweep does about uploads nobody holds, and what it leaves alone.
//!
//! Border: rounds are made by hand here; that a gateway makes them by itself is `tests/gateway_api/sweep.rs`.

use super::*;

/// As if everybody had been silent for very long.
const FORGOTTEN: &str = "UPDATE upload SET lease_until = 0, expires_at = 0";
/// As if the gateway had died while it completed.
const LEFT: &str = "UPDATE upload SET state = 'completing', lease_until = 0";

impl World {
    /// An upload whose complete was asked for when the gateway died.
    async fn left_completing(&self) -> (BeginResponse, CompleteRequest) {
        let (upload, request) = self.sent(PART + 1).await;
        let renewed = self.service.rules.terms.renewed(Timestamp::now());
        self.service
            .ledger
            .start_completing(&upload.id, upload.epoch, request.parts.clone(), renewed)
            .await
            .unwrap();
        (upload, request)
    }

    async fn multipart(&self, upload: &BeginResponse) -> String {
        self.service
            .row(&self.owner, upload.id.as_str())
            .await
            .unwrap()
            .store_upload
            .unwrap()
    }

    async fn open(&self, upload: &BeginResponse) -> usize {
        self.service.store.find(&upload.key).await.unwrap().len()
    }

    async fn is_there(&self, upload: &BeginResponse) -> bool {
        self.service
            .store
            .head(&upload.key)
            .await
            .unwrap()
            .is_some()
    }
}

#[tokio::test]
async fn a_complete_that_was_left_is_brought_to_its_end() {
    for completed in [false, true] {
        let world = World::new().await;
        let (upload, request) = world.left_completing().await;
        if completed {
            let multipart = world.multipart(&upload).await;
            world
                .service
                .store
                .complete(&upload.key, &multipart, &request.parts, 5 * 1024 * 1024 + 1)
                .await
                .unwrap();
        }
        // Its lease lives: somebody may be at it.
        world.service.sweep().await.unwrap();
        assert_eq!(world.state(&upload).await, UploadState::Completing);
        world.ledger(LEFT);
        world.twin().await.sweep().await.unwrap();
        assert_eq!(world.state(&upload).await, UploadState::Ready);
        assert_eq!(
            receipt(world.complete(&upload, &request).await).checksum,
            Some(request.checksum)
        );
        assert_eq!(
            world.asked(&Method::POST, COMPLETE).len(),
            1,
            "completed once"
        );
    }
}

#[tokio::test]
async fn a_complete_that_cannot_be_is_given_back_or_given_up() {
    let world = World::new().await;
    let (upload, _) = world.left_completing().await;
    world.ledger(LEFT);
    world.ledger("UPDATE part SET etag = 'another' WHERE number = 1");
    world.service.sweep().await.unwrap();
    assert_eq!(world.state(&upload).await, UploadState::Uploading);

    world.ledger(LEFT);
    world
        .service
        .store
        .abort(&upload.key, &world.multipart(&upload).await)
        .await
        .unwrap();
    world.service.sweep().await.unwrap();
    assert_eq!(world.state(&upload).await, UploadState::Expired);
}

#[tokio::test]
async fn a_complete_the_store_says_nothing_of_stays_open() {
    let world = World::new().await;
    let (upload, request) = world.left_completing().await;
    world.ledger("UPDATE upload SET lease_until = 0, expires_at = 0");
    world.set(Method::POST, COMPLETE, Mood::Down);
    world.service.sweep().await.unwrap();
    assert_eq!(
        world.state(&upload).await,
        UploadState::Completing,
        "never aborted, however old"
    );
    let asked = world.asked(&Method::POST, COMPLETE).len();
    world.service.sweep().await.unwrap();
    assert_eq!(
        world.asked(&Method::POST, COMPLETE).len(),
        asked,
        "not before its lease has ended again"
    );
    world.heal();
    assert_eq!(receipt(world.complete(&upload, &request).await).parts, 2);
}

#[tokio::test]
async fn what_nobody_held_for_too_long_is_taken_out_of_the_store() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    world.ledger("UPDATE upload SET expires_at = 0");
    world.service.sweep().await.unwrap();
    assert_eq!(
        world.state(&upload).await,
        UploadState::Uploading,
        "its holder is not silent"
    );
    world.ledger("UPDATE upload SET lease_until = 0, expires_at = 9999999999999");
    world.service.sweep().await.unwrap();
    assert_eq!(
        (world.state(&upload).await, world.open(&upload).await),
        (UploadState::Uploading, 1)
    );

    world.ledger(FORGOTTEN);
    // It is over from that moment on, not from the sweep on.
    assert_eq!(world.state(&upload).await, UploadState::Expired);
    let id = upload.id.as_str();
    let claim = ClaimRequest {
        holder: "h".into(),
        epoch: None,
    };
    assert_eq!(
        world
            .service
            .claim(&world.owner, id, claim)
            .await
            .unwrap_err()
            .code,
        Code::Gone
    );
    let sign = SignRequest {
        epoch: upload.epoch,
        parts: Vec::new(),
    };
    assert_eq!(
        world
            .service
            .sign(&world.owner, id, sign)
            .await
            .unwrap_err()
            .code,
        Code::Gone
    );
    assert_eq!(
        world
            .service
            .parts(&world.owner, id, 0)
            .await
            .unwrap_err()
            .code,
        Code::Gone
    );
    assert_eq!(
        world.complete(&upload, &request).await.unwrap_err().code,
        Code::Gone
    );
    assert_eq!(
        world.begin(PART + 1).await.unwrap().0.state,
        UploadState::Expired
    );
    assert_eq!(world.open(&upload).await, 1, "nothing was done yet");

    world.service.sweep().await.unwrap();
    let row = world.service.row(&world.owner, id).await.unwrap();
    assert_eq!(
        (row.state, world.open(&upload).await),
        (UploadState::Expired, 0)
    );
}

#[tokio::test]
async fn an_abort_that_was_left_is_brought_to_its_end() {
    let world = World::new().await;
    let (upload, _) = world.sent(PART + 1).await;
    world.set(Method::DELETE, "", Mood::Down);
    world
        .service
        .abort(&world.owner, upload.id.as_str(), None)
        .await
        .unwrap_err();
    world.service.sweep().await.unwrap();
    assert_eq!(
        (world.state(&upload).await, world.open(&upload).await),
        (UploadState::Aborting, 1)
    );
    world.ledger("UPDATE upload SET lease_until = 0");
    world.service.sweep().await.unwrap();
    assert_eq!(
        world.state(&upload).await,
        UploadState::Aborting,
        "the store still does not answer"
    );
    world.heal();
    world.ledger("UPDATE upload SET lease_until = 0");
    world.service.sweep().await.unwrap();
    assert_eq!(
        (world.state(&upload).await, world.open(&upload).await),
        (UploadState::Aborted, 0)
    );
}

/// S3 may say yes to an abort while a part is on its way, and have the upload still.
#[tokio::test]
async fn an_abort_counts_once_the_store_lists_no_such_upload() {
    let world = World::new().await;
    let (upload, _) = world.sent(PART + 1).await;
    world.set(Method::DELETE, "uploadId=", Mood::Says(204, ""));
    let refused = world
        .service
        .abort(&world.owner, upload.id.as_str(), None)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, world.state(&upload).await),
        (Code::StoreUnavailable, UploadState::Aborting)
    );
    assert_eq!(world.asked(&Method::DELETE, "uploadId=").len(), 5);
    world.heal();
    world
        .service
        .abort(&world.owner, upload.id.as_str(), None)
        .await
        .unwrap();
    assert_eq!(
        (world.state(&upload).await, world.open(&upload).await),
        (UploadState::Aborted, 0)
    );
}

/// A URL that was signed before the abort is good until it expires.
#[tokio::test]
async fn what_lands_after_the_end_is_found_when_nothing_can_land_any_more() {
    let world = World::new().await;
    let (upload, _) = world.begin(3).await.unwrap();
    let sha256 = Sha256::of(b"abc");
    let part = PartSpec {
        number: PartNumber::FIRST,
        size: 3,
        sha256,
        md5: None,
    };
    let sign = SignRequest {
        epoch: upload.epoch,
        parts: vec![part],
    };
    let signed = world
        .service
        .sign(&world.owner, upload.id.as_str(), sign)
        .await
        .unwrap();
    world
        .service
        .abort(&world.owner, upload.id.as_str(), None)
        .await
        .unwrap();
    let SignedPart::Put(put) = &signed.parts[0] else {
        panic!("not to be sent")
    };
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .put(put.url.expose())
        .body("abc");
    for (name, value) in &put.headers {
        request = request.header(name, value);
    }
    assert!(request.send().await.unwrap().status().is_success());
    world.service.sweep().await.unwrap();
    assert!(world.is_there(&upload).await, "the URL lives");
    world.ledger("UPDATE upload SET cleanup_at = 1 WHERE cleanup_at > 1");
    world.set(Method::DELETE, "", Mood::Down);
    world.service.sweep().await.unwrap();
    assert!(world.is_there(&upload).await);
    world.heal();
    world.ledger("UPDATE upload SET cleanup_at = 1 WHERE cleanup_at > 1");
    world.service.sweep().await.unwrap();
    assert!(!world.is_there(&upload).await);
}

#[tokio::test]
async fn a_damaged_object_that_could_not_be_removed_is_removed_later() {
    let world = World::new().await;
    let (upload, mut request) = world.sent(3).await;
    // The store holds other bytes than were to be sent.
    let other = Sha256::of(b"other");
    world.ledger("UPDATE part SET sha256 = NULL");
    request.parts[0].sha256 = other;
    request.checksum = Checksum::whole(&other);
    world.set(Method::DELETE, "", Mood::Down);
    assert_eq!(
        world.complete(&upload, &request).await.unwrap_err().code,
        Code::Gone
    );
    assert_eq!(world.state(&upload).await, UploadState::Rejected);
    assert!(world.is_there(&upload).await);
    world.heal();
    world.service.sweep().await.unwrap();
    assert!(!world.is_there(&upload).await);
}

#[tokio::test]
async fn what_the_ledger_does_not_know_is_told_of_and_left_alone() {
    let world = World::new().await;
    let (upload, request) = world.sent(PART + 1).await;
    let store = &world.service.store;
    let row = world
        .service
        .row(&world.owner, upload.id.as_str())
        .await
        .unwrap();
    let strange = "uploads/another/of-another-gateway".parse().unwrap();
    let foreign = store
        .create(&strange, &super::super::object(&row))
        .await
        .unwrap();
    assert_eq!(world.service.survey().await.unwrap(), 1);
    receipt(world.complete(&upload, &request).await);
    // At a key of ours whose upload is over, it is a spare of ours.
    store
        .create(&upload.key, &super::super::object(&row))
        .await
        .unwrap();
    assert_eq!(world.service.survey().await.unwrap(), 1);
    world.service.sweep().await.unwrap();
    assert_eq!(
        (world.open(&upload).await, world.is_there(&upload).await),
        (0, true)
    );
    assert_eq!(store.find(&strange).await.unwrap(), [foreign]);
}

#[tokio::test]
async fn a_sweep_reads_what_is_under_way_alone() {
    let world = World::new().await;
    world.begin(1).await.unwrap();
    let connection = rusqlite::Connection::open(world.place.path().join("ledger.db")).unwrap();
    let plan = |which: &str| -> String {
        let sql = format!("EXPLAIN QUERY PLAN SELECT id FROM upload WHERE {which}");
        connection.query_row(&sql, [], |row| row.get(3)).unwrap()
    };
    let under_way =
        "state IN ('pending', 'uploading', 'completing', 'aborting') AND lease_until <= 1";
    assert!(
        plan(under_way).contains("open_upload_by_lease"),
        "{}",
        plan(under_way)
    );
    assert!(
        plan("cleanup_at <= 1").contains("upload_by_cleanup"),
        "{}",
        plan("cleanup_at <= 1")
    );
}
