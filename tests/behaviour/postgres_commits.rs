//! Two gateways on one PostgreSQL ledger lose a connection at each COMMIT of a put, and the client
//! continues at the other gateway: each file becomes one object, and no upload stays open.
//!
//! Not here: lost connections between two statements (unit tests of the gateway).

use std::thread;

use tokio_postgres::NoTls;

use crate::support::commit_proxy::{CommitProxy, Loss};
use crate::support::gateway::{Gateway, store_args};
use crate::support::postgres::Database;
use crate::support::s3::S3;
use crate::support::wait;
use crate::support::world::World;
use crate::support::{PART, files};

/// Runs at the same time, each with gateways of its own. Together they lose each COMMIT once.
const RUNS: u64 = 3;

struct GatewayPair {
    commits: CommitProxy,
    world: World,
    second: Gateway,
    bucket: S3,
    database: Database,
    _store: Gateway,
}

impl GatewayPair {
    fn new() -> Self {
        let (database, store) = (Database::new(), Gateway::start(&[], &[]));
        let bucket = store.store();
        let commits = CommitProxy::start(database.url());
        let ledger = commits.url(database.url());
        let ledger = ("UPLOAD_LEDGER", ledger.as_str());
        let sweep = ["--sweep-every", "never"];
        let world = World::on_store_with(&bucket, &sweep, &[ledger]);
        let (public_url, bucket_url, endpoint) = (
            world.proxy.url(),
            format!("s3://{}", bucket.bucket()),
            world.part_proxy().url(),
        );
        let args = [
            &["--public-url", &public_url][..],
            &sweep,
            &store_args(&bucket_url, &endpoint),
        ];
        let second = Gateway::start(&args.concat(), &[&bucket.envs()[..], &[ledger]].concat());
        Self {
            commits,
            world,
            second,
            bucket,
            database,
            _store: store,
        }
    }

    /// Uploads a file, with a loss at the `nth` COMMIT. Returns false if the put has fewer.
    fn put_with_loss(&self, nth: u64, loss: Loss) -> bool {
        let file = self.world.sandbox.file(&format!("{nth}"), PART + nth);
        self.world.proxy.forward_to(self.world.gateway.addr());
        self.commits.lose(nth, loss);
        let mut running = self.world.put(&file).arg("--json").spawn();
        wait::until("the loss, or the end of the put", || {
            (self.commits.has_lost() || !running.is_running()).then_some(())
        });
        let has_lost = self.commits.has_lost();
        if has_lost {
            self.world.proxy.forward_to(self.second.addr());
        }
        let known = self.bucket.objects();
        running.wait().succeeds();
        let sha256 = files::sha256(&file);
        let objects = self.bucket.objects();
        let new = objects.iter().filter(|key| !known.contains(key));
        assert!(
            new.chain(&known)
                .any(|key| self.bucket.sha256(key) == sha256),
            "commit {nth}: no object is the file"
        );
        has_lost
    }

    /// The states of all uploads in the ledger.
    fn states(&self) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let config: tokio_postgres::Config = self.database.url().parse().unwrap();
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            let rows = client.query("SELECT state FROM upload", &[]).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        })
    }
}

/// Loses the COMMIT `first` of a put, then that [`RUNS`] later of the next put, and so on, until a
/// put has fewer. Returns how many were lost.
fn lose_commits(loss: Loss, first: u64) -> u64 {
    let pair = GatewayPair::new();
    let mut nth = first;
    let mut files = 1;
    while pair.put_with_loss(nth, loss) {
        nth += RUNS;
        files += 1;
    }
    assert_eq!(pair.bucket.objects().len(), files);
    pair.bucket.assert_no_open_uploads();
    assert_eq!(pair.states(), vec!["ready"; files]);
    for gateway in [&pair.world.gateway, &pair.second] {
        assert!(!gateway.stderr().contains("panicked"));
    }
    files as u64 - 1
}

#[track_caller]
fn assert_nothing_is_lost(loss: Loss) {
    let commits: u64 = thread::scope(|scope| {
        let runs: Vec<_> = (1..=RUNS)
            .map(|first| scope.spawn(move || lose_commits(loss, first)))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    // Begin, sign, the parts, and complete.
    assert!(commits >= 4, "a put has only {commits} commits");
}

#[test]
fn put_survives_each_lost_commit() {
    assert_nothing_is_lost(Loss::Commit);
}

#[test]
fn put_survives_each_commit_without_a_response() {
    assert_nothing_is_lost(Loss::Response);
}
