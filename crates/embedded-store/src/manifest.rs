//! The manifest: which uploads, parts and objects there are, in `SQLite`, on a thread of its own.
//!
//! Border: rows and the order in which rows and files change. What S3 makes of them is `uploads`, `objects` and `review`.

use std::collections::{BTreeMap, HashSet};
use std::ops::{ControlFlow, Deref};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::files::{FileName, Files, Fresh};
use super::schema;
use upload_sqlite as sqlite;
use upload_sqlite::writer::{TransactionEnd, Writer, WriterError};
use upload_types::crash;
use upload_types::names::Sha256;

/// An open multipart upload.
#[derive(Debug, Clone)]
pub struct Upload {
    pub id: String,
    pub key: String,
    /// It was created with SHA-256: each part comes with its checksum.
    pub demands_checksum: bool,
    pub attributes: Attributes,
    pub created: i64,
}

#[derive(Debug, Clone)]
pub struct Part {
    pub number: i32,
    pub file: FileName,
    pub size: u64,
    pub sha256: Sha256,
    /// Milliseconds since 1970, as in the other rows.
    pub created: i64,
}

#[derive(Debug, Clone)]
pub struct Object {
    pub key: String,
    /// Under which its parts are found.
    pub upload: String,
    pub size: u64,
    pub etag: String,
    /// With `-N` behind it when it is composite.
    pub checksum: Option<String>,
    pub attributes: Attributes,
    pub created: i64,
}

/// What S3 gives back with an object as it was given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub meta: BTreeMap<String, String>,
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The way to the thread that owns the connection.
#[derive(Debug)]
pub struct Manifest {
    writer: Writer,
    files: Arc<Files>,
}

impl Manifest {
    /// Opens or makes the database, and starts its thread, which ends when the manifest is dropped. With `sweep`, puts part
    /// files aside that no row names.
    ///
    /// # Errors
    /// [`Failure::Broken`] for a database that is not ours, is newer than we are, or cannot be made safe.
    pub fn open(path: &Path, files: Arc<Files>, sweep: bool) -> Result<Self, Failure> {
        let connection = sqlite::open(path, &schema::SPEC).map_err(Failure::broken)?;
        if sweep {
            files.sweep(&known_files(&connection)?)?;
        }
        // The files hold the lock: it goes after the connection.
        let writer = Writer::start("manifest", connection, Arc::clone(&files))?;
        Ok(Self { writer, files })
    }

    /// Runs `read` in a transaction.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Rows) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.writer
            .read(move |connection| read(&Rows(connection)))
            .await
            .map_err(Failure::broken)?
    }

    /// Runs `write` in a transaction that is committed, durably, when it gives Ok, together with what others write meanwhile.
    /// New part files are adopted by the commit, those it frees are removed after it; when it fails, both stay until the next
    /// start looks around. Goes on to its end when the caller no longer waits.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Change) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let files = Arc::clone(&self.files);
        let run = move |connection: &Connection| {
            let mut change = Change {
                rows: Rows(connection),
                adopted: Vec::new(),
                freed: Vec::new(),
            };
            match write(&mut change) {
                Ok(answer) => (
                    Ok((answer, change.adopted, change.freed)),
                    TransactionEnd::Commit,
                ),
                Err(failure) => (Err(failure), TransactionEnd::RollBack),
            }
        };
        let then = move |done: Result<(T, Vec<Fresh>, Vec<Freed>), Failure>,
                         ended: Result<(), WriterError>| {
            let (answer, adopted, freed) = match done {
                Ok(done) => done,
                Err(failure) => return ended.map(|()| Err(failure)),
            };
            // Also after a commit that failed: it may be on disk all the same, and its rows name these files.
            adopted.into_iter().for_each(Fresh::keep);
            if let Err(error) = ended {
                files.doubt();
                return Err(error);
            }
            for (owner, names) in freed {
                files.discard(&owner, names);
            }
            Ok(Ok(answer))
        };
        self.writer
            .write_then(run, then)
            .await
            .map_err(Failure::broken)?
    }
}

/// An upload or object, and the files it no longer names.
type Freed = (String, Vec<FileName>);

