//! The SQL of writes, and the part files that they add and free.

use std::ops::Deref;

use rusqlite::{OptionalExtension as _, params};

use upload_types::crash;

use super::queries::Queries;
use super::rows::{Attributes, Digests, Object, Upload, file_name};
use crate::error::StoreError;
use crate::part_files::{FileName, NewPartFile};
use crate::time::now;

/// Reads and writes rows in one transaction.
pub struct Changes<'c> {
    queries: Queries<'c>,
    files: FileChanges,
}

/// The part files that a transaction affects when it is committed.
#[derive(Debug, Default)]
pub(super) struct FileChanges {
    /// Files that new rows name.
    pub(super) referenced: Vec<NewPartFile>,
    /// Upload ids, each with its files that no row names any longer.
    pub(super) freed: Vec<(String, Vec<FileName>)>,
}

impl<'c> Deref for Changes<'c> {
    type Target = Queries<'c>;
    fn deref(&self) -> &Queries<'c> {
        &self.queries
    }
}

impl<'c> Changes<'c> {
    pub(super) fn new(queries: Queries<'c>) -> Self {
        Self {
            queries,
            files: FileChanges::default(),
        }
    }

    pub(super) fn into_files(self) -> FileChanges {
        self.files
    }

    pub fn insert_upload(&mut self, upload: &Upload) -> Result<(), StoreError> {
        self.queries
            .0
            .prepare_cached("insert into upload values(?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                upload.id,
                upload.key,
                upload.checksum_kind.map(|(algorithm, _)| algorithm.name()),
                upload.checksum_kind.map(|(_, coverage)| coverage.name()),
                to_json(&upload.attributes)?,
                upload.created_ms
            ])?;
        crash::point("store.rows.created");
        Ok(())
    }

    /// Deletes the row of an open upload; its parts are kept.
    pub fn delete_upload(&mut self, id: &str) -> Result<(), StoreError> {
        self.queries
            .0
            .prepare_cached("delete from upload where id = ?1")?
            .execute([id])?;
        crash::point("store.rows.closed");
        Ok(())
    }

    /// Inserts a part, or replaces the one with the same number.
    pub fn put_part(
        &mut self,
        upload_id: &str,
        number: i32,
        file: NewPartFile,
        digests: &Digests,
    ) -> Result<(), StoreError> {
        self.delete_part(upload_id, number)?;
        self.queries
            .0
            .prepare_cached("insert into part values(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute(params![
                upload_id,
                number,
                file.name().as_str(),
                i64::try_from(digests.size).map_err(StoreError::internal)?,
                digests.sha256.bytes(),
                digests.md5,
                digests.checksum.as_ref().map(ToString::to_string),
                now()
            ])?;
        crash::point("store.rows.part");
        self.files.referenced.push(file);
        Ok(())
    }

    pub fn delete_part(&mut self, upload_id: &str, number: i32) -> Result<(), StoreError> {
        self.delete_and_free(
            "delete from part where upload_id = ?1 and number = ?2 returning file",
            upload_id,
            params![upload_id, number],
        )
    }

    pub fn delete_parts(&mut self, upload_id: &str) -> Result<(), StoreError> {
        self.delete_and_free(
            "delete from part where upload_id = ?1 returning file",
            upload_id,
            params![upload_id],
        )
    }

    fn delete_and_free(
        &mut self,
        sql: &str,
        upload_id: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<(), StoreError> {
        let mut statement = self.queries.0.prepare_cached(sql)?;
        let names = statement
            .query_map(params, |row| file_name(row, 0))?
            .collect::<Result<Vec<_>, _>>()?;
        if !names.is_empty() {
            crash::point("store.rows.freed");
        }
        self.files.freed.push((upload_id.to_owned(), names));
        Ok(())
    }

    /// Inserts an object. Replaces the one with the same key, and deletes its parts.
    pub fn put_object(&mut self, object: &Object) -> Result<(), StoreError> {
        self.delete_object(&object.key)?;
        self.queries
            .0
            .prepare_cached("insert into object values(?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                object.key,
                object.upload_id,
                i64::try_from(object.size).map_err(StoreError::internal)?,
                object.etag,
                object.checksum.as_ref().map(ToString::to_string),
                to_json(&object.attributes)?,
                object.created_ms
            ])?;
        crash::point("store.rows.object");
        Ok(())
    }

    /// Deletes an object, if it exists, with its parts.
    pub fn delete_object(&mut self, key: &str) -> Result<(), StoreError> {
        let upload_id: Option<String> = self
            .queries
            .0
            .prepare_cached("delete from object where key = ?1 returning upload_id")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        upload_id.map_or(Ok(()), |upload_id| self.delete_parts(&upload_id))
    }
}

fn to_json(attributes: &Attributes) -> Result<String, StoreError> {
    serde_json::to_string(attributes).map_err(StoreError::internal)
}
