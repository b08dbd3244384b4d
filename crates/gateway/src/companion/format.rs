//! The formats of Companion's requests and responses, for all versions of Uppy. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::problem::Refusal;
use crate::validation;
use upload_types::wire::{BeginRequest, Code, Limits, StoredPart};
use upload_types::{DEFAULT_CONTENT_TYPE, ETag, PartNumber, decode_words};

const MAX_METADATA_KEY_CHARS: usize = 64;

/// The pairs of a form-encoded query.
pub struct QueryPairs(Vec<(String, String)>);

impl QueryPairs {
    pub fn parse(query: Option<&str>) -> Self {
        Self(
            form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The value of a name that occurs once and has a value.
    pub fn single(&self, wanted: &str) -> Option<&str> {
        let mut values = self
            .0
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str());
        values
            .next()
            .filter(|value| !value.is_empty() && values.next().is_none())
    }

    /// The pairs `metadata[NAME]=VALUE`.
    pub fn metadata(&self) -> Vec<(String, String)> {
        let name = |name: &str| {
            name.strip_prefix("metadata[")?
                .strip_suffix(']')
                .map(str::to_owned)
        };
        self.0
            .iter()
            .filter_map(|(key, value)| Some((name(key)?, value.clone())))
            .collect()
    }
}

/// A metadata pair of a JSON object. A value that is not a string is converted to JSON. Returns
/// `None` for null.
pub fn metadata_pair((name, value): (&String, &Value)) -> Option<(String, String)> {
    let value = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some((name.clone(), value))
}

/// The request to begin an upload from a browser: with the last 200 characters of the name, and
/// with metadata that fits into headers.
///
/// # Errors
/// `invalid_request` without a name.
pub fn begin_request(
    name: Option<&str>,
    content_type: Option<&str>,
    metadata: Vec<(String, String)>,
) -> Result<BeginRequest, Refusal> {
    let name = name.unwrap_or_default();
    if name.is_empty() {
        return Err(Refusal::with_detail(
            Code::InvalidRequest,
            "s3: content filename must be a string",
        ));
    }
    let length = name.chars().count();
    let printable = |c: char| if c.is_control() { '_' } else { c };
    Ok(BeginRequest {
        name: name
            .chars()
            .skip(length.saturating_sub(validation::MAX_NAME_CHARS))
            .map(printable)
            .collect(),
        size: None,
        content_type: content_type
            .filter(|content_type| !content_type.is_empty())
            .unwrap_or(DEFAULT_CONTENT_TYPE)
            .to_owned(),
        expected_size: None,
        part_size: None,
        metadata: metadata
            .into_iter()
            .filter_map(|(name, value)| Some((header_name(&name)?, header_value(&value)?)))
            .collect(),
        attributes: Box::default(),
        modified: None,
        key: None,
        if_exists: None,
        holder: None,
        parts: None,
        copies: Vec::new(),
    })
}

/// Converts a metadata name to a header name: `relativePath` to `relativepath`, `my_tag` to
/// `my-tag`.
fn header_name(name: &str) -> Option<String> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = name
        .chars()
        .take(MAX_METADATA_KEY_CHARS)
        .map(plain)
        .collect();
    (!name.is_empty()).then_some(name)
}

/// Decodes a metadata value that a client has encoded for a header, and replaces control
/// characters. Returns `None` for an empty text.
fn header_value(value: &str) -> Option<String> {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    (!value.is_empty()).then(|| decode_words(value).chars().map(printable).collect())
}

/// Parses a part number from 1 to 10000.
///
/// # Errors
/// `invalid_request`.
pub fn parse_part_number(text: &str) -> Result<PartNumber, Refusal> {
    let number = text
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse::<u32>().ok())
        .flatten();
    let invalid = || {
        Refusal::with_detail(
            Code::InvalidRequest,
            "s3: the part number must be a number between 1 and 10000.",
        )
    };
    number
        .filter(|number| *number <= Limits::S3.max_parts)
        .and_then(|number| PartNumber::try_from(number).ok())
        .ok_or_else(invalid)
}

/// The parts of a request to complete: `{"parts": [{"PartNumber": 1, "ETag": "…"}]}`. Other fields
/// are ignored.
#[derive(Debug, Deserialize)]
pub struct ListedParts {
    parts: Vec<ListedPart>,
}

#[derive(Debug, Deserialize)]
struct ListedPart {
    #[serde(rename = "PartNumber")]
    number: PartNumberText,
    #[serde(rename = "ETag")]
    etag: Option<String>,
    #[serde(rename = "etag")]
    lower_case_etag: Option<String>,
}

/// A JSON number or string. Unlike an untagged enum, it keeps nothing of any other JSON in memory.
#[derive(Debug)]
struct PartNumberText(String);

