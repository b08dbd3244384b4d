//! The S3 service that holds the bucket of an `s3://` backend.

use serde::{Deserialize, Serialize};

/// How an `s3://` backend was reached when its upload began. Holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct S3Service {
    /// A URL. `None` for Amazon S3.
    pub endpoint: Option<String>,
    /// `None` for the region of the AWS configuration, or the default of the service.
    pub region: Option<String>,
    pub path_style: bool,
}
