//! The row of a new upload, from the request to begin it.
//!
//! Not here: checks of the request (`validation`), and the insertion of the row (`begin`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::auth::Owner;
use crate::lease::Renewed;
use crate::ledger::{NewUpload, UploadKind, UploadSpec};
use crate::problem::Refusal;
use crate::validation;
use upload_types::plan::Plan;
use upload_types::wire::{BeginRequest, Code, PartSpec};
use upload_types::{Key, Sha256, UploadId};

/// The way in which the bytes of a new upload arrive.
pub struct Arrival {
    pub kind: UploadKind,
    pub plan: Plan,
    /// Parts that are signed with the begin.
    pub pinned: Vec<PartSpec>,
}

impl NewUpload {
    /// # Errors
    /// None in practice: `unavailable` if an id, a key or JSON cannot be made.
    pub(super) fn from_request(
        owner: &Owner,
        idempotency_key: &str,
        request: BeginRequest,
        arrival: Arrival,
        renewed: Renewed,
    ) -> Result<Self, Refusal> {
        let id = upload_types::new_id();
        let spec = UploadSpec {
            key: object_key(owner, &id, &request.name)?,
            id: id
                .parse::<UploadId>()
                .map_err(|error| internal_error(&error))?,
            owner: owner.0.clone(),
            idempotency_key: idempotency_key.to_owned(),
            request_sha256: request_sha256(&request)?,
            name: request.name,
            content_type: request.content_type,
            metadata: request.metadata,
            kind: arrival.kind,
            plan: arrival.plan,
            token: Uuid::new_v4().simple().to_string(),
            created_at: Timestamp::now(),
        };
        Ok(Self {
            spec,
            pinned: arrival.pinned,
            holder: request.holder,
            renewed,
        })
    }
}

fn object_key(owner: &Owner, id: &str, name: &str) -> Result<Key, Refusal> {
    let owner = &owner.0;
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
        content_type: &'a str,
        part_size: Option<u64>,
        metadata: &'a BTreeMap<String, String>,
    }
    let fields = Fields {
        name: &request.name,
        size: request.size,
        content_type: &request.content_type,
        part_size: request.part_size,
        metadata: &request.metadata,
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
