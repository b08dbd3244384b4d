CREATE TABLE upload (
    row             INTEGER PRIMARY KEY,
    -- Sent with the request to begin.
    idempotency_key TEXT NOT NULL UNIQUE,
    -- Names this journal as the holder of leases.
    holder          TEXT NOT NULL,
    -- The lock file of the process that drives the upload. Null if none does.
    process         TEXT,
    -- Its name on the command line, and the id that it reports.
    backend         TEXT NOT NULL,
    instance_id     TEXT NOT NULL,
    -- The backend's id, once the upload has begun.
    id              TEXT,
    -- The state of a backend that keeps none (Companion).
    backend_state   TEXT,
    path            BLOB NOT NULL,
    name            TEXT NOT NULL,
    content_type    TEXT NOT NULL,
    metadata        TEXT NOT NULL,
    dev             INTEGER NOT NULL,
    ino             INTEGER NOT NULL,
    size            INTEGER NOT NULL,
    mtime_ns        INTEGER NOT NULL,
    ctime_ns        INTEGER NOT NULL,
    part_size       INTEGER NOT NULL,
    state           TEXT NOT NULL,
    receipt         TEXT,
    created_at      TEXT NOT NULL
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
