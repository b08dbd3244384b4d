//! Operating the gateway: its log, metrics, readiness, shutdown and configuration file.
//!
//! Not here: the API (`tests/gateway_api`).
#![expect(clippy::float_cmp, reason = "the samples are whole numbers")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::PART;
use crate::support::gateway::Gateway;
use crate::support::raw_http::{self, get, try_get};
use crate::support::reserved_port::ReservedPort;
use crate::support::sandbox::Sandbox;
use crate::support::wait;
use crate::support::world::World;

/// The samples by name and labels. Asserts the format `OpenMetrics` 1.0.
#[track_caller]
fn scrape(addr: SocketAddr) -> BTreeMap<String, f64> {
    let response = get(addr, "/metrics", &[]);
    assert_eq!(response.status, 200);
    assert!(
        response.headers["content-type"].starts_with("application/openmetrics-text; version=1.0.0")
    );
    let text = response
        .body
        .strip_suffix("# EOF\n")
        .expect("`# EOF` at the end");
    let (mut families, mut samples, mut family) = (BTreeSet::new(), BTreeMap::new(), String::new());
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let [keyword, name, _] = about.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert!(["HELP", "TYPE", "UNIT"].contains(&keyword), "{line}");
            if name != family {
                assert!(families.insert(name.to_owned()), "{name} is listed twice");
                name.clone_into(&mut family);
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let (bare, labels) = name.split_once('{').unwrap_or((name, "}"));
        let suffix = bare
            .strip_prefix(&family)
            .unwrap_or_else(|| panic!("{line} does not belong to {family}"));
        assert!(
            ["", "_total", "_info", "_sum", "_count", "_bucket"].contains(&suffix),
            "{line}"
        );
        let labels = labels.strip_suffix('}').unwrap();
        assert!(
            labels.is_empty() || labels.split("\",").all(|label| label.contains("=\"")),
            "{line}"
        );
        assert!(
            samples
                .insert(name.to_owned(), value.parse().unwrap())
                .is_none(),
            "{name} is listed twice"
        );
    }
    // The last bucket holds every observation.
    for (name, count) in samples
        .iter()
        .filter(|(name, _)| name.contains("le=\"+Inf\""))
    {
        let total = name
            .replace("_bucket", "_count")
            .replace("le=\"+Inf\",", "")
            .replace("le=\"+Inf\"", "");
        assert_eq!(samples.get(&total), Some(count), "{total}");
    }
    samples
}

