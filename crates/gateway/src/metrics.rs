//! The gateway's counters and timers, in the format of Prometheus.
//!
//! Every label has a fixed set of values, so that no client can create new series: routes are
//! templates, and no upload, key, owner or name is a label.

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
use upload_types::saturating;
use upload_types::wire::UploadState;

/// The content type of [`text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Histogram buckets: the shortest is for a read of the ledger, the longest for a response of a
/// store that first copies an object.
const BUCKETS_SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0,
];

/// The label of a begun upload. The other labels are states.
const BEGUN: &str = "begun";

static METRICS: LazyLock<(Registry, Metrics)> = LazyLock::new(|| {
    let metrics = Metrics::default();
    (registry(&metrics), metrics)
});

/// The metrics of this process. All gateways that a test runs in one process share them.
pub fn metrics() -> &'static Metrics {
    &METRICS.1
}

/// All metrics as text.
///
/// # Errors
/// None in practice: the text is written to memory.
pub fn text() -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, &METRICS.0)?;
    Ok(text)
}

pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabel, Histogram>,
    connections: Gauge,
    uploads: Family<TransitionLabel, Counter>,
    parts_signed: Counter,
    bytes_copied: Counter,
    bytes_declared: Counter,
    bytes_verified: Counter,
    store_calls: Family<StoreCallLabels, Counter>,
    store_call_seconds: Family<OperationLabel, Histogram>,
    sweeps: Family<SweepLabel, Counter>,
    swept: Family<AbandonedLabel, Counter>,
    orphans: Gauge<u64, AtomicU64>,
    clock_offset_seconds: Gauge,
    hooks_waiting: Gauge<u64, AtomicU64>,
    hooks_oldest_seconds: Gauge,
    surveyed: Family<SurveyedLabel, Counter>,
    ledger_errors: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransitionLabel {
    to: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreCallLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweepLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AbandonedLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SurveyedLabel {
    kind: &'static str,
}

/// A difference between an object in the store and its upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Difference {
    /// The store no longer has the object.
    Missing,
    /// The object has other bytes than those that were verified.
    Replaced,
    /// The upload has ended, and its object is there.
    Returned,
}

impl Difference {
    const ALL: [Self; 3] = [Self::Missing, Self::Replaced, Self::Returned];

    fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Replaced => "replaced",
            Self::Returned => "returned",
        }
    }
}

/// The kinds of abandoned uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abandoned {
    Completing,
    Expired,
    /// The abort was begun and not finished.
    Aborting,
    /// The upload has ended, and may have leftovers in the store.
    Cleanup,
}

impl Abandoned {
    const ALL: [Self; 4] = [
        Self::Completing,
        Self::Expired,
        Self::Aborting,
        Self::Cleanup,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Completing => "completing",
            Self::Expired => "expired",
            Self::Aborting => "aborting",
            Self::Cleanup => "clean_up",
        }
    }
}

