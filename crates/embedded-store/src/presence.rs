//! The bytes of objects and parts on the disk. For clients, an object or a part whose file is
//! missing or has another size does not exist. Its row is kept: the file may be restored.
//!
//! Not here: files that no row names, in [`crate::part_files`].

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use s3s::s3_error;

use crate::error::{DISK_LOG, StoreError};
use crate::manifest::{Object, Part, Queries};
use crate::part_files::{FileName, PartFiles, ReadHold};
use crate::store::Store;

/// The part files of an object, with their sizes. They stay if the object is replaced or deleted.
pub struct HeldFiles {
    key: String,
    files: Vec<(FileName, u64)>,
    hold: ReadHold,
}

impl HeldFiles {
    /// Must be called in the transaction that reads the object.
    pub fn of_object(
        files: &Arc<PartFiles>,
        queries: &Queries,
        object: &Object,
    ) -> rusqlite::Result<Self> {
        Self::new(files, queries, &object.key, &object.upload_id)
    }

    fn new(
        files: &Arc<PartFiles>,
        queries: &Queries,
        key: &str,
        upload_id: &str,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            key: key.to_owned(),
            files: queries.part_files(upload_id)?,
            hold: ReadHold::new(files, upload_id),
        })
    }

    /// Blocks: one `stat` for each file.
    fn are_present(&self) -> io::Result<bool> {
        let files = self.files.iter().map(|(name, size)| (name, *size));
        are_present(self.hold.files(), &self.key, files)
    }
}

/// Returns true if each file exists with its size. Logs the first that does not. Blocks: one `stat`
/// for each file.
pub fn are_present<'f>(
    on_disk: &PartFiles,
    key: &str,
    mut files: impl Iterator<Item = (&'f FileName, u64)>,
) -> io::Result<bool> {
    let lost = files.find_map(|(name, size)| match on_disk.has(name, size) {
        Ok(true) => None,
        Ok(false) => Some(Ok(name)),
        Err(error) => Some(Err(error)),
    });
    let lost = lost.transpose()?;
    if let Some(name) = lost {
        log_lost(on_disk, key, name);
    }
    Ok(lost.is_none())
}

/// Logs a file once. Blocking threads have the log of the process; that of requests is disabled.
fn log_lost(on_disk: &PartFiles, key: &str, name: &FileName) {
    if on_disk.is_first_report(name) {
        tracing::error!(
            target: DISK_LOG,
            key,
            "the bytes of an object are gone: {} is missing or has another size; restore it from a \
             backup, or upload the object again",
            on_disk.path(name).display()
        );
    }
}

/// Runs `work` on a thread that may block.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(StoreError::internal)??)
}

impl Store {
    /// The object at a key.
    ///
    /// # Errors
    /// `NoSuchKey`, also for an object whose bytes are gone.
    pub async fn object(&self, key: String) -> Result<Object, StoreError> {
        let files = Arc::clone(self.files());
        let (object, held) = self
            .manifest()
            .read(move |queries| {
                let object = queries.object(&key)?.ok_or_else(|| s3_error!(NoSuchKey))?;
                let held = HeldFiles::of_object(&files, queries, &object)?;
                Ok((object, held))
            })
            .await?;
        if blocking(move || held.are_present()).await? {
            Ok(object)
        } else {
            Err(s3_error!(NoSuchKey).into())
        }
    }

    /// Removes the objects whose bytes are gone. `held` has the files of each object.
    pub async fn retain_present(
        &self,
        objects: &mut Vec<Object>,
        held: Vec<HeldFiles>,
    ) -> Result<(), StoreError> {
        if held.is_empty() {
            return Ok(());
        }
        let are_present = move || held.iter().map(HeldFiles::are_present).collect();
        let are_present: Vec<bool> = blocking(are_present).await?;
        let mut are_present = are_present.into_iter();
        objects.retain(|_| are_present.next().unwrap_or_default());
        Ok(())
    }

    /// The upload id of the object at a key, if its bytes are gone: a condition on the object at
    /// the key must ignore it.
    pub async fn lost_object(&self, key: &str) -> Result<Option<String>, StoreError> {
        let (key, files) = (key.to_owned(), Arc::clone(self.files()));
        let found = self
            .manifest()
            .read(move |queries| {
                let Some(object) = queries.object(&key)? else {
                    return Ok(None);
                };
                let held = HeldFiles::of_object(&files, queries, &object)?;
                Ok(Some((object.upload_id, held)))
            })
            .await?;
        let Some((upload_id, held)) = found else {
            return Ok(None);
        };
        let is_present = blocking(move || held.are_present()).await?;
        Ok((!is_present).then_some(upload_id))
    }

    /// Removes the parts whose bytes are gone. `hold` is that of the transaction that has read
    /// them.
    pub async fn present_parts(
        &self,
        key: String,
        mut parts: Vec<Part>,
        hold: ReadHold,
    ) -> Result<Vec<Part>, StoreError> {
        blocking(move || {
            let mut lost = HashSet::new();
            for part in &parts {
                let file = [(&part.file, part.digests.size)];
                if !are_present(hold.files(), &key, file.into_iter())? {
                    lost.insert(part.number);
                }
            }
            parts.retain(|part| !lost.contains(&part.number));
            Ok(parts)
        })
        .await
    }

    /// The names of the files of an upload's parts that are gone.
    pub async fn lost_parts(
        &self,
        key: &str,
        upload_id: &str,
    ) -> Result<HashSet<FileName>, StoreError> {
        let (key, upload_id) = (key.to_owned(), upload_id.to_owned());
        let files = Arc::clone(self.files());
        let held = self
            .manifest()
            .read(move |queries| Ok(HeldFiles::new(&files, queries, &key, &upload_id)?))
            .await?;
        blocking(move || {
            let mut lost = HashSet::new();
            for (name, size) in &held.files {
                if !are_present(held.hold.files(), &held.key, [(name, *size)].into_iter())? {
                    lost.insert(name.clone());
                }
            }
            Ok(lost)
        })
        .await
    }
}
