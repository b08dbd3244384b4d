//! The rows of uploads, and the operations for all kinds of uploads.
//!
//! Each change of a state is one compare-and-set that reports whether it succeeded.
//!
//! Not here: the decision for a change (`service`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

use jiff::Timestamp;

use super::chosen_key::ChosenKey;
use super::database::Ledger;
use super::error::LedgerResult;
use super::open_state::IS_OPEN;
use super::receipts::read_receipt;
use super::rejection::Rejection;
use super::sql::{self, Row, damaged, values};
use super::transaction::Transaction;
use super::upload_kind::UploadKind;
use crate::lease::{Lease, Renewed};
use upload_types::metadata::{MTIME_KEY, mtime_of_text, mtime_text};
use upload_types::plan::Plan;
use upload_types::schedule::Schedule;
use upload_types::wire::{Attributes, Limits, PartSpec, Receipt, UploadState};
use upload_types::{DEFAULT_CONTENT_TYPE, ETag, Key, RowValues, Sha256, UploadId, UuidForm};

/// The fields of an upload that are fixed when it begins.
#[derive(Clone)]
pub struct UploadSpec {
    pub id: UploadId,
    /// The owner's segment.
    pub owner: String,
    pub idempotency_key: String,
    /// The SHA-256 of the request. It distinguishes a repeated request from another one with the
    /// same idempotency key.
    pub request_sha256: Sha256,
    pub name: String,
    pub content_type: String,
    pub metadata: BTreeMap<String, String>,
    pub attributes: Box<Attributes>,
    pub kind: UploadKind,
    /// Of a stream: the plan of the parts that were signed so far, and from the time at which the
    /// upload is completing the plan of all parts. Of an upload from a browser: a placeholder until
    /// the upload is completing, and from then on the plan computed from the parts that the store
    /// lists.
    pub plan: Plan,
    pub key: Key,
    /// Present if the client has chosen the key.
    pub chosen: Option<ChosenKey>,
    /// A random value in the object's metadata. It distinguishes the upload's object from any other
    /// object at the key.
    pub token: String,
    pub created_at: Timestamp,
}

impl Upload {
    /// Returns true if a sweep has ended the upload because it had expired, and false if its owner
    /// has aborted it.
    pub fn has_been_expired(&self) -> bool {
        self.expires_at == Timestamp::UNIX_EPOCH
    }
}

impl UploadSpec {
    /// Returns true if the upload is one object without a multipart upload in the store.
    #[must_use]
    pub fn is_single(&self) -> bool {
        match self.kind {
            UploadKind::Declared => {
                let is_put = self.chosen.as_ref().is_none_or(|chosen| chosen.single_put);
                self.plan.is_single() && is_put
            }
            UploadKind::Copied | UploadKind::Streamed | UploadKind::Multipart => false,
            UploadKind::FormPost => true,
        }
    }

    /// The maximum number of rows of parts.
    #[must_use]
    pub fn max_parts(&self) -> u32 {
        if self.kind.has_plan() {
            self.plan.count()
        } else {
            Limits::S3.max_parts
        }
    }
}

/// An upload to begin.
pub struct NewUpload {
    pub spec: UploadSpec,
    /// Parts of the plan that are pinned at once. If there are any, the upload begins in the state
    /// `uploading`.
    pub pinned: Vec<PartSpec>,
    pub holder: Option<String>,
    pub renewed: Renewed,
}

/// The row of an upload.
#[derive(Clone)]
pub struct Upload {
    pub spec: UploadSpec,
    /// The store's id of the multipart upload. `None` before it is created, and for a single PUT.
    pub store_upload: Option<String>,
    pub state: UploadState,
    pub lease: Lease,
    pub expires_at: Timestamp,
    pub receipt: Option<Receipt>,
    pub rejection: Option<Rejection>,
    /// Of an ended upload: until this time, a request that was signed earlier may create its
    /// object.
    pub may_land_until: Option<Timestamp>,
    /// Whether the object of another upload has taken its key.
    pub is_replaced: bool,
}

/// Most of the fields are in the spec.
impl Deref for Upload {
    type Target = UploadSpec;

    fn deref(&self) -> &UploadSpec {
        &self.spec
    }
}

/// The columns that [`read_upload`] expects, in its order.
pub(super) const COLUMNS: &str = "id, (SELECT segment FROM owner WHERE number = upload.owner), idempotency_key, request_sha256, name, content_type, metadata, kind, size, \
    part_size, key, token, created_at, store_upload, state, epoch, holder, lease_until, expires_at, receipt, rejection, may_land_until, \
    chosen_key, replaces, is_replaced, double_after, attributes, \
    (SELECT fields FROM receipt_common WHERE number = upload.receipt_common), modified_ns";
