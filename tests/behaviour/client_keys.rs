//! `upload serve --client-keys`: the flag, the patterns of tokens and of the configuration file,
//! and uploads at chosen keys to an S3 server of another project.
//!
//! Not here: the answers of the API in full (`tests/gateway_api/chosen_keys.rs`), and the flags of
//! the client.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use upload_types::Checksum;

use crate::support::gateway::{Gateway, store_args};
use crate::support::raw_http;
use crate::support::s3::{S3, encoded, lacks};
use crate::support::sandbox::Sandbox;

/// A client of the API.
struct Client {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    fn new(gateway: &Gateway, token: Option<String>) -> Self {
        Self {
            base: gateway.url().trim_end_matches('/').to_owned(),
            token,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Sends a request and returns status and body.
    fn call(
        &self,
        method: Method,
        path: &str,
        idempotency_key: &str,
        body: &Value,
    ) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let request = request
            .header("idempotency-key", idempotency_key)
            .json(body);
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json().await.unwrap())
        })
    }

    /// Begins an upload of these bytes at a key, in parts of 5 MiB.
    fn begin(&self, name: &str, key: &str, if_exists: &str, bytes: &[u8]) -> (u16, Value) {
        let parts: Vec<Value> = (1..)
            .zip(chunks(bytes))
            .map(|(number, chunk)| {
                json!({"number": number, "size": chunk.len(), "sha256": hex_sha256(chunk)})
            })
            .collect();
        let request = json!({
            "name": "x", "size": bytes.len(), "content_type": "a/b", "part_size": 5 << 20,
            "key": key, "if_exists": if_exists, "parts": parts,
        });
        self.call(Method::POST, "/v1/uploads", name, &request)
    }

    /// Sends the parts of a begun upload. Returns the request to complete it.
    fn send(&self, begun: &Value, bytes: &[u8]) -> Value {
        let signed = begun["parts"].as_array().unwrap();
        let mut parts = Vec::new();
        for (signed, chunk) in signed.iter().zip(chunks(bytes)) {
            let (status, etag) = self.put(signed, chunk);
            assert_eq!(status, 200);
            parts.push(json!({"number": signed["number"], "etag": etag.unwrap(), "sha256": hex_sha256(chunk)}));
        }
        json!({"epoch": begun["epoch"], "parts": parts, "checksum": checksum(bytes).as_str()})
    }

    /// Sends a signed part. Returns status and ETag.
    fn put(&self, signed: &Value, bytes: &[u8]) -> (u16, Option<String>) {
        let url = signed["url"].as_str().unwrap();
        let mut request = self.http.put(url).body(bytes.to_vec());
        for (name, value) in signed["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let etag = response.headers().get("etag");
            let etag = etag.map(|etag| etag.to_str().unwrap().to_owned());
            (response.status().as_u16(), etag)
        })
    }

    fn complete(&self, begun: &Value, request: &Value) -> (u16, Value) {
        let path = format!("/v1/uploads/{}/complete", begun["id"].as_str().unwrap());
        self.call(Method::POST, &path, "-", request)
    }

    /// Uploads these bytes, which must become an object. Returns the begin and the receipt.
    fn upload(&self, name: &str, key: &str, if_exists: &str, bytes: &[u8]) -> (Value, Value) {
        let (status, begun) = self.begin(name, key, if_exists, bytes);
        assert_eq!(status, 201, "{begun}");
        let request = self.send(&begun, bytes);
        let (status, receipt) = self.complete(&begun, &request);
        assert_eq!(status, 200, "{receipt}");
        (begun, receipt)
    }
}

