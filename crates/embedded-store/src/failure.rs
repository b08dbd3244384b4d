//! Why an operation did not happen: the request was refused, or the store itself failed.
//!
//! Border: what S3 calls the refusal is decided where the fact is known; here it only travels. The cause of a failure goes to
//! the log, never into the answer.

use std::cell::RefCell;
use std::error::Error;

use s3s::{S3Error, S3ErrorCode};

#[derive(Debug)]
pub enum Failure {
    Refused(S3Error),
    /// Disk, database, a thread that is gone.
    Broken(Box<dyn Error + Send + Sync>),
}

tokio::task_local! {
    /// Where the cause of an InternalError waits to be logged, outside of what s3s logs.
    pub static CAUSE: RefCell<Option<String>>;
}

impl Failure {
    pub fn broken(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Broken(cause.into())
    }
}

impl From<S3Error> for Failure {
    fn from(error: S3Error) -> Self {
        Self::Refused(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::broken(error)
    }
}

impl From<Failure> for S3Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Broken(cause) => {
                // Outside a request there is nobody to tell.
                let _ = CAUSE.try_with(|slot| slot.replace(Some(cause.to_string())));
                Self::new(S3ErrorCode::InternalError)
            }
        }
    }
}
