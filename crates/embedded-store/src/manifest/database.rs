//! Runs reads and writes in transactions, and changes the part files after them.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use upload_sqlite::{TransactionEnd, Writer, WriterError};

use super::changes::{Changes, FileChanges};
use super::queries::Queries;
use super::schema::SCHEMA;
use crate::error::StoreError;
use crate::part_files::{NewPartFile, PartFiles};

/// The treatment of part files that no row names when the manifest is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// After a crash: they are moved to `lost`.
    SetAsideUnknownFiles,
    /// After a clean shutdown: there are none.
    None,
}

/// The database, on a thread of its own.
#[derive(Debug)]
pub struct Manifest {
    writer: Writer,
    files: Arc<PartFiles>,
}

impl Manifest {
    /// Opens or creates the database and starts its thread, which ends when the manifest is
    /// dropped.
    ///
    /// # Errors
    /// [`StoreError::Internal`] for a database of another kind or of a newer version.
    pub fn open(
        path: &Path,
        files: Arc<PartFiles>,
        recovery: Recovery,
    ) -> Result<Self, StoreError> {
        let connection = upload_sqlite::open(path, &SCHEMA).map_err(StoreError::internal)?;
        if recovery == Recovery::SetAsideUnknownFiles {
            files.set_aside_unknown(&Queries(&connection).file_names()?)?;
        }
        // The files hold the lock of the store: they are dropped after the connection.
        let writer = Writer::start("manifest", connection, Arc::clone(&files))?;
        Ok(Self { writer, files })
    }

    /// Runs `read` in a transaction.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Queries) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer
            .read(move |connection| read(&Queries(connection)))
            .await
            .map_err(StoreError::internal)?
    }

    /// Runs `write` in a transaction, which is committed durably if `write` returns `Ok`.
    /// Concurrent writes share a commit.
    ///
    /// New part files are kept and freed files are removed after the commit. If the commit fails,
    /// both remain until the next process compares rows and files. The write is finished even if
    /// the caller is dropped.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Changes) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let files = Arc::clone(&self.files);
        let run = move |connection: &Connection| {
            let mut changes = Changes::new(Queries(connection));
            match write(&mut changes) {
                Ok(value) => (Ok((value, changes.into_files())), TransactionEnd::Commit),
                Err(error) => (Err(error), TransactionEnd::RollBack),
            }
        };
        let after_commit = move |result: Result<(T, FileChanges), StoreError>,
                                 commit: Result<(), WriterError>| {
            let (value, changed) = match result {
                Ok(result) => result,
                Err(error) => return commit.map(|()| Err(error)),
            };
            // Even if the commit failed: it may nevertheless be on disk, with rows that name these
            // files.
            changed.referenced.into_iter().for_each(NewPartFile::keep);
            if let Err(error) = commit {
                files.require_sweep();
                return Err(error);
            }
            for (upload_id, names) in changed.freed {
                files.remove_when_unread(&upload_id, names);
            }
            Ok(Ok(value))
        };
        self.writer
            .write_then(run, after_commit)
            .await
            .map_err(StoreError::internal)?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lock::StoreLock;
    use crate::manifest::Digests;
    use crate::part_files::Draft;
    use upload_types::Sha256;

    #[tokio::test]
    async fn failed_commit_removes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let lock = StoreLock::acquire(dir.path(), Duration::ZERO)
            .await
            .unwrap();
        let files = PartFiles::open(dir.path(), lock).unwrap();
        let path = dir.path().join("store.db");
        let manifest = Manifest::open(&path, Arc::clone(&files), Recovery::None).unwrap();
        let mut draft = Draft::create(&files).unwrap();
        draft.write(b"bytes").unwrap();
        let file = draft.publish().unwrap();
        let written = manifest.write(move |changes| {
            let digests = Digests {
                size: 5,
                sha256: Sha256::of(b"bytes"),
                md5: None,
                checksum: None,
            };
            changes.put_part("upload", 1, file, &digests)?;
            // A constraint that SQLite checks at the end of the transaction.
            let violated = "create table a(id integer primary key);
                create table b(a references a(id) deferrable initially deferred);
                insert into b values(1)";
            Ok(changes.0.execute_batch(violated)?)
        });
        written.await.unwrap_err();
        drop(manifest);
        drop(files);
        // The lock is free when the remover has ended.
        let lock = StoreLock::acquire(dir.path(), Duration::from_secs(10))
            .await
            .unwrap();
        assert!(lock.is_after_crash());
        assert!(PartFiles::any_in(dir.path()).unwrap());
    }
}
