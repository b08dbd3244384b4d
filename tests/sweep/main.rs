//! The long way round: a client that is killed at each of its system calls in turn, one to whose journal each call in turn fails,
//! and one whose journal has less and less room.
//!
//! Border: run by hand (`scripts/crash-sweep`); named points, every time, are `tests/crash`'s. Calls are counted by thread, as
//! strace does: the Nth is where the first thread makes its Nth call.

#[path = "../crash/oracle.rs"]
mod oracle;
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

/// Where a client may be killed.
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
/// What a journal is made with, and how it may fail.
const JOURNAL_CALLS: &[&str] = &["openat", "pwrite64", "fsync", "fdatasync", "ftruncate"];
const ERRORS: &[&str] = &["ENOSPC", "EIO", "EMFILE", "EINTR"];
/// Parts on the wire at once.
const JOBS: u64 = 2;

/// One run that something is done to.
#[derive(Debug, Clone)]
enum Run {
    Killed {
        call: String,
        nth: u32,
    },
    Failing {
        call: String,
        error: &'static str,
        nth: u32,
        for_good: bool,
    },
    Small {
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
        "kill" => killed(),
        "errno" => failing(),
        "tmpfs" => (4..=64).map(|step| Run::Small { kib: step * 16 }).collect(),
        _ => {
            eprintln!("usage: kill | errno | tmpfs, and --every N");
            process::exit(2)
        }
    };
    let all = runs.len();
    let runs: Vec<Run> = runs.into_iter().step_by(every).collect();
    println!("{} runs of {all}", runs.len());
    let began = Instant::now();
    let (next, codes, wrong) = (
        AtomicUsize::new(0),
        Mutex::new(BTreeMap::new()),
        Mutex::new(Vec::new()),
    );
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let mut world = World::new();
                while let Some(run) = runs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    // A listing shows a thousand objects.
                    if world.store().objects().len() > 800 {
                        world = World::new();
                    }
                    if let Ok(code) = catch_unwind(AssertUnwindSafe(|| lead(&world, run))) {
                        *codes.lock().unwrap().entry(code).or_insert(0_u32) += 1;
                    } else {
                        println!("WRONG: {run:?}");
                        wrong.lock().unwrap().push(run.clone());
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
    let wrong = wrong.into_inner().unwrap();
    println!(
        "{} runs, {} wrong, {:.0} s",
        runs.len(),
        wrong.len(),
        began.elapsed().as_secs_f64()
    );
    process::exit(i32::from(!wrong.is_empty()));
}

/// A client's machine, its files and its journal.
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

    /// Six parts.
    fn large(world: &'a World) -> Self {
        Self::new(world, &[("film", 5 * PART + 1000)])
    }

    fn mixed(world: &'a World) -> Self {
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
        self.run_by(self.sandbox.command(env!("CARGO_BIN_EXE_upload")))
    }

    fn traced(&self, strace: &[&str]) -> Command {
        self.run_by(
            self.sandbox
                .command("strace")
                .args(["-f", "-qq"])
                .args(strace)
                .arg(env!("CARGO_BIN_EXE_upload")),
        )
    }

    fn run_by(&self, command: Command) -> Command {
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
            .env("UPLOAD_TOKEN", oracle::CANARY);
        command.args(args).arg(self.journal()).args(&self.files)
    }

