//! Texts in headers of ASCII: the encoded words of RFC 2047, as S3 and its tools use them for user
//! metadata. Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// So many bytes make an encoded word of at most 75 characters, as RFC 2047 requires.
const ENCODED_WORD_BYTES: usize = 45;
/// The beginning of each encoded word.
const START: &str = "=?";

/// A text as the value of a header. Words of visible ASCII that one space each separates stay as
/// they are, and so does an empty text; other texts become encoded words in base64, as S3 itself
/// returns such texts.
#[must_use]
pub fn encode_words(text: &str) -> String {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic());
    // A text with the start of an encoded word would be decoded to another text.
    if text.is_empty() || text.split(' ').all(is_word) && !text.contains(START) {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= ENCODED_WORD_BYTES => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode(word)))
        .collect();
    words.join(" ")
}

/// The text of a header's value: decodes encoded words in UTF-8, US-ASCII or ISO-8859-1, in base64
/// or quoted-printable. Spaces between two encoded words are not part of the text. Words that
/// cannot be decoded stay as they are.
#[must_use]
pub fn decode_words(value: &str) -> String {
    let (mut text, mut done) = (String::with_capacity(value.len()), 0);
    let mut next = find_word(value, 0);
    while let Some(first) = next {
        text.push_str(&value[done..first.start]);
        // The bytes of adjacent words: some programs cut a character in two.
        let (start, mut end, mut bytes) = (first.start, first.end, first.bytes);
        next = find_word(value, end);
        while let Some(word) = next.take_if(|word| is_blank(&value[end..word.start])) {
            bytes.extend(word.bytes);
            end = word.end;
            next = find_word(value, end);
        }
        match String::from_utf8(bytes) {
            Ok(decoded) => text.push_str(&decoded),
            Err(_) => text.push_str(&value[start..end]),
        }
        done = end;
    }
    text.push_str(&value[done..]);
    text
}

/// An encoded word at a range of bytes of a value.
struct Word {
    start: usize,
    end: usize,
    /// The text in UTF-8.
    bytes: Vec<u8>,
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| b == b' ' || b == b'\t')
}

/// The first encoded word at or after the byte `from` that can be decoded.
fn find_word(value: &str, mut from: usize) -> Option<Word> {
    loop {
        let start = from + value.get(from..)?.find(START)?;
        let inner = start + START.len();
        if let Some((bytes, length)) = value.get(inner..).and_then(decode_word) {
            let end = inner + length;
            return Some(Word { start, end, bytes });
        }
        from = inner;
    }
}

/// Decodes `CHARSET?ENCODING?TEXT?=` at the beginning of `rest`. Returns its text in UTF-8, and its
/// length in bytes.
fn decode_word(rest: &str) -> Option<(Vec<u8>, usize)> {
    let (charset, after) = rest.split_once('?')?;
    let (encoding, after) = after.split_once('?')?;
    // A valid text has no `?`. A search for `?=` would take quadratic time if many words have no
    // end.
    let (encoded, after) = after.split_once('?')?;
    let after = after.strip_prefix('=')?;
    let bytes = match encoding {
        "B" | "b" => BASE64_STANDARD.decode(encoded).ok()?,
        "Q" | "q" => decode_quoted(encoded)?,
        _ => return None,
    };
    // RFC 2231 adds a language: `CHARSET*LANGUAGE`.
    let charset = charset.split('*').next()?.to_ascii_lowercase();
    let bytes = match charset.as_str() {
        "utf-8" | "us-ascii" => bytes,
        "iso-8859-1" => bytes.into_iter().map(char::from).collect::<String>().into(),
        _ => return None,
    };
    Some((bytes, rest.len() - after.len()))
}

