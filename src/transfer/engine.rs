//! The loop: starts tasks while there is room, takes their results, commits, and reports.
//!
//! Not here: what follows from a result (`transitions`, `part_transitions`), and how a run ends
//! (`finish`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use upload_types::PartNumber;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::{BackendInfo, ClaimRequest, ExistingObject, Receipt};

use super::active_upload::{ActiveUpload, Stage};
use super::backend_calls;
use super::batcher::CallBatcher;
use super::blocked::Blocked;
use super::committer::{Committer, wait_until};
use super::confirmations::Confirmations;
use super::deadline::WaitingFor;
use super::incoming::IncomingItems;
use super::items::{ItemSet, Items};
use super::load::{self, Load};
use super::moved_source::MovedSources;
use super::options::{Item, Options, Summary};
use super::retry::{self, Attempt, Verdict};
use super::signal::stop_signal;
use super::store_pinning::StorePinning;
use super::suspend;
use super::task::{PartResult, TaskResult, UploadResult, task_failed};
use super::throttle::Throttle;
use super::wait_ready::{VerifiedIn, Waits};
use crate::backend::Backend;
use crate::event::{Event, EventSender, EventSource};
use crate::journal::Journal;

/// How often progress is reported and retries are started.
pub(super) const TICK_INTERVAL: Duration = Duration::from_millis(100);
/// How often the lease of an upload is renewed without other calls. A gateway's lease lasts 60 s by
/// default.
pub(super) const LEASE_RENEW_INTERVAL: Duration = Duration::from_secs(20);
/// How long parts may still be sent after a signal.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);
/// The most threads that hash at the same time.
const MAX_HASHERS: usize = 8;

/// Uploads the items. Each ends with a `completed` or a `failed` event.
pub async fn run(
    journal: &mut Journal,
    backend: Arc<Backend>,
    info: BackendInfo,
    events: &EventSender,
    options: Options,
    items: impl Into<Items>,
    mut stop: watch::Receiver<Option<u8>>,
) -> Summary {
    let mut engine = Engine::new(journal, backend, info, events, options, items.into());
    let mut tick = tokio::time::interval(TICK_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut suspended = suspend::watch_suspension();
    loop {
        engine.start_tasks();
        engine.commit();
        if engine.is_done() {
            break;
        }
        let since = Instant::now();
        tokio::select! {
            Some(result) = engine.tasks.join_next() => {
                engine.on_event(since);
                engine.on_tasks(result);
            }
            incoming = engine.incoming.next(), if engine.wants_items() => {
                engine.on_event(since);
                engine.on_incoming(incoming);
            }
            _ = tick.tick() => {
                engine.on_event(since);
                engine.on_tick();
            }
            Ok(()) = suspended.changed() => {
                engine.on_event(since);
                engine.on_suspended();
            }
            () = wait_until(engine.committer.due()) => engine.on_event(since),
            signal = stop_signal(&mut stop), if engine.stopping.is_none() => {
                let deadline = Instant::now() + STOP_GRACE;
                engine.stopping = Some(Stopping { signal, deadline });
            }
        }
        engine.complete_sent();
    }
    engine.finish()
}

pub(super) struct Engine<'a> {
    pub(super) committer: Committer<'a>,
    pub(super) backend: Arc<Backend>,
    pub(super) info: BackendInfo,
    pub(super) options: Options,
    pub(super) throttle: Throttle,
    /// Items that are still being found.
    pub(super) incoming: IncomingItems,
    /// Items that have not started, in order.
    pub(super) pending: VecDeque<(usize, Item)>,
    /// Uploads under way, in the order in which they are served.
    #[expect(
        clippy::vec_box,
        reason = "each is removed and inserted at every transition"
    )]
    pub(super) uploads: Vec<Box<ActiveUpload>>,
    pub(super) waits: Waits,
    /// Finished uploads whose objects are to be confirmed.
    pub(super) confirmations: Confirmations,
    pub(super) blocked: Blocked,
    pub(super) tasks: JoinSet<TaskResult>,
    pub(super) stores: StorePinning,
    pub(super) moved: MovedSources,
    pub(super) batcher: CallBatcher,
    pub(super) summary: Summary,
    /// When a byte was last confirmed, or the backend last responded.
    pub(super) last_success: Instant,
    pub(super) last_error: Option<String>,
    pub(super) stopping: Option<Stopping>,
    hashers: usize,
}

