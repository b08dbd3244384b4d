//! The names of the attributes of objects, and the forms of their values. Pure.
//!
//! Client and gateway use the same checks. A value is visible ASCII in which one space separates
//! words, because Signature Version 4 folds spaces.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

use crate::wire::Attributes;

/// S3's limits for the tags of an object.
pub const MAX_TAGS: usize = 10;
const MAX_TAG_KEY_CHARS: usize = 128;
const MAX_TAG_VALUE_CHARS: usize = 256;
/// The prefix of keys that AWS keeps for itself.
const RESERVED_TAG_PREFIX: &str = "aws:";
/// The maximum length of a value.
const MAX_VALUE_BYTES: usize = 1024;
/// The maximum length of all values in headers together. S3 accepts 8 KiB of headers, of which
/// metadata may use 2 KiB.
const MAX_TOTAL_BYTES: usize = 4096;
const MAX_STORAGE_CLASS_BYTES: usize = 64;
/// S3's access lists that have a name.
const CANNED_ACLS: [&str; 7] = [
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
];
/// The longest part of a language tag, in characters.
const MAX_SUBTAG_CHARS: usize = 8;

/// An attribute that an operator permits or forbids by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    Acl,
    CacheControl,
    ContentDisposition,
    ContentEncoding,
    ContentLanguage,
    Expires,
    Sse,
    StorageClass,
    Tag,
}

impl Attribute {
    pub const ALL: [Self; 9] = [
        Self::Acl,
        Self::CacheControl,
        Self::ContentDisposition,
        Self::ContentEncoding,
        Self::ContentLanguage,
        Self::Expires,
        Self::Sse,
        Self::StorageClass,
        Self::Tag,
    ];

