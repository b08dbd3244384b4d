//! The SQL of reads.

use std::collections::HashSet;
use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{Object, Part, Upload, file_name, size};
use crate::part_files::FileName;

/// Reads rows in one transaction.
pub struct Queries<'c>(pub(super) &'c Connection);

impl Queries<'_> {
    /// The open upload with this id and key.
    pub fn upload(&self, id: &str, key: &str) -> rusqlite::Result<Option<Upload>> {
        let sql = format!(
            "select {} from upload where id = ?1 and key = ?2",
            Upload::COLUMNS
        );
        self.0
            .prepare_cached(&sql)?
            .query_row(params![id, key], Upload::from_row)
            .optional()
    }

    /// The open uploads with a key that begins with `prefix`, sorted by key and age, after the
    /// upload with the key and id of `after`.
    pub fn uploads(
        &self,
        prefix: &str,
        after: (&str, &str),
        limit: usize,
    ) -> rusqlite::Result<Vec<Upload>> {
        let sql = format!(
            "select {} from upload
             where key >= ?1 and (key > ?2 or (key = ?2 and id > ?3)) order by key, id limit ?4",
            Upload::COLUMNS
        );
        let (after_key, after_id) = after;
        self.0
            .prepare_cached(&sql)?
            .query_map(
                params![prefix, after_key, after_id, sql_limit(limit)],
                Upload::from_row,
            )?
            .take_while(|row| {
                row.as_ref()
                    .map_or(true, |upload| upload.key.starts_with(prefix))
            })
            .collect()
    }

    /// The parts of an upload or object with a number above `after`, sorted by number.
    pub fn parts(&self, upload_id: &str, after: i32, limit: usize) -> rusqlite::Result<Vec<Part>> {
        let sql = format!(
            "select {} from part where upload_id = ?1 and number > ?2 order by number limit ?3",
            Part::COLUMNS
        );
        self.0
            .prepare_cached(&sql)?
            .query_map(params![upload_id, after, sql_limit(limit)], Part::from_row)?
            .collect()
    }

    /// The part files of an upload or object, with their sizes.
    pub fn part_files(&self, upload_id: &str) -> rusqlite::Result<Vec<(FileName, u64)>> {
        self.0
            .prepare_cached("select file, size from part where upload_id = ?1 order by number")?
            .query_map([upload_id], |row| Ok((file_name(row, 0)?, size(row, 1)?)))?
            .collect()
    }

    pub fn object(&self, key: &str) -> rusqlite::Result<Option<Object>> {
        let sql = format!("select {} from object where key = ?1", Object::COLUMNS);
        self.0
            .prepare_cached(&sql)?
            .query_row([key], Object::from_row)
            .optional()
    }

    /// The object at a key, unless it has this upload id.
    pub fn object_except(
        &self,
        key: &str,
        upload_id: Option<&str>,
    ) -> rusqlite::Result<Option<Object>> {
        let is_other = |object: &Object| Some(object.upload_id.as_str()) != upload_id;
        Ok(self.object(key)?.filter(is_other))
    }

    /// Calls `visit` for each object with a key of at least `from` and above `after`, sorted by
    /// key, until `visit` breaks.
    pub fn visit_objects(
        &self,
        from: &str,
        after: &str,
        mut visit: impl FnMut(Object) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let sql = format!(
            "select {} from object where key >= ?1 and key > ?2 order by key",
            Object::COLUMNS
        );
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut objects = statement.query_map([from, after], Object::from_row)?;
        while let Some(object) = objects.next().transpose()? {
            if visit(object).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The names of all part files.
    pub(super) fn file_names(&self) -> rusqlite::Result<HashSet<FileName>> {
        let mut statement = self.0.prepare("select file from part")?;
        let names = statement.query_map([], |row| file_name(row, 0))?;
        names.collect()
    }
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