/// Decodes the encoding Q. Returns `None` for a text that RFC 2047 does not permit.
fn decode_quoted(encoded: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'_', _) => {
                bytes.push(b' ');
                after
            }
            (b'=', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(*high)? * 16 + digit(*low)?;
                bytes.push(u8::try_from(value).ok()?);
                after
            }
            (b'=' | b'?', _) => return None,
            _ if byte.is_ascii_graphic() => {
                bytes.push(byte);
                after
            }
            _ => return None,
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_other_than_ascii_words_becomes_encoded_words() {
        for plain in ["a b", "", "a", "a=b?c", "\"q\""] {
            assert_eq!(encode_words(plain), plain);
        }
        for (text, encoded) in [
            ("=?UTF-8?B?Li4v?=", "=?UTF-8?B?PT9VVEYtOD9CP0xpNHY/PQ==?="),
            ("\u{e9}", "=?UTF-8?B?w6k=?="),
            ("a  b", "=?UTF-8?B?YSAgYg==?="),
            (" ", "=?UTF-8?B?IA==?="),
            ("a\tb", "=?UTF-8?B?YQli?="),
        ] {
            assert_eq!(encode_words(text), encoded);
        }
        let text = encode_words(&"\u{5199}".repeat(31));
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!(words.len(), 3);
        assert!(words.iter().all(|word| word.len() <= 75));
    }

    #[test]
    fn words_of_other_programs_are_decoded() {
        for (value, text) in [
            ("=?utf-8?q?caf=C3=A9_au_lait?=", "caf\u{e9} au lait"),
            ("=?ISO-8859-1?Q?caf=E9?=", "caf\u{e9}"),
            ("=?US-ASCII?B?YQ==?=", "a"),
            ("=?UTF-8*fr?B?w6k=?=", "\u{e9}"),
            ("a =?UTF-8?B?w6k=?= b", "a \u{e9} b"),
            ("=?UTF-8?B?w6k=?= =?UTF-8?Q?=C3=A9?=", "\u{e9}\u{e9}"),
            ("=?UTF-8?B?w6k=?=\t =?UTF-8?B?w6k=?=", "\u{e9}\u{e9}"),
            // A character cut in two.
            ("=?UTF-8?B?ww==?= =?UTF-8?B?qQ==?=", "\u{e9}"),
            ("=?UTF-8?B??= =?UTF-8?B?YQ==?=", "a"),
        ] {
            assert_eq!(decode_words(value), text, "{value}");
        }
    }

    #[test]
    fn values_that_cannot_be_decoded_stay_as_they_are() {
        for value in [
            "",
            "=?",
            "=?UTF-8?B?w6k=",
            "=?UTF-8?B?*?=",
            "=?UTF-8?X?YQ==?=",
            "=?KOI8-R?B?YQ==?=",
            "=?UTF-8?B?ww==?=",
            "=?UTF-8?Q?=C?=",
            "=?UTF-8?Q?a b?=",
            "\u{e9}=?\u{e9}?B?=",
        ] {
            assert_eq!(decode_words(value), value);
        }
        assert_eq!(decode_words("=?x=?UTF-8?B?w6k=?="), "=?x\u{e9}");
    }

    proptest! {
        #[test]
        fn every_text_is_a_header_and_comes_back(text in any::<String>()) {
            let encoded = encode_words(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
            prop_assert!(!encoded.contains("  ") && encoded.trim() == encoded);
            prop_assert_eq!(decode_words(&encoded), text);
        }

        #[test]
        fn text_like_encoded_words_comes_back(text in "(=\\?|UTF-8|\\?B\\?|\\?Q\\?|w6k=|=C3=A9|\\?=| |\u{e9}){0,12}") {
            prop_assert_eq!(decode_words(&encode_words(&text)), text);
        }

        #[test]
        fn any_value_can_be_decoded(value in "(=\\?|UTF-8|\\?B\\?|\\?Q\\?|w6k=|=C3=A9|\\?=| |\u{e9}){0,12}") {
            let text = decode_words(&value);
            prop_assert!(text.len() <= value.len());
        }
    }
}
