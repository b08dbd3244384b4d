//! The operations of the gateway on one owner's uploads: begin, claim, sign, list, complete, abort, read.
//!
//! Border: neither HTTP nor SQL nor S3's own words. Every state is changed by a compare-and-set of `ledger`; whatever is
//! in doubt is decided by asking the store.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::auth::Owner;
use crate::hooks::Hooks;
use crate::lease::{self, Decision, Lease, Terms};
use crate::ledger::{Ledger, Upload};
use crate::limits::{Meter, Quota, Rate};
use crate::metrics::metrics;
use crate::problem::Refusal;
use upload_s3::{NewObject, Store};
use upload_types::crash;
use upload_types::names::UploadId;
use upload_types::sync::lock;
use upload_types::wire::{
    BackendInfo, ClaimRequest, ClaimResponse, Code, Limits, PROTOCOL_VERSION, Proof, UploadState,
};

mod abort;
mod asked;
mod batch;
mod begin;
mod complete;
mod confirm;
mod hooks;
mod read;
mod rejected;
mod sign;
mod sweep;
#[cfg(test)]
mod tests;
mod unplanned;
mod verdict;

pub use batch::Call;
pub use complete::Completion;
pub use confirm::Confirmed;
pub use sweep::{Action, Goes, Swept, Tell};
pub use unplanned::Place;

/// Begins and completes that ask the store at the same time.
const ASKING: usize = 32;
/// How long ledger and store may take to show that they are there.
const READY: Duration = Duration::from_secs(2);

/// What the store gives the object of an upload.
fn object(upload: &Upload) -> NewObject<'_> {
    NewObject {
        content_type: &upload.content_type,
        token: &upload.token,
        metadata: &upload.metadata,
    }
}

/// How the operations are to behave.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The store's, with the gateway's own maximum.
    pub limits: Limits,
    pub allow_types: Vec<String>,
    /// How many URLs are signed for an owner.
    pub rate: Option<Rate>,
    /// How much an owner may have here.
    pub quota: Quota,
    /// How long a signed URL lives at least.
    pub url_ttl: Duration,
    /// How long leases and unfinished uploads live.
    pub terms: Terms,
    /// How long a complete waits for its decision before it answers that there is none yet.
    pub patience: Duration,
    /// What receipts call this backend: its public URL.
    pub backend: String,
    /// What is done with what is verified, before it is ready.
    pub hooks: Hooks,
}

/// What a gateway cannot be without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Ledger,
    Store,
}

pub struct Service {
    ledger: Ledger,
    store: Store,
    /// The same, of which no proof is asked: for uploads without fingerprints.
    bare: Store,
    rules: Rules,
    /// What each owner had signed.
    signed: Meter,
    /// Owner and idempotency key of every begin and abort under way in this process.
    beginning: Mutex<HashSet<(String, String)>>,
    /// Completes under way in this process: whoever asks for one again waits for the first.
    completing: Mutex<HashMap<UploadId, complete::Pending>>,
    /// Places to ask the store from, for what comes in batches.
    asking: Semaphore,
    /// Hooks have become due by something done in this process.
    hooks_due: Notify,
}

impl Service {
    #[must_use]
    pub fn new(ledger: Ledger, store: Store, rules: Rules) -> Arc<Self> {
        let (beginning, completing) = (Mutex::default(), Mutex::default());
        let (asking, hooks_due, signed) =
            (Semaphore::new(ASKING), Notify::new(), Meter::of(rules.rate));
        let bare = store.clone().with_proof(Proof::None);
        Arc::new(Self {
            ledger,
            store,
            bare,
            rules,
            signed,
            beginning,
            completing,
            asking,
            hooks_due,
        })
    }

    /// What a client has to know before it begins.
    #[must_use]
    pub fn info(&self) -> BackendInfo {
        BackendInfo {
            protocol: PROTOCOL_VERSION,
            instance_id: self.ledger.instance_id().to_owned(),
            limits: self.rules.limits,
            allow_types: self.rules.allow_types.clone(),
            proof: self.store.proof(),
            capabilities: self.store.profile().capabilities(),
        }
    }

    /// Gives the upload to a holder, or says who has it.
    ///
    /// # Errors
    /// `lease_held`, `lease_lost`, `gone`, `not_found`.
    pub async fn claim(
        &self,
        owner: &Owner,
        id: &str,
        request: ClaimRequest,
    ) -> Result<ClaimResponse, Refusal> {
        crate::rules::word("holder", &request.holder)?;
        let upload = self.find(owner, id).await?;
        if is_over(upload.state) {
            return Err(Refusal::new(Code::Gone));
        }
        let epoch = self.lease(upload, &request).await?;
        Ok(ClaimResponse { epoch })
    }

