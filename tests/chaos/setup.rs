//! A gateway, a store and a client with a proxy between them; assertions that apply to each run.

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

/// The sizes around one part, where a single PUT becomes a multipart upload.
pub const SIZES: [u64; 5] = [0, 1, PART - 1, PART, PART + 1];
/// A size of several parts, for a fault at one of them.
pub const MANY_PARTS_SIZE: u64 = 64 * MIB;

pub const STALL_LIMIT: Duration = Duration::from_secs(2);

/// Cases that run at the same time.
const WORKERS: usize = 4;

/// The client's token, which must never be printed.
const TOKEN: &str = "canary-token-k7Qx";
/// Texts that must never be printed.
const SECRETS: [&str; 4] = [TOKEN, "X-Amz-Signature", "X-Amz-Credential", "canaryPage"];

/// A gateway, its store, and a client that reaches them through proxies.
pub struct Setup {
    pub world: World,
    /// Arguments that replace the gateway address of `world`.
    backend_args: Vec<String>,
    stall_args: Vec<String>,
    store: S3,
    /// Objects that existed before the run.
    known_objects: Vec<String>,
    files: u32,
}

/// A finished run.
pub struct Run {
    pub output: Output,
    /// Between client and gateway; with the embedded store, also between client and store.
    pub traffic: Traffic,
    pub file: PathBuf,
    pub size: u64,
}

impl Setup {
    #[track_caller]
    pub fn new() -> Self {
        Self::on_world(World::new(), None)
    }

    #[track_caller]
    pub fn on_world(world: World, store: Option<S3>) -> Self {
        let store = store.unwrap_or_else(|| world.store());
        Self {
            world,
            backend_args: Vec::new(),
            stall_args: Vec::new(),
            store,
            known_objects: Vec::new(),
            files: 0,
        }
    }

    /// Sets the stall limit of the client to [`STALL_LIMIT`].
    #[must_use]
    pub fn with_short_stall_limit(self) -> Self {
        Self {
            stall_args: vec![
                "--stall-after".to_owned(),
                format!("{}s", STALL_LIMIT.as_secs()),
            ],
            ..self
        }
    }

    /// Adds the arguments for the connection to the gateway.
    #[must_use]
    pub fn with_backend_args(self, backend_args: &[&str]) -> Self {
        Self {
            backend_args: backend_args.iter().map(|word| (*word).to_owned()).collect(),
            ..self
        }
    }

    pub fn proxy(&self) -> &Proxy {
        &self.world.proxy
    }

    /// Creates a file whose content no other file has.
    pub fn file(&mut self, size: u64) -> PathBuf {
        self.files += 1;
        self.world
            .sandbox
            .file(&format!("film-{}.bin", self.files), size)
    }

    /// `upload put` that retries for a long time, because the machine may be busy.
    pub fn put(&self, file: &Path) -> Command {
        with_json_and_token(self.world.put(file), "3m")
            .args(&self.backend_args)
            .args(&self.stall_args)
    }

    /// `upload put` to any backend, with little time to retry.
    pub fn put_to(&self, backend: &str, file: &Path) -> Command {
        with_json_and_token(self.world.put(file), "3s").args([
            "--backend",
            backend,
            "--stall-after",
            "2s",
        ])
    }

    pub fn resume(&self) -> Command {
        with_json_and_token(self.world.resume(), "3m")
    }

    /// Runs a command that uploads a file of this size, and records the requests.
    #[track_caller]
    pub fn record(&self, file: &Path, size: u64, command: Command) -> Run {
        let before = self.proxy().traffic();
        let output = command.run();
        let traffic = self.proxy().traffic().since(&before);
        assert_no_secrets(&output);
        Run {
            output,
            traffic,
            file: file.to_owned(),
            size,
        }
    }

    /// Puts a new file of this size with the faults that `inject` sets up.
    #[track_caller]
    pub fn run(&mut self, size: u64, inject: impl FnOnce(&Proxy)) -> Run {
        let file = self.file(size);
        self.proxy().clear_faults();
        inject(self.proxy());
        self.record(&file, size, self.put(&file))
    }

    /// As [`Setup::run`]; asserts success, exactly one more object with the file's bytes, and no
    /// open multipart upload.
    #[track_caller]
    pub fn succeeding_put(&mut self, size: u64, inject: impl FnOnce(&Proxy)) -> Run {
        let run = self.run(size, inject);
        self.proxy().clear_faults();
        self.assert_arrived(run)
    }

    /// Asserts that a finished run succeeded, and calls [`Setup::assert_stored`].
    #[track_caller]
    pub fn assert_arrived(&mut self, run: Run) -> Run {
        assert_eq!(
            run.output.code(),
            Some(0),
            "{} bytes: {}",
            run.size,
            run.output
        );
        self.assert_stored(&run.file);
        run
    }

