//! A gateway with its ledger in PostgreSQL dies between ledger and store, and is started again on the same database.
//!
//! Border: every point is `lives`'s, on SQLite; here are those at which the two databases could differ.

use std::thread;

use crate::lives::{Story, gateway};
use crate::support::postgres::Database;

const POINTS: [&str; 5] = [
    "gateway.begin.created",
    "gateway.sign.pinned",
    "gateway.complete.started",
    "gateway.complete.store_responded",
    "gateway.complete.decided",
];

#[test]
fn a_gateway_dies_between_postgresql_and_the_store() {
    thread::scope(|scope| {
        for point in POINTS {
            scope.spawn(move || {
                let database = Database::new();
                let fate = format!("{point}:1");
                assert!(
                    gateway(Story::First, ("UPLOAD_CRASH", &fate), Some(database.url())),
                    "nobody dies at {point}"
                );
            });
        }
    });
}
