//! Descriptions of the lines of `--json` about the search for files.

use super::line_doc::{FieldDoc as F, LineDoc};

pub const SELECTED: LineDoc = LineDoc {
    kind: "selected",
    meaning: "Every file of the directories and lists was found. Uploads may have begun before.",
    fields: &[
        F("files", "integer", "number of files to upload"),
        F("bytes", "integer", "their size together"),
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
