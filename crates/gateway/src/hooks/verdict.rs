//! The verdict of a hook, and the conversion of its texts to a form that is safe to display.

use serde::{Deserialize, Serialize};

const MAX_REASON_CHARS: usize = 500;

/// The verdict of a hook on an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Reject(Reason),
    /// The hook could not decide and must run again. The text is for the log.
    Retry(String),
}

/// The reason for a rejection: untrusted text, in one line without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason(String);

impl Reason {
    /// Makes the text of a hook safe. Without a text, the reason is `rejected`.
    #[must_use]
    pub fn new(text: Option<&str>) -> Self {
        let text = single_line(text.unwrap_or_default(), MAX_REASON_CHARS);
        Self(if text.is_empty() {
            "rejected".to_owned()
        } else {
            text
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Converts untrusted text to one line of at most `max_chars` characters, without control
/// characters, invisible characters or the queries of presigned URLs.
pub fn single_line(text: &str, max_chars: usize) -> String {
    // A terminal may interpret or hide any character that Rust escapes, except quotes and
    // backslashes.
    let is_visible = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().nth(1).is_none();
    let text: String = text
        .chars()
        .map(|c| if is_visible(c) { c } else { ' ' })
        .collect();
    // Programs often print the URL that they could not read.
    let redact = |word: &str| match word.split_once('?') {
        Some((url, query)) if query.contains("X-Amz-") => format!("{url}?REDACTED"),
        _ => word.to_owned(),
    };
    let words: Vec<String> = text.split_whitespace().map(redact).collect();
    words.join(" ").chars().take(max_chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_one_line_of_visible_characters() {
        assert_eq!(Reason::new(None).as_str(), "rejected");
        assert_eq!(Reason::new(Some(" \u{1b}\n")).as_str(), "rejected");
        assert_eq!(
            Reason::new(Some("a \"virus\"\r\n\u{1b}[2J\u{202e}é\u{9b}x\\")).as_str(),
            "a \"virus\" [2J é x\\"
        );
        let presigned = "GET http://s/a?X-Amz-Signature=1 failed";
        assert_eq!(
            Reason::new(Some(presigned)).as_str(),
            "GET http://s/a?REDACTED failed"
        );
        let long = Reason::new(Some(&"é".repeat(10_000)));
        assert_eq!(long.as_str().chars().count(), MAX_REASON_CHARS);
    }
}
