//! Whether the process lives, and whether it is of use: what supervisors and balancers ask.
//!
//! Border: remembers the last answer for a moment, so that asking costs ledger and store nothing more; what is looked at is
//! `service`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::problem::Refusal;
use crate::service::{Missing, Service};
use upload_types::wire::Code;

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(1);
/// Seconds after which who hears of 503 may ask again.
const AGAIN: u64 = 1;

/// Of one gateway.
#[derive(Default)]
pub struct Health {
    /// Set by whoever stops the gateway.
    stopping: Arc<AtomicBool>,
    seen: Mutex<Option<(Instant, Result<(), Missing>)>>,
}

impl Health {
    /// By which the gateway is told that it stops.
    pub fn stopping(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stopping)
    }

    /// Whether requests may be sent here.
    ///
    /// # Errors
    /// `unavailable`, naming what is missing.
    pub async fn ready(&self, service: Option<&Arc<Service>>) -> Result<(), Refusal> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(not_ready("the gateway is stopping"));
        }
        let Some(service) = service else {
            return Err(not_ready("the store was not tried yet"));
        };
        // Who comes meanwhile waits for the same answer.
        let mut seen = self.seen.lock().await;
        let answer = match &*seen {
            Some((when, answer)) if when.elapsed() < FRESH => *answer,
            _ => {
                let answer = service.ready().await;
                *seen = Some((Instant::now(), answer));
                answer
            }
        };
        answer.map_err(|missing| match missing {
            Missing::Ledger => not_ready("the ledger does not answer"),
            Missing::Store => not_ready("the store does not answer"),
        })
    }
}

fn not_ready(why: &str) -> Refusal {
    Refusal {
        detail: Some(why.to_owned()),
        ..Refusal::later(Code::Unavailable, AGAIN)
    }
}