/// The number of [`COLUMNS`].
pub(super) const COLUMN_COUNT: usize = 29;
/// The condition for the uploads of the owner with the segment `?1`.
const IS_OF_OWNER: &str = "owner = (SELECT number FROM owner WHERE segment = ?1)";

impl Ledger {
    /// An upload by its id. Returns `None` if it belongs to another owner.
    pub async fn upload(&self, owner: &str, id: &UploadId) -> LedgerResult<Option<Upload>> {
        let (owner, id) = (owner.to_owned(), id.clone());
        self.read(move |tx| find(tx, &owner, &id)).await
    }

    /// An upload by its id, of any owner.
    pub async fn upload_by_id(&self, id: &UploadId) -> LedgerResult<Option<Upload>> {
        let id = id.clone();
        self.read(move |tx| {
            let sql = format!("SELECT {COLUMNS} FROM upload WHERE id = ?1");
            tx.find(&sql, values![id.as_str()], read_upload)
        })
        .await
    }

    /// The upload at a key, of any owner. If several have a chosen key: the unfinished one,
    /// otherwise the newest one that is complete, otherwise the newest one.
    pub async fn upload_by_key(&self, key: &Key) -> LedgerResult<Option<Upload>> {
        let key = key.to_string();
        self.read(move |tx| {
            let sql = format!(
                "SELECT {COLUMNS} FROM upload WHERE key = ?1 ORDER BY CASE WHEN {IS_OPEN} THEN 0 \
                 WHEN state IN ('verified', 'ready') THEN 1 + is_replaced ELSE 3 END, created_at DESC, id DESC LIMIT 1"
            );
            tx.find(&sql, values![key.as_str()], read_upload)
        })
        .await
    }

    /// A page of the owner's uploads, newest first: at most `limit`, beginning after the upload
    /// `after` if it is given.
    pub async fn uploads(
        &self,
        owner: &str,
        state: Option<UploadState>,
        after: Option<&Upload>,
        limit: u32,
    ) -> LedgerResult<Vec<Upload>> {
        let owner = owner.to_owned();
        let after = after.map(|upload| (upload.created_at, upload.id.clone()));
        self.read(move |tx| {
            let sql = format!(
                "SELECT {COLUMNS} FROM upload WHERE {IS_OF_OWNER} AND (?2 IS NULL OR state = ?2) \
                 AND (?4 IS NULL OR created_at < ?4 OR (created_at = ?4 AND id > ?5)) \
                 ORDER BY created_at DESC, id LIMIT ?3"
            );
            let (time, id): (Option<_>, _) = after
                .as_ref()
                .map(|(time, id)| (*time, id.as_str()))
                .unzip();
            let state = state.map(UploadState::name);
            tx.query(&sql, values![&owner, state, limit, time, id], read_upload)
        })
        .await
    }

    /// Records the store's id of the multipart upload. Returns false if an id is recorded already,
    /// or if the upload is neither pending nor uploading.
    pub async fn set_store_upload(&self, id: &UploadId, store_upload: &str) -> LedgerResult<bool> {
        let (id, store_upload) = (id.clone(), store_upload.to_owned());
        self.write(move |tx| {
            let sql = "UPDATE upload SET store_upload = ?2 \
                       WHERE id = ?1 AND store_upload IS NULL AND state IN ('pending', 'uploading')";
            Ok(tx.execute(sql, values![id.as_str(), &store_upload])? == 1)
        })
        .await
    }

    /// Replaces the lease `old` with `new`. Returns false if the lease is no longer `old`, or if
    /// the upload has ended.
    pub async fn set_lease(
        &self,
        id: &UploadId,
        old: Lease,
        new: Lease,
        expires_at: Timestamp,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let [old_holder, new_holder] =
                [&old, &new].map(|lease| holder_bytes(lease.holder.as_deref()));
            let sql = "UPDATE upload SET epoch = ?4, holder = ?5, lease_until = ?6, expires_at = ?8 \
                       WHERE id = ?1 AND epoch = ?2 AND holder IS NOT DISTINCT FROM ?3 AND lease_until = ?7 \
                       AND state NOT IN ('rejected', 'aborting', 'aborted', 'expired')";
            let row = values![
                id.as_str(),
                old.epoch,
                old_holder.as_deref(),
                new.epoch,
                new_holder.as_deref(),
                new.until,
                old.until,
                expires_at
            ];
            Ok(tx.execute(sql, row)? == 1)
        })
        .await
    }

    /// Moves an upload from `completing` back to `uploading`. Returns false if it is not
    /// completing.
    pub async fn reopen(&self, id: &UploadId) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            let sql =
                "UPDATE upload SET state = 'uploading' WHERE id = ?1 AND state = 'completing'";
            Ok(tx.execute(sql, values![id.as_str()])? == 1)
        })
        .await
    }
}