    /// Decides a claim and makes it true, deciding again whenever another call was quicker.
    async fn lease(&self, mut upload: Upload, request: &ClaimRequest) -> Result<u64, Refusal> {
        for _ in 0..8 {
            let now = Timestamp::now();
            match lease::decide(now, &upload.lease, request) {
                Decision::Held { seconds } => return Err(Refusal::later(Code::LeaseHeld, seconds)),
                Decision::Lost => return Err(Refusal::new(Code::LeaseLost)),
                Decision::Granted { epoch } => {
                    let renewed = self.rules.terms.renewed(now);
                    let new = Lease {
                        holder: Some(request.holder.clone()),
                        epoch,
                        until: renewed.lease_until,
                    };
                    if self
                        .ledger
                        .set_lease(&upload.id, upload.lease.clone(), new, renewed.expires_at)
                        .await?
                    {
                        crash::point("gateway.claim.given");
                        return Ok(epoch);
                    }
                }
            }
            upload = self
                .find(&Owner(upload.owner.clone()), upload.id.as_str())
                .await?;
            if is_over(upload.state) {
                return Err(Refusal::new(Code::Gone));
            }
        }
        Err(Refusal::later(Code::Busy, 1))
    }

    /// The owner's upload, as [`aged`] as it is.
    async fn find(&self, owner: &Owner, id: &str) -> Result<Upload, Refusal> {
        Ok(aged(self.row(owner, id).await?, Timestamp::now()))
    }

    /// The owner's upload as the ledger has it; unknown, malformed and foreign ids are all the same.
    async fn row(&self, owner: &Owner, id: &str) -> Result<Upload, Refusal> {
        let Ok(id) = id.parse::<UploadId>() else {
            return Err(Refusal::new(Code::NotFound));
        };
        self.ledger
            .upload(&owner.0, &id)
            .await?
            .ok_or_else(|| Refusal::new(Code::NotFound))
    }

    /// Whether ledger and store answer, in a while each.
    ///
    /// # Errors
    /// What does not.
    pub async fn ready(&self) -> Result<(), Missing> {
        // A key no upload can have: only whether the store answers counts.
        let store = async {
            timeout(READY, async {
                self.store.head(&"uploads/ready".parse().ok()?).await.ok()
            })
            .await
        };
        let (ledger, store) = join(timeout(READY, self.ledger.ping()), store).await;
        match (ledger, store) {
            (Ok(Ok(())), Ok(Some(_))) => Ok(()),
            (Ok(Ok(())), store) => {
                tracing::warn!(
                    in_time = store.is_ok(),
                    "not ready: the store does not answer"
                );
                Err(Missing::Store)
            }
            (ledger, _) => {
                metrics().ledger_errors.inc();
                tracing::error!(
                    in_time = ledger.is_ok(),
                    "not ready: the ledger does not answer"
                );
                Err(Missing::Ledger)
            }
        }
    }

    /// Keeps other begins and aborts of the same idempotency key away until the guard is dropped.
    fn enter(&self, owner: &str, idempotency_key: &str) -> Result<Beginning<'_>, Refusal> {
        let key = (owner.to_owned(), idempotency_key.to_owned());
        if lock(&self.beginning).insert(key.clone()) {
            return Ok(Beginning { service: self, key });
        }
        Err(Refusal::later(Code::Busy, 1))
    }
}

struct Beginning<'a> {
    service: &'a Service,
    key: (String, String),
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        lock(&self.service.beginning).remove(&self.key);
    }
}

/// States nothing leads out of but oblivion.
fn is_over(state: UploadState) -> bool {
    matches!(
        state,
        UploadState::Rejected | UploadState::Aborting | UploadState::Aborted | UploadState::Expired
    )
}

/// An upload that has expired is over, even if no sweep has come by yet.
fn aged(mut upload: Upload, now: Timestamp) -> Upload {
    let silent = upload.lease.until <= now && upload.expires_at <= now;
    if silent && matches!(upload.state, UploadState::Pending | UploadState::Uploading) {
        upload.state = UploadState::Expired;
    }
    upload
}

/// Why an upload in this state takes no more parts.
fn closed(state: UploadState) -> Refusal {
    match state {
        UploadState::Completing => Refusal::later(Code::Busy, 1),
        UploadState::Verified | UploadState::Ready => Refusal::saying(
            Code::InvalidRequest,
            "this upload is complete; its status holds the receipt",
        ),
        _ => Refusal::new(Code::Gone),
    }
}
