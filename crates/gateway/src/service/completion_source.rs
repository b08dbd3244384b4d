//! The parts with which an upload is completed: declared by its client, or listed by the store.

use crate::ledger::{LedgerPart, Upload};
use crate::limits::Quota;
use crate::validation;
use upload_types::saturating;
use upload_types::wire::{CompletePart, CompleteRequest, StoredPart};
use upload_types::{Checksum, ETag, Sha256};

#[derive(Debug, Clone)]
pub enum CompletionSource {
    /// Every part with its SHA-256, from a client with a plan.
    Declared(CompleteRequest),
    /// The parts of an upload from a browser, with the sizes and ETags that the store lists.
    Listed {
        epoch: u64,
        parts: Vec<StoredPart>,
        /// Checked before the upload is completing.
        quota: Quota,
    },
}

impl CompletionSource {
    /// The source from the rows of the parts. Returns `None` if they are incomplete. `object_etag`
    /// is used for parts with unknown ETag.
    pub fn from_rows(
        upload: &Upload,
        rows: Vec<LedgerPart>,
        object_etag: Option<&ETag>,
    ) -> Option<Self> {
        let epoch = upload.lease.epoch;
        if !upload.kind.declares_parts() {
            let part = |row: LedgerPart| {
                Some(StoredPart {
                    number: row.number,
                    size: row.size,
                    etag: row.etag?,
                    sha256: None,
                })
            };
            let parts = rows.into_iter().map(part).collect::<Option<Vec<_>>>()?;
            // The quota was checked before the parts were recorded.
            let quota = Quota::default();
            return (!parts.is_empty()).then_some(Self::Listed {
                epoch,
                parts,
                quota,
            });
        }
        // A part without a row is not pinned.
        if u32::try_from(rows.len()) != Ok(upload.plan.count()) {
            return None;
        }
        let part = |row: LedgerPart| {
            Some(CompletePart {
                number: row.number,
                etag: row.etag.or_else(|| object_etag.cloned())?,
                sha256: row.sha256?,
            })
        };
        let parts = rows.into_iter().map(part).collect::<Option<Vec<_>>>()?;
        let part_sha256 = parts.iter().map(|part| &part.sha256);
        let checksum = validation::object_checksum(upload.is_single(), part_sha256)?;
        Some(Self::Declared(CompleteRequest {
            epoch,
            parts,
            checksum,
        }))
    }

    pub fn epoch(&self) -> u64 {
        match self {
            Self::Declared(request) => request.epoch,
            Self::Listed { epoch, .. } => *epoch,
        }
    }

    /// The checksum that the object must have, if it is known.
    pub fn checksum(&self) -> Option<&Checksum> {
        match self {
            Self::Declared(request) => Some(&request.checksum),
            Self::Listed { .. } => None,
        }
    }

    pub fn part_count(&self) -> u32 {
        let count = match self {
            Self::Declared(request) => request.parts.len(),
            Self::Listed { parts, .. } => parts.len(),
        };
        saturating::to_u32(count)
    }

    /// The declared part, if there is exactly one.
    pub fn only_part(&self) -> Option<&CompletePart> {
        match self {
            Self::Declared(request) => match request.parts.as_slice() {
                [part] => Some(part),
                _ => None,
            },
            Self::Listed { .. } => None,
        }
    }

    /// The SHA-256 of the only part, which is that of the whole object.
    pub fn object_sha256(&self) -> Option<Sha256> {
        self.only_part().map(|part| part.sha256)
    }
}
