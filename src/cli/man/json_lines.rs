//! Descriptions of the lines of `--json`: one table for each type of line.

use super::line_doc::{FieldDoc as F, FieldDoc, LineDoc};
use super::set_lines::{ABORTED_SET, SELECTED, SET, SKIPPED, UNMATCHED};
use super::stream_lines::{COMPARING, PRODUCER_WAITS, WAITS_FOR_PRODUCER};

const FROM_JOURNAL: &str = "true if only the journal says so, because the store was not asked \
                            (--trust-journal); otherwise absent";

/// The events of `put` and `resume`.
pub const EVENTS: &[LineDoc] = &[
    SELECTED,
    SKIPPED,
    UNMATCHED,
    LineDoc {
        kind: "plan",
        meaning: "A source was opened and divided into parts.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F(
                "upload",
                "string|null",
                "upload id; null before the upload begins",
            ),
            F("path", "string", "path of the source"),
            F(
                "path_b64",
                "string",
                "bytes of the path in base64; present if they are not UTF-8",
            ),
            F(
                "size",
                "integer",
                "bytes of the source; of a stream the expected bytes, or 0",
            ),
            F(
                "part_size",
                "integer",
                "bytes of every part but the last; of a stream, of the first part",
            ),
            F("parts", "integer", "number of parts; 0 for a stream"),
            F(
                "resumed_bytes",
                "integer",
                "bytes that are already stored and will not be sent",
            ),
            F(
                "already_stored",
                "boolean",
                "true if the object exists already and nothing will be sent",
            ),
            F("from_journal", "boolean", FROM_JOURNAL),
            F(
                "key",
                "string|null",
                "key that the command chooses, below the prefix of the backend; null if the backend makes it",
            ),
            F(
                "stream",
                "boolean",
                "true for a stream, whose path is -; otherwise absent",
            ),
        ],
    },
    LineDoc {
        kind: "progress",
        meaning: "The progress of an upload, at most once per second, and once at its end.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string|null", "upload id"),
            F("path", "string", "path of the source"),
            F("hashed", "integer", "bytes hashed with SHA-256"),
            F("sent", "integer", "bytes handed to the network"),
            F("confirmed", "integer", "bytes acknowledged by the store"),
            F(
                "size",
                "integer",
                "bytes of the source; of a stream, those that were read, or the expected ones if these are more",
            ),
            F(
                "rate",
                "integer",
                "recent bytes per second handed to the network",
            ),
            PRODUCER_WAITS,
            WAITS_FOR_PRODUCER,
        ],
    },
    LineDoc {
        kind: "part",
        meaning: "A part is stored and recorded in the journal. Parts of files that were stored before this run have no event; those of streams have one.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string", "upload id"),
            F("path", "string", "path of the source"),
            F("number", "integer", "part number, from 1"),
            F("size", "integer", "bytes of the part"),
            F("sha256", "string", "SHA-256 of the part"),
            F("etag", "string", "ETag of the part"),
            F(
                "skipped",
                "boolean",
                "true if the store had the part and no byte was sent",
            ),
            F(
                "copied",
                "boolean",
                "true if the store has copied the part from an earlier object; otherwise absent",
            ),
        ],
    },
    LineDoc {
        kind: "retry",
        meaning: "An attempt failed and will be repeated.",
        fields: &[
            F(
                "source",
                "integer|null",
                "number of the source; null for a call about no single source",
            ),
            F("upload", "string|null", "upload id"),
            F(
                "path",
                "string|null",
                "path of the source; null for a call about no single source",
            ),
            F(
                "number",
                "integer|null",
                "part number; null for a call about the whole upload",
            ),
            F("attempt", "integer", "number of the failed attempt, from 1"),
            F("kind", "string", "kind of the failure"),
            F("wait_ms", "integer", "milliseconds until the next attempt"),
            F("message", "string", "what failed, and why"),
        ],
    },
    LineDoc {
        kind: "changed",
        meaning: "A source changed during its upload. The next events show whether the upload begins again or fails.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string|null", "upload id"),
            F("path", "string", "path of the source"),
            F("message", "string", "what changed"),
        ],
    },
    COMPARING,
    LineDoc {
        kind: "blocked",
        meaning: "Another process uploads the source, or another unfinished upload has its key. This command waits for it, at most for --give-up-after.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string|null", "upload id"),
            F("path", "string", "path of the source"),
            F(
                "message",
                "string",
                "the process or the upload that it waits for",
            ),
        ],
    },
    LineDoc {
        kind: "restarted",
        meaning: "The backend no longer has the upload or its object: the source is uploaded again from the beginning.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string|null", "id of the upload that is replaced"),
            F("path", "string", "path of the source"),
            F("message", "string", "the reason"),
        ],
    },
    LineDoc {
        kind: "moved",
        meaning: "The source of an unfinished upload was moved. The upload continues with its new path and keeps its name.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string|null", "upload id"),
            F("old_path", "string", "path that the journal had"),
            F("path", "string", "path of the source now"),
        ],
    },
    LineDoc {
        kind: "renamed",
        meaning: "The source was uploaded before, from a path that no longer has it and under another name. It is uploaded again under its new name.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string|null", "id of the earlier upload"),
            F("old_path", "string", "path of the source then"),
            F("old_name", "string", "name of the object then"),
            F("path", "string", "path of the source now"),
            F("name", "string", "name of the object now"),
        ],
    },
    LineDoc {
        kind: "waiting",
        meaning: "The object is verified, and the checks of the backend are running. Not with --wait none.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string", "upload id"),
            F("path", "string", "path of the source"),
        ],
    },
    LineDoc {
        kind: "completed",
        meaning: "The backend has verified the object; unless --wait none is given, its checks have accepted it.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F(
                "upload",
                "string|null",
                "upload id; null if the object was there before, and no known upload made it",
            ),
            F("path", "string", "path of the source"),
            F(
                "already_stored",
                "boolean",
                "true if the object existed before this command",
            ),
            F("from_journal", "boolean", FROM_JOURNAL),
            F("receipt", "object", "receipt, see below"),
        ],
    },
    LineDoc {
        kind: "failed",
        meaning: "A source could not be uploaded.",
        fields: &[
            F("source", "integer", "number of the source, from 0"),
            F("upload", "string|null", "upload id"),
            F("path", "string", "path of the source"),
            F("kind", "string", "kind of the failure"),
            F("message", "string", "what could not be done, and why"),
            F("hint", "string|null", "what to do"),
        ],
    },
    LineDoc {
        kind: "exit",
        meaning: "The last line of every run.",
        fields: &[
            F("code", "integer", "exit code"),
            F("uploads", "integer", "number of sources"),
            F(
                "completed",
                "integer",
                "number of sources whose object is stored: sent by this run, or already stored",
            ),
            F(
                "already_stored",
                "integer",
                "number of these whose object existed before this command",
            ),
            F(
                "from_journal",
                "integer",
                "number of these about which the store was not asked, with --trust-journal",
            ),
            F("failed", "integer", "number of failed sources"),
            F(
                "bytes_sent",
                "integer",
                "bytes of parts that were sent and acknowledged",
            ),
            F(
                "bytes_skipped",
                "integer",
                "bytes that did not have to be sent",
            ),
            F(
                "bytes_copied",
                "integer",
                "bytes of these that the store has copied from earlier objects, in this run",
            ),
            F(
                "skipped",
                "object",
                "number of sources and entries that were left out, by reason",
            ),
            F(
                "resumable",
                "boolean",
                "true if `upload resume` can continue",
            ),
        ],
    },
];

