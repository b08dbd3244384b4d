//! Stories of uploads, and who dies in them: the client, the gateway beside it, or both in one process.
//!
//! Border: runs commands and kills nothing by itself: who dies, dies at a point.

use std::fs;
use std::path::PathBuf;

use crate::oracle::{self, CANARY};
use crate::points::Passed;
use crate::support::command::{Command, Output, Running};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Proxy, Traffic};
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::{PART, files, wait};

/// Parts on the wire at once.
const JOBS: u64 = 2;
/// Files of one part, in all; they travel together.
const SMALL: u64 = 4000;

/// What is under way when death comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// `put` of an empty file, small ones and a large one.
    First,
    /// `put` of what was begun before: one file was touched since, one is another, one was finished.
    Again,
    /// `resume` of the same.
    Resume,
}

impl Story {
    pub const ALL: [Self; 3] = [Self::First, Self::Again, Self::Resume];
}

/// Who lives where, and who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Client,
    Gateway,
    /// `--backend embedded`: client, gateway and store are one process.
    Embedded,
}

/// The files of one story, and the machine they are on.
struct Sources {
    sandbox: Sandbox,
    files: Vec<PathBuf>,
    backend: String,
}

impl Sources {
    fn of(story: Story, backend: String) -> Self {
        let sandbox = Sandbox::new();
        let sizes: &[(&str, u64)] = match story {
            Story::First => &[
                ("empty", 0),
                ("a", 1000),
                ("b", 1000),
                ("c", 2000),
                ("film", PART + 1000),
            ],
            Story::Again | Story::Resume => {
                &[("doc", SMALL), ("film", PART + 1000), ("clip", PART + 500)]
            }
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
        self.sandbox.upload(args).env("UPLOAD_TOKEN", CANARY)
    }

    fn put(&self) -> Command {
        self.upload("put")
            .args(["--part-size", "5MiB"])
            .args(&self.files)
    }

    /// What the story is about.
    fn told(&self, story: Story) -> Command {
        if story == Story::Resume {
            self.upload("resume")
        } else {
            self.put()
        }
    }

    /// Begins one of the files, up to this point.
    #[track_caller]
    fn begun(&self, file: usize, fatal: &str) {
        let put = self
            .upload("put")
            .args(["--part-size", "5MiB"])
            .arg(&self.files[file]);
        let dead = put.env("UPLOAD_CRASH", fatal).run();
        assert_eq!(dead.code(), None, "{dead}");
    }

    /// Changes what has changed since the files were begun.
    fn change(&self) {
        files::touch(&self.sandbox.path("film"));
        files::resize(&self.sandbox.path("clip"), PART + 700);
    }

    fn size(&self) -> u64 {
        self.files
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum()
    }

    /// The command once more, until there is nothing more to do.
    #[track_caller]
    fn finish(&self, story: Story, resume_first: bool) -> Vec<Output> {
        let mut outputs = Vec::new();
        if resume_first && story == Story::First {
            outputs.push(self.upload("resume").run().succeeds());
        }
        outputs.push(self.put().run().succeeds());
        outputs
    }
}

/// Asserts that a story that nobody died in ended as it should.
#[track_caller]
fn ended(output: Output, story: Story) -> Output {
    // What is another file than was begun is not resumed.
    output.exits(if story == Story::Resume { 65 } else { 0 })
}

/// A gateway that outlives its clients.
pub struct Beside {
    gateway: Gateway,
    proxy: Proxy,
    store: S3,
}

/// What one life after another is led in.
pub enum Place {
    /// One gateway for all of them.
    Client(Box<Beside>),
    Gateway,
    Embedded,
}

impl Life {
    pub fn place(self) -> Place {
        match self {
            Self::Gateway => Place::Gateway,
            Self::Embedded => Place::Embedded,
            Self::Client => {
                let proxy = Proxy::start();
                let gateway = Gateway::start(&["--public-url", &proxy.url()], &[]);
                proxy.forward_to(gateway.addr());
                let store = gateway.store();
                Place::Client(Box::new(Beside {
                    gateway,
                    proxy,
                    store,
                }))
            }
        }
    }

    /// Which points a story passes.
    pub fn unharmed(self, story: Story) -> Passed {
        let log = tempfile::NamedTempFile::new().unwrap();
        self.place().live(
            story,
            ("UPLOAD_CRASH_LOG", log.path().to_str().unwrap()),
            false,
        );
        Passed::read(log.path())
    }
}

impl Place {
    /// Lets a story be cut short; true if it was.
    pub fn cut_short(&mut self, story: Story, point: &str, hit: u32) -> bool {
        self.live(story, ("UPLOAD_CRASH", &format!("{point}:{hit}")), hit == 1)
    }

