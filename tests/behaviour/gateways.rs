//! Two gateways with one PostgreSQL ledger and one bucket: each continues the uploads of the other.
//! The bucket is the embedded store of a third gateway; `scripts/test` starts PostgreSQL.

use std::thread;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::events::receipts;
use crate::support::gateway::{Gateway, store_args};
use crate::support::postgres::Database;
use crate::support::s3::S3;
use crate::support::world::{World, assert_receipt_matches};
use crate::support::{PART, wait};

/// Two gateways with one bucket, and a proxy that forwards to the first.
struct GatewayPair {
    world: World,
    second: Gateway,
    bucket: S3,
    database: Database,
    _store: Gateway,
}

impl GatewayPair {
    #[track_caller]
    fn new() -> Self {
        let (database, store) = (Database::new(), Gateway::start(&[], &[]));
        let bucket = store.store();
        let world = World::on_store_with(&bucket, &[], &[database.env()]);
        let (public_url, bucket_url, endpoint) = (
            world.proxy.url(),
            format!("s3://{}", bucket.bucket()),
            world.part_proxy().url(),
        );
        let second = Gateway::start(
            &[
                &["--public-url", &public_url][..],
                &store_args(&bucket_url, &endpoint),
            ]
            .concat(),
            &[&bucket.envs()[..], &[database.env()]].concat(),
        );
        Self {
            world,
            second,
            bucket,
            database,
            _store: store,
        }
    }
}

/// Calls a gateway. Returns the status, the body, and whether there is a Retry-After header.
fn call(
    gateway: &Gateway,
    method: Method,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> (u16, Value, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client
            .request(method, format!("{}{path}", gateway.url()))
            .json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let response = request.send().await.unwrap();
        let (status, retry_after) = (
            response.status().as_u16(),
            response.headers().contains_key("retry-after"),
        );
        (
            status,
            response.json().await.unwrap_or_default(),
            retry_after,
        )
    })
}

#[test]
fn second_gateway_continues_after_the_first_is_killed() {
    let mut pair = GatewayPair::new();
    let file = pair.world.sandbox.file("film.bin", 4 * PART + 7);
    let receipt = pair.world.sandbox.path("receipt");
    let running = pair.world.run_until_blocked(
        pair.world.put(&file).arg("--receipt").arg(&receipt),
        2 * PART + 1000,
    );
    pair.world.gateway.kill9();
    pair.world.proxy.forward_to(pair.second.addr());
    pair.world.part_proxy().unblock();
    running.wait().succeeds();
    pair.bucket.assert_holds_only(&file);
    let receipts = receipts(&receipt);
    assert_eq!(receipts.len(), 1);
    assert_receipt_matches(&receipts[0], &file, PART);
}

