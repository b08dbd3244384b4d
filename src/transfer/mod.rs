//! The engine: drives uploads from source to receipt. One loop owns the journal; it spawns units of work, writes
//! what they came to into the journal first, and tells of it second.
//!
//! Border: order and effects. What is outstanding is `resume`'s to say, what to retry `retry`'s, how much at once `pace`'s,
//! all pure; how bytes move is `part`'s and `backend`'s.

mod admit;
mod budget;
mod commit;
mod ends;
mod flight;
mod greet;
mod jobs;
mod outbox;
mod pace;
mod part;
mod parts;
mod plan_error;
mod queue;
mod resume;
mod retry;
mod step;
mod stores;
mod unit;
mod waits;
mod wake;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

pub use flight::{OnChange, Put};
pub use greet::greet;
pub use jobs::Jobs;
pub use pace::GiveUp;
pub use plan_error::plan_error;
pub use resume::{Choice, agreed, choose};
pub use unit::{begin, recall};
pub use waits::WaitFor;

use crate::backend::Backend;
use crate::event::{Event, Sink};
use crate::journal::{Journal, Note, Upload};
use budget::Budget;
use flight::{Flight, Stage};
use jobs::Lanes;
use outbox::Outbox;
use pace::Load;
use retry::Verdict;
use unit::{Landed, PartUnit, Pending, Unit};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{PartNumber, UploadId};
use upload_types::wire::{BackendInfo, ClaimRequest, Receipt};
use waits::Waiting;

/// How often progress is told and waiting parts are looked at.
const TICK: Duration = Duration::from_millis(100);
/// A lease ages out after 60 s without a call.
const RENEW: Duration = Duration::from_secs(20);
/// What is on the wire when a signal comes may take this long to end.
const DRAIN: Duration = Duration::from_secs(5);
/// So many small files are under way at once, if they have no more bytes than this; of large ones, a few.
const SMALL: usize = 128;
const SMALL_BYTES: u64 = 32 << 20;

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The backend as the user names it: in the journal and in receipts.
    pub backend: String,
    /// The command that goes on with what is unfinished, as it has to be typed.
    pub resume: String,
    /// The number of the first item, where a command has had others before.
    pub first: usize,
    /// Parts on the wire, over all uploads.
    pub jobs: Jobs,
    /// Parts on the wire, and sources open, at most: as many descriptors as there are.
    pub most: usize,
    pub give_up: GiveUp,
    pub wait: WaitFor,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Item {
    Put(Put),
    Resume(Box<Upload>),
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Summary {
    pub completed: u64,
    /// The exit code of each failure.
    pub failures: Vec<u8>,
    /// Bytes of parts that were sent and acknowledged.
    pub bytes_sent: u64,
    /// Bytes that did not have to be sent.
    pub bytes_skipped: u64,
    /// Something is left that `resume` can go on with.
    pub resumable: bool,
}

/// Does all the items and says what came of them. Each ends in a `completed` or a `failed` event.
pub async fn run(
    journal: &mut Journal,
    backend: Arc<Backend>,
    info: BackendInfo,
    sink: &Sink,
    options: Options,
    items: Vec<Item>,
    mut stop: watch::Receiver<Option<u8>>,
) -> Summary {
    let mut engine = Engine {
        journal,
        backend,
        info,
        sink,
        hashers: std::thread::available_parallelism().map_or(2, |cores| cores.get().min(8)),
        waiting: items
            .into_iter()
            .enumerate()
            .map(|(index, item)| (options.first + index, item))
            .collect(),
        lanes: Lanes::new(options.jobs, Instant::now()),
        budget: Budget::default(),
        options,
        flights: Vec::new(),
        waits: Vec::new(),
        units: JoinSet::new(),
        stores: Vec::new(),
        outbox: Outbox::default(),
        posts: Vec::new(),
        notes: Vec::new(),
        events: Vec::new(),
        landed: Vec::new(),
        commit_by: None,
        summary: Summary::default(),
        last_success: Instant::now(),
        last_error: None,
        stopping: None,
    };
    if let Err(error) = engine.recall_stores() {
        engine.fail_all(&error);
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut woken = wake::watch();
    loop {
        engine.fill();
        engine.post();
        engine.ask_of_waits();
        engine.flush();
        if engine.is_done() {
            break;
        }
        let commit_by = engine.commit_by;
        tokio::select! {
            Some(landed) = engine.units.join_next() => {
                engine.land(landed);
                while let Some(landed) = engine.units.try_join_next() {
                    engine.land(landed);
                }
            }
            _ = tick.tick() => engine.tick(),
            Ok(()) = woken.changed() => engine.wake(),
            () = commit::due(commit_by) => {}
            signal = stopped(&mut stop), if engine.stopping.is_none() => {
                engine.stopping = Some((signal, Instant::now() + DRAIN));
            }
        }
        engine.settle();
    }
    engine.end()
}

struct Engine<'a> {
    journal: &'a mut Journal,
    backend: Arc<Backend>,
    info: BackendInfo,
    sink: &'a Sink,
    options: Options,
    /// How many parts may be on the wire.
    lanes: Lanes,
    /// How many of them, while hardly anything is stored.
    budget: Budget,
    hashers: usize,
    waiting: VecDeque<(usize, Item)>,
    /// In the order they were asked for, which is the order they are served in.
    #[expect(
        clippy::vec_box,
        reason = "each is taken out and put back at every step"
    )]
    flights: Vec<Box<Flight>>,
    /// Verified, and to be checked further by the backend.
    waits: Vec<Waiting>,
    units: JoinSet<Landed>,
    /// Where parts went to, as the journal knows.
    stores: Vec<String>,
    outbox: Outbox,
    /// Calls about several uploads, not yet started.
    posts: Vec<Pending<Landed>>,
    /// What is to be written down, and what is to be told once it is.
    notes: Vec<Note>,
    events: Vec<Event>,
    /// Items that are done once that is written, and their paths.
    landed: Vec<(usize, String)>,
    /// When notes are written at the latest. Calls wait for that.
    commit_by: Option<Instant>,
    summary: Summary,
    last_success: Instant,
    last_error: Option<String>,
    /// The signal that came, and when patience ends.
    stopping: Option<(u8, Instant)>,
}

