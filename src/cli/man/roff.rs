//! Writes roff: text, tables (for `tbl`) and examples.

use std::fmt::Write as _;

use super::line_doc::{FieldDoc, LineDoc};

/// The first lines of a page. `t` makes `man` run `tbl`; `Aq` is the apostrophe, which mangen uses.
pub fn title(page: &str) -> String {
    format!(
        "'\\\" t\n.ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH {} 1 \"\" \"upload {}\" \"User Commands\"\n",
        page.to_uppercase(),
        env!("CARGO_PKG_VERSION")
    )
}

/// A heading within a sentence: `S3 options`, `global options`.
pub fn lower_first(heading: &str) -> String {
    let mut chars = heading.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            format!("{}{}", first.to_lowercase(), chars.as_str())
        }
        _ => heading.to_owned(),
    }
}

/// Escapes a text of one line.
pub fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) {
        format!("\\&{escaped}")
    } else {
        escaped
    }
}

pub fn section(title: &str) -> String {
    format!(".SH {title}\n")
}

/// A table. Its last column wraps; its rows have the same number of cells.
pub fn table(head: &[&str], rows: &[Vec<&str>]) -> String {
    let columns = vec!["l"; head.len().saturating_sub(1)].join(" ");
    let mut text = format!(".TS\n{columns} lx.\n{}\n", italic_row(head));
    for row in rows {
        let (last, cells) = match row.split_last() {
            Some((last, cells)) => (*last, cells),
            None => continue,
        };
        for (index, cell) in cells.iter().enumerate() {
            let cell = escape(cell);
            let cell = if index == 0 {
                format!("\\fB{cell}\\fR")
            } else {
                cell
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "{cell}\t");
        }
        let _ = writeln!(text, "T{{\n{}\nT}}", escape(last));
    }
    text + ".TE\n"
}

fn italic_row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells
        .iter()
        .map(|cell| format!("\\fI{}\\fR", escape(cell)))
        .collect();
    cells.join("\t")
}

/// The fields of a JSON object.
pub fn field_table(fields: &[FieldDoc]) -> String {
    let rows: Vec<Vec<&str>> = fields
        .iter()
        .map(|FieldDoc(name, kind, meaning)| vec![*name, *kind, *meaning])
        .collect();
    table(&["field", "type", "meaning"], &rows)
}

/// A type of line with its fields.
pub fn line_doc(line: &LineDoc) -> String {
    format!(
        ".SS {}\n{}\n{}",
        escape(line.kind),
        escape(line.meaning),
        field_table(line.fields)
    )
}

/// Examples as the help has them: titles indented by two spaces, commands by four or more.
pub fn examples(help: &str) -> String {
    let mut text = section("EXAMPLES");
    let mut is_command = false;
    for line in help.lines().skip(1) {
        let command = line.strip_prefix("    ");
        if command.is_some() != is_command {
            text.push_str(if command.is_some() {
                ".PP\n.nf\n"
            } else {
                ".fi\n.PP\n"
            });
            is_command = command.is_some();
        }
        let line = match command {
            Some(command) => format!("    {}", escape(command)),
            None => escape(line.trim()),
        };
        text.push_str(&line);
        text.push('\n');
    }
    if is_command {
        text.push_str(".fi\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cannot_be_requests() {
        assert_eq!(escape(".TP"), "\\&.TP");
        assert_eq!(escape("a\\-b"), "a\\e\\-b");
    }

    #[test]
    fn examples_alternate_text_and_commands() {
        let help = "Examples:\n  One:\n    upload a\n  Two:\n    upload b \\\n        --c";
        assert_eq!(
            examples(help),
            ".SH EXAMPLES\nOne:\n.PP\n.nf\n    upload a\n.fi\n.PP\nTwo:\n.PP\n.nf\n    upload b \\e\n        \\-\\-c\n.fi\n"
        );
    }
}
