//! Tests of the walk over the objects and of the bytes that are counted, on both databases.

use super::fixture::{Fixture, PART, at, receipt, until};
use crate::ledger::{Ending, SurveyedKeys, Upload};
use crate::limits::Quota;
use upload_types::wire::UploadState;

async fn begin_ready(fixture: &Fixture, key: &str) -> Upload {
    let upload = fixture.begin(key, 1).await;
    let ledger = &fixture.ledger;
    let started = ledger.start_completing(&upload.id, 1, Vec::new(), until(90));
    started.await.unwrap();
    assert!(ledger.mark_verified(&receipt(&upload), None).await.unwrap());
    upload
}

/// Whether another upload of one part fits into a quota of this many parts.
async fn fits(fixture: &Fixture, key: &str, parts: u64) -> bool {
    let quota = Quota {
        total: Some(parts * PART),
        ..Quota::default()
    };
    let begun = fixture
        .ledger
        .begin_within_quota(fixture.new_upload(key, 1), quota);
    begun.await.unwrap().is_ok()
}

pub async fn survey_continues_after_the_last_page(fixture: Fixture) {
    let (first, second) = (fixture.ledger.clone(), fixture.second_gateway().await);
    let page = first.take_survey_page(at(0), at(60)).await.unwrap();
    let page = page.unwrap();
    assert_eq!(page.after_key, "");
    // The first gateway holds the page.
    let taken = second.take_survey_page(at(59), at(99)).await.unwrap();
    assert_eq!(taken, None);
    assert!(first.finish_survey_page(&page, "m", at(70)).await.unwrap());
    let taken = second.take_survey_page(at(69), at(99)).await.unwrap();
    assert_eq!(taken, None, "the next page is not due");
    let page = second.take_survey_page(at(70), at(130)).await.unwrap();
    let page = page.unwrap();
    assert_eq!(page.after_key, "m");
    // The second gateway died; another one takes the same page.
    let again = first.take_survey_page(at(130), at(190)).await.unwrap();
    let again = again.unwrap();
    assert_eq!(again.after_key, "m");
    assert!(!second.finish_survey_page(&page, "z", at(0)).await.unwrap());
    first.restart_survey().await.unwrap();
    assert!(!first.finish_survey_page(&again, "z", at(0)).await.unwrap());
    let page = first.take_survey_page(at(0), at(60)).await.unwrap();
    assert_eq!(page.unwrap().after_key, "");
}

pub async fn held_bytes_are_freed_once(fixture: Fixture) {
    let upload = begin_ready(&fixture, "ready").await;
    assert!(!fits(&fixture, "a", 1).await);
    let (uploads, has_more) = fixture
        .ledger
        .uploads_with_objects("", None, SurveyedKeys::All)
        .await
        .unwrap();
    assert_eq!((uploads.len(), has_more), (1, false));
    assert_eq!(uploads[0].held_bytes, PART);
    let last = upload.key.as_str();
    let after = fixture
        .ledger
        .uploads_with_objects(last, None, SurveyedKeys::All);
    assert!(after.await.unwrap().0.is_empty());

    let ledger = &fixture.ledger;
    assert!(!ledger.set_held_bytes(&upload.id, 1, 0).await.unwrap());
    assert!(ledger.set_held_bytes(&upload.id, PART, 0).await.unwrap());
    assert!(!ledger.set_held_bytes(&upload.id, PART, 0).await.unwrap());
    ledger.free_held_bytes(&upload.id).await.unwrap();
    assert!(fits(&fixture, "b", 1).await);
    // The object is there again. `b` is open.
    let set = ledger.set_held_bytes(&upload.id, 0, 2 * PART);
    assert!(set.await.unwrap());
    assert!(!fits(&fixture, "c", 3).await);
    assert!(fits(&fixture, "c", 4).await);
}

pub async fn removed_upload_is_counted_as_open_until_it_has_ended(fixture: Fixture) {
    let upload = begin_ready(&fixture, "ready").await;
    let (ledger, id) = (&fixture.ledger, &upload.id);
    let removed = ledger.start_removing(id, &[UploadState::Ready], at(60));
    assert!(removed.await.unwrap());
    assert!(!fits(&fixture, "a", 1).await, "it is aborting");
    let from = &[UploadState::Aborting];
    let ending = Ending {
        now: at(40),
        cleanup_at: Some(at(50)),
        may_land_until: Some(at(50)),
    };
    let ended = ledger.end(id, from, UploadState::Aborted, ending);
    assert!(ended.await.unwrap());
    assert!(
        !fits(&fixture, "a", 1).await,
        "its object may still be written"
    );
    let recorded = ledger.record_end_of_writes(id, at(50), at(99));
    assert!(recorded.await.unwrap());
    assert!(fits(&fixture, "a", 1).await);
}
