//! A task that sends one part, from memory or from the spool: sign and PUT, until the store has
//! acknowledged it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{PartSpec, SignedPart};
use upload_types::{ByteRange, ETag, PartNumber, UploadId};

use crate::backend::{Backend, PartSource, PartUpload, PutOutcome, SignReason};
use crate::source::PartBytes;
use crate::transfer::retry::{self, Attempt, Failures, Verdict};

/// A part to send, with the lease under which it is signed.
pub struct PartToSend {
    pub backend: Arc<Backend>,
    pub id: UploadId,
    pub epoch: u64,
    pub spec: PartSpec,
    pub bytes: PartBytes,
    /// The most parts that the backend permits.
    pub max_parts: u32,
    /// The bytes of the attempt under way that the network has accepted.
    pub sent: Arc<AtomicU64>,
    pub notices: mpsc::UnboundedSender<Notice>,
}

/// A report of a task that is under way.
#[derive(Debug)]
pub struct Notice {
    pub number: PartNumber,
    pub attempts: u32,
    pub error: Error,
    pub wait: Duration,
    /// When the attempt began. `None` if no byte was to be sent.
    pub sending_since: Option<Instant>,
}

/// A part that the store has acknowledged.
#[derive(Debug)]
pub struct SentPart {
    pub spec: PartSpec,
    pub etag: ETag,
    /// When the last attempt began.
    pub since: Instant,
}

impl PartToSend {
    /// Sends the part.
    ///
    /// # Errors
    /// The last error, if a repetition cannot help.
    pub async fn send(self) -> Result<SentPart> {
        let mut failures = Failures::default();
        loop {
            let since = Instant::now();
            let (attempt, error) = match self.sign(&failures).await {
                Ok(SignedPart::Stored { stored, .. }) => return Ok(self.sent(stored.etag, since)),
                Ok(SignedPart::Put(signed)) => {
                    self.sent.store(0, Ordering::Relaxed);
                    let (source, range) = match &self.bytes {
                        PartBytes::Memory(bytes) => {
                            let len = self.spec.size;
                            let range = ByteRange { start: 0, len };
                            (PartSource::Memory(bytes.clone()), range)
                        }
                        PartBytes::Spooled(part) => {
                            (PartSource::File(part.file().clone()), part.range())
                        }
                    };
                    let part = PartUpload {
                        signed,
                        signed_at: since,
                        source,
                        range,
                        sha256: self.spec.sha256,
                        sent: Arc::clone(&self.sent),
                    };
                    match self.backend.put(part).await {
                        Ok(PutOutcome::Stored(etag)) => return Ok(self.sent(etag, since)),
                        Ok(PutOutcome::ObjectExists) => {
                            let what = "the store has another object under the key of this upload";
                            (Attempt::Bytes, Error::new(Kind::Other, what))
                        }
                        Err(error) => (Attempt::Bytes, error),
                    }
                }
                Err(error) => (Attempt::Call, error),
            };
            self.sent.store(0, Ordering::Relaxed);
            let verdict = retry::judge(error.kind(), attempt, &mut failures, fastrand::f64());
            let wait = match verdict {
                Verdict::Retry(wait) => wait,
                // The store may have the part. Its list shows it.
                Verdict::ListParts => return self.find_in_store(error, since).await,
                Verdict::Stop => return Err(error),
            };
            // Fails only after the run has ended.
            let _ = self.notices.send(Notice {
                number: self.spec.number,
                attempts: failures.attempts,
                error,
                wait,
                sending_since: (attempt == Attempt::Bytes).then_some(since),
            });
            sleep(wait).await;
        }
    }

    async fn sign(&self, failures: &Failures) -> Result<SignedPart> {
        let reason = if failures.has_rejected_credentials() {
            SignReason::CredentialsRejected
        } else {
            SignReason::UrlNeeded
        };
        let parts = vec![self.spec];
        let signed = self
            .backend
            .sign(&self.id, self.epoch, parts, Vec::new(), reason);
        let signed = signed.await?.pop();
        signed.ok_or_else(|| Error::new(Kind::ProtocolError, "the backend signed no part"))
    }

    async fn find_in_store(&self, error: Error, since: Instant) -> Result<SentPart> {
        let stored = self.backend.parts(&self.id, self.max_parts).await?;
        let found = stored.into_iter().find(|stored| {
            let is_same = stored.number == self.spec.number && stored.size == self.spec.size;
            is_same && stored.sha256 == Some(self.spec.sha256)
        });
        match found {
            Some(stored) => Ok(self.sent(stored.etag, since)),
            None => Err(error),
        }
    }

    fn sent(&self, etag: ETag, since: Instant) -> SentPart {
        SentPart {
            spec: self.spec,
            etag,
            since,
        }
    }
}
