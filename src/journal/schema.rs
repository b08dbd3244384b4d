//! The tables of the journal.

use upload_sqlite::Schema;

pub const SCHEMA: Schema = Schema {
    name: "journal",
    // "upld" in ASCII.
    application_id: 0x7570_6c64,
    migrations: &[include_str!("schema.sql")],
    unreleased_versions: 7,
    incremental_vacuum: false,
    hint: "name another file for the journal with --journal FILE",
};
