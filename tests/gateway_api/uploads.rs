//! The life of an upload over the API: begin, claim, sign, list, complete, abort, read.
//!
//! Not here: restarts and crashes (`recovery`).

use crate::gateway::*;

#[tokio::test]
async fn info_contains_limits_and_identity() {
    let gateway = TestGateway::new().await;
    let info: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;
    assert_eq!((info.protocol, info.proof), (1, Proof::Sha256));
    assert_eq!(
        (
            info.capabilities["length"].as_str(),
            info.capabilities["composite"].as_str()
        ),
        ("yes", "yes")
    );
    assert!(info.limits.min_part <= 5 * MIB && info.limits.max_parts >= 10_000);
    assert_eq!(info.instance_id.len(), 36);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.get(path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn embedded_store_passes_the_probe() {
    let gateway = TestGateway::with_config(|config| {
        (config.probe, config.proof) = (ProbePolicy::Require, None);
    })
    .await;
    let info: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;
    assert_eq!(info.proof, Proof::Sha256);
}

#[tokio::test]
async fn two_parts_become_one_object() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let parts = gateway.put_parts(&upload, &bodies()).await;

    let path = format!("/v1/uploads/{}", upload.id);
    let listed: PartList = expect_json(gateway.get(&format!("{path}/parts")).await, 200).await;
    let listed_parts: Vec<_> = listed
        .parts
        .iter()
        .map(|part| (part.number, part.sha256.unwrap(), &part.etag))
        .collect();
    assert_eq!(
        listed_parts,
        parts
            .iter()
            .map(|part| (part.number, part.sha256, &part.etag))
            .collect::<Vec<_>>()
    );
    let rest: PartList =
        expect_json(gateway.get(&format!("{path}/parts?after=1")).await, 200).await;
    assert_eq!(rest.parts, listed.parts[1..]);
    assert_eq!(
        problem_code(gateway.get(&format!("{path}/url")).await).await,
        "not_ready"
    );

    let receipt: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    assert_eq!(
        receipt.checksum,
        Some(Checksum::composite(parts.iter().map(|part| &part.sha256)))
    );
    assert_eq!(
        (receipt.size, receipt.parts, receipt.sha256),
        (TWO_PARTS, 2, None)
    );
    assert_eq!((receipt.proof, &receipt.key), (Proof::Sha256, &upload.key));
    assert_eq!(receipt.location, Some(format!("embedded:{}", upload.key)));
    assert_eq!(
        receipt.backend,
        gateway.running.url().as_str().trim_end_matches('/')
    );
    let again: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    assert_eq!(again, receipt);
    let status: UploadStatus = expect_json(gateway.get(&path).await, 200).await;
    assert_eq!(
        (status.state, status.receipt),
        (UploadState::Ready, Some(receipt))
    );
    assert_eq!(
        problem_code(gateway.request(Method::DELETE, &path).send().await.unwrap()).await,
        "not_abortable"
    );

    let read: ReadUrl =
        expect_json(gateway.get(&format!("{path}/url?expires=60")).await, 200).await;
    assert_eq!(read.expires_in, Some(60));
    let object = gateway.client.get(read.url.expose()).send().await.unwrap();
    assert!(
        object.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .starts_with("attachment")
    );
    assert_eq!(object.bytes().await.unwrap(), bodies().concat());
    assert_eq!(
        problem_code(gateway.get(&format!("{path}/url?expires=604801")).await).await,
        "invalid_request"
    );
}

#[tokio::test]
async fn signed_url_accepts_only_its_bytes() {
    let gateway = TestGateway::new().await;
    let [first, second] = bodies();
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let signed: SignResponse = expect_json(
        gateway.sign(&upload, vec![part_spec(2, &second)]).await,
        200,
    )
    .await;
    assert!(
        gateway
            .put(&signed.parts[0], vec![3; 77])
            .await
            .status()
            .is_client_error()
    );
    let changed = PartSpec {
        sha256: Sha256::of(&first),
        ..part_spec(2, &second)
    };
    assert_eq!(
        problem_code(
            gateway
                .sign(&upload, vec![part_spec(1, &first), changed])
                .await
        )
        .await,
        "part_pinned"
    );
    // A rejected sign pins nothing: part 1 can be signed with other bytes.
    let other = vec![9; 5 << 20];
    expect_json::<SignResponse>(
        gateway
            .sign(&upload, vec![part_spec(1, &other), part_spec(2, &second)])
            .await,
        200,
    )
    .await;
    for wrong in [part_spec(1, &second), part_spec(3, &second)] {
        assert_eq!(
            problem_code(gateway.sign(&upload, vec![wrong]).await).await,
            "invalid_request"
        );
    }
    assert_eq!(
        problem_code(gateway.sign(&upload, Vec::new()).await).await,
        "invalid_request"
    );
    let many = (1..=1001).map(|_| part_spec(2, &second)).collect();
    assert_eq!(
        problem_code(gateway.sign(&upload, many).await).await,
        "invalid_request"
    );
}

#[tokio::test]
async fn small_file_needs_two_calls_and_one_put() {
    let gateway = TestGateway::new().await;
    let body = b"small".to_vec();
    let request = BeginRequest {
        parts: Some(vec![part_spec(1, &body)]),
        ..begin_request(5)
    };
    let upload = gateway.create_upload(&request).await;
    assert_eq!(upload.state, UploadState::Uploading);
    let signed = &upload.parts.as_ref().unwrap()[0];
    let sha256 = Sha256::of(&body);
    let part = CompletePart {
        number: PartNumber::FIRST,
        etag: etag(&gateway.put(signed, body).await),
        sha256,
    };
    let listed: PartList = expect_json(
        gateway
            .get(&format!("/v1/uploads/{}/parts", upload.id))
            .await,
        200,
    )
    .await;
    assert_eq!(
        (listed.parts.len(), listed.parts[0].sha256),
        (1, Some(sha256))
    );
    let receipt: Receipt = expect_json(gateway.complete(&upload, &[part]).await, 200).await;
    assert_eq!(
        (receipt.sha256, receipt.checksum),
        (Some(sha256), Some(Checksum::whole(&sha256)))
    );

    let mismatch = BeginRequest {
        parts: Some(vec![part_spec(1, b"another length")]),
        ..begin_request(6)
    };
    assert!(gateway.create_upload(&mismatch).await.parts.is_none());
}

#[tokio::test]
async fn empty_file_is_one_part() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(0)).await;
    assert_eq!(upload.part_count, 1);
    let parts = gateway.put_parts(&upload, &[Vec::new()]).await;
    let receipt: Receipt = expect_json(gateway.complete(&upload, &parts).await, 200).await;
    assert_eq!((receipt.size, receipt.parts), (0, 1));
}

