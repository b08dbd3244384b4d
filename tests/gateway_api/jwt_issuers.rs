//! Several issuers, and the forms of tokens and keys that issuers use.
//!
//! Not here: forged tokens (`jwt`).

use serde_json::{Value, json};
use upload_gateway::Issuer as IssuerConfig;

use crate::gateway::*;
use crate::issuer::{Issuer, other_rsa_key, rsa_key};

async fn start_gateway(issuers: Vec<IssuerConfig>) -> TestGateway {
    TestGateway::with_config(|config| {
        config.auth = Auth::Jwt {
            issuers,
            tokens: false,
        }
    })
    .await
}

/// The owner's segment in the key of a new upload.
async fn owner(gateway: &TestGateway, token: &str) -> Result<String, u16> {
    let response = gateway
        .client
        .post(format!("{}v1/uploads", gateway.running.url()))
        .bearer_auth(token)
        .header("idempotency-key", upload_types::new_id())
        .json(&begin_request(5))
        .send()
        .await
        .unwrap();
    if response.status() != 201 {
        return Err(response.status().as_u16());
    }
    let begun: BeginResponse = response.json().await.unwrap();
    Ok(begun.key.as_str().split('/').nth(1).unwrap().to_owned())
}

fn token(issuer: &Issuer, name: &str, value: Value) -> String {
    rsa_key().token("key-1", &issuer.claims_with(name, value))
}

#[tokio::test]
async fn same_subject_of_two_issuers_is_two_owners() {
    let (one, other) = (Issuer::start().await, Issuer::start().await);
    let mut config = other.config();
    config.audiences = vec!["first".into(), "second".into()];
    let gateway = start_gateway(vec![one.config(), config]).await;
    let first = owner(&gateway, &one.token()).await.unwrap();
    for audience in ["first", "second"] {
        let token = token(&other, "aud", json!(audience));
        let second = owner(&gateway, &token).await.unwrap();
        assert_ne!(second, first);
    }
    // The audiences of one issuer are not those of the other.
    assert_eq!(owner(&gateway, &other.token()).await, Err(401));
    assert_eq!(
        owner(&gateway, &token(&one, "aud", json!("first"))).await,
        Err(401)
    );
    // The key of one issuer does not sign for the other.
    one.set_keys(&[other_rsa_key().jwk("key-3")]);
    let forged = other_rsa_key().token("key-3", &other.claims_with("aud", json!("first")));
    assert_eq!(owner(&gateway, &forged).await, Err(401));
}

#[tokio::test]
async fn numbers_as_owners_are_exact() {
    let issuer = Issuer::start().await;
    let gateway = start_gateway(vec![issuer.config()]).await;
    let claim = async |value: &str| {
        let value: Value = serde_json::from_str(value).unwrap();
        owner(&gateway, &token(&issuer, "repository_id", value)).await
    };
    let one = claim("1").await.unwrap();
    assert_eq!(claim("1").await.unwrap(), one);
    assert_ne!(claim("\"1\"").await.unwrap(), one);
    assert_ne!(
        claim("18446744073709551615").await.unwrap(),
        claim("18446744073709551614").await.unwrap()
    );
    for number in ["18446744073709551617", "18446744073709551618", "1.0", "1e3"] {
        assert_eq!(claim(number).await, Err(401), "{number}");
    }
}

#[tokio::test]
async fn long_token_with_nested_claims_is_accepted() {
    let issuer = Issuer::start().await;
    let mut config = issuer.config();
    config.claims = vec![
        ("realm_access.roles".into(), "uploader".into()),
        ("scope".into(), "upload:write".into()),
    ];
    let gateway = start_gateway(vec![config]).await;
    let groups: Vec<String> = (0..560).map(|n| format!("{n:036}")).collect();
    let with = |roles: Value, scope: &str| {
        let Value::Object(mut claims) = issuer.claims_with("groups", json!(groups)) else {
            panic!("not an object")
        };
        claims.insert("realm_access".into(), json!({"roles": roles}));
        claims.insert("scope".into(), json!(scope));
        rsa_key().token("key-1", &claims.into())
    };
    let token = with(json!(["reader", "uploader"]), "openid upload:write");
    assert!(
        token.len() > 28 << 10 && token.len() < 32 << 10,
        "{}",
        token.len()
    );
    assert!(owner(&gateway, &token).await.is_ok());
    let other_role = with(json!(["reader"]), "openid upload:write");
    assert_eq!(owner(&gateway, &other_role).await, Err(401));
    let other_scope = with(json!(["uploader"]), "openid upload:writer");
    assert_eq!(owner(&gateway, &other_scope).await, Err(401));
}

#[tokio::test]
async fn token_without_key_id_is_verified_by_the_only_key() {
    let issuer = Issuer::start().await;
    let gateway = start_gateway(vec![issuer.config()]).await;
    let header = json!({"alg": "RS256"});
    let token = rsa_key().token_with_header(&header, &issuer.claims());
    assert!(owner(&gateway, &token).await.is_ok());
    let other = other_rsa_key().token_with_header(&header, &issuer.claims());
    assert_eq!(owner(&gateway, &other).await, Err(401));
    // After a rotation the new key is fetched, although no id names it.
    issuer.set_keys(&[other_rsa_key().jwk("key-2")]);
    until("the new key", async || owner(&gateway, &other).await.ok()).await;
    // With two keys, the token must name one.
    issuer.set_keys(&[rsa_key().jwk("key-1"), other_rsa_key().jwk("key-2")]);
    let gateway = start_gateway(vec![issuer.config()]).await;
    assert_eq!(owner(&gateway, &token).await, Err(401));
    assert!(owner(&gateway, &issuer.token()).await.is_ok());
}

#[tokio::test]
async fn key_that_changes_three_times_within_a_minute_is_found() {
    let issuer = Issuer::start().await;
    let gateway = start_gateway(vec![issuer.config()]).await;
    assert!(owner(&gateway, &issuer.token()).await.is_ok());
    for kid in ["key-2", "key-3", "key-4"] {
        issuer.set_keys(&[other_rsa_key().jwk(kid)]);
        let token = other_rsa_key().token(kid, &issuer.claims());
        until(kid, async || owner(&gateway, &token).await.ok()).await;
    }
    assert!(
        issuer.key_request_count() <= 5,
        "{}",
        issuer.key_request_count()
    );
}