/// An upload by its owner and id.
pub(super) fn find(
    tx: &Transaction<'_>,
    owner: &str,
    id: &UploadId,
) -> sql::Result<Option<Upload>> {
    let sql = format!("SELECT {COLUMNS} FROM upload WHERE {IS_OF_OWNER} AND id = ?2");
    tx.find(&sql, values![owner, id.as_str()], read_upload)
}

/// The upload that the owner has begun with this idempotency key.
pub(super) fn find_by_idempotency_key(
    tx: &Transaction<'_>,
    owner: &str,
    idempotency_key: &str,
) -> sql::Result<Option<Upload>> {
    let sql = format!("SELECT {COLUMNS} FROM upload WHERE {IS_OF_OWNER} AND idempotency_key = ?2");
    let idempotency_key = UuidForm::Hyphenated.to_bytes(idempotency_key);
    tx.find(&sql, values![owner, &*idempotency_key], read_upload)
}

/// Adds `bytes`, which may be negative, to the stored bytes of the upload's owner.
pub(super) fn add_stored_bytes(tx: &Transaction<'_>, id: &UploadId, bytes: i64) -> sql::Result<()> {
    let sql = "UPDATE owner SET stored_bytes = stored_bytes + ?2 \
               WHERE number = (SELECT owner FROM upload WHERE id = ?1)";
    tx.execute(sql, values![id.as_str(), bytes]).map(drop)
}

/// States as a list for SQL's `IN (…)`.
pub(super) fn sql_list(states: &[UploadState]) -> String {
    states
        .iter()
        .map(|state| format!("'{}'", state.name()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Inserts the upload and its pinned parts. Returns `None` if its owner has used the idempotency
/// key before, or if another upload is unfinished at its key.
pub(super) fn insert(tx: &Transaction<'_>, new: &NewUpload) -> sql::Result<Option<Upload>> {
    let spec = &new.spec;
    let (metadata, modified_ns) = metadata_columns(&spec.metadata)?;
    let attributes = (!spec.attributes.is_empty())
        .then(|| serde_json::to_string(&spec.attributes))
        .transpose()
        .map_err(|_| damaged(26, "attributes"))?;
    // The form of an upload by form is signed at once, too.
    let is_signed_at_once = !new.pinned.is_empty() || spec.kind == UploadKind::FormPost;
    let state = if is_signed_at_once {
        UploadState::Uploading
    } else {
        UploadState::Pending
    };
    // On PostgreSQL, this waits for another gateway that is inserting the same idempotency key, or
    // an upload at the same chosen key.
    let sql = format!(
        "INSERT INTO upload (id, owner, idempotency_key, request_sha256, name, size, content_type, metadata, part_size, \
         part_count, key, token, holder, lease_until, created_at, expires_at, state, kind, chosen_key, replaces, double_after, attributes, \
         modified_ns, epoch) \
         VALUES (?1, (SELECT number FROM owner WHERE segment = ?2), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, 1) \
         ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
    );
    let replaces = spec
        .chosen
        .as_ref()
        .and_then(|chosen| chosen.replaces.as_ref());
    let replaces = replaces.map(ETag::as_str);
    let idempotency_key = UuidForm::Hyphenated.to_bytes(&spec.idempotency_key);
    let token = UuidForm::Simple.to_bytes(&spec.token);
    let holder = holder_bytes(new.holder.as_deref());
    let content_type = Some(&*spec.content_type).filter(|text| *text != DEFAULT_CONTENT_TYPE);
    let row = values![
        spec.id.as_str(),
        &spec.owner,
        &*idempotency_key,
        spec.request_sha256.bytes(),
        &spec.name,
        spec.plan.size(),
        content_type,
        metadata.as_deref(),
        spec.plan.part_size(),
        if spec.kind == UploadKind::Streamed {
            0
        } else {
            spec.plan.count()
        },
        spec.key.as_str(),
        &*token,
        holder.as_deref(),
        new.renewed.lease_until,
        spec.created_at,
        new.renewed.expires_at,
        state.name(),
        spec.kind.name(),
        spec.chosen.as_ref().map(ChosenKey::transfer),
        replaces,
        spec.plan.schedule().double_after().unwrap_or(0),
        attributes.as_deref(),
        modified_ns,
    ];
    let Some(upload) = tx.find(&sql, row, read_upload)? else {
        return Ok(None);
    };
    let rows = new.pinned.iter().map(|part| {
        let sha256 = part.sha256.bytes();
        *values![spec.id.as_str(), part.number.get(), part.size, sha256]
    });
    // The requests of a client may name a part more than once.
    let sql = "INSERT INTO part (upload, number, size, sha256) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (upload, number) DO NOTHING";
    tx.execute_each(sql, &rows.collect::<Vec<_>>())?;
    Ok(Some(upload))
}

/// Reads the size of an upload from the column `size`, the size of its parts from the next one, and
/// the number of parts after which it doubles.
pub(super) fn read_plan(row: &Row<'_>, size: usize, double_after: usize) -> sql::Result<Plan> {
    let part_size = size + 1;
    let (bytes, part_bytes) = (row.number(size)?, row.number(part_size)?);
    let double_after = u32::try_from(row.number(double_after)?)
        .map_err(|_| damaged(double_after, "not a number of parts"))?;
    Schedule::pinned(part_bytes, Some(double_after).filter(|parts| *parts > 0))
        .and_then(|schedule| Plan::of_stream(bytes, schedule))
        .map_err(|_| damaged(part_size, "not a plan"))
}

/// The columns `metadata` and `modified_ns`: each source has a different time, which takes less
/// space as a number.
fn metadata_columns(
    metadata: &BTreeMap<String, String>,
) -> sql::Result<(Option<String>, Option<i64>)> {
    let time = metadata
        .get(MTIME_KEY)
        .and_then(|text| mtime_of_text(text))
        .and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    let others = metadata
        .iter()
        .filter(|(key, _)| time.is_none() || *key != MTIME_KEY);
    let others: BTreeMap<_, _> = others.collect();
    let json = (!others.is_empty()).then(|| serde_json::to_string(&others));
    let json = json.transpose().map_err(|_| damaged(6, "metadata"))?;
    Ok((json, time))
}

/// Reads the columns of [`metadata_columns`].
fn read_metadata(
    row: &Row<'_>,
    (others, modified_ns): (usize, usize),
) -> sql::Result<BTreeMap<String, String>> {
    let json: Option<String> = row.optional(others)?;
    let mut metadata: BTreeMap<String, String> = json
        .map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|_| damaged(others, "not metadata"))?
        .unwrap_or_default();
    if let Some(nanoseconds) = row.optional::<i64>(modified_ns)? {
        let time = Timestamp::from_nanosecond(nanoseconds.into())
            .map_err(|_| damaged(modified_ns, "not a time"))?;
        metadata.insert(MTIME_KEY.to_owned(), mtime_text(time));
    }
    Ok(metadata)
}

/// Reads the column `content_type`.
pub(super) fn read_content_type(row: &Row<'_>, column: usize) -> sql::Result<String> {
    let text: Option<String> = row.optional(column)?;
    Ok(text.unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()))
}

/// The value of the column `holder`.
fn holder_bytes(holder: Option<&str>) -> Option<Cow<'_, [u8]>> {
    holder.map(|holder| UuidForm::Hyphenated.to_bytes(holder))
}