#[tokio::test]
async fn lease_admits_one_holder_at_a_time() {
    let gateway = TestGateway::new().await;
    let mut upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let path = format!("/v1/uploads/{}/claim", upload.id);
    let claim = |holder: &str, epoch| {
        let request = ClaimRequest {
            holder: holder.to_owned(),
            epoch,
        };
        let (gateway, path) = (&gateway, &path);
        async move { gateway.post(path, &request).await }
    };
    let held = claim("holder-b", None).await;
    assert!(
        (1..=60).contains(
            &held.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        )
    );
    assert_eq!(problem_code(held).await, "lease_held");
    let renewed: ClaimResponse =
        expect_json(claim("holder-a", Some(upload.epoch)).await, 200).await;
    assert_eq!(renewed.epoch, upload.epoch);
    let resumed: ClaimResponse = expect_json(claim("holder-a", None).await, 200).await;
    assert_eq!(resumed.epoch, upload.epoch + 1);

    let [_, second] = bodies();
    assert_eq!(
        problem_code(claim("holder-a", Some(upload.epoch)).await).await,
        "lease_lost"
    );
    assert_eq!(
        problem_code(gateway.sign(&upload, vec![part_spec(2, &second)]).await).await,
        "lease_lost"
    );
    upload.epoch = resumed.epoch;
    let parts = gateway.put_parts(&upload, &bodies()).await;
    upload.epoch -= 1;
    assert_eq!(
        problem_code(gateway.complete(&upload, &parts).await).await,
        "lease_lost"
    );
    upload.epoch += 1;
    expect_json::<Receipt>(gateway.complete(&upload, &parts).await, 200).await;
}

