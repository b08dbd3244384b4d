//! Starting uploads: a source becomes a new upload, continues one of the journal, or is already
//! stored.
//!
//! Not here: the choice between them (`resume::choose`), and the uploads of `resume`
//! (`start_resume`).

use std::io;
use std::time::Instant;

use upload_types::UploadId;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;

use super::active_upload::{ActiveUpload, Stage};
use super::backend_calls::restore_state;
use super::blocked::Earlier;
use super::committer::same_error;
use super::comparison::check_key;
use super::completed_check::{CheckFacts, CompletedCheck};
use super::confirmations::Unconfirmed;
use super::copy_base::{Base, choose_base};
use super::deadline::WaitingFor;
use super::engine::Engine;
use super::moved_source;
use super::options::{Item, PutRequest};
use super::plan_error::plan_error;
use super::resume::{self, Choice};
use super::wait_ready::VerifiedUpload;
use crate::event::{Event, Stored};
use crate::journal::{Intent, Part, Record, State, Upload};
use crate::source::{FileVersion, SourceFile};

/// The most uploads under way at once while together they have less than [`MAX_SMALL_BYTES`] left
/// to send.
const MAX_SMALL_UPLOADS: usize = 128;
const MAX_SMALL_BYTES: u64 = 32 << 20;
/// The lowest limit of large uploads under way at once, unless fewer files may be open.
const MIN_LARGE_UPLOADS: usize = 8;

/// How an item starts.
pub(super) enum Started {
    Upload(Box<ActiveUpload>),
    /// A new upload, to be recorded first.
    New(Box<NewUpload>),
    /// The journal has its receipt.
    Completed(Box<VerifiedUpload>),
    /// The journal has its receipt, and the store is not asked.
    Trusted(Box<VerifiedUpload>),
    /// The journal has the receipt of this version of the source.
    Unconfirmed(Box<Unconfirmed>),
}

/// A new upload that is not recorded yet.
pub(super) struct NewUpload {
    put: PutRequest,
    source: SourceFile,
    base: Option<Base>,
}

