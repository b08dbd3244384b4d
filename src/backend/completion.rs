//! Results of requests to complete, and of batches.

use std::time::Duration;

use upload_types::error::Result;
use upload_types::wire::{BeginResponse, Receipt, UploadStatus};

/// The result of a request to complete an upload.
#[derive(Debug, Clone)]
pub enum Completion {
    Verified(Box<Receipt>),
    /// The backend has not decided yet. The request must be repeated after this delay.
    Pending(Duration),
}

/// The results of a batch, in the order of the requests of each kind.
#[derive(Debug, Default)]
pub struct BatchResults {
    pub begun: Vec<Result<BeginResponse>>,
    pub completed: Vec<Result<Completion>>,
    pub statuses: Vec<Result<UploadStatus>>,
}
