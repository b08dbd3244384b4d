//! The only bucket of the store.

use s3s::{S3Result, s3_error};

pub const BUCKET: &str = "embedded";
pub const REGION: &str = "us-east-1";

/// # Errors
/// `NoSuchBucket` for any other name.
pub(crate) fn check_bucket(name: &str) -> S3Result<()> {
    if name == BUCKET {
        Ok(())
    } else {
        Err(s3_error!(NoSuchBucket))
    }
}
