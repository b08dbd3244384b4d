//! Keys that clients have chosen: abort, removal, sweep and survey touch only what belongs to their
//! upload, and the bytes of a replaced object are not counted.

use super::chosen_key_fixture::{CLEANUP_DUE, NO_ATTRIBUTES, key, probed, put_again};
use super::fixture::{Fixture, PART};
use crate::auth::Owner;
use crate::key_patterns::ClientKeys;
use crate::ledger::SurveyedKeys;
use crate::limits::{OwnerLimits, Quota};
use crate::service::abort::Finished;
use crate::service::confirm::Confirmation;
use upload_s3::NewObject;
use upload_types::wire::{BeginResponse, Code, IfExists, ObjectState};

#[tokio::test]
async fn abort_leaves_the_multipart_uploads_of_others_at_the_key() {
    let fixture = probed().await;
    let loser = fixture
        .send_at("a", IfExists::Same, &vec![1; PART + 1])
        .await;
    let foreign = NewObject {
        content_type: "a/b",
        name: "",
        token: "other",
        metadata: &[].into(),
        attributes: &NO_ATTRIBUTES,
    };
    let other_program = fixture
        .service
        .store
        .create(&key(), &foreign)
        .await
        .unwrap();
    fixture.abort(&loser.upload).await.unwrap();
    let winner = fixture
        .send_at("b", IfExists::Same, &vec![2; PART + 1])
        .await;
    assert_eq!(fixture.multiparts().await.len(), 2);
    // The cleanup of the loser, and an event about the key.
    fixture.execute_sql(CLEANUP_DUE);
    fixture.service.sweep(None).await.unwrap();
    let confirmed = fixture.service.confirm(&key()).await.unwrap();
    assert_eq!(confirmed, Confirmation::NothingToDo);
    let open = fixture.multiparts().await;
    assert_eq!(open.len(), 2);
    assert!(open.contains(&other_program));
    fixture.finish(&winner).await;
    assert_eq!(fixture.multiparts().await, [other_program]);
    assert_eq!(fixture.object().await.unwrap(), vec![2; PART + 1]);
}

#[tokio::test]
async fn object_written_after_its_abort_does_not_block_the_key() {
    let fixture = probed().await;
    let first = fixture
        .begin_at("a", IfExists::Same, 3)
        .await
        .unwrap()
        .response;
    let sent = fixture.send_to(first, b"abc").await;
    fixture.abort(&sent.upload).await.unwrap();
    assert_eq!(fixture.object().await, None);
    // Its request was on its way.
    assert_eq!(put_again(&sent.puts[0], b"abc").await, 200);
    let next = fixture.ready_at("b", IfExists::Fail, b"next").await;
    assert_eq!(fixture.object().await.unwrap(), b"next");
    assert_eq!(put_again(&sent.puts[0], b"abc").await, 412);
    fixture.execute_sql(CLEANUP_DUE);
    fixture.service.sweep(None).await.unwrap();
    fixture.service.survey_all().await.unwrap();
    assert_eq!(
        fixture.object_of(&next.upload.id).await,
        Some(ObjectState::Present)
    );
}

#[tokio::test]
async fn object_written_during_the_next_upload_is_not_reported_as_an_object() {
    let fixture = probed().await;
    let first = fixture.send_at("a", IfExists::Same, b"abc").await;
    fixture.abort(&first.upload).await.unwrap();
    let body = vec![1; PART + 1];
    let next = fixture.send_at("b", IfExists::Same, &body).await;
    assert_eq!(put_again(&first.puts[0], b"abc").await, 200);
    let refusal = fixture.complete(&next.upload, &next.complete).await;
    assert_eq!(refusal.unwrap_err().code, Code::Gone);
    fixture.ready_at("c", IfExists::Same, &body).await;
    assert_eq!(fixture.object().await.unwrap(), body);
}

#[tokio::test]
async fn replaced_object_does_not_count_any_more() {
    let fixture = Fixture::with(|config| {
        config.client_keys = ClientKeys::All;
        config.quota = Quota {
            total: Some(10),
            ..Quota::default()
        };
    })
    .await;
    let first = fixture.ready_at("a", IfExists::Same, b"1234").await;
    // Until the complete, both objects may be in the store.
    let begun = fixture.begin_at("b", IfExists::Overwrite, 7).await;
    assert_eq!(begun.err().unwrap().code, Code::QuotaExceeded);
    fixture.ready_at("c", IfExists::Overwrite, b"123456").await;
    let begun = fixture.begin_as("minted", 5).await;
    assert_eq!(begun.err().unwrap().code, Code::QuotaExceeded);
    let minted = fixture.begin_as("minted", 4).await.unwrap();
    fixture.abort(&minted.response).await.unwrap();
    fixture.execute_sql(CLEANUP_DUE);
    fixture.service.sweep(None).await.unwrap();
    fixture.execute_sql("UPDATE upload SET may_land_until = NULL");
    fixture.service.survey_all().await.unwrap();
    fixture.ready_at("d", IfExists::Overwrite, b"1234").await;
    fixture.ready_at("e", IfExists::Overwrite, b"123456").await;
    assert_eq!(
        fixture.object_of(&first.upload.id).await,
        Some(ObjectState::Replaced)
    );
}

