//! The uploads at keys that clients have chosen: several uploads may have the same one, at most one
//! of them is unfinished, and the object is that of the last one that was verified.
//!
//! Not here: which keys an owner may choose (`service/chosen_key`).

use jiff::Timestamp;

use super::database::Ledger;
use super::error::LedgerResult;
use super::open_state::IS_OPEN;
use super::rejection::Rejection;
use super::sql::{self, Row, SqlError, damaged, values};
use super::stored_bytes::release_held_bytes;
use super::transaction::Transaction;
use super::uploads::{COLUMNS, NewUpload, Upload, find_by_idempotency_key, insert, read_upload};
use crate::hooks::Disposal;
use upload_types::wire::UploadState;
use upload_types::{Key, UploadId, UuidForm};

/// The uploads that matter for a begin at a chosen key.
pub struct KeyUsage {
    /// The upload that the owner has begun with the same idempotency key.
    pub repeated: Option<Upload>,
    /// The unfinished upload at the key, of any owner.
    pub open: Option<Upload>,
}

impl Ledger {
    /// Inserts the upload and a row for each part that is pinned, unless its owner has used the
    /// idempotency key before. Returns the upload with that key, and whether it is the new one.
    /// Returns the error of a missing row if another upload is unfinished at its key.
    #[cfg(test)]
    pub async fn begin(&self, new: NewUpload) -> LedgerResult<(Upload, bool)> {
        self.write(move |tx| insert_or_find(tx, &new)?.map_err(|_| SqlError::MissingRow))
            .await
    }

    pub async fn key_usage(
        &self,
        owner: &str,
        idempotency_key: &str,
        key: &Key,
    ) -> LedgerResult<KeyUsage> {
        let (owner, idempotency_key, key) =
            (owner.to_owned(), idempotency_key.to_owned(), key.clone());
        self.read(move |tx| {
            let repeated = find_by_idempotency_key(tx, &owner, &idempotency_key)?;
            let open = find_open(tx, &key)?;
            Ok(KeyUsage { repeated, open })
        })
        .await
    }

    /// Whether another upload than `id` is unfinished at the chosen key.
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
            let token = UuidForm::Simple.to_bytes(&token);
            tx.find(&sql, values![key.as_str(), &*token], read_upload)
        })
        .await
    }

    /// Moves an unfinished upload whose lease has ended at `now` to `aborting`, as if it had
    /// expired, and takes it until `until`. Returns false if its lease has another epoch or was
    /// renewed, or if the upload is being completed or has ended.
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

/// The unfinished upload at a key that its client has chosen. A key may have many rows; the
/// condition is that of the index `open_upload_by_chosen_key`.
pub(super) fn find_open(tx: &Transaction<'_>, key: &Key) -> sql::Result<Option<Upload>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM upload WHERE key = ?1 AND chosen_key IS NOT NULL AND {IS_OPEN}"
    );
    tx.find(&sql, values![key.as_str()], read_upload)
}

/// How often to insert an upload at a key that another one has had a moment ago.
const MAX_INSERTS: u32 = 3;

/// Inserts the upload, or finds the one that its owner has begun with the same idempotency key.
/// Also returns whether it is the new one. Returns the unfinished upload at the key as an error.
pub(super) fn insert_or_find(
    tx: &Transaction<'_>,
    new: &NewUpload,
) -> sql::Result<Result<(Upload, bool), Box<Upload>>> {
    for _ in 0..MAX_INSERTS {
        if let Some(upload) = insert(tx, new)? {
            return Ok(Ok((upload, true)));
        }
        let (owner, idempotency_key) = (&new.spec.owner, &new.spec.idempotency_key);
        if let Some(earlier) = find_by_idempotency_key(tx, owner, idempotency_key)? {
            return Ok(Ok((earlier, false)));
        }
        if let Some(open) = find_open(tx, &new.spec.key)? {
            return Ok(Err(Box::new(open)));
        }
        // On PostgreSQL, the other upload may have ended in the meantime.
    }
    Err(SqlError::MissingRow)
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
