//! The types of rows.

use std::collections::BTreeMap;

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use upload_types::Sha256;

use crate::part_files::FileName;

/// An open multipart upload.
#[derive(Debug, Clone)]
pub struct Upload {
    pub id: String,
    pub key: String,
    /// True if it was created with SHA-256 checksums: each part must be sent with its own.
    pub requires_sha256: bool,
    pub attributes: Attributes,
    /// Milliseconds since 1970, as in the other rows.
    pub created_ms: i64,
}

/// A part of an open upload or of an object.
#[derive(Debug, Clone)]
pub struct Part {
    pub number: i32,
    pub file: FileName,
    pub size: u64,
    pub sha256: Sha256,
    pub created_ms: i64,
}

#[derive(Debug, Clone)]
pub struct Object {
    pub key: String,
    /// The upload id of its parts.
    pub upload_id: String,
    pub size: u64,
    pub etag: String,
    /// Base64 of a SHA-256; with `-N` if it is the composite of N parts.
    pub checksum: Option<String>,
    pub attributes: Attributes,
    pub created_ms: i64,
}

/// The headers that S3 keeps with an object and returns unchanged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attributes {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    /// The user's metadata, without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
}

impl Upload {
    pub(super) const COLUMNS: &str = "id, key, requires_sha256, attributes, created_ms";

    pub(super) fn from_row(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            key: row.get(1)?,
            requires_sha256: row.get(2)?,
            attributes: attributes(row, 3)?,
            created_ms: row.get(4)?,
        })
    }
}

impl Part {
    pub(super) const COLUMNS: &str = "number, file, size, sha256, created_ms";

    pub(super) fn from_row(row: &Row) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            file: file_name(row, 1)?,
            size: size(row, 2)?,
            sha256: Sha256::new(row.get(3)?),
            created_ms: row.get(4)?,
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
            checksum: row.get(4)?,
            attributes: attributes(row, 5)?,
            created_ms: row.get(6)?,
        })
    }
}

pub(super) fn file_name(row: &Row, column: usize) -> rusqlite::Result<FileName> {
    let text: String = row.get(column)?;
    FileName::parse(&text).ok_or_else(|| damaged(column, "not the name of a part file".into()))
}

fn size(row: &Row, column: usize) -> rusqlite::Result<u64> {
    let size: i64 = row.get(column)?;
    u64::try_from(size).map_err(|error| damaged(column, error.into()))
}

fn attributes(row: &Row, column: usize) -> rusqlite::Result<Attributes> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| damaged(column, error.into()))
}

fn damaged(column: usize, reason: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, reason)
}
