//! The units of work that the loop spawns, and what each comes to.
//!
//! Border: one unit is one call or one pass over bytes; it returns a value and touches neither journal nor screen.

use std::time::Instant;

use crate::backend::{Backend, Completion, Stored};
use crate::error::{Error, Kind, Result};
use crate::journal::Upload;
use crate::names::{PartNumber, UploadId};
use crate::source::Hashed;
use crate::wire::{BeginAnswer, BeginRequest, ClaimRequest, Receipt, Signed, State, StoredPart};

/// What a unit came to.
#[derive(Debug)]
pub enum Unit {
    Rechecked(Result<bool>),
    Confirmed(Result<State>),
    Dropped(Result<()>),
    Begun(Result<BeginAnswer>),
    Rejoined(Result<Rejoined>),
    Renewed(Result<u64>),
    Completed(Result<Completion>),
    /// Of a part, in which leg of its upload.
    Part(u32, PartUnit),
}

/// What a unit about parts came to.
#[derive(Debug)]
pub enum PartUnit {
    Hashed(PartNumber, Result<Hashed>),
    Signed(Vec<PartNumber>, Instant, Result<Vec<Signed>>),
    Put(PartNumber, Result<Stored>),
}

/// How an upload was found when it was gone on with.
#[derive(Debug)]
pub enum Rejoined {
    /// Ours to drive.
    Running { epoch: u64, stored: Vec<StoredPart> },
    /// Verified already: only the answer was lost.
    Verified(Box<Receipt>),
}

/// What begins an upload of the journal; with its idempotency key, as often as need be.
#[must_use]
pub fn begin_request(upload: &Upload) -> BeginRequest {
    let intent = upload.intent.clone();
    BeginRequest {
        name: intent.name,
        size: Some(intent.identity.size),
        content_type: intent.content_type,
        part_size: Some(intent.part_size),
        metadata: intent.metadata,
        holder: Some(upload.holder.clone()),
        parts: None,
    }
}

/// Asks for the state of an upload, claims it, and lists what the store holds.
pub async fn rejoin(backend: &Backend, id: &UploadId, holder: String) -> Result<Rejoined> {
    let status = backend.status(id).await?;
    match status.state {
        // Where completing was asked for already, the backend lists what it was told then.
        State::Pending | State::Uploading | State::Completing => {
            let epoch = backend.claim(id, &ClaimRequest { holder, epoch: None }).await?;
            let stored = backend.parts(id).await?;
            Ok(Rejoined::Running { epoch, stored })
        }
        State::Verified | State::Ready => match status.receipt {
            Some(receipt) => Ok(Rejoined::Verified(Box::new(receipt))),
            None => Err(Error::new(Kind::Temporary, "the backend has verified the upload and gives no receipt yet")),
        },
        State::Rejected | State::Aborting | State::Aborted | State::Expired => {
            Err(Error::new(Kind::Gone, format!("the backend says the upload is {}", status.state.name())))
        }
    }
}
