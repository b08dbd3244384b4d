//! Counts: requests by operation, bytes, and bytes over time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

#[derive(Default)]
pub struct Stats(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    requests: BTreeMap<&'static str, u64>,
    /// Bytes of bodies.
    bytes: u64,
    throttled: u64,
    connections: u64,
    /// Open connections, and their maximum so far.
    open: u64,
    open_most: u64,
    /// Requests in progress, and their maximum so far.
    at_once: u64,
    at_once_most: u64,
    first: Option<Instant>,
    /// Bytes in each tenth of a second since the first request.
    tenths: Vec<u64>,
}

impl Stats {
    fn with<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn opened(&self) {
        self.with(|counts| {
            counts.connections += 1;
            counts.open += 1;
            counts.open_most = counts.open_most.max(counts.open);
        });
    }

    pub fn closed(&self) {
        self.with(|counts| counts.open -= 1);
    }

    /// Counts a request; returns the number of requests in progress, including this one.
    pub fn began(&self, operation: &'static str) -> u64 {
        self.with(|counts| {
            counts.first.get_or_insert_with(Instant::now);
            *counts.requests.entry(operation).or_default() += 1;
            counts.at_once += 1;
            counts.at_once_most = counts.at_once_most.max(counts.at_once);
            counts.at_once
        })
    }

    pub fn ended(&self) {
        self.with(|counts| counts.at_once -= 1);
    }

    pub fn throttled(&self) {
        self.with(|counts| counts.throttled += 1);
    }

    pub fn arrived(&self, bytes: u64) {
        self.with(|counts| {
            counts.bytes += bytes;
            let tenth = counts
                .first
                .map_or(0, |first| first.elapsed().as_millis() / 100);
            let tenth = usize::try_from(tenth).unwrap_or(usize::MAX);
            // Bytes after the first two hours are not recorded by time.
            if tenth < 72_000 {
                if counts.tenths.len() <= tenth {
                    counts.tenths.resize(tenth + 1, 0);
                }
                counts.tenths[tenth] += bytes;
            }
        });
    }

    /// Resets all counts except those of open connections and requests.
    pub fn reset(&self) {
        self.with(|counts| {
            *counts = Counts {
                open: counts.open,
                open_most: counts.open,
                at_once: counts.at_once,
                at_once_most: counts.at_once,
                ..Counts::default()
            };
        });
    }

    pub fn json(&self) -> String {
        self.with(|counts| {
            let mut text = String::from("{\"requests\":{");
            // Writing to a String cannot fail.
            for (operation, count) in &counts.requests {
                let comma = if text.ends_with('{') { "" } else { "," };
                let _ = write!(text, "{comma}\"{operation}\":{count}");
            }
            let Counts { bytes, throttled, connections, open_most, at_once_most, tenths, .. } = counts;
            let total: u64 = counts.requests.values().sum();
            let _ = writeln!(
                text,
                "}},\"total\":{total},\"bytes\":{bytes},\"throttled\":{throttled},\"connections\":{connections},\
                 \"connections_most\":{open_most},\"requests_most\":{at_once_most},\"tenths\":{tenths:?}}}"
            );
            text
        })
    }
}
