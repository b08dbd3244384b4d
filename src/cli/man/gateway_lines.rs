//! Descriptions of the lines of `--json` of `serve sweep`, `serve prune` and `serve token`.

use super::line_doc::{FieldDoc as F, LineDoc};

const SWEEP: &[LineDoc] = &[LineDoc {
    kind: "sweep",
    meaning: "One result of the sweep.",
    fields: &[
        F("dry_run", "boolean", "true if nothing was changed"),
        F(
            "action",
            "string",
            "decide, expire, abort, clean_up or report",
        ),
        F("done", "boolean", "true if the action is complete"),
        F("key", "string", "key of the object"),
        F(
            "upload",
            "string",
            "upload id; absent if the ledger does not know the key, as are the following fields",
        ),
        F("state", "string", "state before the sweep"),
        F("became", "string", "state after the sweep, if it changed"),
        F("size", "integer", "bytes of the upload"),
        F("expires_at", "string", "time at which the upload expires"),
        F(
            "multiparts",
            "integer",
            "multipart uploads to remove from the store",
        ),
        F(
            "object",
            "boolean",
            "true if an object is to be removed from the store",
        ),
    ],
}];

const SERVE_PRUNE: &[LineDoc] = &[LineDoc {
    kind: "prune",
    meaning: "The deleted uploads, or with --dry-run those that would be deleted.",
    fields: &[
        F("dry_run", "boolean", "true if nothing was changed"),
        F("aborted", "integer", "uploads that were aborted"),
        F("expired", "integer", "uploads that have expired"),
        F("rejected", "integer", "uploads that were rejected"),
        F("ready", "integer", "ready uploads; 0 without --ready"),
        F(
            "released",
            "integer",
            "bytes by which the file of a SQLite ledger gets smaller",
        ),
    ],
}];

const TOKEN: &[LineDoc] = &[LineDoc {
    kind: "token",
    meaning: "A token.",
    fields: &[
        F("id", "string", "id; not in the output of add"),
        F("name", "string", "owner"),
        F(
            "token",
            "string",
            "the token itself; in the output of add only",
        ),
        F("created_at", "string", "time of creation"),
        F("revoked_at", "string", "time of revocation, if revoked"),
        F("expires_at", "string", "end of validity, if limited"),
        F(
            "last_used_at",
            "string",
            "time of the last request, behind by a minute at most",
        ),
        F("subject", "string", "subject of the owner"),
        F(
            "owner",
            "string",
            "segment of the owner, after its first request",
        ),
        F("quota", "string", "its own quota, if it has one"),
        F(
            "allow_types",
            "array",
            "its own content types, if it has some",
        ),
        F("keys", "array", "its own patterns of keys, if it has some"),
    ],
}];

/// The lines of these verbs, by the name of the man page.
pub fn gateway_lines_of(page: &str) -> &'static [LineDoc] {
    match page {
        "upload-serve-sweep" => SWEEP,
        "upload-serve-prune" => SERVE_PRUNE,
        "upload-serve-token-add" | "upload-serve-token-list" => TOKEN,
        _ => &[],
    }
}
