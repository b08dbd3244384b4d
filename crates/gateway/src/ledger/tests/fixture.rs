//! A ledger for a test, and values for its rows.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

use crate::lease::Renewed;
use crate::ledger::{Ledger, LedgerConfig, NewUpload, Upload, UploadKind, UploadSpec};
use upload_types::plan::Plan;
use upload_types::wire::{Attributes, CompletePart, PartSpec, Proof, Receipt, UploadState};
use upload_types::{PartNumber, Sha256};

pub struct Fixture {
    pub ledger: Ledger,
    config: LedgerConfig,
    /// The segment of the owner of all uploads, unless a test needs another.
    pub owner: String,
    _dir: Option<TempDir>,
}

impl Fixture {
    pub async fn on_sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = LedgerConfig::Sqlite(dir.path().join("ledger.db"));
        Self::on(config, Some(dir)).await
    }

    pub async fn on_postgres() -> Self {
        Self::on(postgres_config().await, None).await
    }

    pub async fn on(config: LedgerConfig, dir: Option<TempDir>) -> Self {
        let ledger = Ledger::open(&config).await.unwrap();
        let owner = ledger.owner_segment("local", "o".repeat(26)).await.unwrap();
        Self {
            ledger,
            config,
            owner,
            _dir: dir,
        }
    }

    /// Another gateway on the same ledger.
    pub async fn second_gateway(&self) -> Ledger {
        Ledger::open(&self.config).await.unwrap()
    }

    pub fn new_upload(&self, key: &str, parts: u64) -> NewUpload {
        let id = Uuid::new_v4().to_string();
        let spec = UploadSpec {
            key: format!("uploads/{}/{id}.mov", self.owner).parse().unwrap(),
            id: id.parse().unwrap(),
            owner: self.owner.clone(),
            idempotency_key: key.to_owned(),
            request_sha256: Sha256::of(key.as_bytes()),
            name: "Ferien — ☀ 'n' \"Meer\"; DROP TABLE part.mov".to_owned(),
            content_type: "video/quicktime".to_owned(),
            metadata: BTreeMap::from([("mood".to_owned(), "good \u{0} and \\ bad".to_owned())]),
            attributes: Box::new(Attributes {
                cache_control: Some("max-age=60".to_owned()),
                tags: BTreeMap::from([("Straße".to_owned(), "1".to_owned())]),
                ..Attributes::NONE
            }),
            kind: UploadKind::Declared,
            plan: Plan::pinned(parts * PART, PART).unwrap(),
            chosen: None,
            token: Uuid::new_v4().simple().to_string(),
            created_at: at(0),
        };
        NewUpload {
            spec,
            pinned: Vec::new(),
            holder: Some("me".to_owned()),
            renewed: until(60),
        }
    }

    pub async fn begin(&self, key: &str, parts: u64) -> Upload {
        self.ledger
            .begin(self.new_upload(key, parts))
            .await
            .unwrap()
            .0
    }

    pub async fn count_rows(&self, table: &'static str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        let count = self
            .ledger
            .read(move |tx| tx.find(&sql, &[], |row| row.number(0)));
        count.await.unwrap().unwrap()
    }

    pub async fn state(&self, upload: &Upload) -> UploadState {
        self.ledger
            .upload(&self.owner, &upload.id)
            .await
            .unwrap()
            .unwrap()
            .state
    }
}

/// The address of a new ledger in PostgreSQL.
pub async fn postgres_config() -> LedgerConfig {
    LedgerConfig::Postgres(Box::new(crate::ledger::postgres::tests::new_schema().await))
}

/// Changes rows directly, for example as if time had passed.
pub fn execute_sql(config: &LedgerConfig, sql: &str) {
    match config {
        LedgerConfig::Sqlite(path) => {
            let connection = Connection::open(path).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            connection.execute(sql, []).unwrap();
        }
        LedgerConfig::Postgres(address) => {
            crate::ledger::postgres::tests::execute_sql(address, sql);
        }
    }
}

/// The same new upload with some fields of its spec changed.
pub fn with_spec(mut new: NewUpload, change: impl FnOnce(&mut UploadSpec)) -> NewUpload {
    change(&mut new.spec);
    new
}

/// The size of each part, in bytes.
pub const PART: u64 = 5 << 20;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A lease that ends at `second`, and an upload that expires at the same time.
pub fn until(second: i64) -> Renewed {
    Renewed {
        lease_until: at(second),
        expires_at: at(second),
    }
}

pub fn number(number: u32) -> PartNumber {
    number.try_into().unwrap()
}

pub fn part_spec(part: u32, text: &str) -> PartSpec {
    PartSpec {
        number: number(part),
        size: PART,
        sha256: Sha256::of(text.as_bytes()),
        md5: None,
    }
}

pub fn complete_part(part: u32, text: &str) -> CompletePart {
    let (sha256, etag) = (
        Sha256::of(text.as_bytes()),
        format!("etag-{part}").parse().unwrap(),
    );
    CompletePart {
        number: number(part),
        etag,
        sha256,
    }
}

pub fn receipt(upload: &Upload) -> Receipt {
    Receipt {
        id: Some(upload.id.clone()),
        backend: "http://gateway".to_owned(),
        instance_id: "some".to_owned(),
        name: upload.name.clone(),
        bucket: None,
        key: upload.key.clone(),
        version_id: None,
        location: Some(format!("s3://bucket/{}", upload.key.as_str())),
        size: upload.plan.size(),
        parts: upload.plan.count(),
        part_size: upload.plan.part_size(),
        double_after: None,
        etag: "etag".parse().unwrap(),
        checksum: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".parse().ok(),
        proof: Proof::Sha256,
        unproven: Vec::new(),
        sha256: None,
        started: upload.created_at,
        finished: at(9),
    }
}