fn known_files(connection: &Connection) -> Result<HashSet<FileName>, Failure> {
    let mut rows = connection.prepare("select file from part")?;
    let names = rows.query_map([], |row| file_name(row, 0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Rows as one transaction sees them.
pub struct Rows<'c>(&'c Connection);

impl Rows<'_> {
    pub fn upload(&self, id: &str, key: &str) -> rusqlite::Result<Option<Upload>> {
        self.0
            .prepare_cached(
                "select id, key, demands_checksum, attributes, created from upload where id = ?1 and key = ?2",
            )?
            .query_row(params![id, key], upload)
            .optional()
    }

    /// The open uploads whose key begins with `prefix`, by key and age, behind the upload `after` (its key and id).
    pub fn uploads(
        &self,
        prefix: &str,
        after: (&str, &str),
        limit: usize,
    ) -> rusqlite::Result<Vec<Upload>> {
        self.0
            .prepare_cached(
                "select id, key, demands_checksum, attributes, created from upload
                 where key >= ?1 and (key > ?2 or (key = ?2 and id > ?3)) order by key, id limit ?4",
            )?
            .query_map(params![prefix, after.0, after.1, count(limit)], upload)?
            .take_while(|row| row.as_ref().map_or(true, |upload| upload.key.starts_with(prefix)))
            .collect()
    }

    /// The parts of an upload or an object in order, behind the number `after`.
    pub fn parts(&self, upload: &str, after: i32, limit: usize) -> rusqlite::Result<Vec<Part>> {
        self.0
            .prepare_cached(
                "select number, file, size, sha256, created from part
                 where upload = ?1 and number > ?2 order by number limit ?3",
            )?
            .query_map(params![upload, after, count(limit)], part)?
            .collect()
    }

    pub fn object(&self, key: &str) -> rusqlite::Result<Option<Object>> {
        self.0
            .prepare_cached("select key, upload, size, etag, checksum, attributes, created from object where key = ?1")?
            .query_row([key], object)
            .optional()
    }

    /// Visits objects from the key `from` on and behind the key `after`, by key, as long as `visit` continues.
    pub fn walk(
        &self,
        from: &str,
        after: &str,
        mut visit: impl FnMut(Object) -> ControlFlow<()>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.0.prepare_cached(
            "select key, upload, size, etag, checksum, attributes, created from object
             where key >= ?1 and key > ?2 order by key",
        )?;
        let mut objects = statement.query_map([from, after], object)?;
        while let Some(object) = objects.next().transpose()? {
            if visit(object).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A transaction that writes.
pub struct Change<'c> {
    rows: Rows<'c>,
    adopted: Vec<Fresh>,
    freed: Vec<Freed>,
}

impl<'c> Deref for Change<'c> {
    type Target = Rows<'c>;
    fn deref(&self) -> &Rows<'c> {
        &self.rows
    }
}

impl Change<'_> {
    pub fn add_upload(&mut self, upload: &Upload) -> Result<(), Failure> {
        self.rows
            .0
            .prepare_cached("insert into upload values(?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                upload.id,
                upload.key,
                upload.demands_checksum,
                json(&upload.attributes)?,
                upload.created
            ])?;
        crash::point("store.rows.created");
        Ok(())
    }

    /// Removes the row of an open upload; its parts stay.
    pub fn close_upload(&mut self, id: &str) -> Result<(), Failure> {
        self.rows
            .0
            .prepare_cached("delete from upload where id = ?1")?
            .execute([id])?;
        crash::point("store.rows.closed");
        Ok(())
    }

    /// Adds a part, in place of an earlier one of the same number.
    pub fn put_part(
        &mut self,
        upload: &str,
        number: i32,
        file: Fresh,
        size: u64,
        sha256: &Sha256,
    ) -> Result<(), Failure> {
        self.drop_part(upload, number)?;
        self.rows
            .0
            .prepare_cached("insert into part values(?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                upload,
                number,
                file.name.as_str(),
                i64::try_from(size).map_err(Failure::broken)?,
                sha256.bytes(),
                now()
            ])?;
        crash::point("store.rows.part");
        self.adopted.push(file);
        Ok(())
    }

    pub fn drop_part(&mut self, upload: &str, number: i32) -> Result<(), Failure> {
        self.free(
            "delete from part where upload = ?1 and number = ?2 returning file",
            upload,
            params![upload, number],
        )
    }

    pub fn drop_parts(&mut self, upload: &str) -> Result<(), Failure> {
        self.free(
            "delete from part where upload = ?1 returning file",
            upload,
            params![upload],
        )
    }

    fn free(
        &mut self,
        delete: &str,
        owner: &str,
        of: &[&dyn rusqlite::ToSql],
    ) -> Result<(), Failure> {
        let mut statement = self.rows.0.prepare_cached(delete)?;
        let names = statement
            .query_map(of, |row| file_name(row, 0))?
            .collect::<Result<Vec<_>, _>>()?;
        if !names.is_empty() {
            crash::point("store.rows.freed");
        }
        self.freed.push((owner.to_owned(), names));
        Ok(())
    }

    /// Makes the object of its key; the one that was there goes, with its parts.
    pub fn put_object(&mut self, object: &Object) -> Result<(), Failure> {
        self.drop_object(&object.key)?;
        self.rows
            .0
            .prepare_cached("insert into object values(?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                object.key,
                object.upload,
                i64::try_from(object.size).map_err(Failure::broken)?,
                object.etag,
                object.checksum,
                json(&object.attributes)?,
                object.created
            ])?;
        crash::point("store.rows.object");
        Ok(())
    }

    pub fn drop_object(&mut self, key: &str) -> Result<(), Failure> {
        let upload: Option<String> = self
            .rows
            .0
            .prepare_cached("delete from object where key = ?1 returning upload")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        upload.map_or(Ok(()), |upload| self.drop_parts(&upload))
    }
}

