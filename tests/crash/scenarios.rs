//! Scenarios of uploads in which one process is killed at a crash point: the client, the gateway,
//! or both in one process.

use std::fs;
use std::path::PathBuf;

use crate::assertions::{self, TOKEN};
use crate::points::PassCounts;
use crate::restartable_gateway::RestartableGateway;
use crate::support::command::{Command, Output};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Proxy, Traffic};
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files};

/// Parts in flight.
const JOBS: u64 = 2;
/// The total size of the files of one part, which are sent at the same time.
const SMALL_FILES_BYTES: u64 = 4000;

/// The command that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// `put` of an empty file, small ones and a large one.
    FirstPut,
    /// `put` of uploads begun earlier: one source was touched since, one changed, one was
    /// completed.
    RepeatedPut,
    /// `resume` of the same uploads.
    Resume,
    /// `put` of files that were uploaded and then renamed, and of copies under their old names: the
    /// store copies the renamed ones.
    RenamedPut,
}

impl Scenario {
    pub const ALL: [Self; 4] = [
        Self::FirstPut,
        Self::RepeatedPut,
        Self::Resume,
        Self::RenamedPut,
    ];
}

/// The process that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Client,
    Gateway,
    /// `--backend embedded`: client, gateway and store are one process.
    Embedded,
}

/// The files of one scenario, and the client's directories.
struct Sources {
    sandbox: Sandbox,
    files: Vec<PathBuf>,
    backend: String,
}

impl Sources {
    fn of(scenario: Scenario, backend: String) -> Self {
        let sandbox = Sandbox::new();
        let sizes: &[(&str, u64)] = match scenario {
            Scenario::FirstPut => &[
                ("empty", 0),
                ("a", 1000),
                ("b", 1000),
                ("c", 2000),
                ("film", PART + 1000),
            ],
            Scenario::RepeatedPut | Scenario::Resume => &[
                ("doc", SMALL_FILES_BYTES),
                ("film", PART + 1000),
                ("clip", PART + 500),
            ],
            Scenario::RenamedPut => &[("doc", SMALL_FILES_BYTES), ("film", PART + 1000)],
        };
        let files = sizes
            .iter()
            .map(|(name, size)| sandbox.file(name, *size))
            .collect();
        Self {
            sandbox,
            files,
            backend,
        }
    }

    fn upload(&self, verb: &str) -> Command {
        let args = [verb, "--json", "--jobs", "2", "--backend", &self.backend];
        self.sandbox.upload(args).env("UPLOAD_TOKEN", TOKEN)
    }

    /// `put` of some of the files. To `embedded` with chosen keys, to a gateway with keys that it
    /// makes.
    fn put_of(&self, files: &[PathBuf]) -> Command {
        let put = self.upload("put").args(["--part-size", "5MiB"]);
        let put = match self.backend.as_str() {
            "embedded" => put.args(["--prefix", "in"]),
            _ => put,
        };
        put.args(files)
    }

    fn put(&self) -> Command {
        self.put_of(&self.files)
    }

    /// The command of the scenario.
    fn command(&self, scenario: Scenario) -> Command {
        if scenario == Scenario::Resume {
            self.upload("resume")
        } else {
            self.put()
        }
    }

    /// Puts one of the files with a kill at this point.
    #[track_caller]
    fn begin_with_kill(&self, file: usize, crash_point: &str) {
        let put = self.put_of(&self.files[file..=file]);
        let output = put.env("UPLOAD_CRASH", crash_point).run();
        assert_eq!(output.code(), None, "{output}");
    }

    /// Touches one of the files that were begun, and changes another.
    fn change(&self) {
        files::touch(&self.sandbox.path("film"));
        files::resize(&self.sandbox.path("clip"), PART + 700);
    }

    /// Puts all files, renames them, and copies them to their old names. Returns the bytes that
    /// were sent.
    #[track_caller]
    fn put_and_rename(&mut self) -> u64 {
        self.put().run().succeeds();
        let bytes = self.size();
        for old in self.files.clone() {
            let new = old.with_extension("renamed");
            fs::rename(&old, &new).unwrap();
            fs::copy(&new, &old).unwrap();
            self.files.push(new);
        }
        bytes
    }

    fn size(&self) -> u64 {
        self.files
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum()
    }

