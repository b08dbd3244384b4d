//! The properties of a backend: its limits, and its proof of the bytes of a part.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Response to `GET /v1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BackendInfo {
    pub protocol: u32,
    /// Identifies the gateway's ledger. Clients identify a backend by it, not by its URL.
    pub instance_id: String,
    pub limits: Limits,
    /// Globs of the accepted content types.
    pub allow_types: Vec<String>,
    /// Names of the attributes that clients may choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_attributes: Vec<String>,
    pub proof: Proof,
    /// Capabilities of the store, by name, as the probe found them: `yes`, `no`, `refused` or
    /// `untried`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, String>,
    /// Whether hooks check each verified upload before it is ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hooks: bool,
    /// Whether the owner may choose keys that match one of `key_patterns`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_keys: bool,
    /// Globs of the keys that the owner may choose, below the prefix of the gateway. `*` and `?` do
    /// not match `/`; `**` does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_patterns: Vec<String>,
}

/// The limits of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Limits {
    /// Minimum size of a part in bytes, except for the last part.
    pub min_part: u64,
    /// Maximum size of a part in bytes.
    pub max_part: u64,
    /// Maximum number of parts.
    pub max_parts: u32,
    /// Maximum size of an object in bytes.
    pub max_size: u64,
    /// Whether all parts except the last must have the same size.
    pub equal_parts: bool,
}

impl Limits {
    /// The limits of Amazon S3 ("Amazon S3 multipart upload limits" in its user guide), for stores
    /// and backends whose limits are unknown.
    pub const S3: Self = Self {
        min_part: 5 << 20,
        max_part: 5 << 30,
        max_parts: 10_000,
        max_size: 10_000 * (5 << 30),
        equal_parts: false,
    };
}

/// The check that the store enforces on the bytes of each part, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// `x-amz-checksum-sha256` as a signed header.
    Sha256,
    /// The SHA-256 as the payload hash of the signature.
    Payload,
    /// `Content-MD5` as a signed header.
    Md5,
    /// Nothing.
    None,
}

impl Proof {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Payload => "payload",
            Self::Md5 => "md5",
            Self::None => "none",
        }
    }
}
