//! The row of a new upload, from the request to begin it.
//!
//! Not here: checks of the request (`validation`), and the insertion of the row (`begin`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::auth::Owner;
use crate::lease::Renewed;
use crate::ledger::{ChosenKey, NewUpload, UploadKind, UploadSpec};
use crate::problem::Refusal;
use crate::validation;
use upload_types::metadata::{MAX_METADATA_BYTES, MTIME_KEY, metadata_bytes, mtime_text};
use upload_types::plan::Plan;
use upload_types::wire::{Attributes, BeginRequest, Code, IfExists, PartSpec};
use upload_types::{Key, Sha256, UploadId};

/// The metadata `upload-token`, key and value.
const TOKEN_BYTES: usize = 12 + 32;

/// The way in which the bytes of a new upload arrive.
#[derive(Clone)]
pub struct Arrival {
    pub kind: UploadKind,
    pub plan: Plan,
    /// Parts that are signed with the begin.
    pub pinned: Vec<PartSpec>,
    /// The key, if the client has chosen it.
    pub chosen: Option<(Key, ChosenKey)>,
}

impl NewUpload {
    /// # Errors
    /// `invalid_request` for a content type that is not a media type. Otherwise none in practice:
    /// `unavailable` if an id, a key or JSON cannot be made.
    pub(super) fn from_request(
        owner: &Owner,
        idempotency_key: &str,
        request: BeginRequest,
        arrival: Arrival,
        (now, renewed): (Timestamp, Renewed),
    ) -> Result<Self, Refusal> {
        let id = upload_types::new_id();
        let request_sha256 = request_sha256(&request)?;
        let modified = request.modified;
        let (key, chosen) = match arrival.chosen {
            Some((key, chosen)) => (key, Some(chosen)),
            None => (object_key(&owner.0, &id, &request.name)?, None),
        };
        let spec = UploadSpec {
            key,
            chosen,
            id: id
                .parse::<UploadId>()
                .map_err(|error| internal_error(&error))?,
            owner: owner.0.clone(),
            idempotency_key: idempotency_key.to_owned(),
            request_sha256,
            name: request.name,
            content_type: validation::media_type(&request.content_type)?.to_string(),
            metadata: with_mtime(request.metadata, modified),
            attributes: request.attributes,
            kind: arrival.kind,
            plan: arrival.plan,
            token: Uuid::new_v4().simple().to_string(),
            created_at: now,
        };
        Ok(Self {
            spec,
            pinned: arrival.pinned,
            holder: request.holder,
            renewed,
        })
    }
}

/// Adds `mtime`, unless the metadata has that key or becomes too large.
fn with_mtime(
    mut metadata: BTreeMap<String, String>,
    modified: Option<Timestamp>,
) -> BTreeMap<String, String> {
    let Some(modified) = modified.filter(|_| !metadata.contains_key(MTIME_KEY)) else {
        return metadata;
    };
    let value = mtime_text(modified);
    if metadata_bytes(&metadata) + MTIME_KEY.len() + value.len() + TOKEN_BYTES <= MAX_METADATA_BYTES
    {
        metadata.insert(MTIME_KEY.to_owned(), value);
    }
    metadata
}

/// Metadata without the time at which the source was modified: it is not a property of the content.
pub fn without_mtime(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut metadata = metadata.clone();
    metadata.remove(MTIME_KEY);
    metadata
}

/// The key that the gateway makes for an upload.
pub(super) fn object_key(owner: &str, id: &str, name: &str) -> Result<Key, Refusal> {
    let key = match validation::key_extension(name) {
        Some(extension) => format!("uploads/{owner}/{id}.{extension}"),
        None => format!("uploads/{owner}/{id}"),
    };
    key.parse().map_err(|error| internal_error(&error))
}

/// The SHA-256 of the fields that must be the same in a repeated request.
fn request_sha256(request: &BeginRequest) -> Result<Sha256, Refusal> {
    #[derive(Serialize)]
    struct Fields<'a> {
        name: &'a str,
        size: Option<u64>,
        expected_size: Option<u64>,
        content_type: &'a str,
        part_size: Option<u64>,
        metadata: &'a BTreeMap<String, String>,
        attributes: &'a Attributes,
        key: Option<&'a str>,
        if_exists: Option<IfExists>,
    }
    let fields = Fields {
        name: &request.name,
        size: request.size,
        expected_size: request.expected_size,
        content_type: &request.content_type,
        part_size: request.part_size,
        metadata: &request.metadata,
        attributes: &request.attributes,
        key: request.key.as_deref(),
        if_exists: request.if_exists,
    };
    serde_json::to_vec(&fields)
        .map(|json| Sha256::of(&json))
        .map_err(|error| internal_error(&error))
}

/// Logs an error that no request can cause, and returns the refusal.
pub fn internal_error(error: &dyn std::error::Error) -> Refusal {
    tracing::error!(%error, "could not create the row of an upload");
    Refusal::new(Code::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mtime_of_the_user_is_kept_and_an_excess_is_left_out() {
        let metadata = |key: &str, value: String| BTreeMap::from([(key.to_owned(), value)]);
        let time = Some(Timestamp::UNIX_EPOCH);
        let users = metadata("mtime", "mine".into());
        assert_eq!(with_mtime(users.clone(), time), users);
        assert_eq!(with_mtime(BTreeMap::new(), None), BTreeMap::new());
        assert_eq!(with_mtime(BTreeMap::new(), time)["mtime"], "0");
        let large = metadata("k", "v".repeat(MAX_METADATA_BYTES - TOKEN_BYTES - 6));
        assert_eq!(with_mtime(large.clone(), time), large);
    }
}