    /// Puts all files without a kill, in `FirstPut` after an `upload resume` if `resume_first`.
    #[track_caller]
    fn repeat(&self, scenario: Scenario, resume_first: bool) -> Vec<Output> {
        let mut outputs = Vec::new();
        if resume_first && scenario == Scenario::FirstPut {
            outputs.push(self.upload("resume").run().succeeds());
        }
        outputs.push(self.put().run().succeeds());
        outputs
    }
}

/// Asserts the exit code of a command that was not killed.
#[track_caller]
fn assert_exit_code(output: Output, scenario: Scenario) -> Output {
    // A source that changed is not resumed.
    output.exits(if scenario == Scenario::Resume { 65 } else { 0 })
}

/// A gateway that several runs use.
pub struct SharedGateway {
    gateway: Gateway,
    proxy: Proxy,
    store: S3,
}

/// The processes that successive runs use.
pub enum Environment {
    /// All runs use one gateway.
    Client(Box<SharedGateway>),
    Gateway,
    Embedded,
}

impl Victim {
    pub fn environment(self) -> Environment {
        match self {
            Self::Gateway => Environment::Gateway,
            Self::Embedded => Environment::Embedded,
            Self::Client => {
                let proxy = Proxy::start();
                let gateway = Gateway::start(&["--public-url", &proxy.url()], &[]);
                proxy.forward_to(gateway.addr());
                let store = gateway.store();
                Environment::Client(Box::new(SharedGateway {
                    gateway,
                    proxy,
                    store,
                }))
            }
        }
    }

    /// Counts how often a scenario passes each point, without a kill.
    pub fn count_passes(self, scenario: Scenario) -> PassCounts {
        let log = tempfile::NamedTempFile::new().unwrap();
        self.environment().run(
            scenario,
            ("UPLOAD_CRASH_LOG", log.path().to_str().unwrap()),
            false,
        );
        PassCounts::read(log.path())
    }
}

impl Environment {
    /// Runs a scenario with a kill at this point; returns true if the process was killed.
    pub fn run_killed(&mut self, scenario: Scenario, point: &str, hit: u32) -> bool {
        self.run(
            scenario,
            ("UPLOAD_CRASH", &format!("{point}:{hit}")),
            hit == 1,
        )
    }

    /// Runs a scenario with `crash_env` in the environment of the victim; returns true if it was
    /// killed.
    fn run(&mut self, scenario: Scenario, crash_env: (&str, &str), resume_first: bool) -> bool {
        match self {
            Self::Client(shared) => put_by_client(shared, scenario, crash_env, resume_first),
            Self::Gateway => put_to_gateway(scenario, crash_env, None),
            Self::Embedded => put_embedded(scenario, crash_env, resume_first),
        }
    }
}

/// Runs the command of a scenario with `crash_env` and repeats it until it succeeds. Returns true
/// if the first run was killed.
fn run_and_repeat(
    sources: &Sources,
    scenario: Scenario,
    crash_env: (&str, &str),
    resume_first: bool,
) -> bool {
    let output = sources
        .command(scenario)
        .env(crash_env.0, crash_env.1)
        .run();
    let killed = output.code().is_none();
    let output = if killed {
        output
    } else {
        assert_exit_code(output, scenario)
    };
    assertions::assert_no_secrets(&output);
    let mut sent = 0;
    for output in sources.repeat(scenario, resume_first) {
        assertions::assert_no_secrets(&output);
        sent += assertions::bytes_sent(&output);
    }
    if scenario == Scenario::FirstPut {
        let reported = assertions::stored_bytes_reported(output.stdout());
        assert!(
            sent <= sources.size() - reported,
            "{sent} bytes were sent again, although {reported} were reported as stored"
        );
    }
    killed
}

fn put_by_client(
    shared: &SharedGateway,
    scenario: Scenario,
    crash_env: (&str, &str),
    resume_first: bool,
) -> bool {
    let SharedGateway {
        gateway,
        proxy,
        store,
    } = shared;
    let known_objects = store.objects();
    let before = proxy.traffic();
    let mut sources = Sources::of(scenario, proxy.url());
    let mut bound = sources.size() + SMALL_FILES_BYTES + JOBS * PART;
    if scenario == Scenario::RenamedPut {
        bound = sources.put_and_rename();
    } else if scenario != Scenario::FirstPut {
        sources
            .upload("put")
            .arg(&sources.files[0])
            .run()
            .succeeds();
        sources.begin_with_kill(2, "transfer.stored:1");
        sources.begin_with_kill(1, "transfer.stored:1");
        // The parts of the old content of "clip", and the parts in flight at both kills.
        bound += PART + 500 + 2 * JOBS * PART;
        sources.change();
    }
    let killed = run_and_repeat(&sources, scenario, crash_env, resume_first);
    assert_sent_at_most(&proxy.traffic().since(&before), bound);
    assertions::assert_stored(store, &known_objects, &sources.files);
    assertions::assert_databases_intact(sources.sandbox.files());
    assert!(!gateway.stderr().contains("panicked"));
    killed
}