    /// Asserts that the store has exactly one more object, which is the file, and no open upload.
    #[track_caller]
    pub fn assert_stored(&mut self, file: &Path) {
        let objects = self.store.objects();
        let new: Vec<_> = objects
            .iter()
            .filter(|key| !self.known_objects.contains(key))
            .collect();
        let [key] = new.as_slice() else {
            panic!("expected one new object, found {new:?}")
        };
        assert_eq!(
            self.store.sha256(key),
            files::sha256(file),
            "the object differs from the file"
        );
        self.store.assert_no_open_uploads();
        self.known_objects = objects;
    }

    /// Asserts that exactly one object equals a file that was stored earlier, and no open upload.
    #[track_caller]
    pub fn assert_still_stored(&self, file: &Path) {
        let wanted = files::sha256(file);
        let same = self
            .store
            .objects()
            .iter()
            .filter(|key| self.store.sha256(key) == wanted)
            .count();
        assert_eq!(same, 1, "the store no longer has the file");
        self.store.assert_no_open_uploads();
    }

    pub fn store(&self) -> &S3 {
        &self.store
    }

    pub fn objects(&self) -> Vec<String> {
        self.store.objects()
    }

    /// As [`Setup::run`]; asserts this exit code and no object, and that a second put without
    /// faults succeeds.
    #[track_caller]
    pub fn failing_put(&mut self, size: u64, code: i32, inject: impl FnOnce(&Proxy)) -> Run {
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
            self.known_objects.len(),
            "an object exists after a failure"
        );
        let again = self.record(&run.file, size, self.put(&run.file));
        self.assert_arrived(again);
        run
    }
}

#[track_caller]
pub fn assert_no_secrets(output: &Output) {
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

fn with_json_and_token(command: Command, give_up_after: &str) -> Command {
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

/// Tests each case, several at the same time, because most of the time is spent waiting.
pub fn for_each_case<C: Send>(
    cases: impl IntoIterator<Item = C>,
    test: impl Fn(&mut Setup, C) + Sync,
) {
    for_each_case_with(Setup::new, cases, test);
}

/// As [`for_each_case`], with another context than [`Setup`]; each worker has its own.
pub fn for_each_case_with<T, C: Send>(
    new_context: impl Fn() -> T + Sync,
    cases: impl IntoIterator<Item = C>,
    test: impl Fn(&mut T, C) + Sync,
) {
    let cases: Vec<C> = cases.into_iter().collect();
    let worker_count = cases.len().min(WORKERS);
    let queue = Mutex::new(VecDeque::from(cases));
    let next = || queue.lock().unwrap().pop_front();
    thread::scope(|scope| {
        for _ in 0..worker_count {
            scope.spawn(|| {
                let mut context = new_context();
                while let Some(case) = next() {
                    test(&mut context, case);
                }
            });
        }
    });
}

impl Run {
    fn parts(&self) -> u64 {
        self.size.div_ceil(PART).max(1)
    }

    /// Asserts that at most `bytes` more than the file were sent in parts.
    #[track_caller]
    pub fn resends_at_most(self, bytes: u64) -> Self {
        let sent = self.traffic.bytes("PUT");
        assert!(
            sent <= self.size + bytes,
            "{sent} bytes were sent for {}: {}",
            self.size,
            self.output
        );
        self
    }

    /// Asserts that no more was sent again than was in flight when a fault occurred.
    #[track_caller]
    pub fn resends_little(self) -> Self {
        self.resends_at_most(JOBS * PART)
    }

    /// Asserts at most twice the necessary requests, without renewals of the lease, which depend on
    /// time. One part needs four requests; a lost response costs five more: sign, PUT, status,
    /// claim, list.
    #[track_caller]
    pub fn makes_few_requests(self) -> Self {
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

    /// The kinds of the retried failures, in order.
    pub fn retry_kinds(&self) -> Vec<String> {
        let kind = |event| {
            if let Event::Retry { kind, .. } = event {
                Some(kind)
            } else {
                None
            }
        };
        events(&self.output).into_iter().filter_map(kind).collect()
    }

    /// The wait before each retry, in milliseconds.
    pub fn retry_waits_ms(&self) -> Vec<u64> {
        let wait = |event| {
            if let Event::Retry { wait_ms, .. } = event {
                Some(wait_ms)
            } else {
                None
            }
        };
        events(&self.output).into_iter().filter_map(wait).collect()
    }

    /// Asserts the kind of the failure that ended the run.
    #[track_caller]
    pub fn assert_failed_as(self, wanted: &str) -> Self {
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
            failed.unwrap_or_else(|| panic!("no failure was reported: {}", self.output));
        assert!(
            kind == wanted,
            "{kind} instead of {wanted}: {message} ({hint:?})"
        );
        self
    }
}