    /// The journal and its side files, for strace.
    fn paths(&self) -> Vec<String> {
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

    /// Once more, unharmed; then all must be well. Uploads that were said to be complete still are.
    fn finish(&self, before: &Output, there: &[String]) {
        assert!(!before.stderr().contains("panicked"), "{before}");
        let again = self.put().run().succeeds();
        let (told, sent) = (oracle::told(before.stdout()), oracle::sent(&again));
        assert!(
            told + sent <= self.size(),
            "{sent} bytes were sent again, though {told} were said to be stored"
        );
        for id in completed(before) {
            assert!(
                completed(&again).contains(&id),
                "{id} was complete, and was begun again: {before}\n{again}"
            );
        }
        oracle::discreet(before);
        oracle::discreet(&again);
        oracle::holds(&self.world.store(), there, &self.files);
        oracle::whole(self.sandbox.files());
    }
}

fn completed(output: &Output) -> Vec<String> {
    let lines = output
        .stdout()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines
        .filter(|line| line["type"] == "completed")
        .filter_map(|line| line["upload"].as_str().map(str::to_owned))
        .collect()
}

/// How often each call is made by the thread that makes most of them.
fn counted(client: &Client, calls: &[&str], paths: &[String]) -> BTreeMap<String, u32> {
    let log = client.sandbox.path("calls");
    let trace = format!("trace={}", calls.join(","));
    let mut args = vec!["-o", log.to_str().unwrap(), "-e", &trace];
    args.extend(paths.iter().map(String::as_str));
    client.traced(&args).run().succeeds();
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

fn killed() -> Vec<Run> {
    let world = World::new();
    let counts = counted(&Client::large(&world), CALLS, &[]);
    counts
        .into_iter()
        .flat_map(|(call, most)| {
            (1..=most).map(move |nth| Run::Killed {
                call: call.clone(),
                nth,
            })
        })
        .collect()
}

fn failing() -> Vec<Run> {
    let world = World::new();
    let client = Client::mixed(&world);
    let mut runs = Vec::new();
    for (call, most) in counted(&client, JOURNAL_CALLS, &client.paths()) {
        for error in ERRORS {
            for (nth, for_good) in (1..=most).flat_map(|nth| [(nth, false), (nth, true)]) {
                // Interrupted for ever is no fault there is; who is interrupted tries again.
                if for_good && *error == "EINTR" {
                    continue;
                }
                runs.push(Run::Failing {
                    call: call.clone(),
                    error,
                    nth,
                    for_good,
                });
            }
        }
    }
    runs
}

/// Leads one run to its good end; gives the code of the run that something was done to.
fn lead(world: &World, run: &Run) -> Option<i32> {
    let there = world.store().objects();
    let before = world.proxy.traffic();
    let output = match run {
        Run::Killed { call, nth } => {
            let client = Client::large(world);
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let output = client
                .traced(&[
                    "-o",
                    "/dev/null",
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                    &inject,
                ])
                .run();
            assert!(matches!(output.code(), None | Some(0)), "{output}");
            client.finish(&output, &there);
            let sent = world.proxy.traffic().since(&before).bytes("PUT");
            assert!(
                sent <= client.size() + JOBS * PART,
                "{sent} bytes were sent"
            );
            output
        }
        Run::Failing {
            call,
            error,
            nth,
            for_good,
        } => {
            let client = Client::mixed(world);
            let on = if *for_good { "+" } else { "" };
            let inject = format!("inject={call}:error={error}:when={nth}{on}");
            let paths = client.paths();
            let trace = format!("trace={call}");
            let mut args = vec!["-o", "/dev/null", "-e", &trace, "-e", &inject];
            args.extend(paths.iter().map(String::as_str));
            let output = client.traced(&args).run();
            assert!(matches!(output.code(), Some(0 | 73 | 74 | 75)), "{output}");
            client.finish(&output, &there);
            output
        }
        Run::Small { kib } => small(world, *kib, &there),
    };
    output.code()
}

/// A journal alone on a file system of so many KiB, which grows when the run has ended.
fn small(world: &World, kib: u64, there: &[String]) -> Output {
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
    let output = client.run_by(unshare).run();
    assert!(matches!(output.code(), Some(0 | 73 | 74)), "{output}");
    assert!(!output.stderr().contains("panicked"), "{output}");
    let first = fs::read_to_string(first).unwrap();
    let again = completed(&output);
    for line in first
        .lines()
        .filter(|line| line.contains(r#""type":"completed""#))
    {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            again.iter().any(|id| line["upload"] == *id),
            "{line} was begun again"
        );
    }
    oracle::holds(&world.store(), there, &client.files);
    output
}
