//! The gateway over the bucket in memory, in a process that can be killed; a plain HTTP client; and
//! the rows of its ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde_json::Value;
use tempfile::TempDir;
use upload_s3::{Profile, Settings, Store};
use upload_types::wire::UploadState;
use upload_types::{CompactReceipt, RowValues, UuidForm};

use crate::bucket::{Bucket, NAME};
use crate::support::gateway::{Gateway, store_args};
use crate::support::sandbox::Sandbox;

/// A directory in memory if the machine has `/dev/shm`, otherwise on disk.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = tempfile::Builder::new()
        .prefix("upload-model-")
        .tempdir_in(memory);
    dir.or_else(|_| tempfile::tempdir()).unwrap()
}

pub struct TestGateway {
    gateway: Gateway,
    client: reqwest::Client,
    pub dir: TempDir,
    /// Tokens of the owner of the uploads and of another owner.
    pub tokens: [String; 2],
    keys: Keys,
}

/// How the gateway makes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// It makes all keys, and has not probed the store.
    Made,
    /// Its clients choose the keys. It knows from a probe that the store has every capability.
    Chosen,
}

/// Status and body of a response; `None` if no response arrived.
pub type Reply = Option<(u16, Value)>;

/// The code of a problem, or the status, or `lost`.
pub fn response_code(response: &Reply) -> String {
    match response {
        None => "lost".into(),
        Some((status, body)) => body["code"]
            .as_str()
            .map_or(status.to_string(), str::to_owned),
    }
}

/// A part of the plan. The ledger has a row for it if it is pinned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    pub sha256: Option<[u8; 32]>,
    pub etag: Option<String>,
}

/// An upload in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    pub id: String,
    pub key: String,
    pub token: String,
    pub content_type: String,
    pub state: UploadState,
    pub epoch: u64,
    pub holder: Option<String>,
    /// The lease has expired.
    pub lease_expired: bool,
    pub store_upload: Option<String>,
    pub receipt: Option<String>,
    /// Every part of the plan.
    pub parts: Vec<Part>,
    /// The number of rows of parts.
    pub part_rows: usize,
}

const REGION: &str = "us-east-1";
/// The access key of the gateway, and its secret.
const ACCESS_KEY: &str = "model";

/// The key of the bucket's profile in the ledger.
async fn profile_key(bucket: &Bucket) -> String {
    let settings = Settings {
        bucket: NAME.into(),
        prefix: String::new(),
        endpoint: Some(bucket.url().parse().unwrap()),
        public_endpoint: None,
        region: Some(REGION.into()),
        path_style: true,
        keys: Some((ACCESS_KEY.into(), ACCESS_KEY.into())),
        create_headers: BTreeMap::new(),
        embedded: false,
        cdn: None,
        network: upload_net::Network::default(),
        observer: upload_s3::unobserved,
    };
    Store::new(settings).unwrap().profile_key().await.unwrap()
}

fn ledger_of(dir: &TempDir) -> PathBuf {
    dir.path().join("ledger.db")
}

impl TestGateway {
    pub fn start(bucket: &Bucket, auth: &str) -> Self {
        Self::start_in(scratch(), bucket, auth, Keys::Made)
    }

    /// Starts a gateway whose clients choose the keys, over a store that was probed before.
    pub async fn start_with_chosen_keys(bucket: &Bucket) -> Self {
        let dir = scratch();
        // The first token creates the ledger.
        Self::tokens(&Sandbox::new(), &dir, Keys::Chosen);
        let profile = serde_json::to_string(&Profile::embedded()).unwrap();
        let ledger = Connection::open(ledger_of(&dir)).unwrap();
        let sql = "INSERT INTO store_profile (store, profile, probed_at) VALUES (?1, ?2, ?3)";
        let now = jiff::Timestamp::now().as_millisecond();
        ledger
            .execute(sql, (profile_key(bucket).await, profile, now))
            .unwrap();
        drop(ledger);
        Self::start_in(dir, bucket, "tokens", Keys::Chosen)
    }

