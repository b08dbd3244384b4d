//! What a complete is asked with: by a plan's client, or from what the store itself lists.
//!
//! Border: pure, but for what it takes from the ledger's rows.

use crate::ledger::{LedgerPart, Upload, UploadKind};
use crate::rules;
use upload_types::names::{Checksum, ETag, Sha256};
use upload_types::wire::{CompletePart, CompleteRequest, StoredPart};

#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// Every part with its SHA-256.
    Planned(CompleteRequest),
    /// Parts as the store has them, of which it alone knows what they are.
    Listed { epoch: u64, parts: Vec<StoredPart> },
}

impl Asked {
    /// What the client of an upload has asked for, or would ask for, if the ledger knows all of it; `whole` is the ETag of parts
    /// that it does not know.
    pub fn of_rows(upload: &Upload, rows: Vec<LedgerPart>, whole: Option<&ETag>) -> Option<Self> {
        let epoch = upload.lease.epoch;
        if upload.kind != UploadKind::Declared {
            let part = |row: LedgerPart| {
                Some(StoredPart {
                    number: row.number,
                    size: row.size,
                    etag: row.etag?,
                    sha256: None,
                })
            };
            let parts = rows.into_iter().map(part).collect::<Option<Vec<_>>>()?;
            return (!parts.is_empty()).then_some(Self::Listed { epoch, parts });
        }
        let part = |row: LedgerPart| {
            let etag = row.etag.or_else(|| whole.cloned())?;
            Some(CompletePart {
                number: row.number,
                etag,
                sha256: row.sha256?,
            })
        };
        let parts: Vec<CompletePart> = rows.into_iter().map(part).collect::<Option<_>>()?;
        let checksum = rules::checksum(&upload.plan, parts.iter().map(|part| &part.sha256))?;
        Some(Self::Planned(CompleteRequest {
            epoch,
            parts,
            checksum,
        }))
    }

    pub fn epoch(&self) -> u64 {
        match self {
            Self::Planned(request) => request.epoch,
            Self::Listed { epoch, .. } => *epoch,
        }
    }

    /// What the object's checksum has to be, where that is known.
    pub fn checksum(&self) -> Option<&Checksum> {
        match self {
            Self::Planned(request) => Some(&request.checksum),
            Self::Listed { .. } => None,
        }
    }

    pub fn count(&self) -> u32 {
        let count = match self {
            Self::Planned(request) => request.parts.len(),
            Self::Listed { parts, .. } => parts.len(),
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The one part of a plan of one.
    pub fn single(&self) -> Option<CompletePart> {
        match self {
            Self::Planned(request) => match request.parts.as_slice() {
                [part] => Some(part.clone()),
                _ => None,
            },
            Self::Listed { .. } => None,
        }
    }

    /// Of the first part.
    pub fn first(&self) -> Option<Sha256> {
        match self {
            Self::Planned(request) => request.parts.first().map(|part| part.sha256),
            Self::Listed { .. } => None,
        }
    }
}
