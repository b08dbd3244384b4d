//! Tokens of an issuer: jobs of GitHub Actions upload without a stored secret; other tokens are
//! rejected.
//!
//! Not here: globs and keys in detail (unit tests of the gateway).

use std::process::Stdio;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use upload_gateway::{Algorithm, Issuer as IssuerConfig};

use crate::gateway::*;
use crate::issuer::{AUDIENCE, Issuer, Key, other_rsa_key, rsa_key, signed_token};

async fn start_gateway(issuer: &Issuer, change: impl FnOnce(&mut IssuerConfig)) -> TestGateway {
    let mut issuer_config = issuer.config();
    change(&mut issuer_config);
    TestGateway::with_config(|config| {
        config.auth = Auth::Jwt {
            issuers: vec![issuer_config],
            tokens: false,
        }
    })
    .await
}

async fn get_info(gateway: &TestGateway, token: &str) -> Response {
    gateway
        .client
        .get(format!("{}v1", gateway.running.url()))
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
}

/// Asserts 401 without a reason.
async fn assert_unauthenticated(case: &str, response: Response) {
    assert_eq!(response.status().as_u16(), 401, "{case}");
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!(
        (problem.code.as_str(), problem.detail),
        ("unauthenticated", None),
        "{case}"
    );
}

#[tokio::test]
async fn github_actions_job_uploads_without_a_stored_secret() {
    let issuer = Issuer::start().await;
    let gateway = start_gateway(&issuer, |_| ()).await;
    // A long token, as of an organisation with long names.
    let token = rsa_key().token(
        "key-1",
        &issuer.claims_with("workflow", json!("w".repeat(1500))),
    );
    assert!(token.len() > 3000);
    let dir = gateway.dir.path();
    std::fs::write(dir.join("artifact.bin"), "built").unwrap();
    std::fs::write(dir.join("token"), &token).unwrap();
    let put = async || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_upload"));
        command
            .env_clear()
            .env("HOME", dir)
            .current_dir(dir)
            .stdin(Stdio::null());
        command.args([
            "put",
            "artifact.bin",
            "--token-file",
            "token",
            "--backend",
            gateway.running.url().as_str(),
        ]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    };
    let output = put().await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A job of another branch lists the same uploads, a job of another repository none.
    let list = async |name: &str, value: &str| {
        let token = rsa_key().token("key-1", &issuer.claims_with(name, json!(value)));
        let response = gateway
            .client
            .get(format!("{}v1/uploads", gateway.running.url()))
            .bearer_auth(token)
            .send()
            .await;
        expect_json::<UploadList>(response.unwrap(), 200)
            .await
            .uploads
            .len()
    };
    assert_eq!(list("sub", "repo:acme/app:pull_request").await, 1);
    assert_eq!(list("repository_id", "75").await, 0);
    assert_eq!(issuer.key_request_count(), 1);
    // The token of a job that is not admitted is rejected.
    let foreign = rsa_key().token(
        "key-1",
        &issuer.claims_with("repository", json!("evil/app")),
    );
    std::fs::write(dir.join("token"), &foreign).unwrap();
    std::fs::write(dir.join("artifact.bin"), "built again").unwrap();
    let output = put().await;
    assert_eq!(output.status.code(), Some(77));
    assert!(!String::from_utf8_lossy(&output.stderr).contains(&foreign[..40]));
}

fn header(algorithm: &str) -> Value {
    json!({"typ": "JWT", "alg": algorithm, "kid": "key-1"})
}

fn token_with_claim(issuer: &Issuer, name: &str, value: Value) -> String {
    rsa_key().token("key-1", &issuer.claims_with(name, value))
}

/// Tokens with valid claims that the issuer's key did not sign, or signed in another form.
fn forged_tokens(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let good = issuer.claims();
    let hmac = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        signed_token(&header("HS256"), &good, |message| {
            hmac::sign(&key, message).as_ref().to_vec()
        })
    };
    let tampered = |part: usize, text: &str| {
        let token = issuer.token();
        let mut parts: Vec<&str> = token.split('.').collect();
        parts[part] = text;
        parts.join(".")
    };
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}",
        base64::engine::general_purpose::STANDARD.encode(rsa_key().public_der())
    );
    let n = rsa_key().jwk("key-1")["n"].as_str().unwrap().to_owned();
    let elevated =
        URL_SAFE_NO_PAD.encode(issuer.claims_with("repository_id", json!("75")).to_string());
    let mut tokens = vec![
        ("empty", String::new()),
        ("three dots", "...".into()),
        ("three letters", "a.b.c".into()),
        ("token of the ledger", "upl_0123456789ab_secret".into()),
        (
            "alg none",
            signed_token(&header("none"), &good, |_| Vec::new()),
        ),
        (
            "alg None",
            signed_token(&header("None"), &good, |_| Vec::new()),
        ),
        ("HS256 with the public key", hmac(&rsa_key().public_der())),
        ("HS256 with the public key as PEM", hmac(pem.as_bytes())),
        ("HS256 with the modulus", hmac(n.as_bytes())),
        ("HS256 with an empty secret", hmac(b"")),
        (
            "RS256 declared as RS512",
            rsa_key().token_with_header(&header("RS512"), &good),
        ),
        (
            "RS256 declared as PS256",
            rsa_key().token_with_header(&header("PS256"), &good),
        ),
        ("no signature", tampered(2, "")),
        ("another payload", tampered(1, &elevated)),
        ("another key", other_rsa_key().token("key-1", &good)),
        (
            "its own key",
            other_rsa_key().token_with_header(
                &json!({"alg": "RS256", "kid": "key-1", "jwk": other_rsa_key().jwk("key-1"),
            "jku": format!("{}/elsewhere", issuer.url)}),
                &good,
            ),
        ),
        (
            "no kid, and another key",
            other_rsa_key().token_with_header(&json!({"alg": "RS256"}), &good),
        ),
        (
            "a critical extension",
            rsa_key().token_with_header(
                &json!({"alg": "RS256", "kid": "key-1", "crit": ["b64"], "b64": false}),
                &good,
            ),
        ),
    ];
    for kid in [
        "../../etc/passwd",
        "key-1\0",
        "key-1' OR '1'='1",
        "",
        "KEY-1",
        "http://evil.example/key",
    ] {
        tokens.push(("another kid", rsa_key().token(kid, &good)));
    }
    tokens
}