#[tokio::test]
async fn survey_counts_only_the_object_that_is_at_the_key() {
    let mut fixture = probed().await;
    let mut config = (*fixture.service.config()).clone();
    config.client_keys = ClientKeys::ByPattern;
    let keys = Some(vec!["app/**".to_owned()]);
    fixture.owner = Owner::with_limits(
        fixture.owner.0.clone(),
        OwnerLimits {
            keys,
            ..OwnerLimits::default()
        },
    );
    fixture.service.set_config(config);
    let held = async |upload: &BeginResponse| {
        let id = upload.id.clone();
        let all = SurveyedKeys::All;
        let rows = fixture
            .service
            .ledger
            .uploads_with_objects("", None, all)
            .await;
        let rows = rows.unwrap().0.into_iter();
        rows.filter(|row| row.upload.id == id)
            .map(|row| row.held_bytes)
            .next()
    };
    let first = fixture.ready_at("a", IfExists::Same, b"first").await;
    let second = fixture.ready_at("b", IfExists::Overwrite, b"second").await;
    fixture.service.survey_all().await.unwrap();
    assert_eq!(held(&first.upload).await, None);
    assert_eq!(held(&second.upload).await, Some(6));
    // Another program replaces the object, then deletes it.
    fixture.put_foreign("other", b"1234567").await;
    fixture.service.survey_all().await.unwrap();
    assert_eq!(held(&second.upload).await, Some(7));
    fixture.service.store.delete(&key()).await.unwrap();
    fixture.service.survey_all().await.unwrap();
    assert_eq!(held(&second.upload).await, Some(0));
}

#[tokio::test]
async fn survey_removes_a_late_object_of_an_ended_upload_and_no_other() {
    let fixture = probed().await;
    let mut config = (*fixture.service.config()).clone();
    config.client_keys = ClientKeys::ByPattern;
    let sent = fixture.send_at("a", IfExists::Same, b"abc").await;
    fixture.service.set_config(config);
    fixture.abort(&sent.upload).await.unwrap();
    fixture.execute_sql("UPDATE upload SET cleanup_at = NULL, may_land_until = NULL");
    fixture.put_foreign("other", b"foreign").await;
    fixture.service.survey_all().await.unwrap();
    fixture.service.sweep(None).await.unwrap();
    assert_eq!(fixture.object().await.unwrap(), b"foreign");
    fixture.service.store.delete(&key()).await.unwrap();
    assert_eq!(put_again(&sent.puts[0], b"abc").await, 200);
    fixture.service.survey_all().await.unwrap();
    fixture.service.sweep(None).await.unwrap();
    assert_eq!(fixture.object().await, None);
}

#[tokio::test]
async fn removal_leaves_the_object_of_a_later_upload() {
    let fixture = probed().await;
    let mut config = (*fixture.service.config()).clone();
    config.client_delete = true;
    fixture.service.set_config(config);
    let remove = async |fixture: &Fixture, upload: &BeginResponse| {
        let id = upload.id.as_str();
        let service = &fixture.service;
        service
            .abort(&fixture.owner, id, None, Finished::Remove)
            .await
    };
    let first = fixture.ready_at("a", IfExists::Same, b"first").await;
    let second = fixture.send_at("b", IfExists::Overwrite, b"second").await;
    // Its object might be replaced and then deleted.
    let refusal = remove(&fixture, &first.upload).await.unwrap_err();
    assert_eq!(refusal.code, Code::KeyInUse);
    fixture.finish(&second).await;
    remove(&fixture, &first.upload).await.unwrap();
    assert_eq!(fixture.object().await.unwrap(), b"second");
    remove(&fixture, &second.upload).await.unwrap();
    assert_eq!(fixture.object().await, None);
}

#[tokio::test]
async fn cleanup_waits_while_another_upload_is_unfinished_at_the_key() {
    let fixture = probed().await;
    let sent = fixture.send_at("a", IfExists::Same, b"abc").await;
    fixture.abort(&sent.upload).await.unwrap();
    let next = fixture
        .begin_at("b", IfExists::Same, PART + 1)
        .await
        .unwrap()
        .response;
    assert_eq!(put_again(&sent.puts[0], b"abc").await, 200);
    fixture.execute_sql(CLEANUP_DUE);
    fixture.service.sweep(None).await.unwrap();
    assert_eq!(fixture.object().await.unwrap(), b"abc");
    fixture.abort(&next).await.unwrap();
    fixture.execute_sql(CLEANUP_DUE);
    fixture.service.sweep(None).await.unwrap();
    assert_eq!(fixture.object().await, None);
}
