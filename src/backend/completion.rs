//! Results of requests to complete.

use std::time::Duration;

use upload_types::error::Result;
use upload_types::wire::{BeginResponse, Receipt};

/// The result of a request to complete an upload.
#[derive(Debug, Clone)]
pub enum Completion {
    Verified(Box<Receipt>),
    /// The backend has not decided yet. The request must be repeated after this delay.
    Pending(Duration),
}

/// The results of a batch: of the requests to begin, and of those to complete, in their order.
pub type BatchResults = (Vec<Result<BeginResponse>>, Vec<Result<Completion>>);