#[test]
fn metrics_count_an_upload() {
    let world = World::with_args(&["--metrics-listen", "127.0.0.1:0"]);
    let metrics = world.gateway.metrics_addr();
    let before = scrape(metrics);
    assert_eq!(before["upload_uploads_total{to=\"begun\"}"], 0.0);
    let file = world.sandbox.file("film.bin", 3 * PART + 1);
    world.put(&file).run().succeeds();
    let canary = "canary-in-a-path";
    assert_eq!(
        get(world.gateway.addr(), &format!("/v1/{canary}?{canary}"), &[]).status,
        404
    );
    let after = scrape(metrics);
    let sample = |name: &str| {
        *after
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {after:#?}"))
    };
    let size = f64::from(u32::try_from(3 * PART + 1).unwrap());
    assert_eq!(sample("upload_uploads_total{to=\"begun\"}"), 1.0);
    assert_eq!(sample("upload_uploads_total{to=\"ready\"}"), 1.0);
    assert_eq!(sample("upload_uploads_total{to=\"expired\"}"), 0.0);
    assert_eq!(sample("upload_parts_signed_total"), 4.0);
    assert_eq!(
        (
            sample("upload_declared_bytes_total"),
            sample("upload_verified_bytes_total")
        ),
        (size, size)
    );
    let complete = "method=\"POST\",route=\"/v1/uploads/{id}/complete\",status=\"200\"";
    assert_eq!(
        sample(&format!("upload_http_requests_total{{{complete}}}")),
        1.0
    );
    assert_eq!(
        sample("upload_http_request_seconds_count{route=\"/v1/uploads/{id}/complete\"}"),
        1.0
    );
    // Requests to the embedded store have no route template.
    assert!(
        sample("upload_http_requests_total{method=\"PUT\",route=\"other\",status=\"200\"}") >= 4.0
    );
    for operation in ["CreateMultipartUpload", "CompleteMultipartUpload"] {
        let ok = format!("upload_store_calls_total{{operation=\"{operation}\",outcome=\"ok\"}}");
        // The probe at the start called the store too.
        assert_eq!(sample(&ok) - before.get(&ok).unwrap_or(&0.0), 1.0);
    }
    assert_eq!(sample("upload_ledger_errors_total"), 0.0);
    assert!(sample("upload_sweeps_total{outcome=\"ok\"}") >= 1.0);
    assert!(!format!("{after:?}").contains(canary), "{after:#?}");
    // The address that clients use serves no metrics.
    assert_eq!(
        get(world.gateway.addr(), "/metrics", &[])
            .headers
            .get("content-type")
            .map(String::as_str),
        Some("application/xml")
    );
    assert_eq!(
        (
            get(metrics, "/healthz", &[]).status,
            get(metrics, "/v1", &[]).status
        ),
        (200, 404)
    );
}

/// A verified upload counts as confirmed; it counts as ready or rejected after its hooks.
#[test]
fn metrics_count_accepted_and_rejected_uploads() {
    let script = r#"check=if grep -q '"name":"bad"'; then exit 10; fi"#;
    let hook = [
        "--hook",
        "check=exec:/bin/sh",
        "--hook-arg",
        "check=-c",
        "--hook-arg",
        script,
    ];
    let world = World::with_args(&[&["--metrics-listen", "127.0.0.1:0"][..], &hook].concat());
    for (name, code) in [("good", 0), ("bad", 77)] {
        let file = world.sandbox.file(name, 1000);
        world.put(&file).args(["--wait", "ready"]).run().exits(code);
    }
    let metrics = world.gateway.metrics_addr();
    let names = [
        "upload_uploads_total{to=\"ready\"}",
        "upload_uploads_total{to=\"rejected\"}",
        "upload_verified_bytes_total",
    ];
    // The client may end before the gateway counts the last upload.
    wait::until("both uploads in the metrics", || {
        let samples = scrape(metrics);
        (names.map(|name| samples[name]) == [1.0, 1.0, 2000.0]).then_some(())
    });
}

#[test]
fn each_request_has_an_id_and_a_log_line() {
    let gateway = Gateway::start(&["--auth", "tokens", "-v", "--log-format", "json"], &[]);
    let token = gateway.token("someone");
    let bearer = format!("authorization: Bearer {token}");
    let request = |path: &str, id: &str| {
        let response = get(
            gateway.addr(),
            path,
            &[&bearer, &format!("x-request-id: {id}")],
        );
        (response.status, response.headers["x-request-id"].clone())
    };
    assert_eq!(
        request("/v1/uploads?state=canary-query", "build-7_a"),
        (400, "build-7_a".to_owned())
    );
    let (status, generated) = request("/v1/uploads/canary-path/parts", "not an id");
    assert_eq!((status, generated.len()), (404, 32));
    let lines = wait::until("both log lines", || {
        let stderr = gateway.stderr();
        let lines: Vec<Value> = stderr
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let ids: Vec<_> = lines
            .iter()
            .filter_map(|line| line["span"]["id"].as_str())
            .collect();
        (ids.contains(&"build-7_a") && ids.contains(&generated.as_str())).then_some(lines)
    });
    let line = lines
        .iter()
        .find(|line| line["span"]["id"] == "build-7_a")
        .unwrap();
    let keys = ["target", "level", "method", "route", "status"].map(|key| line[key].clone());
    assert_eq!(
        keys,
        [
            "upload::access".into(),
            "INFO".into(),
            "GET".into(),
            "/v1/uploads".into(),
            Value::from(400)
        ]
    );
    assert!(
        line["ms"].is_u64() && line["sent"].as_u64().unwrap() > 0,
        "{line}"
    );
    assert_eq!(line["owner"].as_str().unwrap().len(), 26);
    let other = lines
        .iter()
        .find(|line| line["span"]["id"] == generated.as_str())
        .unwrap();
    assert_eq!(other["route"], "/v1/uploads/{id}/parts");
    let stderr = gateway.stderr();
    assert!(
        !stderr.contains("canary") && !stderr.contains(&token),
        "{stderr}"
    );
}

/// Log lines of a request carry its id, also those of work that continues after the response.
#[test]
fn log_lines_of_a_request_carry_its_id() {
    let closed = ReservedPort::new();
    let gateway = Gateway::start(&args_without_probe(&closed.url()), &KEYS);
    let body = r#"{"name":"a","size":6000000,"content_type":"a/b","part_size":5242880}"#;
    let mut connection = TcpStream::connect(gateway.addr()).unwrap();
    let head = "POST /v1/uploads HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
                idempotency-key: k\r\nx-request-id: begin-1\r\n";
    write!(
        connection,
        "{head}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    assert_eq!(raw_http::read(connection).unwrap().status, 502);
    wait::until("a warning with the id", || {
        let stderr = gateway.stderr();
        stderr
            .lines()
            .any(|line| line.contains("request{id=begin-1}: ") && line.contains("the store failed"))
            .then_some(())
    });
}

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];

/// Arguments for a gateway whose store is at `endpoint` and is not probed.
fn args_without_probe(endpoint: &str) -> [&str; 11] {
    [
        "--store",
        "s3://bucket",
        "--s3-endpoint",
        endpoint,
        "--s3-path-style",
        "--store-probe",
        "off",
        "--store-checksum",
        "sha256",
        "--sweep-every",
        "never",
    ]
}

#[track_caller]
fn detail(response: &raw_http::Response) -> String {
    assert_eq!(response.headers["content-type"], "application/problem+json");
    assert_eq!(response.headers["retry-after"], "1");
    let problem: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(problem["code"], "unavailable");
    problem["detail"].as_str().unwrap().to_owned()
}

#[test]
fn gateway_without_its_store_is_alive_and_not_ready() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(
        &args_without_probe(&format!("http://{}", silent.local_addr().unwrap())),
        &KEYS,
    );
    // Concurrent requests share one check of the store.
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let addr = gateway.addr();
            std::thread::spawn(move || get(addr, "/readyz", &[]))
        })
        .collect();
    for request in requests {
        let response = request.join().unwrap();
        assert_eq!(
            (response.status, detail(&response).as_str()),
            (503, "the store does not respond")
        );
    }
    silent.set_nonblocking(true).unwrap();
    assert_eq!(silent.incoming().take_while(Result::is_ok).count(), 1);
    assert_eq!(get(gateway.addr(), "/healthz", &[]).status, 200);
}

