//! Uploads of unknown size: the schedule of their parts, the end that the last part sets, quotas,
//! aborts and sweeps.

use upload_types::schedule::Schedule;

use crate::gateway::*;

const MIB_5: usize = 5 << 20;

fn stream() -> BeginRequest {
    BeginRequest {
        size: None,
        ..begin_request(0)
    }
}

/// A stream with parts of 5 MiB, 10 MiB, 20 MiB, …
async fn doubling_stream(gateway: &TestGateway) -> BeginResponse {
    let upload = gateway.create_upload(&stream()).await;
    gateway.execute_sql("UPDATE upload SET double_after = 1");
    upload
}

fn body(byte: u8, len: usize) -> Vec<u8> {
    vec![byte; len]
}

async fn status(gateway: &TestGateway, upload: &BeginResponse) -> UploadStatus {
    let path = format!("/v1/uploads/{}", upload.id);
    expect_json(gateway.get(&path).await, 200).await
}

async fn sign_code(gateway: &TestGateway, upload: &BeginResponse, spec: PartSpec) -> String {
    problem_code(gateway.sign(upload, vec![spec]).await).await
}

#[tokio::test]
async fn stream_has_the_size_at_which_its_last_part_ends() {
    let gateway = TestGateway::new().await;
    let upload = doubling_stream(&gateway).await;
    assert_eq!((upload.part_size, upload.part_count), (5 * MIB, 0));
    let info: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;
    let schedule = Schedule::new(None, Some(5 * MIB), &info.limits).unwrap();
    assert_eq!(upload.double_after, schedule.double_after());
    assert_eq!(upload.double_after, Some(910));
    let open = status(&gateway, &upload).await;
    assert_eq!((open.size, open.part_count), (None, 0));
    assert_eq!((open.part_size, open.double_after), (5 * MIB, Some(1)));

    let bodies = [body(1, MIB_5), body(2, 2 * MIB_5), body(3, 77)];
    let parts = gateway.put_parts(&upload, &bodies).await;
    let receipt: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    let size = 15 * MIB + 77;
    assert_eq!((receipt.size, receipt.parts), (size, 3));
    assert_eq!(
        (receipt.part_size, receipt.double_after),
        (5 * MIB, Some(1))
    );
    assert_eq!(receipt.checksum, Some(checksum(&upload, &parts)));
    let object = gateway.store().head(&upload.key).await.unwrap().unwrap();
    assert_eq!((object.size, &object.etag), (size, &receipt.etag));
    // A repeated complete returns the same receipt.
    let again: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    assert_eq!(again, receipt);
    let ready = status(&gateway, &upload).await;
    assert_eq!((ready.size, ready.part_count), (Some(size), 3));
}

#[tokio::test]
async fn stream_of_one_part_and_empty_stream_are_multipart_uploads() {
    let gateway = TestGateway::new().await;
    for (name, bytes) in [("small", &b"abc"[..]), ("empty", &b""[..])] {
        let request = BeginRequest {
            name: name.into(),
            ..stream()
        };
        let upload = gateway.create_upload(&request).await;
        let parts = gateway.put_parts(&upload, &[bytes.to_vec()]).await;
        let receipt: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
        assert_eq!(
            (receipt.size, receipt.parts),
            (bytes.len() as u64, 1),
            "{name}"
        );
        assert!(receipt.checksum.unwrap().as_str().ends_with("-1"), "{name}");
        assert_eq!(receipt.sha256, Some(Sha256::of(bytes)), "{name}");
    }
}

