//! Tasks that hash ranges of a source, each on a thread that may wait for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::spawn_blocking;
use upload_types::error::{Kind, Result};
use upload_types::{ByteRange, PartNumber, Sha256};

use super::source_watch::Observed;
use super::task::task_failed;
use crate::source::{Digests, FileVersion, SourceFile, WithMd5};

/// Hashes a range. `read` counts the bytes.
pub async fn hash(
    source: SourceFile,
    range: ByteRange,
    md5: WithMd5,
    read: Arc<AtomicU64>,
) -> Result<Digests> {
    let hash = move || source.hash(range, md5, count_into(&read));
    spawn_blocking(hash).await.map_err(task_failed)?
}

/// Whether each of the ranges still has its SHA-256. Returns false if the source became shorter.
pub async fn is_unchanged(
    source: SourceFile,
    parts: Vec<(ByteRange, Sha256)>,
    read: Arc<AtomicU64>,
) -> Result<bool> {
    let compare = move || {
        for (range, sha256) in parts {
            match source.hash(range, WithMd5::No, count_into(&read)) {
                Ok(digests) if digests.sha256 == sha256 => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == Kind::SourceChanged => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    };
    spawn_blocking(compare).await.map_err(task_failed)?
}

/// Observes a source.
pub async fn observe(source: SourceFile) -> Result<Observed> {
    let observe = move || {
        let version = source.current_version()?;
        let at_path = FileVersion::of(source.path());
        Ok(Observed {
            version,
            has_writer: source.has_writer(),
            is_replaced: at_path.is_some_and(|other| !other.is_same_file(&version)),
        })
    };
    spawn_blocking(observe).await.map_err(task_failed)?
}

/// Hashes several ranges, one after another.
pub async fn hash_all(
    source: SourceFile,
    parts: Vec<(PartNumber, ByteRange)>,
    read: Arc<AtomicU64>,
) -> Result<Vec<(PartNumber, Sha256)>> {
    let mut hashed = Vec::with_capacity(parts.len());
    for (number, range) in parts {
        let digests = hash(source.clone(), range, WithMd5::No, Arc::clone(&read)).await?;
        hashed.push((number, digests.sha256));
    }
    Ok(hashed)
}

/// A callback that adds the bytes that were read to `read`.
pub fn count_into(read: &AtomicU64) -> impl FnMut(u64) {
    |bytes| {
        read.fetch_add(bytes, Ordering::Relaxed);
    }
}
