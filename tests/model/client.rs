//! The true client engine against the true gateway over the bucket in memory, while calls are lost, processes die and the
//! source changes under its hands; beside it, plain data: the generations the source has had, and what came of each.
//!
//! Border: runs of the engine as a library, with a journal that stays; a death here drops everything but what was committed,
//! as a kill does. What the gateway owes to others is `contract`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use upload::backend::{Backend, Options as Http};
use upload::event::{Event, EventSender};
use upload::journal::{Journal, Record, State};
use upload::transfer::{self, GiveUp, Item, Jobs, OnChange, Options, PutRequest, WaitFor};
use upload_types::error::Kind;
use upload_types::names::Token;
use upload_types::wire::Receipt;

use crate::bucket::{Bucket, Multipart};
use crate::disk::Disk;
use crate::faults::{Call, Edit, Fault, Mood};
use crate::front::Front;
use crate::gate::{Gate, scratch};
use crate::support::PART;
use crate::{Seen, explore};

#[derive(Debug, Clone)]
pub enum Act {
    Put {
        faults: Vec<Fault>,
        restart: bool,
    },
    Resume {
        faults: Vec<Fault>,
    },
    /// Two processes with one journal put the same file at the same moment.
    Two {
        faults: Vec<Fault>,
    },
    Edit(Edit),
    /// The user gives up what is unfinished.
    Abort,
    Kill,
    /// The gateway loses its memory.
    Forget,
    /// The store forgets the open multipart uploads.
    Lifecycle,
}

/// Of the last, parts are read while others have been sent.
const SIZES: [u64; 6] = [0, 100, PART, PART + 77, 2 * PART + 1, 4 * PART + 1];

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        2 => Just(Edit::Touch),
        3 => Just(Edit::Overwrite),
        2 => Just(Edit::Ends),
        1 => Just(Edit::Append),
        1 => Just(Edit::Truncate),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let store = prop_oneof![
        1 => Just(Call::Create),
        1 => Just(Call::Find),
        1 => Just(Call::List),
        2 => Just(Call::Complete),
        1 => Just(Call::Abort),
        2 => Just(Call::Head),
        4 => Just(Call::Put),
        2 => Just(Call::Begin),
        1 => Just(Call::Claim),
        2 => Just(Call::Sign),
        1 => Just(Call::Status),
        1 => Just(Call::Parts),
        3 => Just(Call::CompleteResponse),
        1 => Just(Call::GiveUp),
    ];
    let mood = prop_oneof![
        1 => Just(Mood::Down),
        2 => Just(Mood::Swallow),
        1 => Just(Mood::ErrorBody),
        1 => Just(Mood::Cut),
        2 => Just(Mood::CutAfter),
        1 => Just(Mood::Twice),
        1 => Just(Mood::Stale),
        4 => Just(Mood::DieBefore),
        4 => Just(Mood::DieAfter),
        4 => edit().prop_map(Mood::Meanwhile),
    ];
    let skip = || prop_oneof![3 => Just(0_u8), 1 => Just(1), 1 => Just(2)];
    // At the very moment that a part is in the store and another is still to be read.
    let midway = prop_oneof![2 => edit().prop_map(Mood::Meanwhile), 1 => Just(Mood::Twice), 1 => Just(Mood::Forgotten)];
    prop_oneof![
        6 => (store, mood, skip()).prop_map(|(call, mood, skip)| Fault { call, mood, skip }),
        1 => (midway, skip()).prop_map(|(mood, skip)| Fault { call: Call::Put, mood, skip }),
    ]
}

