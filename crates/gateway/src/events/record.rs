//! What a store tells of its objects, as the different stores word it.
//!
//! Border: pure; reads the bytes of one message and names objects. Nothing here is believed: `service/confirm` asks the store.
//!
//! Understood are Amazon S3's event records ("Event message structure" in its user guide) as SQS delivers them, alone or inside a
//! notification of SNS, events of `EventBridge`, and what Ceph RGW and `MinIO` push over HTTP, which are S3's records again.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// An object that was created, as the message has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub bucket: String,
    /// Raw, percent-encoded or form-encoded: stores differ.
    key: String,
}

/// The bytes are no message of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl Told {
    /// The ways the key can be meant; the first that is one of ours is right, since ours have nothing to encode.
    pub fn keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
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

/// Which objects a message says were created; other events, and a store's greeting to a new subscriber, say none.
///
/// # Errors
/// For what is no message of a store.
pub fn created(message: &[u8]) -> Result<Vec<Told>, Unreadable> {
    let message: Message = serde_json::from_slice(message).map_err(|_| Unreadable)?;
    message.created(true)
}

/// Every way of wording it; what is not there is none of it.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    /// A notification of SNS.
    #[serde(rename = "Message")]
    wrapped: Option<String>,
    /// The greeting: `s3:TestEvent`.
    #[serde(rename = "Event")]
    greeting: Option<String>,
    /// `EventBridge`.
    #[serde(rename = "detail-type")]
    happened: Option<String>,
    detail: Option<Place>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventName")]
    happened: String,
    s3: Place,
}

#[derive(Deserialize)]
struct Place {
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
    fn created(self, may_be_wrapped: bool) -> Result<Vec<Told>, Unreadable> {
        if let Some(records) = self.records {
            // RustFS and MinIO put `s3:` before the name.
            let is_created = |name: &str| {
                name.strip_prefix("s3:")
                    .unwrap_or(name)
                    .starts_with("ObjectCreated:")
            };
            let created = records
                .into_iter()
                .filter(|record| is_created(&record.happened));
            return Ok(created.map(|record| Told::from(record.s3)).collect());
        }
        match (self.wrapped, self.happened, self.detail, self.greeting) {
            (Some(text), ..) if may_be_wrapped => serde_json::from_str::<Message>(&text)
                .map_err(|_| Unreadable)?
                .created(false),
            (None, Some(happened), Some(place), _) if happened == "Object Created" => {
                Ok(vec![place.into()])
            }
            (None, Some(_), ..) | (None, None, None, Some(_)) => Ok(Vec::new()),
            _ => Err(Unreadable),
        }
    }
}

impl From<Place> for Told {
    fn from(place: Place) -> Self {
        Self {
            bucket: place.bucket.name,
            key: place.object.key,
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

    fn read(message: &Value) -> Result<Vec<Told>, Unreadable> {
        created(message.to_string().as_bytes())
    }

    fn told(key: &str) -> Vec<Told> {
        vec![Told {
            bucket: "media".into(),
            key: key.into(),
        }]
    }

    #[test]
    fn a_created_object_is_named_however_it_is_told() {
        for event in [
            "ObjectCreated:CompleteMultipartUpload",
            "ObjectCreated:Put",
            "s3:ObjectCreated:Put",
        ] {
            let records = json!({"Records": [record(event, KEY)]});
            assert_eq!(read(&records), Ok(told(KEY)), "{event}");
            let wrapped =
                json!({"Type": "Notification", "TopicArn": "arn", "Message": records.to_string()});
            assert_eq!(read(&wrapped), Ok(told(KEY)), "{event}");
            let pushed = json!({"EventName": event, "Key": format!("media/{KEY}"), "Records": [record(event, KEY)]});
            assert_eq!(read(&pushed), Ok(told(KEY)), "{event}");
        }
        let bridge = json!({"detail-type": "Object Created", "source": "aws.s3",
            "detail": {"bucket": {"name": "media"}, "object": {"key": KEY}, "reason": "PutObject"}});
        assert_eq!(read(&bridge), Ok(told(KEY)));
    }

    #[test]
    fn what_creates_nothing_names_nothing() {
        let removed = json!({"Records": [record("ObjectRemoved:Delete", KEY), record("ReducedRedundancyLostObject", KEY)]});
        assert_eq!(read(&removed), Ok(vec![]));
        let greeting = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "media"});
        assert_eq!(read(&greeting), Ok(vec![]));
        let deleted = json!({"detail-type": "Object Deleted", "detail": {"bucket": {"name": "b"}, "object": {"key": KEY}}});
        assert_eq!(read(&deleted), Ok(vec![]));
    }

    #[test]
    fn anything_else_is_no_message() {
        let records = json!({"Records": [record("ObjectCreated:Put", KEY)]}).to_string();
        let twice = json!({"Message": json!({"Message": records}).to_string()});
        for bad in [
            json!({}),
            json!([]),
            json!(1),
            json!({"Message": "hello"}),
            json!({"Records": [{}]}),
            twice,
        ] {
            assert_eq!(read(&bad), Err(Unreadable), "{bad}");
        }
        assert_eq!(created(b""), Err(Unreadable));
        assert_eq!(created(&[0xFF, b'{']), Err(Unreadable));
        assert_eq!(created("[".repeat(100_000).as_bytes()), Err(Unreadable));
    }

    proptest! {
        /// Ceph sends keys raw, LocalStack percent-encoded, S3 and MinIO as forms do.
        #[test]
        fn a_key_is_among_its_readings_however_it_was_encoded(key in "[a-zA-Z0-9 é+%&=?/._-]{1,40}") {
            let percent = utf8_percent_encode(&key, NON_ALPHANUMERIC).to_string();
            let form: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
            for sent in [key.clone(), percent, form] {
                let told = Told { bucket: String::new(), key: sent.clone() };
                prop_assert!(told.keys().any(|one| one == key), "{sent}");
            }
        }

        #[test]
        fn bytes_of_all_kinds_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = created(&bytes);
        }
    }
}
