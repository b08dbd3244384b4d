//! The gateway, the bucket, the proxy in front of the gateway, and the state of one case.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::OptionalExtension as _;
use tempfile::TempDir;
use upload::journal::Journal;
use upload::transfer::{IfGone, Item, NameOrigin, OnChange, PutRequest, TypeOrigin};
use upload_types::UuidForm;

use super::actions::{MACHINES, Put, SOURCES};
use super::source::{KeySource, Version};
use crate::bucket::{Bucket, Object};
use crate::gateway::TestGateway;
use crate::lossy_proxy::LossyProxy;
use crate::process::Process;
use crate::support::PART;

pub(super) struct KeysModel {
    pub(super) gateway: TestGateway,
    pub(super) bucket: Bucket,
    pub(super) proxy: LossyProxy,
    pub(super) cases: usize,
}

pub(super) struct Case {
    pub(super) dir: TempDir,
    /// The keys of the case are below it.
    pub(super) prefix: String,
    pub(super) sources: Arc<Mutex<[KeySource; SOURCES]>>,
    /// How many journals each machine has lost.
    pub(super) lost_journals: [usize; MACHINES],
    /// The expected objects, by key.
    pub(super) objects: BTreeMap<String, Object>,
    /// A response to the creation of a multipart upload was lost, or a process was killed then: at
    /// a chosen key, no other process can know whose it is.
    pub(super) may_lose_uploads: bool,
}

impl Case {
    pub(super) fn key(&self, number: usize) -> String {
        format!("{}key-{number}", self.prefix)
    }

    pub(super) fn journal_dir(&self, machine: usize) -> PathBuf {
        let lost = self.lost_journals[machine];
        self.dir.path().join(format!("machine-{machine}-{lost}"))
    }

    pub(super) fn journal_path(&self, machine: usize) -> PathBuf {
        let dir = self.journal_dir(machine);
        std::fs::create_dir_all(&dir).unwrap();
        dir.join("journal.db")
    }

    pub(super) fn journal(&self, machine: usize) -> Journal {
        Journal::open(&self.journal_path(machine)).unwrap()
    }

    pub(super) fn path(&self, source: usize) -> PathBuf {
        self.sources.lock().unwrap()[source].path.clone()
    }

    pub(super) fn version(&self, source: usize) -> Version {
        self.sources.lock().unwrap()[source].current()
    }

    pub(super) fn item(&self, put: &Put) -> Item {
        let path = self.path(put.source);
        Item::Put(PutRequest {
            name: name_of(&path),
            path,
            name_origin: NameOrigin::Path,
            content_type: "video/mp4".into(),
            type_origin: TypeOrigin::Requested,
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            key: Some(self.key(put.key)),
            if_exists: put.if_exists,
            part_size: Some(PART),
            force: put.force,
            trust_journal: false,
            on_change: if put.restart {
                OnChange::Restart
            } else {
                OnChange::Fail
            },
            if_gone: IfGone::Fail,
            file_set: None,
            begun_since: None,
        })
    }
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The row of the upload that made an object.
pub(super) struct Creator {
    pub(super) idempotency_key: String,
    pub(super) state: String,
}

impl KeysModel {
    pub(super) fn process(&self) -> Process {
        Process {
            bucket: self.bucket.clone(),
            proxy: self.proxy.addr,
            token: self.gateway.tokens[0].clone(),
        }
    }

    pub(super) fn restart_gateway(&mut self) {
        self.gateway.kill();
        self.proxy.set_target(self.gateway.url());
    }

    /// The leases of all uploads of a case expire.
    pub(super) fn expire_leases(&self, prefix: &str) {
        let sql = "UPDATE upload SET lease_until = 0 WHERE key LIKE ?1 || '%'";
        self.gateway.ledger().execute(sql, [prefix]).unwrap();
    }

    /// The upload that made an object with this token.
    pub(super) fn creator(&self, token: &str) -> Option<Creator> {
        let sql = "SELECT idempotency_key, state FROM upload WHERE token = ?1";
        let token = UuidForm::Simple.to_bytes(token).into_owned();
        let row = self.gateway.ledger().query_row(sql, [token], |row| {
            let idempotency_key: Vec<u8> = row.get(0)?;
            let idempotency_key = UuidForm::Hyphenated.from_bytes(&idempotency_key);
            Ok(Creator {
                idempotency_key: idempotency_key.unwrap(),
                state: row.get(1)?,
            })
        });
        row.optional().unwrap()
    }

    /// Whether an upload is unfinished at a key.
    pub(super) fn is_in_use(&self, key: &str) -> bool {
        let sql = "SELECT count(*) FROM upload WHERE key = ?1 \
                   AND state IN ('pending', 'uploading', 'completing', 'aborting', 'verified')";
        let count = self
            .gateway
            .ledger()
            .query_row(sql, [key], |row| row.get::<_, i64>(0));
        count.unwrap() > 0
    }

    /// Whether the ledger names this multipart upload of a case.
    pub(super) fn names_multipart(&self, prefix: &str, id: &str) -> bool {
        let sql = "SELECT count(*) FROM upload WHERE key LIKE ?1 || '%' AND store_upload = ?2";
        let count = self
            .gateway
            .ledger()
            .query_row(sql, [prefix, id], |row| row.get::<_, i64>(0));
        count.unwrap() > 0
    }
}
