//! Keys that clients have chosen: two uploads at one key, objects that come in between, and
//! failures of the store.
//!
//! Not here: the keys that an owner may choose (`tests/gateway_api`), and cleanup
//! (`chosen_key_leftovers`).

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;

use super::chosen_key_fixture::{
    CLEANUP_DUE, KEY, LEASES_ENDED, NO_ATTRIBUTES, existing, key, probed, put_again,
};
use super::fixture::{
    CREATE_QUERY, Fixture, Interference, PART, UPLOAD_ID_QUERY, is_pending, receipt, send,
};
use crate::hooks::{Hook, HookKind, Hooks, OnReject};
use upload_s3::{NewObject, WriteCondition};
use upload_types::wire::{
    BeginRequest, Code, CompletePart, CompleteRequest, IfExists, ObjectState, PartSpec,
    SignRequest, SignedPart, UploadState,
};
use upload_types::{Checksum, PartNumber, Sha256};

#[tokio::test]
async fn small_object_is_one_put_only_if_the_store_enforces_the_condition() {
    for is_probed in [false, true] {
        let fixture = if is_probed {
            probed().await
        } else {
            Fixture::new().await
        };
        let sent = fixture.send_at("a", IfExists::Same, b"abc").await;
        let creates = fixture.requests(&Method::POST, CREATE_QUERY).len();
        assert_eq!(creates, usize::from(!is_probed));
        let condition = sent.puts[0].headers.get("if-none-match");
        assert_eq!(condition.map(String::as_str), is_probed.then_some("*"));
        let receipt = receipt(fixture.complete(&sent.upload, &sent.complete).await);
        assert_eq!((receipt.key.as_str(), receipt.parts), (KEY, 1));
        let part = Sha256::of(b"abc");
        let (checksum, unproven): (_, &[&str]) = if is_probed {
            (Checksum::whole(&part), &[])
        } else {
            let unproven = &["length", "smuggling", "expiry", "composite", "condition"];
            (Checksum::composite([&part]), unproven)
        };
        let head = fixture.service.store.head(&key()).await.unwrap().unwrap();
        assert_eq!(head.checksum.as_ref(), Some(&checksum));
        assert_eq!(receipt.checksum, Some(checksum));
        assert_eq!(receipt.unproven, unproven);
        assert_eq!(fixture.object().await.unwrap(), b"abc");
    }
}

#[tokio::test]
async fn object_at_the_key_is_described_unless_it_is_to_be_replaced() {
    let fixture = probed().await;
    let body = vec![1; PART + 7];
    let first = fixture.ready_at("a", IfExists::Fail, &body).await;
    let receipt = fixture.row(&first.upload).await.receipt.unwrap();
    for (name, if_exists) in [
        ("b", IfExists::Same),
        ("c", IfExists::Fail),
        ("d", IfExists::Skip),
    ] {
        let found = existing(fixture.refused_at(name, if_exists).await);
        assert_eq!(
            (found.size, found.part_size, found.part_sizes),
            (PART as u64 + 7, Some(PART as u64), Vec::new())
        );
        assert_eq!(
            (&found.etag, &found.checksum),
            (&receipt.etag, &receipt.checksum)
        );
        assert_eq!(
            (found.key.as_str(), found.upload),
            (KEY, Some(first.upload.id.clone()))
        );
        assert!(found.modified.is_some());
        assert_eq!(Some(found.location), receipt.location);
    }
    // A repeated request gets its own upload.
    let repeated = fixture
        .begin_at("a", IfExists::Fail, body.len())
        .await
        .unwrap();
    assert!(!repeated.is_new);
    assert_eq!(repeated.response.id, first.upload.id);
    assert_eq!(
        fixture.object_of(&first.upload.id).await,
        Some(ObjectState::Present)
    );

    let second = fixture.ready_at("e", IfExists::Overwrite, b"abc").await;
    assert_eq!(fixture.object().await.unwrap(), b"abc");
    assert_eq!(
        fixture.object_of(&first.upload.id).await,
        Some(ObjectState::Replaced)
    );
    assert_eq!(
        fixture.object_of(&second.upload.id).await,
        Some(ObjectState::Present)
    );

    // The parts of another program's object follow from its first part.
    fixture.put_foreign("other", b"foreign").await;
    let found = existing(fixture.refused_at("f", IfExists::Same).await);
    assert_eq!(
        (found.size, found.part_size, found.upload),
        (7, Some(7), None)
    );
}

