//! The ETags of parts and objects.

use s3s::dto::ETag;
use upload_types::Sha256;

/// The ETag of a part: the first half of its SHA-256, in hexadecimal.
pub fn part_etag(sha256: &Sha256) -> String {
    sha256.to_string().chars().take(32).collect()
}

pub fn strong(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}
