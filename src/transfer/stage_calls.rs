//! The call or task of each stage of an upload.
//!
//! Not here: what follows from its result (`transitions`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use upload_types::PartNumber;
use upload_types::error::Result;
use upload_types::wire::{BatchComplete, CompleteRequest};

use super::active_upload::{ActiveUpload, Stage};
use super::engine::{Engine, Next};
use super::part_queue::PartQueue;
use super::task::{AbortOutcome, BatchCall, UploadResult};
use super::{backend_calls, hashing, resume};
use crate::journal::{Record, State};
use crate::source::WithMd5;

impl Engine<'_> {
    /// Ends the tasks of an upload, enters a stage, and makes its call.
    pub(super) fn move_to(&mut self, upload: &mut ActiveUpload, stage: Stage) -> Result<Next> {
        self.cancel_tasks(upload);
        upload.stop_parts();
        upload.enter(stage);
        self.call_after(upload, Duration::ZERO)?;
        Ok(Next::Continue)
    }

    /// Begins an upload. A single part is hashed first, so that the response to begin can contain
    /// its URL.
    pub(super) fn prepare(&mut self, upload: &mut ActiveUpload) -> Result<Next> {
        let with_md5 = self.with_md5();
        let is_hashed = with_md5 == WithMd5::No && upload.parts.sha256(PartNumber::FIRST).is_some();
        if !upload.plan.is_single() || is_hashed {
            return self.move_to(upload, Stage::Beginning);
        }
        upload.enter(Stage::Preparing);
        let range = upload.plan.range(PartNumber::FIRST);
        let cached = range.and_then(|range| upload.source.hash_cached(range, with_md5));
        if let Some(digests) = cached {
            return self.on_digests(upload, PartNumber::FIRST, digests);
        }
        upload.queue = PartQueue::new(vec![PartNumber::FIRST], vec![]);
        Ok(Next::Continue)
    }

    /// Makes the call of the stage after `wait`.
    pub(super) fn call_after(&mut self, upload: &mut ActiveUpload, wait: Duration) -> Result<()> {
        let backend = Arc::clone(&self.backend);
        let entry = upload.upload.clone();
        match upload.stage() {
            Stage::Rehashing | Stage::FinalCheck if self.reads_whole(upload) => {
                let hashed = Self::hash_whole(upload, None);
                self.defer(upload, async move {
                    sleep(wait).await;
                    hashed.await
                });
            }
            Stage::Rehashing | Stage::FinalCheck => {
                let parts = upload.known_digests();
                let (source, read) = (upload.source.clone(), upload.start_rehash());
                self.defer(upload, async move {
                    sleep(wait).await;
                    UploadResult::Rehashed(hashing::is_unchanged(source, parts, read).await)
                });
            }
            Stage::Comparing => {
                let compared = self.hash_for_comparison(upload);
                self.defer(upload, async move {
                    sleep(wait).await;
                    compared.await
                });
            }
            Stage::Confirming if self.backend.capabilities().durable => {
                self.batcher.add(upload.row(), Instant::now() + wait);
            }
            Stage::Confirming => self.defer(upload, async move {
                sleep(wait).await;
                UploadResult::Confirmed(match entry.begun_id() {
                    Ok(id) => backend.status(id).await.map(Box::new),
                    Err(error) => Err(error),
                })
            }),
            Stage::Aborting => {
                let epoch = (upload.epoch > 0).then_some(upload.epoch);
                let parts = upload.parts.to_journal();
                let complete = resume::complete_parts(&upload.plan, &parts).ok();
                self.defer(upload, async move {
                    sleep(wait).await;
                    UploadResult::Aborted(match &entry.id {
                        Some(id) => {
                            let holder = entry.holder.clone();
                            backend_calls::abort_upload(&backend, id, holder, epoch, complete).await
                        }
                        None => Ok(AbortOutcome::Aborted),
                    })
                });
            }
            Stage::Rejoining => {
                let planned = upload.plan.count();
                self.defer(upload, async move {
                    sleep(wait).await;
                    UploadResult::Rejoined(match entry.begun_id() {
                        Ok(id) => {
                            let holder = entry.holder.clone();
                            backend_calls::rejoin(&backend, id, holder, planned).await
                        }
                        Err(error) => Err(error),
                    })
                });
            }
            Stage::Beginning | Stage::Completing => self.batch_or_call(upload, wait)?,
            // Their tasks are started while there is room.
            Stage::Preparing | Stage::Sending => {}
        }
        Ok(())
    }

    /// Calls about uploads with a single part go together. Other calls, which may take the store
    /// longer, go alone.
    fn batch_or_call(&mut self, upload: &mut ActiveUpload, wait: Duration) -> Result<()> {
        if upload.plan.is_single() && self.backend.capabilities().durable {
            self.batcher.add(upload.row(), Instant::now() + wait);
            return Ok(());
        }
        if let Some(call) = self.batch_call(upload)? {
            let backend = Arc::clone(&self.backend);
            self.defer(upload, async move {
                sleep(wait).await;
                backend_calls::call(&backend, call).await
            });
        }
        Ok(())
    }

    /// The call that begins or completes an upload, or asks for its status. Records first that it
    /// is about to complete. Returns `None` if the stage has no such call, or if the run is
    /// stopping before the upload has begun.
    pub(super) fn batch_call(&mut self, upload: &mut ActiveUpload) -> Result<Option<BatchCall>> {
        match (upload.stage(), &upload.upload.id) {
            (Stage::Beginning, _) if self.stopping.is_none() => {
                let with_part = upload.plan.is_single() && !upload.begins_without_parts;
                let part = upload.part_spec(PartNumber::FIRST).filter(|_| with_part);
                let parts = part.map(|part| vec![part]);
                let copies = upload.copies.of(parts.as_deref().unwrap_or_default());
                let mut begin = backend_calls::begin_request(&upload.upload, parts);
                upload.copies.are_named_by_begin = !copies.is_empty();
                begin.request.copies = copies;
                Ok(Some(BatchCall::Begin(begin)))
            }
            (Stage::Completing, Some(id)) => {
                let id = id.clone();
                let parts = upload.parts.to_journal();
                let (parts, checksum) = resume::complete_parts(&upload.plan, &parts)?;
                if upload.upload.state != State::Completing {
                    let row = upload.row();
                    self.committer.record(Record::Completing { row });
                    upload.upload.state = State::Completing;
                }
                let request = CompleteRequest {
                    epoch: upload.epoch,
                    parts,
                    checksum,
                };
                Ok(Some(BatchCall::Complete(BatchComplete { id, request })))
            }
            (Stage::Confirming, _) => {
                let id = upload.upload.begun_id()?.clone();
                Ok(Some(BatchCall::Status(id)))
            }
            _ => Ok(None),
        }
    }
}
