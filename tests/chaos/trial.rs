//! A run through a fault, and the oracle: what must be true when it is over, written once.
//!
//! Border: no scenario stands here.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::support::command::{Command, Output};
use crate::support::events::{Event, events};
use crate::support::files;
use crate::support::proxy::{Proxy, Requests, Traffic};
use crate::support::s3::S3;
use crate::support::world::{JOBS, World};
use crate::support::{MIB, PART};

/// Where one request becomes two parts, and what is special below. Twice as many bytes only show more of the same.
pub const SIZES: [u64; 5] = [0, 1, PART - 1, PART, PART + 1];
/// Of several parts, where a fault in the midst of others tells something.
pub const LARGE: u64 = 64 * MIB;

pub const STILL: Duration = Duration::from_secs(2);

const LANES: usize = 4;

/// What every client in these tests calls itself; it must never be shown.
const TOKEN: &str = "canary-token-k7Qx";
/// What must never be shown either.
const SECRETS: [&str; 4] = [TOKEN, "X-Amz-Signature", "X-Amz-Credential", "canaryPage"];

/// A gateway, its store, and a client whose requests pass proxies.
pub struct Trial {
    pub world: World,
    /// How the client reaches it, other than by the world's own way.
    way: Vec<String>,
    patience: Vec<String>,
    store: S3,
    /// Objects that were there before.
    before: Vec<String>,
    files: u32,
}

/// A run that is over.
pub struct Run {
    pub output: Output,
    /// Between client and gateway; where the store is the gateway's own, also between client and store.
    pub traffic: Traffic,
    pub file: PathBuf,
    pub size: u64,
}

impl Trial {
    #[track_caller]
    pub fn new() -> Self {
        Self::of(World::new(), None)
    }

    #[track_caller]
    pub fn of(world: World, store: Option<S3>) -> Self {
        let store = store.unwrap_or_else(|| world.store());
        Self {
            world,
            way: Vec::new(),
            patience: Vec::new(),
            store,
            before: Vec::new(),
            files: 0,
        }
    }

    /// A client that gives up what stands still for [`STILL`].
    #[must_use]
    pub fn impatient(self) -> Self {
        Self {
            patience: vec!["--stall-after".to_owned(), format!("{}s", STILL.as_secs())],
            ..self
        }
    }

    /// A client that has to take this way to the gateway.
    #[must_use]
    pub fn by(self, way: &[&str]) -> Self {
        Self {
            way: way.iter().map(|word| (*word).to_owned()).collect(),
            ..self
        }
    }

    pub fn proxy(&self) -> &Proxy {
        &self.world.proxy
    }

    /// A file that was never put before.
    pub fn file(&mut self, size: u64) -> PathBuf {
        self.files += 1;
        self.world
            .sandbox
            .file(&format!("film-{}.bin", self.files), size)
    }

    /// `upload put`; patient, since a busy machine is no failure.
    pub fn put(&self, file: &Path) -> Command {
        watched(self.world.put(file), "3m")
            .args(&self.way)
            .args(&self.patience)
    }

    /// The same to any backend, given up soon.
    pub fn put_to(&self, backend: &str, file: &Path) -> Command {
        watched(self.world.put(file), "3s").args(["--backend", backend, "--stall-after", "2s"])
    }

    pub fn resume(&self) -> Command {
        watched(self.world.resume(), "3m")
    }

    /// Runs a command about a file of that size, and takes down what came by.
    #[track_caller]
    pub fn watch(&self, file: &Path, size: u64, command: Command) -> Run {
        let before = self.proxy().traffic();
        let output = command.run();
        let traffic = self.proxy().traffic().since(&before);
        hides_secrets(&output);
        Run {
            output,
            traffic,
            file: file.to_owned(),
            size,
        }
    }

    /// A run through what `inject` has set up.
    #[track_caller]
    pub fn run(&mut self, size: u64, inject: impl FnOnce(&Proxy)) -> Run {
        let file = self.file(size);
        self.proxy().clear_faults();
        inject(self.proxy());
        self.watch(&file, size, self.put(&file))
    }

    /// A run that must succeed, whatever happens on its way: exactly one more object, with the file's bytes, and nothing half
    /// done.
    #[track_caller]
    pub fn survives(&mut self, size: u64, inject: impl FnOnce(&Proxy)) -> Run {
        let run = self.run(size, inject);
        self.proxy().clear_faults();
        self.arrived(run)
    }

    /// The same of a run that is over.
    #[track_caller]
    pub fn arrived(&mut self, run: Run) -> Run {
        assert_eq!(
            run.output.code(),
            Some(0),
            "{} bytes: {}",
            run.size,
            run.output
        );
        self.has(&run.file);
        run
    }

    /// The file is in the store, once, and nothing is half done.
    #[track_caller]
    pub fn has(&mut self, file: &Path) {
        let objects = self.store.objects();
        let new: Vec<_> = objects
            .iter()
            .filter(|key| !self.before.contains(key))
            .collect();
        let [key] = new.as_slice() else {
            panic!("one more object expected: {new:?}")
        };
        assert_eq!(
            self.store.sha256(key),
            files::sha256(file),
            "the object is not the file"
        );
        self.store.assert_no_open_uploads();
        self.before = objects;
    }

