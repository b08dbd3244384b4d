//! What the gateway counts, as Prometheus reads it.
//!
//! Border: counts and times; who counts what is said where it happens. Every label is of a closed set, so that no client can
//! make new series: routes are templates, and no upload, key, owner or name is a label.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use upload_s3::CallOutcome;

use upload_types::wire::UploadState;

/// The form of [`text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds: from a read of the ledger to a store that copies before it answers.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0,
];

/// What becomes of an upload is named by its state; that it was begun, by this.
const BEGUN: &str = "begun";

static METRICS: LazyLock<(Registry, Metrics)> = LazyLock::new(|| {
    let metrics = Metrics::default();
    (registry(&metrics), metrics)
});

/// The process's own: one process is one target, however many gateways a test runs in it.
pub fn metrics() -> &'static Metrics {
    &METRICS.1
}

/// All there is, in the text that Prometheus reads.
///
/// # Errors
/// None that happens: it is written into memory.
pub fn text() -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, &METRICS.0)?;
    Ok(text)
}

pub struct Metrics {
    requests: Family<Asked, Counter>,
    request_seconds: Family<Route, Histogram>,
    uploads: Family<Moved, Counter>,
    pub parts_signed: Counter,
    pub bytes_declared: Counter,
    pub bytes_confirmed: Counter,
    store_calls: Family<Called, Counter>,
    store_seconds: Family<Operation, Histogram>,
    sweeps: Family<Swept, Counter>,
    swept: Family<Found, Counter>,
    /// What the last survey found that the ledger does not know.
    pub orphans: Gauge<u64, AtomicU64>,
    pub ledger_errors: Counter,
    pub connections: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Moved {
    to: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Swept {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Found {
    what: &'static str,
}

/// What a sweep finds that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leftover {
    Completing,
    Expired,
    /// Somebody began to abort it, and did not come to the end.
    Aborting,
    /// To be looked at once more in the store, now that no URL lives.
    ToLookAt,
}

impl Leftover {
    fn name(self) -> &'static str {
        match self {
            Self::Completing => "completing",
            Self::Expired => "expired",
            Self::Aborting => "aborting",
            Self::ToLookAt => "to_look_at",
        }
    }
}

impl Metrics {
    /// A request was answered; `route` is one of the router's templates.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        self.requests
            .get_or_create(&Asked {
                method,
                route: route.to_owned(),
                status,
            })
            .inc();
        self.request_seconds
            .get_or_create(&Route {
                route: route.to_owned(),
            })
            .observe(took.as_secs_f64());
    }

    /// An upload was begun.
    pub fn begun(&self, size: u64) {
        self.uploads.get_or_create(&Moved { to: BEGUN }).inc();
        self.bytes_declared.inc_by(size);
    }

    /// An upload has come to its end in this state.
    pub fn ended(&self, state: UploadState) {
        self.uploads
            .get_or_create(&Moved { to: state.name() })
            .inc();
    }

    /// The store was asked; `operation` as the Amazon S3 API reference has it.
    pub fn called(&self, operation: &'static str, outcome: CallOutcome, took: Duration) {
        self.store_calls
            .get_or_create(&Called {
                operation,
                outcome: outcome.name(),
            })
            .inc();
        self.store_seconds
            .get_or_create(&Operation { operation })
            .observe(took.as_secs_f64());
    }

    pub fn swept(&self, done: bool) {
        let outcome = if done {
            CallOutcome::Ok
        } else {
            CallOutcome::Failed
        };
        self.sweeps
            .get_or_create(&Swept {
                outcome: outcome.name(),
            })
            .inc();
    }

    pub fn found(&self, what: Leftover, count: usize) {
        self.swept
            .get_or_create(&Found { what: what.name() })
            .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            uploads: Family::default(),
            parts_signed: Counter::default(),
            bytes_declared: Counter::default(),
            bytes_confirmed: Counter::default(),
            store_calls: Family::default(),
            store_seconds: Family::new_with_constructor(seconds),
            sweeps: Family::default(),
            swept: Family::default(),
            orphans: Gauge::default(),
            ledger_errors: Counter::default(),
            connections: Gauge::default(),
        };
        // A rate can be taken of what is there at zero only.
        for to in [BEGUN, "ready", "rejected", "aborted", "expired"] {
            drop(metrics.uploads.get_or_create(&Moved { to }));
        }
        for outcome in [CallOutcome::Ok, CallOutcome::Failed] {
            drop(metrics.sweeps.get_or_create(&Swept {
                outcome: outcome.name(),
            }));
        }
        for what in [
            Leftover::Completing,
            Leftover::Expired,
            Leftover::Aborting,
            Leftover::ToLookAt,
        ] {
            drop(metrics.swept.get_or_create(&Found { what: what.name() }));
        }
        metrics
    }
}

/// Names and what they mean. What ends in `_total` gets that from the library.
fn registry(metrics: &Metrics) -> Registry {
    let mut all = Registry::with_prefix("upload");
    let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    all.register("build", "The program", version);
    let m = metrics;
    all.register(
        "http_requests",
        "Requests answered, by method, route and status",
        m.requests.clone(),
    );
    let help = "Time to the head of the answer, by route";
    all.register_with_unit(
        "http_request",
        help,
        Unit::Seconds,
        m.request_seconds.clone(),
    );
    all.register("connections", "Connections open now", m.connections.clone());
    all.register(
        "uploads",
        "Uploads that were begun, became ready, were rejected, aborted, or expired",
        m.uploads.clone(),
    );
    all.register(
        "parts_signed",
        "Parts that URLs were signed for",
        m.parts_signed.clone(),
    );
    all.register_with_unit(
        "declared",
        "Sizes of uploads begun",
        Unit::Bytes,
        m.bytes_declared.clone(),
    );
    all.register_with_unit(
        "confirmed",
        "Sizes of uploads whose object was verified",
        Unit::Bytes,
        m.bytes_confirmed.clone(),
    );
    all.register(
        "store_calls",
        "Calls to the store, by operation and outcome",
        m.store_calls.clone(),
    );
    all.register_with_unit(
        "store_call",
        "Time of a call to the store",
        Unit::Seconds,
        m.store_seconds.clone(),
    );
    all.register(
        "sweeps",
        "Rounds of the sweep, by outcome",
        m.sweeps.clone(),
    );
    all.register(
        "swept",
        "What sweeps found that nobody held",
        m.swept.clone(),
    );
    let help = "Open multipart uploads the ledger does not know, at the last survey";
    all.register("orphans", help, m.orphans.clone());
    all.register(
        "ledger_errors",
        "Failures of the ledger",
        m.ledger_errors.clone(),
    );
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart_as_far_as_they_matter() {
        let known = [
            (200, CallOutcome::Ok),
            (204, CallOutcome::Ok),
            (301, CallOutcome::Refused),
            (403, CallOutcome::Refused),
        ];
        let more = [
            (404, CallOutcome::Absent),
            (429, CallOutcome::Failed),
            (503, CallOutcome::Failed),
        ];
        for (status, outcome) in known.into_iter().chain(more) {
            assert_eq!(CallOutcome::of_status(status), outcome, "{status}");
        }
    }
}