pub fn acts() -> impl Strategy<Value = (usize, Vec<Act>)> {
    // Whoever asked dies while nobody knows yet whether it is complete.
    let undecided = || {
        let last = |mood| Fault {
            call: Call::Complete,
            mood,
            skip: 0,
        };
        let death = Fault {
            call: Call::CompleteResponse,
            mood: Mood::DieAfter,
            skip: 0,
        };
        prop_oneof![Just(Mood::Down), Just(Mood::Swallow), Just(Mood::Cut)]
            .prop_map(move |mood| vec![last(mood), death])
    };
    let faults = || prop_oneof![8 => prop::collection::vec(fault(), 0..4), 1 => undecided()];
    let act = prop_oneof![
        12 => (faults(), any::<bool>()).prop_map(|(faults, restart)| Act::Put { faults, restart }),
        4 => faults().prop_map(|faults| Act::Resume { faults }),
        2 => faults().prop_map(|faults| Act::Two { faults }),
        5 => edit().prop_map(Act::Edit),
        1 => Just(Act::Abort),
        1 => Just(Act::Lifecycle),
    ];
    let act = prop_oneof![40 => act, 1 => Just(Act::Kill), 1 => Just(Act::Forget)];
    let size = prop_oneof![1 => Just(0_usize), 2 => Just(1), 1 => Just(2), 5 => Just(3), 2 => Just(4), 1 => Just(5)];
    (size, prop::collection::vec(act, 2..7))
}

/// What a run came to.
#[derive(Debug)]
enum End {
    Died,
    /// A receipt, or the kind of the failure; nothing, where there was nothing to do.
    Done(Vec<Result<Receipt, &'static str>>),
}

pub struct World {
    gate: Gate,
    bucket: Bucket,
    front: Front,
}

struct Case {
    place: TempDir,
    disk: Arc<Mutex<Disk>>,
    /// Open multipart uploads that nobody can know of any more, and objects of a ledger that is gone.
    orphans: BTreeSet<String>,
    old: BTreeSet<String>,
}

impl Case {
    fn journal(&self) -> Journal {
        Journal::open(&self.place.path().join("journal.db")).unwrap()
    }

    fn put(&self, restart: bool) -> Item {
        let on_change = if restart {
            OnChange::Restart
        } else {
            OnChange::Fail
        };
        Item::Put(PutRequest {
            path: self.disk.lock().unwrap().path.clone(),
            name: "film.mov".into(),
            content_type: "video/mp4".into(),
            metadata: BTreeMap::new(),
            part_size: Some(PART),
            force: false,
            on_change,
        })
    }
}

/// Makes the dice of this thread fall low for a while, so that waits are short.
fn load_the_dice() {
    thread_local!(static LOW: u64 = {
        let low = |seed: &u64| {
            let mut dice = fastrand::Rng::with_seed(*seed);
            (0..5).all(|_| dice.f64() < 0.1)
        };
        (0..u64::MAX).find(low).unwrap()
    });
    LOW.with(|low| fastrand::seed(*low));
}

/// What a process sees of the world.
struct Machine {
    bucket: Bucket,
    front: SocketAddr,
    token: String,
}

impl Machine {
    fn backend(&self) -> Backend {
        let url = format!("http://{}", self.front).parse().unwrap();
        Backend::gateway(&url, Some(Token::new(self.token.clone())), Http::default()).unwrap()
    }

    /// One process: from its start to its end, or to its death.
    async fn process(&self, journal: &Path, items: impl FnOnce(&Journal) -> Vec<Item>) -> End {
        load_the_dice();
        let (mut journal, (sink, mut events)) =
            (Journal::open(journal).unwrap(), EventSender::channel());
        let items = items(&journal);
        if items.is_empty() {
            return End::Done(Vec::new());
        }
        let (backend, client) = (format!("http://{}", self.front), self.backend());
        let (resume, jobs) = ("upload resume".into(), Jobs::Fixed(1));
        let options = Options {
            backend,
            resume_command: resume,
            first_item: 0,
            jobs,
            max_open: 64,
            give_up: GiveUp::Never,
            wait: WaitFor::Verified,
        };
        let (_tell, mut stop) = watch::channel(None);
        let life = async {
            let info = transfer::handshake(&client, &options, &sink, &mut stop)
                .await
                .unwrap();
            let run = transfer::run(
                &mut journal,
                Arc::new(client.clone()),
                info,
                &sink,
                options.clone(),
                items,
                stop,
            );
            run.await
        };
        let ended = tokio::select! {
            summary = life => Some(summary),
            () = self.bucket.client_death.notified() => None,
        };
        if ended.is_none() {
            return End::Died;
        }
        let mut ends = Vec::new();
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Completed { receipt, .. } => ends.push(Ok(receipt)),
                Event::Failed { kind, .. } => ends.push(Err(kind)),
                _ => {}
            }
        }
        End::Done(ends)
    }
}