#[test]
fn concurrent_calls_at_two_gateways_end_an_upload_once() {
    let pair = GatewayPair::new();
    let gateways = [&pair.world.gateway, &pair.second];
    let sha256 = crate::support::files::sha256_of(b"abc");
    for round in 0..4 {
        let begin_request = json!({ "name": "a.txt", "size": 3, "content_type": "text/plain", "part_size": null, "holder": "me",
            "parts": [{ "number": 1, "size": 3, "sha256": sha256 }] });
        let key = format!("key-{round}");
        let begun = thread::scope(|scope| {
            let calls = gateways.map(|gateway| {
                let (key, body) = (Some(key.as_str()), &begin_request);
                scope.spawn(move || call(gateway, Method::POST, "/v1/uploads", key, body))
            });
            calls.map(|call| call.join().unwrap())
        })
        .map(|(status, upload, _)| {
            assert!(matches!(status, 200 | 201), "{status} {upload}");
            upload
        });
        assert_eq!(begun[0]["id"], begun[1]["id"]);
        let etag = put(&begun[0]["parts"][0]);
        let path = format!("/v1/uploads/{}", begun[0]["id"].as_str().unwrap());
        let complete = json!({ "epoch": begun[0]["epoch"], "parts": [{ "number": 1, "etag": etag, "sha256": sha256 }],
            "checksum": CHECKSUM });
        let responses = thread::scope(|scope| {
            let calls: Vec<_> = (0..6)
                .map(|n| {
                    let (gateway, path, complete) = (gateways[n % 2], &path, &complete);
                    scope.spawn(move || match (n / 2 + round) % 3 {
                        0 if round % 2 == 1 => abort(gateway, path),
                        1 => {
                            let (path, body) = (format!("{path}/claim"), json!({ "holder": "me" }));
                            call(gateway, Method::POST, &path, None, &body)
                        }
                        _ => {
                            let path = format!("{path}/complete");
                            call(gateway, Method::POST, &path, None, complete)
                        }
                    })
                })
                .collect();
            calls
                .into_iter()
                .map(|call| call.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(
            responses.iter().all(|(status, ..)| *status < 500),
            "{responses:?}"
        );
        let ended = gateways.map(|gateway| wait_for_final_state(gateway, &path));
        assert_eq!(ended[0], ended[1]);
        let receipts: Vec<_> = responses
            .iter()
            .filter(|(_, body, _)| body.get("location").is_some())
            .collect();
        assert!(
            receipts
                .iter()
                .all(|(_, receipt, _)| *receipt == ended[0]["receipt"]),
            "{receipts:?} {}",
            ended[0]
        );
        let exists = pair
            .bucket
            .objects()
            .iter()
            .any(|object| Some(object.as_str()) == begun[0]["key"].as_str());
        assert_eq!(exists, ended[0]["state"] == "ready", "{ended:?}");
    }
    pair.bucket.assert_no_open_uploads();
}

fn abort(gateway: &Gateway, path: &str) -> (u16, Value, bool) {
    call(gateway, Method::DELETE, path, None, &Value::Null)
}

/// Waits until the upload at `path` is ready or aborted. Aborts it if no complete succeeded,
/// because every complete came after a claim had changed the epoch.
fn wait_for_final_state(gateway: &Gateway, path: &str) -> Value {
    wait::until("a final state", || {
        let (status, upload, _) = call(gateway, Method::GET, path, None, &Value::Null);
        assert_eq!(status, 200);
        match upload["state"].as_str().unwrap() {
            "ready" | "aborted" => Some(upload),
            "uploading" | "aborting" => {
                abort(gateway, path);
                None
            }
            _ => None,
        }
    })
}

/// The S3 checksum of the three bytes `abc`.
const CHECKSUM: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

/// Puts the three bytes `abc` to a presigned URL; returns the ETag.
fn put(signed: &Value) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.put(signed["url"].as_str().unwrap()).body("abc");
        for (name, value) in signed["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.headers()["etag"]
            .to_str()
            .unwrap()
            .trim_matches('"')
            .to_owned()
    })
}

#[test]
fn gateway_without_its_database_returns_503_and_recovers() {
    let pair = GatewayPair::new();
    let file = pair.world.sandbox.file("film.bin", 3 * PART);
    let running = pair
        .world
        .run_until_blocked(pair.world.put(&file), PART + 1000);
    pair.database.reject_connections();
    let get = |path: &str| call(&pair.second, Method::GET, path, None, &Value::Null);
    let (status, problem, retry_after) = get("/v1/uploads");
    assert_eq!(
        (status, problem["code"].as_str(), retry_after),
        (503, Some("unavailable"), true)
    );
    assert_eq!(get("/readyz").0, 503);
    pair.world.part_proxy().unblock();
    // Calls that need the ledger get 503 with Retry-After.
    wait::until("status 503 for a call of the put", || {
        pair.world
            .proxy
            .traffic()
            .0
            .iter()
            .any(|exchange| exchange.status == Some(503))
            .then_some(())
    });
    pair.database.accept_connections();
    running.wait().succeeds();
    pair.bucket.assert_holds_only(&file);
    let log = pair.world.gateway.stderr();
    let (_, password) = pair.database.url().split_once(':').unwrap();
    let password = password
        .rsplit_once('@')
        .unwrap()
        .0
        .rsplit_once(':')
        .unwrap()
        .1;
    assert!(
        !log.contains(password) && !log.contains("postgres://"),
        "{log}"
    );
}
