//! The tables of the manifest.
//!
//! Not here: the creation and opening of the file, in `upload_sqlite`.

use upload_sqlite::Schema;

pub(super) const SCHEMA: Schema = Schema {
    name: "store's manifest",
    // "upst" in ASCII.
    application_id: 0x7570_7374,
    migrations: &[TABLES],
    unreleased_versions: 0,
    incremental_vacuum: false,
    hint: "restore it from a backup: without it, the part files beside it are useless",
};

/// `upload_id` in `part` is that of an open upload or, after its completion, of the object. Times
/// are in milliseconds since 1970. A checksum is `ALGORITHM=VALUE`; that of a part is absent for
/// SHA-256, which each part has.
const TABLES: &str = "
    create table upload(
        id text primary key, key text not null, checksum_algorithm text, checksum_type text,
        attributes text not null, created_ms integer not null
    ) strict, without rowid;
    create index upload_by_key on upload(key, id);

    create table part(
        upload_id text not null, number integer not null, file text not null,
        size integer not null, sha256 blob not null, md5 blob, checksum text,
        created_ms integer not null,
        primary key(upload_id, number)
    ) strict, without rowid;

    create table object(
        key text primary key, upload_id text not null, size integer not null, etag text not null,
        checksum text, attributes text not null, created_ms integer not null
    ) strict, without rowid;
";
