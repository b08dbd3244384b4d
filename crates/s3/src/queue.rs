//! A queue of Amazon SQS, in which a store leaves its events: received by long poll, deleted when dealt with.
//!
//! Border: three calls of SQS's JSON protocol ("Amazon SQS API Reference", `application/x-amz-json-1.0`), signed with the store's
//! credentials; what a message means is `gateway/events`.

use std::time::Duration;

use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::Fault;
use super::client::{Call, Client, clean};
use upload_net::{AddressClass, Response};
use upload_types::error::{Error, Kind, Result};

/// The most messages of one call, and the longest wait for one: what SQS allows.
const MESSAGES: u32 = 10;
const WAIT: Duration = Duration::from_secs(20);
/// For the answer behind the wait.
const PATIENCE: Duration = Duration::from_secs(35);

#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    /// Where its service is.
    endpoint: Url,
    url: String,
}

/// One delivery of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    receipt_handle: String,
    pub body: String,
    /// How often it has been delivered, this time included; 0 where the queue does not say.
    pub deliveries: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    /// Absent or null where none came.
    messages: Option<Vec<Delivery>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Delivery {
    message_id: String,
    receipt_handle: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: Option<String>,
    redrive_policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfQueue {
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Deleted {
    #[serde(default)]
    failed: Vec<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Failed {
    #[serde(default, rename = "__type")]
    what: String,
}

impl From<Delivery> for Message {
    fn from(delivery: Delivery) -> Self {
        let count = delivery.attributes.approximate_receive_count;
        Self {
            id: clean(&delivery.message_id),
            receipt_handle: delivery.receipt_handle,
            body: delivery.body,
            deliveries: count.and_then(|count| count.parse().ok()).unwrap_or(0),
        }
    }
}

impl Queue {
    pub(super) fn new(url: &Url, client: &Client) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(
                Kind::Config,
                format!("could not use the queue of events: {why}"),
            )
        };
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let named = url
            .path_segments()
            .is_some_and(|mut all| all.next_back().is_some_and(|last| !last.is_empty()));
        if !matches!(url.scheme(), "https" | "http") || !plain || url.fragment().is_some() || !named
        {
            return Err(wrong(
                "its URL is https://sqs.REGION.amazonaws.com/ACCOUNT/NAME or the like",
            ));
        }
        if url.scheme() == "http" && !AddressClass::of_url(url).bypasses_proxy() {
            return Err(wrong("only a queue on this machine is asked without TLS"));
        }
        let endpoint = url
            .join("/")
            .map_err(|error| wrong("its URL has no origin").with_source(error))?;
        let signer = client.signer.of("sqs", region_of(url));
        Ok(Self {
            client: Client {
                signer,
                ..client.clone()
            },
            endpoint,
            url: url.to_string(),
        })
    }

    /// At most ten messages, after 20 seconds at most; none is delivered to anybody else for as long as the queue says.
    ///
    /// # Errors
    /// [`Fault`] when the queue does not answer, or not as it should.
    pub async fn receive(&self) -> Result<Vec<Message>, Fault> {
        let wait = WAIT.as_secs();
        let ask = json!({
            "QueueUrl": self.url, "MaxNumberOfMessages": MESSAGES, "WaitTimeSeconds": wait,
            // The first is its newer name; each is ignored by who does not know it.
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"], "AttributeNames": ["ApproximateReceiveCount"],
        });
        let received: Received = self.call("ReceiveMessage", &ask).await?;
        Ok(received
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(Message::from)
            .collect())
    }

    /// Has messages not delivered again.
    ///
    /// # Errors
    /// [`Fault`], also when only some were deleted.
    pub async fn delete(&self, messages: &[&Message]) -> Result<(), Fault> {
        if messages.is_empty() {
            return Ok(());
        }
        let entry = |(index, message): (usize, &&Message)| json!({"Id": index.to_string(), "ReceiptHandle": message.receipt_handle});
        let entries: Vec<_> = messages.iter().enumerate().map(entry).collect();
        let deleted: Deleted = self
            .call(
                "DeleteMessageBatch",
                &json!({"QueueUrl": self.url, "Entries": entries}),
            )
            .await?;
        match deleted.failed.len() {
            0 => Ok(()),
            failed => Err(Fault::Unavailable(format!(
                "DeleteMessageBatch: {failed} of {} stay",
                messages.len()
            ))),
        }
    }

    /// Whether messages that are delivered too often go to another queue.
    ///
    /// # Errors
    /// [`Fault`] when the queue does not say.
    pub async fn has_dead_letters(&self) -> Result<bool, Fault> {
        let ask = json!({"QueueUrl": self.url, "AttributeNames": ["RedrivePolicy"]});
        let said: OfQueue = self.call("GetQueueAttributes", &ask).await?;
        Ok(said
            .attributes
            .and_then(|attributes| attributes.redrive_policy)
            .is_some_and(|policy| !policy.is_empty()))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        ask: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(ask)
            .map_err(|_| Fault::Refused(format!("{operation}: not a request")))?;
        let call = Call {
            body,
            patience: PATIENCE,
            ..Call::new(operation, Method::POST, self.endpoint.to_string())
        };
        let call = call.header("content-type", "application/x-amz-json-1.0")?;
        let answer = self
            .client
            .ask(call.header("x-amz-target", &format!("AmazonSQS.{operation}"))?)
            .await?;
        if !answer.status.is_success() {
            let fault = failed(operation, &answer);
            if matches!(fault, Fault::Unavailable(_)) {
                self.client.signer.forget_credential().await;
            }
            return Err(fault);
        }
        // An empty body is what some answer where there is nothing to say.
        let body = if answer.body.is_empty() {
            b"{}"
        } else {
            answer.body.as_slice()
        };
        serde_json::from_slice(body)
            .map_err(|_| Fault::Unavailable(format!("{operation}: an answer that cannot be read")))
    }
}

/// The region in the host of AWS's own queues.
fn region_of(url: &Url) -> Option<&str> {
    let host = url.host_str()?;
    let rest = host
        .strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    rest.strip_prefix("sqs.")
        .filter(|region| !region.is_empty() && !region.contains('.'))
}

/// Told apart as the store's own: what passes, and what does not.
fn failed(operation: &str, answer: &Response) -> Fault {
    let said: Failed = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = said.what.rsplit('#').next().unwrap_or_default();
    let text = format!("{operation}: {} {}", answer.status.as_u16(), clean(code));
    let passes = code.starts_with("ExpiredToken")
        || code.contains("Throttl")
        || answer.status == http::StatusCode::TOO_MANY_REQUESTS;
    if passes || !answer.status.is_client_error() {
        Fault::Unavailable(text)
    } else {
        Fault::Refused(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Settings, Store};

    fn queue(url: &str) -> Result<Queue> {
        let store = Store::new(Settings {
            bucket: "media".into(),
            prefix: String::new(),
            cdn: None,
            observer: crate::unobserved,
            endpoint: Some("http://127.0.0.1:9".parse().unwrap()),
            public_endpoint: None,
            region: None,
            path_style: true,
            keys: Some(("key".into(), "secret".into())),
            create_headers: std::collections::BTreeMap::new(),
            embedded: false,
        });
        store.unwrap().queue(&url.parse().unwrap())
    }

    #[test]
    fn a_queue_is_asked_at_its_own_service() {
        let queue = queue("https://sqs.eu-west-1.amazonaws.com/123456789012/uploads").unwrap();
        assert_eq!(
            queue.endpoint.as_str(),
            "https://sqs.eu-west-1.amazonaws.com/"
        );
        assert_eq!(region_of(&queue.endpoint), Some("eu-west-1"));
        assert_eq!(
            region_of(&"http://127.0.0.1:4566/0/q".parse().unwrap()),
            None
        );
    }

    #[test]
    fn what_can_be_no_queue_is_refused() {
        for url in [
            "https://sqs.eu-west-1.amazonaws.com/",
            "https://user@sqs.eu-west-1.amazonaws.com/1/q",
            "https://sqs.eu-west-1.amazonaws.com/1/q?Action=x",
            "http://sqs.example/1/q",
            "ftp://sqs.example/1/q",
        ] {
            assert_eq!(queue(url).unwrap_err().kind(), Kind::Config, "{url}");
        }
    }

    #[test]
    fn failures_that_pass_are_told_from_those_that_do_not() {
        let of = |status: u16, what: &str| {
            let body = json!({"__type": what, "message": "\u{1b}[2J"})
                .to_string()
                .into_bytes();
            let status = http::StatusCode::from_u16(status).unwrap();
            failed(
                "ReceiveMessage",
                &Response {
                    status,
                    headers: http::HeaderMap::new(),
                    body,
                },
            )
        };
        assert!(
            matches!(of(400, "com.amazonaws.sqs#QueueDoesNotExist"), Fault::Refused(text) if text.ends_with("QueueDoesNotExist"))
        );
        assert!(matches!(
            of(403, "ExpiredTokenException"),
            Fault::Unavailable(_)
        ));
        assert!(matches!(
            of(400, "com.amazon.coral.availability#ThrottlingException"),
            Fault::Unavailable(_)
        ));
        assert!(matches!(of(500, ""), Fault::Unavailable(_)));
        assert!(matches!(of(301, ""), Fault::Unavailable(_)));
    }
}
