//! The readiness of a gateway: the ledger must accept writes, and the store must respond.
//!
//! They are checked at most once per second, even if readiness is requested more often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::problem::Refusal;
use crate::service::{Dependency, Service};
use upload_types::wire::Code;

/// How long the result of a check is reused.
const CHECK_MAX_AGE: Duration = Duration::from_secs(1);
const NOT_READY_RETRY_SECONDS: u64 = 1;

/// The health of one gateway.
#[derive(Default)]
pub struct Health {
    is_stopping: Arc<AtomicBool>,
    last_check: Mutex<Option<(Instant, Result<(), Dependency>)>>,
}

impl Health {
    /// The flag that makes the gateway report that it is not ready.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_stopping)
    }

    /// Checks whether the gateway can serve requests.
    ///
    /// # Errors
    /// `unavailable` with the reason.
    pub async fn check(&self, service: Option<&Arc<Service>>) -> Result<(), Refusal> {
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err(not_ready("the gateway is stopping"));
        }
        let Some(service) = service else {
            return Err(not_ready("the store has not been checked yet"));
        };
        // Concurrent requests wait for the same check.
        let mut last_check = self.last_check.lock().await;
        let result = match &*last_check {
            Some((time, result)) if time.elapsed() < CHECK_MAX_AGE => *result,
            _ => {
                let result = service.check_dependencies().await;
                *last_check = Some((Instant::now(), result));
                result
            }
        };
        result.map_err(|dependency| match dependency {
            Dependency::Ledger(reason) => {
                not_ready(reason.unwrap_or("the ledger does not accept writes"))
            }
            Dependency::Store => not_ready("the store does not respond"),
        })
    }
}

fn not_ready(reason: &str) -> Refusal {
    Refusal {
        detail: Some(reason.to_owned()),
        ..Refusal::retry_after(Code::Unavailable, NOT_READY_RETRY_SECONDS)
    }
}