    /// The name in flags, in messages and in receipts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::CacheControl => "cache-control",
            Self::ContentDisposition => "content-disposition",
            Self::ContentEncoding => "content-encoding",
            Self::ContentLanguage => "content-language",
            Self::Expires => "expires",
            Self::Sse => "sse",
            Self::StorageClass => "storage-class",
            Self::Tag => "tag",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|attribute| attribute.name() == name)
    }

    /// The form of the value, as the end of a sentence.
    fn form(self) -> &'static str {
        match self {
            Self::Acl => {
                "be private, public-read, public-read-write, authenticated-read, aws-exec-read, \
                 bucket-owner-read or bucket-owner-full-control"
            }
            Self::CacheControl => "be directives such as `max-age=3600, public`",
            Self::ContentDisposition => {
                "be a word with parameters, such as `attachment; filename=\"a.pdf\"`; in quotes, \
                 one space separates words"
            }
            Self::ContentEncoding => {
                "be words such as `gzip`, separated by commas, without aws-chunked"
            }
            Self::ContentLanguage => "be language tags such as `de-CH, en`",
            Self::Expires => {
                "be a time such as 2030-01-31T12:00:00Z, a date, or `Thu, 31 Jan 2030 12:00:00 GMT`"
            }
            Self::Sse => "be AES256, aws:kms or aws:kms:KEY-ID",
            Self::StorageClass => "be a word such as STANDARD_IA",
            Self::Tag => {
                "have a key of 1 to 128 characters that does not begin with `aws:`, and a value \
                 of at most 256: letters, digits, spaces and +-=._:/@"
            }
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The reason why attributes are not valid, as a sentence without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAttribute(String);

impl InvalidAttribute {
    fn form_of(attribute: Attribute) -> Self {
        Self(format!("{attribute} must {}", attribute.form()))
    }
}

impl fmt::Display for InvalidAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidAttribute {}

impl Attributes {
    /// The attributes that are given, in the order of [`Attribute::ALL`].
    pub fn given(&self) -> impl Iterator<Item = Attribute> {
        Attribute::ALL
            .into_iter()
            .filter(|attribute| match attribute {
                Attribute::Tag => !self.tags.is_empty(),
                other => self.value(*other).is_some(),
            })
    }

    /// The value of an attribute other than the tags.
    #[must_use]
    pub fn value(&self, attribute: Attribute) -> Option<&str> {
        let value = match attribute {
            Attribute::Acl => &self.acl,
            Attribute::CacheControl => &self.cache_control,
            Attribute::ContentDisposition => &self.content_disposition,
            Attribute::ContentEncoding => &self.content_encoding,
            Attribute::ContentLanguage => &self.content_language,
            Attribute::Expires => &self.expires,
            Attribute::Sse => &self.sse,
            Attribute::StorageClass => &self.storage_class,
            Attribute::Tag => return None,
        };
        value.as_deref()
    }

    /// The attributes with values in one form: without spaces at the ends, and with one space
    /// between words.
    ///
    /// # Errors
    /// The first value that does not have its form, or a limit that is exceeded.
    pub fn checked(self) -> Result<Self, InvalidAttribute> {
        let checked = |attribute, value: Option<String>| {
            value
                .map(|value| check_value(attribute, &value))
                .transpose()
        };
        let attributes = Self {
            acl: checked(Attribute::Acl, self.acl)?,
            cache_control: checked(Attribute::CacheControl, self.cache_control)?,
            content_disposition: checked(Attribute::ContentDisposition, self.content_disposition)?,
            content_encoding: checked(Attribute::ContentEncoding, self.content_encoding)?,
            content_language: checked(Attribute::ContentLanguage, self.content_language)?,
            expires: checked(Attribute::Expires, self.expires)?,
            sse: checked(Attribute::Sse, self.sse)?,
            storage_class: checked(Attribute::StorageClass, self.storage_class)?,
            tags: self.tags,
        };
        for (key, value) in &attributes.tags {
            check_tag(key, value)?;
        }
        if attributes.tags.len() > MAX_TAGS {
            let text = format!("an object has at most {MAX_TAGS} tags");
            return Err(InvalidAttribute(text));
        }
        if attributes.encoded_bytes() > MAX_TOTAL_BYTES {
            return Err(InvalidAttribute(format!(
                "attributes have at most {MAX_TOTAL_BYTES} bytes in total; a character of a tag \
                 that is not an ASCII letter or digit takes 3 bytes for each byte of UTF-8"
            )));
        }
        Ok(attributes)
    }

    /// The length of all values in headers.
    fn encoded_bytes(&self) -> usize {
        let encoded = |text: &str| {
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            text.bytes()
                .map(|byte| if is_plain(byte) { 1 } else { 3 })
                .sum::<usize>()
        };
        let values: usize = Attribute::ALL
            .into_iter()
            .filter_map(|attribute| self.value(attribute))
            .map(str::len)
            .sum();
        let tags: usize = self
            .tags
            .iter()
            .map(|(key, value)| encoded(key) + encoded(value) + 2)
            .sum();
        values + tags
    }
}

/// Checks a tag.
///
/// # Errors
/// A key or a value that S3 does not permit.
pub fn check_tag(key: &str, value: &str) -> Result<(), InvalidAttribute> {
    let is_permitted = |text: &str| {
        text.chars()
            .all(|c| c.is_alphanumeric() || " +-=._:/@".contains(c))
    };
    let fits = (1..=MAX_TAG_KEY_CHARS).contains(&key.chars().count())
        && value.chars().count() <= MAX_TAG_VALUE_CHARS
        && !key.to_ascii_lowercase().starts_with(RESERVED_TAG_PREFIX);
    if fits && is_permitted(key) && is_permitted(value) {
        Ok(())
    } else {
        Err(InvalidAttribute::form_of(Attribute::Tag))
    }
}

/// Returns a value in one form.
///
/// # Errors
/// A value that does not have the form of the attribute.
pub fn check_value(attribute: Attribute, value: &str) -> Result<String, InvalidAttribute> {
    let wrong = || InvalidAttribute::form_of(attribute);
    let value = fold_spaces(value).ok_or_else(wrong)?;
    if value.len() > MAX_VALUE_BYTES {
        let text = format!("{attribute} has at most {MAX_VALUE_BYTES} characters");
        return Err(InvalidAttribute(text));
    }
    let has_form = match attribute {
        Attribute::Acl => CANNED_ACLS.contains(&value.as_str()),
        Attribute::CacheControl => list(&value).is_some_and(|list| list.iter().all(is_directive)),
        Attribute::ContentDisposition => is_disposition(&value),
        Attribute::ContentEncoding => list(&value).is_some_and(|list| {
            let is_coding =
                |word: &&str| is_token(word) && !word.eq_ignore_ascii_case("aws-chunked");
            list.iter().all(is_coding)
        }),
        Attribute::ContentLanguage => {
            list(&value).is_some_and(|list| list.iter().all(|tag| is_language_tag(tag)))
        }
        Attribute::Expires => return http_date(&value).ok_or_else(wrong),
        Attribute::Sse => Encryption::parse(&value).is_some(),
        Attribute::StorageClass => is_storage_class(&value),
        // Its key and value are checked together.
        Attribute::Tag => false,
    };
    if has_form { Ok(value) } else { Err(wrong()) }
}

/// Server-side encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encryption<'a> {
    pub algorithm: &'a str,
    /// The id of a KMS key.
    pub key: Option<&'a str>,
}

