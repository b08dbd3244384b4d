//! Descriptions of the lines of `--json` of `serve uploads`, `serve usage` and `serve owners`.

use super::line_doc::{FieldDoc as F, LineDoc};

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
        _ => &[],
    }
}
