//! The table of states in `service/lifecycle.rs`, row by row, against the ledger.

use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use super::fixture::Fixture;
use crate::auth::Owner;
use crate::hooks::{Disposal, Reason};
use crate::lease::{Lease, Renewed};
use crate::ledger::{
    self, Ledger, LedgerConfig, NewUpload, Rejection, SweepTask, TransitionOutcome, Upload,
    UploadKind,
};
use crate::limits::Quota;
use crate::service::abort::REMOVABLE;
use crate::service::new_upload::Arrival;
use upload_types::plan::Plan;
use upload_types::wire::{CompletePart, PartSpec, Proof, Receipt, StoredPart, UploadState};
use upload_types::{Checksum, ETag, PartNumber, Sha256, UploadId};

/// A row of the table.
struct Transition {
    /// Empty if the event creates the upload.
    from: Vec<UploadState>,
    event: String,
    /// `None` if the state stays the same.
    to: Option<UploadState>,
}

/// The rows of the table in the documentation.
fn transitions() -> Vec<Transition> {
    let state = |name: &str| UploadState::from_name(name).unwrap_or_else(|| panic!("{name}"));
    include_str!("../lifecycle.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! |"))
        .skip(2)
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let from = cells[0].split(", ").filter(|name| *name != "none");
            Transition {
                from: from.map(state).collect(),
                event: cells[1].to_owned(),
                to: (cells[2] != "same").then(|| state(cells[2])),
            }
        })
        .collect()
}

/// A ledger with one upload of one part.
struct StateFixture {
    ledger: Ledger,
    config: LedgerConfig,
    owner: Owner,
    id: UploadId,
    renewed: Renewed,
    _dir: TempDir,
}

const EPOCH: u64 = 1;
const NUMBER: PartNumber = PartNumber::FIRST;
const SIZE: u64 = 3;
const UNFINISHED: &[UploadState] = &[
    UploadState::Pending,
    UploadState::Uploading,
    UploadState::Completing,
];

fn sha256() -> Sha256 {
    Sha256::of(b"abc")
}

fn etag() -> ETag {
    "e".parse().unwrap()
}

fn declared_part() -> PartSpec {
    PartSpec {
        number: NUMBER,
        size: SIZE,
        sha256: sha256(),
        md5: None,
    }
}

fn complete_part() -> CompletePart {
    CompletePart {
        number: NUMBER,
        etag: etag(),
        sha256: sha256(),
    }
}

fn stored_part() -> StoredPart {
    StoredPart {
        number: NUMBER,
        size: SIZE,
        etag: etag(),
        sha256: None,
    }
}

fn is_done(outcome: TransitionOutcome) -> bool {
    outcome == TransitionOutcome::Done
}

