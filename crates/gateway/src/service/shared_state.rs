//! The service: the state that all operations share, and the lookup of an upload.
//!
//! Not here: the operations themselves, one file each.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join;
use globset::GlobSet;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::completion::PendingCompletion;
use super::lifecycle::with_expiry;
use crate::auth::Owner;
use crate::hooks::{Disposal, Hooks};
use crate::key_patterns::ClientKeys;
use crate::lease::{LeaseTerms, Renewed};
use crate::ledger::{Ledger, Upload};
use crate::limits::{Quota, Rate, RateLimiter};
use crate::metrics::metrics;
use crate::problem::{Refusal, ledger_failed};
use upload_s3::{Fault, Head, NewObject, Store};
use upload_types::attributes::Attribute;
use upload_types::sync::lock;
use upload_types::wire::{
    BackendInfo, Code, Limits, PROTOCOL_VERSION, Proof, Receipt, UploadState,
};
use upload_types::{Key, UploadId};

/// Concurrent requests to the store on behalf of begins and completes.
const MAX_STORE_CALLS: usize = 32;
/// How long ledger and store may take to respond to a readiness check.
const READINESS_TIMEOUT: Duration = Duration::from_secs(2);
/// The key of the readiness check. No upload has this key.
const READINESS_KEY: &str = "uploads/ready";

/// The settings of the operations.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// The limits of the store, with the gateway's own maximum size.
    pub limits: Limits,
    pub allow_types: Vec<String>,
    /// The attributes that clients may choose.
    pub allow_attributes: BTreeSet<Attribute>,
    pub client_keys: ClientKeys,
    /// The rate of calls and signed URLs per owner.
    pub rate: Option<Rate>,
    pub quota: Quota,
    /// Minimum lifetime of a signed URL.
    pub url_ttl: Duration,
    pub lease_terms: LeaseTerms,
    /// How long the rows of ended uploads are kept; forever if `None`.
    pub keep_ended: Option<Duration>,
    /// How long a complete waits for its outcome before it responds that the outcome is unknown.
    pub complete_timeout: Duration,
    /// The name of this backend in receipts: its public URL.
    pub backend_url: String,
    pub hooks: Hooks,
    /// True if clients may remove their finished uploads.
    pub client_delete: bool,
    /// Whether logs have the subjects of owners.
    pub log_subjects: bool,
    /// Whether the documents of hooks have the subjects of owners.
    pub hook_subjects: bool,
}

/// A service without which the gateway cannot serve requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// With the reason, if it is known.
    Ledger(Option<&'static str>),
    Store,
}

pub struct Service {
    pub(super) ledger: Ledger,
    pub(super) store: Store,
    /// The same store without any proof, for uploads with unknown SHA-256.
    pub(super) unproven_store: Store,
    /// Read it with [`Service::config`]. A reload replaces it.
    current_config: RwLock<Arc<ServiceConfig>>,
    /// Subjects by segment. The subject of an owner never changes.
    pub(super) subjects: Mutex<HashMap<String, Arc<str>>>,
    /// Compiled patterns of keys.
    pub(super) compiled_patterns: Mutex<HashMap<Vec<String>, Arc<GlobSet>>>,
    pub(super) call_rate: RateLimiter,
    /// Owner and idempotency key of every begin and abort that runs in this process.
    begin_locks: Mutex<HashSet<(String, String)>>,
    /// The completions that run in this process. A repeated complete waits for the first one.
    pub(super) completions: Mutex<HashMap<UploadId, PendingCompletion>>,
    pub(super) store_calls: Semaphore,
    /// Notified when this process has verified an upload for which hooks must run.
    pub(super) hooks_due: Notify,
}

impl Service {
    #[must_use]
    pub fn new(ledger: Ledger, store: Store, config: ServiceConfig) -> Arc<Self> {
        Arc::new(Self {
            ledger,
            unproven_store: store.clone().with_proof(Proof::None),
            store,
            call_rate: RateLimiter::default(),
            current_config: RwLock::new(Arc::new(config)),
            subjects: Mutex::default(),
            compiled_patterns: Mutex::default(),
            begin_locks: Mutex::default(),
            completions: Mutex::default(),
            store_calls: Semaphore::new(MAX_STORE_CALLS),
            hooks_due: Notify::new(),
        })
    }

