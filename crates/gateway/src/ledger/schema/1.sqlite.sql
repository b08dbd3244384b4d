-- Migration 1 of the ledger, for SQLite. `1.postgres.sql` is the same for PostgreSQL; a test
-- compares the two. Times are milliseconds since the Unix epoch.

CREATE TABLE instance (instance_id TEXT NOT NULL) STRICT;

CREATE TABLE owner (
    number INTEGER PRIMARY KEY,
    subject TEXT NOT NULL UNIQUE,
    segment TEXT NOT NULL UNIQUE,
    -- The sum of held_bytes of its uploads, and of the ready uploads that were deleted from the ledger.
    stored_bytes INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    -- Behind by a minute at most.
    last_used_at INTEGER
) STRICT;

CREATE TABLE token (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    -- Behind by a minute at most.
    last_used_at INTEGER,
    -- Its own limits as JSON. NULL: those of the configuration.
    limits TEXT
) STRICT;

-- The fields that many receipts have in common, as JSON, by its SHA-256. They depend on the store, the
-- configuration of the gateway and the names of attributes, so the rows are few.
CREATE TABLE receipt_common (
    number INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    fields TEXT NOT NULL
) STRICT;

-- A million small files are a million rows: values that many of them share are in another table.
CREATE TABLE upload (
    id TEXT NOT NULL PRIMARY KEY,
    owner INTEGER NOT NULL REFERENCES owner (number),
    -- The 16 bytes of a UUID, or another text.
    idempotency_key BLOB NOT NULL,
    request_sha256 BLOB NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    -- NULL: application/octet-stream.
    content_type TEXT,
    -- Without the time at which the source was modified, as JSON. NULL: none.
    metadata TEXT,
    -- That time in nanoseconds, if the metadata has it.
    modified_ns INTEGER,
    -- Chosen by the client, as JSON. NULL: none.
    attributes TEXT,
    -- How its bytes arrive: 'declared', 'copied', 'streamed', 'multipart' or 'form_post'.
    kind TEXT NOT NULL,
    part_size INTEGER NOT NULL,
    -- Of a stream: its part size doubles after each group of this many parts. 0: all parts have the same size.
    double_after INTEGER NOT NULL DEFAULT 0,
    part_count INTEGER NOT NULL,
    -- Several uploads may have the same key if their clients have chosen it.
    key TEXT NOT NULL,
    -- How the object takes a key that the client has chosen: 'put' for a single PUT, 'parts' for a
    -- multipart upload. NULL: the gateway has made the key.
    chosen_key TEXT,
    -- The ETag of the object that the upload replaces at a chosen key. NULL: there must be none.
    replaces TEXT,
    -- 1 once the object of another upload has taken its key.
    is_replaced INTEGER NOT NULL DEFAULT 0,
    -- The 16 bytes of a UUID, or another text.
    token BLOB NOT NULL,
    store_upload TEXT,
    state TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    -- The 16 bytes of a UUID, or another text.
    holder BLOB,
    lease_until INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- The receipt: its fields in common with others, and its own.
    receipt_common INTEGER REFERENCES receipt_common (number),
    receipt BLOB,
    rejection TEXT,
    -- When the sweep has to look for leftovers of this upload in the store.
    cleanup_at INTEGER,
    -- The bytes of its object, while the upload is verified or ready, or a rejected object is kept.
    held_bytes INTEGER NOT NULL DEFAULT 0,
    -- Of an ended upload: until this time, a request that was signed earlier may create its object.
    -- NULL once the sweep has looked for the object after that time.
    may_land_until INTEGER,
    -- When it ended. The row is deleted some time later. NULL if it is open or complete, or if an
    -- object of it stays in the store.
    ended_at INTEGER,
    UNIQUE (owner, idempotency_key)
) STRICT;
CREATE INDEX upload_by_key ON upload (key);
-- One unfinished upload at each chosen key.
CREATE UNIQUE INDEX open_upload_by_chosen_key ON upload (key)
    WHERE chosen_key IS NOT NULL AND state IN ('pending', 'uploading', 'completing', 'aborting');
CREATE INDEX upload_by_owner ON upload (owner, created_at);
CREATE INDEX upload_by_cleanup ON upload (cleanup_at) WHERE cleanup_at IS NOT NULL;
CREATE INDEX upload_by_end ON upload (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX open_upload_by_lease ON upload (lease_until)
    WHERE state IN ('pending', 'uploading', 'completing', 'aborting');
CREATE INDEX open_upload_by_owner ON upload (owner, size)
    WHERE state IN ('pending', 'uploading', 'completing', 'aborting');
CREATE INDEX late_write_upload_by_owner ON upload (owner, size) WHERE may_land_until IS NOT NULL;
CREATE INDEX form_upload_by_lease ON upload (lease_until) WHERE kind = 'form_post' AND state = 'uploading';

-- The parts of unfinished uploads that are pinned to a SHA-256, or that the store has listed for a
-- browser's upload.
CREATE TABLE part (
    upload TEXT NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    sha256 BLOB,
    etag TEXT,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- Verified uploads that hooks have not decided yet.
CREATE TABLE pending_hooks (
    upload TEXT NOT NULL PRIMARY KEY REFERENCES upload (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    -- From this time on any gateway may take the row.
    due_at INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    accepted TEXT NOT NULL,
    failures INTEGER NOT NULL,
    -- When the upload was verified.
    since INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_hooks_by_due ON pending_hooks (due_at);
CREATE INDEX pending_hooks_by_owner ON pending_hooks (owner, due_at);

-- The walk over the objects of the store, which compares them with the uploads. One row.
CREATE TABLE object_survey (
    -- The next page begins after this key. Empty at the beginning.
    after_key TEXT NOT NULL,
    -- From this time on, any gateway may take the next page.
    due_at INTEGER NOT NULL
) STRICT;
INSERT INTO object_survey (after_key, due_at) VALUES ('', 0);

-- Written by each gateway when its readiness is checked.
CREATE TABLE readiness (
    gateway TEXT NOT NULL PRIMARY KEY,
    checked_at INTEGER NOT NULL
) STRICT;

-- Keys that the store's events named and that no upload has.
CREATE TABLE unknown_key (
    key TEXT NOT NULL PRIMARY KEY,
    events INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL
) STRICT;
CREATE INDEX unknown_key_by_age ON unknown_key (last_seen_at);

CREATE TABLE store_profile (
    -- A hash of the store's location and of the settings that affect a probe.
    store TEXT NOT NULL PRIMARY KEY,
    profile TEXT NOT NULL,
    probed_at INTEGER NOT NULL
) STRICT;