#[tokio::test]
async fn parts_of_an_object_that_the_ledger_does_not_know_are_found() {
    let fixture = probed().await;
    fixture
        .ready_at("a", IfExists::Same, &vec![1; 2 * PART + 7])
        .await;
    fixture.execute_sql("DELETE FROM upload");
    let found = existing(fixture.refused_at("b", IfExists::Same).await);
    assert_eq!((found.part_size, found.upload), (Some(PART as u64), None));
    assert!(found.checksum.unwrap().as_str().ends_with("-3"));

    // Another program has sent parts of different sizes.
    let store = &fixture.service.store;
    let object = NewObject {
        content_type: "a/b",
        name: "",
        token: "other",
        metadata: &[].into(),
        attributes: &NO_ATTRIBUTES,
    };
    let multipart = store.create(&key(), &object).await.unwrap();
    let bodies = [vec![1; PART + 1], vec![2; PART], vec![3; 7]];
    let specs = (1..).zip(&bodies).map(|(number, body)| PartSpec {
        number: PartNumber::try_from(number).unwrap(),
        size: body.len() as u64,
        sha256: Sha256::of(body),
        md5: None,
    });
    let specs: Vec<PartSpec> = specs.collect();
    let ttl = |_| Duration::from_mins(1);
    let puts = store
        .sign_parts(&key(), &multipart, &specs, ttl)
        .await
        .unwrap();
    let mut parts = Vec::new();
    for ((put, body), spec) in puts.iter().zip(&bodies).zip(&specs) {
        parts.push(CompletePart {
            number: put.number,
            etag: send(put, body).await,
            sha256: spec.sha256,
        });
    }
    store.delete(&key()).await.unwrap();
    let size = specs.iter().map(|spec| spec.size).sum();
    let absent = WriteCondition::Absent;
    store
        .complete(&key(), &multipart, &parts, size, absent)
        .await
        .unwrap();
    let found = existing(fixture.refused_at("c", IfExists::Same).await);
    let sizes = specs.iter().map(|spec| spec.size).collect::<Vec<_>>();
    assert_eq!((found.part_size, found.part_sizes), (None, sizes));
}

#[tokio::test]
async fn unfinished_upload_holds_its_key_until_its_lease_has_ended() {
    for fixture in [probed().await, Fixture::on_postgres().await] {
        let first = fixture
            .send_at("a", IfExists::Same, &vec![1; PART + 1])
            .await;
        let refusal = fixture.refused_at("b", IfExists::Overwrite).await;
        assert_eq!(
            (refusal.code, refusal.retry_after),
            (Code::KeyInUse, Some(10))
        );
        assert_eq!(fixture.multiparts().await.len(), 1);

        fixture.execute_sql(LEASES_ENDED);
        let second = fixture.send_at("c", IfExists::Same, b"abc").await;
        assert_eq!(fixture.state(&first.upload).await, UploadState::Expired);
        let refusal = fixture.complete(&first.upload, &first.complete).await;
        assert_eq!(refusal.unwrap_err().code, Code::Gone);
        fixture.finish(&second).await;
        assert_eq!(fixture.object().await.unwrap(), b"abc");
        assert!(fixture.multiparts().await.is_empty());
    }
}

#[tokio::test]
async fn one_of_many_begins_gets_the_key() {
    for fixture in [probed().await, Fixture::on_postgres().await] {
        let second = fixture.second_gateway().await;
        let begins = (0..8).map(|number| {
            let service = Arc::clone([&fixture.service, &second][number % 2]);
            let (owner, request) = (
                fixture.owner.clone(),
                BeginRequest {
                    key: Some(KEY.to_owned()),
                    ..Fixture::begin_request(PART + 1)
                },
            );
            tokio::spawn(async move { service.begin(&owner, &number.to_string(), request).await })
        });
        let results: Vec<_> = join_all(begins)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let begun = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(begun, 1);
        for refusal in results.into_iter().filter_map(Result::err) {
            assert_eq!(refusal.code, Code::KeyInUse);
        }
        assert_eq!(fixture.multiparts().await.len(), 1);
    }
}

