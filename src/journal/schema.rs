//! The tables of the journal.

use upload_sqlite::Schema;

pub const SCHEMA: Schema = Schema {
    name: "journal",
    // "upld" in ASCII.
    application_id: 0x7570_6c64,
    migrations: &[
        include_str!("schema.sql"),
        include_str!("add_s3_service.sql"),
        include_str!("add_may_be_mapped.sql"),
        include_str!("add_attributes.sql"),
        include_str!("add_stream.sql"),
        include_str!("add_key.sql"),
        include_str!("add_file_set.sql"),
    ],
    incremental_vacuum: false,
    hint: "name another file for the journal with --journal FILE",
};
