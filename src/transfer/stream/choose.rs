//! The unfinished upload of an earlier run of the same pipeline: the one with the same name and
//! key, at the same backend. It is continued if its parts may be used, otherwise aborted.

use std::path::{Path, PathBuf};

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;
use upload_types::saturating;
use upload_types::schedule::Schedule;
use upload_types::wire::{BeginResponse, IfExists, Receipt, UploadState};

use super::request::StreamPut;
use super::run::StreamRun;
use crate::event::{Event, STREAM_PATH};
use crate::journal::{Intent, Record, State, StreamTerms, Upload};
use crate::source::FileVersion;
use crate::transfer::backend_calls::{abort_upload, begin_request, rejoin};
use crate::transfer::comparison::check_begun_key;
use crate::transfer::options::PutRequest;
use crate::transfer::plan_error::plan_error;
use crate::transfer::resume::{self, Choice};
use crate::transfer::task::{AbortOutcome, Rejoined};

/// The most requests to abort an upload that the backend is completing.
const MAX_ABORTS: u32 = 5;

impl StreamRun<'_> {
    /// Takes the upload of an earlier run, and asks the store for its parts. Returns its schedule,
    /// or `None` if there is none to continue.
    pub(super) async fn choose(&mut self, stream: &StreamPut) -> Result<Option<Schedule>> {
        let put = &stream.put;
        let version = FileVersion::NONE;
        let source = (put.name.as_str(), Path::new(STREAM_PATH), version);
        let candidates = self
            .committer
            .candidates(&self.info.instance_id, &[source])?;
        let mut candidates = candidates.into_iter().next().unwrap_or_default();
        // Streams for two keys may have the same name.
        candidates.retain(|upload| upload.intent.stream.is_some() && upload.intent.key == put.key);
        let choice = resume::choose(&candidates, &version, put);
        let (Choice::Continue(index) | Choice::Replace(index) | Choice::Discard(index)) = choice
        else {
            return Ok(None);
        };
        let upload = self.committer.take(&candidates[index])?;
        let is_continued = matches!(choice, Choice::Continue(_)) && accepts_terms(stream, &upload);
        if !is_continued {
            self.abort_earlier(&upload).await?;
            self.replaced = Some(upload.row);
            return Ok(None);
        }
        self.continue_earlier(upload).await
    }

    async fn continue_earlier(&mut self, upload: Upload) -> Result<Option<Schedule>> {
        let row = upload.row;
        let double_after = upload.intent.stream.and_then(|terms| terms.double_after);
        let schedule = Schedule::pinned(upload.intent.part_size, double_after);
        let schedule = schedule.map_err(plan_error)?;
        let Some(id) = upload.id.clone() else {
            // The request to begin is repeated with the first part.
            self.upload = Some(upload);
            return Ok(Some(schedule));
        };
        let (holder, max_parts) = (upload.holder.clone(), self.info.limits.max_parts);
        let rejoined = self
            .call(|backend| {
                let (id, holder) = (id.clone(), holder.clone());
                async move { rejoin(&backend, &id, holder, max_parts).await }
            })
            .await;
        match rejoined {
            Ok(Rejoined::Running { epoch, stored }) => {
                let parts = self.committer.parts(row)?.into_iter();
                self.recorded = parts.map(|part| (part.number, part)).collect();
                self.stored = stored.into_iter().map(|part| (part.number, part)).collect();
                self.epoch = epoch;
                let may_be_completing = upload.state == State::Completing;
                self.upload = Some(upload);
                if may_be_completing {
                    let status = self
                        .call(|backend| {
                            let id = id.clone();
                            async move { backend.status(&id).await }
                        })
                        .await?;
                    self.is_completing = status.state == UploadState::Completing;
                }
                self.committer.emit(Event::Comparing {
                    item: self.options.first_item,
                    upload: id,
                    path: STREAM_PATH.to_owned(),
                    parts: saturating::to_u32(self.stored.len()),
                });
                self.commit_now()?;
                Ok(Some(schedule))
            }
            Ok(Rejoined::Verified(receipt)) => {
                self.on_earlier_complete(&upload, receipt)?;
                Ok(None)
            }
            Err(error) if matches!(error.kind(), Kind::Gone | Kind::NotFound) => {
                let reason = format!("{error}; uploading the stream from the beginning");
                self.report_restart(&upload, reason)?;
                self.replaced = Some(row);
                Ok(None)
            }
            Err(error) if error.kind() == Kind::CheckFailed => {
                self.committer.record(Record::Rejected { row });
                self.report_restart(&upload, format!("{error}; uploading the stream again"))?;
                Ok(None)
            }
            Err(error) => {
                self.upload = Some(upload);
                Err(error)
            }
        }
    }

    /// The earlier run was interrupted after its stream was complete. Its object stays: this stream
    /// may have other bytes.
    fn on_earlier_complete(&mut self, upload: &Upload, mut receipt: Box<Receipt>) -> Result<()> {
        receipt.backend.clone_from(&self.options.backend);
        receipt.name.clone_from(&upload.intent.name);
        let location = receipt
            .location
            .as_deref()
            .unwrap_or("its object is stored");
        let reason = format!("an earlier run was complete: {location}; making a new object");
        self.committer.record(Record::Completed {
            row: upload.row,
            receipt,
        });
        self.report_restart(upload, reason)
    }

    fn report_restart(&mut self, upload: &Upload, message: String) -> Result<()> {
        self.committer.emit(Event::Restarted {
            item: self.options.first_item,
            upload: upload.id.clone(),
            path: STREAM_PATH.to_owned(),
            message,
        });
        self.commit_now()
    }

    /// Aborts an upload that cannot be continued. An upload that has completed meanwhile stays, and
    /// so does one that the backend is still completing: each request to abort renews its lease,
    /// and the backend decides only after that has ended.
    async fn abort_earlier(&mut self, upload: &Upload) -> Result<()> {
        let Some(id) = upload.id.clone() else {
            return Ok(());
        };
        for _ in 0..MAX_ABORTS {
            let holder = upload.holder.clone();
            let outcome = self
                .call(|backend| {
                    let (id, holder) = (id.clone(), holder.clone());
                    async move { abort_upload(&backend, &id, holder, None, None).await }
                })
                .await;
            match outcome {
                Ok(AbortOutcome::Pending(wait)) => self.wait(wait).await?,
                Ok(AbortOutcome::Aborted | AbortOutcome::Completed(_)) => return Ok(()),
                Err(error) if matches!(error.kind(), Kind::Gone | Kind::NotFound) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        tracing::info!(%id, "the backend is still completing the upload of an earlier run");
        Ok(())
    }

    /// Begins the upload, if it has not begun: records the intent first.
    pub(super) async fn begin(&mut self, put: &PutRequest, schedule: Schedule) -> Result<()> {
        if self.id().is_some() {
            return Ok(());
        }
        if self.upload.is_none() {
            let intent = self.intent(put, schedule);
            let recorded = self.committer.replace(self.replaced, intent)?;
            self.upload = Some(recorded.ok_or_else(|| {
                let what = "another process uploads a stream with this name and key";
                let hint = "wait for that process, or stop it; then run the whole pipeline again";
                Error::new(Kind::Busy, what).with_hint(hint)
            })?);
            crash::point("stream.recorded");
        }
        let Some(upload) = self.upload.clone() else {
            return Ok(());
        };
        let request = begin_request(&upload, None);
        let begun = self
            .call(|backend| {
                let request = request.clone();
                async move { backend.begin(&request).await }
            })
            .await;
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // The next run makes another request.
                if matches!(
                    error.kind(),
                    Kind::NotAcceptable | Kind::Exists | Kind::Other
                ) {
                    self.abandon()?;
                }
                return Err(error);
            }
        };
        crash::point("stream.begun");
        self.on_begun(upload, begun, schedule)
    }

    fn on_begun(
        &mut self,
        mut upload: Upload,
        begun: BeginResponse,
        schedule: Schedule,
    ) -> Result<()> {
        let chosen = Schedule::pinned(begun.part_size, begun.double_after).map_err(plan_error)?;
        let accepts_parts = matches!(begun.state, UploadState::Pending | UploadState::Uploading);
        let key_check = check_begun_key(upload.intent.key.as_deref(), &begun.key);
        self.committer.record(Record::Begun {
            row: upload.row,
            id: begun.id.clone(),
            part_size: begun.part_size,
            backend_state: None,
        });
        upload.id = Some(begun.id);
        upload.state = State::Uploading;
        self.upload = Some(upload);
        self.epoch = begun.epoch;
        if let Err(error) = key_check {
            self.abandon()?;
            return Err(error);
        }
        if chosen != schedule || !accepts_parts {
            self.abandon()?;
            let what = "the backend has begun the upload in another way than was requested";
            return Err(Error::new(Kind::Temporary, what));
        }
        self.commit_now()
    }

    fn intent(&self, put: &PutRequest, schedule: Schedule) -> Intent {
        Intent {
            backend: self.options.backend.clone(),
            s3_service: self.options.s3_service.clone(),
            instance_id: self.info.instance_id.clone(),
            path: PathBuf::from(STREAM_PATH),
            name: put.name.clone(),
            content_type: put.content_type.clone(),
            metadata: put.metadata.clone(),
            attributes: put.attributes.clone(),
            key: put.key.clone(),
            if_exists: put.key.is_some().then_some(put.if_exists),
            version: FileVersion::NONE,
            part_size: schedule.part_size(),
            stream: Some(StreamTerms {
                expected_size: self.expected_size,
                double_after: schedule.double_after(),
            }),
            file_set: None,
        }
    }

    /// Records that the upload has ended without an object.
    pub(super) fn abandon(&mut self) -> Result<()> {
        if let Some(row) = self.row().filter(|_| !self.has_ended) {
            self.has_ended = true;
            self.committer.record(Record::Abandoned { row });
        }
        self.commit_now()
    }
}

/// Whether an upload has the part size and the expected size that the user requested, if any, and
/// replaces an object if the user requests that.
fn accepts_terms(stream: &StreamPut, upload: &Upload) -> bool {
    let terms = upload.intent.stream;
    let has_part_size = stream.put.part_size.is_none_or(|part_size| {
        part_size == upload.intent.part_size
            || terms.is_some_and(|terms| terms.expected_size.is_some())
    });
    let has_expected = stream.expected_size.is_none()
        || terms.is_some_and(|terms| terms.expected_size == stream.expected_size);
    let must_replace = stream.put.key.is_some() && stream.put.if_exists == IfExists::Overwrite;
    let has_rule = !must_replace || upload.intent.if_exists == Some(IfExists::Overwrite);
    has_part_size && has_expected && has_rule
}

/// The plan of a whole stream.
///
/// # Errors
/// As [`plan_error`].
pub fn whole_plan(size: u64, schedule: Schedule) -> Result<Plan> {
    Plan::of_stream(size, schedule).map_err(plan_error)
}
