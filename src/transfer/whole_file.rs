//! The SHA-256 of a whole source, for `--sha256`: the source is read once from its start to its
//! end, and each of its parts is compared with what was sent.
//!
//! Not here: the stages (`transitions`). An object of one part has the SHA-256 of its part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sha2::{Digest as _, Sha256 as Sha256Hasher};
use tokio::task::spawn_blocking;
use upload_types::error::{Kind, Result};
use upload_types::plan::Plan;
use upload_types::wire::Receipt;
use upload_types::{PartNumber, Sha256};

use super::active_upload::{ActiveUpload, Stage};
use super::engine::{Engine, Next};
use super::hashing::count_into;
use super::plan_error::plan_error;
use super::resume;
use super::task::{UploadResult, WholeFile, task_failed};
use super::transitions::{Content, Noticed};
use crate::journal::{Part, Record, Upload};
use crate::source::SourceFile;

/// Reads a source from its start to its end. Returns `None` if a part has another digest than the
/// known one, or if the source became shorter.
pub async fn hash_whole(
    source: SourceFile,
    plan: Plan,
    known: BTreeMap<PartNumber, Sha256>,
    read: Arc<AtomicU64>,
) -> Result<Option<WholeFile>> {
    let hash = move || {
        let (mut whole, mut parts) = (Sha256Hasher::new(), Vec::new());
        for (number, range) in plan.parts() {
            let on_bytes = |bytes: &[u8]| whole.update(bytes);
            match source.hash_and_pass(range, on_bytes, count_into(&read)) {
                Ok(sha256) if known.get(&number).is_none_or(|known| *known == sha256) => {
                    parts.push((number, sha256));
                }
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == Kind::SourceChanged => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let sha256 = Sha256::new(whole.finalize().into());
        Ok(Some(WholeFile { sha256, parts }))
    };
    spawn_blocking(hash).await.map_err(task_failed)?
}

/// Whether the receipt of a completed upload lacks the SHA-256 of the whole file.
#[must_use]
pub fn lacks_whole_sha256(upload: &Upload) -> bool {
    let is_lacking = |receipt: &Receipt| receipt.sha256.is_none() && receipt.parts > 1;
    upload.receipt.as_ref().is_some_and(is_lacking)
}

/// Whether the object of a receipt consists of parts with these digests. Always true for a receipt
/// without a checksum.
fn has_digests(receipt: &Receipt, plan: &Plan, parts: &BTreeMap<PartNumber, Part>) -> Result<bool> {
    let checksum = resume::object_checksum(plan, parts)?;
    let sent = receipt.checksum.as_ref();
    Ok(sent.is_none_or(|sent| sent.has_content_of(&checksum)))
}

/// Whether a source is that of a finished upload, of which the journal has these parts.
pub async fn is_source_of(source: SourceFile, upload: &Upload, parts: Vec<Part>) -> Result<bool> {
    let (size, part_size) = (upload.intent.version.size, upload.intent.part_size);
    let plan = Plan::pinned(size, part_size).map_err(plan_error)?;
    let known = parts.iter().map(|part| (part.number, part.sha256));
    let whole = hash_whole(source, plan, known.collect(), Arc::default()).await?;
    let (Some(whole), Some(receipt)) = (&whole, &upload.receipt) else {
        return Ok(whole.is_some());
    };
    let part = |(number, sha256): &(PartNumber, Sha256)| {
        let etag = None;
        (
            *number,
            Part {
                number: *number,
                sha256: *sha256,
                etag,
            },
        )
    };
    has_digests(receipt, &plan, &whole.parts.iter().map(part).collect())
}

impl Engine<'_> {
    /// Whether the SHA-256 of the whole file is wanted and not known yet.
    pub(super) fn needs_whole_sha256(&self, upload: &ActiveUpload) -> bool {
        self.options.sha256 && !upload.plan.is_single() && upload.whole_sha256.is_none()
    }

    /// Whether the task of this stage reads the whole source. A source of which parts are missing
    /// in the store is read as a whole when all are stored. If the journal lacks digests of a
    /// finished upload, only the checksum of the object covers every part.
    pub(super) fn reads_whole(&self, upload: &ActiveUpload) -> bool {
        let has_every_part = match upload.stage() {
            Stage::FinalCheck => true,
            Stage::Rehashing => upload.upload.state.is_finished(),
            _ => false,
        };
        let lacks_digests = upload.upload.state.is_finished() && upload.lacks_digests();
        has_every_part && (self.needs_whole_sha256(upload) || lacks_digests)
    }

    /// A task that reads the whole source. `receipt` is that of an upload which is verified
    /// otherwise.
    pub(super) fn hash_whole(
        upload: &mut ActiveUpload,
        receipt: Option<Box<Receipt>>,
    ) -> impl Future<Output = UploadResult> + Send + 'static {
        let (source, plan) = (upload.source.clone(), upload.plan);
        let known = upload.parts.to_journal().into_iter();
        let known = known.map(|(number, part)| (number, part.sha256)).collect();
        let read = upload.start_rehash();
        async move { UploadResult::WholeHashed(receipt, hash_whole(source, plan, known, read).await) }
    }

    /// The whole source was read.
    pub(super) fn on_whole_hashed(
        &mut self,
        upload: &mut ActiveUpload,
        receipt: Option<Box<Receipt>>,
        whole: Option<WholeFile>,
    ) -> Result<Next> {
        let Some(whole) = whole else {
            return match receipt {
                Some(_) => {
                    upload.digests_disproved = true;
                    self.on_source_changed(upload, "its content differs", Noticed::WhileRunning)
                }
                None => self.on_rehashed(upload, Content::Differs),
            };
        };
        let learned = upload.learn_digests(whole.parts);
        if !upload.plan.is_single() {
            upload.whole_sha256 = Some(whole.sha256);
        }
        if let Some(receipt) = receipt {
            let next = self.on_receipt(upload, *receipt)?;
            self.record_digests(upload, learned);
            return Ok(next);
        }
        // The journal may have lacked the digests of some parts.
        let is_same = match &upload.upload.receipt {
            Some(receipt) => has_digests(receipt, &upload.plan, &upload.parts.to_journal())?,
            None => true,
        };
        if is_same {
            self.record_digests(upload, learned);
        }
        let content = if is_same {
            Content::Same
        } else {
            Content::Differs
        };
        self.on_rehashed(upload, content)
    }

    /// Records digests that the journal lacks of an upload that is complete.
    pub(super) fn record_digests(
        &mut self,
        upload: &ActiveUpload,
        digests: Vec<(PartNumber, Sha256)>,
    ) {
        let row = upload.row();
        for (number, sha256) in digests {
            self.committer.record(Record::PartHashed {
                row,
                number,
                sha256,
            });
        }
    }
}
