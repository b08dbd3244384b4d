//! Long crash tests, run by hand (`scripts/crash-sweep`): a client that is killed at each of its
//! system calls, one with failing calls on the journal, and one with little space for the journal.
//!
//! strace counts the calls of each thread: a fault at call N occurs when the first thread makes its
//! Nth call.
//!
//! Not here: kills at named points (`tests/crash`).

#[path = "../crash/assertions.rs"]
mod assertions;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use support::PART;
use support::command::{Command, Output};
use support::sandbox::Sandbox;
use support::world::World;

/// System calls at which a client is killed.
const CALLS: &[&str] = &[
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "unlink",
    "link",
    "openat",
    "sendto",
    "sendfile",
    "writev",
    "write",
    "connect",
    "recvfrom",
];
/// System calls on the journal that fail.
const JOURNAL_CALLS: &[&str] = &["openat", "pwrite64", "fsync", "fdatasync", "ftruncate"];
/// The errors that they return.
const ERRORS: &[&str] = &["ENOSPC", "EIO", "EMFILE", "EINTR"];
/// Parts in flight.
const JOBS: u64 = 2;

/// One run with a fault.
#[derive(Debug, Clone)]
enum Run {
    KillAtCall {
        call: String,
        nth: u32,
    },
    FailCall {
        call: String,
        error: &'static str,
        nth: u32,
        permanent: bool,
    },
    SmallDisk {
        kib: u64,
    },
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (mode, every) = match args[..] {
        [mode] => (mode, 1),
        [mode, "--every", every] => (mode, every.parse().unwrap_or(1).max(1)),
        _ => ("", 1),
    };
    let runs = match mode {
        "kill" => kill_runs(),
        "errno" => error_runs(),
        "tmpfs" => (4..=64)
            .map(|step| Run::SmallDisk { kib: step * 16 })
            .collect(),
        _ => {
            eprintln!("usage: (kill | errno | tmpfs) [--every N]");
            process::exit(2)
        }
    };
    let all = runs.len();
    let runs: Vec<Run> = runs.into_iter().step_by(every).collect();
    println!("{} runs of {all}", runs.len());
    let began = Instant::now();
    let (next, codes, failed) = (
        AtomicUsize::new(0),
        Mutex::new(BTreeMap::new()),
        Mutex::new(Vec::new()),
    );
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let mut world = World::new();
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    // A listing has at most a thousand objects.
                    if world.store().objects().len() > 800 {
                        world = World::new();
                    }
                    if let Ok(code) = catch_unwind(AssertUnwindSafe(|| run_and_repeat(&world, run)))
                    {
                        *codes.lock().unwrap().entry(code).or_insert(0_u32) += 1;
                    } else {
                        println!("FAILED: {run:?}");
                        failed.lock().unwrap().push(run.clone());
                        world = World::new();
                    }
                }
            });
        }
    });
    println!(
        "exit codes (None: killed): {:?}",
        codes.into_inner().unwrap()
    );
    let failed = failed.into_inner().unwrap();
    println!(
        "{} runs, {} failed, {:.0} s",
        runs.len(),
        failed.len(),
        began.elapsed().as_secs_f64()
    );
    process::exit(i32::from(!failed.is_empty()));
}

/// A client's directories, files and journal.
struct Client<'a> {
    world: &'a World,
    sandbox: Sandbox,
    files: Vec<PathBuf>,
}

impl<'a> Client<'a> {
    fn new(world: &'a World, sizes: &[(&str, u64)]) -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir_all(sandbox.path("j")).unwrap();
        let files = sizes
            .iter()
            .map(|(name, size)| sandbox.file(name, *size))
            .collect();
        Self {
            world,
            sandbox,
            files,
        }
    }

    /// A client with a file of six parts.
    fn with_large_file(world: &'a World) -> Self {
        Self::new(world, &[("film", 5 * PART + 1000)])
    }

    fn with_small_and_large_file(world: &'a World) -> Self {
        Self::new(world, &[("small", 1000), ("film", PART + 1000)])
    }

