//! The JSON document about an upload, for hooks: the standard input of a program, the body of the
//! request to a webhook.
//!
//! Version 1. New fields may be added; fields must not be removed or change their type.

use std::collections::BTreeMap;

use serde::Serialize;

use super::hook::Hook;
use upload_types::wire::{ReadUrl, Receipt};
use upload_types::{Checksum, ETag, Key, SignedUrl, UploadId};

const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub struct Document<'a> {
    v: u32,
    /// The name of the hook.
    hook: &'a str,
    upload: UploadDescription<'a>,
    /// Permits reading the object without other credentials.
    read_url: &'a SignedUrl,
    /// Seconds until `read_url` expires.
    expires_in: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct UploadDescription<'a> {
    pub id: &'a UploadId,
    /// The segment of the owner, which is a part of `key`.
    pub owner: &'a str,
    /// The text by which the ledger identifies the owner: `token:NAME`, `jwt:ISSUER CLAIM`,
    /// `jwt-number:ISSUER CLAIM` if the claim is a number, or `local`. `None` if the configuration
    /// hides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_subject: Option<&'a str>,
    pub key: &'a Key,
    pub name: &'a str,
    pub size: u64,
    pub content_type: &'a str,
    pub metadata: &'a BTreeMap<String, String>,
    pub etag: Option<&'a ETag>,
    pub checksum: Option<&'a Checksum>,
    pub receipt: Option<&'a Receipt>,
}

impl<'a> Document<'a> {
    #[must_use]
    pub fn new(hook: &'a Hook, upload: UploadDescription<'a>, read: &'a ReadUrl) -> Self {
        Self {
            v: VERSION,
            hook: &hook.name,
            upload,
            read_url: &read.url,
            expires_in: read.expires_in,
        }
    }

    /// The id of the delivery: the same in each run of this hook for this upload.
    #[must_use]
    pub fn delivery_id(&self) -> String {
        format!("{}.{}", self.upload.id, self.hook)
    }
}
