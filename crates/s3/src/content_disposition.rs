//! `Content-Disposition` of downloads (RFC 6266, RFC 8187). Pure.

use crate::uri::encode;

/// The file name for a name without any usable character.
const DEFAULT_NAME: &str = "download";

/// A download with the file name `name`: in ASCII for old clients, and in full as in RFC 8187.
///
/// The file name names no directory, and shows its characters in their order: separators of paths,
/// control characters and marks that change the direction of text become `_`.
#[must_use]
pub fn attachment(name: &str) -> String {
    let name = safe_file_name(name);
    let to_ascii = |c: char| {
        if c.is_ascii_graphic() && !"\"%;".contains(c) || c == ' ' {
            c
        } else {
            '_'
        }
    };
    let ascii: String = name.chars().map(to_ascii).collect();
    format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        encode(&name)
    )
}

fn safe_file_name(name: &str) -> String {
    let to_safe = |c: char| if is_unsafe(c) { '_' } else { c };
    let safe: String = name.chars().map(to_safe).collect();
    // `.` and `..` are directories; Windows drops dots and spaces at the end.
    let safe = safe.trim_matches(' ').trim_end_matches(['.', ' ']);
    if safe.is_empty() {
        DEFAULT_NAME.to_owned()
    } else {
        safe.to_owned()
    }
}

fn is_unsafe(c: char) -> bool {
    let separates = matches!(c, '/' | '\\' | '\u{2028}' | '\u{2029}');
    let hides = matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{61c}'
    );
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || separates || hides || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two names in the header.
    fn names(name: &str) -> (String, String) {
        let header = attachment(name);
        assert!(
            header.bytes().all(|b| (b' '..=b'~').contains(&b)),
            "{header}"
        );
        let rest = header.strip_prefix("attachment; filename=\"").unwrap();
        let (ascii, rest) = rest.split_once('"').unwrap();
        let encoded = rest.strip_prefix("; filename*=UTF-8''").unwrap();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
        assert!(encoded.bytes().all(token), "{encoded}");
        let full = percent_encoding::percent_decode_str(encoded).decode_utf8();
        (ascii.to_owned(), full.unwrap().into_owned())
    }

    #[test]
    fn file_names_leave_neither_the_header_nor_their_directory() {
        for (name, ascii, full) in [
            ("a b.txt", "a b.txt", "a b.txt"),
            ("r\u{e9}sum\u{e9}.pdf", "r_sum_.pdf", "r\u{e9}sum\u{e9}.pdf"),
            (
                "a\"; filename=\"x.exe",
                "a__ filename=_x.exe",
                "a\"; filename=\"x.exe",
            ),
            ("100%41.txt", "100_41.txt", "100%41.txt"),
            ("../../etc/passwd", ".._.._etc_passwd", ".._.._etc_passwd"),
            ("C:\\a\\b", "C:_a_b", "C:_a_b"),
            ("a\r\nb: c\u{85}\u{7f}", "a__b: c__", "a__b: c__"),
            ("photo\u{202e}gpj.exe", "photo_gpj.exe", "photo_gpj.exe"),
            ("a\u{2066}b\u{200f}c\u{feff}", "a_b_c_", "a_b_c_"),
            ("a\u{2028}b", "a_b", "a_b"),
            ("..", "download", "download"),
            (" . ", "download", "download"),
            ("", "download", "download"),
            ("a.exe. .", "a.exe", "a.exe"),
            (".bashrc", ".bashrc", ".bashrc"),
            ("\u{1f600}'*.bin", "_'*.bin", "\u{1f600}'*.bin"),
        ] {
            assert_eq!(names(name), (ascii.to_owned(), full.to_owned()), "{name:?}");
        }
    }
}