#[test]
fn gateway_without_its_ledger_is_alive_and_not_ready() {
    let sandbox = Sandbox::new();
    let ledger = sandbox.path("ledger.db");
    let gateway = Gateway::start_in(
        sandbox,
        &["--ledger", &format!("sqlite:{}", ledger.display())],
        &[],
    );
    assert_eq!(get(gateway.addr(), "/readyz", &[]).status, 200);
    let connection = rusqlite::Connection::open(&ledger).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection
        .execute("ALTER TABLE readiness RENAME TO elsewhere", [])
        .unwrap();
    let response = wait::until("503", || {
        Some(get(gateway.addr(), "/readyz", &[])).filter(|found| found.status == 503)
    });
    assert_eq!(detail(&response), "the ledger does not accept writes");
    assert_eq!(get(gateway.addr(), "/healthz", &[]).status, 200);
    connection
        .execute("ALTER TABLE elsewhere RENAME TO readiness", [])
        .unwrap();
    wait::until("the gateway to be ready", || {
        (get(gateway.addr(), "/readyz", &[]).status == 200).then_some(())
    });
}

/// The first SIGTERM makes the gateway not ready; the second ends it at once.
#[test]
fn draining_gateway_serves_and_is_not_ready() {
    let sandbox = Sandbox::new();
    let mut running = sandbox
        .upload(["serve", "--listen", "127.0.0.1:0", "--drain", "10m"])
        .spawn();
    let addr: SocketAddr = running.wait_for("`listening on http://…`", |running| {
        running
            .stderr()
            .split_once("listening on http://")
            .and_then(|(_, rest)| rest.trim().parse().ok())
    });
    assert_eq!(get(addr, "/readyz", &[]).status, 200);
    running.signal(Signal::TERM);
    let response = wait::until("503", || {
        Some(get(addr, "/readyz", &[])).filter(|found| found.status == 503)
    });
    assert_eq!(detail(&response), "the gateway is stopping");
    assert_eq!(
        (
            get(addr, "/v1", &[]).status,
            get(addr, "/healthz", &[]).status
        ),
        (200, 200)
    );
    running.signal(Signal::TERM);
    running.wait().exits(143);
}

