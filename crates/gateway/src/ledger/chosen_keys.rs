//! Keys that clients have chosen: several uploads may have the same one, at most one of them is
//! unfinished, and the object is that of the last one that was verified.
//!
//! Not here: which keys an owner may choose (`service/chosen_key`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::rejection::Rejection;
use super::sql::{self, Row, damaged, values};
use super::stored_bytes::release_held_bytes;
use super::sweep::IS_OPEN;
use super::transaction::Transaction;
use super::uploads::{COLUMNS, Upload, read_upload};
use crate::hooks::Disposal;
use upload_types::wire::UploadState;
use upload_types::{ETag, Key, UploadId};

/// How an object takes a key that its client has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenKey {
    /// Whether an object of one part is sent by a single PUT, which the store accepts only if there
    /// is no object at the key. Otherwise it is a multipart upload, like objects of several parts.
    pub single_put: bool,
    /// The object that the upload replaces. `None` if there must be no object at the key.
    pub replaces: Option<ETag>,
}

impl ChosenKey {
    /// The value of the column `chosen_key`.
    pub(super) fn transfer(&self) -> &'static str {
        if self.single_put { "put" } else { "parts" }
    }

    /// Reads the columns `chosen_key` and `replaces`. Returns `None` for a key that the gateway has
    /// made.
    pub(super) fn read(row: &Row<'_>, column: usize) -> sql::Result<Option<Self>> {
        let transfer: Option<String> = row.optional(column)?;
        let replaces: Option<String> = row.optional(column + 1)?;
        let single_put = match transfer.as_deref() {
            None => return Ok(None),
            Some("put") => true,
            Some("parts") => false,
            Some(_) => return Err(damaged(column, "not a transfer")),
        };
        let replaces = replaces.map(|etag| etag.parse()).transpose();
        Ok(Some(Self {
            single_put,
            replaces: replaces.map_err(|_| damaged(column + 1, "not an ETag"))?,
        }))
    }
}

/// The uploads that matter for a begin at a chosen key.
pub struct KeyUsage {
    /// The upload that the owner has begun with the same idempotency key.
    pub repeated: Option<Upload>,
    /// The unfinished upload at the key, of any owner.
    pub open: Option<Upload>,
}

impl Ledger {
    pub async fn key_usage(
        &self,
        owner: &str,
        idempotency_key: &str,
        key: &Key,
    ) -> LedgerResult<KeyUsage> {
        let (owner, idempotency_key, key) =
            (owner.to_owned(), idempotency_key.to_owned(), key.clone());
        self.read(move |tx| {
            let sql =
                format!("SELECT {COLUMNS} FROM upload WHERE owner = ?1 AND idempotency_key = ?2");
            let repeated = tx.find(&sql, values![&owner, &idempotency_key], read_upload)?;
            let open = find_open(tx, &key)?;
            Ok(KeyUsage { repeated, open })
        })
        .await
    }

    /// Whether another upload than `id` is unfinished at the key.
    pub async fn is_key_in_use(&self, key: &Key, id: &UploadId) -> LedgerResult<bool> {
        let (key, id) = (key.clone(), id.clone());
        self.read(move |tx| Ok(find_open(tx, &key)?.is_some_and(|open| open.id != id)))
            .await
    }

    /// The upload at the key whose object has this token.
    pub async fn upload_of_object(&self, key: &Key, token: &str) -> LedgerResult<Option<Upload>> {
        let (key, token) = (key.clone(), token.to_owned());
        self.read(move |tx| {
            let sql = format!("SELECT {COLUMNS} FROM upload WHERE key = ?1 AND token = ?2");
            tx.find(&sql, values![key.as_str(), &token], read_upload)
        })
        .await
    }

    /// Moves an unfinished upload whose lease has ended at `now` to `aborting`, as if it had
    /// expired, and takes it until `until`. Returns false if its lease has another epoch or lives
    /// again, or if the upload is being completed or has ended.
    pub async fn take_over_key(
        &self,
        id: &UploadId,
        epoch: u64,
        now: Timestamp,
        until: Timestamp,
    ) -> LedgerResult<bool> {
        let id = id.clone();
        self.write(move |tx| {
            // Zero marks an upload that has expired: an object that matches is verified, and not
            // deleted. An abort by the owner stays one.
            let sql = "UPDATE upload SET lease_until = ?4, \
                       expires_at = CASE WHEN state = 'aborting' THEN expires_at ELSE 0 END, state = 'aborting' \
                       WHERE id = ?1 AND epoch = ?2 AND lease_until <= ?3 AND state IN ('pending', 'uploading', 'aborting')";
            Ok(tx.execute(sql, values![id.as_str(), epoch, now, until])? == 1)
        })
        .await
    }
}

/// The unfinished upload at a key.
pub(super) fn find_open(tx: &Transaction<'_>, key: &Key) -> sql::Result<Option<Upload>> {
    let sql = format!("SELECT {COLUMNS} FROM upload WHERE key = ?1 AND {IS_OPEN}");
    tx.find(&sql, values![key.as_str()], read_upload)
}

/// Records that the object of the upload `id` has replaced those of the other uploads at the key.
/// Their bytes are not held any more. The object of a rejected upload that was moved to the
/// quarantine has another key.
pub(super) fn mark_replaced(tx: &Transaction<'_>, key: &str, id: &UploadId) -> sql::Result<()> {
    let sql = "SELECT id, state, rejection FROM upload WHERE key = ?1 AND id <> ?2 AND is_replaced = 0 \
               AND state IN ('verified', 'ready', 'rejected') ORDER BY id";
    let read = |row: &Row<'_>| {
        let rejection: Option<String> = row.optional(2)?;
        let rejection: Option<Rejection> = rejection
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|_| damaged(2, "not a rejection"))?;
        let has_object = row.text(1)? != UploadState::Rejected.name()
            || rejection.is_some_and(|rejection| rejection.disposal == Disposal::Keep);
        Ok(Some(row.text(0)?).filter(|_| has_object))
    };
    for earlier in tx.query(sql, values![key, id.as_str()], read)? {
        let Some(earlier) = earlier else { continue };
        let earlier: UploadId = earlier
            .parse()
            .map_err(|_| damaged(0, "not an upload id"))?;
        release_held_bytes(tx, &earlier)?;
        let sql = "UPDATE upload SET is_replaced = 1 WHERE id = ?1";
        tx.execute(sql, values![earlier.as_str()])?;
    }
    Ok(())
}