fn upload(row: &Row) -> rusqlite::Result<Upload> {
    Ok(Upload {
        id: row.get(0)?,
        key: row.get(1)?,
        demands_checksum: row.get(2)?,
        attributes: attributes(row, 3)?,
        created: row.get(4)?,
    })
}

fn part(row: &Row) -> rusqlite::Result<Part> {
    Ok(Part {
        number: row.get(0)?,
        file: file_name(row, 1)?,
        size: size(row, 2)?,
        sha256: Sha256::new(row.get(3)?),
        created: row.get(4)?,
    })
}

fn object(row: &Row) -> rusqlite::Result<Object> {
    Ok(Object {
        key: row.get(0)?,
        upload: row.get(1)?,
        size: size(row, 2)?,
        etag: row.get(3)?,
        checksum: row.get(4)?,
        attributes: attributes(row, 5)?,
        created: row.get(6)?,
    })
}

fn file_name(row: &Row, column: usize) -> rusqlite::Result<FileName> {
    let text: String = row.get(column)?;
    FileName::parse(&text).ok_or_else(|| damaged(column, "not a file name".into()))
}

fn size(row: &Row, column: usize) -> rusqlite::Result<u64> {
    let size: i64 = row.get(column)?;
    u64::try_from(size).map_err(|error| damaged(column, error.into()))
}

fn attributes(row: &Row, column: usize) -> rusqlite::Result<Attributes> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| damaged(column, error.into()))
}

fn damaged(column: usize, why: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why)
}

fn json(attributes: &Attributes) -> Result<String, Failure> {
    serde_json::to_string(attributes).map_err(Failure::broken)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::lock::Lock;
    use super::*;

    #[tokio::test]
    async fn a_commit_that_fails_takes_no_file_with_it() {
        let place = tempfile::tempdir().unwrap();
        let lock = Lock::acquire(place.path(), Duration::ZERO).await.unwrap();
        let files = Files::open(place.path(), lock).unwrap();
        let manifest =
            Manifest::open(&place.path().join("store.db"), Arc::clone(&files), false).unwrap();
        let mut draft = files.draft().unwrap();
        draft.write(b"bytes").unwrap();
        let fresh = draft.publish().unwrap();
        let written = manifest.write(move |change| {
            change.put_part("upload", 1, fresh, 5, &Sha256::of(b"bytes"))?;
            // A constraint that is looked at when the transaction ends.
            let broken = "create table a(id integer primary key);
                create table b(a references a(id) deferrable initially deferred); insert into b values(1)";
            Ok(change.rows.0.execute_batch(broken)?)
        });
        written.await.unwrap_err();
        drop(manifest);
        drop(files);
        // Taken once the remover has come to its end.
        let lock = Lock::acquire(place.path(), Duration::from_secs(10))
            .await
            .unwrap();
        assert!(lock.left_behind);
        assert!(Files::any(place.path()).unwrap());
    }
}
