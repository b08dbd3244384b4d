//! The rows of uploads, and every transition of their state.
//!
//! Border: each transition is one compare-and-set that tells whether it won; which transition to try is `gateway/service`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::db::{self, Db, Row, damaged, values};
use super::unplanned::{self, Manner};
use super::{Ledger, Rejection};
use crate::lease::{Lease, Renewed};
use upload_types::error::Result;
use upload_types::names::{Key, PartNumber, Sha256, UploadId};
use upload_types::plan::Plan;
use upload_types::wire::{Limits, PartSpec, Receipt, UploadState};

/// An upload to be begun.
pub struct NewUpload {
    pub id: UploadId,
    /// The owner's segment.
    pub owner: String,
    pub idempotency_key: String,
    /// Of the request: tells a repeat from another upload under the same key.
    pub digest: Sha256,
    pub name: String,
    pub content_type: String,
    pub metadata: BTreeMap<String, String>,
    pub manner: Manner,
    /// Without a plan, what is taken for one until the upload is completing.
    pub plan: Plan,
    /// Parts of the plan that are pinned from the beginning, to be signed at once: the upload is then uploading.
    pub pinned: Vec<PartSpec>,
    pub key: Key,
    /// Random, given to the object as metadata: tells our object from any other at the key.
    pub token: String,
    pub holder: Option<String>,
    pub created_at: Timestamp,
    pub renewed: Renewed,
}

/// An upload as the ledger knows it.
#[derive(Clone)]
pub struct Upload {
    pub id: UploadId,
    pub owner: String,
    pub idempotency_key: String,
    pub digest: Sha256,
    pub name: String,
    pub content_type: String,
    pub metadata: BTreeMap<String, String>,
    pub manner: Manner,
    /// As in [`NewUpload`].
    pub plan: Plan,
    pub key: Key,
    pub token: String,
    /// The store's id of the multipart upload; none before it is created, and none for a single PUT.
    pub store_upload: Option<String>,
    pub state: UploadState,
    pub lease: Lease,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub receipt: Option<Receipt>,
    /// Why a hook has rejected it.
    pub rejection: Option<Rejection>,
}

pub(super) const COLUMNS: &str = "id, owner, idempotency_key, digest, name, content_type, size, part_size, key, token, store_upload, \
    state, epoch, holder, lease_until, created_at, expires_at, receipt, metadata, rejection, manner";

impl Upload {
    /// One object without a multipart upload.
    #[must_use]
    pub fn is_single(&self) -> bool {
        match self.manner {
            Manner::Planned => self.plan.is_single(),
            Manner::Parts => false,
            Manner::Form => true,
        }
    }

    /// No more parts than that have rows.
    #[must_use]
    pub fn parts_max(&self) -> u32 {
        if self.manner == Manner::Planned {
            self.plan.count()
        } else {
            Limits::S3.max_parts
        }
    }
}

impl Ledger {
    /// Writes the upload and a row for each part of its plan, unless its owner used the idempotency key before; gives the
    /// upload of that key, and whether it is the new one.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn begin(&self, new: NewUpload) -> Result<(Upload, bool)> {
        self.write(move |db| {
            if let Some(upload) = insert(db, &new)? {
                return Ok((upload, true));
            }
            Ok((seen(db, &new)?.ok_or(db::Failed::Missing)?, false))
        })
        .await
    }

    /// The owner's upload of that id; another's is as good as none.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn upload(&self, owner: &str, id: &UploadId) -> Result<Option<Upload>> {
        let (owner, id) = (owner.to_owned(), id.clone());
        self.read(move |db| find(db, &owner, &id)).await
    }

    /// The owner's uploads, newest first, at most `limit`; those behind `after`, if it is named.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn uploads(
        &self,
        owner: &str,
        state: Option<UploadState>,
        after: Option<&Upload>,
        limit: u32,
    ) -> Result<Vec<Upload>> {
        let owner = owner.to_owned();
        let after = after.map(|upload| (upload.created_at, upload.id.clone()));
        self.read(move |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM upload WHERE owner = ?1 AND (?2 IS NULL OR state = ?2) \
                 AND (?4 IS NULL OR created_at < ?4 OR (created_at = ?4 AND id > ?5)) \
                 ORDER BY created_at DESC, id LIMIT ?3"
            );
            let (time, id): (Option<_>, _) = after
                .as_ref()
                .map(|(time, id)| (*time, id.as_str()))
                .unzip();
            db.query(
                &sql,
                values![&owner, state.map(UploadState::name), limit, time, id],
                upload,
            )
        })
        .await
    }

    /// Notes the store's id of the multipart upload; false when there is one already, or the upload is past uploading.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn set_store_upload(&self, id: &UploadId, store_upload: &str) -> Result<bool> {
        let (id, store_upload) = (id.clone(), store_upload.to_owned());
        self.write(move |db| {
            let sql = "UPDATE upload SET store_upload = ?2 \
                       WHERE id = ?1 AND store_upload IS NULL AND state IN ('pending', 'uploading')";
            Ok(db.execute(sql, values![id.as_str(), &store_upload])? == 1)
        })
        .await
    }

    /// Puts `new` in the place of the lease `old`; false when somebody was quicker, or the upload is over.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn set_lease(
        &self,
        id: &UploadId,
        old: Lease,
        new: Lease,
        expires_at: Timestamp,
    ) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            let sql = "UPDATE upload SET epoch = ?4, holder = ?5, lease_until = ?6, expires_at = ?8 \
                       WHERE id = ?1 AND epoch = ?2 AND holder IS NOT DISTINCT FROM ?3 AND lease_until = ?7 \
                       AND state NOT IN ('rejected', 'aborting', 'aborted', 'expired')";
            let (was, is) = (old.holder.as_deref(), new.holder.as_deref());
            let row = values![id.as_str(), old.epoch, was, new.epoch, is, new.until, old.until, expires_at];
            Ok(db.execute(sql, row)? == 1)
        })
        .await
    }

    /// Moves an upload back from completing to uploading; false when it is not completing.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn reopen(&self, id: &UploadId) -> Result<bool> {
        let id = id.clone();
        self.write(move |db| {
            let sql =
                "UPDATE upload SET state = 'uploading' WHERE id = ?1 AND state = 'completing'";
            Ok(db.execute(sql, values![id.as_str()])? == 1)
        })
        .await
    }
}

