//! Tasks and their results. A task makes calls, or reads the source; it touches neither the journal
//! nor the events.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{
    BatchBegin, BatchComplete, BeginResponse, Receipt, SignedPart, StoredPart, UploadStatus,
};
use upload_types::{PartNumber, Sha256, UploadId};

use super::source_watch::Observed;
use crate::backend::{Completion, PutOutcome};
use crate::source::{Digests, MovedFiles};

/// A task that has not started.
pub type BoxTask<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The result of a task, with the row of its upload in the journal.
#[derive(Debug)]
pub enum TaskResult {
    Upload(i64, UploadResult),
    /// The results of one call about several uploads.
    Batch(Vec<(i64, UploadResult)>),
    /// The status of an upload that waits for the backend's hooks.
    Status(i64, Result<Box<UploadStatus>>),
    /// Whether the objects of finished uploads are there, with the number of the call. `None` from
    /// a backend that does not have this call.
    Present(u64, Result<Option<Vec<bool>>>),
    /// For each item, where its source was moved to.
    Searched(MovedFiles, Vec<(usize, Option<PathBuf>)>),
}

/// A call that can go alone or together with others.
#[derive(Debug)]
pub enum BatchCall {
    Begin(BatchBegin),
    Complete(BatchComplete),
    Status(UploadId),
}

/// The result of a task about an upload.
#[derive(Debug)]
pub enum UploadResult {
    /// Whether the parts that were hashed again still have their digests.
    Rehashed(Result<bool>),
    /// The version of the source while its parts are sent, and whether a process may write to it.
    VersionChecked(Result<Observed>),
    /// Whether the parts so far still have their digests.
    CheckedEarly(Result<bool>),
    /// The status of an upload that was completed before.
    Confirmed(Result<Box<UploadStatus>>),
    Aborted(Result<AbortOutcome>),
    /// With the time of the request: the lifetime of signatures in the response counts from it.
    Begun(Instant, Result<BeginResponse>),
    Rejoined(Result<Rejoined>),
    /// The receipt, and the digests of the parts that had to be hashed to check it.
    HashedForReceipt(Box<Receipt>, Result<Vec<(PartNumber, Sha256)>>),
    /// The digests of the whole source; `None` if it is not the one that was sent. With the receipt
    /// of an upload that is verified.
    WholeHashed(Option<Box<Receipt>>, Result<Option<WholeFile>>),
    /// The digests of the source, to compare it with the object at its key.
    Compared(Result<SourceDigests>),
    /// The epoch of the renewed lease.
    LeaseRenewed(Result<u64>),
    Completed(Result<Completion>),
    /// The result of a part, with the generation of the part queue.
    Part(u32, PartResult),
}

/// The digests of a source that was read once from its start to its end.
#[derive(Debug)]
pub struct WholeFile {
    pub sha256: Sha256,
    pub parts: Vec<(PartNumber, Sha256)>,
}

/// The digests of a source that is compared with an object.
#[derive(Debug)]
pub struct SourceDigests {
    /// The digest of each part of the object, in order.
    pub parts: Vec<Sha256>,
    /// Of the whole source, if it was read from its start to its end for it.
    pub whole: Option<Sha256>,
}

/// The result of a task about parts.
#[derive(Debug)]
pub enum PartResult {
    Hashed(PartNumber, Result<Digests>),
    Signed(Vec<PartNumber>, Instant, Result<Vec<SignedPart>>),
    Put(PartNumber, Result<PutOutcome>),
}

/// The report of the backend about an upload that is continued.
#[derive(Debug)]
pub enum Rejoined {
    /// It accepts parts; this process holds the lease.
    Running { epoch: u64, stored: Vec<StoredPart> },
    /// It is verified.
    Verified(Box<Receipt>),
}

/// The outcome of an abort.
#[derive(Debug)]
pub enum AbortOutcome {
    /// The store has no part of it.
    Aborted,
    /// It was completed before; the object stays.
    Completed(Box<Receipt>),
    /// It is being completed: ask again after this time.
    Pending(Duration),
}

/// The error of a task that panicked or was aborted by the runtime.
pub fn task_failed(error: tokio::task::JoinError) -> Error {
    Error::new(Kind::Other, "a task stopped early").with_source(error)
}