#[tokio::test]
async fn parts_of_other_sizes_than_scheduled_are_rejected() {
    let gateway = TestGateway::new().await;
    let upload = doubling_stream(&gateway).await;
    for (spec, code) in [
        (part_spec(1, &body(1, MIB_5 + 1)), "invalid_request"),
        (part_spec(2, &body(1, 2 * MIB_5 + 1)), "invalid_request"),
        (part_spec(2, b""), "invalid_request"),
        (part_spec(10_001, b"a"), "too_large"),
    ] {
        assert_eq!(sign_code(&gateway, &upload, spec).await, code);
    }
    // Any part may be the last one, but only one of them.
    let short = [body(1, MIB_5 - 1), body(2, 2 * MIB_5), body(3, 5)];
    let parts = gateway.put_parts(&upload, &short).await;
    for wrong in [&parts[..], &parts[1..]] {
        assert_eq!(
            problem_code(gateway.complete(&upload, wrong).await).await,
            "source_mismatch"
        );
    }
    assert!(gateway.store().head(&upload.key).await.unwrap().is_none());
    assert_eq!(
        status(&gateway, &upload).await.state,
        UploadState::Uploading
    );
}

#[tokio::test]
async fn complete_needs_every_part_up_to_the_last() {
    let gateway = TestGateway::new().await;
    let upload = doubling_stream(&gateway).await;
    let bodies = [body(1, MIB_5), body(2, 2 * MIB_5), body(3, 5)];
    let parts = gateway.put_parts(&upload, &bodies).await;
    let without_second = [parts[0].clone(), parts[2].clone()];
    let code = problem_code(gateway.complete(&upload, &without_second).await).await;
    assert_eq!(code, "source_mismatch");
    let unsigned = CompletePart {
        number: 4.try_into().unwrap(),
        ..parts[2].clone()
    };
    let with_unsigned = [parts.clone(), vec![unsigned]].concat();
    let code = problem_code(gateway.complete(&upload, &with_unsigned).await).await;
    assert_eq!(code, "source_mismatch");
    let receipt: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    assert_eq!(receipt.size, 15 * MIB + 5);
}

/// A stream that is read again may have other bytes from some part on, and may end earlier.
#[tokio::test]
async fn part_that_is_signed_again_with_other_bytes_replaces_the_first_one() {
    let gateway = TestGateway::new().await;
    let upload = doubling_stream(&gateway).await;
    let first = [body(1, MIB_5), body(2, 2 * MIB_5), body(3, 4 * MIB_5)];
    let old = gateway.put_parts(&upload, &first).await;
    let second = [body(1, MIB_5), body(9, 3)];
    let new = gateway.put_parts(&upload, &second).await;
    assert_eq!(old[0].etag, new[0].etag);
    // The bytes of the first reading are not completed.
    assert_eq!(
        problem_code(gateway.complete(&upload, &old).await).await,
        "source_mismatch"
    );
    let receipt: Receipt = expect_json(gateway.complete(&upload, &new).await, 200).await;
    assert_eq!((receipt.size, receipt.parts), (5 * MIB + 3, 2));
    assert_eq!(receipt.checksum, Some(checksum(&upload, &new)));
}

#[tokio::test]
async fn object_of_a_stream_at_a_chosen_key_is_described_with_the_sizes_of_its_parts() {
    let gateway = TestGateway::with_config(|config| config.client_keys = ClientKeys::All).await;
    let at_key = BeginRequest {
        key: Some("app/x".to_owned()),
        ..stream()
    };
    let upload = gateway.create_upload(&at_key).await;
    gateway.execute_sql("UPDATE upload SET double_after = 1");
    let bodies = [body(1, MIB_5), body(2, 2 * MIB_5), body(3, 77)];
    let parts = gateway.put_parts(&upload, &bodies).await;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
    let refused = gateway.begin("other", &at_key).await;
    assert_eq!(refused.status(), 409);
    let problem: Problem = refused.json().await.unwrap();
    let existing = problem.existing.unwrap();
    assert_eq!(existing.part_size, None);
    assert_eq!(existing.part_sizes, [5 * MIB, 10 * MIB, 77]);
}

