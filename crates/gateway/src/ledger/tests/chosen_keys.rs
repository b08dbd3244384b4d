//! Tests of keys that clients have chosen, on both databases.

use futures_util::future::join_all;

use super::fixture::{Fixture, PART, at, receipt, until, with_spec};
use crate::ledger::{BeginRefusal, ChosenKey, Ending, Ledger, NewUpload, SurveyedKeys, Upload};
use crate::limits::Quota;
use upload_types::Key;
use upload_types::wire::UploadState;

fn key() -> Key {
    "app/1/ä b".parse().unwrap()
}

fn at_key(fixture: &Fixture, name: &str, key: &Key) -> NewUpload {
    with_spec(fixture.new_upload(name, 1), |spec| {
        spec.key = key.clone();
        spec.chosen = Some(ChosenKey {
            single_put: true,
            replaces: Some("a-1".parse().unwrap()),
        });
    })
}

async fn begin(ledger: &Ledger, new: NewUpload) -> Result<(Upload, bool), BeginRefusal> {
    ledger
        .begin_within_quota(new, Quota::default())
        .await
        .unwrap()
}

async fn begin_new(fixture: &Fixture, name: &str) -> Upload {
    let begun = begin(&fixture.ledger, at_key(fixture, name, &key())).await;
    let Ok((upload, true)) = begun else {
        panic!("the upload was not begun")
    };
    upload
}

async fn verify(ledger: &Ledger, upload: &Upload) {
    let started = ledger.start_completing(&upload.id, 1, Vec::new(), until(90));
    started.await.unwrap();
    assert!(ledger.mark_verified(&receipt(upload), None).await.unwrap());
}

pub async fn one_upload_is_unfinished_at_each_chosen_key(fixture: Fixture) {
    let second_gateway = fixture.second_gateway().await;
    let begins = (0..8).map(|n| {
        let ledger = [&fixture.ledger, &second_gateway][n % 2].clone();
        let new = at_key(&fixture, &format!("{n}"), &key());
        tokio::spawn(async move { begin(&ledger, new).await })
    });
    let results = join_all(begins).await.into_iter().map(Result::unwrap);
    let (begun, refused): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
    assert_eq!(begun.len(), 1);
    let Ok((upload, true)) = &begun[0] else {
        panic!("the upload is not new")
    };
    for refusal in refused {
        let Err(BeginRefusal::KeyInUse(open)) = refusal else {
            panic!("the key is free")
        };
        assert_eq!(open.id, upload.id);
    }
    assert_eq!(
        upload.chosen,
        Some(ChosenKey {
            single_put: true,
            replaces: Some("a-1".parse().unwrap())
        })
    );
    let ledger = &fixture.ledger;
    let name = &upload.idempotency_key;
    let repeated = begin(ledger, at_key(&fixture, name, &key())).await;
    assert!(matches!(repeated, Ok((found, false)) if found.id == upload.id));
    let usage = ledger.key_usage(&fixture.owner, "x", &key()).await.unwrap();
    assert!(usage.repeated.is_none());
    assert_eq!(usage.open.unwrap().id, upload.id);
    assert!(!ledger.is_key_in_use(&key(), &upload.id).await.unwrap());
    // An upload at another key, which the gateway has made.
    assert!(
        fixture
            .ledger
            .begin(fixture.new_upload("made", 1))
            .await
            .unwrap()
            .1
    );

    verify(ledger, upload).await;
    let next = begin_new(&fixture, "next").await;
    assert!(ledger.is_key_in_use(&key(), &upload.id).await.unwrap());
    let found = ledger
        .upload_of_object(&key(), &upload.token)
        .await
        .unwrap();
    assert_eq!(found.unwrap().id, upload.id);
    let found = ledger.upload_of_object(&key(), "other").await.unwrap();
    assert!(found.is_none());
    let ending = Ending::from((at(1), at(2)));
    let states = &[UploadState::Pending];
    assert!(
        ledger
            .end(&next.id, states, UploadState::Aborted, ending)
            .await
            .unwrap()
    );
    begin_new(&fixture, "last").await;
}

