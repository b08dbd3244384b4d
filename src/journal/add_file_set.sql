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
-- The set with which the upload was begun.
ALTER TABLE upload ADD COLUMN file_set INTEGER REFERENCES file_set (row) ON DELETE SET NULL;
