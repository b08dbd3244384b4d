//! The error of an operation: the request is rejected, or the store itself has failed.
//!
//! Not here: the S3 error of each rejection; the code that finds the reason chooses it.

use std::cell::RefCell;
use std::error::Error;

use s3s::{S3Error, S3ErrorCode};

/// The target of log lines about failures of the disk and lost files. A client with the store in
/// its process does not show them.
pub const DISK_LOG: &str = "upload_disk";

#[derive(Debug)]
pub enum StoreError {
    /// The request is rejected; the client sees this error.
    Rejected(S3Error),
    /// A failure of the disk, the database or a thread. The client sees `InternalError` only.
    Internal(Box<dyn Error + Send + Sync>),
}

tokio::task_local! {
    /// The cause of the `InternalError` of a request. It is logged outside of s3s, because the log
    /// of s3s is disabled.
    pub static INTERNAL_CAUSE: RefCell<Option<InternalCause>>;
}

pub struct InternalCause {
    pub text: String,
    /// The disk is full or read-only.
    pub is_disk_failure: bool,
}

impl StoreError {
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<S3Error> for StoreError {
    fn from(error: S3Error) -> Self {
        Self::Rejected(error)
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(error)
    }
}

/// Stores the cause of an internal error in `INTERNAL_CAUSE`.
impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Rejected(error) => error,
            StoreError::Internal(cause) => {
                // Outside of a request there is no such variable.
                let cause = InternalCause {
                    text: cause.to_string(),
                    is_disk_failure: upload_sqlite::is_disk_failure(&*cause),
                };
                let _ = INTERNAL_CAUSE.try_with(|slot| slot.replace(Some(cause)));
                Self::new(S3ErrorCode::InternalError)
            }
        }
    }
}