    /// Leads one life, with `fate` in the environment of whoever may die; true if they did.
    fn live(&mut self, story: Story, fate: (&str, &str), resume_first: bool) -> bool {
        match self {
            Self::Client(beside) => client(beside, story, fate, resume_first),
            Self::Gateway => gateway(story, fate, None),
            Self::Embedded => embedded(story, fate, resume_first),
        }
    }
}

fn client(beside: &Beside, story: Story, fate: (&str, &str), resume_first: bool) -> bool {
    let Beside {
        gateway,
        proxy,
        store,
    } = beside;
    let there = store.objects();
    let before = proxy.traffic();
    let sources = Sources::of(story, proxy.url());
    let mut bound = sources.size() + SMALL + JOBS * PART;
    if story != Story::First {
        sources
            .upload("put")
            .arg(&sources.files[0])
            .run()
            .succeeds();
        sources.begun(2, "transfer.stored:1");
        sources.begun(1, "transfer.stored:1");
        // What was sent of the clip that is no longer; and what was on the wire when they died.
        bound += PART + 500 + 2 * JOBS * PART;
        sources.change();
    }
    let output = sources.told(story).env(fate.0, fate.1).run();
    let died = output.code().is_none();
    let output = if died { output } else { ended(output, story) };
    oracle::discreet(&output);

    let mut sent = 0;
    for output in sources.finish(story, resume_first) {
        oracle::discreet(&output);
        sent += oracle::sent(&output);
    }
    if story == Story::First {
        let told = oracle::told(output.stdout());
        assert!(
            sent <= sources.size() - told,
            "{sent} bytes were sent again, though {told} were said to be stored"
        );
    }
    bounded(&proxy.traffic().since(&before), bound);
    oracle::holds(store, &there, &sources.files);
    oracle::whole(sources.sandbox.files());
    assert!(!gateway.stderr().contains("panicked"));
    died
}

#[track_caller]
fn bounded(traffic: &Traffic, bound: u64) {
    let sent = traffic.bytes("PUT");
    assert!(
        sent <= bound,
        "{sent} bytes were sent, {bound} would be much"
    );
}

fn embedded(story: Story, fate: (&str, &str), resume_first: bool) -> bool {
    let sources = Sources::of(story, "embedded".to_owned());
    if story != Story::First {
        sources
            .upload("put")
            .arg(&sources.files[0])
            .run()
            .succeeds();
        // Parts that have a row, and a file that none names.
        sources.begun(2, "transfer.stored:1");
        sources.begun(1, "store.publish.durable:2");
        sources.change();
    }
    let output = sources.told(story).env(fate.0, fate.1).run();
    let died = output.code().is_none();
    let output = if died { output } else { ended(output, story) };
    oracle::discreet(&output);
    let mut sent = 0;
    for output in sources.finish(story, resume_first) {
        oracle::discreet(&output);
        sent += oracle::sent(&output);
    }
    if story == Story::First {
        let told = oracle::told(output.stdout());
        assert!(
            sent <= sources.size() - told,
            "{sent} bytes were sent again, though {told} were said to be stored"
        );
    }
    oracle::whole(sources.sandbox.files());
    // The same store, seen by an S3 client.
    let Sources { sandbox, files, .. } = sources;
    let gateway = Gateway::start_in(sandbox, &[], &[]);
    oracle::holds(&gateway.store(), &[], &files);
    died
}

/// A gateway that may die (not while it tries its store, which it does for itself before anybody uploads), and is then started
/// again, whole.
pub struct Mortal {
    pub sandbox: Sandbox,
    pub proxy: Proxy,
    /// What it is told beside.
    pub args: Vec<String>,
    /// Where its ledger is, if not in a file.
    pub ledger: Option<String>,
    running: Option<Running>,
    pub died: bool,
}

impl Mortal {
    pub fn new() -> Self {
        let (sandbox, proxy) = (Sandbox::new(), Proxy::start());
        Self {
            sandbox,
            proxy,
            args: Vec::new(),
            ledger: None,
            running: None,
            died: false,
        }
    }