/// The receipt in `completed`. A line of a receipt file has the same fields, and `path`.
pub const RECEIPT: &[FieldDoc] = &[
    F(
        "id",
        "string|null",
        "upload id; null if the object was there before, and no known upload made it",
    ),
    F("backend", "string", "backend, as it was configured"),
    F(
        "instance_id",
        "string",
        "id of the backend, which stays the same if its URL changes",
    ),
    F("name", "string", "name of the upload"),
    F(
        "bucket",
        "string|null",
        "bucket of the object; null for an embedded store, or if the backend does not report it",
    ),
    F(
        "key",
        "string",
        "key of the object in its bucket, with every prefix",
    ),
    F(
        "location",
        "string",
        "URL of the object, or embedded:KEY; absent before the upload is ready",
    ),
    F(
        "version_id",
        "string|null",
        "version of the object, in a bucket with versions",
    ),
    F("size", "integer", "bytes of the object"),
    F("parts", "integer", "number of parts"),
    F(
        "part_size",
        "integer",
        "bytes of every part but the last; of a stream, of the first part",
    ),
    F(
        "double_after",
        "integer",
        "of a stream: its part size doubles after each so many parts; absent if all parts have the same size",
    ),
    F(
        "etag",
        "string",
        "ETag of the object; for a Companion, which does not report it, computed from the parts",
    ),
    F(
        "checksum",
        "string|null",
        "SHA-256 of the object in base64, as S3 reports it; with -N, the composite of N parts",
    ),
    F(
        "proof",
        "string",
        "what the store enforced on each part: sha256, payload, md5 or none",
    ),
    F(
        "unproven",
        "array",
        "capabilities (see serve --probe) that the store lacks and this object needed, and attributes of the object that it did not keep; absent if empty",
    ),
    F(
        "sha256",
        "string|null",
        "SHA-256 of the whole object: of a stream, of a file of one part, and with --sha256",
    ),
    F(
        "started",
        "string",
        "time at which the upload began, with milliseconds",
    ),
    F(
        "finished",
        "string",
        "time at which the upload ended, with milliseconds",
    ),
];

