//! Tasks that consist of one or several calls to the backend.

use std::time::{Duration, Instant};

use upload_types::error::{Kind, Result};
use upload_types::wire::{
    BatchBegin, BatchComplete, BatchRequest, BeginRequest, ClaimRequest, CompletePart,
    CompleteRequest, PartSpec, UploadState,
};
use upload_types::{Checksum, UploadId};

use super::resume::{self, Continuation};
use super::task::{AbortOutcome, BatchCall, Rejoined, UploadResult};
use crate::backend::{Backend, Completion};
use crate::journal::Upload;

/// How long to wait before asking again about an upload that another process or gateway is
/// completing.
const COMPLETION_POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The request that begins an upload of the journal. It can be repeated. The response contains the
/// URLs of `parts`.
#[must_use]
pub fn begin_request(upload: &Upload, parts: Option<Vec<PartSpec>>) -> BatchBegin {
    let intent = upload.intent.clone();
    BatchBegin {
        idempotency_key: upload.idempotency_key.clone(),
        request: BeginRequest {
            name: intent.name,
            size: Some(intent.version.size),
            content_type: intent.content_type,
            part_size: Some(intent.part_size),
            metadata: intent.metadata,
            holder: Some(upload.holder.clone()),
            parts,
        },
    }
}

/// Passes the state of an upload from the journal to a backend that keeps no state.
pub fn restore_state(backend: &Backend, upload: &Upload) {
    if let Some((id, state)) = upload.id.as_ref().zip(upload.backend_state.as_ref()) {
        backend.restore_state(id, state, upload.receipt.as_ref());
    }
}

/// Makes one call.
pub async fn call(backend: &Backend, call: BatchCall) -> UploadResult {
    match call {
        BatchCall::Begin(begin) => UploadResult::Begun(Instant::now(), backend.begin(&begin).await),
        BatchCall::Complete(complete) => UploadResult::Completed(backend.complete(&complete).await),
    }
}

/// Makes several calls in one request. Each result comes with the row of its upload.
pub async fn call_batch(
    backend: &Backend,
    mut calls: Vec<(i64, BatchCall)>,
) -> Vec<(i64, UploadResult)> {
    if calls.len() <= 1 {
        return match calls.pop() {
            Some((row, only)) => vec![(row, call(backend, only).await)],
            None => Vec::new(),
        };
    }
    let requested = Instant::now();
    let mut request = BatchRequest::default();
    let rows: Vec<(i64, bool)> = calls
        .iter()
        .map(|(row, call)| (*row, matches!(call, BatchCall::Begin(_))))
        .collect();
    for (_, call) in calls {
        match call {
            BatchCall::Begin(begin) => request.begin.push(begin),
            BatchCall::Complete(complete) => request.complete.push(complete),
        }
    }
    match backend.batch(&request).await {
        Ok((begun, completed)) => {
            let (mut begun, mut completed) = (begun.into_iter(), completed.into_iter());
            let results = rows.into_iter().filter_map(|(row, is_begin)| {
                let result = if is_begin {
                    UploadResult::Begun(requested, begun.next()?)
                } else {
                    UploadResult::Completed(completed.next()?)
                };
                Some((row, result))
            });
            results.collect()
        }
        Err(error) => {
            let results = rows.into_iter().map(|(row, is_begin)| {
                let error = error.duplicate();
                let result = if is_begin {
                    UploadResult::Begun(requested, Err(error))
                } else {
                    UploadResult::Completed(Err(error))
                };
                (row, result)
            });
            results.collect()
        }
    }
}

/// Asks for the state of an upload. If it still accepts parts, claims the lease and lists the
/// stored parts. `planned` is the number of its parts.
pub async fn rejoin(
    backend: &Backend,
    id: &UploadId,
    holder: String,
    planned: u32,
) -> Result<Rejoined> {
    match resume::continuation(backend.status(id).await?) {
        Continuation::Parts => {
            let claim = ClaimRequest {
                holder,
                epoch: None,
            };
            let epoch = backend.claim(id, &claim).await?;
            let stored = backend.parts(id, planned).await?;
            Ok(Rejoined::Running { epoch, stored })
        }
        Continuation::Verified(receipt) => Ok(Rejoined::Verified(receipt)),
        Continuation::Ended(error) => Err(error),
    }
}

/// Aborts an upload of this journal. Claims the lease first if `epoch` is `None`. An upload that is
/// being completed cannot be aborted: it is completed instead, if `complete` is known.
pub async fn abort_upload(
    backend: &Backend,
    id: &UploadId,
    holder: String,
    epoch: Option<u64>,
    complete: Option<(Vec<CompletePart>, Checksum)>,
) -> Result<AbortOutcome> {
    let claim = ClaimRequest {
        holder,
        epoch: None,
    };
    let epoch = match epoch {
        Some(epoch) => Some(epoch),
        None => match backend.claim(id, &claim).await {
            Ok(epoch) => Some(epoch),
            // The upload has ended. If an earlier abort was interrupted, this one finishes it.
            Err(error) if error.kind() == Kind::Gone => None,
            Err(error) => return Err(error),
        },
    };
    match backend.abort(id, epoch).await {
        Ok(()) => return Ok(AbortOutcome::Aborted),
        Err(error) if error.kind() == Kind::NotAbortable => {}
        Err(error) => return Err(error),
    }
    let status = backend.status(id).await?;
    let later = AbortOutcome::Pending(COMPLETION_POLL_INTERVAL);
    let (UploadState::Completing, Some(epoch), Some((parts, checksum))) =
        (status.state, epoch, complete)
    else {
        // Without a receipt, it is being completed, or accepts parts again.
        let completed = |receipt| AbortOutcome::Completed(Box::new(receipt));
        return Ok(status.receipt.map_or(later, completed));
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
        Ok(Completion::Verified(receipt)) => Ok(AbortOutcome::Completed(receipt)),
        Ok(Completion::Pending(wait)) => Ok(AbortOutcome::Pending(wait)),
        // The request to complete named other parts, or some are missing. Before the next abort,
        // the upload accepts parts again, or has ended.
        Err(error) if matches!(error.kind(), Kind::PartsMismatch | Kind::SourceChanged) => {
            Ok(later)
        }
        Err(error) => Err(error),
    }
}
