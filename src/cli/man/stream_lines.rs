//! Descriptions of the lines of `--json` about streams.

use super::line_doc::{FieldDoc as F, FieldDoc, LineDoc};

pub const COMPARING: LineDoc = LineDoc {
    kind: "comparing",
    meaning: "A stream is read again after an interruption. Its parts are compared with those in the store, and sent from the first one that differs.",
    fields: &[
        F("source", "integer", "number of the source, from 0"),
        F("upload", "string", "upload id"),
        F("path", "string", "-"),
        F("parts", "integer", "number of parts that the store has"),
    ],
};

pub const PRODUCER_WAITS: FieldDoc = F(
    "producer_waits_percent",
    "integer",
    "of a stream: share of the time since its first read for which its producer waited, because there was no room for another part; absent for a file, and before the first read",
);

pub const WAITS_FOR_PRODUCER: FieldDoc = F(
    "waits_for_producer_percent",
    "integer",
    "of a stream: share of this time for which the program waited for the producer; absent for a file, and before the first read",
);
