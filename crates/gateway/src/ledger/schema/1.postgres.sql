-- Migration 1 of the ledger, for PostgreSQL. `1.sqlite.sql` is the same for SQLite; a test compares
-- the two. Times are milliseconds since the Unix epoch. Texts are compared by their bytes, as in
-- SQLite: COLLATE "C".

CREATE TABLE instance (instance_id TEXT COLLATE "C" NOT NULL);

CREATE TABLE owner (
    subject TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    segment TEXT COLLATE "C" NOT NULL UNIQUE,
    -- The sum of held_bytes of its uploads, and of the ready uploads that were deleted from the ledger.
    stored_bytes BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    -- Behind by a minute at most.
    last_used_at BIGINT
);

CREATE TABLE token (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    sha256 BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    -- Behind by a minute at most.
    last_used_at BIGINT,
    -- Its own limits as JSON. NULL: those of the configuration.
    limits TEXT COLLATE "C"
);

CREATE TABLE upload (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    owner TEXT COLLATE "C" NOT NULL REFERENCES owner (segment),
    idempotency_key TEXT COLLATE "C" NOT NULL,
    request_sha256 BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    content_type TEXT COLLATE "C" NOT NULL,
    metadata TEXT COLLATE "C" NOT NULL,
    -- Chosen by the client, as JSON. NULL: none.
    attributes TEXT COLLATE "C",
    -- How its bytes arrive: 'declared', 'copied', 'streamed', 'multipart' or 'form_post'.
    kind TEXT COLLATE "C" NOT NULL,
    part_size BIGINT NOT NULL,
    -- Of a stream: its part size doubles after so many parts. 0: all parts have the same size.
    double_after BIGINT NOT NULL DEFAULT 0,
    part_count BIGINT NOT NULL,
    -- Several uploads may have the same key if their clients have chosen it.
    key TEXT COLLATE "C" NOT NULL,
    -- How the object takes a key that the client has chosen: 'put' for a single PUT, 'parts' for a
    -- multipart upload. NULL: the gateway has made the key.
    chosen_key TEXT COLLATE "C",
    -- The ETag of the object that the upload replaces at a chosen key. NULL: there must be none.
    replaces TEXT COLLATE "C",
    -- 1 once the object of another upload has taken its key.
    is_replaced BIGINT NOT NULL DEFAULT 0,
    token TEXT COLLATE "C" NOT NULL,
    store_upload TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    holder TEXT COLLATE "C",
    lease_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    receipt TEXT COLLATE "C",
    rejection TEXT COLLATE "C",
    -- When the sweep has to look for leftovers of this upload in the store.
    cleanup_at BIGINT,
    -- The bytes of its object, while the upload is verified or ready, or a rejected object is kept.
    held_bytes BIGINT NOT NULL DEFAULT 0,
    -- Of an ended upload: until this time, a request that was signed earlier may create its object.
    -- NULL once the sweep has looked for the object after that time.
    may_land_until BIGINT,
    -- When it ended. The row is deleted some time later. NULL if it is open or complete, or if an
    -- object of it stays in the store.
    ended_at BIGINT,
    UNIQUE (owner, idempotency_key)
);
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
CREATE INDEX landing_upload_by_owner ON upload (owner, size) WHERE may_land_until IS NOT NULL;
CREATE INDEX form_upload_by_lease ON upload (lease_until) WHERE kind = 'form_post' AND state = 'uploading';

-- The parts of unfinished uploads that are pinned to a SHA-256, or that the store has listed for a
-- browser's upload.
CREATE TABLE part (
    upload TEXT COLLATE "C" NOT NULL REFERENCES upload (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    size BIGINT NOT NULL,
    sha256 BYTEA,
    etag TEXT COLLATE "C",
    PRIMARY KEY (upload, number)
);

-- Verified uploads that hooks have not decided yet.
CREATE TABLE pending_hooks (
    upload TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES upload (id) ON DELETE CASCADE,
    owner TEXT COLLATE "C" NOT NULL,
    -- From this time on any gateway may take the row.
    due_at BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    accepted TEXT COLLATE "C" NOT NULL,
    failures BIGINT NOT NULL,
    -- When the upload was verified.
    since BIGINT NOT NULL
);
CREATE INDEX pending_hooks_by_due ON pending_hooks (due_at);
CREATE INDEX pending_hooks_by_owner ON pending_hooks (owner, due_at);

-- The walk over the objects of the store, which compares them with the uploads. One row.
CREATE TABLE object_survey (
    -- The next page begins after this key. Empty at the beginning.
    after_key TEXT COLLATE "C" NOT NULL,
    -- From this time on, any gateway may take the next page.
    due_at BIGINT NOT NULL
);
INSERT INTO object_survey (after_key, due_at) VALUES ('', 0);

-- Written by each gateway when its readiness is checked.
CREATE TABLE readiness (
    gateway TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    checked_at BIGINT NOT NULL
);

-- Keys that the store's events named and that no upload has.
CREATE TABLE unknown_key (
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    events BIGINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL
);
CREATE INDEX unknown_key_by_age ON unknown_key (last_seen_at);

CREATE TABLE store_profile (
    -- A hash of the store's location and of the settings that affect a probe.
    store TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    profile TEXT COLLATE "C" NOT NULL,
    probed_at BIGINT NOT NULL
);
