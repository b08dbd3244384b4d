//! The ETags of parts and objects.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use s3s::dto::ETag;
use upload_types::Sha256;

use crate::manifest::Digests;

/// The number of hexadecimal digits of an ETag.
const DIGITS: usize = 32;

/// The ETag of a part, or of an object that was not sent in parts: its MD5, as in S3. Without an
/// MD5, digits of its SHA-256 and `-1`, because clients compare 32 digits with the MD5 of a file.
pub fn part_etag(digests: &Digests) -> String {
    match &digests.md5 {
        Some(md5) => hex(md5),
        None => format!("{}-1", prefix(&digests.sha256)),
    }
}

/// The ETag of an object that was sent in parts: the MD5 of their MD5s and `-N`, as in S3. If a
/// part has no MD5, digits of the SHA-256 of their SHA-256s and `-N`.
pub fn object_etag<'p>(parts: impl ExactSizeIterator<Item = &'p Digests> + Clone) -> String {
    let count = parts.len();
    let md5s: Option<Vec<[u8; 16]>> = parts.clone().map(|part| part.md5).collect();
    let digits = if let Some(md5s) = md5s {
        hex(&Md5::digest(md5s.concat()))
    } else {
        let sha256s: Vec<u8> = parts.flat_map(|part| *part.sha256.bytes()).collect();
        prefix(&Sha256::of(&sha256s))
    };
    format!("{digits}-{count}")
}

pub fn strong(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

fn prefix(sha256: &Sha256) -> String {
    sha256.to_string().chars().take(DIGITS).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(DIGITS);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