impl<'de> Deserialize<'de> for PartNumberText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = PartNumberText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a part number")
            }

            fn visit_u64<E>(self, number: u64) -> Result<PartNumberText, E> {
                Ok(PartNumberText(number.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<PartNumberText, E> {
                Ok(PartNumberText(text.to_owned()))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// The ETags of the parts of a request to complete. The parts are in any order, and an ETag may
/// lack its quotes.
///
/// # Errors
/// `invalid_request` for an invalid part, and for a part number with two ETags.
pub fn part_etags(body: ListedParts) -> Result<BTreeMap<PartNumber, ETag>, Refusal> {
    let invalid = || {
        Refusal::with_detail(
            Code::InvalidRequest,
            "s3: `parts` must be an array of {ETag, PartNumber} objects.",
        )
    };
    let mut etags = BTreeMap::new();
    for part in body.parts {
        let number = parse_part_number(&part.number.0)?;
        let etag = part.etag.or(part.lower_case_etag).ok_or_else(invalid)?;
        let etag = ETag::from_header(&etag).map_err(|_| invalid())?;
        if etags.get(&number).is_some_and(|other| *other != etag) {
            return Err(invalid());
        }
        etags.insert(number, etag);
    }
    Ok(etags)
}

/// A part, as S3 lists it.
pub fn part(part: &StoredPart) -> Value {
    json!({"PartNumber": part.number, "ETag": part.etag.quoted().as_str(), "Size": part.size})
}

/// A refusal, with the fields that clients of Companion read and a stable code.
pub fn error(refusal: &Refusal, request_id: Option<&str>) -> Value {
    let code = match refusal.code {
        Code::NotFound | Code::Gone => "NoSuchUpload",
        code => code.name(),
    };
    let title = refusal.code.title();
    json!({
        "error": title, "message": refusal.detail.as_deref().unwrap_or(title), "code": code, "requestId": request_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_shortened_and_control_characters_are_replaced() {
        let name = |text: &str| {
            begin_request(Some(text), None, Vec::new())
                .map(|request| request.name)
                .ok()
        };
        assert_eq!(name("a.mp4").as_deref(), Some("a.mp4"));
        assert_eq!(
            name("../../etc/passwd").as_deref(),
            Some("../../etc/passwd")
        );
        assert_eq!(name("a\r\nb\0.txt").as_deref(), Some("a__b_.txt"));
        let long = format!("{}é.mov", "x".repeat(600));
        assert_eq!(name(&long).unwrap(), format!("{}é.mov", "x".repeat(195)));
        assert_eq!(name(""), None);
        assert!(begin_request(None, None, Vec::new()).is_err());
    }

    #[test]
    fn metadata_is_converted_to_headers() {
        let body = json!({"name": "Über.txt", "relativePath": null, "my_tag": "two words", "n": 7, "e": "", "": "x", "s": " a", "c": "a\nb", "w": "=?UTF-8?B?w6k=?="});
        let pairs = body
            .as_object()
            .unwrap()
            .iter()
            .filter_map(metadata_pair)
            .collect();
        let request = begin_request(Some("a"), Some(""), pairs).unwrap();
        assert_eq!(request.content_type, DEFAULT_CONTENT_TYPE);
        let expected = [
            ("c", "a b"),
            ("my-tag", "two words"),
            ("n", "7"),
            ("name", "Über.txt"),
            ("s", " a"),
            ("w", "é"),
        ];
        assert_eq!(
            request.metadata,
            expected
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
        assert!(validation::check_begin(&request, &["*/*".to_owned()]).is_ok());
        let query = QueryPairs::parse(Some(
            "metadata%5Ba%5D=1&metadata[b]=x+y&metadata=z&key=k%2Fa+b&type=&c=1&c=2",
        ));
        assert_eq!(
            query.metadata(),
            [
                ("a".to_owned(), "1".to_owned()),
                ("b".to_owned(), "x y".to_owned())
            ]
        );
        assert_eq!(
            (query.single("key"), query.single("type"), query.single("c")),
            (Some("k/a b"), None, None)
        );
    }

    #[test]
    fn parts_of_every_uppy_version_are_parsed() {
        let parse = |parts: Value| {
            let body = json!({"parts": parts, "more": 1});
            let parts = serde_json::from_value::<ListedParts>(body).ok()?;
            part_etags(parts).ok().map(|etags| {
                etags
                    .into_iter()
                    .map(|(n, etag)| (n.get(), etag.to_string()))
                    .collect::<Vec<_>>()
            })
        };
        let parts = json!([
            {"PartNumber": 2, "ETag": "\"b\"", "etag": "\"b\"", "content-length": "0"},
            {"PartNumber": 1, "ETag": "a"},
            {"PartNumber": "3", "etag": "W/\"c\""},
            {"PartNumber": 2, "ETag": "b"},
        ]);
        let expected = [
            (1, "a".to_owned()),
            (2, "b".to_owned()),
            (3, "c".to_owned()),
        ];
        assert_eq!(parse(parts).unwrap(), expected);
        for invalid in [
            json!({}),
            json!([1]),
            json!([{"PartNumber": 1}]),
            json!([{"ETag": "a"}]),
            json!([{"PartNumber": 0, "ETag": "a"}]),
            json!([{"PartNumber": 1.5, "ETag": "a"}]),
            json!([{"PartNumber": 1, "ETag": 5}]),
            json!([{"PartNumber": 1, "ETag": "a b"}]),
            json!([{"PartNumber": 10001, "ETag": "a"}]),
            json!([{"PartNumber": 1, "ETag": "a"}, {"PartNumber": 1, "ETag": "b"}]),
        ] {
            assert!(parse(invalid.clone()).is_none(), "{invalid}");
        }
    }

    #[test]
    fn part_numbers_are_1_to_10000() {
        assert_eq!(parse_part_number("1").unwrap().get(), 1);
        assert_eq!(parse_part_number("10000").unwrap().get(), 10_000);
        for invalid in [
            "",
            "0",
            "-1",
            "+1",
            "1.5",
            "1abc",
            "abc",
            " 2",
            "10001",
            "99999999999",
            "status",
        ] {
            assert!(parse_part_number(invalid).is_err(), "{invalid}");
        }
    }
}
