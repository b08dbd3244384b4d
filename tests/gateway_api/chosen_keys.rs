//! Keys that clients choose: which ones an owner may choose, and the errors if a key is in use or
//! has an object.
//!
//! Not here: failures of the store (the unit tests of the gateway).

use futures_util::future::{join, join_all};
use serde_json::Value;
use upload_types::wire::{ExistingObject, IfExists};

use crate::gateway::*;
use crate::issuer::Issuer;

fn keys(patterns: &[&str]) -> OwnerLimits {
    OwnerLimits {
        keys: Some(patterns.iter().map(|&pattern| pattern.to_owned()).collect()),
        ..OwnerLimits::default()
    }
}

/// A gateway with tokens, and its ledger.
async fn with_tokens(change: impl FnOnce(&mut Config)) -> (TestGateway, Ledger) {
    let gateway = TestGateway::with_config(|config| {
        (config.auth, config.client_keys) = (Auth::Tokens, ClientKeys::ByPattern);
        change(config);
    })
    .await;
    let ledger = LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db"));
    let ledger = Ledger::open(&ledger).await.unwrap();
    (gateway, ledger)
}

/// Adds an owner with these patterns. Returns its token.
async fn owner(ledger: &Ledger, name: &str, patterns: &[&str]) -> Option<String> {
    let token = ledger.add_limited_token(name, None, keys(patterns)).await;
    Some(token.unwrap().expose().to_owned())
}

fn request(key: &str, if_exists: IfExists, size: u64) -> BeginRequest {
    BeginRequest {
        key: Some(key.to_owned()),
        if_exists: Some(if_exists),
        ..begin_request(size)
    }
}

/// The code of a refused begin, and its detail.
async fn refused(gateway: &TestGateway, request: &BeginRequest) -> (String, String) {
    let idempotency_key = Sha256::of(format!("{request:?}").as_bytes()).to_string();
    let response = gateway.begin(&idempotency_key, request).await;
    let problem: Problem = response.json().await.unwrap();
    (problem.code, problem.detail.unwrap_or_default())
}

/// Uploads these bytes by requests with this name. Returns the problem of the call that is refused.
async fn upload(
    gateway: &TestGateway,
    name: &str,
    request: &BeginRequest,
    body: &[u8],
) -> Result<Receipt, Problem> {
    let idempotency_key = Sha256::of(name.as_bytes()).to_string();
    let begun = gateway.begin(&idempotency_key, request).await;
    if !begun.status().is_success() {
        return Err(begun.json().await.unwrap());
    }
    let begun: BeginResponse = begun.json().await.unwrap();
    let bodies: Vec<Vec<u8>> = body.chunks(5 << 20).map(<[u8]>::to_vec).collect();
    let parts = gateway.put_parts(&begun, &bodies).await;
    let completed = gateway.complete(&begun, &parts).await;
    if completed.status().is_success() {
        Ok(completed.json().await.unwrap())
    } else {
        Err(completed.json().await.unwrap())
    }
}

async fn size_at(gateway: &TestGateway, key: &str) -> Option<u64> {
    let head = gateway.store().head(&key.parse().unwrap()).await;
    head.unwrap().map(|head| head.size)
}

#[tokio::test]
async fn owner_never_reaches_the_keys_of_another() {
    let (mut gateway, ledger) = with_tokens(|_| ()).await;
    let alice = owner(&ledger, "alice", &["alice/**", "é/**"]).await;
    let bob = owner(&ledger, "bob", &["bob/**", "*.txt"]).await;
    gateway.token.clone_from(&alice);
    for key in ["alice/x", "alice/sub/x", "e\u{301}/x"] {
        let request = request(key, IfExists::Fail, 5);
        upload(&gateway, key, &request, b"alice").await.unwrap();
    }
    assert_eq!(
        size_at(&gateway, "é/x").await,
        Some(5),
        "in its normal form"
    );

    gateway.token.clone_from(&bob);
    let not_allowed = [
        "alice/x",
        "alice/sub/x",
        "Alice/x",
        "ALICE/x",
        "alice%2Fx",
        "alice\\x",
        "alice/x.txt",
        "ａlice/x",
        "alicе/x",
        "é/x",
        "e\u{301}/x",
        "\u{200b}alice/x",
        "bo\u{301}b/x",
        "bob",
        "bobby/x",
        "bob\\..\\alice/x",
        "%2e%2e/alice/x",
        "uploads/x",
        "uploads/probe/x",
    ];
    let invalid = [
        "",
        "/alice/x",
        "bob/../alice/x",
        "bob/./../alice/x",
        "bob//../alice/x",
        "bob/sub/../../alice/x",
        "../alice/x",
        "bob/..",
        "bob/",
        "bob/a\nb",
        "bob/\u{0}",
        &"bob/".repeat(300),
    ];
    for if_exists in [IfExists::Same, IfExists::Overwrite] {
        for (names, code) in [
            (&not_allowed[..], "key_not_allowed"),
            (&invalid[..], "key_invalid"),
        ] {
            for name in names {
                let request = request(name, if_exists, 3);
                let (actual, detail) = refused(&gateway, &request).await;
                assert_eq!(actual, code, "{name:?}: {detail}");
            }
        }
    }
    let (_, detail) = refused(&gateway, &request("alice/x", IfExists::Same, 3)).await;
    assert_eq!(detail, "allowed: bob/**, *.txt");
    // These texts are plain names below its own folder.
    for key in [
        "bob/%2e%2e/alice/x",
        "bob/..%2Falice/x",
        "bob/...",
        "bob/a b+é?#",
        "x.txt",
    ] {
        let request = request(key, IfExists::Fail, 3);
        let receipt = upload(&gateway, key, &request, b"bob").await.unwrap();
        assert_eq!(receipt.key.as_str(), key);
        assert_eq!(size_at(&gateway, key).await, Some(3));
    }
    for key in ["alice/x", "alice/sub/x", "é/x"] {
        assert_eq!(size_at(&gateway, key).await, Some(5), "{key}");
    }
}

