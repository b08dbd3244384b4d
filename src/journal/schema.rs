//! The tables of the journal.

use upload_sqlite::Spec;

pub const SPEC: Spec = Spec {
    what: "journal",
    // "upld" in ASCII.
    application_id: 0x7570_6c64,
    steps: &[include_str!("schema.sql")],
    hint: "name another file for the journal with --journal FILE",
};
