//! The only bucket of the store.

use s3s::dto::Owner;
use s3s::{S3Result, s3_error};

pub const BUCKET: &str = "embedded";
pub const REGION: &str = "us-east-1";
/// The id of the account that owns the bucket and its objects.
pub(crate) const OWNER: &str = "000000000000";

/// # Errors
/// `NoSuchBucket` for any other name.
pub(crate) fn check_bucket(name: &str) -> S3Result<()> {
    if name == BUCKET {
        Ok(())
    } else {
        Err(s3_error!(NoSuchBucket))
    }
}

pub(crate) fn owner() -> Owner {
    Owner {
        id: Some(OWNER.into()),
        display_name: Some(OWNER.into()),
    }
}
