//! Descriptions of the lines of `--json` about sets of files, and the search for them.

use super::line_doc::{FieldDoc as F, FieldDoc, LineDoc};

pub const SELECTED: LineDoc = LineDoc {
    kind: "selected",
    meaning: "Every file of the directories and lists was found. Uploads may have begun before.",
    fields: &[
        F(
            "files",
            "integer",
            "number of files to upload, with the entries that cannot be read",
        ),
        F("bytes", "integer", "their size together"),
        F(
            "set",
            "string|null",
            "id of the set in the journal, for list, resume and abort; null if it is not there",
        ),
    ],
};

pub const SKIPPED: LineDoc = LineDoc {
    kind: "skipped",
    meaning: "An entry of a directory or list, or a source, is left out. Only a source has a number.",
    fields: &[
        F("path", "string", "path of the entry"),
        F(
            "reason",
            "string",
            "link, fifo, socket, device, excluded, not_included, ignored, junk, size, age, \
             empty_directory, other_file_system, repeated, own (written by this program), vanished, \
             exists (an object is at the key of the source, and --if-exists is skip)",
        ),
        F(
            "rule",
            "string",
            "flag, or line of a file, that leaves it out; present if there is one",
        ),
        F(
            "source",
            "integer",
            "number of the source, from 0; this and the following are present for exists only",
        ),
        F("key", "string", "key of the object in its bucket"),
        F("location", "string", "URL of the object, or embedded:KEY"),
        F("size", "integer", "bytes of the object"),
    ],
};

pub const UNMATCHED: LineDoc = LineDoc {
    kind: "unmatched",
    meaning: "A pattern of --include, --exclude or --exclude-from matched nothing.",
    fields: &[F("rule", "string", "pattern, with its flag or its line")],
};

pub const SET: LineDoc = LineDoc {
    kind: "set",
    meaning: "A set of the journal: the files of one put with -r, --files-from or --map.",
    fields: &[
        F("set", "string", "id of the set"),
        F("state", "string", "unfinished or finished"),
        F("backend", "string", "backend, as it was named"),
        F(
            "s3_service",
            "object",
            "endpoint, region and path_style; present for s3:// backends",
        ),
        F("name", "string", "its directories and lists"),
        F(
            "files",
            "integer",
            "number of files that its last run found, with the entries that could not be read; this \
             and the following are of that run",
        ),
        F("bytes", "integer", "their size together"),
        F("is_complete", "boolean", "whether all files were found"),
        F(
            "done_files",
            "integer",
            "number of files that are uploaded or left out",
        ),
        F("done_bytes", "integer", "bytes of the uploaded files"),
        F(
            "stored_bytes",
            "integer",
            "bytes of all its files that the store has, also of unfinished uploads",
        ),
        F("failed_files", "integer", "number of files that failed"),
        F("created_at", "string", "time of the last put"),
    ],
};

pub const ABORTED_SET: LineDoc = LineDoc {
    kind: "aborted_set",
    meaning: "A set whose unfinished uploads were aborted, and that was removed from the journal.",
    fields: &[
        F("set", "string", "id of the set"),
        F("aborted", "integer", "number of uploads that were aborted"),
        F(
            "completing",
            "integer",
            "number of uploads that the backend is completing, or has completed",
        ),
    ],
};

/// The last line of a file of receipts.
pub const SET_RECEIPT: &[FieldDoc] = &[
    F("type", "string", "set"),
    F(
        "files",
        "integer",
        "number of lines that this run has written before this one",
    ),
    F("bytes", "integer", "size of their objects together"),
    F(
        "sha256",
        "string",
        "SHA-256 of these lines in the order of their bytes, each with its newline: as of LC_ALL=C sort",
    ),
];
