//! Tokens that an issuer signed: jobs of GitHub Actions come in without a stored secret, and nobody else does.
//!
//! Border: how globs and keys are judged in detail is tested beside the code; here a true gateway asks a true issuer.

use std::process::Stdio;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use upload_gateway::{Algorithm, Issuer as Known};

use crate::issuer::{AUDIENCE, Issuer, Key, next, rsa, sealed};
use crate::world::*;

async fn world(issuer: &Issuer, change: impl FnOnce(&mut Known)) -> World {
    let mut known = issuer.known();
    change(&mut known);
    World::with(|config| {
        config.auth = Auth::Jwt {
            issuers: vec![known],
            tokens: false,
        }
    })
    .await
}

async fn ask(world: &World, token: &str) -> Response {
    world
        .client
        .get(format!("{}v1", world.running.url()))
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
}

/// Turned away, without a word of why.
async fn nobody(what: &str, answer: Response) {
    assert_eq!(answer.status().as_u16(), 401, "{what}");
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    let problem: Problem = answer.json().await.unwrap();
    assert_eq!(
        (problem.code.as_str(), problem.detail),
        ("unauthenticated", None),
        "{what}"
    );
}

#[tokio::test]
async fn a_job_of_github_actions_uploads_without_a_stored_secret() {
    let issuer = Issuer::start().await;
    let world = world(&issuer, |_| ()).await;
    // Long, as those of an organisation with long names.
    let token = rsa().token(
        "key-1",
        &issuer.claims_with("workflow", json!("w".repeat(1500))),
    );
    assert!(token.len() > 3000);
    let place = world.place.path();
    std::fs::write(place.join("artifact.bin"), "built").unwrap();
    std::fs::write(place.join("token"), &token).unwrap();
    let put = async || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_upload"));
        command
            .env_clear()
            .env("HOME", place)
            .current_dir(place)
            .stdin(Stdio::null());
        command.args([
            "put",
            "artifact.bin",
            "--token-file",
            "token",
            "--backend",
            world.running.url().as_str(),
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
    // Another branch of the same repository has the same uploads, another repository has none of them.
    let list = async |name: &str, value: &str| {
        let token = rsa().token("key-1", &issuer.claims_with(name, json!(value)));
        let answer = world
            .client
            .get(format!("{}v1/uploads", world.running.url()))
            .bearer_auth(token)
            .send()
            .await;
        good::<UploadList>(answer.unwrap(), 200).await.uploads.len()
    };
    assert_eq!(list("sub", "repo:acme/app:pull_request").await, 1);
    assert_eq!(list("repository_id", "75").await, 0);
    assert_eq!(issuer.asked(), 1);
    // A job of somebody else's is told that its token does not do.
    let foreign = rsa().token(
        "key-1",
        &issuer.claims_with("repository", json!("evil/app")),
    );
    std::fs::write(place.join("token"), &foreign).unwrap();
    std::fs::write(place.join("artifact.bin"), "built again").unwrap();
    let output = put().await;
    assert_eq!(output.status.code(), Some(77));
    assert!(!String::from_utf8_lossy(&output.stderr).contains(&foreign[..40]));
}

#[tokio::test]
async fn tokens_that_are_forged_or_for_others_let_nobody_in() {
    let issuer = Issuer::start().await;
    let world = world(&issuer, |_| ()).await;
    assert_eq!(ask(&world, &issuer.token()).await.status(), 200);
    let now = jiff::Timestamp::now().as_second();
    let good = issuer.claims();
    let head = |alg: &str| json!({"typ": "JWT", "alg": alg, "kid": "key-1"});
    let with = |name: &str, value: Value| rsa().token("key-1", &issuer.claims_with(name, value));
    let hmac = |secret: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        sealed(&head("HS256"), &good, |message| {
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
        base64::engine::general_purpose::STANDARD.encode(rsa().public_der())
    );
    let n = rsa().jwk("key-1")["n"].as_str().unwrap().to_owned();
    let elevated =
        URL_SAFE_NO_PAD.encode(issuer.claims_with("repository_id", json!("75")).to_string());
    let mut cases = vec![
        ("nothing", String::new()),
        ("three dots", "...".into()),
        ("no token", "a.b.c".into()),
        ("of the ledger", "upl_0123456789ab_secret".into()),
        ("alg none", sealed(&head("none"), &good, |_| Vec::new())),
        ("alg None", sealed(&head("None"), &good, |_| Vec::new())),
        ("HS256 with the public key", hmac(&rsa().public_der())),
        ("HS256 with the public key as PEM", hmac(pem.as_bytes())),
        ("HS256 with the modulus", hmac(n.as_bytes())),
        ("HS256 with nothing", hmac(b"")),
        (
            "RS256 said to be RS512",
            rsa().token_of(&head("RS512"), &good),
        ),
        (
            "RS256 said to be PS256",
            rsa().token_of(&head("PS256"), &good),
        ),
        ("no signature", tampered(2, "")),
        ("another payload", tampered(1, &elevated)),
        ("another key", next().token("key-1", &good)),
        (
            "its own key",
            next().token_of(
                &json!({"alg": "RS256", "kid": "key-1", "jwk": next().jwk("key-1"),
            "jku": format!("{}/elsewhere", issuer.url)}),
                &good,
            ),
        ),
        ("no kid", rsa().token_of(&json!({"alg": "RS256"}), &good)),
        (
            "a critical extension",
            rsa().token_of(
                &json!({"alg": "RS256", "kid": "key-1", "crit": ["b64"], "b64": false}),
                &good,
            ),
        ),
        ("other aud", with("aud", json!("https://other.example"))),
        (
            "other auds",
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
        ("two isses", with("iss", json!([issuer.url]))),
        ("no iss", with("iss", Value::Null)),
        ("expired", with("exp", json!(now - 61))),
        ("expires never", with("exp", Value::Null)),
        ("expires in words", with("exp", json!("never"))),
        ("expires at minus one", with("exp", json!(-1))),
        ("not yet good", with("nbf", json!(now + 120))),
        ("another repository", with("repository", json!("evil/app"))),
        (
            "a repository that looks like it",
            with("repository", json!("acme/app/../../evil")),
        ),
        (
            "repositories",
            with("repository", json!({"acme/app": true})),
        ),
        ("no repository", with("repository", Value::Null)),
        ("nobody", with("repository_id", json!(""))),
        ("too long", with("workflow", json!("w".repeat(8 << 10)))),
    ];
    for kid in [
        "../../etc/passwd",
        "key-1\0",
        "key-1' OR '1'='1",
        "",
        "KEY-1",
        "http://evil.example/key",
    ] {
        cases.push(("another kid", rsa().token(kid, &good)));
    }
    for (what, token) in cases {
        nobody(what, ask(&world, &token).await).await;
    }
    nobody(
        "no header",
        world
            .client
            .get(format!("{}v1", world.running.url()))
            .send()
            .await
            .unwrap(),
    )
    .await;
    let basic = world
        .client
        .get(format!("{}v1", world.running.url()))
        .basic_auth("a", Some(issuer.token()));
    nobody("basic", basic.send().await.unwrap()).await;
    // All those names of keys were worth one question, and the good token still is one.
    assert_eq!(issuer.asked(), 2);
    assert_eq!(ask(&world, &issuer.token()).await.status(), 200);
    assert_eq!(
        ask(
            &world,
            &with("aud", json!(["https://other.example", AUDIENCE]))
        )
        .await
        .status(),
        200
    );
    assert_eq!(
        ask(&world, &with("exp", json!(now - 5))).await.status(),
        200,
        "clocks differ a little"
    );
}

#[tokio::test]
async fn a_key_that_the_issuer_changed_is_found_and_asked_for_once() {
    let issuer = Issuer::start().await;
    let world = world(&issuer, |_| ()).await;
    let old = issuer.token();
    assert_eq!(ask(&world, &old).await.status(), 200);
    issuer.set_keys(&[next().jwk("key-2")]);
    let new = next().token("key-2", &issuer.claims());
    let answers = futures_util::future::join_all((0..20).map(|_| ask(&world, &new))).await;
    assert!(
        answers.iter().all(|answer| answer.status() == 200),
        "{answers:?}"
    );
    assert_eq!(issuer.asked(), 2);
    // What was withdrawn is so at once, and names that are new no more than once a minute.
    nobody("withdrawn", ask(&world, &old).await).await;
    for kid in 0..20 {
        nobody(
            "unknown",
            ask(&world, &next().token(&kid.to_string(), &issuer.claims())).await,
        )
        .await;
    }
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn keys_that_prove_nothing_are_not_used() {
    let issuer = Issuer::start().await;
    let secret = URL_SAFE_NO_PAD.encode("shared by everybody");
    issuer.set_keys(&[
        json!({"kid": "oct", "kty": "oct", "alg": "HS256", "k": secret}),
        json!({"kid": "key-1", "kty": "oct", "alg": "RS256", "k": secret}),
        rsa().jwk("good"),
    ]);
    let world = world(&issuer, |_| ()).await;
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"shared by everybody");
    for kid in ["oct", "key-1", "good"] {
        let header = json!({"alg": "HS256", "kid": kid});
        let forged = sealed(&header, &issuer.claims(), |message| {
            hmac::sign(&key, message).as_ref().to_vec()
        });
        nobody(kid, ask(&world, &forged).await).await;
    }
    nobody("oct", ask(&world, &issuer.token()).await).await;
    assert_eq!(
        ask(&world, &rsa().token("good", &issuer.claims()))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn an_issuer_may_sign_with_other_curves_but_only_as_configured() {
    for (algorithm, key) in [(Algorithm::Es256, Key::ec()), (Algorithm::EdDsa, Key::ed())] {
        let issuer = Issuer::start().await;
        issuer.set_keys(&[key.jwk("key-1"), rsa().jwk("key-2")]);
        let world = world(&issuer, |known| known.algorithm = algorithm).await;
        assert_eq!(
            ask(&world, &key.token("key-1", &issuer.claims()))
                .await
                .status(),
            200,
            "{algorithm:?}"
        );
        nobody(
            "RS256",
            ask(&world, &rsa().token("key-2", &issuer.claims())).await,
        )
        .await;
        let other = if algorithm == Algorithm::Es256 {
            Key::ed()
        } else {
            Key::ec()
        };
        nobody(
            "another",
            ask(&world, &other.token("key-1", &issuer.claims())).await,
        )
        .await;
    }
}

/// Nobody's fault who asks: they are told to come back.
#[tokio::test]
async fn while_an_issuers_keys_cannot_be_had_nobody_is_judged() {
    let issuer = Issuer::start().await;
    let elsewhere =
        json!({"issuer": "https://evil.example", "jwks_uri": format!("{}/keys", issuer.url)});
    let far = json!({"issuer": issuer.url, "jwks_uri": "http://192.0.2.1/keys"});
    let good = json!({"issuer": issuer.url, "jwks_uri": format!("{}/keys", issuer.url)});
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(64 << 10));
    for (answer, discovery) in [
        (Some((500, "")), &good),
        (Some((302, "")), &good),
        (Some((200, "<html>")), &good),
        (Some((200, large.as_str())), &good),
        (None, &elsewhere),
        (None, &far),
    ] {
        let world = world(&issuer, |_| ()).await;
        issuer.set_answer(answer);
        issuer.set_discovery(discovery.clone());
        let refused = ask(&world, &issuer.token()).await;
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(
            (refused.status().as_u16(), code(refused).await.as_str()),
            (503, "unavailable"),
            "{discovery}"
        );
    }
    // Keys that are there serve on.
    issuer.set_answer(None);
    issuer.set_discovery(good);
    let world = world(&issuer, |_| ()).await;
    assert_eq!(ask(&world, &issuer.token()).await.status(), 200);
    issuer.set_answer(Some((500, "")));
    assert_eq!(ask(&world, &issuer.token()).await.status(), 200);
    let new = next().token("key-2", &issuer.claims());
    assert_eq!(ask(&world, &new).await.status(), 503);
}

#[tokio::test]
async fn tokens_of_the_ledger_count_beside_an_issuers_if_both_are_named() {
    let issuer = Issuer::start().await;
    let auth = Auth::Jwt {
        issuers: vec![issuer.known()],
        tokens: true,
    };
    let world = World::with(|config| config.auth = auth).await;
    let ledger = Ledger::open(&LedgerConfig::Sqlite(world.place.path().join("ledger.db")))
        .await
        .unwrap();
    let token = ledger.add_token("ci").await.unwrap();
    assert_eq!(ask(&world, token.expose()).await.status(), 200);
    assert_eq!(ask(&world, &issuer.token()).await.status(), 200);
    nobody("neither", ask(&world, "upl_0123456789ab_secret").await).await;
    nobody("neither", ask(&world, "secret").await).await;
    let alone = World::with(|config| config.auth = Auth::Tokens).await;
    nobody("not named", ask(&alone, &issuer.token()).await).await;
}
