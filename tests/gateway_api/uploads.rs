//! An upload's life over the API: begin, claim, sign, list, complete, abort, read.
//!
//! Border: a healthy store and a gateway that stays up; the rest is `crashes`.

use crate::world::*;

#[tokio::test]
async fn info_tells_limits_and_identity() {
    let world = World::new().await;
    let info: BackendInfo = good(world.get("/v1").await, 200).await;
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
        assert_eq!(world.get(path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn the_store_passes_the_probe() {
    let world =
        World::with(|config| (config.probe, config.proof) = (ProbePolicy::Require, None)).await;
    let info: BackendInfo = good(world.get("/v1").await, 200).await;
    assert_eq!(info.proof, Proof::Sha256);
}

#[tokio::test]
async fn begin_is_idempotent() {
    let world = World::new().await;
    let request = begin(TWO_PARTS);
    let first: BeginResponse = good(world.begin("key-1", &request).await, 201).await;
    assert_eq!(
        (first.part_size, first.part_count, first.state),
        (5 * MIB, 2, UploadState::Pending)
    );
    let key = first.key.as_str();
    let owner = key
        .strip_prefix("uploads/")
        .and_then(|rest| rest.split('/').next())
        .unwrap();
    assert!(
        owner.len() == 26
            && owner
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
        "{key}"
    );
    assert_eq!(key, format!("uploads/{owner}/{}.mov", first.id));

    let again: BeginResponse = good(world.begin("key-1", &request).await, 200).await;
    assert_eq!((&again.id, again.epoch), (&first.id, first.epoch));
    assert_eq!(world.store().find(&first.key).await.unwrap().len(), 1);
    let other: BeginResponse = good(world.begin("key-2", &request).await, 201).await;
    assert_ne!(other.id, first.id);
    assert_eq!(
        code(world.begin("key-1", &begin(TWO_PARTS + 1)).await).await,
        "idempotency_mismatch"
    );
    let others = [
        BeginRequest {
            name: "b".into(),
            ..request.clone()
        },
        BeginRequest {
            content_type: "text/plain".into(),
            ..request.clone()
        },
        BeginRequest {
            part_size: Some(6 * MIB),
            ..request.clone()
        },
        BeginRequest {
            metadata: [("k".to_owned(), "v".to_owned())].into(),
            ..request.clone()
        },
    ];
    for other in others {
        assert_eq!(
            code(world.begin("key-1", &other).await).await,
            "idempotency_mismatch"
        );
    }
    assert_eq!(
        code(world.post("/v1/uploads", &request).await).await,
        "invalid_request"
    );
    for stranger in [Some("holder-b".to_owned()), None] {
        let stranger = BeginRequest {
            holder: stranger,
            ..request.clone()
        };
        assert_eq!(
            code(world.begin("key-1", &stranger).await).await,
            "lease_held"
        );
    }
}

#[tokio::test]
async fn begun_many_times_at_once_there_is_one_upload() {
    let world = World::new().await;
    let request = begin(TWO_PARTS);
    let answers =
        futures_util::future::join_all((0..10).map(|_| world.begin("key", &request))).await;
    let mut ids = Vec::new();
    for answer in answers {
        if answer.status() == StatusCode::CONFLICT {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_eq!(code(answer).await, "busy");
        } else {
            ids.push(answer.json::<BeginResponse>().await.unwrap());
        }
    }
    assert!(ids.iter().all(|answer| answer.id == ids[0].id));
    assert_eq!(world.store().find(&ids[0].key).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_parts_become_one_object() {
    let world = World::new().await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let parts = world.send(&upload, &bodies()).await;

    let path = format!("/v1/uploads/{}", upload.id);
    let listed: PartList = good(world.get(&format!("{path}/parts")).await, 200).await;
    let held: Vec<_> = listed
        .parts
        .iter()
        .map(|part| (part.number, part.sha256.unwrap(), &part.etag))
        .collect();
    assert_eq!(
        held,
        parts
            .iter()
            .map(|part| (part.number, part.sha256, &part.etag))
            .collect::<Vec<_>>()
    );
    let behind: PartList = good(world.get(&format!("{path}/parts?after=1")).await, 200).await;
    assert_eq!(behind.parts, listed.parts[1..]);
    assert_eq!(code(world.get(&format!("{path}/url")).await).await, "busy");

    let receipt: Receipt = good(world.complete(&upload, &parts).await, 200).await;
    assert_eq!(
        receipt.checksum,
        Some(Checksum::composite(parts.iter().map(|part| &part.sha256)))
    );
    assert_eq!(
        (receipt.size, receipt.parts, receipt.sha256),
        (TWO_PARTS, 2, None)
    );
    assert_eq!((receipt.proof, &receipt.key), (Proof::Sha256, &upload.key));
    assert_eq!(receipt.location, format!("embedded:{}", upload.key));
    assert_eq!(
        receipt.backend,
        world.running.url().as_str().trim_end_matches('/')
    );
    let again: Receipt = good(world.complete(&upload, &parts).await, 200).await;
    assert_eq!(again, receipt);
    let status: UploadStatus = good(world.get(&path).await, 200).await;
    assert_eq!(
        (status.state, status.receipt),
        (UploadState::Ready, Some(receipt))
    );
    assert_eq!(
        code(world.request(Method::DELETE, &path).send().await.unwrap()).await,
        "not_abortable"
    );

    let read: ReadUrl = good(world.get(&format!("{path}/url?expires=60")).await, 200).await;
    assert_eq!(read.expires_in, Some(60));
    let object = world.client.get(read.url.expose()).send().await.unwrap();
    assert!(
        object.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .starts_with("attachment")
    );
    assert_eq!(object.bytes().await.unwrap(), bodies().concat());
    assert_eq!(
        code(world.get(&format!("{path}/url?expires=604801")).await).await,
        "invalid_request"
    );
}

#[tokio::test]
async fn a_signed_url_is_good_for_its_bytes_alone() {
    let world = World::new().await;
    let [first, second] = bodies();
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let signed: SignResponse = good(world.sign(&upload, vec![spec(2, &second)]).await, 200).await;
    assert!(
        world
            .put(&signed.parts[0], vec![3; 77])
            .await
            .status()
            .is_client_error()
    );
    let changed = PartSpec {
        sha256: Sha256::of(&first),
        ..spec(2, &second)
    };
    assert_eq!(
        code(world.sign(&upload, vec![spec(1, &first), changed]).await).await,
        "part_pinned"
    );
    // A refused sign pins nothing: the first part is still free.
    let other = vec![9; 5 << 20];
    good::<SignResponse>(
        world
            .sign(&upload, vec![spec(1, &other), spec(2, &second)])
            .await,
        200,
    )
    .await;
    for wrong in [spec(1, &second), spec(3, &second)] {
        assert_eq!(
            code(world.sign(&upload, vec![wrong]).await).await,
            "invalid_request"
        );
    }
    assert_eq!(
        code(world.sign(&upload, Vec::new()).await).await,
        "invalid_request"
    );
    let many = (1..=1001).map(|_| spec(2, &second)).collect();
    assert_eq!(
        code(world.sign(&upload, many).await).await,
        "invalid_request"
    );
}

#[tokio::test]
async fn a_small_file_costs_two_calls_and_one_put() {
    let world = World::new().await;
    let body = b"small".to_vec();
    let request = BeginRequest {
        parts: Some(vec![spec(1, &body)]),
        ..begin(5)
    };
    let upload = world.begun(&request).await;
    assert_eq!(upload.state, UploadState::Uploading);
    let signed = &upload.parts.as_ref().unwrap()[0];
    let sha256 = Sha256::of(&body);
    let part = CompletePart {
        number: PartNumber::FIRST,
        etag: etag(&world.put(signed, body).await),
        sha256,
    };
    let listed: PartList = good(
        world.get(&format!("/v1/uploads/{}/parts", upload.id)).await,
        200,
    )
    .await;
    assert_eq!(
        (listed.parts.len(), listed.parts[0].sha256),
        (1, Some(sha256))
    );
    let receipt: Receipt = good(world.complete(&upload, &[part]).await, 200).await;
    assert_eq!(
        (receipt.sha256, receipt.checksum),
        (Some(sha256), Some(Checksum::whole(&sha256)))
    );

    let misfit = BeginRequest {
        parts: Some(vec![spec(1, b"another length")]),
        ..begin(6)
    };
    assert!(world.begun(&misfit).await.parts.is_none());
}

#[tokio::test]
async fn nothing_is_a_file_too() {
    let world = World::new().await;
    let upload = world.begun(&begin(0)).await;
    assert_eq!(upload.part_count, 1);
    let parts = world.send(&upload, &[Vec::new()]).await;
    let receipt: Receipt = good(world.complete(&upload, &parts).await, 200).await;
    assert_eq!((receipt.size, receipt.parts), (0, 1));
}

#[tokio::test]
async fn one_holder_at_a_time() {
    let world = World::new().await;
    let mut upload = world.begun(&begin(TWO_PARTS)).await;
    let path = format!("/v1/uploads/{}/claim", upload.id);
    let claim = |holder: &str, epoch| {
        let request = ClaimRequest {
            holder: holder.to_owned(),
            epoch,
        };
        let (world, path) = (&world, &path);
        async move { world.post(path, &request).await }
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
    assert_eq!(code(held).await, "lease_held");
    let renewed: ClaimResponse = good(claim("holder-a", Some(upload.epoch)).await, 200).await;
    assert_eq!(renewed.epoch, upload.epoch);
    let resumed: ClaimResponse = good(claim("holder-a", None).await, 200).await;
    assert_eq!(resumed.epoch, upload.epoch + 1);

    let [_, second] = bodies();
    assert_eq!(
        code(claim("holder-a", Some(upload.epoch)).await).await,
        "lease_lost"
    );
    assert_eq!(
        code(world.sign(&upload, vec![spec(2, &second)]).await).await,
        "lease_lost"
    );
    upload.epoch = resumed.epoch;
    let parts = world.send(&upload, &bodies()).await;
    upload.epoch -= 1;
    assert_eq!(
        code(world.complete(&upload, &parts).await).await,
        "lease_lost"
    );
    upload.epoch += 1;
    good::<Receipt>(world.complete(&upload, &parts).await, 200).await;
}

#[tokio::test]
async fn complete_is_reviewed_and_the_store_has_the_last_word() {
    let world = World::new().await;
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let bodies = bodies();
    let [first, second] = &bodies;
    let made_up = |number: u32, body: &[u8]| CompletePart {
        number: number.try_into().unwrap(),
        etag: "made-up".parse().unwrap(),
        sha256: Sha256::of(body),
    };
    let claimed = [made_up(1, first), made_up(2, second)];
    assert_eq!(
        code(world.complete(&upload, &claimed[..1]).await).await,
        "source_mismatch"
    );
    assert_eq!(
        code(
            world
                .complete(&upload, &[claimed[1].clone(), claimed[0].clone()])
                .await
        )
        .await,
        "source_mismatch"
    );
    assert_eq!(
        code(world.complete(&upload, &claimed).await).await,
        "parts_mismatch"
    );
    let status: UploadStatus =
        good(world.get(&format!("/v1/uploads/{}", upload.id)).await, 200).await;
    assert_eq!(status.state, UploadState::Uploading);
    let parts = world.send(&upload, &bodies).await;
    let [one, two] = tokio::join!(
        world.complete(&upload, &parts),
        world.complete(&upload, &parts)
    )
    .into();
    assert_eq!(
        good::<Receipt>(one, 200).await,
        good::<Receipt>(two, 200).await
    );
}

#[tokio::test]
async fn abort_leaves_nothing_in_the_store() {
    let world = World::new().await;
    let abort = async |upload: &BeginResponse| {
        world
            .request(Method::DELETE, &format!("/v1/uploads/{}", upload.id))
            .send()
            .await
            .unwrap()
    };
    let upload = world.begun(&begin(TWO_PARTS)).await;
    let parts = world.send(&upload, &bodies()).await;
    assert_eq!(world.store().find(&upload.key).await.unwrap().len(), 1);
    for _ in 0..2 {
        assert_eq!(abort(&upload).await.status(), 204);
    }
    assert!(world.store().find(&upload.key).await.unwrap().is_empty());
    assert_eq!(code(world.complete(&upload, &parts).await).await, "gone");
    assert_eq!(
        code(world.sign(&upload, vec![spec(2, &bodies()[1])]).await).await,
        "gone"
    );
    assert_eq!(
        code(world.get(&format!("/v1/uploads/{}/parts", upload.id)).await).await,
        "gone"
    );

    let single = world.begun(&begin(3)).await;
    world.send(&single, &[b"abc".to_vec()]).await;
    assert!(world.store().head(&single.key).await.unwrap().is_some());
    assert_eq!(abort(&single).await.status(), 204);
    assert!(world.store().head(&single.key).await.unwrap().is_none());

    let aborted: UploadList = good(world.get("/v1/uploads?state=aborted").await, 200).await;
    assert_eq!(aborted.uploads.len(), 2);
    let pending: UploadList = good(world.get("/v1/uploads?state=pending").await, 200).await;
    assert!(pending.uploads.is_empty());
    assert_eq!(
        code(world.get("/v1/uploads?state=nonsense").await).await,
        "invalid_request"
    );
}

#[tokio::test]
async fn what_is_not_taken_is_said_by_its_code() {
    let world = World::with(|config| {
        config.allow_types = vec!["video/*".to_owned()];
        config.max_size = Some(100 * MIB);
    })
    .await;
    let refused = async |change: fn(&mut BeginRequest)| {
        let mut request = begin(1);
        change(&mut request);
        let answer = world.begin("key", &request).await;
        (answer.status().as_u16(), code(answer).await)
    };
    assert_eq!(
        refused(|r| r.name = "a\u{7}".into()).await,
        (422, "name_invalid".into())
    );
    assert_eq!(
        refused(|r| r.content_type = "text/html".into()).await,
        (415, "type_not_allowed".into())
    );
    assert_eq!(
        refused(|r| r.size = Some(100 * MIB + 1)).await,
        (413, "too_large".into())
    );
    assert_eq!(
        refused(|r| r.size = Some(u64::MAX)).await,
        (413, "too_large".into())
    );
    assert_eq!(
        refused(|r| r.part_size = Some(1)).await,
        (400, "invalid_request".into())
    );
    assert_eq!(
        refused(|r| r.size = None).await,
        (400, "invalid_request".into())
    );
    assert_eq!(
        refused(|r| drop(r.metadata.insert("A".into(), "b".into()))).await,
        (400, "invalid_request".into())
    );
}

#[tokio::test]
async fn many_parts_are_signed_in_their_order() {
    let world = World::new().await;
    let upload = world.begun(&begin(600 * 5 * MIB)).await;
    let part = |number| PartSpec {
        size: 5 * MIB,
        ..spec(number, b"any")
    };
    let signed: SignResponse = good(
        world.sign(&upload, (1..=600).map(part).collect()).await,
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
            panic!("not to be sent")
        };
        assert!(
            put.url
                .expose()
                .contains(&format!("partNumber={}&", put.number))
        );
    }
}