/// Reads a row of [`COLUMNS`].
pub(super) fn read_upload(row: &Row<'_>) -> sql::Result<Upload> {
    let attributes: Option<String> = row.optional(26)?;
    let attributes: Option<Box<Attributes>> = attributes
        .map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|_| damaged(26, "not attributes"))?;
    let spec = UploadSpec {
        id: row
            .text(0)?
            .parse()
            .map_err(|_| damaged(0, "not an upload id"))?,
        owner: row.text(1)?,
        idempotency_key: row.uuid(2, UuidForm::Hyphenated)?,
        request_sha256: Sha256::new(row.sha256_bytes(3)?),
        name: row.text(4)?,
        content_type: read_content_type(row, 5)?,
        metadata: read_metadata(row, (6, 28))?,
        attributes: attributes.unwrap_or_default(),
        kind: UploadKind::from_name(&row.text(7)?).ok_or(damaged(7, "not a kind of upload"))?,
        plan: read_plan(row, 8, 25)?,
        key: row
            .text(10)?
            .parse()
            .map_err(|_| damaged(10, "not a key"))?,
        chosen: ChosenKey::read(row, 22)?,
        token: row.uuid(11, UuidForm::Simple)?,
        created_at: row.time(12)?,
    };
    let values = RowValues {
        id: Some(&spec.id),
        name: &spec.name,
        key: Some(spec.key.as_str()),
        began: spec.created_at,
    };
    let receipt = read_receipt(row, (27, 19), &values)?;
    let rejection: Option<String> = row.optional(20)?;
    let rejection = rejection
        .map(|json| serde_json::from_str(&json))
        .transpose();
    Ok(Upload {
        spec,
        store_upload: row.optional(13)?,
        state: UploadState::from_name(&row.text(14)?).ok_or(damaged(14, "not a state"))?,
        lease: Lease {
            epoch: row.number(15)?,
            holder: row.optional_uuid(16, UuidForm::Hyphenated)?,
            until: row.time(17)?,
        },
        expires_at: row.time(18)?,
        receipt,
        rejection: rejection.map_err(|_| damaged(20, "not a rejection"))?,
        may_land_until: row.optional_time(21)?,
        is_replaced: row.number(24)? != 0,
    })
}
