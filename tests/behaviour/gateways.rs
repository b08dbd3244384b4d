//! Several gateways over one ledger in PostgreSQL and one bucket: what one of them began another brings to its end.
//!
//! Border: the bucket is the store of a gateway that has nothing else to do; PostgreSQL is the one that `scripts/test` starts.

use std::thread;

use serde_json::{Value, json};

use crate::interrupt::held;
use crate::support::events::receipts;
use crate::support::gateway::Gateway;
use crate::support::postgres::Database;
use crate::support::proxy::Proxy;
use crate::support::s3::S3;
use crate::support::world::{World, assert_receipt_matches};
use crate::support::{PART, wait};

/// Two gateways in front of one bucket, and an address in front of them that leads to the first.
struct Pair {
    world: World,
    second: Gateway,
    bucket: S3,
    database: Database,
    _store: Gateway,
}

impl Pair {
    #[track_caller]
    fn new() -> Self {
        let (database, store) = (Database::new(), Gateway::start(&[], &[]));
        let bucket = store.store();
        let (address, way) = (Proxy::start(), Proxy::start());
        way.forward_to(bucket.addr());
        let (url, place, endpoint) = (
            address.url(),
            format!("s3://{}", bucket.bucket()),
            way.url(),
        );
        let args = [
            "--store",
            &place,
            "--s3-endpoint",
            &endpoint,
            "--s3-path-style",
        ];
        let mut envs = bucket.envs().to_vec();
        envs.push(database.env());
        let second = Gateway::start(&[&["--public-url", &url][..], &args].concat(), &envs);
        let world = World::with_public_url(&url, address, &args, &envs, Some(way));
        Self {
            world,
            second,
            bucket,
            database,
            _store: store,
        }
    }
}

/// A call to one gateway itself.
fn call(
    gateway: &Gateway,
    method: reqwest::Method,
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
        let answer = request.send().await.unwrap();
        let (status, later) = (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        );
        (status, answer.json().await.unwrap_or_default(), later)
    })
}

#[test]
fn one_is_killed_and_the_other_goes_on() {
    let mut pair = Pair::new();
    let file = pair.world.sandbox.file("film.bin", 4 * PART + 7);
    let receipt = pair.world.sandbox.path("receipt");
    let running = held(
        &pair.world,
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
fn what_happens_to_one_upload_at_both_has_one_end() {
    let pair = Pair::new();
    let gateways = [&pair.world.gateway, &pair.second];
    let sha256 = crate::support::files::sha256_of(b"abc");
    for round in 0..4 {
        let wish = json!({ "name": "a.txt", "size": 3, "content_type": "text/plain", "part_size": null, "holder": "me",
            "parts": [{ "number": 1, "size": 3, "sha256": sha256 }] });
        let key = format!("key-{round}");
        let begun: Vec<Value> = thread::scope(|scope| {
            let asks = gateways.map(|gateway| {
                scope.spawn(|| {
                    call(
                        gateway,
                        reqwest::Method::POST,
                        "/v1/uploads",
                        Some(&key),
                        &wish,
                    )
                })
            });
            asks.map(|ask| ask.join().unwrap())
                .into_iter()
                .map(|(status, answer, _)| {
                    assert!(matches!(status, 200 | 201), "{status} {answer}");
                    answer
                })
                .collect()
        });
        assert_eq!(begun[0]["id"], begun[1]["id"]);
        let etag = put(&begun[0]["parts"][0]);
        let path = format!("/v1/uploads/{}", begun[0]["id"].as_str().unwrap());
        let complete = json!({ "epoch": begun[0]["epoch"], "parts": [{ "number": 1, "etag": etag, "sha256": sha256 }],
            "checksum": checksum() });
        let answers = thread::scope(|scope| {
            let calls: Vec<_> = (0..6)
                .map(|n| {
                    let (gateway, path, complete) = (gateways[n % 2], &path, &complete);
                    scope.spawn(move || match (n / 2 + round) % 3 {
                        0 if round % 2 == 1 => {
                            call(gateway, reqwest::Method::DELETE, path, None, &Value::Null)
                        }
                        1 => call(
                            gateway,
                            reqwest::Method::POST,
                            &format!("{path}/claim"),
                            None,
                            &json!({ "holder": "me" }),
                        ),
                        _ => call(
                            gateway,
                            reqwest::Method::POST,
                            &format!("{path}/complete"),
                            None,
                            complete,
                        ),
                    })
                })
                .collect();
            calls
                .into_iter()
                .map(|call| call.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert!(
            answers.iter().all(|(status, ..)| *status < 500),
            "{answers:?}"
        );
        let ends = gateways.map(|gateway| {
            wait::until("an end", || {
                let (status, upload, _) =
                    call(gateway, reqwest::Method::GET, &path, None, &Value::Null);
                assert_eq!(status, 200);
                match upload["state"].as_str().unwrap() {
                    "ready" | "aborted" => Some(upload),
                    // Nobody's complete was in time for its epoch: somebody has to say the last word.
                    "uploading" | "aborting" => {
                        call(gateway, reqwest::Method::DELETE, &path, None, &Value::Null);
                        None
                    }
                    _ => None,
                }
            })
        });
        assert_eq!(ends[0], ends[1]);
        let receipts: Vec<_> = answers
            .iter()
            .filter(|(_, answer, _)| answer.get("location").is_some())
            .collect();
        assert!(
            receipts
                .iter()
                .all(|(_, receipt, _)| *receipt == ends[0]["receipt"]),
            "{receipts:?} {}",
            ends[0]
        );
        let there = pair
            .bucket
            .objects()
            .iter()
            .any(|object| Some(object.as_str()) == begun[0]["key"].as_str());
        assert_eq!(there, ends[0]["state"] == "ready", "{ends:?}");
    }
    pair.bucket.assert_no_open_uploads();
}

/// Sends the three bytes to where a part is signed for.
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
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.headers()["etag"]
            .to_str()
            .unwrap()
            .trim_matches('"')
            .to_owned()
    })
}

/// S3's of the same three bytes.
fn checksum() -> &'static str {
    "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
}

#[test]
fn while_the_database_is_away_it_says_so_and_goes_on_after() {
    let pair = Pair::new();
    let file = pair.world.sandbox.file("film.bin", 3 * PART);
    let running = held(&pair.world, pair.world.put(&file), PART + 1000);
    pair.database.reject_connections();
    let asked = |path: &str| call(&pair.second, reqwest::Method::GET, path, None, &Value::Null);
    let (status, problem, later) = asked("/v1/uploads");
    assert_eq!(
        (status, problem["code"].as_str(), later),
        (503, Some("unavailable"), true)
    );
    assert_eq!(asked("/readyz").0, 503);
    pair.world.part_proxy().unblock();
    // Whoever needs the ledger now is told to come again.
    wait::until("a call to be put off", || {
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
    let said = pair.world.gateway.stderr();
    let (_, password) = pair.database.url().split_once(':').unwrap();
    let password = password
        .rsplit_once('@')
        .unwrap()
        .0
        .rsplit_once(':')
        .unwrap()
        .1;
    assert!(
        !said.contains(password) && !said.contains("postgres://"),
        "{said}"
    );
}