#[tokio::test]
async fn gateway_makes_all_keys_unless_it_permits_others() {
    for client_keys in [ClientKeys::None, ClientKeys::ByPattern] {
        let (mut gateway, ledger) = with_tokens(|config| config.client_keys = client_keys).await;
        let patterns = if client_keys == ClientKeys::None {
            owner(&ledger, "a", &["**"]).await
        } else {
            Some(ledger.add_token("a").await.unwrap().expose().to_owned())
        };
        gateway.token = patterns;
        let (code, _) = refused(&gateway, &request("a/x", IfExists::Same, 3)).await;
        assert_eq!(code, "key_not_allowed");
        let info: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;
        assert!(!info.client_keys && info.key_patterns.is_empty());
        let made = gateway.create_upload(&begin_request(3)).await;
        assert!(made.key.as_str().starts_with("uploads/"));
        let without_key = BeginRequest {
            if_exists: Some(IfExists::Fail),
            ..begin_request(3)
        };
        let (code, _) = refused(&gateway, &without_key).await;
        assert_eq!(code, "invalid_request");
    }
}

#[tokio::test]
async fn claim_selects_the_keys() {
    let issuer = Issuer::start().await;
    let rule = |claim: Option<&str>, patterns: &[&str]| LimitRule {
        owner: Some("jwt:**".into()),
        claim: claim.map(|value| ("environment".into(), value.to_owned())),
        limits: keys(patterns),
    };
    let rules = vec![
        rule(None, &["ci/*"]),
        rule(Some("production"), &["releases/**"]),
    ];
    let auth = Auth::Jwt {
        issuers: vec![issuer.config()],
        tokens: false,
    };
    let mut gateway = TestGateway::with_config(|config| {
        (config.auth, config.limit_rules) = (auth, rules);
        config.client_keys = ClientKeys::ByPattern;
    })
    .await;
    let production = issuer.claims_with("environment", Value::from("production"));
    let test = issuer.claims_with("environment", Value::from("test"));
    for (claims, allowed, not_allowed) in [
        (production, "releases/1.2/x", "ci/x"),
        (test, "ci/x", "releases/1.2/x"),
    ] {
        gateway.token = Some(crate::issuer::rsa_key().token("key-1", &claims));
        let (code, _) = refused(&gateway, &request(not_allowed, IfExists::Same, 3)).await;
        assert_eq!(code, "key_not_allowed");
        let begun = gateway
            .create_upload(&request(allowed, IfExists::Same, 3))
            .await;
        assert_eq!(begun.key.as_str(), allowed);
        let info: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;
        assert!(info.client_keys);
        assert!(allowed.starts_with(info.key_patterns[0].split('/').next().unwrap()));
    }
}

