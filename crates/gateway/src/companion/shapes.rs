//! Companion's requests and answers, as they came and go on the wire in any of its versions: read generously, written plainly.
//!
//! Border: pure; texts and JSON to the gateway's own values and back.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::problem::Refusal;
use crate::rules;
use upload_types::names::{ETag, PartNumber};
use upload_types::wire::{BeginRequest, Code, Limits, StoredPart};

/// What Uppy takes an unknown type for.
const ANY_TYPE: &str = "application/octet-stream";

/// The query of a request, as a form has it.
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn read(query: Option<&str>) -> Self {
        Self(
            form_urlencoded::parse(query.unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The value of a name that stands there once, and is not empty.
    pub fn one(&self, wanted: &str) -> Option<&str> {
        let mut values = self
            .0
            .iter()
            .filter(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str());
        values
            .next()
            .filter(|value| !value.is_empty() && values.next().is_none())
    }

    /// `metadata[NAME]=VALUE`
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

/// A pair of metadata in JSON: what is no text is written as JSON has it, and what is null is not there.
pub fn pair((name, value): (&String, &Value)) -> Option<(String, String)> {
    let value = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some((name.clone(), value))
}

/// What a browser offers, as an upload begins with it: a name of at most 200 characters, its last; metadata as headers can carry it.
///
/// # Errors
/// `invalid_request` without a name.
pub fn offer(
    name: Option<&str>,
    kind: Option<&str>,
    metadata: Vec<(String, String)>,
) -> Result<BeginRequest, Refusal> {
    let name = name.unwrap_or_default();
    if name.is_empty() {
        return Err(Refusal::saying(
            Code::InvalidRequest,
            "s3: content filename must be a string",
        ));
    }
    let all = name.chars().count();
    let printable = |c: char| if c.is_control() { '_' } else { c };
    Ok(BeginRequest {
        name: name
            .chars()
            .skip(all.saturating_sub(rules::NAME_MAX))
            .map(printable)
            .collect(),
        size: None,
        content_type: kind
            .filter(|kind| !kind.is_empty())
            .unwrap_or(ANY_TYPE)
            .to_owned(),
        part_size: None,
        metadata: metadata
            .into_iter()
            .filter_map(|(name, value)| Some((header_name(&name)?, header_value(&value)?)))
            .collect(),
        holder: None,
        parts: None,
    })
}

/// A name of metadata as a header can have it: `relativePath` is `relativepath`, `my_tag` is `my-tag`.
fn header_name(name: &str) -> Option<String> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = name.chars().take(64).map(plain).collect();
    (!name.is_empty()).then_some(name)
}

/// A value as a header carries it unharmed; what is not made of ASCII words is in base64 after RFC 2047. An empty one is not there.
fn header_value(value: &str) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    let words = value
        .split(' ')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic()));
    Some(if words {
        value.to_owned()
    } else {
        format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode(value))
    })
}

/// # Errors
/// `invalid_request` for what is no number of a part.
pub fn number(text: &str) -> Result<PartNumber, Refusal> {
    let number = text
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse::<u32>().ok())
        .flatten();
    let wrong = || {
        Refusal::saying(
            Code::InvalidRequest,
            "s3: the part number must be a number between 1 and 10000.",
        )
    };
    number
        .filter(|number| *number <= Limits::S3.max_parts)
        .and_then(|number| PartNumber::try_from(number).ok())
        .ok_or_else(wrong)
}

/// The parts of a complete, by number: `{"parts": [{"PartNumber": 1, "ETag": "…"}]}`, in any order, with or without quotes, and with
/// whatever else there is.
///
/// # Errors
/// `invalid_request` for anything else, and for a number with two ETags.
pub fn wanted(body: &Value) -> Result<BTreeMap<PartNumber, ETag>, Refusal> {
    let wrong = || {
        Refusal::saying(
            Code::InvalidRequest,
            "s3: `parts` must be an array of {ETag, PartNumber} objects.",
        )
    };
    let mut wanted = BTreeMap::new();
    for part in body
        .get("parts")
        .and_then(Value::as_array)
        .ok_or_else(wrong)?
    {
        let which = part.get("PartNumber").ok_or_else(wrong)?;
        let which = number(which.as_str().unwrap_or(&which.to_string()))?;
        let etag = part
            .get("ETag")
            .or_else(|| part.get("etag"))
            .and_then(Value::as_str)
            .ok_or_else(wrong)?;
        let etag = ETag::from_header(etag).map_err(|_| wrong())?;
        if wanted.get(&which).is_some_and(|other| *other != etag) {
            return Err(wrong());
        }
        wanted.insert(which, etag);
    }
    Ok(wanted)
}

/// A part as S3's list has it.
pub fn part(part: &StoredPart) -> Value {
    json!({"PartNumber": part.number, "ETag": part.etag.quoted().as_str(), "Size": part.size})
}

/// A refusal, in the members that Companion's clients read, and a code that stays.
pub fn refusal(refusal: &Refusal, id: Option<&str>) -> Value {
    let code = match refusal.code {
        Code::NotFound | Code::Gone => "NoSuchUpload",
        code => code.name(),
    };
    let title = refusal.code.title();
    json!({
        "error": title, "message": refusal.detail.as_deref().unwrap_or(title), "code": code, "requestId": id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_whatever_it_is_and_harms_nobody() {
        let name = |text: &str| {
            offer(Some(text), None, Vec::new())
                .map(|offer| offer.name)
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
        assert!(offer(None, None, Vec::new()).is_err());
    }

    #[test]
    fn metadata_is_what_headers_can_carry() {
        let body = json!({"name": "Über.txt", "relativePath": null, "my_tag": "two words", "n": 7, "e": "", "": "x", "s": " a"});
        let pairs = body.as_object().unwrap().iter().filter_map(pair).collect();
        let offer = offer(Some("a"), Some(""), pairs).unwrap();
        assert_eq!(offer.content_type, ANY_TYPE);
        let expected = [
            ("my-tag", "two words"),
            ("n", "7"),
            ("name", "=?UTF-8?B?w5xiZXIudHh0?="),
            ("s", "=?UTF-8?B?IGE=?="),
        ];
        assert_eq!(
            offer.metadata,
            expected
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
        assert!(rules::begin(&offer, &["*/*".to_owned()]).is_ok());
        let query = Query::read(Some(
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
            (query.one("key"), query.one("type"), query.one("c")),
            (Some("k/a b"), None, None)
        );
    }

    #[test]
    fn parts_are_read_as_every_uppy_writes_them() {
        let read = |parts: Value| {
            let wanted = wanted(&json!({"parts": parts, "more": 1}));
            wanted.map(|all| {
                all.into_iter()
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
        assert_eq!(read(parts).unwrap(), expected);
        for wrong in [
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
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_of_parts_are_numbers() {
        assert_eq!(number("1").unwrap().get(), 1);
        assert_eq!(number("10000").unwrap().get(), 10_000);
        for wrong in [
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
            assert!(number(wrong).is_err(), "{wrong}");
        }
    }
}
