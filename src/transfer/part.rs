//! The effects of one part: reading and fingerprinting it, reading and sending it.
//!
//! Border: one attempt, no memory of earlier ones and no decision about the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::spawn_blocking;

use crate::source::{Digests, SourceFile, WithMd5};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{ByteRange, PartNumber, Sha256};

/// Fingerprints a range of the source; `read` counts its bytes on the way.
pub async fn hash(
    source: SourceFile,
    range: ByteRange,
    with_md5: WithMd5,
    read: Arc<AtomicU64>,
) -> Result<Digests> {
    let work = move || {
        source.hash(range, with_md5, |bytes| {
            read.fetch_add(bytes, Ordering::Relaxed);
        })
    };
    spawn_blocking(work).await.map_err(lost)?
}

/// Fingerprints parts again and says whether all are what they were.
pub async fn unchanged(
    source: SourceFile,
    parts: Vec<(ByteRange, Sha256)>,
    read: Arc<AtomicU64>,
) -> Result<bool> {
    let work = move || {
        for (range, sha256) in parts {
            let count = |bytes| {
                read.fetch_add(bytes, Ordering::Relaxed);
            };
            match source.hash(range, WithMd5::No, count) {
                Ok(hashed) if hashed.sha256 == sha256 => {}
                Ok(_) => return Ok(false),
                Err(error) if error.kind() == Kind::SourceChanged => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    };
    spawn_blocking(work).await.map_err(lost)?
}

/// Fingerprints several ranges of the source, one after another; `read` counts their bytes on the way.
pub async fn hash_all(
    source: SourceFile,
    parts: Vec<(PartNumber, ByteRange)>,
    read: Arc<AtomicU64>,
) -> Result<Vec<(PartNumber, Sha256)>> {
    let mut fingerprints = Vec::with_capacity(parts.len());
    for (number, range) in parts {
        fingerprints.push((
            number,
            hash(source.clone(), range, WithMd5::No, Arc::clone(&read))
                .await?
                .sha256,
        ));
    }
    Ok(fingerprints)
}

fn lost(error: tokio::task::JoinError) -> Error {
    Error::new(Kind::Other, "a task ended before its work").with_source(error)
}