impl<'a> Encryption<'a> {
    /// Parses `AES256`, `aws:kms` or `aws:kms:KEY-ID`.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        const KMS: &str = "aws:kms";
        let (algorithm, key) = match text.strip_prefix("aws:kms:") {
            Some(key) => (KMS, Some(key)),
            None if text == KMS => (KMS, None),
            None if text == "AES256" => (text, None),
            None => return None,
        };
        let is_key = |key: &str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
        key.is_none_or(is_key).then_some(Self { algorithm, key })
    }
}

/// Removes spaces and tabs at the ends, and replaces others by one space. Returns `None` for other
/// characters than these and visible ASCII, and for a quoted text that would be changed.
fn fold_spaces(value: &str) -> Option<String> {
    let mut folded = String::with_capacity(value.len());
    let (mut is_quoted, mut is_escaped, mut spaces) = (false, false, 0);
    for c in value.trim_matches([' ', '\t']).chars() {
        match c {
            ' ' | '\t' if is_quoted && (c == '\t' || spaces > 0) => return None,
            ' ' | '\t' => {
                spaces += 1;
                is_escaped = false;
                if spaces == 1 {
                    folded.push(' ');
                }
                continue;
            }
            c if !c.is_ascii_graphic() => return None,
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = is_quoted && c == '\\' && !is_escaped;
        spaces = 0;
        folded.push(c);
    }
    (!is_quoted).then_some(folded)
}

/// The members of a list that are separated by commas outside of quotes, without the spaces around
/// them. Returns `None` for a list with an empty member.
fn list(value: &str) -> Option<Vec<&str>> {
    let members = split_unquoted(value, ',');
    members
        .iter()
        .all(|member| !member.is_empty())
        .then_some(members)
}

/// Splits a text at a separator outside of quotes. Trims the pieces.
fn split_unquoted(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let pieces = text.split(|c| {
        match c {
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = is_quoted && c == '\\' && !is_escaped;
        c == separator && !is_quoted
    });
    pieces.map(str::trim).collect()
}

/// `name` or `name=value` (RFC 9111, section 5.2).
fn is_directive(text: &&str) -> bool {
    match text.split_once('=') {
        None => is_token(text),
        Some((name, value)) => is_token(name) && is_token_or_quoted(value),
    }
}

/// `type; name=value; …` (RFC 6266, section 4.1).
fn is_disposition(text: &str) -> bool {
    let pieces = split_unquoted(text, ';');
    let Some((kind, parameters)) = pieces.split_first() else {
        return false;
    };
    let mut names = Vec::new();
    let mut is_parameter = |text: &&str| {
        let Some((name, value)) = text.split_once('=') else {
            return false;
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let is_new = !names.contains(&name);
        let is_valid = is_token(&name) && is_token_or_quoted(value);
        names.push(name);
        is_new && is_valid
    };
    is_token(kind) && parameters.iter().all(&mut is_parameter)
}

fn is_token_or_quoted(text: &str) -> bool {
    is_token(text) || is_quoted(text)
}

fn is_quoted(text: &str) -> bool {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let Some(inner) = inner else {
        return false;
    };
    let mut is_escaped = false;
    let is_inner = inner.chars().all(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        !is_end
    });
    is_inner && !is_escaped
}

/// A token of RFC 9110, section 5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let is_token_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_token_char)
}

/// The shape of a language tag (RFC 5646): parts of 1 to 8 letters and digits, the first one of
/// letters.
fn is_language_tag(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=MAX_SUBTAG_CHARS).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let first = text.split('-').next().unwrap_or_default();
    text.split('-').all(is_part) && first.bytes().all(|b| b.is_ascii_alphabetic())
}

/// A date or time in the form of HTTP. Returns `None` for a text that is neither.
fn http_date(text: &str) -> Option<String> {
    let time = text.parse::<Timestamp>().ok();
    let time = time.or_else(|| rfc2822::parse(text).ok().map(|time| time.timestamp()));
    let midnight = || {
        let date = text.parse::<Date>().ok().filter(|_| is_date(text))?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let time = time.or_else(midnight)?;
    let printer = rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&time).ok()
}

/// Whether a text has only the characters of `2030-01-31`.
fn is_date(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

fn is_storage_class(text: &str) -> bool {
    (1..=MAX_STORAGE_CLASS_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
