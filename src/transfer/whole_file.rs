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
use super::resume;
use super::task::{UploadResult, task_failed};
use crate::journal::Upload;
use crate::source::SourceFile;

/// The digests of a source that was read once.
#[derive(Debug)]
pub struct WholeFile {
    pub sha256: Sha256,
    pub parts: Vec<(PartNumber, Sha256)>,
}

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

impl Engine<'_> {
    /// Whether the SHA-256 of the whole file is wanted and not known yet.
    pub(super) fn needs_whole_sha256(&self, upload: &ActiveUpload) -> bool {
        self.options.sha256 && !upload.plan.is_single() && upload.whole_sha256.is_none()
    }

    /// Whether the task of this stage reads the whole source. A source of which parts are missing
    /// in the store is read as a whole when all are stored.
    pub(super) fn reads_whole(&self, upload: &ActiveUpload) -> bool {
        let has_every_part = match upload.stage() {
            Stage::FinalCheck => true,
            Stage::Rehashing => upload.upload.state.is_finished(),
            _ => false,
        };
        has_every_part && self.needs_whole_sha256(upload)
    }

    /// A task that reads the whole source. `receipt` is that of an upload which is verified
    /// otherwise.
    pub(super) fn hash_whole(
        upload: &mut ActiveUpload,
        receipt: Option<Box<Receipt>>,
    ) -> impl Future<Output = UploadResult> + Send + 'static {
        let (source, plan) = (upload.source.clone(), upload.plan.clone());
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
        let mut is_same = whole.is_some();
        if let Some(whole) = whole {
            for (number, sha256) in whole.parts {
                upload.parts.set_sha256(number, sha256);
            }
            upload.whole_sha256 = Some(whole.sha256);
        }
        match receipt {
            Some(receipt) if is_same => self.on_receipt(upload, *receipt),
            Some(_) => Err(self.emit_changed(upload.item, &upload.upload, "its content differs")),
            None => {
                if let (true, Some(receipt)) = (is_same, &upload.upload.receipt) {
                    // The journal may lack the digests of some parts.
                    let digests = upload.parts.to_journal();
                    let checksum = resume::object_checksum(&upload.plan, &digests)?;
                    is_same = receipt
                        .checksum
                        .as_ref()
                        .is_none_or(|sent| *sent == checksum);
                }
                self.on_rehashed(upload, is_same)
            }
        }
    }
}
