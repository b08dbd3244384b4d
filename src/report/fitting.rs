//! Fits text into the columns of a terminal: shortens paths, wraps messages at words.
//!
//! Not here: escapes, and the format of sizes and durations (`text`). All functions are pure.
//! Instead of `textwrap`: a command within a message must stay in one line, so that it can be
//! copied.

use unicode_width::UnicodeWidthChar as _;

/// Columns of a text.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A path in at most `columns`: `…` replaces the middle, and more of the end is kept than of the
/// beginning, because the end has the name of the file.
#[must_use]
pub fn shorten(path: &str, columns: usize) -> String {
    if width(path) <= columns {
        return path.to_owned();
    }
    let Some(columns) = columns.checked_sub(1) else {
        return String::new();
    };
    let beginning = take_columns(path.chars(), columns / 4);
    let end = take_columns(path.chars().rev(), columns - width(&beginning));
    let end: String = end.chars().rev().collect();
    format!("{beginning}…{end}")
}

/// [`shorten`], padded with spaces to exactly `columns`.
#[must_use]
pub fn shorten_and_pad(path: &str, columns: usize) -> String {
    let text = shorten(path, columns);
    let padding = columns.saturating_sub(width(&text));
    text + &" ".repeat(padding)
}

/// The first characters that fit into `columns`.
fn take_columns(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    chars.take_while(fits).collect()
}

/// A line with breaks between words, so that no line has more than `columns`. Each keeps the
/// indentation. A command stays in one line, so that it can be copied, and so does a word that is
/// longer than a line.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let indentation = &text[..text.len() - text.trim_start().len()];
    let mut wrapped = indentation.to_owned();
    let mut used = width(indentation);
    for word in words(text) {
        let columns_of_word = width(word);
        let is_first = used == width(indentation);
        if !is_first && used + 1 + columns_of_word > columns {
            wrapped.push('\n');
            wrapped.push_str(indentation);
            used = width(indentation);
        } else if !is_first {
            wrapped.push(' ');
            used += 1;
        }
        wrapped.push_str(word);
        used += columns_of_word;
    }
    wrapped
}

/// The words of a text. A command between backticks is one word, and so is one at the end of the
/// text after a colon.
fn words(text: &str) -> Vec<&str> {
    let commands_at = text
        .rfind(": upload ")
        .map_or(text.len(), |colon| colon + 2);
    let mut words = Vec::new();
    let (mut start, mut is_quoted) = (0, false);
    for (at, c) in text.char_indices().take_while(|(at, _)| *at < commands_at) {
        match c {
            '`' => is_quoted = !is_quoted,
            ' ' if !is_quoted => {
                words.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&text[start..]);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_keeps_its_end() {
        let path = "cards/2026-11/MVI_0003.MOV";
        assert_eq!(shorten(path, 26), path);
        assert_eq!(shorten(path, 20), "card…11/MVI_0003.MOV");
        assert_eq!(shorten(path, 4), "…MOV");
        assert_eq!(
            (shorten(path, 1), shorten(path, 0)),
            ("…".into(), String::new())
        );
        assert_eq!(width(&shorten("写真/写真/写真.jpg", 9)), 9);
        assert_eq!(shorten_and_pad("a.mov", 7), "a.mov  ");
    }

    #[test]
    fn lines_break_between_words_only() {
        let text = "could not reach the backend: Connection refused";
        let lines = wrap(text, 20);
        assert_eq!(lines, "could not reach the\nbackend: Connection\nrefused");
        assert_eq!(wrap("a extraordinarily b", 5), "a\nextraordinarily\nb");
        assert_eq!(wrap("  a b c", 5), "  a b\n  c");
        assert_eq!(wrap("", 5), "");
    }

    #[test]
    fn commands_are_not_broken() {
        let hint = "run `upload put FILE --force` to send the file again";
        assert_eq!(
            wrap(hint, 20),
            "run\n`upload put FILE --force`\nto send the file\nagain"
        );
        let hint = "to continue: upload --journal 'my journal.db' resume";
        assert_eq!(
            wrap(hint, 20),
            "to continue:\nupload --journal 'my journal.db' resume"
        );
    }
}
