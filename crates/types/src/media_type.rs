//! Media types (RFC 9110, sections 5.6 and 8.3): `type/subtype` and parameters.
//!
//! Instead of `mime`, which keeps quotes and spaces as they were written: a media type has one text
//! here, with unique parameters.

use std::fmt;
use std::str::FromStr;

use crate::attributes::is_token;
use crate::checked_text::Invalid;

/// The longest accepted text, in bytes.
const MAX_BYTES: usize = 128;
const FORM: Invalid = Invalid(
    "a media type is type/subtype with parameters ;name=value, 1 to 128 visible ASCII characters",
);

/// The media type of content of which nothing is known.
pub const DEFAULT_CONTENT_TYPE: &str = "application/octet-stream";

/// A media type in one form: names in lower case, quotes only if they are necessary, one space
/// after each semicolon. Readers that cut the text in other ways than RFC 9110 do find no second
/// type in it: it has no comma and no semicolon outside of quotes except before a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// `type/subtype`
    essence: String,
    /// Names are unique.
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// `type/subtype` in lower case, without parameters.
    #[must_use]
    pub fn essence(&self) -> &str {
        &self.essence
    }

    #[must_use]
    pub fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }
}

impl FromStr for MediaType {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_visible = |b: u8| b.is_ascii_graphic() || b == b' ';
        // Signed headers have no runs of spaces.
        if text.len() > MAX_BYTES || !text.bytes().all(is_visible) || text.contains("  ") {
            return Err(FORM);
        }
        let text = text.trim_matches(' ');
        let (essence, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        let essence = essence.trim_end_matches(' ');
        let (kind, subtype) = essence.split_once('/').ok_or(FORM)?;
        if !is_token(kind) || !is_token(subtype) {
            return Err(FORM);
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        while let Some(after) = rest.strip_prefix(';') {
            let after = after.trim_start_matches(' ');
            // The grammar permits empty parameters.
            if after.is_empty() || after.starts_with(';') {
                rest = after;
                continue;
            }
            let (name, value) = after.split_once('=').ok_or(FORM)?;
            let (value, after) = take_value(value)?;
            let name = name.to_ascii_lowercase();
            let is_repeated = parameters.iter().any(|(known, _)| *known == name);
            if !is_token(&name) || is_repeated {
                return Err(FORM);
            }
            parameters.push((name, value));
            rest = after.trim_start_matches(' ');
        }
        if !rest.is_empty() {
            return Err(FORM);
        }
        let parsed = Self {
            essence: essence.to_ascii_lowercase(),
            parameters,
        };
        // The spaces of the one form can make it longer, and `\ ` in quotes becomes a space.
        let form = parsed.to_string();
        if form.len() > MAX_BYTES || form.contains("  ") {
            return Err(FORM);
        }
        Ok(parsed)
    }
}

/// Takes a token or a quoted string from the start of a text. Returns its value and the rest.
fn take_value(text: &str) -> Result<(String, &str), Invalid> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ']).unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        return if is_token(token) {
            Ok((token.to_owned(), rest))
        } else {
            Err(FORM)
        };
    };
    let (mut value, mut chars) = (String::new(), quoted.chars());
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((value, chars.as_str())),
            '\\' => value.push(chars.next().ok_or(FORM)?),
            c => value.push(c),
        }
    }
    Err(FORM)
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.essence)?;
        for (name, value) in &self.parameters {
            if is_token(value) {
                write!(f, "; {name}={value}")?;
            } else {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, "; {name}=\"{value}\"")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, String)> {
        let parsed: MediaType = text.parse().ok()?;
        Some((parsed.essence().to_owned(), parsed.to_string()))
    }

    #[test]
    fn media_types_have_one_form() {
        for (text, essence, form) in [
            ("video/mp4", "video/mp4", "video/mp4"),
            (
                "Text/HTML;Charset=UTF-8",
                "text/html",
                "text/html; charset=UTF-8",
            ),
            (" a/b ; c=d ;; e=f; ", "a/b", "a/b; c=d; e=f"),
            ("a/b;c=\"d\"", "a/b", "a/b; c=d"),
            ("a/b; c=\"\"", "a/b", "a/b; c=\"\""),
            (
                "video/mp4; codecs=\"avc1.42E01E, mp4a.40.2\"",
                "video/mp4",
                "video/mp4; codecs=\"avc1.42E01E, mp4a.40.2\"",
            ),
            ("a/b; c=\"\\\"\\\\;\\d\"", "a/b", "a/b; c=\"\\\"\\\\;d\""),
            (
                "application/vnd.x+json",
                "application/vnd.x+json",
                "application/vnd.x+json",
            ),
        ] {
            let found = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(found, (essence.to_owned(), form.to_owned()), "{text}");
            assert_eq!(parse(form).unwrap().1, form);
        }
    }

    #[test]
    fn texts_with_a_second_type_are_rejected() {
        for text in [
            "image/png;, text/html",
            "image/png, text/html",
            "image/png;a=b, text/html",
            "image/png;a=\"b\", text/html",
            "image/png;a=\"b\"text/html",
            "image/png;a=\"b",
            "image/png;a=\"b\\",
            "image/png; text/html",
            "image/png;=b",
            "image/png;a=",
            "image/png;a =b",
            "image/png;a= b",
            "image/png;a=b c=d",
            "image/png;a=b;A=c",
            "image/png/x",
            "image /png",
            "image/ png",
            "image/png;a=\"b  c\"",
            "image/png;a=\"b \\ c\"",
            "image/png\r\nx: y",
            "image/png;a=\"\u{e9}\"",
            "image/png\t",
            "/png",
            "image/",
            "image",
            "",
            ";",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&format!("a/{}", "b".repeat(127))), None);
        assert!(parse(&format!("a/{}", "b".repeat(126))).is_some());
        let without_space = format!("a/{};c=d", "b".repeat(122));
        assert_eq!(parse(&without_space), None, "its form has 129 bytes");
    }
}