impl World {
    pub async fn run(this: &RefCell<Self>, (size, acts): &(usize, Vec<Act>)) -> Seen {
        let place = scratch();
        let disk = Arc::new(Mutex::new(Disk::new(
            place.path().join("film.mov"),
            SIZES[*size],
        )));
        let case = RefCell::new(Case {
            place,
            disk: Arc::clone(&disk),
            orphans: BTreeSet::new(),
            old: BTreeSet::new(),
        });
        {
            let world = this.borrow();
            world.bucket.heal();
            *world.bucket.rows() = crate::bucket::Rows::default();
            let hook = move |edit| disk.lock().unwrap().edit(edit);
            *world.bucket.edit.lock().unwrap() = Some(Box::new(hook));
        }
        for (at, act) in acts.iter().enumerate() {
            let done =
                tokio::time::timeout(Duration::from_mins(1), Self::act(this, &case, act)).await;
            let seen = done.unwrap_or_else(|_| Err("it hangs".into()));
            seen.map_err(|why| format!("act {at}, {act:?}: {why}"))?;
        }
        Self::end(this, &case)
            .await
            .map_err(|why| format!("at the end: {why}"))
    }

    /// As the gateway dies, it comes back.
    async fn beside<T>(this: &RefCell<Self>, run: impl Future<Output = T>) -> T {
        let death = Arc::clone(&this.borrow().bucket.death);
        let mut run = std::pin::pin!(run);
        loop {
            tokio::select! {
                value = &mut run => return value,
                () = death.notified() => {
                    // Safe beside the run: it holds no borrow while it waits.
                    let mut world = this.borrow_mut();
                    world.gate.kill();
                    world.front.lead_to(world.gate.url());
                }
            }
        }
    }

    async fn act(this: &RefCell<Self>, case: &RefCell<Case>, act: &Act) -> Seen {
        match act {
            Act::Put { faults, restart } => {
                Self::judged(this, case, faults, Some(*restart), false).await
            }
            Act::Two { faults } => Self::judged(this, case, faults, Some(false), true).await,
            Act::Resume { faults } => Self::judged(this, case, faults, None, false).await,
            Act::Edit(edit) => {
                case.borrow().disk.lock().unwrap().edit(*edit);
                Ok(())
            }
            Act::Kill => {
                let mut world = this.borrow_mut();
                world.gate.kill();
                world.front.lead_to(world.gate.url());
                Ok(())
            }
            Act::Forget => {
                let (mut world, mut case) = (this.borrow_mut(), case.borrow_mut());
                world.gate.forget();
                world.front.lead_to(world.gate.url());
                let (objects, open) = world.bucket.holds();
                case.orphans.extend(open.into_keys());
                case.old.extend(objects.into_keys());
                Ok(())
            }
            Act::Lifecycle => {
                this.borrow().bucket.rows().open.clear();
                Ok(())
            }
            Act::Abort => Self::beside(this, abort(this, case)).await,
        }
    }

