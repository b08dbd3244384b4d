//! Writes a part file: first a draft, then a durable file that no row names yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use upload_types::crash;

use super::directory::PartFiles;
use super::name::FileName;

/// A flush in the background begins each time this many bytes of a file have been written, so that
/// less is left to flush at the end.
const FLUSH_INTERVAL_BYTES: u64 = 16 << 20;

/// A file that is being written. Dropping it removes the file, unless it is published.
#[derive(Debug)]
pub struct Draft {
    file: File,
    /// The same file, opened once more for the background flush: the kernel reports an error of the
    /// disk once to each handle, and `file` must see it.
    flush_handle: Option<Arc<File>>,
    unflushed_bytes: u64,
    name: FileName,
    path: PathBuf,
    files: Arc<PartFiles>,
}

impl Draft {
    pub fn create(files: &Arc<PartFiles>) -> io::Result<Self> {
        let name = FileName::new();
        let path = files.draft_path(&name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        crash::point("store.draft.created");
        Ok(Self {
            file,
            flush_handle: None,
            unflushed_bytes: 0,
            name,
            path,
            files: Arc::clone(files),
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        crash::point("store.draft.written");
        self.unflushed_bytes += bytes.len() as u64;
        if self.unflushed_bytes >= FLUSH_INTERVAL_BYTES {
            self.unflushed_bytes = 0;
            self.flush_in_background()?;
        }
        Ok(())
    }

    /// Does nothing while an earlier flush of the file is running.
    fn flush_in_background(&mut self) -> io::Result<()> {
        let handle = match self.flush_handle.take() {
            Some(handle) => handle,
            None => Arc::new(File::open(&self.path)?),
        };
        if Arc::strong_count(&handle) == 1 {
            self.files.flush_in_background(Arc::clone(&handle));
        }
        self.flush_handle = Some(handle);
        Ok(())
    }

    /// Makes the file a durable part file: its data first, then its name.
    pub fn publish(self) -> io::Result<NewPartFile> {
        self.file.sync_data()?;
        crash::point("store.publish.synced");
        let path = self.files.path(&self.name);
        let shard = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        fs::rename(&self.path, &path)?;
        crash::point("store.publish.renamed");
        let published = NewPartFile::unreferenced(self.name.clone(), &self.files);
        File::open(shard)?.sync_all()?;
        crash::point("store.publish.durable");
        Ok(published)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Fails for a published file. A draft that remains is removed when the store is next
        // opened.
        let _ = fs::remove_file(&self.path);
    }
}

/// A part file that no row names yet. Dropping it before [`Self::keep`] removes the file.
#[derive(Debug)]
pub struct NewPartFile {
    name: FileName,
    is_referenced: bool,
    files: Arc<PartFiles>,
}

impl NewPartFile {
    fn unreferenced(name: FileName, files: &Arc<PartFiles>) -> Self {
        Self {
            name,
            is_referenced: false,
            files: Arc::clone(files),
        }
    }

    /// Gives an existing part file a second name, durably.
    pub fn link(files: &Arc<PartFiles>, existing: &FileName) -> io::Result<Self> {
        let link = Self::unreferenced(FileName::new(), files);
        let path = files.path(&link.name);
        fs::hard_link(files.path(existing), &path)?;
        let shard = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        File::open(shard)?.sync_all()?;
        Ok(link)
    }

    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// Must be called once a committed row names the file, or may name it.
    pub fn keep(mut self) {
        self.is_referenced = true;
    }
}

impl Drop for NewPartFile {
    fn drop(&mut self) {
        if !self.is_referenced {
            self.files.remove([self.name.clone()]);
        }
    }
}