const UPLOAD: &[FieldDoc] = &[
    F(
        "upload",
        "string|null",
        "upload id; null before the upload begins",
    ),
    F(
        "state",
        "string",
        "creating, uploading, completing, completed, rejected or abandoned",
    ),
    F("backend", "string", "backend of the upload"),
    F(
        "s3_service",
        "object",
        "if the backend is s3://: endpoint, region and path_style of its S3 service",
    ),
    F("path", "string", "path of the source"),
    F("name", "string", "name of the object"),
    F(
        "key",
        "string|null",
        "key that the command has chosen, below the prefix of the backend; null if the backend makes it",
    ),
    F(
        "size",
        "integer|null",
        "bytes of the source; null for a stream that has not ended",
    ),
    F(
        "part_size",
        "integer",
        "bytes of every part but the last; of a stream, of the first part",
    ),
    F(
        "parts",
        "integer",
        "number of parts; of a stream that has not ended, of those that were read",
    ),
    F(
        "stream",
        "boolean",
        "true for a stream, whose path is -; otherwise absent",
    ),
    F(
        "stored_parts",
        "integer",
        "parts that the store has acknowledged",
    ),
    F("stored_bytes", "integer", "bytes of these parts"),
    F("created_at", "string", "time of the entry in the journal"),
    F(
        "receipt",
        "object",
        "receipt, see upload(1); present if the upload is complete",
    ),
    F(
        "part_list",
        "array",
        "with upload status: number, size, sha256 and etag of each part",
    ),
    F(
        "remote",
        "object",
        "with upload status --remote: the status at the backend, and its part_list",
    ),
];

const ORPHAN: LineDoc = LineDoc {
    kind: "orphan",
    meaning: "An upload that the backend has in progress and that is not in the journal.",
    fields: &[
        F("backend", "string", "backend of the upload"),
        F(
            "...",
            "",
            "the fields of the status at the backend, such as id, name, state, size and expires_at",
        ),
    ],
};