impl StateFixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = LedgerConfig::Sqlite(dir.path().join("ledger.db"));
        let ledger = Ledger::open(&config).await.unwrap();
        let owner = Owner::new(ledger.owner_segment("local", "o".repeat(26)).await.unwrap());
        let now = Timestamp::now();
        let later = now.checked_add(Duration::from_mins(1)).unwrap();
        let renewed = Renewed {
            lease_until: later,
            expires_at: later,
        };
        let (kind, pinned) = (UploadKind::Declared, Vec::new());
        let upload = begin(&ledger, &owner, "first", (kind, pinned), renewed).await;
        Self {
            ledger,
            config,
            owner,
            id: upload.id.clone(),
            renewed,
            _dir: dir,
        }
    }

    async fn upload(&self) -> Upload {
        let upload = self.ledger.upload(&self.owner.0, &self.id).await.unwrap();
        upload.unwrap()
    }

    /// Begins another upload by an event. Returns its state.
    async fn begin(&self, event: &str) -> UploadState {
        let arrival = match event {
            "begin" => (UploadKind::Declared, Vec::new()),
            "begin with parts" => (UploadKind::Declared, vec![declared_part()]),
            "begin form" => (UploadKind::FormPost, Vec::new()),
            unknown => panic!("no such event: {unknown}"),
        };
        let upload = begin(&self.ledger, &self.owner, event, arrival, self.renewed).await;
        upload.state
    }

    /// Puts the upload into a state, with hooks that are due if it is verified.
    fn set_state(&self, state: UploadState) {
        let execute = |sql: &str| ledger::tests::execute_sql(&self.config, sql);
        let (id, name) = (&self.id, state.name());
        execute(&format!(
            "UPDATE upload SET state = '{name}', receipt = NULL, store_upload = NULL, kind = 'declared'"
        ));
        execute("DELETE FROM part");
        execute("DELETE FROM pending_hooks");
        if state == UploadState::Verified {
            execute(&format!(
                "INSERT INTO pending_hooks (upload, owner, due_at, epoch, accepted, failures, since) \
                 SELECT id, (SELECT segment FROM owner WHERE number = upload.owner), 0, {EPOCH}, '[]', 0, 0 \
                 FROM upload WHERE id = '{id}'"
            ));
        }
    }

    fn receipt(&self, upload: &Upload) -> Receipt {
        Receipt {
            id: Some(self.id.clone()),
            backend: String::new(),
            instance_id: String::new(),
            name: upload.name.clone(),
            bucket: None,
            key: upload.key.clone(),
            version_id: None,
            location: None,
            size: SIZE,
            parts: 1,
            part_size: SIZE,
            double_after: None,
            etag: etag(),
            checksum: Some(Checksum::whole(&sha256())),
            proof: Proof::Sha256,
            unproven: Vec::new(),
            sha256: Some(sha256()),
            started: Timestamp::now(),
            finished: Timestamp::now(),
        }
    }

    /// Applies an event. Returns true if the ledger accepts it.
    async fn apply(&self, event: &str) -> bool {
        if let Some(is_accepted) = self.apply_call(event).await {
            return is_accepted;
        }
        if let Some(is_accepted) = self.apply_verification(event).await {
            return is_accepted;
        }
        self.apply_end(event)
            .await
            .unwrap_or_else(|| panic!("no such event: {event}"))
    }

    /// Applies an event that a call of a client causes.
    async fn apply_call(&self, event: &str) -> Option<bool> {
        let (ledger, id, renewed) = (&self.ledger, &self.id, self.renewed);
        let (upload, quota) = (self.upload().await, Quota::default());
        let outcome = match event {
            "sign" => {
                let parts = vec![declared_part()];
                ledger.pin_parts(id, EPOCH, parts, renewed).await
            }
            "sign stream" => {
                let (parts, size) = (vec![declared_part()], (SIZE, quota));
                let outcome = ledger.pin_stream(id, EPOCH, parts, size, renewed).await;
                Ok(outcome.unwrap().unwrap())
            }
            "sign numbers" => {
                let outcome = ledger.reserve_size(id, EPOCH, SIZE, quota, renewed).await;
                Ok(outcome.unwrap().unwrap())
            }
            "multipart created" => {
                return Some(ledger.set_store_upload(id, "multipart").await.unwrap());
            }
            "claim" => {
                let lease = Lease {
                    holder: Some("holder".into()),
                    ..upload.lease.clone()
                };
                let set = ledger.set_lease(id, upload.lease, lease, renewed.expires_at);
                return Some(set.await.unwrap());
            }
            "complete" => {
                let parts = vec![complete_part()];
                ledger.start_completing(id, EPOCH, parts, renewed).await
            }
            "complete stream" => {
                let pin = format!(
                    "INSERT INTO part (upload, number, size, sha256) VALUES ('{id}', 1, {SIZE}, x'{}') \
                     ON CONFLICT DO NOTHING",
                    complete_part().sha256
                );
                ledger::tests::execute_sql(&self.config, &pin);
                let (plan, parts) = (upload.plan, vec![complete_part()]);
                ledger
                    .start_completing_stream(id, EPOCH, plan, parts, renewed)
                    .await
            }
            "complete listed" => {
                let (plan, parts) = (upload.plan, vec![stored_part()]);
                let outcome = ledger
                    .start_completing_listed(id, EPOCH, plan, parts, quota, renewed)
                    .await;
                Ok(outcome.unwrap().unwrap())
            }
            "complete listed again" => ledger.renew_completing(id, EPOCH, renewed).await,
            "abort" => {
                let until = renewed.lease_until;
                ledger.start_aborting(id, Some(EPOCH), until).await
            }
            _ => return None,
        };
        Some(is_done(outcome.unwrap()))
    }

    /// Applies an event that follows from the object in the store.
    async fn apply_verification(&self, event: &str) -> Option<bool> {
        let ledger = &self.ledger;
        let receipt = self.receipt(&self.upload().await);
        let (event, hooks_due) = match event.strip_suffix(", hooks due") {
            Some(event) => (event, Some(Timestamp::now())),
            None => (event, None),
        };
        if hooks_due.is_some() {
            // Hooks that are due already would prevent the insertion of new ones.
            ledger::tests::execute_sql(&self.config, "DELETE FROM pending_hooks");
        }
        let is_accepted = match event {
            "object matches" => ledger.mark_verified(&receipt, hooks_due).await,
            "object matches after expiry" => {
                let from = &[UploadState::Aborting, UploadState::Expired];
                ledger.mark_recovered(&receipt, from, hooks_due).await
            }
            "single PUT matches" => {
                let part = complete_part();
                ledger
                    .mark_single_verified(&receipt, EPOCH, part, hooks_due)
                    .await
            }
            "parts differ" => ledger.reopen(&self.id).await,
            _ => return None,
        };
        Some(is_accepted.unwrap())
    }

    /// Applies an event that ends the upload, or that a sweep or a hook causes.
    async fn apply_end(&self, event: &str) -> Option<bool> {
        let (ledger, id, now) = (&self.ledger, &self.id, Timestamp::now());
        let end = async |from, to| ledger.end(id, from, to, (now, now)).await;
        let completing = &[UploadState::Completing];
        let aborting = &[UploadState::Aborting];
        let is_accepted = match event {
            "object is damaged" => end(completing, UploadState::Rejected).await,
            "upload is lost" => end(completing, UploadState::Expired).await,
            "another object is at its key" => end(completing, UploadState::Aborted).await,
            "parts are lost" => end(UNFINISHED, UploadState::Expired).await,
            "remove" => {
                let until = self.renewed.lease_until;
                ledger.start_removing(id, REMOVABLE, until).await
            }
            "removed after abort" => end(aborting, UploadState::Aborted).await,
            "removed after expiry" => end(aborting, UploadState::Expired).await,
            "sweep after expiry" => {
                let (task, until) = (SweepTask::Expired, self.renewed.lease_until);
                let taken = ledger.take_sweep_task(task, Timestamp::MAX, until).await;
                taken.map(|uploads| !uploads.is_empty())
            }
            "begin of another at its key" => {
                let (now, until) = (Timestamp::MAX, self.renewed.lease_until);
                ledger.take_over_key(id, EPOCH, now, until).await
            }
            "hooks accept" => ledger.mark_ready(id, EPOCH).await,
            "hook rejects" => {
                let rejection = Rejection {
                    hook: "hook".into(),
                    reason: Reason::new(None),
                    disposal: Disposal::Delete,
                    until: Some(now),
                };
                ledger
                    .mark_rejected(id, EPOCH, &rejection, (now, now))
                    .await
            }
            _ => return None,
        };
        Some(is_accepted.unwrap())
    }
}

