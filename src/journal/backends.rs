//! The rows of backends, to which those of their uploads refer.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::to_json;
use super::s3_service::S3Service;

/// The row of a backend, which is inserted if it is missing.
pub(super) fn find_or_insert(
    db: &Connection,
    address: &str,
    instance_id: &str,
    s3_service: Option<&S3Service>,
) -> rusqlite::Result<i64> {
    let s3_service = s3_service.map(to_json).transpose()?;
    let backend = params![address, instance_id, s3_service];
    let found = db
        .prepare_cached(
            "SELECT row FROM backend WHERE address = ?1 AND instance_id = ?2 AND s3_service IS ?3",
        )?
        .query_row(backend, |row| row.get(0))
        .optional()?;
    if let Some(row) = found {
        return Ok(row);
    }
    db.execute(
        "INSERT INTO backend (address, instance_id, s3_service) VALUES (?1, ?2, ?3)",
        backend,
    )?;
    Ok(db.last_insert_rowid())
}

/// Deletes the rows of backends without uploads.
pub(super) fn delete_unused(db: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM backend WHERE row NOT IN (SELECT backend FROM upload)";
    db.execute(sql, []).map(drop)
}