/// Tokens of the issuer that are for other audiences, times or jobs.
fn tokens_with_other_claims(issuer: &Issuer, now: i64) -> Vec<(&'static str, String)> {
    let with = |name: &str, value: Value| token_with_claim(issuer, name, value);
    vec![
        ("other aud", with("aud", json!("https://other.example"))),
        (
            "several other auds",
            with(
                "aud",
                json!(["https://other.example", "https://upload.example.evil"]),
            ),
        ),
        ("no aud", with("aud", Value::Null)),
        (
            "other iss",
            with("iss", json!("https://token.actions.githubusercontent.com")),
        ),
        (
            "iss with a slash",
            with("iss", json!(format!("{}/", issuer.url))),
        ),
        ("iss as an array", with("iss", json!([issuer.url]))),
        ("no iss", with("iss", Value::Null)),
        ("expired", with("exp", json!(now - 61))),
        ("no exp", with("exp", Value::Null)),
        ("exp as text", with("exp", json!("never"))),
        ("negative exp", with("exp", json!(-1))),
        ("not yet valid", with("nbf", json!(now + 120))),
        ("another repository", with("repository", json!("evil/app"))),
        (
            "a repository with a similar path",
            with("repository", json!("acme/app/../../evil")),
        ),
        (
            "repository as an object",
            with("repository", json!({"acme/app": true})),
        ),
        ("no repository", with("repository", Value::Null)),
        ("empty owner", with("repository_id", json!(""))),
        ("too long", with("workflow", json!("w".repeat(32 << 10)))),
    ]
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_rejected() {
    let issuer = Issuer::start().await;
    let gateway = start_gateway(&issuer, |_| ()).await;
    assert_eq!(get_info(&gateway, &issuer.token()).await.status(), 200);
    let now = jiff::Timestamp::now().as_second();
    let mut cases = forged_tokens(&issuer);
    cases.extend(tokens_with_other_claims(&issuer, now));
    for (case, token) in cases {
        assert_unauthenticated(case, get_info(&gateway, &token).await).await;
    }
    assert_unauthenticated(
        "no header",
        gateway
            .client
            .get(format!("{}v1", gateway.running.url()))
            .send()
            .await
            .unwrap(),
    )
    .await;
    let basic = gateway
        .client
        .get(format!("{}v1", gateway.running.url()))
        .basic_auth("a", Some(issuer.token()));
    assert_unauthenticated("basic", basic.send().await.unwrap()).await;
    // All unknown key ids together caused one more request, and the valid token still works.
    assert_eq!(issuer.key_request_count(), 2);
    assert_eq!(get_info(&gateway, &issuer.token()).await.status(), 200);
    assert_eq!(
        get_info(
            &gateway,
            &token_with_claim(&issuer, "aud", json!(["https://other.example", AUDIENCE]))
        )
        .await
        .status(),
        200
    );
    assert_eq!(
        get_info(&gateway, &token_with_claim(&issuer, "exp", json!(now - 5)))
            .await
            .status(),
        200,
        "a small clock difference is not tolerated"
    );
}

#[tokio::test]
async fn rotated_key_is_fetched_once() {
    let issuer = Issuer::start().await;
    let gateway = start_gateway(&issuer, |_| ()).await;
    let old = issuer.token();
    assert_eq!(get_info(&gateway, &old).await.status(), 200);
    issuer.set_keys(&[other_rsa_key().jwk("key-2")]);
    let new = other_rsa_key().token("key-2", &issuer.claims());
    let responses = futures_util::future::join_all((0..20).map(|_| get_info(&gateway, &new))).await;
    assert!(
        responses.iter().all(|response| response.status() == 200),
        "{responses:?}"
    );
    assert_eq!(issuer.key_request_count(), 2);
    // A withdrawn key is rejected at once; unknown key ids cause at most one request per minute.
    assert_unauthenticated("withdrawn", get_info(&gateway, &old).await).await;
    for kid in 0..20 {
        assert_unauthenticated(
            "unknown",
            get_info(
                &gateway,
                &other_rsa_key().token(&kid.to_string(), &issuer.claims()),
            )
            .await,
        )
        .await;
    }
    assert_eq!(issuer.key_request_count(), 2);
}

#[tokio::test]
async fn symmetric_keys_are_not_used() {
    let issuer = Issuer::start().await;
    let secret = URL_SAFE_NO_PAD.encode("a shared secret");
    issuer.set_keys(&[
        json!({"kid": "oct", "kty": "oct", "alg": "HS256", "k": secret}),
        json!({"kid": "key-1", "kty": "oct", "alg": "RS256", "k": secret}),
        rsa_key().jwk("good"),
    ]);
    let gateway = start_gateway(&issuer, |_| ()).await;
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a shared secret");
    for kid in ["oct", "key-1", "good"] {
        let header = json!({"alg": "HS256", "kid": kid});
        let forged = signed_token(&header, &issuer.claims(), |message| {
            hmac::sign(&key, message).as_ref().to_vec()
        });
        assert_unauthenticated(kid, get_info(&gateway, &forged).await).await;
    }
    assert_unauthenticated("oct", get_info(&gateway, &issuer.token()).await).await;
    assert_eq!(
        get_info(&gateway, &rsa_key().token("good", &issuer.claims()))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn other_algorithms_are_accepted_only_as_configured() {
    for (algorithm, key) in [(Algorithm::Es256, Key::ec()), (Algorithm::EdDsa, Key::ed())] {
        let issuer = Issuer::start().await;
        issuer.set_keys(&[key.jwk("key-1"), rsa_key().jwk("key-2")]);
        let gateway = start_gateway(&issuer, |config| config.algorithms = vec![algorithm]).await;
        assert_eq!(
            get_info(&gateway, &key.token("key-1", &issuer.claims()))
                .await
                .status(),
            200,
            "{algorithm:?}"
        );
        assert_unauthenticated(
            "RS256",
            get_info(&gateway, &rsa_key().token("key-2", &issuer.claims())).await,
        )
        .await;
        let other = if algorithm == Algorithm::Es256 {
            Key::ed()
        } else {
            Key::ec()
        };
        assert_unauthenticated(
            "another",
            get_info(&gateway, &other.token("key-1", &issuer.claims())).await,
        )
        .await;
    }
}

/// The client is not at fault, so the response has `Retry-After`.
#[tokio::test]
async fn unreachable_issuer_keys_are_reported_as_unavailable() {
    let issuer = Issuer::start().await;
    let other_issuer =
        json!({"issuer": "https://evil.example", "jwks_uri": format!("{}/keys", issuer.url)});
    let remote_keys = json!({"issuer": issuer.url, "jwks_uri": "http://192.0.2.1/keys"});
    let good = json!({"issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url)});
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(64 << 10));
    for (response, discovery) in [
        (Some((500, "")), &good),
        (Some((302, "")), &good),
        (Some((200, "<html>")), &good),
        (Some((200, large.as_str())), &good),
        (None, &other_issuer),
        (None, &remote_keys),
    ] {
        let gateway = start_gateway(&issuer, |_| ()).await;
        issuer.set_response(response);
        issuer.set_discovery(discovery.clone());
        let response = get_info(&gateway, &issuer.token()).await;
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(
            (
                response.status().as_u16(),
                problem_code(response).await.as_str()
            ),
            (503, "unavailable"),
            "{discovery}"
        );
    }
    // Cached keys stay in use.
    issuer.set_response(None);
    issuer.set_discovery(good);
    let gateway = start_gateway(&issuer, |_| ()).await;
    assert_eq!(get_info(&gateway, &issuer.token()).await.status(), 200);
    issuer.set_response(Some((500, "")));
    assert_eq!(get_info(&gateway, &issuer.token()).await.status(), 200);
    let new = other_rsa_key().token("key-2", &issuer.claims());
    assert_eq!(get_info(&gateway, &new).await.status(), 503);
}

#[tokio::test]
async fn ledger_tokens_work_beside_an_issuer_only_if_configured() {
    let issuer = Issuer::start().await;
    let auth = Auth::Jwt {
        issuers: vec![issuer.config()],
        tokens: true,
    };
    let gateway = TestGateway::with_config(|config| config.auth = auth).await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db")))
        .await
        .unwrap();
    let token = ledger.add_token("ci").await.unwrap();
    assert_eq!(get_info(&gateway, token.expose()).await.status(), 200);
    assert_eq!(get_info(&gateway, &issuer.token()).await.status(), 200);
    assert_unauthenticated(
        "neither",
        get_info(&gateway, "upl_0123456789ab_secret").await,
    )
    .await;
    assert_unauthenticated("neither", get_info(&gateway, "secret").await).await;
    let alone = TestGateway::with_config(|config| config.auth = Auth::Tokens).await;
    assert_unauthenticated("not configured", get_info(&alone, &issuer.token()).await).await;
}