/// A value of a claim that looks like a pattern, or that leaves its folder, permits nothing more.
#[tokio::test]
async fn claim_in_a_pattern_limits_the_keys_to_its_value() {
    let issuer = Issuer::start().await;
    let rule = LimitRule {
        owner: Some("jwt:**".into()),
        claim: None,
        limits: keys(&["app/{environment}/**"]),
    };
    let auth = Auth::Jwt {
        issuers: vec![issuer.config()],
        tokens: false,
    };
    let mut gateway = TestGateway::with_config(|config| {
        (config.auth, config.limit_rules) = (auth, vec![rule]);
        config.client_keys = ClientKeys::ByPattern;
    })
    .await;
    let token = |value: &str| {
        let claims = issuer.claims_with("environment", Value::from(value));
        Some(crate::issuer::rsa_key().token("key-1", &claims))
    };
    for (value, key) in [
        ("acme/app", "app/acme/app/1.2/x"),
        ("*", "app/*/x"),
        ("e\u{301}", "app/\u{e9}/x"),
    ] {
        gateway.token = token(value);
        let begun = gateway
            .create_upload(&request(key, IfExists::Same, 3))
            .await;
        assert_eq!(begun.key.as_str(), key);
    }
    for value in [
        "acme/other",
        "*",
        "**",
        "acme/*",
        "..",
        "acme/../acme",
        "[a-z]*",
        "",
    ] {
        gateway.token = token(value);
        for key in ["app/acme/app/1.2/y", "app/acme/y", "app/x"] {
            let (code, _) = refused(&gateway, &request(key, IfExists::Same, 3)).await;
            assert_eq!(code, "key_not_allowed", "{value} {key}");
        }
    }
}

#[tokio::test]
async fn wrong_pattern_is_refused() {
    let (_gateway, ledger) = with_tokens(|_| ()).await;
    // An API token has no claims.
    let claim = keys(&["app/{repository}/**"]);
    let refused = ledger.add_limited_token("a", None, claim).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Usage);
    for wrong in ["", "/app/**", "app/[a"] {
        let refused = ledger.add_limited_token("a", None, keys(&[wrong])).await;
        assert_eq!(refused.unwrap_err().kind(), Kind::Usage, "{wrong:?}");
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), Auth::Tokens);
        config.limit_rules = vec![LimitRule {
            owner: Some("token:*".into()),
            claim: None,
            limits: keys(&[wrong]),
        }];
        assert_eq!(config.validate().unwrap_err().kind(), Kind::Config);
    }
}

#[tokio::test]
async fn owners_that_share_a_pattern_share_its_objects() {
    let (mut gateway, ledger) = with_tokens(|_| ()).await;
    let alice = owner(&ledger, "alice", &["shared/**"]).await;
    let bob = owner(&ledger, "bob", &["shared/**"]).await;
    gateway.token.clone_from(&alice);
    let fail = request("shared/x", IfExists::Fail, 5);
    let first = upload(&gateway, "a", &fail, b"alice").await.unwrap();
    gateway.token.clone_from(&bob);
    let problem = upload(&gateway, "a", &fail, b"bob!!").await.unwrap_err();
    assert_eq!((problem.code.as_str(), problem.status), ("exists", 409));
    let existing: ExistingObject = *problem.existing.unwrap();
    assert_eq!((existing.size, existing.etag), (5, first.etag));
    assert_eq!(existing.checksum, first.checksum);
    assert_eq!(existing.upload, None, "it is an upload of another owner");
    let overwrite = request("shared/x", IfExists::Overwrite, 3);
    upload(&gateway, "b", &overwrite, b"bob").await.unwrap();
    assert_eq!(size_at(&gateway, "shared/x").await, Some(3));
    gateway.token.clone_from(&alice);
    let status = gateway
        .get(&format!("/v1/uploads/{}", first.id.as_ref().unwrap()))
        .await;
    let status: UploadStatus = expect_json(status, 200).await;
    assert_eq!(status.object, Some(ObjectState::Replaced));
    let url = gateway
        .get(&format!("/v1/uploads/{}/url", first.id.as_ref().unwrap()))
        .await;
    assert_eq!(problem_code(url).await, "gone");
}