/// The request takes longer than the five seconds in which a client stops.
#[test]
fn stopping_gateway_finishes_requests_in_progress() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.upload(["serve", "--listen", "127.0.0.1:0"]).spawn();
    let addr: SocketAddr = running.wait_for("`listening on http://…`", |running| {
        running
            .stderr()
            .split_once("listening on http://")
            .and_then(|(_, rest)| rest.trim().parse().ok())
    });
    let body = r#"{"name":"a","size":6000000,"content_type":"a/b","part_size":5242880}"#;
    let mut connection = TcpStream::connect(addr).unwrap();
    let head = "POST /v1/uploads HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nidempotency-key: k\r\n\
                expect: 100-continue\r\n";
    write!(connection, "{head}content-length: {}\r\n\r\n", body.len()).unwrap();
    // The gateway has read the head and waits for the body.
    let mut line = [0; 25];
    std::io::Read::read_exact(&mut connection, &mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    running.signal(Signal::TERM);
    let stopped = Instant::now();
    wait::until("a closed port", || {
        try_get(addr, "/healthz", &[]).is_err().then_some(())
    });
    wait::until("six seconds after the signal", || {
        (stopped.elapsed() > Duration::from_secs(6)).then_some(())
    });
    connection.write_all(body.as_bytes()).unwrap();
    assert_eq!(raw_http::read(connection).unwrap().status, 201);
    running.wait().succeeds();
}

#[test]
fn configuration_file_sets_every_option() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("gateway.toml");
    let check = |text: &str, args: &[&str]| {
        fs::write(&path, text).unwrap();
        sandbox
            .upload(["serve", "--check", "--config"])
            .arg(&path)
            .args(args)
            .run()
    };
    let text = "listen = \"127.0.0.1:0\"\nstore_credentials = \"keys.ini\"\nledger = \"sqlite:here.db\"\nverbose = 1\n\
                log_format = \"json\"\nurl_ttl = \"1h\"\n";
    check(text, &[]).succeeds();
    check("lisen = \"127.0.0.1:0\"\n", &[])
        .exits(78)
        .stderr_contains("`listen`");
    check("auth = \"tokens\"\nlisten = \"0.0.0.0:80\"\n", &[]).succeeds();
    check(
        "auth = \"tokens\"\nlisten = \"0.0.0.0:80\"\n",
        &["--auth", "none"],
    )
    .exits(78)
    .stderr_contains("--auth tokens");
    check("max_size = \"much\"\n", &[])
        .exits(78)
        .stderr_contains("max_size");
    check("", &["--public-url", "ftp://x"]).exits(2);
    fs::write(&path, text).unwrap();
    let mut running = sandbox.upload(["serve", "--config"]).arg(&path).spawn();
    running.wait_for("`listening on http://…`", |running| {
        running.stderr().contains("listening on ").then_some(())
    });
    assert!(sandbox.path("keys.ini").exists() && sandbox.path("here.db").exists());
    running.wait_for("a line of JSON", |running| {
        running
            .stderr()
            .contains("\"level\":\"INFO\"")
            .then_some(())
    });
}

/// A typo in `--ledger` must not create an empty ledger that no gateway uses.
#[test]
fn verbs_that_read_a_ledger_create_none() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("missing/ledger.db");
    let ledger = format!("sqlite:{}", path.display());
    for verb in [
        &["token", "list"][..],
        &["token", "revoke", "0123456789abcdef"],
        &["sweep"],
        &["sweep", "--dry-run"],
    ] {
        let command = sandbox.upload(["serve"]).args(verb);
        command.args(["--ledger", &ledger]).run().exits(1);
        assert!(!path.parent().unwrap().exists(), "{verb:?}");
    }
    let add = sandbox.upload(["serve", "token", "add", "me", "--ledger", &ledger]);
    add.run().succeeds();
    let list = sandbox.upload(["serve", "token", "list", "--ledger", &ledger]);
    assert_eq!(list.run().succeeds().lines().len(), 1);
}
