//! One command that uploads: its journal, its screen, its signals, and the exit code in the end.
//!
//! Border: the frame around the engine that `put` and `resume` share.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::backend_handle::Connected;
use super::backend_spec::BackendSpec;
use super::settings::{Connection, Settings, Transfer};
use super::{rate_signals, receipt_file, resource_limits, signals};
use crate::backend::Limiter;
use crate::event::{self, Event, Sink};
use crate::journal::{Journal, Upload};
use crate::report::{self, Reporter};
use crate::transfer::{self, GiveUp, Item, Jobs, Summary, WaitFor};
use upload_types::crash;
use upload_types::error::{Error, Kind, Result, merged_exit_code};
use upload_types::names::UploadId;
use upload_types::wire::BackendInfo;

/// Waiting for a first answer for longer than this is waiting for a wrong address.
const UNANSWERED: Duration = Duration::from_mins(2);
/// For verbs that never give up.
const FOREVER: Duration = Duration::from_hours(8760);

pub struct Session {
    pub journal: Journal,
    pub sink: Sink,
    pub stop: watch::Receiver<Option<u8>>,
    give_up: GiveUp,
    wait: WaitFor,
    /// What continues, as it has to be typed.
    resume: String,
    lock_wait: Duration,
    jobs: Jobs,
    limiter: Arc<Limiter>,
    summary: Summary,
    /// Sources so far, and which of them is the first of those in work.
    items: usize,
    pub first: usize,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Session {
    /// Opens the journal, the screen and the receipt file, and listens for signals. `resume` is the command that continues.
    ///
    /// # Errors
    /// What cannot be opened.
    pub fn open(
        settings: &Settings,
        options: report::Options,
        transfer: &Transfer,
        resume: String,
    ) -> Result<Self> {
        let journal = Journal::open(&settings.journal()?)?;
        crash::point("cli.opened");
        let (sink, events) = Sink::channel();
        let reporter = Reporter::new(&options);
        let mut screen = reporter.log_writer();
        super::log(settings.common.verbose, false, screen.clone());
        let quiet = settings.common.quiet;
        let limiter = Arc::new(Limiter::new(transfer.limit_rate));
        let mut desk = screen.clone();
        rate_signals::follow(Arc::clone(&limiter), move |limit| {
            if !quiet {
                let limit = limit.map_or("none".to_owned(), report::text::rate);
                let _ = writeln!(desk, "limit of the rate: {limit}");
            }
        })?;
        let stop = signals::listen(signals::LAST, move || {
            if !quiet {
                // A screen that is gone wants to know nothing.
                let _ = writeln!(
                    screen,
                    "stopping: what is on the wire may end, up to 5 s; once more to leave at once"
                );
            }
        })?;
        let mut threads = vec![report::start(reporter, &options, events)];
        let sink = match &transfer.receipt {
            None => sink,
            Some(path) => {
                let (tee, thread) = receipt_file::tee(path, sink)?;
                threads.push(thread);
                tee
            }
        };
        let give_up = transfer
            .give_up_after
            .map_or(GiveUp::Never, |limit| GiveUp::After {
                unanswered: limit.min(UNANSWERED),
                unconfirmed: limit,
            });
        let lock_wait = transfer.give_up_after.unwrap_or(FOREVER);
        let jobs = transfer.jobs.map_or(Jobs::Auto, Jobs::Fixed);
        let summary = Summary::default();
        Ok(Self {
            journal,
            sink,
            stop,
            give_up,
            wait: transfer.wait,
            resume,
            lock_wait,
            jobs,
            limiter,
            summary,
            items: 0,
            first: 0,
            threads,
        })
    }

    /// Tells how many sources there are, and their bytes, before the first is opened.
    pub fn announce(&self, sizes: impl IntoIterator<Item = u64>) {
        let (mut count, mut bytes) = (0, 0_u64);
        for size in sizes {
            (count, bytes) = (count + 1, bytes.saturating_add(size));
        }
        self.sink.tell(Event::Sources { count, bytes });
    }

    /// Connects to a backend, unless a signal comes first.
    async fn connect(
        &mut self,
        settings: &Settings,
        spec: &BackendSpec,
        connection: &Connection,
    ) -> Result<Connected> {
        let mut stop = self.stop.clone();
        tokio::select! {
            connected = Connected::new(settings, spec, connection, self.lock_wait, Arc::clone(&self.limiter)) => connected,
            Ok(signal) = stop.wait_for(Option::is_some) => {
                Err(Error::new(Kind::Interrupted(signal.unwrap_or_default()), "interrupted"))
            }
        }
    }

    /// Reaches a backend and asks what it is. What keeps all the items from beginning fails each of them.
    pub async fn reach(
        &mut self,
        settings: &Settings,
        spec: &BackendSpec,
        connection: &Connection,
        items: &[Item],
    ) -> Option<(Connected, BackendInfo)> {
        self.first = self.items;
        self.items += items.len();
        let connected = match self.connect(settings, spec, connection).await {
            Ok(connected) => connected,
            Err(error) => {
                self.fail(items, &error);
                return None;
            }
        };
        match transfer::greet(
            &connected.backend,
            &self.options(&connected),
            &self.sink,
            &mut self.stop,
        )
        .await
        {
            Ok(info) => Some((connected, info)),
            Err(error) => {
                self.fail(items, &error);
                connected.close().await;
                None
            }
        }
    }

    fn options(&self, connected: &Connected) -> transfer::Options {
        transfer::Options {
            backend: connected.name.clone(),
            resume: self.resume.clone(),
            first: self.first,
            jobs: self.jobs,
            most: resource_limits::most(connected.is_here()),
            give_up: self.give_up,
            wait: self.wait,
        }
    }

    /// Does the items against one backend.
    pub async fn run(
        &mut self,
        settings: &Settings,
        spec: &BackendSpec,
        connection: &Connection,
        items: Vec<Item>,
    ) {
        let Some((connected, info)) = self.reach(settings, spec, connection, &items).await else {
            return;
        };
        crash::point("cli.reached");
        let options = self.options(&connected);
        let (backend, stop) = (connected.backend.clone(), self.stop.clone());
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
        crash::point("cli.ran");
        self.summary.completed += summary.completed;
        self.summary.failures.extend(summary.failures);
        self.summary.bytes_sent += summary.bytes_sent;
        self.summary.bytes_skipped += summary.bytes_skipped;
        self.summary.resumable |= summary.resumable;
        connected.close().await;
    }

    /// Tells of an upload that was finished earlier, for which nobody is to be asked; false for any other.
    pub fn tell_finished(&mut self, upload: &Upload) -> bool {
        let known = upload.id.clone().zip(upload.receipt.clone());
        let Some((id, receipt)) = known.filter(|_| self.wait == WaitFor::Verified) else {
            return false;
        };
        self.sink.tell(Event::Completed {
            item: self.items,
            upload: id,
            receipt,
            already: true,
        });
        self.items += 1;
        self.summary.completed += 1;
        true
    }

    /// Fails items that could not even begin.
    pub fn fail(&mut self, items: &[Item], error: &Error) {
        for (item, ask) in items.iter().enumerate() {
            let (path, upload) = match ask {
                Item::Put(put) => (&put.path, None),
                Item::Resume(upload) => (&upload.intent.path, upload.id.clone()),
            };
            self.summary.resumable |= upload.is_some();
            self.failed(self.first + item, upload, path, error);
        }
    }

    /// Counts and tells a failure that came before the engine.
    pub fn failed(&mut self, item: usize, upload: Option<UploadId>, path: &Path, error: &Error) {
        self.summary.failures.push(error.kind().exit_code());
        self.sink.tell(Event::Failed {
            item,
            upload,
            path: path.display().to_string(),
            kind: error.kind().name(),
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
        });
    }

    /// Tells the end and gives the exit code: of the uploads, or of the screen and the receipt where those failed.
    #[must_use]
    pub fn close(self) -> u8 {
        let Summary {
            completed,
            failures,
            bytes_sent,
            bytes_skipped,
            resumable,
        } = self.summary;
        let code = merged_exit_code(&failures);
        let (uploads, failed) = (self.items as u64, failures.len() as u64);
        self.sink.tell(Event::Exit {
            code,
            uploads,
            completed,
            failed,
            bytes_sent,
            bytes_skipped,
            resumable,
        });
        drop(self.sink);
        crash::point("cli.told");
        let mut codes = failures;
        for thread in self.threads {
            if let Ok(Err(error)) = thread.join() {
                super::tell(&error);
                codes.push(error.kind().exit_code());
            }
        }
        if codes.is_empty() {
            code
        } else {
            merged_exit_code(&codes)
        }
    }
}

/// The last line of a stream of events that never began.
///
/// # Errors
/// [`Kind::Io`] when standard output fails other than by being closed.
pub fn tell_nothing_began(error: &Error) -> Result<()> {
    let code = error.kind().exit_code();
    let exit = Event::Exit {
        code,
        uploads: 0,
        completed: 0,
        failed: 0,
        bytes_sent: 0,
        bytes_skipped: 0,
        resumable: false,
    };
    super::config::print(&format!("{}\n", event::line(&exit)))
}