impl Metrics {
    /// Counts a response; `route` is one of the router's templates.
    pub fn record_response(
        &self,
        method: &'static str,
        route: &str,
        status: u16,
        elapsed: Duration,
    ) {
        let route = route.to_owned();
        self.request_seconds
            .get_or_create(&RouteLabel {
                route: route.clone(),
            })
            .observe(elapsed.as_secs_f64());
        let labels = RequestLabels {
            method,
            route,
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub fn connection_opened(&self) {
        self.connections.inc();
    }

    pub fn connection_closed(&self) {
        self.connections.dec();
    }

    /// Counts a new upload.
    pub fn record_begun(&self, size: u64) {
        self.uploads
            .get_or_create(&TransitionLabel { to: BEGUN })
            .inc();
        self.bytes_declared.inc_by(size);
    }

    /// Counts an upload that has reached a final state.
    pub fn record_final_state(&self, state: UploadState) {
        self.uploads
            .get_or_create(&TransitionLabel { to: state.name() })
            .inc();
    }

    pub fn record_signed_parts(&self, count: usize) {
        self.parts_signed.inc_by(saturating::to_u64(count));
    }

    /// Adds the size of a part that the store has copied.
    pub fn record_copied_bytes(&self, size: u64) {
        self.bytes_copied.inc_by(size);
    }

    /// Adds the size of a verified upload.
    pub fn record_verified_bytes(&self, size: u64) {
        self.bytes_verified.inc_by(size);
    }

    /// Counts a call to the store; `operation` is named as in the Amazon S3 API reference.
    pub fn record_store_call(
        &self,
        operation: &'static str,
        outcome: CallOutcome,
        elapsed: Duration,
    ) {
        let labels = StoreCallLabels {
            operation,
            outcome: outcome.name(),
        };
        self.store_calls.get_or_create(&labels).inc();
        self.store_call_seconds
            .get_or_create(&OperationLabel { operation })
            .observe(elapsed.as_secs_f64());
    }

    /// Counts a sweep and its outcome.
    pub fn record_sweep<T, E>(&self, result: &Result<T, E>) {
        let outcome = match result {
            Ok(_) => CallOutcome::Ok,
            Err(_) => CallOutcome::Failed,
        };
        let outcome = outcome.name();
        self.sweeps.get_or_create(&SweepLabel { outcome }).inc();
    }

    /// Counts an abandoned upload that a sweep has taken.
    pub fn record_abandoned(&self, kind: Abandoned) {
        self.swept
            .get_or_create(&AbandonedLabel { kind: kind.name() })
            .inc();
    }

    /// Sets the number of orphans that the last search found.
    pub fn set_orphans(&self, count: usize) {
        self.orphans.set(saturating::to_u64(count));
    }

    /// Sets the time of the store minus the local time, in seconds.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.clock_offset_seconds.set(seconds);
    }

    /// Sets how many uploads wait for hooks, and for how many seconds the first of them.
    pub fn set_hooks_backlog(&self, waiting: u64, oldest_seconds: i64) {
        self.hooks_waiting.set(waiting);
        self.hooks_oldest_seconds.set(oldest_seconds);
    }

    /// Counts a difference that the survey of objects has found.
    pub fn record_difference(&self, difference: Difference) {
        let kind = difference.name();
        self.surveyed.get_or_create(&SurveyedLabel { kind }).inc();
    }

    pub fn record_ledger_error(&self) {
        self.ledger_errors.inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS_SECONDS);
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(histogram),
            connections: Gauge::default(),
            uploads: Family::default(),
            parts_signed: Counter::default(),
            bytes_copied: Counter::default(),
            bytes_declared: Counter::default(),
            bytes_verified: Counter::default(),
            store_calls: Family::default(),
            store_call_seconds: Family::new_with_constructor(histogram),
            sweeps: Family::default(),
            swept: Family::default(),
            orphans: Gauge::default(),
            clock_offset_seconds: Gauge::default(),
            hooks_waiting: Gauge::default(),
            hooks_oldest_seconds: Gauge::default(),
            surveyed: Family::default(),
            ledger_errors: Counter::default(),
        };
        // Series must exist at zero: Prometheus cannot compute the rate of a series that begins at
        // one.
        for to in [BEGUN, "ready", "rejected", "aborted", "expired"] {
            drop(metrics.uploads.get_or_create(&TransitionLabel { to }));
        }
        for outcome in [CallOutcome::Ok, CallOutcome::Failed] {
            let outcome = outcome.name();
            drop(metrics.sweeps.get_or_create(&SweepLabel { outcome }));
        }
        for kind in Abandoned::ALL {
            drop(
                metrics
                    .swept
                    .get_or_create(&AbandonedLabel { kind: kind.name() }),
            );
        }
        for difference in Difference::ALL {
            let kind = difference.name();
            drop(metrics.surveyed.get_or_create(&SurveyedLabel { kind }));
        }
        metrics
    }
}

/// Registers the names and descriptions. The library appends `_total` to the names of counters.
fn registry(metrics: &Metrics) -> Registry {
    let mut registry = Registry::with_prefix("upload");
    let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program", version);
    registry.register(
        "http_requests",
        "Responses, by method, route and status",
        metrics.requests.clone(),
    );
    registry.register_with_unit(
        "http_request",
        "Time to the head of the response, by route",
        Unit::Seconds,
        metrics.request_seconds.clone(),
    );
    registry.register(
        "connections",
        "Open connections",
        metrics.connections.clone(),
    );
    registry.register(
        "uploads",
        "Uploads, by the event: begun, or the final state",
        metrics.uploads.clone(),
    );
    registry.register(
        "parts_signed",
        "Parts for which URLs were signed",
        metrics.parts_signed.clone(),
    );
    registry.register_with_unit(
        "copied",
        "Sizes of parts that the store has copied from earlier objects",
        Unit::Bytes,
        metrics.bytes_copied.clone(),
    );
    registry.register_with_unit(
        "declared",
        "Declared sizes of begun uploads",
        Unit::Bytes,
        metrics.bytes_declared.clone(),
    );
    registry.register_with_unit(
        "verified",
        "Sizes of verified uploads",
        Unit::Bytes,
        metrics.bytes_verified.clone(),
    );
    registry.register(
        "store_calls",
        "Calls to the store, by operation and outcome",
        metrics.store_calls.clone(),
    );
    registry.register_with_unit(
        "store_call",
        "Duration of calls to the store, by operation",
        Unit::Seconds,
        metrics.store_call_seconds.clone(),
    );
    registry.register("sweeps", "Sweeps, by outcome", metrics.sweeps.clone());
    registry.register(
        "swept",
        "Abandoned uploads that sweeps have taken, by kind",
        metrics.swept.clone(),
    );
    registry.register(
        "orphans",
        "Open multipart uploads that the ledger does not name, at the last search",
        metrics.orphans.clone(),
    );
    registry.register_with_unit(
        "clock_offset",
        "Time of the store minus the local time at the last sweep; 0 up to a minute",
        Unit::Seconds,
        metrics.clock_offset_seconds.clone(),
    );
    registry.register(
        "hooks_waiting",
        "Verified uploads that hooks have not decided",
        metrics.hooks_waiting.clone(),
    );
    registry.register_with_unit(
        "hooks_oldest_wait",
        "Time for which the first upload has waited for hooks",
        Unit::Seconds,
        metrics.hooks_oldest_seconds.clone(),
    );
    registry.register(
        "surveyed",
        "Objects that differ from their upload, by kind",
        metrics.surveyed.clone(),
    );
    registry.register(
        "ledger_errors",
        "Failures of the ledger",
        metrics.ledger_errors.clone(),
    );
    registry
}