/// The owner's upload of that id.
pub(super) fn find(db: &Db<'_>, owner: &str, id: &UploadId) -> db::Result<Option<Upload>> {
    let sql = format!("SELECT {COLUMNS} FROM upload WHERE owner = ?1 AND id = ?2");
    db.find(&sql, values![owner, id.as_str()], upload)
}

/// Counts bytes more, or less, among what the owner of an upload has in the store.
pub(super) fn count(db: &Db<'_>, id: &UploadId, bytes: i64) -> db::Result<()> {
    let sql = "UPDATE owner SET stored = stored + ?2 WHERE segment = (SELECT owner FROM upload WHERE id = ?1)";
    db.execute(sql, values![id.as_str(), bytes]).map(drop)
}

/// States as they stand between the parentheses of `IN`.
pub(super) fn listed(states: &[UploadState]) -> String {
    states
        .iter()
        .map(|state| format!("'{}'", state.name()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The upload that its owner began under the same idempotency key.
pub(super) fn seen(db: &Db<'_>, new: &NewUpload) -> db::Result<Option<Upload>> {
    let sql = format!("SELECT {COLUMNS} FROM upload WHERE owner = ?1 AND idempotency_key = ?2");
    db.find(&sql, values![&new.owner, &new.idempotency_key], upload)
}

/// Writes the upload and its parts; none when its owner used the idempotency key before.
pub(super) fn insert(db: &Db<'_>, new: &NewUpload) -> db::Result<Option<Upload>> {
    let metadata = serde_json::to_string(&new.metadata).map_err(|_| damaged(18, "metadata"))?;
    // A form is signed when it begins.
    let signed = !new.pinned.is_empty() || new.manner == Manner::Form;
    let state = if signed {
        UploadState::Uploading
    } else {
        UploadState::Pending
    };
    // Waits for another gateway that is writing this very key.
    let sql = format!(
        "INSERT INTO upload (id, owner, idempotency_key, digest, name, size, content_type, metadata, part_size, \
         part_count, key, token, holder, lease_until, created_at, expires_at, state, manner, epoch) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 1) \
         ON CONFLICT (owner, idempotency_key) DO NOTHING RETURNING {COLUMNS}"
    );
    let row = values![
        new.id.as_str(),
        &new.owner,
        &new.idempotency_key,
        new.digest.bytes(),
        &new.name,
        new.plan.size(),
        &new.content_type,
        &metadata,
        new.plan.part_size(),
        new.plan.count(),
        new.key.as_str(),
        &new.token,
        new.holder.as_deref(),
        new.renewed.lease_until,
        new.created_at,
        new.renewed.expires_at,
        state.name(),
        new.manner.name(),
    ];
    let Some(upload) = db.find(&sql, row, upload)? else {
        return Ok(None);
    };
    if new.manner != Manner::Planned {
        return Ok(Some(upload));
    }
    let pinned: BTreeMap<PartNumber, &Sha256> = new
        .pinned
        .iter()
        .map(|part| (part.number, &part.sha256))
        .collect();
    let sql =
        "INSERT INTO part (upload, number, size, sha256, state) VALUES (?1, ?2, ?3, ?4, 'pending')";
    let rows = new.plan.parts().map(|(number, range)| {
        let sha256 = pinned.get(&number).map(|sha256| sha256.bytes());
        *values![new.id.as_str(), number.get(), range.len, sha256]
    });
    db.execute_each(sql, &rows.collect::<Vec<_>>())?;
    Ok(Some(upload))
}

pub(super) fn upload(row: &Row<'_>) -> db::Result<Upload> {
    let receipt: Option<String> = row.optional(17)?;
    let receipt = receipt.map(|json| serde_json::from_str(&json)).transpose();
    let rejection: Option<String> = row.optional(19)?;
    let rejection = rejection
        .map(|json| serde_json::from_str(&json))
        .transpose();
    Ok(Upload {
        id: row
            .text(0)?
            .parse()
            .map_err(|_| damaged(0, "not an upload id"))?,
        owner: row.text(1)?,
        idempotency_key: row.text(2)?,
        digest: Sha256::new(row.hash(3)?),
        name: row.text(4)?,
        content_type: row.text(5)?,
        metadata: serde_json::from_str(&row.text(18)?).map_err(|_| damaged(18, "not metadata"))?,
        manner: unplanned::manner(&row.text(20)?)?,
        plan: Plan::pinned(row.number(6)?, row.number(7)?).map_err(|_| damaged(7, "not a plan"))?,
        key: row.text(8)?.parse().map_err(|_| damaged(8, "not a key"))?,
        token: row.text(9)?,
        store_upload: row.optional(10)?,
        state: UploadState::from_name(&row.text(11)?).ok_or(damaged(11, "not a state"))?,
        lease: Lease {
            epoch: row.number(12)?,
            holder: row.optional(13)?,
            until: row.time(14)?,
        },
        created_at: row.time(15)?,
        expires_at: row.time(16)?,
        receipt: receipt.map_err(|_| damaged(17, "not a receipt"))?,
        rejection: rejection.map_err(|_| damaged(19, "not a rejection"))?,
    })
}
