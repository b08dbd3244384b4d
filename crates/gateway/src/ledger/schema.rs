//! The tables of the ledger, and how its file is opened.
//!
//! Border: structure; what the rows mean is `uploads`, `parts` and `owners`.

use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

use upload_sqlite::{self as sqlite, Schema};
use upload_types::error::{Error, Kind, Result};

pub(super) const SPEC: Schema = Schema {
    name: "ledger",
    // "UPLG" in ASCII.
    application_id: 0x5550_4C47,
    migrations: &[UPLOADS, SWEPT, EVENTS, LIMITED, HOOKED, PROBED, UNPLANNED],
    hint: "name another place for the ledger with --ledger sqlite:FILE",
};

const UPLOADS: &str = "
    CREATE TABLE instance (instance_id TEXT NOT NULL) STRICT;
    CREATE TABLE owner (
        subject TEXT PRIMARY KEY,
        segment TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE token (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        hash BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        revoked_at INTEGER
    ) STRICT;
    CREATE TABLE upload (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL REFERENCES owner (segment),
        idempotency_key TEXT NOT NULL,
        digest BLOB NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        content_type TEXT NOT NULL,
        metadata TEXT NOT NULL,
        part_size INTEGER NOT NULL,
        part_count INTEGER NOT NULL,
        key TEXT NOT NULL UNIQUE,
        token TEXT NOT NULL,
        store_upload TEXT,
        state TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        holder TEXT,
        lease_until INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        receipt TEXT,
        UNIQUE (owner, idempotency_key)
    ) STRICT;
    CREATE INDEX upload_by_owner ON upload (owner, created_at);
    CREATE TABLE part (
        upload TEXT NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        size INTEGER NOT NULL,
        sha256 BLOB,
        etag TEXT,
        state TEXT NOT NULL,
        PRIMARY KEY (upload, number)
    ) STRICT, WITHOUT ROWID;
";

/// What is swept is found without reading the rest.
const SWEPT: &str = "
    -- When the store is to be looked at once more for what an upload that is over has left there.
    ALTER TABLE upload ADD COLUMN look_again INTEGER;
    CREATE INDEX upload_to_look_at ON upload (look_again) WHERE look_again IS NOT NULL;
    CREATE INDEX upload_under_way ON upload (lease_until)
        WHERE state IN ('pending', 'uploading', 'completing', 'aborting');
";

/// Keys that a store's events named, and no upload has.
const EVENTS: &str = "
    CREATE TABLE stranger (
        key TEXT PRIMARY KEY,
        events INTEGER NOT NULL,
        first_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX stranger_by_age ON stranger (last_at);
";

/// Tokens end, and what an owner has is known without reading all of it.
const LIMITED: &str = "
    ALTER TABLE token ADD COLUMN expires_at INTEGER;
    -- Bytes of uploads that are ready.
    ALTER TABLE owner ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;
    UPDATE owner SET stored =
        (SELECT coalesce(sum(size), 0) FROM upload WHERE upload.owner = owner.segment AND state = 'ready');
    CREATE INDEX upload_open ON upload (owner, size)
        WHERE state IN ('pending', 'uploading', 'completing', 'aborting');
";

/// What hooks are due for, and what they have said.
const HOOKED: &str = "
    ALTER TABLE upload ADD COLUMN rejection TEXT;
    CREATE TABLE hooked (
        upload TEXT PRIMARY KEY REFERENCES upload (id) ON DELETE CASCADE,
        -- From then on anybody may take it.
        due INTEGER NOT NULL,
        fence INTEGER NOT NULL,
        accepted TEXT NOT NULL,
        failures INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX hooked_by_due ON hooked (due);
";

/// What stores can be held to.
const PROBED: &str = "
    CREATE TABLE store_profile (
        -- A hash of where it is and how it is spoken to.
        store TEXT PRIMARY KEY,
        profile TEXT NOT NULL,
        probed_at INTEGER NOT NULL
    ) STRICT;
";

/// Uploads of which neither size nor fingerprints are known when they begin: `manner` says how their bytes come.
const UNPLANNED: &str = "
    ALTER TABLE upload ADD COLUMN manner TEXT NOT NULL DEFAULT 'planned';
    CREATE INDEX upload_by_form ON upload (lease_until) WHERE manner = 'form' AND state = 'uploading';
";

/// Opens the ledger, making it when there is none; gives its instance id too, which is drawn once.
///
/// # Errors
/// As [`sqlite::open`].
pub fn open(path: &Path) -> Result<(Connection, String)> {
    let connection = sqlite::open(path, &SPEC)?;
    let draw =
        "INSERT INTO instance (instance_id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM instance)";
    let instance_id = connection
        .execute(draw, [Uuid::new_v4().to_string()])
        .and_then(|_| {
            connection.query_row("SELECT instance_id FROM instance", [], |row| row.get(0))
        })
        .map_err(|error| {
            Error::new(Kind::DatabaseUnusable, "could not read the ledger").with_source(error)
        })?;
    Ok((connection, instance_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_keeps_its_identity() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ledger.db");
        let (connection, first) = open(&path).unwrap();
        drop(connection);
        assert_eq!(open(&path).unwrap().1, first);
    }

    #[test]
    fn what_was_ready_before_it_was_counted_is_counted() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ledger.db");
        let old = sqlite::open(
            &path,
            &Schema {
                migrations: &[UPLOADS, SWEPT],
                ..SPEC
            },
        )
        .unwrap();
        old.execute_batch("INSERT INTO owner VALUES ('a', 'one'), ('b', 'two'), ('c', 'three')")
            .unwrap();
        for (id, owner, size, state) in [
            (1, "one", 5, "ready"),
            (2, "one", 7, "ready"),
            (3, "one", 100, "aborted"),
            (4, "two", 9, "uploading"),
        ] {
            let sql = "INSERT INTO upload VALUES (?1, ?2, ?1, x'', '', ?3, '', '{}', 1, 1, ?1, '', NULL, ?4, 1, NULL, 0, 0, 0, NULL, NULL)";
            old.execute(sql, rusqlite::params![id.to_string(), owner, size, state])
                .unwrap();
        }
        drop(old);
        let (new, _) = open(&path).unwrap();
        let stored = |owner| {
            new.query_row(
                "SELECT stored FROM owner WHERE segment = ?1",
                [owner],
                |row| row.get(0),
            )
        };
        let stored: Vec<i64> = ["one", "two", "three"]
            .map(|owner| stored(owner).unwrap())
            .to_vec();
        assert_eq!(stored, [12, 0, 0]);
    }
}
