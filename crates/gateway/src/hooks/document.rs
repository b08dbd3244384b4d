//! What a hook is told of an upload: the JSON on a program's standard input, and in a webhook's body.
//!
//! Border: shape alone. Version 1: fields are added, never removed or retyped.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Hook;
use crate::ledger::Upload;
use upload_types::names::{Checksum, ETag, Key, SignedUrl, UploadId};
use upload_types::wire::{ReadUrl, Receipt};

/// `v` of the document.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub struct Document<'a> {
    v: u32,
    /// The hook's own name.
    hook: &'a str,
    upload: About<'a>,
    /// By which the object can be read, without any other credential.
    read_url: &'a SignedUrl,
    /// Seconds that it lives.
    expires_in: Option<u64>,
}

#[derive(Debug, Serialize)]
struct About<'a> {
    id: &'a UploadId,
    owner: &'a str,
    key: &'a Key,
    name: &'a str,
    size: u64,
    content_type: &'a str,
    metadata: &'a BTreeMap<String, String>,
    etag: Option<&'a ETag>,
    checksum: Option<&'a Checksum>,
    receipt: Option<&'a Receipt>,
}

impl<'a> Document<'a> {
    #[must_use]
    pub fn new(hook: &'a Hook, upload: &'a Upload, read: &'a ReadUrl) -> Self {
        let receipt = upload.receipt.as_ref();
        Self {
            v: VERSION,
            hook: &hook.name,
            upload: About {
                id: &upload.id,
                owner: &upload.owner,
                key: &upload.key,
                name: &upload.name,
                size: upload.plan.size(),
                content_type: &upload.content_type,
                metadata: &upload.metadata,
                etag: receipt.map(|receipt| &receipt.etag),
                checksum: receipt.and_then(|receipt| receipt.checksum.as_ref()),
                receipt,
            },
            read_url: &read.url,
            expires_in: read.expires_in,
        }
    }

    /// The same each time this hook is asked about this upload.
    #[must_use]
    pub fn delivery(&self) -> String {
        format!("{}.{}", self.upload.id, self.hook)
    }
}
