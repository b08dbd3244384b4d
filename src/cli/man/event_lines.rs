//! Descriptions of the events: the lines of `put --json` and `resume --json`.
//!
//! Not here: the lines of other verbs (`json_lines`).

use super::line_doc::{FieldDoc as F, LineDoc};
use super::set_lines::{SELECTED, SKIPPED, UNMATCHED};
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
        meaning: "The source was uploaded before, from a path that no longer has it and under another name. It gets an object of its own under its new name.",
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