#[tokio::test]
async fn whole_object_of_an_abandoned_upload_is_verified_instead_of_removed() {
    let fixture = probed().await;
    // The client ends after its PUT.
    let first = fixture.send_at("a", IfExists::Same, b"abc").await;
    assert_eq!(
        fixture.refused_at("b", IfExists::Same).await.code,
        Code::KeyInUse
    );
    fixture.execute_sql(LEASES_ENDED);
    let found = existing(fixture.refused_at("b", IfExists::Same).await);
    assert_eq!(found.upload, Some(first.upload.id.clone()));
    assert_eq!(fixture.state(&first.upload).await, UploadState::Ready);

    // The client ends while its complete runs.
    let second = fixture.send_at("c", IfExists::Overwrite, b"second").await;
    fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::Unavailable);
    assert!(is_pending(
        &fixture.complete(&second.upload, &second.complete).await
    ));
    fixture.stop_interfering();
    fixture.execute_sql(LEASES_ENDED);
    let found = existing(fixture.refused_at("d", IfExists::Same).await);
    assert_eq!(found.upload, Some(second.upload.id.clone()));
    assert_eq!(fixture.object().await.unwrap(), b"second");
}

#[tokio::test]
async fn object_that_came_in_between_is_not_replaced() {
    for is_probed in [true, false] {
        for (if_exists, before) in [
            (IfExists::Same, None),
            (IfExists::Overwrite, None),
            (IfExists::Overwrite, Some(&b"before"[..])),
        ] {
            let fixture = if is_probed {
                probed().await
            } else {
                Fixture::new().await
            };
            if let Some(before) = before {
                fixture.put_foreign("before", before).await;
            }
            let sent = fixture.send_at("a", if_exists, &vec![1; PART + 1]).await;
            fixture.put_foreign("other", b"in between").await;
            let refusal = fixture.complete(&sent.upload, &sent.complete).await;
            let found = existing(refusal.unwrap_err());
            assert_eq!((found.size, found.upload), (10, None));
            assert_eq!(fixture.object().await.unwrap(), b"in between");
            assert_eq!(fixture.state(&sent.upload).await, UploadState::Aborted);
            assert!(fixture.multiparts().await.is_empty());
            // The cleanup leaves it, too.
            fixture.execute_sql(CLEANUP_DUE);
            fixture.service.sweep(None).await.unwrap();
            assert_eq!(fixture.object().await.unwrap(), b"in between");
            let repeated = fixture.complete(&sent.upload, &sent.complete).await;
            assert_eq!(repeated.unwrap_err().code, Code::Gone);
        }
    }
}

#[tokio::test]
async fn object_that_came_before_a_single_put_is_not_replaced() {
    let fixture = probed().await;
    let begun = fixture.begin_at("a", IfExists::Same, 3).await.unwrap();
    fixture.put_foreign("other", b"in between").await;
    let part = PartSpec {
        number: PartNumber::FIRST,
        size: 3,
        sha256: Sha256::of(b"abc"),
        md5: None,
    };
    let sign = SignRequest {
        epoch: 1,
        parts: vec![part],
        copies: Vec::new(),
        credentials_rejected: false,
    };
    let id = begun.response.id.as_str();
    let signed = fixture
        .service
        .sign(&fixture.owner, id, sign)
        .await
        .unwrap();
    let SignedPart::Put(put) = &signed.parts[0] else {
        panic!("the gateway signed no PUT for the part")
    };
    let response = put_again(put, b"abc").await;
    assert_eq!(response, 412);
    let request = CompleteRequest {
        epoch: 1,
        parts: vec![CompletePart {
            number: PartNumber::FIRST,
            etag: "any".parse().unwrap(),
            sha256: part.sha256,
        }],
        checksum: Checksum::whole(&part.sha256),
    };
    let refusal = fixture.complete(&begun.response, &request).await;
    assert_eq!(existing(refusal.unwrap_err()).size, 10);
    assert_eq!(fixture.object().await.unwrap(), b"in between");
    assert_eq!(fixture.state(&begun.response).await, UploadState::Aborted);
}

