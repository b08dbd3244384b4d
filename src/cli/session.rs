//! The common part of the commands that upload (`put`, `resume`): journal, reporter, signals,
//! receipt file, and the exit code.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::backend_handle::BackendHandle;
use super::backend_spec::BackendSpec;
use super::hint_commands::HintCommands;
use super::hint_put_flags::{ItemFlags, KeysByPath, PutFlags};
use super::notices::Notices;
use super::output::{self, LogFormat, LogOf};
use super::receipt_file::FileIdentity;
use super::receipt_target::ReceiptTarget;
use super::run_state::RunState;
use super::session_events::{completing_hints, recording};
use super::set_definition::SetDefinition;
use super::set_totals::RunSets;
use super::settings::{Settings, Target, Transfer};
use super::{rate_signals, receipt_file, resource_limits, signals};
use crate::backend::Limiter;
use crate::event::{Event, EventSender, OtherSources};
use crate::journal::{FileSet, Journal};
use crate::report::{self, Reporter};
use crate::transfer::{
    self, FirstCall, GiveUp, Item, Items, Jobs, PreviewOptions, StreamPut, Summary, WaitFor,
};
use upload_types::UploadId;
use upload_types::crash;
use upload_types::error::{Error, Kind, Result, merged_exit_code};
use upload_types::saturating;
use upload_types::wire::{BackendInfo, Proof};

/// The longest time without any response from the backend: after it, the address is probably wrong.
const MAX_UNANSWERED: Duration = Duration::from_mins(2);
/// How long a run without `--give-up-after` waits for a lock: a year, instead of forever.
const LOCK_TIMEOUT_WITHOUT_LIMIT: Duration = Duration::from_hours(8760);
/// The hint of a temporary failure before an upload has begun.
const RUN_AGAIN: &str = "run the command again";
/// The longest time from the first signal to the exit: 5 s for requests in flight, and a little to
/// record their results.
const STOP_TIMEOUT: Duration = Duration::from_millis(5500);

pub struct Session {
    journal: Journal,
    events: EventSender,
    /// Completes the hints of failures with the current backend; sends to `events`.
    sink: EventSender,
    stop: watch::Receiver<Option<u8>>,
    give_up: GiveUp,
    wait: WaitFor,
    sha256: bool,
    is_dry_run: bool,
    /// The flags of `put` that repeat its uploads, for hints.
    put_flags: PutFlags,
    keys_by_path: KeysByPath,
    sets: RunSets,
    commands: HintCommands,
    lock_timeout: Duration,
    jobs: Jobs,
    limiter: Arc<Limiter>,
    summary: Summary,
    /// The number of items so far.
    items: usize,
    /// The first item of the current backend.
    first_item: usize,
    threads: Vec<JoinHandle<Result<()>>>,
    state: RunState,
    notices: Notices,
    /// The backends of this run that were named for `proof: none`.
    unproven: BTreeSet<String>,
}

impl Session {
    /// Opens the journal and the reporter, and listens for signals.
    ///
    /// # Errors
    /// As for opening each of these.
    pub fn open(
        settings: &Settings,
        options: report::Options,
        transfer: &Transfer,
        commands: HintCommands,
    ) -> Result<Self> {
        let journal = Journal::open(&settings.journal()?)?;
        crash::point("cli.opened");
        let (events, receiver) = EventSender::channel();
        let reporter = Reporter::new(&options);
        let writer = reporter.log_writer();
        let log = writer.clone();
        output::init_log(LogOf::Client, settings.verbose(), LogFormat::Text, log);
        let limiter = Arc::new(Limiter::new(transfer.limit_rate));
        let notices = Notices::new(settings, writer);
        let (thread, end) = report::start(reporter, &options, receiver);
        let state = RunState::default();
        let last_events = events.clone();
        let (run, resume_command) = (state.clone(), commands.resume());
        let stop = listen(&limiter, &notices, move |signal| {
            let last = run.end(signal, &resume_command);
            for event in last {
                last_events.emit(event);
            }
            end.wait();
        })?;
        let threads = vec![thread];
        Ok(Self {
            journal,
            sink: recording(&events, &state),
            events,
            stop,
            give_up: give_up(transfer.give_up_after),
            wait: transfer.wait,
            sha256: transfer.sha256,
            is_dry_run: false,
            put_flags: PutFlags::default(),
            keys_by_path: KeysByPath::default(),
            sets: RunSets::default(),
            commands,
            lock_timeout: transfer.give_up_after.unwrap_or(LOCK_TIMEOUT_WITHOUT_LIMIT),
            jobs: transfer.jobs.map_or(Jobs::Auto, Jobs::Fixed),
            limiter,
            summary: Summary::default(),
            items: 0,
            first_item: 0,
            threads,
            state,
            notices,
            unproven: BTreeSet::new(),
        })
    }