async fn begin(
    ledger: &Ledger,
    owner: &Owner,
    idempotency_key: &str,
    (kind, pinned): (UploadKind, Vec<PartSpec>),
    renewed: Renewed,
) -> Upload {
    let arrival = Arrival {
        kind,
        plan: Plan::pinned(SIZE, SIZE).unwrap(),
        pinned,
        chosen: None,
    };
    let request = Fixture::begin_request(usize::try_from(SIZE).unwrap());
    let new = NewUpload::from_request(
        owner,
        idempotency_key,
        request,
        arrival,
        (Timestamp::now(), renewed),
    )
    .unwrap();
    let (upload, _) = ledger.begin(new).await.unwrap();
    upload
}

#[tokio::test]
async fn ledger_accepts_exactly_the_transitions_of_the_table() {
    let fixture = StateFixture::new().await;
    let transitions = transitions();
    assert_eq!(transitions.len(), 31);
    for Transition { from, event, to } in transitions.iter().filter(|row| !row.from.is_empty()) {
        for state in UploadState::ALL {
            fixture.set_state(state);
            let is_accepted = fixture.apply(event).await;
            let is_in_table = from.contains(&state);
            assert_eq!(is_accepted, is_in_table, "{event} in {state:?}");
            let expected = if is_in_table {
                to.unwrap_or(state)
            } else {
                state
            };
            assert_eq!(
                fixture.upload().await.state,
                expected,
                "{event} in {state:?}"
            );
        }
    }
}

#[tokio::test]
async fn upload_begins_in_the_state_of_the_table() {
    let fixture = StateFixture::new().await;
    let transitions = transitions();
    let begins = transitions.iter().filter(|row| row.from.is_empty());
    for Transition { event, to, .. } in begins {
        assert_eq!(Some(fixture.begin(event).await), *to, "{event}");
    }
}

#[test]
fn every_state_is_reachable_and_every_unfinished_state_has_an_exit() {
    let transitions = transitions();
    for state in UploadState::ALL {
        let is_reached = transitions
            .iter()
            .any(|transition| transition.to == Some(state));
        assert!(is_reached, "{state:?}");
        let has_exit = transitions.iter().any(|transition| {
            transition.from.contains(&state) && transition.to.is_some_and(|to| to != state)
        });
        assert_eq!(has_exit, state != UploadState::Aborted, "{state:?}");
    }
}
