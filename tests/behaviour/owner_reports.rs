//! Reports about owners: `serve uploads`, `serve usage`, `serve owners` and `serve token list`,
//! while the gateway runs.

use std::path::Path;

use serde_json::Value;

use crate::support::command::Command;
use crate::support::gateway::Gateway;
use crate::support::postgres::Database;
use crate::support::raw_http;
use crate::support::sandbox::Sandbox;
use crate::support::wait;

/// A gateway with the owners alice and bob.
struct Owners {
    gateway: Gateway,
    database: Option<Database>,
    clients: Sandbox,
}

impl Owners {
    #[track_caller]
    fn new(database: Option<Database>) -> Self {
        let envs: Vec<_> = database.iter().map(Database::env).collect();
        let gateway = Gateway::start(&["--auth", "tokens"], &envs);
        Self {
            gateway,
            database,
            clients: Sandbox::new(),
        }
    }

    /// `upload serve ARGS…` on the same ledger.
    fn serve(&self, args: &[&str]) -> Command {
        let serve = self.gateway.sandbox().upload(["serve"]).args(args);
        match &self.database {
            Some(database) => serve.env("UPLOAD_LEDGER", database.url()),
            None => serve,
        }
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Vec<Value> {
        let output = self.serve(&[args, &["--json"]].concat()).run().succeeds();
        let lines = output.lines().into_iter();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[track_caller]
    fn token(&self, args: &[&str]) -> String {
        let add = [&["token", "add"], args].concat();
        self.serve(&add).run().succeeds().line().to_owned()
    }

    #[track_caller]
    fn put(&self, token: &str, file: &Path) {
        let put = self
            .clients
            .upload(["put", "--backend", &self.gateway.url()]);
        let put = put.arg(file).env("UPLOAD_TOKEN", token);
        put.run().succeeds();
    }

    /// Begins an upload and leaves it unfinished.
    #[track_caller]
    fn begin(&self, token: &str, name: &str) {
        let body = format!(r#"{{"name":"{name}","size":7000000,"content_type":"a/b"}}"#);
        let authorization = format!("authorization: Bearer {token}");
        let response = raw_http::request(
            self.gateway.addr(),
            "POST",
            "/v1/uploads",
            &[
                &authorization,
                "content-type: application/json",
                "idempotency-key: one",
            ],
            body.as_bytes(),
        );
        assert_eq!(response.status, 201, "{}", response.body);
    }
}

/// Alice has a ready upload of 1,000 bytes, bob an unfinished one of 7,000,000.
#[track_caller]
fn check_reports(owners: &Owners) {
    let alice = owners.token(&["alice"]);
    let bob = owners.token(&["bob"]);
    let file = owners.clients.file("film.bin", 1000);
    owners.put(&alice, &file);
    owners.begin(&bob, "a\u{202e}b");

    let found = owners.json(&["uploads"]);
    let fields =
        |upload: &Value| ["subject", "state", "size", "name"].map(|key| upload[key].clone());
    let expected: [[Value; 4]; 2] = [
        [
            "token:alice".into(),
            "ready".into(),
            1000.into(),
            "film.bin".into(),
        ],
        [
            "token:bob".into(),
            "pending".into(),
            7_000_000.into(),
            "a\u{202e}b".into(),
        ],
    ];
    assert_eq!(found.iter().map(fields).collect::<Vec<_>>(), expected);
    let segment = found[0]["owner"].as_str().unwrap();
    assert!(found[0]["key"].as_str().unwrap().contains(segment));
    assert_eq!(found[0]["receipt"]["size"], 1000);
    assert!(found[1].get("receipt").is_none());
    let lines = owners.serve(&["uploads"]).run().succeeds();
    assert_eq!(lines.lines().len(), 2);
    assert!(!lines.stdout().contains('\u{202e}'), "{}", lines.stdout());

    let only = |args: &[&str]| {
        let uploads = owners.json(&[&["uploads"], args].concat());
        let subjects = uploads
            .iter()
            .map(|upload| upload["subject"].as_str().unwrap().to_owned());
        subjects.collect::<Vec<_>>()
    };
    assert_eq!(only(&["--owner", "alice"]), ["token:alice"]);
    assert_eq!(only(&["--owner", "token:bob"]), ["token:bob"]);
    assert_eq!(only(&["--owner", segment]), ["token:alice"]);
    assert_eq!(only(&["--state", "pending"]), ["token:bob"]);
    assert_eq!(only(&["--since", "1h"]), ["token:alice", "token:bob"]);
    assert_eq!(only(&["--since", "2999-01-01"]), [""; 0]);
    owners
        .serve(&["uploads", "--owner", "carol"])
        .run()
        .exits(1);
    owners.serve(&["uploads", "--state", "done"]).run().exits(2);

    let usage = owners.json(&["usage"]);
    let amounts = |usage: &Value| {
        let amount = |key: &str| (usage[key]["uploads"].as_u64(), usage[key]["bytes"].as_u64());
        (usage["subject"].clone(), amount("open"), amount("stored"))
    };
    let amount = |uploads, bytes| (Some(uploads), Some(bytes));
    assert_eq!(
        usage.iter().map(amounts).collect::<Vec<_>>(),
        [
            ("token:alice".into(), amount(0, 0), amount(1, 1000)),
            ("token:bob".into(), amount(1, 7_000_000), amount(0, 0)),
        ]
    );
    assert_eq!(usage[0]["counted_bytes"], 1000);

    // The first use is written at once, and further uses at most once a minute.
    let listed = wait::until("the last uses", || {
        let listed = owners.json(&["owners"]);
        let is_used = |owner: &Value| owner["last_used_at"].is_string();
        listed.iter().any(is_used).then_some(listed)
    });
    assert_eq!(listed[0]["owner"], segment);
    assert!(listed[0]["created_at"].is_string());
    let tokens = owners.json(&["token", "list"]);
    assert_eq!(tokens[0]["owner"], segment);
    assert_eq!(tokens[0]["subject"], "token:alice");
    assert!(tokens[0]["last_used_at"].is_string(), "{}", tokens[0]);
    assert_eq!(owners.serve(&["owners"]).run().succeeds().lines().len(), 2);
    assert_eq!(owners.serve(&["usage"]).run().succeeds().lines().len(), 2);
}

#[test]
fn reports_list_the_uploads_of_each_owner() {
    check_reports(&Owners::new(None));
}

#[test]
fn reports_read_a_ledger_in_postgres() {
    check_reports(&Owners::new(Some(Database::new())));
}

#[test]
fn uses_of_the_last_minute_are_recorded_when_the_gateway_stops() {
    let mut owners = Owners::new(None);
    let alice = owners.token(&["alice"]);
    let bob = owners.token(&["bob"]);
    owners.put(&alice, &owners.clients.file("a", 10));
    wait::until("the use of alice's token", || {
        owners.json(&["token", "list"])[0]["last_used_at"]
            .is_string()
            .then_some(())
    });
    owners.put(&bob, &owners.clients.file("b", 10));
    assert!(
        owners.json(&["token", "list"])[1]
            .get("last_used_at")
            .is_none()
    );
    owners.gateway.stop();
    assert!(owners.json(&["token", "list"])[1]["last_used_at"].is_string());
}

#[test]
fn many_uploads_are_listed_in_pages() {
    let owners = Owners::new(None);
    let token = owners.token(&["alice"]);
    owners.begin(&token, "first");
    let ledger = owners
        .gateway
        .sandbox()
        .path("home/state/upload/gateway.db");
    let connection = rusqlite::Connection::open(&ledger).unwrap();
    let columns = "owner, request_sha256, name, size, content_type, metadata, kind, part_size, part_count, token, \
                   state, epoch, lease_until, created_at, expires_at";
    let sql = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1200) \
         INSERT INTO upload (id, key, idempotency_key, {columns}) \
         SELECT id || n, key || n, CAST(n AS BLOB), {columns} FROM upload, n"
    );
    connection.execute(&sql, []).unwrap();
    let listed = owners.json(&["uploads"]);
    assert_eq!(listed.len(), 1201);
    let ids: std::collections::BTreeSet<_> = listed
        .iter()
        .map(|upload| upload["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 1201);
    assert_eq!(owners.json(&["usage"])[0]["open"]["uploads"], 1201);
}
