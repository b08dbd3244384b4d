//! Collects when tokens and owners were used, and writes the times to the ledger in batches. A
//! request does not wait for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::ledger::{Ledger, Used};
use crate::problem::report_ledger_error;
use upload_types::sync::lock;

/// The interval between batches.
const WRITE_INTERVAL: Duration = Duration::from_mins(1);
/// How long the last batch may take when the gateway stops.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Further rows are left out of a batch.
const MAX_BATCH_ROWS: usize = 20_000;

pub struct LastUses {
    ledger: Ledger,
    pending: Mutex<HashMap<Used, Timestamp>>,
    /// Notified when the batch has its first row.
    is_pending: Notify,
}

impl fmt::Debug for LastUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastUses").finish_non_exhaustive()
    }
}

impl LastUses {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            pending: Mutex::default(),
            is_pending: Notify::new(),
        }
    }

    /// Records rows that a request has used.
    pub(super) fn record(&self, used: impl Iterator<Item = Used>, now: Timestamp) {
        let mut pending = lock(&self.pending);
        for used in used {
            if pending.len() < MAX_BATCH_ROWS || pending.contains_key(&used) {
                pending.insert(used, now);
            }
        }
        self.is_pending.notify_one();
    }

    /// Writes a batch at the first use, and from then on at most once a minute. Does not return.
    pub async fn write_batches(&self) {
        loop {
            self.is_pending.notified().await;
            self.write_batch().await;
            sleep(WRITE_INTERVAL).await;
        }
    }

    /// Writes the last batch of a gateway that stops.
    pub async fn write_last_batch(&self) {
        if timeout(LAST_WRITE_TIMEOUT, self.write_batch())
            .await
            .is_err()
        {
            tracing::warn!("could not record the last use of tokens: the ledger does not respond");
        }
    }

    /// Writes the pending rows. They stay pending until they are written: the task may be aborted.
    async fn write_batch(&self) {
        let batch = lock(&self.pending).clone();
        if batch.is_empty() {
            return;
        }
        let rows = batch.iter().map(|(used, at)| (used.clone(), *at));
        match self.ledger.record_last_uses(rows.collect()).await {
            Ok(()) => lock(&self.pending).retain(|used, at| batch.get(used) != Some(&*at)),
            Err(error) => {
                report_ledger_error(&error);
                self.is_pending.notify_one();
            }
        }
    }
}
