//! Descriptions of the lines of `--json` of `serve uploads`, `serve usage`, `serve owners`, `serve
//! sweep` and `serve prune`.

use super::json_lines::{FieldDoc as F, LineDoc};

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

const UPLOADS: &[LineDoc] = &[LineDoc {
    kind: "upload",
    meaning: "An upload.",
    fields: &[
        F("id", "string", "upload id"),
        F("owner", "string", "segment of the owner"),
        F("subject", "string", "subject of the owner"),
        F("state", "string", "state in the ledger"),
        F(
            "size",
            "integer",
            "bytes; 0 for an upload from a browser that is not complete",
        ),
        F("name", "string", "name of the upload"),
        F("content_type", "string", "content type"),
        F(
            "key",
            "string",
            "key of the object, without the prefix of the store",
        ),
        F("created_at", "string", "time of the begin"),
        F(
            "expires_at",
            "string",
            "time at which an unfinished upload expires",
        ),
        F("receipt", "object", "the receipt, once it is verified"),
    ],
}];

const USAGE: &[LineDoc] = &[LineDoc {
    kind: "usage",
    meaning: "The uploads of an owner. Each of open, stored and ended has the integers uploads and bytes.",
    fields: &[
        F("owner", "string", "segment of the owner"),
        F("subject", "string", "subject of the owner"),
        F(
            "counted_bytes",
            "integer",
            "bytes that the quota counts as stored",
        ),
        F("open", "object", "unfinished uploads"),
        F(
            "stored",
            "object",
            "verified and ready uploads, also those whose object the store no longer has",
        ),
        F("ended", "object", "rejected, aborted and expired uploads"),
    ],
}];

const OWNERS: &[LineDoc] = &[LineDoc {
    kind: "owner",
    meaning: "An owner.",
    fields: &[
        F(
            "owner",
            "string",
            "segment, a part of the keys of its objects",
        ),
        F(
            "subject",
            "string",
            "token:NAME, jwt:ISSUER CLAIM, jwt-number:ISSUER CLAIM, or local",
        ),
        F("created_at", "string", "time of the first request"),
        F(
            "last_used_at",
            "string|null",
            "time of the last request, behind by a minute at most",
        ),
    ],
}];

/// The lines of these verbs, by the name of the man page.
pub fn owner_lines_of(page: &str) -> &'static [LineDoc] {
    match page {
        "upload-serve-uploads" => UPLOADS,
        "upload-serve-usage" => USAGE,
        "upload-serve-owners" => OWNERS,
        "upload-serve-sweep" => SWEEP,
        "upload-serve-prune" => SERVE_PRUNE,
        _ => &[],
    }
}