    fn start_in(dir: TempDir, bucket: &Bucket, auth: &str, keys: Keys) -> Self {
        let ledger = format!("sqlite:{}", ledger_of(&dir).display());
        let sandbox = Sandbox::new();
        let (store, endpoint) = (format!("s3://{NAME}"), bucket.url());
        let proof = ["--s3-region", REGION, "--store-checksum", "sha256"];
        let keys_args: &[&str] = match keys {
            Keys::Made => &["--store-probe", "off"],
            Keys::Chosen => &["--client-keys"],
        };
        // Sweeps would change states between the steps.
        let args = [
            &[
                "--ledger",
                &ledger,
                "--auth",
                auth,
                "--sweep-every",
                "never",
            ][..],
            &store_args(&store, &endpoint),
            &proof,
            keys_args,
        ]
        .concat();
        let tokens = Self::tokens(&sandbox, &dir, keys);
        let envs = [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY),
        ];
        let gateway = Gateway::start_in(sandbox, &args, &envs);
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(4)
            .build()
            .unwrap();
        Self {
            gateway,
            client,
            dir,
            tokens,
            keys,
        }
    }

    fn tokens(sandbox: &Sandbox, dir: &TempDir, keys: Keys) -> [String; 2] {
        let ledger = format!("sqlite:{}", ledger_of(dir).display());
        let patterns: &[&str] = match keys {
            Keys::Made => &[],
            Keys::Chosen => &["--keys", "**"],
        };
        ["alice", "bob"].map(|name| {
            let add = sandbox.upload(["serve", "token", "add", name, "--ledger", &ledger]);
            let output = add.args(patterns).run().succeeds();
            output.line().to_owned()
        })
    }

    pub fn url(&self) -> String {
        self.gateway.url()
    }

    /// Kills the gateway and starts it again.
    pub fn kill(&mut self) {
        let stderr = self.gateway.kill9();
        assert!(!stderr.contains("panicked"), "{stderr}");
        self.gateway.restart();
    }

    /// Kills the gateway and starts it with an empty ledger.
    pub fn lose_ledger(&mut self) {
        self.gateway.kill9();
        for suffix in ["", "-wal", "-shm"] {
            let mut path = ledger_of(&self.dir).into_os_string();
            path.push(suffix);
            std::fs::remove_file(path).ok();
        }
        self.tokens = Self::tokens(self.gateway.sandbox(), &self.dir, self.keys);
        self.gateway.restart();
    }

    pub fn stderr(&self) -> String {
        self.gateway.stderr()
    }

    /// Makes a call with this idempotency key and the token at the index `owner`.
    pub async fn call(
        &self,
        owner: usize,
        method: Method,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> Reply {
        let request = self
            .client
            .request(method, format!("{}/v1/{path}", self.url()))
            .bearer_auth(&self.tokens[owner]);
        let request = request
            .timeout(Duration::from_secs(30))
            .header("idempotency-key", key);
        let request = if let Some(body) = body {
            request.json(&body)
        } else {
            request
        };
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    pub fn ledger(&self) -> Connection {
        let connection = Connection::open(ledger_of(&self.dir)).unwrap();
        connection.busy_timeout(Duration::from_secs(5)).unwrap();
        connection
    }
}

impl LedgerRow {
    /// A row with placeholders for the values that the gateway chooses.
    pub fn blank() -> Self {
        let [id, key, token, content_type] = std::array::from_fn(|_| String::new());
        let (state, epoch, lease_expired, parts) = (UploadState::Pending, 0, false, Vec::new());
        Self {
            id,
            key,
            token,
            content_type,
            state,
            epoch,
            holder: None,
            lease_expired,
            store_upload: None,
            receipt: None,
            parts,
            part_rows: 0,
        }
    }
}

/// The receipt in a row of the query of [`read_row`], as JSON.
fn read_receipt(row: &Row<'_>) -> rusqlite::Result<Option<String>> {
    let Some(own) = row.get(7)? else {
        return Ok(None);
    };
    let (id, key, name): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(11)?);
    let common = serde_json::from_str(&row.get::<_, String>(13)?).unwrap();
    let values = RowValues {
        id: Some(&id.parse().unwrap()),
        name: &name,
        key: Some(&key),
        began: Timestamp::from_millisecond(row.get(12)?).unwrap(),
    };
    let receipt = CompactReceipt { common, own }.receipt(&values).unwrap();
    Ok(Some(serde_json::to_string(&receipt).unwrap()))
}

/// The row of the upload with this idempotency key.
pub fn read_row(ledger: &Connection, idempotency_key: &str) -> Option<LedgerRow> {
    let sql = "SELECT id, key, token, state, epoch, holder, store_upload, receipt, lease_until, content_type, part_count, \
               name, created_at, fields FROM upload LEFT JOIN receipt_common ON number = receipt_common \
               WHERE idempotency_key = ?1";
    let row = ledger.query_row(sql, [idempotency_key.as_bytes()], |row| {
        let text = |form: UuidForm, bytes: Vec<u8>| form.from_bytes(&bytes).unwrap();
        Ok(LedgerRow {
            id: row.get(0)?,
            key: row.get(1)?,
            token: text(UuidForm::Simple, row.get(2)?),
            state: UploadState::from_name(&row.get::<_, String>(3)?).unwrap(),
            epoch: u64::try_from(row.get::<_, i64>(4)?).unwrap(),
            holder: row
                .get::<_, Option<_>>(5)?
                .map(|bytes| text(UuidForm::Hyphenated, bytes)),
            store_upload: row.get(6)?,
            receipt: read_receipt(row)?,
            lease_expired: row.get::<_, i64>(8)? == 0,
            content_type: row.get::<_, Option<_>>(9)?.unwrap_or_default(),
            parts: vec![Part::default(); row.get::<_, u32>(10)? as usize],
            part_rows: 0,
        })
    });
    let mut row = row.optional().unwrap()?;
    let sql = "SELECT number, sha256, etag FROM part WHERE upload = ?1";
    let mut statement = ledger.prepare_cached(sql).unwrap();
    let mut parts = statement.query([&row.id]).unwrap();
    while let Some(part) = parts.next().unwrap() {
        row.part_rows += 1;
        row.parts[part.get::<_, u32>(0).unwrap() as usize - 1] = Part {
            sha256: part.get(1).unwrap(),
            etag: part.get(2).unwrap(),
        };
    }
    drop(parts);
    drop(statement);
    Some(row)
}