    fn size(&self) -> u64 {
        self.files
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum()
    }

    fn journal(&self) -> PathBuf {
        self.sandbox.path("j/journal.db")
    }

    fn put(&self) -> Command {
        self.with_put_args(self.sandbox.command(env!("CARGO_BIN_EXE_upload")))
    }

    fn put_traced(&self, strace: &[&str]) -> Command {
        self.with_put_args(
            self.sandbox
                .command("strace")
                .args(["-f", "-qq"])
                .args(strace)
                .arg(env!("CARGO_BIN_EXE_upload")),
        )
    }

    fn with_put_args(&self, command: Command) -> Command {
        let args = [
            "put",
            "--json",
            "--part-size",
            "5MiB",
            "--jobs",
            "2",
            "--journal",
        ];
        let command = command
            .env("UPLOAD_BACKEND", self.world.proxy.url())
            .env("UPLOAD_TOKEN", assertions::TOKEN);
        command.args(args).arg(self.journal()).args(&self.files)
    }

    /// The journal and its side files, as arguments of strace.
    fn journal_path_args(&self) -> Vec<String> {
        let journal = self.journal().display().to_string();
        let paths = [
            journal.clone(),
            format!("{journal}-wal"),
            format!("{journal}-shm"),
            format!("{journal}.locks"),
        ];
        paths
            .into_iter()
            .flat_map(|path| ["-P".to_owned(), path])
            .collect()
    }

    /// Repeats the command without a fault and asserts that all files are stored. Uploads that were
    /// reported as completed are not begun again.
    fn repeat(&self, interrupted: &Output, known_objects: &[String]) {
        assert!(!interrupted.stderr().contains("panicked"), "{interrupted}");
        let repeated = self.put().run().succeeds();
        let (reported, sent) = (
            assertions::stored_bytes_reported(interrupted.stdout()),
            assertions::bytes_sent(&repeated),
        );
        assert!(
            reported + sent <= self.size(),
            "{sent} bytes were sent again, although {reported} were reported as stored"
        );
        for id in completed_ids(interrupted) {
            assert!(
                completed_ids(&repeated).contains(&id),
                "{id} was complete, but begun again: {interrupted}\n{repeated}"
            );
        }
        assertions::assert_no_secrets(interrupted);
        assertions::assert_no_secrets(&repeated);
        assertions::assert_stored(&self.world.store(), known_objects, &self.files);
        assertions::assert_databases_intact(self.sandbox.files());
    }
}

fn completed_ids(output: &Output) -> Vec<String> {
    let lines = output
        .stdout()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines
        .filter(|line| line["type"] == "completed")
        .filter_map(|line| line["upload"].as_str().map(str::to_owned))
        .collect()
}