    /// The configuration. An operation that reads several settings calls this once.
    #[must_use]
    pub fn config(&self) -> Arc<ServiceConfig> {
        let config = self.current_config.read();
        Arc::clone(&config.unwrap_or_else(PoisonError::into_inner))
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Uses another configuration from now on. Operations that run may still use the previous one.
    pub fn set_config(&self, config: ServiceConfig) {
        let current = self.current_config.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        // Uploads may wait for hooks that exist now.
        self.hooks_due.notify_one();
    }

    /// Takes `count` permits of the owner's rate.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) fn take_permits(&self, owner: &Owner, count: usize) -> Result<(), Refusal> {
        let rate = match owner.limits().rate {
            Some(limit) => limit.rate(),
            None => self.config().rate,
        };
        Ok(self.call_rate.take(rate, &owner.0, count)?)
    }

    /// The quota for a request of the owner.
    pub(super) fn quota(&self, owner: &Owner) -> Quota {
        owner.limits().quota.unwrap_or_else(|| self.config().quota)
    }

    /// The content types that the owner may upload.
    pub(super) fn allow_types(&self, owner: &Owner) -> Vec<String> {
        let own = owner.limits().allow_types.clone();
        own.unwrap_or_else(|| self.config().allow_types.clone())
    }

    /// The names of the attributes that clients may choose.
    fn allow_attributes(&self) -> Vec<String> {
        let config = self.config();
        let names = config.allow_attributes.iter();
        names.map(|attribute| attribute.name().to_owned()).collect()
    }

    /// The protocol version, limits and capabilities of this backend for the owner.
    #[must_use]
    pub fn info(&self, owner: &Owner) -> BackendInfo {
        let key_patterns = self.key_patterns(owner);
        BackendInfo {
            protocol: PROTOCOL_VERSION,
            instance_id: self.ledger.instance_id().to_owned(),
            limits: self.config().limits,
            allow_types: self.allow_types(owner),
            allow_attributes: self.allow_attributes(),
            proof: self.store.proof(),
            capabilities: self.store.profile().capabilities(),
            hooks: self.has_hooks(),
            client_keys: !key_patterns.is_empty(),
            key_patterns,
        }
    }

    /// Checks that the ledger accepts writes, and that the store responds.
    ///
    /// # Errors
    /// The dependency that does not respond in time.
    pub async fn check_dependencies(&self) -> Result<(), Dependency> {
        let store = async {
            let head = async { self.store.head(&READINESS_KEY.parse().ok()?).await.ok() };
            timeout(READINESS_TIMEOUT, head).await
        };
        let ledger = timeout(READINESS_TIMEOUT, self.ledger.check_writes(self.now()));
        let responses = join(ledger, store).await;
        metrics().set_clock_offset(self.clock_offset_seconds());
        match responses {
            // The object need not exist.
            (Ok(Ok(())), Ok(Some(_))) => Ok(()),
            (Ok(Ok(())), store) => {
                let timed_out = store.is_err();
                tracing::warn!(timed_out, "not ready: the store does not respond");
                Err(Dependency::Store)
            }
            (ledger, _) => {
                metrics().record_ledger_error();
                let timed_out = ledger.is_err();
                let error = ledger.ok().and_then(Result::err);
                tracing::error!(
                    timed_out,
                    error = error.as_ref().map(tracing::field::display),
                    "not ready: the ledger does not accept writes"
                );
                Err(Dependency::Ledger(error.and_then(|error| error.reason())))
            }
        }
    }

    /// The owner's upload, with state `expired` once it has expired. Unknown and malformed ids, and
    /// ids of other owners, are not distinguished.
    pub(super) async fn find_upload(&self, owner: &Owner, id: &str) -> Result<Upload, Refusal> {
        Ok(with_expiry(self.find_row(owner, id).await?, self.now()))
    }

    /// The owner's upload with its state in the ledger: an expired upload keeps its state until a
    /// sweep ends it.
    pub(super) async fn find_row(&self, owner: &Owner, id: &str) -> Result<Upload, Refusal> {
        let Ok(id) = id.parse::<UploadId>() else {
            return Err(Refusal::new(Code::NotFound));
        };
        self.ledger
            .upload(&owner.0, &id)
            .await
            .map_err(ledger_failed)?
            .ok_or_else(|| Refusal::new(Code::NotFound))
    }

