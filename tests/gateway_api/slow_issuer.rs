//! An issuer that does not respond: its tokens wait for one attempt, and delay nothing else.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use upload_gateway::Issuer as IssuerConfig;

use crate::gateway::*;
use crate::issuer::{Issuer, rsa_key};

/// More than [`MAX_WAITING`].
const STRANGERS: usize = 100;
/// How many requests may wait for the keys of an issuer.
const MAX_WAITING: usize = 64;

/// A gateway with API tokens and an issuer that accepts connections and sends nothing.
async fn gateway_with_silent_issuer() -> (TestGateway, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let issuer = IssuerConfig {
        issuer: url,
        ..Issuer::start().await.config()
    };
    let gateway = TestGateway::with_config(|config| {
        config.auth = Auth::Jwt {
            issuers: vec![issuer],
            tokens: true,
        };
    })
    .await;
    (gateway, silent)
}

fn stranger(gateway: &TestGateway, issuer: &TcpListener) -> reqwest::RequestBuilder {
    let issuer = format!("http://{}", issuer.local_addr().unwrap());
    let token = rsa_key().token("key-1", &json!({"iss": issuer, "sub": "a"}));
    gateway
        .client
        .get(format!("{}v1", gateway.running.url()))
        .bearer_auth(token)
}

#[tokio::test]
async fn silent_issuer_delays_its_tokens_once_and_api_tokens_never() {
    let (mut gateway, issuer) = gateway_with_silent_issuer().await;
    let ledger = LedgerConfig::Sqlite(gateway.dir.path().join("ledger.db"));
    let ledger = Ledger::open(&ledger).await.unwrap();
    gateway.token = Some(ledger.add_token("ci").await.unwrap().expose().to_owned());
    let began = Instant::now();
    let mut strangers = JoinSet::new();
    for _ in 0..STRANGERS {
        let request = stranger(&gateway, &issuer).send();
        strangers.spawn(async move { request.await.unwrap().status() });
    }
    for _ in 0..STRANGERS - MAX_WAITING {
        let refused = strangers.join_next().await.unwrap();
        assert_eq!(refused.unwrap(), 503);
    }
    for key in 0..10 {
        let response = gateway.begin(&key.to_string(), &begin_request(1)).await;
        let upload: BeginResponse = expect_json(response, 201).await;
        gateway.put_parts(&upload, &[b"x".to_vec()]).await;
    }
    assert!(
        strangers.try_join_next().is_none(),
        "the attempt has ended before the calls with an API token"
    );
    // The others end with the one attempt for which they wait.
    let ended = timeout(Duration::from_secs(30), strangers.join_all()).await;
    assert!(ended.unwrap().iter().all(|status| *status == 503));
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    // Until the next attempt, its tokens do not wait at all.
    let again = Instant::now();
    assert_eq!(
        stranger(&gateway, &issuer).send().await.unwrap().status(),
        503
    );
    assert!(again.elapsed() < Duration::from_secs(4));
}
