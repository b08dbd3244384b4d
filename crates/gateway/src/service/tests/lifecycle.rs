//! The table of states in `service/lifecycle.rs`, row by row, against the ledger.

use super::*;
use crate::hooks::{Disposal, Reason};
use crate::lease::{Lease, Renewed};
use crate::ledger::{NewUpload, Rejection, SweepTask, TransitionOutcome, UploadKind};
use crate::service::new_upload::Arrival;
use upload_types::plan::Plan;
use upload_types::wire::StoredPart;

/// A row of the table.
struct Transition {
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
            Transition {
                from: cells[0].split(", ").map(state).collect(),
                event: cells[1].to_owned(),
                to: (cells[2] != "same").then(|| state(cells[2])),
            }
        })
        .collect()
}

/// A ledger with one upload of one part.
struct Fixture {
    ledger: Ledger,
    config: LedgerConfig,
    id: UploadId,
    renewed: Renewed,
    _dir: TempDir,
}

const EPOCH: u64 = 1;
const SIZE: u64 = 3;

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = LedgerConfig::Sqlite(dir.path().join("ledger.db"));
        let ledger = Ledger::open(&config).await.unwrap();
        let owner = Owner(ledger.owner_segment("local", "o".repeat(26)).await.unwrap());
        let arrival = Arrival {
            kind: UploadKind::Declared,
            plan: Plan::pinned(SIZE, SIZE).unwrap(),
            pinned: Vec::new(),
        };
        let now = Timestamp::now();
        let later = now.checked_add(Duration::from_mins(1)).unwrap();
        let renewed = Renewed {
            lease_until: later,
            expires_at: later,
        };
        let request = World::begin_request(usize::try_from(SIZE).unwrap());
        let new = NewUpload::from_request(&owner, "key", request, arrival, renewed).unwrap();
        let (upload, _) = ledger.begin(new).await.unwrap();
        Self {
            ledger,
            config,
            id: upload.id.clone(),
            renewed,
            _dir: dir,
        }
    }

    async fn upload(&self) -> Upload {
        let owner = self
            .ledger
            .owner_segment("local", String::new())
            .await
            .unwrap();
        let upload = self.ledger.upload(&owner, &self.id).await.unwrap();
        upload.unwrap()
    }

    /// Puts the upload into a state, with hooks that are due if it is verified.
    fn set_state(&self, state: UploadState) {
        let execute = |sql: &str| ledger::tests::execute_sql(&self.config, sql);
        let (id, name) = (&self.id, state.name());
        execute(&format!(
            "UPDATE upload SET state = '{name}', receipt = NULL, store_upload = NULL, kind = 'declared'"
        ));
        execute("UPDATE part SET sha256 = NULL, etag = NULL");
        execute("DELETE FROM pending_hooks");
        if state == UploadState::Verified {
            execute(&format!(
                "INSERT INTO pending_hooks (upload, due_at, epoch, accepted, failures) \
                 VALUES ('{id}', 0, {EPOCH}, '[]', 0)"
            ));
        }
    }

    fn receipt(&self, upload: &Upload) -> Receipt {
        let sha256 = Sha256::of(b"abc");
        Receipt {
            id: self.id.clone(),
            backend: String::new(),
            instance_id: String::new(),
            key: upload.key.clone(),
            location: String::new(),
            size: SIZE,
            parts: 1,
            part_size: SIZE,
            etag: "e".parse().unwrap(),
            checksum: Some(Checksum::whole(&sha256)),
            proof: Proof::Sha256,
            unproven: Vec::new(),
            sha256: Some(sha256),
            started: Timestamp::now(),
            finished: Timestamp::now(),
        }
    }

    /// Applies an event. Returns whether the ledger accepted it.
    async fn apply(&self, event: &str) -> bool {
        let (ledger, id, renewed) = (&self.ledger, &self.id, self.renewed);
        let now = Timestamp::now();
        let upload = self.upload().await;
        let sha256 = Sha256::of(b"abc");
        let etag: ETag = "e".parse().unwrap();
        let number = PartNumber::FIRST;
        let part = CompletePart {
            number,
            etag: etag.clone(),
            sha256,
        };
        let is_done = |signing| signing == TransitionOutcome::Done;
        let end = async |from, to| ledger.end(id, from, to, now).await.unwrap();
        let completing = &[UploadState::Completing];
        let aborting = &[UploadState::Aborting];
        match event {
            "sign" => {
                let part = PartSpec {
                    number,
                    size: SIZE,
                    sha256,
                    md5: None,
                };
                is_done(
                    ledger
                        .pin_parts(id, EPOCH, vec![part], renewed)
                        .await
                        .unwrap(),
                )
            }
            "sign numbers" => {
                let quota = Quota::default();
                let signing = ledger.reserve_size(id, EPOCH, SIZE, quota, renewed).await;
                is_done(signing.unwrap().unwrap())
            }
            "claim" => {
                let lease = Lease {
                    holder: Some("holder".into()),
                    ..upload.lease.clone()
                };
                let set = ledger.set_lease(id, upload.lease, lease, renewed.expires_at);
                set.await.unwrap()
            }
            "multipart created" => ledger.set_store_upload(id, "multipart").await.unwrap(),
            "complete" => is_done(
                ledger
                    .start_completing(id, EPOCH, vec![part], renewed)
                    .await
                    .unwrap(),
            ),
            "complete listed" => {
                let stored = StoredPart {
                    number,
                    size: SIZE,
                    etag,
                    sha256: None,
                };
                let (plan, quota) = (upload.plan, Quota::default());
                let sealed = ledger
                    .start_completing_listed(id, EPOCH, plan, vec![stored], quota, renewed)
                    .await;
                is_done(sealed.unwrap().unwrap())
            }
            "complete again" => is_done(ledger.renew_completing(id, EPOCH, renewed).await.unwrap()),
            "object matches" => ledger
                .mark_verified(&self.receipt(&upload), None)
                .await
                .unwrap(),
            "object matches, hooks due" => {
                let receipt = self.receipt(&upload);
                // Hooks that are due already would prevent the insertion of new ones.
                ledger::tests::execute_sql(&self.config, "DELETE FROM pending_hooks");
                ledger.mark_verified(&receipt, Some(now)).await.unwrap()
            }
            "single PUT matches" => {
                let receipt = self.receipt(&upload);
                let verified = ledger
                    .mark_single_verified(&receipt, EPOCH, part, None)
                    .await;
                verified.unwrap()
            }
            "parts differ" => ledger.reopen(id).await.unwrap(),
            "object is damaged" => end(completing, UploadState::Rejected).await,
            "upload is lost" => end(completing, UploadState::Expired).await,
            "parts are lost" => {
                let from = &[
                    UploadState::Pending,
                    UploadState::Uploading,
                    UploadState::Completing,
                ];
                end(from, UploadState::Expired).await
            }
            "abort" => is_done(
                ledger
                    .start_aborting(id, Some(EPOCH), renewed.lease_until)
                    .await
                    .unwrap(),
            ),
            "sweep after expiry" => {
                let after_expiry = Timestamp::MAX;
                let taken =
                    ledger.take_sweep_task(SweepTask::Expired, after_expiry, renewed.lease_until);
                !taken.await.unwrap().is_empty()
            }
            "removed after abort" => end(aborting, UploadState::Aborted).await,
            "removed after expiry" => end(aborting, UploadState::Expired).await,
            "hooks accept" => ledger.mark_ready(id, EPOCH).await.unwrap(),
            "hook rejects" => {
                let rejection = Rejection {
                    hook: "hook".into(),
                    reason: Reason::new(None),
                    fate: Disposal::Delete,
                    until: now,
                };
                ledger
                    .mark_rejected(id, EPOCH, &rejection, now)
                    .await
                    .unwrap()
            }
            unknown => panic!("no such event: {unknown}"),
        }
    }
}

#[tokio::test]
async fn ledger_accepts_exactly_the_transitions_of_the_table() {
    let fixture = Fixture::new().await;
    let transitions = transitions();
    assert_eq!(transitions.len(), 20);
    for Transition { from, event, to } in &transitions {
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

#[test]
fn every_state_is_reachable_and_every_unfinished_state_has_an_exit() {
    let transitions = transitions();
    for state in UploadState::ALL {
        let is_reached = transitions
            .iter()
            .any(|transition| transition.to == Some(state));
        let is_initial = matches!(state, UploadState::Pending | UploadState::Uploading);
        assert!(is_reached || is_initial, "{state:?}");
        let has_exit = transitions.iter().any(|transition| {
            transition.from.contains(&state) && transition.to.is_some_and(|to| to != state)
        });
        let is_final = matches!(
            state,
            UploadState::Ready
                | UploadState::Rejected
                | UploadState::Aborted
                | UploadState::Expired
        );
        assert_eq!(has_exit, !is_final, "{state:?}");
    }
}
