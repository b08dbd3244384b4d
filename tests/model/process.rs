//! One process of the client: the engine with a journal, until it ends or is killed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use upload::backend::{Backend, Options as Http};
use upload::event::{Event, EventSender};
use upload::journal::Journal;
use upload::transfer::{self, FirstCall, GiveUp, Item, Jobs, Options, WaitFor};
use upload_types::wire::Receipt;
use upload_types::{DiskFailure, Token};

use crate::bucket::Bucket;

/// The outcome of a process.
#[derive(Debug)]
pub enum Outcome {
    Killed,
    /// The end of each item.
    Done(Vec<Ended>),
}

/// The end of an item.
#[derive(Debug, Clone)]
pub enum Ended {
    Completed(Box<Receipt>),
    /// Left out, because an object is at its key.
    Kept,
    /// With the kind of the error.
    Failed(&'static str),
}

/// Seeds the random numbers of this thread so that the next ones are small and waits are short.
fn shorten_random_waits() {
    thread_local!(static LOW: u64 = {
        let is_low = |seed: &u64| {
            let mut rng = fastrand::Rng::with_seed(*seed);
            (0..5).all(|_| rng.f64() < 0.1)
        };
        (0..u64::MAX).find(is_low).unwrap()
    });
    LOW.with(|seed| fastrand::seed(*seed));
}

/// The addresses and the token that a process needs.
pub struct Process {
    pub bucket: Bucket,
    pub proxy: SocketAddr,
    pub token: String,
}

impl Process {
    pub fn backend(&self) -> Backend {
        let url = format!("http://{}", self.proxy).parse().unwrap();
        Backend::gateway(&url, Some(Token::new(self.token.clone())), Http::default()).unwrap()
    }

    /// Runs one process until it ends or is killed.
    pub async fn run(&self, journal: &Path, items: impl FnOnce(&Journal) -> Vec<Item>) -> Outcome {
        shorten_random_waits();
        let (mut journal, (sink, mut events)) =
            (Journal::open(journal).unwrap(), EventSender::channel());
        let items = items(&journal);
        if items.is_empty() {
            return Outcome::Done(Vec::new());
        }
        let (backend, client) = (format!("http://{}", self.proxy), self.backend());
        let (resume, jobs) = ("upload resume".into(), Jobs::Fixed(1));
        let options = Options {
            backend,
            s3_service: None,
            disk_failure: DiskFailure::default(),
            resume_command: resume,
            first_item: 0,
            jobs,
            max_open: 64,
            limiter: Arc::default(),
            give_up: GiveUp::Never,
            wait: WaitFor::Verified,
            sha256: false,
        };
        let (_stop_sender, mut stop) = watch::channel(None);
        let engine = async {
            let first = FirstCall {
                item: 0,
                give_up: options.give_up,
                events: &sink,
            };
            let info = transfer::handshake(&client, first, &mut stop)
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
        let summary = tokio::select! {
            result = engine => Some(result),
            () = self.bucket.client_kill.notified() => None,
        };
        if summary.is_none() {
            return Outcome::Killed;
        }
        let mut outcomes = Vec::new();
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Completed { receipt, .. } => outcomes.push(Ended::Completed(receipt)),
                Event::Kept { .. } => outcomes.push(Ended::Kept),
                Event::Failed { kind, .. } => outcomes.push(Ended::Failed(kind)),
                _ => {}
            }
        }
        Outcome::Done(outcomes)
    }
}