/// The run ends because of a signal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stopping {
    pub(super) signal: u8,
    /// When tasks that are still running are aborted.
    deadline: Instant,
}

/// The next step of an upload after a result.
pub(super) enum Next {
    /// It stays under way.
    Continue,
    /// The backend has verified it.
    Verified(Box<Receipt>),
    /// It was verified before this run.
    AlreadyThere(Box<Receipt>),
    /// The object at its key has the content of the source.
    SameContent(Box<Receipt>),
    /// An object is at its key, and the source is left out.
    Skip(Box<ExistingObject>),
    /// A new upload of the same source replaces it.
    Restart,
}

impl<'a> Engine<'a> {
    fn new(
        journal: &'a mut Journal,
        backend: Arc<Backend>,
        info: BackendInfo,
        events: &'a EventSender,
        options: Options,
        items: Items,
    ) -> Self {
        let now = Instant::now();
        let mut committer = Committer::new(journal, events);
        if let Items::Set(ItemSet {
            recorded: Some((row, progress)),
            ..
        }) = &items
        {
            committer.count_set(*row, *progress);
        }
        let known = committer.stores(&info.instance_id);
        let (known, failed) = match known {
            Ok(known) => (known, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let (pending, incoming) = IncomingItems::split(items, options.first_item);
        let waits = Waits::new(options.wait.at(&info));
        let hashers = std::thread::available_parallelism();
        let mut engine = Self {
            committer,
            stores: StorePinning::new(known, &backend),
            backend,
            info,
            throttle: Throttle::new(options.jobs, options.max_open, now),
            pending,
            incoming,
            moved: MovedSources::default(),
            waits,
            confirmations: Confirmations::default(),
            blocked: Blocked::default(),
            options,
            uploads: Vec::new(),
            tasks: JoinSet::new(),
            batcher: CallBatcher::default(),
            summary: Summary::default(),
            last_success: now,
            last_error: None,
            stopping: None,
            hashers: hashers.map_or(2, |count| count.get().min(MAX_HASHERS)),
        };
        if let Some(error) = failed {
            engine.fail_all(&error);
        }
        engine
    }

    /// An event has arrived for which the loop has waited since `since`. The time for which this
    /// process was stopped does not count towards limits.
    fn on_event(&mut self, since: Instant) {
        if let Some(pause) = suspend::pause(since.elapsed()) {
            self.last_success += pause;
            self.blocked.skip(pause);
            self.waits.skip(pause);
        }
    }

    fn is_done(&self) -> bool {
        let Some(stopping) = self.stopping else {
            let has_started = !self.incoming.is_open()
                && self.pending.is_empty()
                && self.blocked.is_empty()
                && self.moved.is_empty();
            return has_started && self.has_no_uploads();
        };
        let is_needed = |upload: &ActiveUpload| {
            upload.parts.is_sending() || upload.stage() == Stage::Completing
        };
        let is_needed = self.uploads.iter().any(|upload| is_needed(upload));
        !is_needed || Instant::now() >= stopping.deadline
    }

    /// Whether no upload is under way, waits for hooks, or is to be confirmed.
    pub(super) fn has_no_uploads(&self) -> bool {
        self.uploads.is_empty() && self.waits.is_empty() && self.confirmations.is_empty()
    }

    /// Starts the tasks for which there is room.
    fn start_tasks(&mut self) {
        if self.stopping.is_none() {
            self.check_blocked();
            self.start_items();
            self.start_confirmations();
            self.start_parts();
        }
        self.start_batches();
        if self.stopping.is_none() {
            self.start_polls();
        }
    }

    fn start_parts(&mut self) {
        let now = Instant::now();
        let mut load = self.load();
        let rate_limit = self.options.limiter.rate();
        let mut sending: u64 = self.uploads.iter().map(|upload| upload.sending_len()).sum();
        for index in 0..self.uploads.len() {
            let stage = self.uploads[index].stage();
            let is_active = matches!(stage, Stage::Sending | Stage::Preparing);
            if !is_active || self.uploads[index].watch.is_checking_content() {
                continue;
            }
            let others = load.minus(self.uploads[index].queue.load());
            self.uploads[index].queue.requeue_due(now);
            load = others.plus(self.uploads[index].queue.load());
            let room = load::room(load, self.throttle.jobs(), self.hashers);
            let max_sending = self.throttle.max_sending(now);
            let send = room.send.min(max_sending.saturating_sub(load.sending));
            let len = self.uploads[index].max_part_len();
            for _ in 0..send {
                if !load::fits_rate_limit(rate_limit, sending, len) {
                    break;
                }
                let Some(entry) = self.uploads[index].queue.start_sending(now) else {
                    break;
                };
                self.send_part(index, entry);
                sending += len;
            }
            if stage == Stage::Sending {
                self.sign_parts(index, room.sign);
            }
            for _ in 0..room.hash {
                let Some(number) = self.uploads[index].queue.start_hashing() else {
                    break;
                };
                self.hash_part(index, number);
            }
            load = others.plus(self.uploads[index].queue.load());
        }
    }

    /// The number of parts in each step, of all uploads together.
    fn load(&self) -> Load {
        let loads = self.uploads.iter().map(|upload| upload.queue.load());
        loads.fold(Load::default(), Load::plus)
    }

    /// Makes the calls of small uploads that are due, together.
    fn start_batches(&mut self) {
        loop {
            let rows = self.batcher.next_batch(Instant::now());
            if rows.is_empty() {
                return;
            }
            let mut calls = Vec::with_capacity(rows.len());
            for row in rows {
                let Some((index, mut upload)) = self.take_upload(row) else {
                    continue;
                };
                let next = self.batch_call(&mut upload).map(|call| {
                    calls.extend(call.map(|call| (row, call)));
                    Next::Continue
                });
                self.apply(index, upload, next);
            }
            let backend = Arc::clone(&self.backend);
            let call =
                async move { TaskResult::Batch(backend_calls::call_batch(&backend, calls).await) };
            self.committer.defer(None, Box::pin(call));
        }
    }

    fn start_polls(&mut self) {
        for (row, id) in self.waits.start_polls(Instant::now()) {
            let backend = Arc::clone(&self.backend);
            self.tasks.spawn(async move {
                TaskResult::Status(row, backend.status(&id).await.map(Box::new))
            });
        }
    }

    /// Starts a task about an upload after the next commit.
    pub(super) fn defer(
        &mut self,
        upload: &ActiveUpload,
        task: impl Future<Output = UploadResult> + Send + 'static,
    ) {
        let row = upload.row();
        let task = async move { TaskResult::Upload(row, task.await) };
        self.committer.defer(Some(row), Box::pin(task));
    }

    /// Starts a task about parts. It does not depend on a record, so it does not wait for a commit.
    pub(super) fn spawn_part(
        &mut self,
        index: usize,
        task: impl Future<Output = PartResult> + Send + 'static,
    ) {
        let upload = &mut self.uploads[index];
        let (row, generation) = (upload.row(), upload.queue_generation);
        let task = self.tasks.spawn(async move {
            TaskResult::Upload(row, UploadResult::Part(generation, task.await))
        });
        upload.keep_task(task);
    }

    /// Ends all tasks of an upload.
    pub(super) fn cancel_tasks(&mut self, upload: &mut ActiveUpload) {
        self.committer.cancel(upload.row());
        upload.abort_tasks();
    }

    /// Commits if that is due: writes the records, reports the events, starts the deferred tasks.
    pub(super) fn commit(&mut self) {
        match self.committer.commit() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => self.on_commit_failed(&error),
        }
        for deferred in self.committer.report() {
            match deferred.row {
                None => {
                    self.tasks.spawn(deferred.task);
                }
                Some(row) => {
                    let upload = self.uploads.iter_mut().find(|upload| upload.row() == row);
                    if let Some(upload) = upload {
                        upload.keep_task(self.tasks.spawn(deferred.task));
                    }
                }
            }
        }
        crash::point("transfer.commit.started");
    }

    fn on_tasks(&mut self, result: Result<TaskResult, JoinError>) {
        self.on_task(result);
        while let Some(result) = self.tasks.try_join_next() {
            self.on_task(result);
        }
    }

    /// Handles the result of a task. A result for an upload that has ended is ignored.
    fn on_task(&mut self, result: Result<TaskResult, JoinError>) {
        match result {
            Ok(TaskResult::Upload(row, result)) => self.on_upload_result(row, result),
            Ok(TaskResult::Status(row, status)) => self.on_status(row, status),
            Ok(TaskResult::Present(call, result)) => self.on_present(call, result),
            Ok(TaskResult::Searched(files, found)) => self.on_searched(files, found),
            Ok(TaskResult::Batch(results)) => {
                self.batcher.on_call_ended();
                for (row, result) in results {
                    self.on_upload_result(row, result);
                }
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.fail_all(&task_failed(error)),
        }
    }

    fn on_upload_result(&mut self, row: i64, result: UploadResult) {
        if let Some((index, mut upload)) = self.take_upload(row) {
            let next = self.on_result(&mut upload, result);
            self.apply(index, upload, next);
        }
    }

    fn take_upload(&mut self, row: i64) -> Option<(usize, Box<ActiveUpload>)> {
        let index = self.uploads.iter().position(|upload| upload.row() == row)?;
        Some((index, self.uploads.remove(index)))
    }

    /// Applies the next step of an upload that was taken from `index`.
    pub(super) fn apply(
        &mut self,
        index: usize,
        mut upload: Box<ActiveUpload>,
        next: Result<Next>,
    ) {
        let next = match next {
            Ok(Next::Restart) => self.restart(&mut upload).map(|()| Next::Continue),
            next => next,
        };
        match next {
            // Meanwhile, a failure may have ended other uploads.
            Ok(Next::Continue) => self.uploads.insert(index.min(self.uploads.len()), upload),
            Ok(Next::Verified(receipt)) => self.on_verified(&upload, receipt, VerifiedIn::ThisRun),
            Ok(Next::AlreadyThere(receipt)) => {
                self.on_verified(&upload, receipt, VerifiedIn::EarlierRun);
            }
            Ok(Next::SameContent(receipt)) => self.on_same_content(&upload, receipt),
            Ok(Next::Skip(existing)) => self.report_kept(&upload, &existing),
            // Handled above.
            Ok(Next::Restart) => {}
            Err(error) => self.fail(&upload, &error),
        }
    }

    /// Advances every upload whose parts are all stored.
    fn complete_sent(&mut self) {
        let mut index = 0;
        while index < self.uploads.len() {
            let upload = &self.uploads[index];
            let is_sent = upload.stage() == Stage::Sending && upload.queue.is_empty();
            if !is_sent || self.stopping.is_some() {
                index += 1;
                continue;
            }
            let mut upload = self.uploads.remove(index);
            let others = self.uploads.len();
            let next = self.on_all_stored(&mut upload);
            self.apply(index, upload, next);
            index += self.uploads.len().saturating_sub(others);
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        for index in 0..self.uploads.len() {
            let upload = &mut self.uploads[index];
            if upload.has_advanced() {
                self.last_success = now;
            }
            let progress = upload.progress(now);
            let holds_lease = matches!(upload.stage(), Stage::Sending | Stage::FinalCheck);
            let is_quiet = now.saturating_duration_since(upload.last_call) >= LEASE_RENEW_INTERVAL;
            let must_renew = holds_lease && is_quiet && self.stopping.is_none();
            self.committer.emit(progress);
            if must_renew {
                self.renew_lease(index);
            }
        }
        // A search for moved sources needs no backend.
        if self.uploads.is_empty() && !self.moved.is_empty() {
            self.last_success = now;
        }
        self.report_selection();
        self.check_versions(now);
        self.measure_throughput(now);
        self.fail_late_waits(now);
        if let Some(cause) = self.options.disk_failure.get() {
            let what = format!("could not write to the disk of this machine: {cause}");
            let hint = "free disk space; then run the command again";
            self.fail_all(&Error::new(Kind::Io, what).with_hint(hint));
        }
        if self.waits_for_items() {
            self.last_success = now;
        }
        let give_up = self.options.give_up;
        if self.stopping.is_none() && give_up.is_due(now, self.last_success, WaitingFor::Progress) {
            self.on_given_up();
        }
    }

    /// Reports to the throttle which pieces of long parts were sent, and whether parts wait because
    /// of its limit.
    fn measure_throughput(&mut self, now: Instant) {
        let throttle = &mut self.throttle;
        for upload in &mut self.uploads {
            upload
                .parts
                .report_pieces(now, |since, bytes| throttle.on_piece(now, since, bytes));
        }
        let is_limited = self.load().sending >= self.throttle.jobs();
        let has_more = !self.pending.is_empty() && self.uploads.len() >= self.max_large_uploads();
        self.throttle.on_tick(now, is_limited || has_more);
    }

    fn renew_lease(&mut self, index: usize) {
        let upload = &mut self.uploads[index];
        upload.last_call = Instant::now();
        let Some(id) = upload.upload.id.clone() else {
            return;
        };
        let claim = ClaimRequest {
            holder: upload.upload.holder.clone(),
            epoch: Some(upload.epoch),
        };
        let (row, backend) = (upload.row(), Arc::clone(&self.backend));
        let task = self.tasks.spawn(async move {
            let renewed = backend.claim(&id, &claim).await;
            TaskResult::Upload(row, UploadResult::LeaseRenewed(renewed))
        });
        upload.keep_task(task);
    }

    /// Judges a failed call about an upload. Returns how long to wait before it is repeated.
    ///
    /// # Errors
    /// The error itself, if the call must not be repeated.
    pub(super) fn retry_delay(
        &mut self,
        upload: &mut ActiveUpload,
        error: Error,
    ) -> Result<Duration> {
        let attempt = match upload.stage() {
            Stage::Rehashing | Stage::FinalCheck | Stage::Comparing => Attempt::Bytes,
            _ => Attempt::Call,
        };
        let failures = &mut upload.call_failures;
        match retry::judge(error.kind(), attempt, failures, fastrand::f64()) {
            Verdict::ListParts | Verdict::Stop => Err(error),
            Verdict::Retry(wait) => {
                let attempts = failures.attempts;
                upload.last_failure = Some(error.kind());
                if matches!(error.kind(), Kind::Throttled(_)) {
                    let now = Instant::now();
                    self.throttle.on_throttled(now, now);
                }
                self.emit_retry(upload.event_source(), None, attempts, &error, wait);
                Ok(wait)
            }
        }
    }

    /// Reports a failure that is followed by a retry.
    pub(super) fn emit_retry(
        &mut self,
        source: EventSource,
        number: Option<PartNumber>,
        attempts: u32,
        error: &Error,
        wait: Duration,
    ) {
        self.last_error = Some(error.to_string());
        let event = Event::retry(source, number, attempts, error, wait);
        self.committer.emit(event);
    }
}
