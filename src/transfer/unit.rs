//! The units of work that the loop spawns, and what each comes to.
//!
//! Border: one unit is one call or one pass over bytes; it returns a value and touches neither journal nor screen.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use super::waits;
use crate::backend::{Backend, Completion, PutOutcome};
use crate::journal::Upload;
use crate::source::Digests;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{Checksum, PartNumber, Sha256, UploadId};
use upload_types::wire::{
    BatchBegin, BatchComplete, BatchRequest, BeginRequest, BeginResponse, ClaimRequest,
    CompletePart, CompleteRequest, PartSpec, Receipt, SignedPart, StoredPart, UploadState,
    UploadStatus,
};

/// A unit that is not started yet.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What comes back, and of which rows of the journal.
#[derive(Debug)]
pub enum Landed {
    One(i64, Unit),
    /// Of a call about several uploads.
    Post(Vec<(i64, Unit)>),
    /// The state of an upload that waits.
    Waited(i64, Result<Box<UploadStatus>>),
}

/// What is asked about one upload, alone or together with others.
#[derive(Debug)]
pub enum Ask {
    Begin(BatchBegin),
    Complete(BatchComplete),
}

/// What a unit came to.
#[derive(Debug)]
pub enum Unit {
    Rechecked(Result<bool>),
    Confirmed(Result<Box<UploadStatus>>),
    Dropped(Result<Dropped>),
    /// With the moment it was asked for: signatures in the answer live from then on.
    Begun(Instant, Result<BeginResponse>),
    Rejoined(Result<Rejoined>),
    /// Parts fingerprinted to be held against the receipt.
    Compared(Box<Receipt>, Result<Vec<(PartNumber, Sha256)>>),
    Renewed(Result<u64>),
    Completed(Result<Completion>),
    /// Of a part, in which leg of its upload.
    Part(u32, PartUnit),
}

/// What a unit about parts came to.
#[derive(Debug)]
pub enum PartUnit {
    Hashed(PartNumber, Result<Digests>),
    Signed(Vec<PartNumber>, Instant, Result<Vec<SignedPart>>),
    Put(PartNumber, Result<PutOutcome>),
}

/// How an upload was found when it was gone on with.
#[derive(Debug)]
pub enum Rejoined {
    /// Ours to drive.
    Running { epoch: u64, stored: Vec<StoredPart> },
    /// Verified already: only the answer was lost.
    Verified(Box<Receipt>),
}

/// What begins an upload of the journal; with its idempotency key, as often as need be. `parts` are to be signed at once.
#[must_use]
pub fn begin(upload: &Upload, parts: Option<Vec<PartSpec>>) -> BatchBegin {
    let intent = upload.intent.clone();
    let request = BeginRequest {
        name: intent.name,
        size: Some(intent.version.size),
        content_type: intent.content_type,
        part_size: Some(intent.part_size),
        metadata: intent.metadata,
        holder: Some(upload.holder.clone()),
        parts,
    };
    BatchBegin {
        idempotency_key: upload.idempotency_key.clone(),
        request,
    }
}

/// Reminds a backend that keeps nothing of an upload of the journal.
pub fn restore_state(backend: &Backend, upload: &Upload) {
    if let Some((id, memo)) = upload.id.as_ref().zip(upload.backend_state.as_ref()) {
        backend.restore_state(id, memo, upload.receipt.as_ref());
    }
}

/// What became of an upload that was to be aborted.
#[derive(Debug)]
pub enum Dropped {
    /// The store has none of it.
    Away,
    /// It was completed before: it is an object of its own.
    Finished(Box<Receipt>),
    /// To be asked again after this long.
    Deciding(Duration),
}

/// When to ask again about what somebody else decides.
const DECIDING: Duration = Duration::from_secs(2);

/// Asks about one upload.
pub async fn ask(backend: &Backend, ask: Ask) -> Unit {
    match ask {
        Ask::Begin(begin) => Unit::Begun(Instant::now(), backend.begin(&begin).await),
        Ask::Complete(complete) => Unit::Completed(backend.complete(&complete).await),
    }
}

