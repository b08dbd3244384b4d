//! Parses the messages of stores about created objects.
//!
//! It supports the event records of Amazon S3 ("Event message structure" in its user guide) as SQS
//! delivers them, alone or inside a notification of SNS; events of `EventBridge`; and the messages
//! that Ceph RGW and `MinIO` push over HTTP, which contain the same records.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// An object that was created, according to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedObject {
    bucket: String,
    /// Raw, percent-encoded or form-encoded, depending on the store.
    key: String,
}

/// The bytes are not a message of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidMessage;

impl CreatedObject {
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The possible readings of the key. Those that the gateway makes need no encoding; one that a
    /// client has chosen may be any of the readings.
    pub fn key_candidates(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let percent = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .ok()
                .map(Cow::into_owned)
        };
        let form = self.key.contains('+').then(|| self.key.replace('+', " "));
        let decoded = [percent(&self.key), form.as_deref().and_then(percent)]
            .into_iter()
            .flatten()
            .map(Cow::Owned);
        std::iter::once(Cow::Borrowed(self.key.as_str())).chain(decoded)
    }
}

/// The objects that were created according to a message. The list is empty for messages about other
/// events, and for the test message to a new subscriber.
///
/// # Errors
/// [`InvalidMessage`].
pub fn created_objects(message: &[u8]) -> Result<Vec<CreatedObject>, InvalidMessage> {
    let message: Message = serde_json::from_slice(message).map_err(|_| InvalidMessage)?;
    message.created_objects(Wrapping::Allowed)
}

/// The fields of all supported formats.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    /// The message inside a notification of SNS.
    #[serde(rename = "Message")]
    wrapped: Option<String>,
    /// `s3:TestEvent`, sent to a new subscriber.
    #[serde(rename = "Event")]
    test_event: Option<String>,
    /// The event name of `EventBridge`.
    #[serde(rename = "detail-type")]
    event_name: Option<String>,
    detail: Option<ObjectRef>,
}

/// Whether a message may be a notification of SNS that wraps another message. It may wrap only one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    Allowed,
    Forbidden,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventName")]
    event_name: String,
    s3: ObjectRef,
}

#[derive(Deserialize)]
struct ObjectRef {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

impl Message {
    fn created_objects(self, wrapping: Wrapping) -> Result<Vec<CreatedObject>, InvalidMessage> {
        if let Some(records) = self.records {
            // RustFS and MinIO prefix the name with `s3:`.
            let is_created = |name: &str| {
                name.strip_prefix("s3:")
                    .unwrap_or(name)
                    .starts_with("ObjectCreated:")
            };
            let created = records
                .into_iter()
                .filter(|record| is_created(&record.event_name));
            return Ok(created.map(|record| record.s3.into()).collect());
        }
        match (self.wrapped, self.event_name, self.detail, self.test_event) {
            (Some(text), ..) if wrapping == Wrapping::Allowed => {
                let message: Message = serde_json::from_str(&text).map_err(|_| InvalidMessage)?;
                message.created_objects(Wrapping::Forbidden)
            }
            (None, Some(event_name), Some(object), _) if event_name == "Object Created" => {
                Ok(vec![object.into()])
            }
            (None, Some(_), ..) | (None, None, None, Some(_)) => Ok(Vec::new()),
            _ => Err(InvalidMessage),
        }
    }
}

impl From<ObjectRef> for CreatedObject {
    fn from(reference: ObjectRef) -> Self {
        Self {
            bucket: reference.bucket.name,
            key: reference.object.key,
        }
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "uploads/abc/0b4e.mov";

    fn record(event: &str, key: &str) -> Value {
        json!({"eventVersion": "2.1", "eventName": event, "s3": {
            "bucket": {"name": "media", "arn": "arn:aws:s3:::media"},
            "object": {"key": key, "size": 5, "eTag": "e", "sequencer": "00"},
        }})
    }

    fn parse(message: &Value) -> Result<Vec<CreatedObject>, InvalidMessage> {
        created_objects(message.to_string().as_bytes())
    }

    fn object(key: &str) -> Vec<CreatedObject> {
        vec![CreatedObject {
            bucket: "media".into(),
            key: key.into(),
        }]
    }

    #[test]
    fn created_object_is_found_in_every_format() {
        for event in [
            "ObjectCreated:CompleteMultipartUpload",
            "ObjectCreated:Put",
            "s3:ObjectCreated:Put",
        ] {
            let records = json!({"Records": [record(event, KEY)]});
            assert_eq!(parse(&records), Ok(object(KEY)), "{event}");
            let wrapped =
                json!({"Type": "Notification", "TopicArn": "arn", "Message": records.to_string()});
            assert_eq!(parse(&wrapped), Ok(object(KEY)), "{event}");
            let pushed = json!({"EventName": event, "Key": format!("media/{KEY}"), "Records": [record(event, KEY)]});
            assert_eq!(parse(&pushed), Ok(object(KEY)), "{event}");
        }
        let bridge = json!({"detail-type": "Object Created", "source": "aws.s3",
            "detail": {"bucket": {"name": "media"}, "object": {"key": KEY}, "reason": "PutObject"}});
        assert_eq!(parse(&bridge), Ok(object(KEY)));
    }

    #[test]
    fn other_events_name_no_object() {
        let removed = json!({"Records": [record("ObjectRemoved:Delete", KEY), record("ReducedRedundancyLostObject", KEY)]});
        assert_eq!(parse(&removed), Ok(vec![]));
        let test_event =
            json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "media"});
        assert_eq!(parse(&test_event), Ok(vec![]));
        let deleted = json!({"detail-type": "Object Deleted", "detail": {"bucket": {"name": "b"}, "object": {"key": KEY}}});
        assert_eq!(parse(&deleted), Ok(vec![]));
    }

    #[test]
    fn other_json_is_invalid() {
        let records = json!({"Records": [record("ObjectCreated:Put", KEY)]}).to_string();
        let wrapped_twice = json!({"Message": json!({"Message": records}).to_string()});
        for bad in [
            json!({}),
            json!([]),
            json!(1),
            json!({"Message": "hello"}),
            json!({"Records": [{}]}),
            wrapped_twice,
        ] {
            assert_eq!(parse(&bad), Err(InvalidMessage), "{bad}");
        }
        assert_eq!(created_objects(b""), Err(InvalidMessage));
        assert_eq!(created_objects(&[0xFF, b'{']), Err(InvalidMessage));
        assert_eq!(
            created_objects("[".repeat(100_000).as_bytes()),
            Err(InvalidMessage)
        );
    }

    proptest! {
        /// Ceph sends keys raw, LocalStack percent-encoded, S3 and MinIO form-encoded.
        #[test]
        fn key_is_among_its_candidates_in_every_encoding(key in "[a-zA-Z0-9 é+%&=?/._-]{1,40}") {
            let percent = utf8_percent_encode(&key, NON_ALPHANUMERIC).to_string();
            let form: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
            for sent in [key.clone(), percent, form] {
                let object = CreatedObject { bucket: String::new(), key: sent.clone() };
                prop_assert!(object.key_candidates().any(|candidate| candidate == key), "{sent}");
            }
        }

        #[test]
        fn parser_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = created_objects(&bytes);
        }
    }
}
