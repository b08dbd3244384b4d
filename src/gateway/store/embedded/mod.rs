//! The embedded store: S3 in this process, on SQLite and part files.
//!
//! Border: behind the S3 protocol only; nothing in the gateway reaches around it.

use std::path::Path;
use std::time::Duration;

use crate::error::Result;

/// The one bucket there is.
pub const BUCKET: &str = "embedded";
pub const REGION: &str = "us-east-1";

/// A store under one directory, held by this process alone.
#[derive(Debug, Clone)]
pub struct Embedded {}

impl Embedded {
    /// Opens or makes the store, waiting up to `wait` for another process that holds it.
    ///
    /// # Errors
    /// [`Kind::Busy`](crate::error::Kind::Busy) naming the process that holds it, [`Kind::Io`](crate::error::Kind::Io) for a
    /// directory that cannot be used.
    pub async fn open(_dir: &Path, _wait: Duration) -> Result<Self> {
        todo!()
    }

    /// Access key and secret, made once and kept with the store.
    #[must_use]
    pub fn keys(&self) -> (String, String) {
        todo!()
    }
}