    /// The upload as [`Service::find_upload`] finds it now.
    pub(super) async fn reload(&self, upload: &Upload) -> Result<Upload, Refusal> {
        let owner = Owner::new(upload.owner.clone());
        self.find_upload(&owner, upload.id.as_str()).await
    }

    /// The object at the upload's key, if it belongs to the upload.
    pub(super) async fn find_own_object(&self, upload: &Upload) -> Result<Option<Head>, Fault> {
        let object = self.store.head(&upload.key).await?;
        Ok(object.filter(|object| upload.owns(object)))
    }

    /// The current time, by the clock of the store if the local clock differs from it: a wrong
    /// clock never ends a lease or an upload.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now()
            .saturating_add(self.store.clock_offset())
            .unwrap_or(Timestamp::MAX)
    }

    /// Asks the store for an object that need not exist, so that its clock is known. Returns false
    /// if the store does not respond.
    pub(super) async fn measure_clock(&self) -> bool {
        let Ok(key) = READINESS_KEY.parse() else {
            return false;
        };
        let response = timeout(READINESS_TIMEOUT, self.store.head(&key)).await;
        metrics().set_clock_offset(self.store.clock_offset().as_secs());
        matches!(response, Ok(Ok(_)))
    }

    /// The time of the store minus the local time, in seconds. Zero up to a minute.
    #[must_use]
    pub fn clock_offset_seconds(&self) -> i64 {
        self.store.clock_offset().as_secs()
    }

    /// When lease and upload end after a call at this moment.
    pub(super) fn renewed(&self) -> Renewed {
        self.config().lease_terms.renewed(self.now())
    }

    /// Excludes other begins and aborts with the same idempotency key until the guard is dropped.
    ///
    /// # Errors
    /// `busy` if one is running.
    pub(super) fn lock_key(
        &self,
        owner: &str,
        idempotency_key: &str,
    ) -> Result<KeyGuard<'_>, Refusal> {
        let key = (owner.to_owned(), idempotency_key.to_owned());
        if lock(&self.begin_locks).insert(key.clone()) {
            return Ok(KeyGuard { service: self, key });
        }
        Err(Refusal::retry_after(Code::Busy, 1))
    }
}

pub struct KeyGuard<'a> {
    service: &'a Service,
    key: (String, String),
}

impl Drop for KeyGuard<'_> {
    fn drop(&mut self) {
        lock(&self.service.begin_locks).remove(&self.key);
    }
}

impl Upload {
    /// The final state of an upload that is aborting.
    pub(super) fn state_after_abort(&self) -> UploadState {
        if self.has_been_expired() {
            UploadState::Expired
        } else {
            UploadState::Aborted
        }
    }

    /// The receipt for clients: without a location before the upload is ready.
    pub(super) fn shown_receipt(&self) -> Option<Receipt> {
        let mut receipt = self.receipt.clone()?;
        if self.state != UploadState::Ready {
            receipt.location = None;
        }
        Some(receipt)
    }

    /// The key in the quarantine, if a rejected object was moved there.
    pub(super) fn quarantine_key(&self) -> Option<Key> {
        match &self.rejection.as_ref()?.disposal {
            Disposal::Quarantine(key) => key.parse().ok(),
            Disposal::Delete | Disposal::Keep => None,
        }
    }

    /// Returns true if the upload was rejected and its object stays in the store.
    pub(super) fn keeps_rejected_object(&self) -> bool {
        self.rejection
            .as_ref()
            .is_some_and(|rejection| rejection.disposal != Disposal::Delete)
    }

    /// Returns true if an object has the token of this upload.
    pub(super) fn owns(&self, object: &Head) -> bool {
        object.token.as_ref() == Some(&self.token)
    }

    /// The properties of the object that the store creates for this upload.
    pub(super) fn new_object(&self) -> NewObject<'_> {
        NewObject {
            content_type: &self.content_type,
            name: &self.name,
            token: &self.token,
            metadata: &self.metadata,
            attributes: &self.attributes,
        }
    }
}
