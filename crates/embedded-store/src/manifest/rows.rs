//! The types of rows.

use std::collections::BTreeMap;

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use upload_types::Sha256;

use crate::checksums::{Algorithm, Checksum, Coverage};
use crate::part_files::FileName;

/// An open multipart upload.
#[derive(Debug, Clone)]
pub struct Upload {
    pub id: String,
    pub key: String,
    /// The kind of checksum of its object, and so of its parts.
    pub checksum_kind: Option<(Algorithm, Coverage)>,
    pub attributes: Attributes,
    /// Milliseconds since 1970, as in the other rows.
    pub created_ms: i64,
}

/// A part of an open upload or of an object.
#[derive(Debug, Clone)]
pub struct Part {
    pub number: i32,
    pub file: FileName,
    pub digests: Digests,
    pub created_ms: i64,
}

/// The size and the digests of the bytes of a part.
#[derive(Debug, Clone)]
pub struct Digests {
    pub size: u64,
    pub sha256: Sha256,
    /// Absent for the parts of the gateway's own clients: they compare SHA-256 only.
    pub md5: Option<[u8; 16]>,
    /// A checksum of another algorithm than SHA-256: the one that was sent, or that the upload
    /// requires.
    pub checksum: Option<Checksum>,
}

impl Digests {
    /// The checksum of an algorithm, in base64, if it is known.
    pub fn checksum(&self, algorithm: Algorithm) -> Option<String> {
        match &self.checksum {
            Some(checksum) if checksum.algorithm == algorithm => Some(checksum.value.clone()),
            _ => (algorithm == Algorithm::Sha256).then(|| self.sha256.base64()),
        }
    }

    /// The checksum that was sent or required, otherwise SHA-256.
    pub fn main_checksum(&self) -> Checksum {
        self.checksum.clone().unwrap_or_else(|| Checksum {
            algorithm: Algorithm::Sha256,
            value: self.sha256.base64(),
        })
    }
}

#[derive(Debug, Clone)]
pub struct Object {
    pub key: String,
    /// The upload id of its parts.
    pub upload_id: String,
    pub size: u64,
    pub etag: String,
    pub checksum: Option<Checksum>,
    pub attributes: Attributes,
    pub created_ms: i64,
}

/// The headers that S3 keeps with an object and returns unchanged, and its tags.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    /// A date of HTTP.
    pub expires: Option<String>,
    /// The user's metadata, without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

impl Upload {
    pub(super) const COLUMNS: &str =
        "id, key, checksum_algorithm, checksum_type, attributes, created_ms";

    pub(super) fn from_row(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            key: row.get(1)?,
            checksum_kind: checksum_kind(row)?,
            attributes: attributes(row, 4)?,
            created_ms: row.get(5)?,
        })
    }
}

impl Part {
    pub(super) const COLUMNS: &str = "number, file, size, sha256, md5, checksum, created_ms";

    pub(super) fn from_row(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            file: file_name(row, 1)?,
            digests: Digests {
                size: size(row, 2)?,
                sha256: Sha256::new(row.get(3)?),
                md5: row.get(4)?,
                checksum: checksum(row, 5)?,
            },
            created_ms: row.get(6)?,
        })
    }
}

impl Object {
    pub(super) const COLUMNS: &str = "key, upload_id, size, etag, checksum, attributes, created_ms";

    pub(super) fn from_row(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            upload_id: row.get(1)?,
            size: size(row, 2)?,
            etag: row.get(3)?,
            checksum: checksum(row, 4)?,
            attributes: attributes(row, 5)?,
            created_ms: row.get(6)?,
        })
    }
}

pub(super) fn file_name(row: &Row, column: usize) -> rusqlite::Result<FileName> {
    let text: String = row.get(column)?;
    FileName::parse(&text).ok_or_else(|| damaged(column, "not the name of a part file".into()))
}

pub(super) fn size(row: &Row, column: usize) -> rusqlite::Result<u64> {
    let size: i64 = row.get(column)?;
    u64::try_from(size).map_err(|error| damaged(column, error.into()))
}

fn checksum(row: &Row, column: usize) -> rusqlite::Result<Option<Checksum>> {
    let text: Option<String> = row.get(column)?;
    let parse = |text: String| {
        Checksum::parse(&text).ok_or_else(|| damaged(column, "not a checksum".into()))
    };
    text.map(parse).transpose()
}

fn checksum_kind(row: &Row) -> rusqlite::Result<Option<(Algorithm, Coverage)>> {
    let names: (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
    let (Some(algorithm), Some(coverage)) = names else {
        return Ok(None);
    };
    let algorithm = Algorithm::parse(&algorithm).map_err(|error| damaged(2, Box::new(error)))?;
    let coverage = algorithm
        .coverage(Some(&coverage.into()))
        .map_err(|error| damaged(3, Box::new(error)))?;
    Ok(Some((algorithm, coverage)))
}

fn attributes(row: &Row, column: usize) -> rusqlite::Result<Attributes> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| damaged(column, error.into()))
}

fn damaged(column: usize, reason: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, reason)
}