impl Engine<'_> {
    /// How many large uploads may be under way: few, to limit open files, and enough to keep all
    /// jobs busy.
    pub(super) fn max_large_uploads(&self) -> usize {
        let jobs = self.throttle.jobs().saturating_mul(2);
        jobs.max(MIN_LARGE_UPLOADS).min(self.options.max_open)
    }

    /// Starts items while there is room.
    pub(super) fn start_items(&mut self) {
        // Sources that were uploaded before leave the room to others.
        while self.confirmations.has_room() && self.start_some_items() {}
    }

    /// Starts items while there is room for their uploads. The journal is read once for all of
    /// them, and written once for all new uploads. Returns false if there was no item, or no room.
    fn start_some_items(&mut self) -> bool {
        let pending = self.pending.len();
        let max_large = self.max_large_uploads();
        let max_small = MAX_SMALL_UPLOADS.min(self.options.max_open);
        let mut count = self.uploads.len();
        let left = |upload: &ActiveUpload| match upload.stage() {
            Stage::Confirming => 0,
            _ => upload.plan.size() - upload.confirmed_bytes,
        };
        let mut bytes: u64 = self.uploads.iter().map(|upload| left(upload)).sum();
        let (mut started, mut sources) = (Vec::new(), Vec::new());
        while count < max_large || (count < max_small && bytes < MAX_SMALL_BYTES) {
            let Some((item, request)) = self.pending.pop_front() else {
                break;
            };
            let Some(request) = self.unless_moved(item, request) else {
                continue;
            };
            let size = match request {
                Item::Put(put) => match SourceFile::open(&put.path) {
                    Ok(source) => {
                        let size = source.version().size;
                        sources.push((item, put, source));
                        size
                    }
                    Err(error) => {
                        self.on_not_opened(item, &put, &error);
                        continue;
                    }
                },
                Item::Resume(upload) => match self.start_resume(item, &upload) {
                    Ok(one) => {
                        started.push((item, one));
                        upload.intent.version.size
                    }
                    Err(error) => {
                        let id = upload.id.clone();
                        self.end_or_block(item, id, Item::Resume(upload), &error);
                        continue;
                    }
                },
            };
            (count, bytes) = (count + 1, bytes.saturating_add(size));
        }
        if !sources.is_empty() {
            started.extend(self.start_puts(sources));
        }
        self.start_search();
        crash::point("transfer.start.opened");
        let mut new = Vec::new();
        for (item, one) in started {
            match one {
                Started::Upload(upload) => self.launch(upload),
                Started::New(upload) => new.push((item, *upload)),
                // A record in the journal is no proof that the store still has the object.
                Started::Completed(upload) => self.waits.add(*upload),
                Started::Unconfirmed(source) => self.confirmations.add(*source, Instant::now()),
                Started::Trusted(upload) => self.report_completed_by_journal(*upload),
            }
        }
        self.start_new(new);
        self.pending.len() < pending
    }

    fn start_puts(
        &mut self,
        sources: Vec<(usize, PutRequest, SourceFile)>,
    ) -> Vec<(usize, Started)> {
        let wanted: Vec<_> = sources
            .iter()
            .map(|(_, put, source)| (put.name.as_str(), source.path(), source.version()))
            .collect();
        let candidates = self.committer.candidates(&self.info.instance_id, &wanted);
        let candidates: Vec<Result<Vec<Upload>>> = match candidates {
            Ok(candidates) => candidates.into_iter().map(Ok).collect(),
            Err(error) => sources.iter().map(|_| same_error(&error)).collect(),
        };
        let mut started = Vec::new();
        for ((item, put, source), candidates) in sources.into_iter().zip(candidates) {
            let again = Item::Put(put.clone());
            let one =
                candidates.and_then(|candidates| self.start_put(item, put, source, &candidates));
            match one {
                Ok(one) => started.push((item, one)),
                Err(error) => self.end_or_block(item, None, again, &error),
            }
        }
        started
    }

    fn start_put(
        &mut self,
        item: usize,
        put: PutRequest,
        source: SourceFile,
        candidates: &[Upload],
    ) -> Result<Started> {
        for upload in candidates {
            restore_state(&self.backend, upload);
        }
        let version = source.version();
        let all = candidates;
        let candidates = &moved_source::usable(all, &put, &source);
        let choice = resume::choose(candidates, &version, &put);
        let base = match choice {
            Choice::Completed(_) => None,
            _ if put.force => None,
            _ => self.base(all, &version)?,
        };
        if let Choice::Completed(index)
        | Choice::PossiblyCompleted(index)
        | Choice::Continue(index) = choice
        {
            self.join_set(&put, candidates[index]);
        }
        let upload = match choice {
            Choice::New => {
                self.emit_renamed(item, all, &put, &source);
                return Ok(Started::New(Box::new(NewUpload { put, source, base })));
            }
            Choice::Discard(index) => {
                return self.with_taken(candidates[index], |engine, upload| {
                    if upload.state != State::Creating {
                        return engine.choose_again(item, put, source);
                    }
                    let row = upload.row;
                    engine.committer.record(Record::Abandoned { row });
                    Ok(Started::New(Box::new(NewUpload { put, source, base })))
                });
            }
            Choice::Completed(index) => {
                let upload = candidates[index];
                let (wait, sha256) = (self.options.wait, self.options.sha256);
                let facts = CheckFacts::new(source.has_writer(), sha256, wait, &self.info);
                let check = CompletedCheck::of(upload, &put, facts);
                if check == CompletedCheck::Trusted {
                    let path = &put.path;
                    let trusted = VerifiedUpload::recorded(item, path, upload, Stored::InJournal);
                    if let Some(trusted) = trusted {
                        return Ok(Started::Trusted(Box::new(trusted)));
                    }
                }
                match check {
                    CompletedCheck::Content => {
                        self.rehashing(item, put, source, upload)?.with_base(base)
                    }
                    CompletedCheck::Trusted | CompletedCheck::Object => {
                        let put = match self.accept_unconfirmed(item, put, upload) {
                            Ok(source) => return Ok(Started::Unconfirmed(source)),
                            Err(put) => *put,
                        };
                        ActiveUpload::new(item, put, source, upload.clone(), Stage::Confirming)?
                    }
                }
            }
            Choice::PossiblyCompleted(index) => self
                .rehashing(item, put, source, candidates[index])?
                .with_base(base),
            Choice::Replace(index) => {
                return self.with_taken(candidates[index], |engine, upload| {
                    let new = NewUpload { put, source, base };
                    engine.start_replaced(item, new, upload)
                });
            }
            Choice::Continue(index) => {
                return self.with_taken(candidates[index], |engine, upload| {
                    if !upload.state.is_unfinished() {
                        return engine.choose_again(item, put, source);
                    }
                    let put = put.with_attributes_of(&upload.intent);
                    let upload = engine.continue_upload(item, put, source, upload)?;
                    Ok(Started::Upload(Box::new(upload.with_base(base))))
                });
            }
        };
        Ok(Started::Upload(Box::new(upload)))
    }

    /// The base of a source among the uploads of the journal.
    pub(super) fn base(
        &mut self,
        candidates: &[Upload],
        version: &FileVersion,
    ) -> Result<Option<Base>> {
        let upload = choose_base(candidates, version);
        let Some(upload) = upload.filter(|_| self.backend.capabilities().durable) else {
            return Ok(None);
        };
        let parts = self.committer.parts(upload.row)?;
        Ok(Base::new(upload, &parts))
    }

    /// A completed upload whose digests are compared with the source.
    fn rehashing(
        &mut self,
        item: usize,
        put: PutRequest,
        source: SourceFile,
        upload: &Upload,
    ) -> Result<ActiveUpload> {
        let parts = self.committer.parts(upload.row)?;
        let upload = ActiveUpload::new(item, put, source, upload.clone(), Stage::Rehashing)?;
        Ok(upload.with_parts(parts))
    }

    /// Records that an upload of an earlier command belongs to the set of this one.
    fn join_set(&mut self, put: &PutRequest, upload: &Upload) {
        if let Some(file_set) = put
            .file_set
            .filter(|_| put.file_set != upload.intent.file_set)
        {
            let row = upload.row;
            self.committer.record(Record::JoinedSet { row, file_set });
        }
    }

    /// Makes this process drive an upload, and starts it. If that fails, other processes may drive
    /// it.
    pub(super) fn with_taken(
        &mut self,
        upload: &Upload,
        start: impl FnOnce(&mut Self, Upload) -> Result<Started>,
    ) -> Result<Started> {
        let upload = self.committer.take(upload)?;
        let row = upload.row;
        let started = start(self, upload);
        if started.is_err() {
            self.committer.record(Record::Released { row });
        }
        started
    }

    /// A new upload in place of an unfinished one, which is aborted first.
    fn start_replaced(&mut self, item: usize, new: NewUpload, upload: Upload) -> Result<Started> {
        let NewUpload { put, source, base } = new;
        if !upload.state.is_unfinished() {
            return self.choose_again(item, put, source);
        }
        if upload.intent.version.size == source.version().size {
            tracing::info!(
                "content type, metadata, attributes or the rule for an existing object differ: \
                 beginning a new upload"
            );
        } else {
            let changed = self.emit_changed(item, &upload, "its size has changed");
            tracing::info!(%changed, "beginning a new upload");
        }
        let parts = self.committer.parts(upload.row)?;
        let upload = ActiveUpload::new(item, put, source, upload, Stage::Aborting)?;
        let upload = upload.with_parts(parts).with_base(base);
        Ok(Started::Upload(Box::new(upload)))
    }

    /// Chooses again, because the process that drove the upload has ended it in the meantime.
    fn choose_again(
        &mut self,
        item: usize,
        put: PutRequest,
        source: SourceFile,
    ) -> Result<Started> {
        let wanted = [(put.name.as_str(), source.path(), source.version())];
        let instance_id = &self.info.instance_id;
        let candidates = self.committer.candidates(instance_id, &wanted)?.concat();
        self.start_put(item, put, source, &candidates)
    }

    /// An unfinished upload, at the stage from which it continues.
    pub(super) fn continue_upload(
        &mut self,
        item: usize,
        put: PutRequest,
        source: SourceFile,
        mut upload: Upload,
    ) -> Result<ActiveUpload> {
        let parts = self.committer.parts(upload.row)?;
        self.record_path(item, &mut upload, source.path());
        let is_touched = source.version() != upload.intent.version;
        // Parts without ETag are hashed again anyway. Their digests may be wrong if the
        // source was touched.
        let parts = parts
            .into_iter()
            .filter(|part: &Part| !is_touched || part.etag.is_some());
        let stage = match upload.id {
            _ if is_touched => Stage::Rehashing,
            None => Stage::Preparing,
            Some(_) => Stage::Rejoining,
        };
        let upload = ActiveUpload::new(item, put, source, upload, stage)?.with_parts(parts);
        if stage == Stage::Preparing {
            if !self.backend.capabilities().durable {
                let path = upload.path();
                tracing::warn!(
                    %path,
                    "if this upload has begun before, an empty multipart upload stays in the store until it is removed there"
                );
            }
            self.emit_plan(&upload);
        }
        Ok(upload)
    }

    /// Records new uploads, and launches them.
    fn start_new(&mut self, uploads: Vec<(usize, NewUpload)>) {
        let (mut intents, mut planned) = (Vec::new(), Vec::new());
        for (item, new) in uploads {
            match self.intent(&new.put, &new.source) {
                Ok(intent) => {
                    intents.push(intent);
                    planned.push((item, new));
                }
                Err(error) => {
                    self.report_failure(item, None, new.put.path.display().to_string(), &error);
                }
            }
        }
        if intents.is_empty() {
            return;
        }
        let recorded: Vec<Result<Option<Upload>>> = match self.committer.intend(intents) {
            Ok(recorded) => recorded.into_iter().map(Ok).collect(),
            Err(error) => planned.iter().map(|_| same_error(&error)).collect(),
        };
        crash::point("transfer.start.recorded");
        for ((item, NewUpload { put, source, base }), upload) in planned.into_iter().zip(recorded) {
            let again = Item::Put(put.clone());
            match upload.and_then(|upload| self.new_upload(item, put, source, upload)) {
                Ok(upload) => self.launch(Box::new(upload.with_base(base))),
                Err(error) => self.end_or_block(item, None, again, &error),
            }
        }
    }

    pub(super) fn intent(&self, put: &PutRequest, source: &SourceFile) -> Result<Intent> {
        check_key(put, &self.info)?;
        let plan = Plan::new(source.version().size, put.part_size, &self.info.limits)
            .map_err(plan_error)?;
        Ok(Intent {
            backend: self.options.backend.clone(),
            s3_service: self.options.s3_service.clone(),
            instance_id: self.info.instance_id.clone(),
            path: source.path().to_path_buf(),
            name: put.name.clone(),
            content_type: put.content_type.clone(),
            metadata: put.metadata.clone(),
            attributes: put.attributes.clone(),
            key: put.key.clone(),
            if_exists: put.key.as_ref().map(|_| put.if_exists),
            version: source.version(),
            part_size: plan.part_size(),
            stream: None,
            file_set: put.file_set,
        })
    }

    /// An upload that was just recorded; `recorded` is `None` if another process was first.
    pub(super) fn new_upload(
        &mut self,
        item: usize,
        put: PutRequest,
        source: SourceFile,
        recorded: Option<Upload>,
    ) -> Result<ActiveUpload> {
        let upload = recorded.ok_or_else(|| {
            let what = "another process has just begun an upload of this file";
            let hint = "wait for that process, or stop it; then run the command again";
            Error::new(Kind::Busy, what).with_hint(hint)
        })?;
        let upload = ActiveUpload::new(item, put, source, upload, Stage::Preparing)?;
        self.emit_plan(&upload);
        Ok(upload)
    }

    /// Ends an item that could not start. If another process drives its upload, the item waits for
    /// that process instead, for as long as the run may go without progress.
    fn end_or_block(&mut self, item: usize, id: Option<UploadId>, request: Item, error: &Error) {
        if error.kind() != Kind::Busy || self.stopping.is_some() {
            return self.report_failure(item, id, request.path(), error);
        }
        let now = Instant::now();
        let (since, earlier) = self.blocked.note(item, now);
        let give_up = self.options.give_up;
        if give_up.is_due(now, since, WaitingFor::Progress) {
            return self.report_failure(item, id, request.path(), error);
        }
        if earlier != Earlier::Same {
            self.committer.emit(Event::Blocked {
                item,
                upload: id,
                path: request.path(),
                message: error.to_string(),
                is_first: earlier == Earlier::None,
            });
        }
        let left = give_up.left(now, since, WaitingFor::Progress);
        self.blocked.check_later(item, request, now, left);
    }

    /// Starts the blocked items again that are due for a check, after those that have not started
    /// yet.
    pub(super) fn check_blocked(&mut self) {
        if self.blocked.is_empty() {
            return;
        }
        let now = Instant::now();
        self.pending.extend(self.blocked.take_due(now));
        // Waiting for another process is no failure to make progress.
        if self.has_no_uploads() {
            self.last_success = now;
        }
    }

    /// Starts the first task of an upload.
    fn launch(&mut self, mut upload: Box<ActiveUpload>) {
        let has_writer = upload.watch.may_be_mapped();
        self.note_writer(&mut upload, has_writer);
        let next = match upload.stage() {
            Stage::Preparing => self.prepare(&mut upload),
            stage => self.move_to(&mut upload, stage),
        };
        let last = self.uploads.len();
        self.apply(last, upload, next);
    }

    /// Reports the plan of an upload that is not complete.
    pub(super) fn emit_plan(&mut self, upload: &ActiveUpload) {
        self.emit_plan_with(upload, Stored::Bytes(upload.resumed_bytes));
    }

    /// Reports the plan of an upload that was complete before this run.
    pub(super) fn emit_plan_of_stored(&mut self, upload: &mut ActiveUpload) {
        upload.resumed_bytes = upload.plan.size();
        self.summary.bytes_skipped += upload.plan.size();
        self.emit_plan_with(upload, Stored::Object);
    }

    fn emit_plan_with(&mut self, upload: &ActiveUpload, stored: Stored) {
        let id = upload.upload.id.clone();
        let event = Event::plan(upload.item, id, &upload.put.path, &upload.plan, stored);
        let key = upload.upload.intent.key.clone();
        self.committer.emit(event.with_key(key));
    }

    /// Reports that a source has changed. Returns the error to use if this ends the upload.
    pub(super) fn emit_changed(&mut self, item: usize, upload: &Upload, why: &str) -> Error {
        let metadata = upload.intent.path.symlink_metadata();
        let is_deleted = metadata.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let why = if is_deleted { "it was deleted" } else { why };
        let path = upload.intent.path.display().to_string();
        let what = format!("{path} has changed since its upload began: {why}");
        self.committer.emit(Event::Changed {
            item,
            upload: upload.id.clone(),
            path,
            message: what.clone(),
        });
        let hint = if is_deleted {
            "restore the file; then put it again"
        } else {
            "run `upload put FILE --if-changed restart` to upload the file as it is now"
        };
        Error::new(Kind::SourceChanged, what).with_hint(hint)
    }
}