    /// Runs one process, or two, while these calls fail, and judges what came of it.
    async fn judged(
        this: &RefCell<Self>,
        case: &RefCell<Case>,
        faults: &[Fault],
        put: Option<bool>,
        two: bool,
    ) -> Seen {
        let before = case.borrow().disk.lock().unwrap().generations.len();
        {
            let world = this.borrow();
            for fault in faults {
                // The gateway has its own names for calls.
                let at_front = !matches!(
                    fault.call,
                    Call::Create
                        | Call::Find
                        | Call::List
                        | Call::Complete
                        | Call::Abort
                        | Call::Head
                        | Call::Delete
                        | Call::Put
                );
                if at_front {
                    world.front.faults().waiting.push_back(*fault);
                } else {
                    world.bucket.fail(*fault);
                }
            }
        }
        let (known, bucket) = (Self::known(this, case), this.borrow().bucket.clone());
        bucket.count_anew().await;
        let (machine, item) = (
            Self::copy(this),
            put.map(|restart| case.borrow().put(restart)),
        );
        let journal = case.borrow().place.path().join("journal.db");
        let process = || {
            let items = |journal: &Journal| {
                if let Some(item) = &item {
                    return vec![item.clone()];
                }
                let all = journal.all().unwrap().into_iter();
                let unfinished = all.filter(|upload| upload.state.is_unfinished());
                unfinished
                    .map(|upload| Item::Resume(Box::new(upload)))
                    .collect()
            };
            machine.process(&journal, items)
        };
        let ends = if two {
            let (a, b) = Self::beside(this, async { tokio::join!(process(), process()) }).await;
            vec![a, b]
        } else {
            vec![Self::beside(this, process()).await]
        };
        {
            let world = this.borrow();
            world.bucket.heal();
            world.front.faults().waiting.clear();
        }
        let edited = case.borrow().disk.lock().unwrap().generations.len() != before
            || faults
                .iter()
                .any(|fault| matches!(fault.mood, Mood::Meanwhile(_)));
        Self::invariants(this, case)?;
        let sent = bucket.rows().bytes;
        let size: u64 = case
            .borrow()
            .disk
            .lock()
            .unwrap()
            .now()
            .iter()
            .map(|(_, size)| size)
            .sum();
        if faults.is_empty() && put.is_some() && !two && sent > size - known {
            let puts = bucket.rows().puts.clone();
            return Err(format!(
                "{sent} bytes of {size} were sent, though {known} were there and known to be: {puts:#?}"
            ));
        }
        let mut done = 0;
        for end in &ends {
            let End::Done(ends) = end else { continue };
            for end in ends {
                match end {
                    Ok(receipt) => {
                        done += 1;
                        Self::receipt(this, case, receipt, edited)?;
                    }
                    Err("source_changed") if edited || put.is_none() => {}
                    Err("busy") if two => {}
                    // What was ended from outside is not gone on with, nor one that another began.
                    Err("gone" | "not_found") if put.is_none() => {}
                    Err(kind) => {
                        return Err(format!("failed as {kind}, though nothing failed for good"));
                    }
                }
            }
        }
        let died = ends.iter().any(|end| matches!(end, End::Died));
        if put.is_some() && !died && !edited && done == 0 {
            return Err(format!("nothing was completed: {ends:?}"));
        }
        Ok(())
    }

    fn copy(this: &RefCell<Self>) -> Machine {
        let world = this.borrow();
        Machine {
            bucket: world.bucket.clone(),
            front: world.front.addr,
            token: world.gate.tokens[0].clone(),
        }
    }

    /// How many bytes of the source as it is now journal and store agree on, where nothing they agree on has changed.
    fn known(this: &RefCell<Self>, case: &RefCell<Case>) -> u64 {
        let (world, case) = (this.borrow(), case.borrow());
        let (rows, journal, now) = (
            world.bucket.rows(),
            case.journal(),
            case.disk.lock().unwrap().now(),
        );
        let mut known = 0;
        for upload in journal
            .all()
            .unwrap()
            .into_iter()
            .filter(|upload| upload.state.is_unfinished())
        {
            for part in journal.parts(upload.row).unwrap() {
                let number = part.number.get();
                let there = rows
                    .open
                    .iter()
                    .filter(|(id, _)| !case.orphans.contains(*id))
                    .find_map(|(_, open)| {
                        let there = open.parts.get(&number)?;
                        part.etag
                            .as_ref()
                            .is_some_and(|etag| etag.as_str() == there.etag)
                            .then_some(there)
                    });
                match (there, now.get(number as usize - 1)) {
                    (Some(there), Some(is)) if (there.sha256, there.size) == *is => {
                        known += there.size;
                    }
                    (Some(_), _) => return 0,
                    (None, _) => {}
                }
            }
        }
        known
    }

    /// What must be true at any time.
    fn invariants(this: &RefCell<Self>, case: &RefCell<Case>) -> Seen {
        let (world, case) = (this.borrow(), case.borrow());
        let (rows, disk) = (world.bucket.rows(), case.disk.lock().unwrap());
        for (key, object) in &rows.made {
            if !disk.generations.contains(&object.content) {
                return Err(format!(
                    "an object is no generation of the source: {key} {:?}",
                    object.content
                ));
            }
        }
        for generation in &disk.generations {
            let of_it = |(key, object): &(&String, &crate::bucket::Object)| {
                object.content == *generation && !case.old.contains(*key)
            };
            let count = rows.objects.iter().filter(of_it).count();
            if count > 1 {
                return Err(format!(
                    "{count} objects of one generation: {:?}",
                    rows.objects
                ));
            }
        }
        Ok(())
    }

