//! The data that the operations read and change.

use std::sync::Arc;

use crate::manifest::Manifest;
use crate::part_files::PartFiles;

/// The manifest and the part files. [`crate::multipart`], [`crate::objects`] and [`crate::listing`]
/// add the operations, one group each.
#[derive(Clone)]
pub struct Store {
    manifest: Arc<Manifest>,
    files: Arc<PartFiles>,
    created_ms: i64,
}

impl Store {
    /// `created_ms` is the time at which the store was created, in milliseconds since 1970.
    pub fn new(manifest: Manifest, files: Arc<PartFiles>, created_ms: i64) -> Self {
        Self {
            manifest: Arc::new(manifest),
            files,
            created_ms,
        }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn files(&self) -> &Arc<PartFiles> {
        &self.files
    }

    pub fn created_ms(&self) -> i64 {
        self.created_ms
    }
}