    /// Starts it; true if it lived to listen.
    pub fn start(&mut self, fate: Option<(&str, &str)>) -> bool {
        let credentials = self.sandbox.path("credentials").display().to_string();
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--public-url",
            &self.proxy.url(),
            "--store-probe",
            "off",
        ];
        let mut command = self
            .sandbox
            .upload(args)
            .args(["--store-credentials", &credentials])
            .args(&self.args);
        if let Some(url) = &self.ledger {
            command = command.env("UPLOAD_LEDGER", url);
        }
        if let Some((name, value)) = fate {
            command = command.env(name, value);
        }
        let mut running = command.spawn();
        let addr = wait::until("a gateway that listens, or is dead", || {
            let stderr = running.stderr();
            let listening = stderr.split_once("listening on http://");
            let addr = listening
                .and_then(|(_, rest)| rest.split(char::is_whitespace).next()?.parse().ok());
            if addr.is_none() && running.is_running() {
                None
            } else {
                Some(addr)
            }
        });
        if let Some(addr) = addr {
            self.proxy.forward_to(addr);
        }
        self.running = Some(running);
        addr.is_some()
    }

    /// Starts it again if it is dead.
    pub fn revive(&mut self) {
        if self
            .running
            .as_mut()
            .is_none_or(|running| !running.is_running())
        {
            self.died = true;
            assert!(
                self.start(None),
                "it does not start any more: {}",
                self.stderr()
            );
        }
    }

    fn stderr(&self) -> String {
        self.running
            .as_ref()
            .map(Running::stderr)
            .unwrap_or_default()
    }

    /// Of its store.
    pub fn credentials(&self) -> String {
        fs::read_to_string(self.sandbox.path("credentials")).unwrap()
    }

    /// Runs a client to its end, reviving the gateway meanwhile.
    pub fn serve(&mut self, command: Command) -> Output {
        let mut client = command.spawn();
        wait::until("the client to end", || {
            self.revive();
            (!client.is_running()).then_some(())
        });
        client.wait()
    }

    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill9();
        }
    }
}

/// The life of a gateway whose ledger is there, or in a file.
pub fn gateway(story: Story, fate: (&str, &str), ledger: Option<&str>) -> bool {
    let mut gateway = Mortal::new();
    gateway.ledger = ledger.map(str::to_owned);
    let sources = Sources::of(story, gateway.proxy.url());
    let mut bound = sources.size() + SMALL + JOBS * PART;
    if story != Story::First {
        assert!(gateway.start(None));
        sources
            .upload("put")
            .arg(&sources.files[0])
            .run()
            .succeeds();
        sources.begun(2, "transfer.stored:1");
        gateway.kill();
        assert!(gateway.start(Some(("UPLOAD_CRASH", "store.publish.durable:2"))));
        let client = sources
            .upload("put")
            .args(["--part-size", "5MiB"])
            .arg(&sources.files[1])
            .spawn();
        wait::until("the gateway to die", || {
            (!gateway.running.as_mut()?.is_running()).then_some(())
        });
        client.kill9();
        bound += PART + 500 + 2 * JOBS * PART;
        sources.change();
    }
    gateway.start(Some(fate));
    let output = ended(gateway.serve(sources.told(story)), story);
    oracle::discreet(&output);
    let died = gateway.died;
    for output in sources.finish(story, false) {
        oracle::discreet(&output);
    }
    bounded(&gateway.proxy.traffic(), bound);
    gateway.revive();
    oracle::holds(
        &S3::from_credentials(&gateway.credentials()),
        &[],
        &sources.files,
    );
    gateway.kill();
    oracle::whole(gateway.sandbox.files());
    died
}

/// Each test leads the lives in which one side dies, at its share of the points.
macro_rules! deaths {
    ($($name:ident: $side:ident, $life:ident, $share:expr;)*) => {
        $(
            #[test]
            fn $name() {
                crate::matrix(crate::Side::$side, Life::$life, $share);
            }
        )*
    };
}

deaths! {
    a_client_dies_at_each_point: Client, Client, (0, 2);
    a_client_dies_at_each_other_point: Client, Client, (1, 2);
    a_gateway_dies_at_each_point: Gateway, Gateway, (0, 2);
    a_gateway_dies_at_each_other_point: Gateway, Gateway, (1, 2);
    client_gateway_and_store_die_together_at_each_point: Gateway, Embedded, (0, 2);
    client_gateway_and_store_die_together_at_each_other_point: Gateway, Embedded, (1, 2);
}