pub async fn key_is_taken_over_once_after_the_lease(fixture: Fixture) {
    let upload = begin_new(&fixture, "a").await;
    let (ledger, id) = (&fixture.ledger, &upload.id);
    let take = async |epoch, now| {
        let taken = ledger.take_over_key(id, epoch, at(now), at(now + 60)).await;
        taken.unwrap()
    };
    assert!(!take(1, 59).await);
    assert!(!take(2, 60).await);
    assert!(take(1, 60).await);
    let row = ledger.upload_by_id(id).await.unwrap().unwrap();
    assert_eq!(
        (row.state, row.lease.until),
        (UploadState::Aborting, at(120))
    );
    assert!(row.has_been_expired());
    assert!(!take(1, 61).await, "another call has taken it");
    assert!(take(1, 120).await, "that call has ended");
    let begun = begin(ledger, at_key(&fixture, "b", &key())).await;
    assert!(matches!(begun, Err(BeginRefusal::KeyInUse(_))));
    let ending = Ending::from((at(1), at(2)));
    let from = &[UploadState::Aborting];
    assert!(
        ledger
            .end(id, from, UploadState::Expired, ending)
            .await
            .unwrap()
    );
    assert!(!take(1, 500).await);
    let next = begin_new(&fixture, "b").await;
    let started = ledger.start_completing(&next.id, 1, Vec::new(), until(90));
    started.await.unwrap();
    let taken = ledger.take_over_key(&next.id, 1, at(500), at(600)).await;
    assert!(!taken.unwrap(), "it is being completed");
}

pub async fn verified_upload_replaces_earlier_ones_at_its_key(fixture: Fixture) {
    let ledger = &fixture.ledger;
    let stored = async || {
        let sql = "SELECT stored_bytes FROM owner";
        let stored = ledger.read(move |tx| tx.find(sql, &[], |row| row.number(0)));
        stored.await.unwrap().unwrap() / PART
    };
    let made = fixture.begin("made", 1).await;
    verify(ledger, &made).await;
    let first = begin_new(&fixture, "first").await;
    verify(ledger, &first).await;
    assert_eq!(stored().await, 2);
    let second = begin_new(&fixture, "second").await;
    let at_key = async || ledger.upload_by_key(&key()).await.unwrap().unwrap();
    assert_eq!(at_key().await.id, second.id);
    verify(ledger, &second).await;
    assert_eq!(stored().await, 2);
    assert_eq!(at_key().await.id, second.id);
    let row = async |upload: &Upload| ledger.upload_by_id(&upload.id).await.unwrap().unwrap();
    assert!(row(&first).await.is_replaced && !row(&second).await.is_replaced);
    assert!(!row(&made).await.is_replaced);
    // An upload that ends replaces nothing, and is not found while the key has an object.
    let third = begin_new(&fixture, "third").await;
    let states = &[UploadState::Pending];
    let ending = Ending::from((at(1), at(2)));
    ledger
        .end(&third.id, states, UploadState::Aborted, ending)
        .await
        .unwrap();
    assert_eq!(at_key().await.id, second.id);
    let surveyed = async |keys| {
        let (rows, _) = ledger.uploads_with_objects("", None, keys).await.unwrap();
        rows.into_iter()
            .map(|row| row.upload.id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        surveyed(SurveyedKeys::All).await,
        [second.id.clone(), made.id.clone()]
    );
    let made = std::slice::from_ref(&made.id);
    assert_eq!(surveyed(SurveyedKeys::Made).await, made);
}

pub async fn finished_upload_is_not_removed_while_its_key_is_in_use(fixture: Fixture) {
    let ledger = &fixture.ledger;
    let first = begin_new(&fixture, "first").await;
    verify(ledger, &first).await;
    let second = begin_new(&fixture, "second").await;
    let remove = async || {
        let removed = ledger.start_removing(&first.id, &[UploadState::Ready], at(60));
        removed.await.unwrap()
    };
    assert!(!remove().await);
    verify(ledger, &second).await;
    assert!(remove().await);
    let begun = begin(ledger, at_key(&fixture, "third", &key())).await;
    assert!(
        matches!(begun, Err(BeginRefusal::KeyInUse(_))),
        "it is being removed"
    );
}

pub async fn page_of_the_survey_has_all_uploads_of_its_last_key(fixture: Fixture) {
    let ledger = &fixture.ledger;
    let ended = async |name: String, key: Key| {
        let Ok((upload, true)) = begin(ledger, at_key(&fixture, &name, &key)).await else {
            panic!("the upload was not begun")
        };
        let states = &[UploadState::Pending];
        let ending = Ending::from((at(1), at(2)));
        ledger
            .end(&upload.id, states, UploadState::Aborted, ending)
            .await
            .unwrap();
    };
    let keys = (0..999).map(|n| format!("app/a{n:03}").parse().unwrap());
    join_all(keys.map(|key: Key| ended(key.to_string(), key))).await;
    let last: Key = "app/b".parse().unwrap();
    ended("one".into(), last.clone()).await;
    ended("two".into(), last.clone()).await;
    let (page, has_more) = ledger
        .uploads_with_objects("", None, SurveyedKeys::All)
        .await
        .unwrap();
    assert_eq!((page.len(), has_more), (999, true));
    let after = page.last().unwrap().upload.key.to_string();
    let (page, has_more) = ledger
        .uploads_with_objects(&after, None, SurveyedKeys::All)
        .await
        .unwrap();
    assert_eq!((page.len(), has_more), (2, false));
    assert!(page.iter().all(|row| row.upload.key == last));
}