#[track_caller]
fn assert_sent_at_most(traffic: &Traffic, bound: u64) {
    let sent = traffic.bytes("PUT");
    assert!(
        sent <= bound,
        "{sent} bytes were sent, at most {bound} expected"
    );
}

fn put_embedded(scenario: Scenario, crash_env: (&str, &str), resume_first: bool) -> bool {
    let mut sources = Sources::of(scenario, "embedded".to_owned());
    if scenario == Scenario::RenamedPut {
        sources.put_and_rename();
    } else if scenario != Scenario::FirstPut {
        sources.put_of(&sources.files[..1]).run().succeeds();
        // The first kill leaves parts with a row, the second one a part file without a row.
        sources.begin_with_kill(2, "transfer.stored:1");
        sources.begin_with_kill(1, "store.publish.durable:2");
        sources.change();
    }
    let killed = run_and_repeat(&sources, scenario, crash_env, resume_first);
    assertions::assert_databases_intact(sources.sandbox.files());
    // The assertions use the S3 API of the same store.
    let Sources { sandbox, files, .. } = sources;
    let gateway = Gateway::start_in(sandbox, &[], &[]);
    // At a chosen key, a multipart upload that was created and not recorded stays: it may be that
    // of another program.
    assertions::assert_objects(&gateway.store(), &[], &files);
    killed
}

/// Runs a scenario against a gateway that may be killed; `ledger` is a URL, by default a file.
pub fn put_to_gateway(scenario: Scenario, crash_env: (&str, &str), ledger: Option<&str>) -> bool {
    let mut gateway = RestartableGateway::new();
    gateway.ledger = ledger.map(str::to_owned);
    let mut sources = Sources::of(scenario, gateway.proxy.url());
    let mut bound = sources.size() + SMALL_FILES_BYTES + JOBS * PART;
    if scenario == Scenario::RenamedPut {
        assert!(gateway.start(None));
        bound = sources.put_and_rename();
        gateway.kill();
    } else if scenario != Scenario::FirstPut {
        assert!(gateway.start(None));
        sources
            .upload("put")
            .arg(&sources.files[0])
            .run()
            .succeeds();
        sources.begin_with_kill(2, "transfer.stored:1");
        gateway.kill();
        assert!(gateway.start(Some(("UPLOAD_CRASH", "store.publish.durable:2"))));
        let client = sources
            .upload("put")
            .args(["--part-size", "5MiB"])
            .arg(&sources.files[1])
            .spawn();
        gateway.wait_until_killed();
        client.kill9();
        bound += PART + 500 + 2 * JOBS * PART;
        sources.change();
    }
    gateway.start(Some(crash_env));
    let output = assert_exit_code(gateway.run_client(sources.command(scenario)), scenario);
    assertions::assert_no_secrets(&output);
    let killed = gateway.was_killed;
    for output in sources.repeat(scenario, false) {
        assertions::assert_no_secrets(&output);
    }
    assert_sent_at_most(&gateway.proxy.traffic(), bound);
    gateway.restart_if_dead();
    assertions::assert_stored(
        &S3::from_credentials(&gateway.credentials()),
        &[],
        &sources.files,
    );
    gateway.kill();
    assertions::assert_databases_intact(gateway.sandbox.files());
    killed
}

/// Each test kills one process, at its share of the points.
macro_rules! kill_tests {
    ($($name:ident: $side:ident, $victim:ident, $share:expr;)*) => {
        $(
            #[test]
            fn $name() {
                crate::matrix(crate::Side::$side, Victim::$victim, $share);
            }
        )*
    };
}

kill_tests! {
    client_killed_at_even_points_recovers: Client, Client, (0, 2);
    client_killed_at_odd_points_recovers: Client, Client, (1, 2);
    gateway_killed_at_even_points_recovers: Gateway, Gateway, (0, 2);
    gateway_killed_at_odd_points_recovers: Gateway, Gateway, (1, 2);
    embedded_backend_killed_at_even_points_recovers: Gateway, Embedded, (0, 2);
    embedded_backend_killed_at_odd_points_recovers: Gateway, Embedded, (1, 2);
}
