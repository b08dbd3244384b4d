//! The tables of the manifest.
//!
//! Border: structure only; how such a file is opened is `sqlite`.

use super::failure::Failure;
use upload_sqlite::Schema;

pub const SPEC: Schema = Schema {
    name: "store's manifest",
    // "upst" in ASCII.
    application_id: 0x7570_7374,
    migrations: &[OBJECTS],
    hint: "restore it from a backup: without it, the part files beside it are nothing",
};

const OBJECTS: &str = "
    create table upload(
        id text primary key, key text not null, demands_checksum integer not null, attributes text not null,
        created integer not null
    ) strict, without rowid;
    create index upload_by_key on upload(key, id);

    -- Of an open upload or, under the same id, of the object it became.
    create table part(
        upload text not null, number integer not null, file text not null, size integer not null,
        sha256 blob not null, created integer not null, primary key(upload, number)
    ) strict, without rowid;

    create table object(
        key text primary key, upload text not null, size integer not null, etag text not null, checksum text,
        attributes text not null, created integer not null
    ) strict, without rowid;
";

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::broken(error)
    }
}