    /// As [`Trial::has`], of a file that was there already.
    #[track_caller]
    pub fn still_has(&self, file: &Path) {
        let wanted = files::sha256(file);
        let same = self
            .store
            .objects()
            .iter()
            .filter(|key| self.store.sha256(key) == wanted)
            .count();
        assert_eq!(same, 1, "the object is not the file any more");
        self.store.assert_no_open_uploads();
    }

    pub fn store(&self) -> &S3 {
        &self.store
    }

    pub fn objects(&self) -> Vec<String> {
        self.store.objects()
    }

    /// A run that must fail so, leave no object behind, and be gone on with as soon as the fault is over.
    #[track_caller]
    pub fn fails(&mut self, size: u64, code: i32, inject: impl FnOnce(&Proxy)) -> Run {
        let run = self.run(size, inject);
        self.proxy().clear_faults();
        assert_eq!(
            run.output.code(),
            Some(code),
            "{size} bytes: {}",
            run.output
        );
        assert_eq!(
            self.store.objects().len(),
            self.before.len(),
            "there is an object after a failure"
        );
        let again = self.watch(&run.file, size, self.put(&run.file));
        self.arrived(again);
        run
    }
}

#[track_caller]
pub fn hides_secrets(output: &Output) {
    for secret in SECRETS {
        assert!(
            !output.stderr().contains(secret),
            "{secret} on standard error: {output}"
        );
        assert!(
            !output.stdout().contains(secret),
            "{secret} on standard output: {output}"
        );
    }
}

fn watched(command: Command, give_up_after: &str) -> Command {
    command
        .args(["--json", "--give-up-after", give_up_after])
        .env("UPLOAD_TOKEN", TOKEN)
}

/// The first attempt at the first part.
pub fn first_put(size: u64) -> Requests {
    if size > PART {
        Requests::part(1).nth(1)
    } else {
        Requests::put().nth(1)
    }
}

/// Puts each case to the test, several at a time: most of what a fault costs is waiting.
pub fn each<C: Send>(cases: impl IntoIterator<Item = C>, test: impl Fn(&mut Trial, C) + Sync) {
    each_of(Trial::new, cases, test);
}

/// The same where more has to be set up than a gateway.
pub fn each_of<T, C: Send>(
    set_up: impl Fn() -> T + Sync,
    cases: impl IntoIterator<Item = C>,
    test: impl Fn(&mut T, C) + Sync,
) {
    let cases: Vec<C> = cases.into_iter().collect();
    let lanes = cases.len().min(LANES);
    let queue = Mutex::new(VecDeque::from(cases));
    let next = || queue.lock().unwrap().pop_front();
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                let mut set_up = set_up();
                while let Some(case) = next() {
                    test(&mut set_up, case);
                }
            });
        }
    });
}

impl Run {
    fn parts(&self) -> u64 {
        self.size.div_ceil(PART).max(1)
    }

    /// At most so many bytes of parts were sent in vain.
    #[track_caller]
    pub fn wastes(self, bytes: u64) -> Self {
        let sent = self.traffic.bytes("PUT");
        assert!(
            sent <= self.size + bytes,
            "{sent} bytes were sent for {}: {}",
            self.size,
            self.output
        );
        self
    }

    /// No more bytes were sent in vain than were on the wire when a fault struck.
    #[track_caller]
    pub fn wastes_little(self) -> Self {
        self.wastes(JOBS * PART)
    }

    /// No more than twice the requests that had to be made; how often a claim is renewed is a matter of time. Of one part there
    /// are four, and a lost answer costs five more: sign, PUT, status, claim, list.
    #[track_caller]
    pub fn asks_little(self) -> Self {
        let most = if self.parts() == 1 {
            4 + 5
        } else {
            2 * (4 + self.parts())
        };
        assert!(
            self.traffic.requests() - self.traffic.posts("/claim") <= most,
            "{} requests: {:?}",
            self.traffic.requests(),
            self.traffic
        );
        self
    }

    /// Kinds of the failures that were retried, in order.
    pub fn retries(&self) -> Vec<String> {
        let kind = |event| {
            if let Event::Retry { kind, .. } = event {
                Some(kind)
            } else {
                None
            }
        };
        events(&self.output).into_iter().filter_map(kind).collect()
    }

    /// How long each retry waited, in milliseconds.
    pub fn waits(&self) -> Vec<u64> {
        let wait = |event| {
            if let Event::Retry { wait_ms, .. } = event {
                Some(wait_ms)
            } else {
                None
            }
        };
        events(&self.output).into_iter().filter_map(wait).collect()
    }

    /// The last failure was of this kind.
    #[track_caller]
    pub fn failed_as(self, wanted: &str) -> Self {
        let failed = events(&self.output)
            .into_iter()
            .find_map(|event| match event {
                Event::Failed {
                    kind,
                    message,
                    hint,
                    ..
                } => Some((kind, message, hint)),
                _ => None,
            });
        let (kind, message, hint) =
            failed.unwrap_or_else(|| panic!("no failure was told: {}", self.output));
        assert!(
            kind == wanted,
            "{kind} instead of {wanted}: {message} ({hint:?})"
        );
        self
    }
}