    /// What is called done is there, whole, and written down.
    fn receipt(
        this: &RefCell<Self>,
        case: &RefCell<Case>,
        receipt: &Receipt,
        edited: bool,
    ) -> Seen {
        let (world, case) = (this.borrow(), case.borrow());
        let rows = world.bucket.rows();
        let object = rows
            .objects
            .get(receipt.key.as_str())
            .ok_or("done without an object")?;
        let disk = case.disk.lock().unwrap();
        let size: u64 = object.content.iter().map(|(_, size)| size).sum();
        if !edited && object.content != disk.now() {
            return Err("done, but the object is not what the source is".into());
        }
        if receipt.size != size
            || receipt
                .checksum
                .as_ref()
                .is_none_or(|checksum| checksum.as_str() != object.checksum)
        {
            return Err(format!("a receipt is not true: {receipt:?} {object:?}"));
        }
        let written = case.journal().by_id(receipt.id.as_str()).unwrap();
        let written = written
            .iter()
            .any(|upload| upload.state == State::Completed && upload.receipt.is_some());
        if written {
            Ok(())
        } else {
            Err("done, but the journal does not know".into())
        }
    }

    /// Once nothing fails any more, the same command ends the job; once more, and nothing is sent.
    async fn end(this: &RefCell<Self>, case: &RefCell<Case>) -> Seen {
        Self::judged(this, case, &[], Some(false), false).await?;
        Self::judged(this, case, &[], Some(false), false).await?;
        let (world, case) = (this.borrow(), case.borrow());
        let rows = world.bucket.rows();
        if rows.bytes != 0 {
            return Err("what was finished was sent again".into());
        }
        // What the gateway is completing it does not let go, though the source has changed meanwhile: it decides, and reaps.
        let ledger = world.gate.ledger();
        let completing = |key: &str| {
            let sql = "SELECT count(*) FROM upload WHERE key = ?1 AND state = 'completing'";
            ledger
                .query_row(sql, [key], |row| row.get::<_, i64>(0))
                .unwrap()
                == 1
        };
        let ours = |(id, open): &(&String, &Multipart)| {
            !case.orphans.contains(*id) && !completing(&open.key)
        };
        let left: Vec<_> = rows.open.iter().filter(ours).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("multipart uploads are left open: {left:?}"))
        }
    }
}

/// As `upload abort` does it.
async fn abort(this: &RefCell<World>, case: &RefCell<Case>) -> Seen {
    let machine = World::copy(this);
    let mut journal = case.borrow().journal();
    for upload in journal
        .all()
        .unwrap()
        .into_iter()
        .filter(|upload| upload.state.is_unfinished())
    {
        let upload = journal.take(&upload).map_err(|error| error.to_string())?;
        let backend = machine.backend();
        let begun = match &upload.id {
            Some(id) => Ok(id.clone()),
            None => backend
                .begin(&transfer::begin_request(&upload, None))
                .await
                .map(|answer| answer.id),
        };
        let aborted = match begun {
            Ok(id) => backend.abort(&id, None).await,
            Err(error) => Err(error),
        };
        match aborted {
            Err(error)
                if matches!(
                    error.kind(),
                    Kind::NotFound | Kind::Gone | Kind::NotAcceptable
                ) => {}
            // What is completing can only be completed.
            Err(error) if error.kind() == Kind::NotAbortable => continue,
            aborted => aborted.map_err(|error| format!("could not abort: {error}"))?,
        }
        journal
            .record(&[Record::Abandoned { row: upload.row }])
            .unwrap();
    }
    Ok(())
}

#[test]
fn the_client_keeps_its_promises() {
    let runtime: Runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(async {
        let bucket = Bucket::start().await;
        let front = Front::start(&bucket).await;
        let gate = Gate::start(&bucket, "tokens");
        front.lead_to(gate.url());
        RefCell::new(World {
            gate,
            bucket,
            front,
        })
    });
    explore(64, &acts(), |case| {
        runtime.block_on(World::run(&world, case))
    });
    let said = world.borrow().gate.stderr();
    assert!(!said.contains("panicked"), "{said}");
}