fn chunks(bytes: &[u8]) -> Vec<&[u8]> {
    if bytes.is_empty() {
        vec![&[]]
    } else {
        bytes.chunks(5 << 20).collect()
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    upload_types::Sha256::new(Sha256::digest(bytes).into()).to_string()
}

fn checksum(bytes: &[u8]) -> Checksum {
    let digests: Vec<_> = chunks(bytes)
        .into_iter()
        .map(|chunk| upload_types::Sha256::new(Sha256::digest(chunk).into()))
        .collect();
    match digests.as_slice() {
        [only] => Checksum::whole(only),
        digests => Checksum::composite(digests),
    }
}

/// The code of a begin at a key.
fn begin_code(gateway: &Gateway, token: Option<&str>, key: &str) -> String {
    let body = json!({"name": "x", "size": 7, "content_type": "a/b", "key": key});
    let idempotency_key = format!("idempotency-key: {}", hex_sha256(key.as_bytes()));
    let mut headers = vec!["content-type: application/json", idempotency_key.as_str()];
    let authorization = token.map(|token| format!("authorization: Bearer {token}"));
    headers.extend(authorization.as_deref());
    let body = body.to_string();
    let addr = gateway.addr();
    let response = raw_http::request(addr, "POST", "/v1/uploads", &headers, body.as_bytes());
    let body: Value = serde_json::from_str(&response.body).unwrap();
    let is_begun = response.status == 201 && body["key"] == key;
    body["code"].as_str().map_or_else(
        || {
            assert!(is_begun, "{}", response.body);
            "begun".to_owned()
        },
        str::to_owned,
    )
}

#[test]
fn token_has_patterns_that_count_only_with_client_keys() {
    let gateway = Gateway::start(&["--auth", "tokens", "--client-keys"], &[]);
    let serve = |args: &[&str]| gateway.sandbox().upload(["serve"]).args(args).run();
    let add = ["token", "add", "ci", "--keys", "app/**", "--keys", "*.txt"];
    let token = serve(&add).succeeds().line().to_owned();
    let begin = |key: &str| begin_code(&gateway, Some(&token), key);
    assert_eq!(begin("app/1.2/x.tar"), "begun");
    assert_eq!(begin("notes.txt"), "begun");
    assert_eq!(begin("other/x"), "key_not_allowed");
    assert_eq!(begin("app/../other/x"), "key_invalid");
    let other = gateway.token("other");
    assert_eq!(
        begin_code(&gateway, Some(&other), "app/x"),
        "key_not_allowed"
    );
    let listed = serve(&["token", "list", "--json"]).succeeds();
    let lines: Vec<Value> = listed
        .lines()
        .into_iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let keys = |name: &str| {
        let line = lines.iter().find(|line| line["name"] == name);
        line.unwrap()["keys"].clone()
    };
    assert_eq!(keys("ci"), json!(["app/**", "*.txt"]));
    assert_eq!(keys("other"), Value::Null);

    for wrong in ["/app/**", "app/[a"] {
        let refused = serve(&["token", "add", "x", "--keys", wrong]).exits(2);
        let stderr = refused.stderr();
        assert!(stderr.contains("not a pattern of keys"), "{stderr}");
        assert!(
            stderr.contains("app/**"),
            "the hint has an example: {stderr}"
        );
    }

    let without = Gateway::start(&["--auth", "tokens"], &[]);
    let add = ["serve", "token", "add", "ci", "--keys", "app/**"];
    let token = without.sandbox().upload(add).run().succeeds();
    let token = token.line().to_owned();
    assert_eq!(
        begin_code(&without, Some(&token), "app/x"),
        "key_not_allowed"
    );
}

#[test]
fn configuration_file_has_patterns_of_owners_and_a_reload_applies_them() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("serve.toml");
    let text =
        |keys: &str| format!("client_keys = true\n[[limits]]\nowner = \"local\"\nkeys = {keys}\n");
    fs::write(&path, text("[\"app/*\"]")).unwrap();
    let config = path.to_str().unwrap().to_owned();
    let gateway = Gateway::start_in(sandbox, &["--config", &config], &[]);
    assert_eq!(begin_code(&gateway, None, "app/x"), "begun");
    assert_eq!(begin_code(&gateway, None, "app/x/y"), "key_not_allowed");
    fs::write(&path, text("[\"app/**\"]")).unwrap();
    gateway.signal(rustix::process::Signal::HUP);
    crate::support::wait::until("the reload", || {
        gateway
            .stderr()
            .contains("applied=\"limits\"")
            .then_some(())
    });
    assert_eq!(begin_code(&gateway, None, "app/x/y"), "begun");

    fs::write(&path, text("[\"/app\"]")).unwrap();
    let check = gateway.sandbox().upload(["serve", "--check", "--config"]);
    let refused = check.arg(&path).run().exits(78);
    assert!(
        refused
            .stderr()
            .contains("\"/app\" is not a pattern of keys")
    );
}

