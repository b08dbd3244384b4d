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
    meaning: "An entry of a directory or list is left out. It has no number.",
    fields: &[
        F("path", "string", "path of the entry"),
        F(
            "reason",
            "string",
            "link, fifo, socket, device, excluded, not_included, ignored, junk, size, age, \
             empty_directory, other_file_system, repeated, own (written by this program), vanished",
        ),
        F(
            "rule",
            "string",
            "flag, or line of a file, that leaves it out; present if there is one",
        ),
    ],
};

pub const UNMATCHED: LineDoc = LineDoc {
    kind: "unmatched",
    meaning: "A pattern of --include, --exclude or --exclude-from matched nothing.",
    fields: &[F("rule", "string", "pattern, with its flag or its line")],
};