const LIST: &[LineDoc] = &[
    SET,
    LineDoc {
        kind: "upload",
        meaning: "An upload of the journal.",
        fields: UPLOAD,
    },
    ORPHAN,
];

const STATUS: &[LineDoc] = &[LineDoc {
    kind: "upload",
    meaning: "The upload.",
    fields: UPLOAD,
}];

const ABORT: &[LineDoc] = &[
    LineDoc {
        kind: "aborted",
        meaning: "An aborted upload.",
        fields: &[F(
            "upload",
            "string|null",
            "upload id; null if it never began",
        )],
    },
    ABORTED_SET,
];

const REMOVE: &[LineDoc] = &[LineDoc {
    kind: "removed",
    meaning: "A removed upload.",
    fields: &[F(
        "upload",
        "string|null",
        "upload id; null if it never began",
    )],
}];

const PRUNE: &[LineDoc] = &[
    LineDoc {
        kind: "pruned",
        meaning: "The result.",
        fields: &[
            F("removed", "integer", "uploads removed from the journal"),
            F("removed_sets", "integer", "sets removed from the journal"),
            F(
                "dry_run",
                "boolean",
                "true with --dry-run: nothing was removed",
            ),
            F(
                "embedded_objects",
                "integer",
                "objects of these uploads that stay in the embedded store",
            ),
            F("embedded_bytes", "integer", "bytes of these objects"),
            F(
                "freed_bytes",
                "integer",
                "bytes by which the file of the journal is smaller",
            ),
        ],
    },
    ORPHAN,
];

const URL: &[LineDoc] = &[LineDoc {
    kind: "url",
    meaning: "The URL.",
    fields: &[
        F("upload", "string", "upload id"),
        F("url", "string", "URL for reading the object"),
        F(
            "expires_in",
            "integer|null",
            "seconds until the URL expires; null if it does not",
        ),
    ],
}];

const CONFIG: &[LineDoc] = &[
    LineDoc {
        kind: "config_file",
        meaning: "The configuration file.",
        fields: &[
            F("path", "string", "its path"),
            F("exists", "boolean", "whether there is such a file"),
        ],
    },
    LineDoc {
        kind: "setting",
        meaning: "A setting.",
        fields: &[
            F("key", "string", "key in the configuration file"),
            F("value", "string|null", "value; null if it is not set"),
            F(
                "origin",
                "string",
                "flag, env, file, aws_profile or default",
            ),
            F("env", "string", "variable, for env"),
            F("file", "string", "path, for file and aws_profile"),
            F("profile", "string", "profile, for file and aws_profile"),
        ],
    },
];

const VERSION: &[LineDoc] = &[LineDoc {
    kind: "version",
    meaning: "The version.",
    fields: &[F("version", "string", "the version of the program")],
}];

const SERVE: &[LineDoc] = &[LineDoc {
    kind: "store",
    meaning: "With --probe: what the store enforces.",
    fields: &[
        F("store", "string", "the store"),
        F(
            "proof",
            "string",
            "what the gateway would make the store enforce on each part",
        ),
        F("limits", "object", "the limits of the store"),
        F(
            "capabilities",
            "array",
            "for each capability: name, tried (the test), did (the reaction), held (yes, no, refused, untried), means (the consequence)",
        ),
        F(
            "warnings",
            "array",
            "warnings, or why the gateway would not start",
        ),
    ],
}];

/// The lines of verbs other than `put` and `resume`, by the name of the man page. Others are in
/// `gateway_lines` and `owner_lines`.
pub fn lines_of(page: &str) -> &'static [LineDoc] {
    match page {
        "upload-list" => LIST,
        "upload-status" => STATUS,
        "upload-abort" => ABORT,
        "upload-rm" | "upload-serve-rm" => REMOVE,
        "upload-prune" => PRUNE,
        "upload-url" => URL,
        "upload-config" => CONFIG,
        "upload-version" => VERSION,
        "upload-serve" => SERVE,
        _ => &[],
    }
}
