//! Uploads as a table for a terminal, for `list`.
//!
//! Pure. Not here: the lines for programs (`upload_line`, `orphans`).

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::report::{shorten, text};

/// From this width, the columns of an upload are in one line.
const MIN_WIDE_COLUMNS: usize = 80;
const LABEL_COLUMNS: usize = 12;
const HEADING: &str = "UPLOAD                               STATE      STORED     SIZE BEGUN (UTC)";

/// One upload. The texts contain no terminal controls.
pub struct Entry {
    pub id: String,
    pub state: &'static str,
    /// The stored part of the upload in percent; `None` if it is not known.
    pub stored: Option<u64>,
    /// The size in bytes; `None` if it is not known.
    pub size: Option<u64>,
    pub begun_at: Timestamp,
    /// A label and a text for each further line.
    pub details: Vec<(&'static str, String)>,
}

/// The table; empty without uploads. Each line has at most `columns` columns, except ids in
/// terminals of less than 36.
pub fn table(entries: &[Entry], columns: usize) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let is_wide = columns >= MIN_WIDE_COLUMNS;
    let mut table = if is_wide {
        format!("{HEADING}\n")
    } else {
        "UPLOAD\n".to_owned()
    };
    for entry in entries {
        let Entry { id, state, .. } = entry;
        let stored = entry
            .stored
            .map_or_else(|| "-".to_owned(), |percent| format!("{percent}%"));
        let size = entry.size.map_or_else(|| "-".to_owned(), text::size);
        let begun_at = entry.begun_at.strftime("%Y-%m-%d %H:%M");
        // Writing to a string cannot fail.
        let _ = if is_wide {
            writeln!(
                table,
                "{id:<36} {state:<10} {stored:>6} {size:>8} {begun_at}"
            )
        } else {
            writeln!(
                table,
                "{id}\n  {:LABEL_COLUMNS$}{state}, {stored}\n  {:LABEL_COLUMNS$}{size}\n  {:LABEL_COLUMNS$}{begun_at}",
                "state", "size", "begun (UTC)"
            )
        };
        let room = columns.saturating_sub(LABEL_COLUMNS + 2);
        for (label, detail) in &entry.details {
            let detail = shorten(detail, room);
            let _ = writeln!(table, "  {label:LABEL_COLUMNS$}{detail}");
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::width;

    fn entry(path: &str) -> Entry {
        Entry {
            id: "0198c0de-0000-7000-8000-000000000000".to_owned(),
            state: "completing",
            stored: Some(100),
            size: Some(1023 << 20),
            begun_at: "2026-11-29T17:13:51Z".parse().unwrap(),
            details: vec![("file", path.to_owned())],
        }
    }

    #[test]
    fn lines_fit_the_terminal() {
        let long = "/media/camera/cards/".repeat(20) + "日本語の名前.mov";
        for columns in [40, 78, 79, 80, 200] {
            let table = table(&[entry(&long), entry("a.mov")], columns);
            for line in table.lines() {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
            assert!(table.contains("日本語の名前.mov"), "{table}");
            assert!(table.contains("2026-11-29 17:13"), "{table}");
        }
    }
}