#[tokio::test]
async fn signed_bytes_of_a_stream_count_towards_the_quotas() {
    let gateway = TestGateway::with_config(|config| {
        config.quota = Quota {
            outstanding: Some(11 * MIB),
            ..Quota::default()
        };
    })
    .await;
    let upload = gateway.create_upload(&stream()).await;
    let whole = body(1, MIB_5);
    // The same bytes are counted once.
    for number in [1, 2, 2] {
        let signed = gateway.sign(&upload, vec![part_spec(number, &whole)]).await;
        expect_json::<SignResponse>(signed, 200).await;
    }
    assert_eq!(
        sign_code(&gateway, &upload, part_spec(3, &whole)).await,
        "quota_exceeded"
    );
    let other = BeginRequest {
        name: "b".into(),
        ..begin_request(2 * MIB)
    };
    let refused = gateway.begin("b", &other).await;
    assert_eq!(problem_code(refused).await, "quota_exceeded");
    let last = gateway
        .sign(&upload, vec![part_spec(3, &body(1, 1 << 20))])
        .await;
    expect_json::<SignResponse>(last, 200).await;

    let path = format!("/v1/uploads/{}", upload.id);
    let aborted = gateway.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(aborted.status(), 204);
    assert!(gateway.store().find(&upload.key).await.unwrap().is_empty());
    expect_json::<BeginResponse>(gateway.begin("b", &other).await, 201).await;
}

#[tokio::test]
async fn claimed_stream_lists_its_parts_and_an_expired_one_is_swept() {
    let gateway =
        TestGateway::with_config(|config| config.sweep_interval = Some(Duration::from_millis(20)))
            .await;
    let upload = gateway.create_upload(&stream()).await;
    gateway
        .put_parts(&upload, &[body(1, MIB_5), body(2, 9)])
        .await;
    let path = format!("/v1/uploads/{}", upload.id);
    let claim = ClaimRequest {
        holder: "holder-a".into(),
        epoch: None,
    };
    let claimed: ClaimResponse =
        expect_json(gateway.post(&format!("{path}/claim"), &claim).await, 200).await;
    assert!(claimed.epoch > upload.epoch);
    let listed: PartList = expect_json(gateway.get(&format!("{path}/parts")).await, 200).await;
    let sizes: Vec<u64> = listed.parts.iter().map(|part| part.size).collect();
    assert_eq!((sizes, listed.next), (vec![5 * MIB, 9], None));
    assert_eq!(
        sign_code(&gateway, &upload, part_spec(1, b"a")).await,
        "lease_lost"
    );
    gateway.execute_sql("UPDATE upload SET lease_until = 0, expires_at = 0");
    let store = gateway.store();
    until("the end of the stream's multipart upload", async || {
        let found = store.find(&upload.key).await.unwrap();
        found.is_empty().then_some(())
    })
    .await;
    until("the state expired", async || {
        let state = status(&gateway, &upload).await.state;
        (state == UploadState::Expired).then_some(())
    })
    .await;
}

#[tokio::test]
async fn expected_size_is_for_streams_only_and_makes_parts_larger() {
    let gateway = TestGateway::new().await;
    let expecting = |size, expected| BeginRequest {
        size,
        expected_size: Some(expected),
        part_size: None,
        ..begin_request(0)
    };
    let refused = gateway.begin("a", &expecting(Some(1), 1)).await;
    assert_eq!(problem_code(refused).await, "invalid_request");
    let too_large = gateway.begin("b", &expecting(None, u64::MAX)).await;
    assert_eq!(problem_code(too_large).await, "too_large");
    let request = expecting(None, 100 << 30);
    let upload = gateway.create_upload(&request).await;
    assert_eq!(upload.part_size, 32 * MIB);
    let other = gateway.begin("c", &expecting(None, 1)).await;
    assert_eq!(
        expect_json::<BeginResponse>(other, 201).await.part_size,
        8 * MIB
    );
    let mismatch = gateway.begin("c", &request).await;
    assert_eq!(problem_code(mismatch).await, "idempotency_mismatch");
}
