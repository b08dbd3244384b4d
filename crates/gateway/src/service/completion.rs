//! The result of a complete, and the wait for it.

use tokio::sync::watch;

use crate::problem::Refusal;
use upload_types::wire::{Receipt, UploadState};

/// The outcome of a complete that was not refused.
#[derive(Debug, Clone)]
pub enum Completion {
    Receipt(Box<Receipt>),
    /// The outcome is unknown; the client must repeat the request.
    Pending(UploadState),
}

pub type CompleteResult = Result<Completion, Refusal>;

/// A completion that runs in this process.
#[derive(Clone)]
pub struct PendingCompletion(watch::Receiver<Option<CompleteResult>>);

/// Publishes the result of a completion to all calls that wait for it.
pub struct CompletionSender(watch::Sender<Option<CompleteResult>>);

impl PendingCompletion {
    pub fn channel() -> (CompletionSender, Self) {
        let (sender, receiver) = watch::channel(None);
        (CompletionSender(sender), Self(receiver))
    }

    /// Waits for the result. Returns `None` if the task of the completion has panicked.
    pub async fn result(&mut self) -> Option<CompleteResult> {
        let result = self.0.wait_for(Option::is_some).await.ok()?;
        result.clone()
    }
}

impl CompletionSender {
    pub fn send(self, result: CompleteResult) {
        // All receivers may be dropped.
        let _ = self.0.send(Some(result));
    }
}
