//! The tables of the ledger: one SQL file for each migration and database.
//!
//! Not here: running migrations (`upload_sqlite`, `postgres/migrate`).

mod migrations;

pub(super) use migrations::{APPLICATION_ID, POSTGRES_MIGRATIONS, SQLITE, UNRELEASED_VERSIONS};
