//! A gateway with its ledger in PostgreSQL is killed between ledger and store and started again.
//!
//! Only points at which ledger and store could differ; `scenarios` tests all points with SQLite.

use std::thread;

use crate::scenarios::{Scenario, put_to_gateway};
use crate::support::postgres::Database;

const POINTS: [&str; 5] = [
    "gateway.begin.created",
    "gateway.sign.pinned",
    "gateway.complete.started",
    "gateway.complete.store_responded",
    "gateway.complete.decided",
];

#[test]
fn gateway_killed_between_postgresql_and_the_store_recovers() {
    thread::scope(|scope| {
        for point in POINTS {
            scope.spawn(move || {
                let database = Database::new();
                let crash_env = format!("{point}:1");
                assert!(
                    put_to_gateway(
                        Scenario::FirstPut,
                        ("UPLOAD_CRASH", &crash_env),
                        Some(database.url())
                    ),
                    "no process was killed at {point}"
                );
            });
        }
    });
}
