//! Copies of parts: the store copies bytes that the owner has uploaded before. A part counts as
//! stored only if the store reports the SHA-256 of the copy, and it is that of the part. Every
//! other part is signed, so that its client sends it.
//!
//! Not here: copies of whole objects to a quarantine (`dispose`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::shared_state::Service;
use crate::ledger::Upload;
use crate::metrics::metrics;
use crate::problem::{Refusal, ledger_failed, report_store_fault};
use upload_s3::{CopySource, Fault};
use upload_types::crash;
use upload_types::wire::{Code, PartCopy, PartSpec, Receipt, SignedPart, StoredTag, UploadState};
use upload_types::{ByteRange, ETag, Key, PartNumber, UploadId};

/// How long the copies of one call may take. A client waits a minute for the response.
const COPY_TIME_LIMIT: Duration = Duration::from_secs(20);
/// The largest range that `UploadPartCopy` accepts.
const MAX_COPY_BYTES: u64 = 5 << 30;

/// An object of the owner, from which parts may be copied.
struct Source {
    key: Key,
    receipt: Receipt,
}

impl Service {
    /// Copies the parts that are pinned and have a copy in the store, and signs the others. The
    /// results have the order of `parts`.
    ///
    /// # Errors
    /// Those of [`Service::sign_pinned`].
    pub(super) async fn copy_or_sign(
        &self,
        upload: &Upload,
        parts: &[PartSpec],
        copies: &[PartCopy],
    ) -> Result<Vec<SignedPart>, Refusal> {
        let etags = self.copy_parts(upload, parts, copies).await?;
        if etags.is_empty() {
            return self.sign_pinned(upload, parts).await;
        }
        let others = parts
            .iter()
            .filter(|part| !etags.contains_key(&part.number));
        let others: Vec<PartSpec> = others.copied().collect();
        let mut signed = if others.is_empty() {
            Vec::new()
        } else {
            self.sign_pinned(upload, &others).await?
        }
        .into_iter();
        let results = parts
            .iter()
            .filter_map(|part| match etags.get(&part.number) {
                Some(etag) => Some(SignedPart::Stored {
                    number: part.number,
                    stored: StoredTag {
                        etag: etag.clone(),
                        copied: true,
                    },
                }),
                None => signed.next(),
            });
        Ok(results.collect())
    }

    /// The parts that the store has copied and proved, with their `ETag`s.
    async fn copy_parts(
        &self,
        upload: &Upload,
        parts: &[PartSpec],
        copies: &[PartCopy],
    ) -> Result<BTreeMap<PartNumber, ETag>, Refusal> {
        let multipart = upload.store_upload.as_deref();
        let (Some(multipart), false) = (multipart, copies.is_empty()) else {
            return Ok(BTreeMap::new());
        };
        if !self.store.proves_copies() || upload.is_single() {
            return Ok(BTreeMap::new());
        }
        let sources = self.sources(upload, copies).await?;
        let deadline = Instant::now() + COPY_TIME_LIMIT;
        let tasks = copies.iter().filter_map(|copy| {
            let part = parts.iter().find(|part| part.number == copy.number)?;
            let source = sources.get(&copy.upload)?.as_ref()?;
            let range = copied_range(source.receipt.size, copy.start, part.size)?;
            Some(async move {
                let copying = self.copy_part(upload, multipart, source, range, part);
                let etag = timeout_at(deadline, copying).await.ok().flatten();
                etag.map(|etag| (part.number, etag))
            })
        });
        let etags = join_all(tasks).await.into_iter().flatten().collect();
        crash::point("gateway.copy.copied");
        Ok(etags)
    }

    /// The objects that the copies name. `None` for one that is no ready object of the owner.
    async fn sources(
        &self,
        upload: &Upload,
        copies: &[PartCopy],
    ) -> Result<HashMap<UploadId, Option<Source>>, Refusal> {
        let mut sources = HashMap::new();
        for copy in copies {
            if sources.contains_key(&copy.upload) {
                continue;
            }
            let earlier = self.ledger.upload(&upload.owner, &copy.upload).await;
            let earlier = earlier.map_err(ledger_failed)?;
            let source = earlier
                .filter(|earlier| earlier.state == UploadState::Ready)
                .and_then(|earlier| {
                    let receipt = earlier.receipt.clone()?;
                    let key = earlier.key.clone();
                    Some(Source { key, receipt })
                });
            sources.insert(copy.upload.clone(), source);
        }
        Ok(sources)
    }

    /// Copies a part. Returns its `ETag` if the store has proved it.
    async fn copy_part(
        &self,
        upload: &Upload,
        multipart: &str,
        source: &Source,
        range: ByteRange,
        part: &PartSpec,
    ) -> Option<ETag> {
        let from = CopySource {
            key: &source.key,
            etag: Some(&source.receipt.etag),
            size: source.receipt.size,
            range,
        };
        let _permit = self.store_calls.acquire().await;
        let copied = self
            .store
            .copy_part(&from, &upload.key, multipart, part.number)
            .await;
        match copied {
            Ok(copied) if copied.sha256 == Some(part.sha256) => {
                metrics().record_copied_bytes(part.size);
                Some(copied.etag)
            }
            Ok(_) => {
                tracing::info!(id = %upload.id, number = %part.number, "a copied part has another SHA-256");
                None
            }
            // The object has been deleted or replaced.
            Err(Fault::PreconditionFailed | Fault::Refused(_)) => None,
            Err(fault) => {
                report_store_fault("copy a part", &fault);
                None
            }
        }
    }
}

/// The range of a source of `size` bytes from which a part is copied. Returns `None` if the source
/// has no such range, or if it cannot be copied at once.
fn copied_range(size: u64, start: u64, len: u64) -> Option<ByteRange> {
    let is_inside = start.checked_add(len).is_some_and(|end| end <= size);
    let can_be_copied = is_inside && (1..=MAX_COPY_BYTES).contains(&len);
    can_be_copied.then_some(ByteRange { start, len })
}

/// Checks that each copy is of one of the parts, and that there is one copy of a part at most.
///
/// # Errors
/// `invalid_request`.
pub fn check_copies(parts: &[PartSpec], copies: &[PartCopy]) -> Result<(), Refusal> {
    let mut numbers = BTreeSet::new();
    let has_part = |number| parts.iter().any(|part| part.number == number);
    let wrong = copies
        .iter()
        .find(|copy| !has_part(copy.number) || !numbers.insert(copy.number));
    match wrong {
        None => Ok(()),
        Some(copy) => Err(Refusal::with_detail(
            Code::InvalidRequest,
            format!(
                "`copies`: part {} is not in `parts`, or is named twice",
                copy.number
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_inside_the_source() {
        for (start, len) in [(0, 10), (0, 4), (6, 4), (9, 1)] {
            assert_eq!(copied_range(10, start, len), Some(ByteRange { start, len }));
        }
        for (start, len) in [(0, 0), (10, 0), (7, 4), (u64::MAX, 2), (11, 1), (0, 11)] {
            assert_eq!(copied_range(10, start, len), None, "{start} {len}");
        }
        assert_eq!(
            copied_range(MAX_COPY_BYTES + 1, 0, MAX_COPY_BYTES + 1),
            None
        );
    }
}