/// For each call, the count of the thread that makes most of them.
fn call_counts(client: &Client, calls: &[&str], paths: &[String]) -> BTreeMap<String, u32> {
    let log = client.sandbox.path("calls");
    let trace = format!("trace={}", calls.join(","));
    let mut args = vec!["-o", log.to_str().unwrap(), "-e", &trace];
    args.extend(paths.iter().map(String::as_str));
    client.put_traced(&args).run().succeeds();
    let mut by_thread: BTreeMap<(String, String), u32> = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let mut words = line
            .split(|c: char| c == '(' || c.is_whitespace())
            .filter(|word| !word.is_empty());
        if let (Some(thread), Some(call)) = (words.next(), words.next())
            && calls.contains(&call)
        {
            *by_thread
                .entry((call.to_owned(), thread.to_owned()))
                .or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((call, _), count) in by_thread {
        let most = most.entry(call).or_default();
        *most = count.max(*most);
    }
    println!("calls: {most:?}");
    most
}

fn kill_runs() -> Vec<Run> {
    let world = World::new();
    let counts = call_counts(&Client::with_large_file(&world), CALLS, &[]);
    counts
        .into_iter()
        .flat_map(|(call, most)| {
            (1..=most).map(move |nth| Run::KillAtCall {
                call: call.clone(),
                nth,
            })
        })
        .collect()
}

fn error_runs() -> Vec<Run> {
    let world = World::new();
    let client = Client::with_small_and_large_file(&world);
    let mut runs = Vec::new();
    for (call, most) in call_counts(&client, JOURNAL_CALLS, &client.journal_path_args()) {
        for error in ERRORS {
            for (nth, permanent) in (1..=most).flat_map(|nth| [(nth, false), (nth, true)]) {
                // A call that is interrupted is repeated, so permanent EINTR does not occur.
                if permanent && *error == "EINTR" {
                    continue;
                }
                runs.push(Run::FailCall {
                    call: call.clone(),
                    error,
                    nth,
                    permanent,
                });
            }
        }
    }
    runs
}

/// Runs the command with a fault and repeats it without one. Returns the exit code of the first
/// run.
fn run_and_repeat(world: &World, run: &Run) -> Option<i32> {
    let known_objects = world.store().objects();
    let before = world.proxy.traffic();
    let output = match run {
        Run::KillAtCall { call, nth } => {
            let client = Client::with_large_file(world);
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let output = client
                .put_traced(&[
                    "-o",
                    "/dev/null",
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                    &inject,
                ])
                .run();
            assert!(matches!(output.code(), None | Some(0)), "{output}");
            client.repeat(&output, &known_objects);
            let sent = world.proxy.traffic().since(&before).bytes("PUT");
            assert!(
                sent <= client.size() + JOBS * PART,
                "{sent} bytes were sent"
            );
            output
        }
        Run::FailCall {
            call,
            error,
            nth,
            permanent,
        } => {
            let client = Client::with_small_and_large_file(world);
            let suffix = if *permanent { "+" } else { "" };
            let inject = format!("inject={call}:error={error}:when={nth}{suffix}");
            let paths = client.journal_path_args();
            let trace = format!("trace={call}");
            let mut args = vec!["-o", "/dev/null", "-e", &trace, "-e", &inject];
            args.extend(paths.iter().map(String::as_str));
            let output = client.put_traced(&args).run();
            assert!(matches!(output.code(), Some(0 | 73 | 74 | 75)), "{output}");
            client.repeat(&output, &known_objects);
            output
        }
        Run::SmallDisk { kib } => put_with_small_disk(world, *kib, &known_objects),
    };
    output.code()
}

/// Puts with the journal on a file system of `kib` KiB, and repeats the command with more space.
fn put_with_small_disk(world: &World, kib: u64, known_objects: &[String]) -> Output {
    let names: Vec<String> = (0..40).map(|n| format!("{n}.bin")).collect();
    let mut sizes: Vec<(&str, u64)> = names.iter().map(String::as_str).zip(100..).collect();
    sizes.push(("film", 2 * PART + 1000));
    let client = Client::new(world, &sizes);
    let script = r#"
        dir=$1; out=$2; size=$3; shift 3
        mount -t tmpfs -o mode=700,size="$size" none "$dir" || exit 99
        "$@" >"$out"; code=$?
        mount -o remount,size=16m "$dir" || exit 99
        "$@" || exit 98
        exit "$code""#;
    let (dir, first) = (client.sandbox.path("j"), client.sandbox.path("first"));
    let unshare = client.sandbox.command("unshare").args([
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        script,
        "sh",
    ]);
    let unshare = unshare
        .arg(dir)
        .arg(&first)
        .arg(format!("{kib}k"))
        .arg(env!("CARGO_BIN_EXE_upload"));
    let output = client.with_put_args(unshare).run();
    assert!(matches!(output.code(), Some(0 | 73 | 74)), "{output}");
    assert!(!output.stderr().contains("panicked"), "{output}");
    let first = fs::read_to_string(first).unwrap();
    let repeated = completed_ids(&output);
    for line in first
        .lines()
        .filter(|line| line.contains(r#""type":"completed""#))
    {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            repeated.iter().any(|id| line["upload"] == *id),
            "{line} was complete, but begun again"
        );
    }
    assertions::assert_stored(&world.store(), known_objects, &client.files);
    output
}
