//! The journal's tables, and the steps that lead an older file to them.
//!
//! Border: structure only; how such a file is opened is `sqlite`.

use upload_sqlite::Schema;

pub const SPEC: Schema = Schema {
    name: "journal",
    // "upld" in ASCII.
    application_id: 0x7570_6c64,
    migrations: &[UPLOADS, PRESENCE, STORES, MEMO],
    hint: "name another place for the journal with --journal FILE",
};

const UPLOADS: &str = "
    CREATE TABLE upload (
        row          INTEGER PRIMARY KEY,
        idem         TEXT NOT NULL UNIQUE,
        holder       TEXT NOT NULL,
        backend      TEXT NOT NULL,
        instance_id  TEXT NOT NULL,
        id           TEXT,
        path         BLOB NOT NULL,
        name         TEXT NOT NULL,
        content_type TEXT NOT NULL,
        metadata     TEXT NOT NULL,
        dev          INTEGER NOT NULL,
        ino          INTEGER NOT NULL,
        size         INTEGER NOT NULL,
        mtime_ns     INTEGER NOT NULL,
        ctime_ns     INTEGER NOT NULL,
        part_size    INTEGER NOT NULL,
        state        TEXT NOT NULL,
        receipt      TEXT,
        created_at   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX upload_id ON upload (id);
    CREATE INDEX upload_path ON upload (path);
    CREATE INDEX upload_inode ON upload (dev, ino);

    CREATE TABLE part (
        upload INTEGER NOT NULL REFERENCES upload (row) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        sha256 BLOB NOT NULL,
        etag   TEXT,
        PRIMARY KEY (upload, number)
    ) STRICT, WITHOUT ROWID;
";

/// Which process drives the upload; see `presence`.
const PRESENCE: &str = "ALTER TABLE upload ADD COLUMN presence TEXT";

/// Where parts of a backend's uploads go: what a backend names later is held against what it named first.
const STORES: &str = "
    CREATE TABLE store (
        instance_id TEXT NOT NULL,
        place       TEXT NOT NULL,
        PRIMARY KEY (instance_id, place)
    ) STRICT, WITHOUT ROWID;
";

/// What a backend that keeps nothing itself has to be reminded of.
const MEMO: &str = "ALTER TABLE upload ADD COLUMN memo TEXT";