/// Keys of all kinds, which a store must keep as they are.
const KEYS: [&str; 6] = [
    "app/1.2.3/x.tar.gz",
    "a b/c  d",
    "plus+percent%2F&=?#;",
    "é/😀/中文",
    "app/...",
    "app/%2e%2e/x",
];

#[test]
fn real_store_has_objects_at_chosen_keys_and_replaces_only_the_expected_one() {
    let store = S3::real(&format!("upload-chosen-{}", std::process::id()));
    let (bucket, endpoint) = (
        format!("s3://{}/in", store.bucket()),
        format!("http://{}", store.addr()),
    );
    let sandbox = Sandbox::new();
    let path = sandbox.path("serve.toml");
    let keys = "client_keys = true\n[[limits]]\nowner = \"local\"\nkeys = [\"**\"]\n";
    fs::write(&path, keys).unwrap();
    let config = path.to_str().unwrap().to_owned();
    let args = [&["--config", &config][..], &store_args(&bucket, &endpoint)].concat();
    let gateway = Gateway::start_in(sandbox, &args, &store.envs());
    let client = Client::new(&gateway, None);
    let enforces = !lacks("if-none-match");
    let long = "k".repeat(1021);
    for (number, key) in KEYS.into_iter().chain([long.as_str()]).enumerate() {
        let full_key = format!("in/{key}");
        let path = encoded(&full_key);
        let name = |step: &str| format!("{number}-{step}");
        let first = format!("first {number}").into_bytes();
        let (begun, receipt) = client.upload(&name("a"), key, "same", &first);
        assert_eq!(
            (begun["key"].as_str(), receipt["key"].as_str()),
            (Some(&*full_key), Some(&*full_key))
        );
        assert_eq!(store.get(&path), first);
        let has_condition = receipt["unproven"]
            .as_array()
            .is_some_and(|unproven| unproven.contains(&json!("condition")));
        assert_eq!(has_condition, !enforces);

        let (status, problem) = client.begin(&name("b"), key, "same", b"other");
        assert_eq!((status, problem["code"].as_str()), (409, Some("exists")));
        let existing = &problem["existing"];
        assert_eq!(existing["size"], first.len());
        assert_eq!(existing["etag"], receipt["etag"]);
        assert_eq!(existing["part_size"], first.len());
        assert_eq!(existing["upload"], begun["id"]);

        let (_, second) = client.upload(&name("c"), key, "overwrite", b"second");
        assert_eq!(store.get(&path), b"second");
        let sent: Checksum = second["checksum"].as_str().unwrap().parse().unwrap();
        assert!(sent.has_content_of(&checksum(b"second")));
        // A request that is sent again does not bring the first object back.
        let (status, _) = client.put(&begun["parts"][0], &first);
        assert!([404, 412].contains(&status), "{status}");
        assert_eq!(store.get(&path), b"second");

        // Another program writes in between.
        let (_, begun) = client.begin(&name("d"), key, "overwrite", b"third");
        let request = client.send(&begun, b"third");
        store.put(&path, b"in between");
        let (status, problem) = client.complete(&begun, &request);
        assert_eq!((status, problem["code"].as_str()), (409, Some("exists")));
        assert_eq!(problem["existing"]["size"], 10);
        assert_eq!(store.get(&path), b"in between");
    }
    // Objects of several parts and without bytes.
    let large = vec![7; (5 << 20) + 3];
    for (name, bytes) in [
        ("large", &large[..]),
        ("empty", &[]),
        ("large", &[]),
        ("empty", &large),
    ] {
        let step = format!("{name}-{}", bytes.len());
        client.upload(&step, name, "overwrite", bytes);
        assert_eq!(store.get(&format!("in/{name}")), bytes);
    }
    store.assert_no_open_uploads();
}
