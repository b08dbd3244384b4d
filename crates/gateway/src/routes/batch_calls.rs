//! The calls of a batch, each parsed on its own, so that an invalid call does not fail the others.
//!
//! Nothing but valid calls is kept while a batch is parsed: hostile JSON takes no more memory than
//! its text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json_body::invalid_json;
use crate::problem::Refusal;
use crate::service::BatchCall;
use upload_types::UploadId;
use upload_types::wire::{BatchBegin, BatchComplete, Code, MAX_BATCH_UPLOADS};

/// The largest begin, alone or in a batch.
pub const MAX_BEGIN_BYTES: usize = 1 << 20;

/// The calls of one kind, at most `MAX`.
pub struct BatchCalls<T, const MAX: usize = MAX_BATCH_UPLOADS>(pub Vec<BatchCall<T>>);

impl<T, const MAX: usize> Default for BatchCalls<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// A call of a batch.
pub trait ParseCall: Sized {
    fn parse_call(json: &str) -> BatchCall<Self>;
}

impl ParseCall for BatchBegin {
    fn parse_call(json: &str) -> BatchCall<Self> {
        #[derive(Deserialize)]
        struct Key {
            idempotency_key: String,
        }
        if json.len() > MAX_BEGIN_BYTES {
            let detail = "a begin has at most 1 MiB";
            return Err(Refusal::with_detail(Code::TooLarge, detail));
        }
        // A flattened struct would keep every unknown field in memory.
        let Key { idempotency_key } = parse(json)?;
        Ok(Self {
            idempotency_key,
            request: parse(json)?,
        })
    }
}

impl ParseCall for BatchComplete {
    fn parse_call(json: &str) -> BatchCall<Self> {
        #[derive(Deserialize)]
        struct Id {
            id: UploadId,
        }
        let Id { id } = parse(json)?;
        Ok(Self {
            id,
            request: parse(json)?,
        })
    }
}

impl ParseCall for UploadId {
    /// A malformed id is refused like an unknown one.
    fn parse_call(json: &str) -> BatchCall<Self> {
        serde_json::from_str(json).map_err(|_| Refusal::new(Code::NotFound))
    }
}

fn parse<'de, T: Deserialize<'de>>(json: &'de str) -> BatchCall<T> {
    serde_json::from_str(json).map_err(|error| invalid_json(&error))
}

impl<'de, T: ParseCall, const MAX: usize> Deserialize<'de> for BatchCalls<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(CallsVisitor(PhantomData))
    }
}

struct CallsVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: ParseCall, const MAX: usize> Visitor<'de> for CallsVisitor<T, MAX> {
    type Value = BatchCalls<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of calls")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut calls = Vec::new();
        while let Some(json) = list.next_element::<&RawValue>()? {
            if calls.len() == MAX {
                return Err(A::Error::custom(too_many_calls(MAX)));
            }
            calls.push(T::parse_call(json.get()));
        }
        Ok(BatchCalls(calls))
    }
}

pub fn too_many_calls(max: usize) -> String {
    format!("a batch has at most {max} uploads")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_ids(json: &str) -> Option<Vec<bool>> {
        let calls: BatchCalls<UploadId> = serde_json::from_str(json).ok()?;
        Some(calls.0.iter().map(Result::is_ok).collect())
    }

    #[test]
    fn each_call_is_parsed_on_its_own() {
        let id = "0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00";
        let json = format!(r#"["{id}", 7, {{"a":[]}}, "{id}"]"#);
        assert_eq!(parse_ids(&json), Some(vec![true, false, false, true]));
        assert_eq!(parse_ids("{}"), None);
        assert_eq!(parse_ids("[1,"), None);
    }

    #[test]
    fn parsing_stops_at_the_first_call_too_many() {
        let list = |count: usize| format!("[{}", vec!["0"; count].join(","));
        assert!(parse_ids(&(list(MAX_BATCH_UPLOADS) + "]")).is_some());
        // The rest of the text is not JSON, and is not reached.
        let text = list(MAX_BATCH_UPLOADS + 1) + " no JSON";
        let error = serde_json::from_str::<BatchCalls<UploadId>>(&text);
        let error = error.err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains(&too_many_calls(MAX_BATCH_UPLOADS))));
    }

    #[test]
    fn call_is_parsed_like_its_flattened_form() {
        let begin = r#"{"name":"a","size":1,"content_type":"a/b","idempotency_key":"k","x":[0]}"#;
        let parsed = BatchBegin::parse_call(begin).unwrap();
        assert_eq!(parsed, serde_json::from_str(begin).unwrap());
        let complete = r#"{"id":"0b8f7a52-4c62-4a5b-9d3e-0d7f3e2a1c00","epoch":1,"parts":[],"checksum":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=-1"}"#;
        let parsed = BatchComplete::parse_call(complete).unwrap();
        assert_eq!(parsed, serde_json::from_str(complete).unwrap());
        for incomplete in [r#"{"name":"a"}"#, r#"{"idempotency_key":"k"}"#, "[]"] {
            assert!(BatchBegin::parse_call(incomplete).is_err(), "{incomplete}");
        }
    }
}
