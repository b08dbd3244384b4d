//! Tasks that consist of one or several calls to the backend.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use upload_types::error::{Error, Kind, Result};
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
            size: intent.stream.is_none().then_some(intent.version.size),
            expected_size: intent.stream.and_then(|stream| stream.expected_size),
            content_type: intent.content_type,
            part_size: Some(intent.part_size),
            metadata: intent.metadata,
            attributes: intent.attributes,
            modified: Timestamp::from_nanosecond(intent.version.mtime_ns.into())
                .ok()
                .filter(|_| intent.stream.is_none()),
            key: intent.key,
            if_exists: intent.if_exists,
            holder: Some(upload.holder.clone()),
            parts,
            copies: Vec::new(),
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
        BatchCall::Status(id) => UploadResult::Confirmed(backend.status(&id).await.map(Box::new)),
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
    let mut rows = Vec::with_capacity(calls.len());
    for (row, call) in calls {
        rows.push((row, BatchKind::of(&call)));
        match call {
            BatchCall::Begin(begin) => request.begin.push(begin),
            BatchCall::Complete(complete) => request.complete.push(complete),
            BatchCall::Status(id) => request.status.push(id),
        }
    }
    let results = match backend.batch(&request).await {
        Ok(results) => results,
        Err(error) => {
            let failed = |(row, kind): (i64, BatchKind)| (row, kind.failed(requested, &error));
            return rows.into_iter().map(failed).collect();
        }
    };
    let mut begun = results.begun.into_iter();
    let mut completed = results.completed.into_iter();
    let mut statuses = results.statuses.into_iter();
    let results = rows.into_iter().filter_map(|(row, kind)| {
        let result = match kind {
            BatchKind::Begin => UploadResult::Begun(requested, begun.next()?),
            BatchKind::Complete => UploadResult::Completed(completed.next()?),
            BatchKind::Status => UploadResult::Confirmed(statuses.next()?.map(Box::new)),
        };
        Some((row, result))
    });
    results.collect()
}

#[derive(Debug, Clone, Copy)]
enum BatchKind {
    Begin,
    Complete,
    Status,
}

impl BatchKind {
    fn of(call: &BatchCall) -> Self {
        match call {
            BatchCall::Begin(_) => Self::Begin,
            BatchCall::Complete(_) => Self::Complete,
            BatchCall::Status(_) => Self::Status,
        }
    }

    /// The result of a call whose batch has failed.
    fn failed(self, requested: Instant, error: &Error) -> UploadResult {
        let error = error.duplicate();
        match self {
            Self::Begin => UploadResult::Begun(requested, Err(error)),
            Self::Complete => UploadResult::Completed(Err(error)),
            Self::Status => UploadResult::Confirmed(Err(error)),
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
            match backend.parts(id, planned).await {
                Ok(stored) => Ok(Rejoined::Running { epoch, stored }),
                // It may have become complete since its state was read. Its parts are not listed
                // then.
                Err(error) if error.kind() == Kind::Other => {
                    match resume::continuation(backend.status(id).await?) {
                        Continuation::Verified(receipt) => Ok(Rejoined::Verified(receipt)),
                        Continuation::Ended(ended) => Err(ended),
                        Continuation::Parts => Err(error),
                    }
                }
                Err(error) => Err(error),
            }
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
