-- The backends of uploads.
CREATE TABLE backend (
    row         INTEGER PRIMARY KEY,
    -- Its name on the command line, and the id that it reports.
    address     TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    -- The S3 service of an `s3://` backend, as JSON.
    s3_service  TEXT
) STRICT;

-- The files of one `put` that walks through directories or reads a list, as a unit.
CREATE TABLE file_set (
    row          INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    -- The lock file of the process that uploads it. Null if none does.
    process      TEXT,
    -- The backend's name on the command line, and the S3 service of an `s3://` backend, as JSON.
    backend      TEXT NOT NULL,
    s3_service   TEXT,
    -- Its directories and lists, for messages.
    name         TEXT NOT NULL,
    -- Its sources, filters and keys, as JSON. A put with the same ones at the same backend is a run
    -- of the same set.
    identity     TEXT NOT NULL,
    -- All that is needed to run it again, as JSON.
    definition   TEXT NOT NULL,
    -- The files that its last run found, and their bytes.
    files        INTEGER NOT NULL DEFAULT 0,
    bytes        INTEGER NOT NULL DEFAULT 0,
    -- 1 if the search for files has ended.
    is_complete  INTEGER NOT NULL DEFAULT 0,
    -- Those of these files that are uploaded or left out, and their bytes.
    done_files   INTEGER NOT NULL DEFAULT 0,
    done_bytes   INTEGER NOT NULL DEFAULT 0,
    failed_files INTEGER NOT NULL DEFAULT 0,
    created_at   TEXT NOT NULL
) STRICT;

-- The fields that many receipts have in common, as JSON.
CREATE TABLE receipt_common (
    row    INTEGER PRIMARY KEY,
    fields TEXT NOT NULL UNIQUE
) STRICT;

-- A million small files are a million rows: values that many of them share are in another table, and a
-- column has a null for the value that most of them have.
CREATE TABLE upload (
    row             INTEGER PRIMARY KEY,
    state           TEXT NOT NULL,
    backend         INTEGER NOT NULL REFERENCES backend (row),
    -- The set with which the upload was begun.
    file_set        INTEGER REFERENCES file_set (row) ON DELETE SET NULL,
    -- The lock file of the process that drives the upload. Null if none does.
    process         TEXT,
    -- Sent with the request to begin. A UUID has 16 bytes.
    idempotency_key BLOB NOT NULL,
    -- Names this journal as the holder of leases. A UUID has 16 bytes.
    holder          BLOB NOT NULL,
    -- The backend's id, once the upload has begun.
    id              TEXT,
    -- The state of a backend that keeps none (Companion).
    backend_state   TEXT,
    path            BLOB NOT NULL,
    name            TEXT NOT NULL,
    -- Null for application/octet-stream.
    content_type    TEXT,
    -- As JSON. Null for none.
    metadata        TEXT,
    -- The attributes of the object, as JSON. Null for none.
    attributes      TEXT,
    -- The key that the client has chosen, below the prefix of the backend. Null if the backend
    -- makes it.
    key             TEXT,
    -- What to do about an object at this key. Null without a key.
    if_exists       TEXT,
    -- Of a stream, whose size is unknown until it ends: the terms of its parts, as JSON.
    stream          TEXT,
    dev             INTEGER NOT NULL,
    ino             INTEGER NOT NULL,
    size            INTEGER NOT NULL,
    mtime_ns        INTEGER NOT NULL,
    ctime_ns        INTEGER NOT NULL,
    part_size       INTEGER NOT NULL,
    -- Microseconds since 1970.
    created_at      INTEGER NOT NULL,
    -- 1 if a process may have changed the source through a memory mapping since its parts were
    -- hashed: a digest is used only after a comparison with the source.
    may_be_mapped   INTEGER NOT NULL DEFAULT 0,
    -- 1 if the receipt has all that the table of parts had about the only part.
    part_in_receipt INTEGER NOT NULL DEFAULT 0,
    -- The receipt: its fields in common with others, and its own.
    receipt_common  INTEGER REFERENCES receipt_common (row),
    receipt         BLOB
) STRICT;
CREATE INDEX upload_id ON upload (id);
CREATE INDEX upload_path ON upload (path);
CREATE INDEX upload_inode ON upload (dev, ino);

CREATE TABLE part (
    upload INTEGER NOT NULL REFERENCES upload (row) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    -- Set once the store has acknowledged these bytes.
    etag   TEXT,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- The stores that parts of a backend's uploads went to, as HOST:PORT.
CREATE TABLE store (
    instance_id TEXT NOT NULL,
    authority   TEXT NOT NULL,
    PRIMARY KEY (instance_id, authority)
) STRICT, WITHOUT ROWID;