/// Asks about several uploads in one call.
pub async fn post(backend: &Backend, mut asks: Vec<(i64, Ask)>) -> Vec<(i64, Unit)> {
    if asks.len() <= 1 {
        let Some((row, only)) = asks.pop() else {
            return Vec::new();
        };
        return vec![(row, ask(backend, only).await)];
    }
    let (at, mut request) = (Instant::now(), BatchRequest::default());
    let whose: Vec<(i64, bool)> = asks
        .iter()
        .map(|(row, ask)| (*row, matches!(ask, Ask::Begin(_))))
        .collect();
    for (_, ask) in asks {
        match ask {
            Ask::Begin(begin) => request.begin.push(begin),
            Ask::Complete(complete) => request.complete.push(complete),
        }
    }
    match backend.batch(&request).await {
        Ok((begun, completed)) => {
            let (mut begun, mut completed) = (begun.into_iter(), completed.into_iter());
            let unit = |(row, begins)| {
                let unit = if begins {
                    Unit::Begun(at, begun.next()?)
                } else {
                    Unit::Completed(completed.next()?)
                };
                Some((row, unit))
            };
            whose.into_iter().filter_map(unit).collect()
        }
        Err(error) => {
            let unit = |begins| {
                let error = error.duplicate();
                if begins {
                    Unit::Begun(at, Err(error))
                } else {
                    Unit::Completed(Err(error))
                }
            };
            whose
                .into_iter()
                .map(|(row, begins)| (row, unit(begins)))
                .collect()
        }
    }
}

/// Asks for the state of an upload, claims it, and lists what the store holds.
pub async fn rejoin(backend: &Backend, id: &UploadId, holder: String) -> Result<Rejoined> {
    let status = backend.status(id).await?;
    match status.state {
        // Where completing was asked for already, the backend lists what it was told then.
        UploadState::Pending | UploadState::Uploading | UploadState::Completing => {
            let epoch = backend
                .claim(
                    id,
                    &ClaimRequest {
                        holder,
                        epoch: None,
                    },
                )
                .await?;
            let stored = backend.parts(id).await?;
            Ok(Rejoined::Running { epoch, stored })
        }
        UploadState::Verified | UploadState::Ready => match status.receipt {
            Some(receipt) => Ok(Rejoined::Verified(Box::new(receipt))),
            None => Err(Error::new(
                Kind::Temporary,
                "the backend has verified the upload and gives no receipt yet",
            )),
        },
        UploadState::Rejected
        | UploadState::Aborting
        | UploadState::Aborted
        | UploadState::Expired => Err(waits::over(&status)),
    }
}

/// Aborts an upload that is ours, and no other: what this process does not hold yet, it claims first. One that is completing
/// cannot be aborted: it is brought to its end, by its parts where they are known.
pub async fn drop_upload(
    backend: &Backend,
    id: &UploadId,
    holder: String,
    epoch: Option<u64>,
    complete: Option<(Vec<CompletePart>, Checksum)>,
) -> Result<Dropped> {
    let epoch = match epoch {
        Some(epoch) => Some(epoch),
        None => match backend
            .claim(
                id,
                &ClaimRequest {
                    holder,
                    epoch: None,
                },
            )
            .await
        {
            Ok(epoch) => Some(epoch),
            // It is over, and nobody's any more; but who began to abort it may have died over it.
            Err(error) if error.kind() == Kind::Gone => None,
            Err(error) => return Err(error),
        },
    };
    match backend.abort(id, epoch).await {
        Ok(()) => return Ok(Dropped::Away),
        Err(error) if error.kind() == Kind::NotAbortable => {}
        Err(error) => return Err(error),
    }
    let status = backend.status(id).await?;
    let (UploadState::Completing, Some(epoch), Some((parts, checksum))) =
        (status.state, epoch, complete)
    else {
        // Without a receipt it is being decided, or takes parts again by now.
        return Ok(status
            .receipt
            .map_or(Dropped::Deciding(DECIDING), |receipt| {
                Dropped::Finished(Box::new(receipt))
            }));
    };
    let request = BatchComplete {
        id: id.clone(),
        request: CompleteRequest {
            epoch,
            parts,
            checksum,
        },
    };
    match backend.complete(&request).await {
        Ok(Completion::Verified(receipt)) => Ok(Dropped::Finished(receipt)),
        Ok(Completion::Pending(wait)) => Ok(Dropped::Deciding(wait)),
        // It was told of other parts, or lacks some: then the next abort finds it uploading, or its own gateway decides.
        Err(error) if matches!(error.kind(), Kind::PartsMismatch | Kind::SourceChanged) => {
            Ok(Dropped::Deciding(DECIDING))
        }
        Err(error) => Err(error),
    }
}