#[tokio::test]
async fn one_of_two_clients_gets_the_key_and_its_object_is_whole() {
    let (mut gateway, ledger) = with_tokens(|_| ()).await;
    gateway.token = owner(&ledger, "ci", &["app/**"]).await;
    for if_exists in [IfExists::Same, IfExists::Overwrite] {
        for size in [3, 2 * (5 << 20) + 3] {
            let key = format!("app/{}/{size}", if_exists.name());
            let request = request(&key, if_exists, size as u64);
            let bodies = [vec![1; size], vec![2; size]];
            let results = join(
                upload(&gateway, &format!("{key} 1"), &request, &bodies[0]),
                upload(&gateway, &format!("{key} 2"), &request, &bodies[1]),
            )
            .await;
            let (winner, receipt, problem) = match results {
                (Ok(receipt), Err(problem)) => (0, receipt, problem),
                (Err(problem), Ok(receipt)) => (1, receipt, problem),
                // The second one began after the first one was complete.
                (Ok(_), Ok(receipt)) if if_exists == IfExists::Overwrite => {
                    assert_eq!(size_at(&gateway, &key).await, Some(receipt.size));
                    continue;
                }
                other => panic!("{other:?}"),
            };
            assert!(
                ["exists", "key_in_use"].contains(&problem.code.as_str()),
                "{problem:?}"
            );
            let digests: Vec<Sha256> = bodies[winner].chunks(5 << 20).map(Sha256::of).collect();
            let expected = match digests.as_slice() {
                [only] => Checksum::whole(only),
                digests => Checksum::composite(digests),
            };
            assert!(receipt.checksum.unwrap().has_content_of(&expected));
            let head = gateway
                .store()
                .head(&key.parse().unwrap())
                .await
                .unwrap()
                .unwrap();
            assert!(head.checksum.unwrap().has_content_of(&expected));
            assert_eq!(head.size, size as u64);
        }
    }
    assert!(
        gateway
            .store()
            .find(&"app/same/3".parse().unwrap())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn key_in_use_is_reported_with_the_time_to_wait() {
    let (mut gateway, ledger) = with_tokens(|_| ()).await;
    gateway.token = owner(&ledger, "ci", &["app/**"]).await;
    let request = request("app/x", IfExists::Same, TWO_PARTS);
    let begun = gateway.create_upload(&request).await;
    let other = gateway.begin("other", &request).await;
    assert_eq!(other.status(), 409);
    assert_eq!(other.headers()["retry-after"], "10");
    assert_eq!(problem_code(other).await, "key_in_use");
    // An abort frees it at once.
    let path = format!("/v1/uploads/{}", begun.id);
    let aborted = gateway.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(aborted.status(), 204);
    let next: BeginResponse = expect_json(gateway.begin("other", &request).await, 201).await;
    // So does the end of its lease.
    gateway.execute_sql("UPDATE upload SET lease_until = 1");
    let last: BeginResponse = expect_json(gateway.begin("last", &request).await, 201).await;
    let next = gateway.get(&format!("/v1/uploads/{}", next.id)).await;
    let next: UploadStatus = expect_json(next, 200).await;
    assert_eq!(next.state, UploadState::Expired);
    let parts = gateway.put_parts(&last, &bodies()).await;
    let receipt: Receipt = expect_json(gateway.complete(&last, &parts).await, 200).await;
    assert_eq!(receipt.unproven, Vec::<String>::new());
}

#[tokio::test]
async fn batch_has_an_outcome_for_each_key() {
    let (mut gateway, ledger) = with_tokens(|_| ()).await;
    gateway.token = owner(&ledger, "ci", &["app/**"]).await;
    let existing = request("app/0", IfExists::Same, 3);
    upload(&gateway, "first", &existing, b"abc").await.unwrap();
    let begin = |key: &str| BatchBegin {
        idempotency_key: format!("batch {key}").replace(' ', "-"),
        request: request(key, IfExists::Same, 3),
    };
    let mut begins: Vec<BatchBegin> = (0..64).map(|n| begin(&format!("app/{n}"))).collect();
    begins.push(begin("other/x"));
    begins.push(BatchBegin {
        idempotency_key: "twice".into(),
        ..begin("app/1")
    });
    let batch = BatchRequest {
        begin: begins,
        ..BatchRequest::default()
    };
    let response: BatchResponse = expect_json(gateway.post("/v1/batch", &batch).await, 200).await;
    let codes: Vec<String> = response
        .begin
        .iter()
        .map(|outcome| match &outcome.body {
            BatchBody::Response(response) => response.key.to_string(),
            BatchBody::Problem(problem) => problem.code.clone(),
        })
        .collect();
    let mut expected: Vec<String> = (0..64).map(|n| format!("app/{n}")).collect();
    expected[0] = "exists".into();
    expected.push("key_not_allowed".into());
    // Either of the two at this key may begin.
    let of_one = [codes[1].as_str(), codes[65].as_str()];
    assert!(
        of_one == ["app/1", "key_in_use"] || of_one == ["key_in_use", "app/1"],
        "{of_one:?}"
    );
    expected[1].clone_from(&codes[1]);
    expected.push(codes[65].clone());
    assert_eq!(codes, expected);
    let BatchBody::Problem(problem) = &response.begin[0].body else {
        panic!("the object is not described")
    };
    assert_eq!(problem.existing.as_ref().unwrap().size, 3);
}

#[tokio::test]
async fn concurrent_uploads_at_different_keys_are_all_stored() {
    let (mut gateway, ledger) = with_tokens(|_| ()).await;
    gateway.token = owner(&ledger, "ci", &["app/**"]).await;
    let names = (0..20).map(|n| format!("app/{n}"));
    let uploads = names.map(async |key| {
        let request = request(&key, IfExists::Fail, 3);
        upload(&gateway, &key, &request, b"abc")
            .await
            .unwrap()
            .key
            .to_string()
    });
    let stored = join_all(uploads).await;
    assert_eq!(stored.len(), 20);
    assert_eq!(size_at(&gateway, "app/19").await, Some(3));
}