#[tokio::test]
async fn complete_is_checked_against_the_ledger_and_the_store() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let bodies = bodies();
    let [first, second] = &bodies;
    let made_up = |number: u32, body: &[u8]| CompletePart {
        number: number.try_into().unwrap(),
        etag: "made-up".parse().unwrap(),
        sha256: Sha256::of(body),
    };
    let claimed = [made_up(1, first), made_up(2, second)];
    assert_eq!(
        problem_code(gateway.complete(&upload, &claimed[..1]).await).await,
        "source_mismatch"
    );
    assert_eq!(
        problem_code(
            gateway
                .complete(&upload, &[claimed[1].clone(), claimed[0].clone()])
                .await
        )
        .await,
        "source_mismatch"
    );
    assert_eq!(
        problem_code(gateway.complete(&upload, &claimed).await).await,
        "parts_mismatch"
    );
    let status: UploadStatus = expect_json(
        gateway.get(&format!("/v1/uploads/{}", upload.id)).await,
        200,
    )
    .await;
    assert_eq!(status.state, UploadState::Uploading);
    let parts = gateway.put_parts(&upload, &bodies).await;
    let [one, two] = tokio::join!(
        gateway.complete(&upload, &parts),
        gateway.complete(&upload, &parts)
    )
    .into();
    assert_eq!(
        expect_json::<Receipt>(one, 200).await,
        expect_json::<Receipt>(two, 200).await
    );
}

#[tokio::test]
async fn abort_leaves_nothing_in_the_store() {
    let gateway = TestGateway::new().await;
    let abort = async |upload: &BeginResponse| {
        gateway
            .request(Method::DELETE, &format!("/v1/uploads/{}", upload.id))
            .send()
            .await
            .unwrap()
    };
    let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
    let parts = gateway.put_parts(&upload, &bodies()).await;
    assert_eq!(gateway.store().find(&upload.key).await.unwrap().len(), 1);
    for _ in 0..2 {
        assert_eq!(abort(&upload).await.status(), 204);
    }
    assert!(gateway.store().find(&upload.key).await.unwrap().is_empty());
    assert_eq!(
        problem_code(gateway.complete(&upload, &parts).await).await,
        "gone"
    );
    assert_eq!(
        problem_code(
            gateway
                .sign(&upload, vec![part_spec(2, &bodies()[1])])
                .await
        )
        .await,
        "gone"
    );
    assert_eq!(
        problem_code(
            gateway
                .get(&format!("/v1/uploads/{}/parts", upload.id))
                .await
        )
        .await,
        "gone"
    );

    let single = gateway.create_upload(&begin_request(3)).await;
    gateway.put_parts(&single, &[b"abc".to_vec()]).await;
    assert!(gateway.store().head(&single.key).await.unwrap().is_some());
    assert_eq!(abort(&single).await.status(), 204);
    assert!(gateway.store().head(&single.key).await.unwrap().is_none());

    let aborted: UploadList =
        expect_json(gateway.get("/v1/uploads?state=aborted").await, 200).await;
    assert_eq!(aborted.uploads.len(), 2);
    let pending: UploadList =
        expect_json(gateway.get("/v1/uploads?state=pending").await, 200).await;
    assert!(pending.uploads.is_empty());
    assert_eq!(
        problem_code(gateway.get("/v1/uploads?state=nonsense").await).await,
        "invalid_request"
    );
}

#[tokio::test]
async fn many_parts_are_signed_in_order() {
    let gateway = TestGateway::new().await;
    let upload = gateway.create_upload(&begin_request(600 * 5 * MIB)).await;
    let part = |number| PartSpec {
        size: 5 * MIB,
        ..part_spec(number, b"any")
    };
    let signed: SignResponse = expect_json(
        gateway.sign(&upload, (1..=600).map(part).collect()).await,
        200,
    )
    .await;
    let numbers: Vec<u32> = signed
        .parts
        .iter()
        .map(|signed| signed.number().get())
        .collect();
    assert_eq!(numbers, (1..=600).collect::<Vec<_>>());
    for signed in &signed.parts {
        let SignedPart::Put(put) = signed else {
            panic!("the part needs no PUT")
        };
        assert!(
            put.url
                .expose()
                .contains(&format!("partNumber={}&", put.number))
        );
    }
}
