//! Limits of one owner: of its token, or of the most specific rule for its subject or its claims.

use serde_json::Value;

use crate::gateway::*;
use crate::issuer::Issuer;
use crate::issuer::rsa_key;

fn open(count: u64) -> OwnerLimits {
    OwnerLimits {
        quota: Some(Quota {
            open: Some(count),
            ..Quota::default()
        }),
        ..OwnerLimits::default()
    }
}

fn rule(owner: Option<&str>, claim: Option<(&str, &str)>, limits: OwnerLimits) -> LimitRule {
    LimitRule {
        owner: owner.map(str::to_owned),
        claim: claim.map(|(name, glob)| (name.to_owned(), glob.to_owned())),
        limits,
    }
}

/// Begins uploads until one is refused, at most five; returns how many began.
async fn begun(gateway: &mut TestGateway, token: &str) -> usize {
    gateway.token = Some(token.to_owned());
    for count in 0..5 {
        let request = begin_request(TWO_PARTS);
        let key = format!("{count}-{}", Sha256::of(token.as_bytes()));
        let response = gateway.begin(&key, &request).await;
        if response.status() != 201 {
            assert_eq!(problem_code(response).await, "quota_exceeded");
            return count;
        }
    }
    5
}

async fn with_rules(auth: Auth, rules: Vec<LimitRule>) -> (TestGateway, Ledger) {
    let gateway = TestGateway::with_config(|config| {
        config.auth = auth;
        config.limit_rules = rules;
    })
    .await;
    let ledger = LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db"));
    let ledger = Ledger::open(&ledger).await.unwrap();
    (gateway, ledger)
}

#[tokio::test]
async fn owners_have_different_quotas() {
    let rules = vec![
        rule(Some("token:*"), None, open(1)),
        rule(Some("token:ci-*"), None, open(2)),
    ];
    let (mut gateway, ledger) = with_rules(Auth::Tokens, rules).await;
    let alice = ledger.add_token("alice").await.unwrap();
    let ci = ledger.add_token("ci-main").await.unwrap();
    let own = ledger.add_limited_token("ci-big", None, open(3)).await;
    assert_eq!(begun(&mut gateway, alice.expose()).await, 1);
    assert_eq!(begun(&mut gateway, ci.expose()).await, 2);
    assert_eq!(begun(&mut gateway, own.unwrap().expose()).await, 3);
}

#[tokio::test]
async fn token_has_its_own_content_types() {
    let (mut gateway, ledger) = with_rules(Auth::Tokens, Vec::new()).await;
    let limits = OwnerLimits {
        allow_types: Some(vec!["video/*".into()]),
        ..OwnerLimits::default()
    };
    let camera = ledger.add_limited_token("camera", None, limits).await;
    let other = ledger.add_token("other").await.unwrap();
    let begin = async |gateway: &TestGateway, content_type: &str| {
        let request = BeginRequest {
            content_type: content_type.into(),
            ..begin_request(TWO_PARTS)
        };
        gateway
            .begin(content_type, &request)
            .await
            .status()
            .as_u16()
    };
    gateway.token = Some(camera.unwrap().expose().to_owned());
    assert_eq!(begin(&gateway, "video/mp4").await, 201);
    assert_eq!(begin(&gateway, "image/png").await, 415);
    let info: BackendInfo = expect_json(gateway.get("/v1").await, 200).await;
    assert_eq!(info.allow_types, ["video/*"]);
    gateway.token = Some(other.expose().to_owned());
    assert_eq!(begin(&gateway, "image/png").await, 201);
    let wrong = OwnerLimits {
        allow_types: Some(vec!["video".into()]),
        ..OwnerLimits::default()
    };
    let refused = ledger.add_limited_token("x", None, wrong).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Usage);
}

#[tokio::test]
async fn claim_selects_the_limits() {
    let issuer = Issuer::start().await;
    let auth = Auth::Jwt {
        issuers: vec![issuer.config()],
        tokens: false,
    };
    let rules = vec![
        rule(Some("jwt:**"), None, open(1)),
        rule(Some("jwt:**"), Some(("environment", "production")), open(3)),
    ];
    let (mut gateway, _ledger) = with_rules(auth, rules).await;
    let mut claims = issuer.claims_with("environment", Value::from("test"));
    claims["repository_id"] = "75".into();
    let test = rsa_key().token("key-1", &claims);
    assert_eq!(begun(&mut gateway, &issuer.token()).await, 3);
    assert_eq!(begun(&mut gateway, &test).await, 1);
}

#[tokio::test]
async fn owners_have_different_rates() {
    let one = std::num::NonZeroU32::MIN;
    let limits = OwnerLimits {
        rate: Some(RateLimit::At {
            per_second: one,
            burst: one,
        }),
        ..OwnerLimits::default()
    };
    let rules = vec![rule(Some("token:slow"), None, limits)];
    let (mut gateway, ledger) = with_rules(Auth::Tokens, rules).await;
    for (name, status) in [("slow", 429), ("fast", 200)] {
        let token = ledger.add_token(name).await.unwrap();
        gateway.token = Some(token.expose().to_owned());
        let upload = gateway.create_upload(&begin_request(TWO_PARTS)).await;
        let parts = (1..)
            .zip(bodies())
            .map(|(number, body)| part_spec(number, &body));
        let response = gateway.sign(&upload, parts.collect()).await;
        assert_eq!(response.status().as_u16(), status, "{name}");
    }
}
