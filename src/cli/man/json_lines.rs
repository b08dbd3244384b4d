//! Descriptions of the lines of `--json`: one table for each type of line.
//!
//! Not here: the events of `put` and `resume` (`event_lines`).

use super::line_doc::{FieldDoc as F, FieldDoc, LineDoc};
use super::set_lines::{ABORTED_SET, SET};

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
        "of a stream: its part size doubles after each group of this many parts; absent if all parts have the same size",
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