#[tokio::test]
async fn put_that_is_sent_again_does_not_replace_a_newer_object() {
    let fixture = probed().await;
    let first = fixture.ready_at("a", IfExists::Same, b"first").await;
    let second = fixture.ready_at("b", IfExists::Overwrite, b"second").await;
    assert_eq!(put_again(&first.puts[0], b"first").await, 412);
    assert_eq!(fixture.object().await.unwrap(), b"second");
    // The multipart upload is complete.
    assert_eq!(put_again(&second.puts[0], b"second").await, 404);
    fixture.ready_at("c", IfExists::Overwrite, b"third").await;
    assert_eq!(put_again(&second.puts[0], b"second").await, 404);
    assert_eq!(fixture.object().await.unwrap(), b"third");
}

#[tokio::test]
async fn deleted_object_need_not_be_replaced() {
    for is_probed in [true, false] {
        let fixture = if is_probed {
            probed().await
        } else {
            Fixture::new().await
        };
        fixture.ready_at("a", IfExists::Same, b"first").await;
        let sent = fixture.send_at("b", IfExists::Overwrite, b"second").await;
        fixture.service.store.delete(&key()).await.unwrap();
        fixture.finish(&sent).await;
        assert_eq!(fixture.object().await.unwrap(), b"second");
    }
}

#[tokio::test]
async fn lost_response_of_an_overwrite_is_decided_by_the_object() {
    let fixture = probed().await;
    fixture.ready_at("a", IfExists::Same, b"first").await;
    let sent = fixture.send_at("b", IfExists::Overwrite, b"second").await;
    fixture.interfere(Method::POST, UPLOAD_ID_QUERY, Interference::LoseResponse);
    fixture.finish(&sent).await;
    fixture.stop_interfering();
    assert_eq!(fixture.object().await.unwrap(), b"second");
}

#[tokio::test]
async fn empty_object_takes_and_replaces_a_chosen_key() {
    let fixture = probed().await;
    fixture.ready_at("a", IfExists::Same, b"").await;
    fixture.ready_at("b", IfExists::Overwrite, b"x").await;
    fixture.ready_at("c", IfExists::Overwrite, b"").await;
    assert_eq!(fixture.object().await.unwrap(), b"");
}

#[tokio::test]
async fn store_that_hides_whether_there_is_an_object_is_reported() {
    let fixture = probed().await;
    fixture.interfere(Method::HEAD, "", Interference::Deny);
    let refusal = fixture.refused_at("a", IfExists::Same).await;
    assert_eq!(
        (refusal.code, refusal.retry_after),
        (Code::StoreRejected, None)
    );
    assert_eq!(fixture.requests(&Method::POST, CREATE_QUERY).len(), 0);
}

#[tokio::test]
async fn gateway_with_hooks_replaces_no_object() {
    let kind = HookKind::Command {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), "exit 0".into()],
    };
    let hook = Hook {
        name: "test".into(),
        kind,
        time_limit: Duration::from_mins(1),
    };
    let network = upload_net::Network::default();
    let quarantine = OnReject::Quarantine("bad".into());
    let hooks = Hooks::new(vec![hook], quarantine, None, &network).unwrap();
    let fixture = Fixture::with(|config| config.hooks = hooks).await;
    let first = fixture.ready_at("a", IfExists::Same, b"first").await;
    // The hooks have not decided.
    assert_eq!(fixture.state(&first.upload).await, UploadState::Verified);
    assert_eq!(
        fixture.refused_at("b", IfExists::Same).await.code,
        Code::KeyInUse
    );
    fixture.execute_sql("UPDATE upload SET state = 'ready'");
    existing(fixture.refused_at("b", IfExists::Same).await);
    let refusal = fixture.refused_at("b", IfExists::Overwrite).await;
    assert_eq!(refusal.code, Code::KeyNotAllowed);
    assert!(refusal.detail.unwrap().contains("hooks"));
    let request = BeginRequest {
        key: Some("bad/x".into()),
        ..Fixture::begin_request(3)
    };
    let refused = fixture.service.begin(&fixture.owner, "c", request).await;
    assert_eq!(refused.err().unwrap().code, Code::KeyNotAllowed);
}