/// What becomes of an upload after a step.
enum Fate {
    Flying,
    /// The receipt, and whether it was there before.
    Landed(Box<Receipt>, bool),
    /// Its place is taken by a new upload of the same source.
    Anew,
}

impl Engine<'_> {
    fn is_done(&self) -> bool {
        match self.stopping {
            None => self.flights.is_empty() && self.waiting.is_empty() && self.waits.is_empty(),
            Some((_, deadline)) => {
                let on_the_wire = |flight: &Flight| {
                    !flight.putting.is_empty() || flight.stage == Stage::Completing
                };
                !self.flights.iter().any(|flight| on_the_wire(flight)) || Instant::now() >= deadline
            }
        }
    }

    /// Starts whatever there is room for.
    fn fill(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        self.admit_more();
        let now = Instant::now();
        let mut load = self.load();
        for index in 0..self.flights.len() {
            let stage = self.flights[index].stage;
            if !matches!(stage, Stage::Sending | Stage::Preparing) {
                continue;
            }
            let others = load.without(self.flights[index].queue.load());
            self.flights[index].queue.wake(now);
            load = others.with(self.flights[index].queue.load());
            let room = pace::room(load, self.jobs(), self.hashers);
            let may = self
                .budget
                .most(now, self.jobs())
                .saturating_sub(load.putting);
            for _ in 0..room.put.min(may) {
                let Some(ready) = self.flights[index].queue.next_to_put(now) else {
                    break;
                };
                self.put(index, ready);
            }
            if stage == Stage::Sending {
                self.sign(index, room.sign);
            }
            for _ in 0..room.hash {
                let Some(number) = self.flights[index].queue.next_to_hash() else {
                    break;
                };
                self.hash(index, number);
            }
            load = others.with(self.flights[index].queue.load());
        }
    }

    /// What is under way over all uploads.
    fn load(&self) -> Load {
        self.flights
            .iter()
            .map(|flight| flight.queue.load())
            .fold(Load::default(), Load::with)
    }

    /// Sends the begins and completes whose turn it is.
    fn post(&mut self) {
        loop {
            let rows = self.outbox.next(Instant::now());
            if rows.is_empty() {
                return;
            }
            let mut asks = Vec::with_capacity(rows.len());
            for row in rows {
                let Some(index) = self
                    .flights
                    .iter()
                    .position(|flight| flight.upload.row == row)
                else {
                    continue;
                };
                let mut flight = self.flights.remove(index);
                let fate = self.ask(&mut flight).map(|ask| {
                    asks.extend(ask.map(|ask| (row, ask)));
                    Fate::Flying
                });
                self.settle_fate(index, flight, fate);
            }
            let backend = Arc::clone(&self.backend);
            self.posts.push(Box::pin(async move {
                Landed::Post(unit::post(&backend, asks).await)
            }));
            self.commit_by = Some(Instant::now());
        }
    }

    /// Starts a unit of an upload as soon as what was noted is written. It ends with its upload.
    fn start(&mut self, flight: &mut Flight, unit: impl Future<Output = Unit> + Send + 'static) {
        flight.starting.push(Box::pin(unit));
        self.commit_by = Some(Instant::now());
    }

    /// Spawns a unit about parts of one of the flights, which depends on no note.
    fn spawn_part(&mut self, index: usize, unit: impl Future<Output = PartUnit> + Send + 'static) {
        let flight = &mut self.flights[index];
        let (row, leg) = (flight.upload.row, flight.leg);
        flight.hold(
            self.units
                .spawn(async move { Landed::One(row, Unit::Part(leg, unit.await)) }),
        );
    }

    /// Takes in what units came to. A unit of an upload that is gone has nothing to say any more.
    fn land(&mut self, landed: Result<Landed, tokio::task::JoinError>) {
        match landed {
            Ok(Landed::One(row, unit)) => self.land_one(row, unit),
            Ok(Landed::Waited(row, said)) => self.waited(row, said),
            Ok(Landed::Post(units)) => {
                self.outbox.came_back();
                for (row, unit) in units {
                    self.land_one(row, unit);
                }
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.fail_all(
                &Error::new(Kind::Other, "a task ended before its work").with_source(error),
            ),
        }
    }

    fn land_one(&mut self, row: i64, unit: Unit) {
        if let Some(index) = self
            .flights
            .iter()
            .position(|flight| flight.upload.row == row)
        {
            let mut flight = self.flights.remove(index);
            let fate = self.step(&mut flight, unit);
            self.settle_fate(index, flight, fate);
        }
    }

    fn settle_fate(&mut self, index: usize, mut flight: Box<Flight>, fate: Result<Fate>) {
        let fate = match fate {
            Ok(Fate::Anew) => match self.anew(&mut flight) {
                Ok(()) => Ok(Fate::Flying),
                Err(error) => Err(error),
            },
            fate => fate,
        };
        match fate {
            // What failed meanwhile may have taken others with it.
            Ok(Fate::Flying) => self.flights.insert(index.min(self.flights.len()), flight),
            Ok(Fate::Landed(receipt, already)) => match flight.upload.begun().cloned() {
                Ok(id) => {
                    self.arrived(Waiting::new(
                        flight.item,
                        flight.upload.row,
                        flight.path(),
                        id,
                        receipt,
                        already,
                    ));
                }
                Err(error) => self.failed(flight.item, None, flight.path(), &error),
            },
            // `anew` has been tried above.
            Ok(Fate::Anew) => {}
            Err(error) => self.fail(&flight, &error),
        }
    }

    /// Moves on every upload whose parts are all stored.
    fn settle(&mut self) {
        let mut index = 0;
        while index < self.flights.len() {
            let flight = &self.flights[index];
            if flight.stage == Stage::Sending && flight.queue.is_empty() && self.stopping.is_none()
            {
                let mut flight = self.flights.remove(index);
                let before = self.flights.len();
                let fate = self.seal(&mut flight);
                self.settle_fate(index, flight, fate);
                index += self.flights.len().saturating_sub(before);
            } else {
                index += 1;
            }
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for index in 0..self.flights.len() {
            let flight = &mut self.flights[index];
            if flight.gets_on() {
                self.last_success = now;
            }
            let progress = flight.progress(now);
            let quiet = now.saturating_duration_since(flight.renewed) >= RENEW;
            let renew = matches!(flight.stage, Stage::Sending | Stage::Sealing)
                && quiet
                && self.stopping.is_none();
            self.tell(progress);
            if renew {
                self.renew(index);
            }
        }
        self.look(now);
        self.end_waits(now);
        if self.stopping.is_none() && self.options.give_up.is_due(now, self.last_success, true) {
            let mut error = Error::new(
                Kind::Temporary,
                "gave up: no byte was confirmed for too long",
            );
            if let Some(last) = &self.last_error {
                error = error.with_source(last.clone());
            }
            self.fail_all(&error);
        }
    }

    /// Tells what came through since the last tick of parts that are long, and whether there could have been more of them.
    fn look(&mut self, now: Instant) {
        for flight in &mut self.flights {
            flight.pieces(now, |since, bytes| self.lanes.landed(now, since, bytes));
        }
        let full = self.load().putting >= self.jobs();
        self.lanes.tick(
            now,
            full || (!self.waiting.is_empty() && self.flights.len() >= self.ahead()),
        );
    }

    fn renew(&mut self, index: usize) {
        let flight = &mut self.flights[index];
        flight.renewed = Instant::now();
        let (backend, holder, epoch) = (
            Arc::clone(&self.backend),
            flight.upload.holder.clone(),
            flight.epoch,
        );
        let (row, Some(id)) = (flight.upload.row, flight.upload.id.clone()) else {
            return;
        };
        flight.hold(self.units.spawn(async move {
            Landed::One(
                row,
                Unit::Renewed(
                    backend
                        .claim(
                            &id,
                            &ClaimRequest {
                                holder,
                                epoch: Some(epoch),
                            },
                        )
                        .await,
                ),
            )
        }));
    }

    /// Judges a failed call about a whole upload: how long to wait, or the error back.
    fn again(&mut self, flight: &mut Flight, error: Error) -> Result<Duration> {
        let reads = matches!(flight.stage, Stage::Rechecking | Stage::Sealing);
        match retry::judge(
            error.kind(),
            reads,
            &mut flight.call_failures,
            fastrand::f64(),
        ) {
            Verdict::Ask | Verdict::Stop => Err(error),
            Verdict::Again(wait) => {
                if matches!(error.kind(), Kind::Throttled(_)) {
                    self.lanes.throttled(Instant::now(), Instant::now());
                }
                self.last_error = Some(error.to_string());
                let (item, id, attempt) = (
                    flight.item,
                    flight.upload.id.clone(),
                    flight.call_failures.attempts,
                );
                self.tell(retrying(item, id, None, attempt, &error, wait));
                Ok(wait)
            }
        }
    }
}

/// Waits for a signal to stop.
async fn stopped(stop: &mut watch::Receiver<Option<u8>>) -> u8 {
    loop {
        if let Some(signal) = *stop.borrow_and_update() {
            return signal;
        }
        if stop.changed().await.is_err() {
            // Nobody is left who could stop us.
            std::future::pending::<()>().await;
        }
    }
}

/// Tells that something failed for now.
fn retrying(
    item: usize,
    upload: Option<UploadId>,
    number: Option<PartNumber>,
    attempt: u32,
    error: &Error,
    wait: Duration,
) -> Event {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let (kind, message) = (error.kind().name(), error.to_string());
    Event::Retry {
        item,
        upload,
        number,
        attempt,
        kind,
        wait_ms,
        message,
    }
}