    /// Writes the receipts of this run to a file, if one is named.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the file is one of `sources`, or belongs to the journal; [`Kind::Io`] if
    /// it cannot be written.
    pub fn write_receipts(
        &mut self,
        target: Option<&ReceiptTarget>,
        sources: impl IntoIterator<Item = FileIdentity>,
    ) -> Result<()> {
        let Some(target) = target else { return Ok(()) };
        let protected: Vec<FileIdentity> = sources
            .into_iter()
            .chain(
                self.journal
                    .files()
                    .iter()
                    .filter_map(|path| FileIdentity::of(path)),
            )
            .collect();
        let (events, thread) = receipt_file::tee(target, &protected, self.events.clone())?;
        self.threads.push(thread);
        self.sink = recording(&events, &self.state);
        self.events = events;
        Ok(())
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Nothing will be sent: the summary is that of a dry run.
    pub fn start_dry_run(&mut self) {
        self.is_dry_run = true;
    }

    /// The flags of `put` that repeat its uploads, for the commands in hints.
    pub fn repeat_flags(&mut self, flags: PutFlags) {
        self.put_flags = flags;
    }

    /// The keys of files, for the commands in hints. The caller adds the key of each file whose key
    /// `put FILE` alone would not choose.
    pub fn keys_by_path(&self) -> KeysByPath {
        self.keys_by_path.clone()
    }

    /// The number of the first item of the backend that [`Session::connect`] connected to.
    pub fn first_item(&self) -> usize {
        self.first_item
    }

    pub fn preview_options(&self) -> PreviewOptions {
        PreviewOptions {
            give_up: self.give_up,
            wait: self.wait,
            sha256: self.sha256,
        }
    }

    pub fn emit(&self, event: Event) {
        self.sink.emit(event);
    }

    /// Announces the sources and their sizes in the order of the items, before the first is opened.
    pub fn announce<'a>(&self, sources: impl IntoIterator<Item = (&'a Path, u64)>) {
        let (mut paths, mut bytes) = (Vec::new(), 0_u64);
        for (path, size) in sources {
            paths.push(path.display().to_string());
            bytes = bytes.saturating_add(size);
        }
        self.emit(Event::Sources { paths, bytes });
    }

    /// Announces that the sources are found while others are uploaded.
    pub fn announce_set(&self) {
        self.emit(self.sets.announcement());
    }

    /// Records a set, if its paths are UTF-8, and the beginning of its upload.
    ///
    /// # Errors
    /// As [`Journal::begin_set`].
    pub fn begin_set(&mut self, target: &Target, definition: &SetDefinition) -> Result<()> {
        let Some(intent) = definition.intent(target.name(), target.s3_service()) else {
            return Ok(());
        };
        let set = self.journal.begin_set(&intent)?;
        self.sets.start(set);
        Ok(())
    }

    /// Records that the upload of a set of the journal goes on.
    ///
    /// # Errors
    /// As [`Journal::take_set`].
    pub fn take_set(&mut self, set: &FileSet) -> Result<()> {
        let set = self.journal.take_set(set)?;
        self.sets.start(set);
        Ok(())
    }

    /// Names the sources of the sets that follow the next one.
    pub fn set_later_sets(&mut self, later: OtherSources) {
        self.sets.set_later(later);
    }

    /// Counts sources that are uploaded before the first set.
    pub fn count_before_sets(&mut self, files: u64, bytes: u64) {
        self.sets.count(files, bytes);
    }

    /// The backend and the prefix of the keys of the set that is uploaded now, for messages.
    pub fn set_destination(&mut self, destination: String) {
        self.sets.set_destination(destination);
    }

    /// The set that is uploaded now, if the journal has it.
    pub fn current_set(&self) -> Option<&FileSet> {
        self.sets.current()
    }

    /// Counts and reports the failure of a set whose files were not searched for, and ends it.
    pub fn fail_set(&mut self, name: &str, error: &Error) {
        self.sets.end(&self.journal);
        let item = self.items;
        self.count_found(1);
        self.fail(item, None, Path::new(name), error);
    }

    /// Whether the run has had no file, and nothing has failed.
    pub fn is_empty(&self) -> bool {
        self.items == 0 && self.summary.failures.is_empty()
    }

    /// Waits for a signal that ends the run, and returns the error for the items that remain.
    pub async fn wait_for_signal(&mut self) -> Error {
        let signal = self.stop.wait_for(Option::is_some).await;
        let signal = signal.map(|signal| signal.unwrap_or_default());
        match signal {
            Ok(signal) => Error::new(Kind::Interrupted(signal), "interrupted").with_hint(RUN_AGAIN),
            // No signal can arrive any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Connects to the backend of these items. If that fails, every item fails.
    pub async fn connect(
        &mut self,
        target: &Target,
        items: &Items,
    ) -> Option<(BackendHandle, BackendInfo)> {
        self.first_item = self.items;
        let keys_by_path = self.keys_by_path.clone();
        let flags = ItemFlags::of(
            items,
            self.first_item,
            target,
            &self.put_flags,
            keys_by_path,
        );
        let (state, totals) = (&self.state, self.sets.editor());
        self.sink = completing_hints(&self.events, state, &self.commands, target, flags, totals);
        if let Items::Known(items) = items {
            self.items += items.len();
        }
        let handle = match self.open_backend(target).await {
            Ok(handle) => handle,
            Err(error) => {
                self.fail_all(items, &error);
                return None;
            }
        };
        let mut stop = self.stop.clone();
        let info = transfer::handshake(handle.backend(), self.first_call(), &mut stop).await;
        match info {
            Ok(info) => {
                self.warn_without_proof(&handle, &info);
                Some((handle, info))
            }
            Err(error) => {
                self.fail_all(items, &error);
                handle.close().await;
                None
            }
        }
    }

    /// Names a backend whose store accepts any bytes, once in a run.
    fn warn_without_proof(&mut self, handle: &BackendHandle, info: &BackendInfo) {
        let name = handle.name();
        if info.proof == Proof::None && self.unproven.insert(name.to_owned()) {
            self.notices.warn(&format!(
                "{name} does not prove which bytes its store has (proof: none)"
            ));
        }
    }

    /// Opens the backend, unless a signal arrives first. A bucket whose store is not available is
    /// opened again. A lock of the embedded store has a limit of its own.
    async fn open_backend(&self, target: &Target) -> Result<BackendHandle> {
        let mut stop = self.stop.clone();
        let open = async || {
            let (lock_timeout, limiter) = (self.lock_timeout, Arc::clone(&self.limiter));
            let opened = BackendHandle::with_limits(target, lock_timeout, limiter, &self.notices);
            Box::pin(opened).await
        };
        if let BackendSpec::S3 { .. } = target.spec {
            return transfer::open_bucket(target.name(), open, self.first_call(), &mut stop).await;
        }
        tokio::select! {
            opened = open() => opened,
            Ok(signal) = stop.wait_for(Option::is_some) => {
                let kind = Kind::Interrupted(signal.unwrap_or_default());
                Err(Error::new(kind, "interrupted").with_hint(RUN_AGAIN))
            }
        }
    }

    fn first_call(&self) -> FirstCall<'_> {
        FirstCall {
            item: self.first_item,
            give_up: self.give_up,
            events: &self.sink,
        }
    }

    fn engine_options(&self, handle: &BackendHandle) -> transfer::Options {
        transfer::Options {
            backend: handle.name().to_owned(),
            s3_service: handle.s3_service().cloned(),
            resume_command: self.commands.resume(),
            first_item: self.first_item,
            jobs: self.jobs,
            limiter: Arc::clone(&self.limiter),
            max_open: resource_limits::max_open_parts(handle.gateway_place()),
            give_up: self.give_up,
            wait: self.wait,
            disk_failure: handle.disk_failure(),
            sha256: self.sha256,
        }
    }

    /// Transfers the items to one backend.
    pub async fn run(&mut self, target: &Target, items: impl Into<Items>) {
        let items = items.into();
        let Some((handle, info)) = self.reach(target, &items).await else {
            self.sets.end(&self.journal);
            return;
        };
        let options = self.engine_options(&handle);
        let (backend, stop) = (Arc::clone(handle.backend()), self.stop.clone());
        let summary = transfer::run(
            &mut self.journal,
            backend,
            info,
            &self.sink,
            options,
            items,
            stop,
        )
        .await;
        self.add(summary);
        self.sets.end(&self.journal);
        handle.close().await;
    }

    /// As [`Session::run`], for uploads whose sources were deleted: to resume them again does not
    /// help.
    pub async fn run_vanished(&mut self, target: &Target, items: Vec<Item>) {
        let resumable = self.summary.resumable;
        self.run(target, items).await;
        self.summary.resumable = resumable;
    }

    /// Connects to a backend that is to take items.
    async fn reach(
        &mut self,
        target: &Target,
        items: &Items,
    ) -> Option<(BackendHandle, BackendInfo)> {
        let reached = self.connect(target, items).await?;
        crash::point("cli.reached");
        Some(reached)
    }

    /// Adds the result of a run to the summary.
    fn add(&mut self, summary: Summary) {
        crash::point("cli.ran");
        self.count_found(summary.found);
        self.summary.completed += summary.completed;
        self.summary.already_stored += summary.already_stored;
        self.summary.from_journal += summary.from_journal;
        self.summary.failures.extend(summary.failures);
        self.summary.bytes_sent += summary.bytes_sent;
        self.summary.bytes_skipped += summary.bytes_skipped;
        self.summary.bytes_copied += summary.bytes_copied;
        self.summary.resumable |= summary.resumable;
    }

    /// Uploads a stream to a backend.
    pub async fn run_stream(&mut self, target: &Target, stream: StreamPut) {
        let items = Items::from(vec![Item::Put(stream.put.clone())]);
        let Some((handle, info)) = self.reach(target, &items).await else {
            return;
        };
        let options = self.engine_options(&handle);
        let (backend, stop) = (Arc::clone(handle.backend()), self.stop.clone());
        let summary = transfer::run_stream(
            &mut self.journal,
            backend,
            info,
            &self.sink,
            options,
            stream,
            stop,
        )
        .await;
        self.add(summary);
        handle.close().await;
    }

    /// Reports the plan of a stream. Reads nothing, and begins no upload.
    pub async fn preview_stream(&mut self, target: &Target, stream: &StreamPut) {
        self.start_dry_run();
        let items = Items::from(vec![Item::Put(stream.put.clone())]);
        let Some((handle, info)) = self.connect(target, &items).await else {
            return;
        };
        let item = self.first_item();
        match transfer::preview_stream(&info, item, stream) {
            Ok(event) => self.emit(event),
            Err(error) => self.fail(item, None, &stream.put.path, &error),
        }
        handle.close().await;
    }

    /// Counts items that were found while others were uploaded.
    pub fn count_found(&mut self, items: u64) {
        self.items += saturating::to_usize(items);
    }

    fn fail_all(&mut self, items: &Items, error: &Error) {
        let items = match items {
            Items::Known(items) => items,
            Items::Set(set) => {
                self.count_found(1);
                self.forget_new_set();
                return self.fail(self.first_item, None, Path::new(&set.name), error);
            }
        };
        for (index, item) in items.iter().enumerate() {
            let (path, upload) = match item {
                Item::Put(put) => (&put.path, None),
                Item::Resume(upload) => (&upload.intent.path, upload.id.clone()),
            };
            self.summary.resumable |= upload.is_some();
            self.fail(self.first_item + index, upload, path, error);
        }
    }

    /// Removes a set from the journal that this run has added: nothing of it was found yet.
    fn forget_new_set(&mut self) {
        if let Some(set) = self.sets.current().filter(|set| set.is_new)
            && let Err(error) = self.journal.delete_sets(&[set.row])
        {
            tracing::warn!(%error, "could not remove the set from the journal");
        }
    }

    /// Counts and reports the failure of one item outside the engine.
    pub fn fail(&mut self, item: usize, upload: Option<UploadId>, path: &Path, error: &Error) {
        let is_temporary = error.kind().exit_code() == Kind::Temporary.exit_code();
        let hint = error.hint().or(is_temporary.then_some(RUN_AGAIN));
        self.summary.failures.push(error.kind().exit_code());
        self.emit(Event::Failed {
            item,
            upload,
            path: path.display().to_string(),
            kind: error.kind().name(),
            message: error.to_string(),
            hint: hint.map(str::to_owned),
        });
    }

    /// Reports the end, and returns the exit code, which covers the uploads, the reporter and the
    /// receipt file.
    #[must_use]
    pub fn close(self) -> u8 {
        let Summary {
            completed,
            already_stored,
            from_journal,
            failures,
            bytes_sent,
            bytes_skipped,
            bytes_copied,
            mut resumable,
            found: _,
        } = self.summary;
        resumable |= self.sets.have_rest(&self.journal);
        let code = merged_exit_code(&failures);
        let (uploads, failed) = (self.items as u64, failures.len() as u64);
        self.events.emit(Event::Exit {
            code,
            uploads,
            completed,
            already_stored,
            from_journal,
            failed,
            bytes_sent,
            bytes_skipped,
            bytes_copied,
            skipped: self.state.skipped(),
            resumable,
            resume_command: self.commands.resume(),
            is_dry_run: self.is_dry_run,
        });
        drop((self.events, self.sink));
        crash::point("cli.reported");
        let mut codes = failures;
        for thread in self.threads {
            if let Ok(Err(error)) = thread.join() {
                output::eprint_error(&error);
                codes.push(error.kind().exit_code());
            }
        }
        merged_exit_code(&codes)
    }
}

/// Listens for the signals that change the rate or stop the run; each is acknowledged on standard
/// error.
fn listen(
    limiter: &Arc<Limiter>,
    notices: &Notices,
    on_exit: impl FnOnce(u8) + Clone + Send + 'static,
) -> Result<watch::Receiver<Option<u8>>> {
    let rate_notices = notices.clone();
    rate_signals::follow(Arc::clone(limiter), move |limit| {
        let limit = limit.map_or_else(|| "none".to_owned(), report::text::rate);
        let (notices, text) = (rate_notices.clone(), format!("rate limit: {limit}"));
        // A reader of standard error that reads nothing must not stop the transfer.
        tokio::task::spawn_blocking(move || notices.show(&text));
    })?;
    let stop_notices = notices.clone();
    let on_first = move || {
        stop_notices.show(
            "stopping: waiting up to 5 s for requests in flight; send the signal again to exit at once",
        );
    };
    signals::listen(signals::Hangup::Ends, || STOP_TIMEOUT, on_first, on_exit)
}

fn give_up(after: Option<Duration>) -> GiveUp {
    after.map_or(GiveUp::Never, |limit| GiveUp::After {
        unanswered: limit.min(MAX_UNANSWERED),
        unconfirmed: limit,
    })
}
