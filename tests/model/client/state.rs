//! The gateway, the bucket, the proxy in front of the gateway, and the files of one case.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use upload::journal::Journal;
use upload::transfer::{IfGone, Item, NameOrigin, OnChange, PutRequest, TypeOrigin};
use upload_types::wire::IfExists;

use crate::bucket::Bucket;
use crate::gateway::TestGateway;
use crate::lossy_proxy::LossyProxy;
use crate::source::Source;
use crate::support::PART;

pub struct ClientModel {
    pub(super) gateway: TestGateway,
    pub(super) bucket: Bucket,
    pub(super) proxy: LossyProxy,
}

pub(super) struct Case {
    pub(super) dir: TempDir,
    pub(super) source: Arc<Mutex<Source>>,
    /// Open multipart uploads of a lost ledger: no process can find them.
    pub(super) lost_uploads: BTreeSet<String>,
    /// Objects of a lost ledger.
    pub(super) lost_objects: BTreeSet<String>,
}

impl Case {
    pub(super) fn journal(&self) -> Journal {
        Journal::open(&self.dir.path().join("journal.db")).unwrap()
    }

    pub(super) fn put(&self, restart: bool) -> Item {
        let on_change = if restart {
            OnChange::Restart
        } else {
            OnChange::Fail
        };
        Item::Put(PutRequest {
            path: self.source.lock().unwrap().path.clone(),
            name: "film.mov".into(),
            name_origin: NameOrigin::Path,
            content_type: "video/mp4".into(),
            type_origin: TypeOrigin::Requested,
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            key: None,
            if_exists: IfExists::Same,
            part_size: Some(PART),
            force: false,
            trust_journal: false,
            on_change,
            if_gone: IfGone::Fail,
            file_set: None,
            begun_since: None,
        })
    }
}
