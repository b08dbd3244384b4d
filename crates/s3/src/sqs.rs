//! A queue of Amazon SQS to which the store sends its events: receives messages by long polling,
//! and deletes them. The calls use SQS's JSON protocol ("Amazon SQS API Reference",
//! `application/x-amz-json-1.0`), and are signed with the store's credentials.
//!
//! Not here: the meaning of a message; the gateway interprets it.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use upload_net::{AddressClass, Response};
use upload_types::error::{Error, Kind, Result};

use crate::client::{Call, Client};
use crate::fault::Fault;
use crate::response::{self, sanitized};

/// The maximum number of messages that SQS returns at a time.
const MAX_MESSAGES: u32 = 10;
/// The longest wait for a message that SQS allows.
const LONG_POLL: Duration = Duration::from_secs(20);
/// Longer than [`LONG_POLL`], so that the response arrives.
const CALL_TIMEOUT: Duration = Duration::from_secs(35);

/// A queue. Its methods fail with a [`Fault`] if the queue does not respond, or rejects the call.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    /// The URL of the queue's service.
    endpoint: Url,
    url: String,
}

/// One delivery of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: String,
    receipt_handle: String,
    pub body: String,
    /// The number of deliveries of the message, including this one; 0 if the queue does not report
    /// it.
    pub deliveries: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessageResponse {
    /// Absent or null if there is no message.
    messages: Option<Vec<ReceivedMessage>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceivedMessage {
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
struct GetQueueAttributesResponse {
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteMessageBatchResponse {
    #[serde(default)]
    failed: Vec<serde::de::IgnoredAny>,
}

impl From<ReceivedMessage> for Message {
    fn from(received: ReceivedMessage) -> Self {
        let count = received.attributes.approximate_receive_count;
        Self {
            id: sanitized(&received.message_id),
            receipt_handle: received.receipt_handle,
            body: received.body,
            deliveries: count.and_then(|count| count.parse().ok()).unwrap_or(0),
        }
    }
}

impl Queue {
    pub(crate) fn new(url: &Url, client: &Client) -> Result<Self> {
        let unusable = |reason: &str| {
            Error::new(
                Kind::Config,
                format!("could not use the queue of events: {reason}"),
            )
        };
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let has_name = url
            .path_segments()
            .is_some_and(|mut all| all.next_back().is_some_and(|last| !last.is_empty()));
        if !matches!(url.scheme(), "https" | "http") || !is_plain || !has_name {
            return Err(unusable(
                "its URL is not like https://sqs.REGION.amazonaws.com/ACCOUNT/NAME",
            ));
        }
        if url.scheme() == "http" && !AddressClass::of_url(url).bypasses_proxy() {
            return Err(unusable("a queue on another machine needs an https URL"));
        }
        let endpoint = url
            .join("/")
            .map_err(|error| unusable("its URL has no origin").with_source(error))?;
        Ok(Self {
            client: client.for_service("sqs", region_of(url)),
            endpoint,
            url: url.to_string(),
        })
    }

    /// Receives at most ten messages; waits up to 20 seconds for the first. The queue delivers them
    /// to no other receiver during its visibility timeout.
    pub async fn receive(&self) -> Result<Vec<Message>, Fault> {
        let request = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": MAX_MESSAGES,
            "WaitTimeSeconds": LONG_POLL.as_secs(),
            // The first is the newer name; services ignore an unknown name.
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
            "AttributeNames": ["ApproximateReceiveCount"],
        });
        let received: ReceiveMessageResponse = self.call("ReceiveMessage", &request).await?;
        let messages = received.messages.unwrap_or_default();
        Ok(messages.into_iter().map(Message::from).collect())
    }

    /// Deletes messages, so that they are not delivered again. Also fails if only some were
    /// deleted.
    pub async fn delete(&self, messages: &[&Message]) -> Result<(), Fault> {
        if messages.is_empty() {
            return Ok(());
        }
        let entries: Vec<_> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| {
                json!({"Id": index.to_string(), "ReceiptHandle": message.receipt_handle})
            })
            .collect();
        let request = json!({"QueueUrl": self.url, "Entries": entries});
        let deleted: DeleteMessageBatchResponse = self.call("DeleteMessageBatch", &request).await?;
        match deleted.failed.len() {
            0 => Ok(()),
            failed => Err(Fault::Unavailable(format!(
                "DeleteMessageBatch: {failed} of {} messages were not deleted",
                messages.len()
            ))),
        }
    }

    /// Returns true if the queue moves messages that were delivered too often to a dead-letter
    /// queue.
    pub async fn has_dead_letters(&self) -> Result<bool, Fault> {
        let request = json!({"QueueUrl": self.url, "AttributeNames": ["RedrivePolicy"]});
        let response: GetQueueAttributesResponse =
            self.call("GetQueueAttributes", &request).await?;
        Ok(response
            .attributes
            .and_then(|attributes| attributes.redrive_policy)
            .is_some_and(|policy| !policy.is_empty()))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(request)
            .map_err(|_| Fault::Refused(format!("{operation}: the request is not valid")))?;
        let call = Call::new(operation, Method::POST, self.endpoint.to_string())
            .header("content-type", "application/x-amz-json-1.0")?
            .header("x-amz-target", &format!("AmazonSQS.{operation}"))?
            .body(body)
            .timeout(CALL_TIMEOUT);
        let response = self.client.send(call).await?;
        if !response.status.is_success() {
            return Err(fault(operation, &response));
        }
        // Some services send an empty body instead of an empty object.
        let body = if response.body.is_empty() {
            b"{}"
        } else {
            response.body.as_slice()
        };
        serde_json::from_slice(body)
            .map_err(|_| Fault::Unavailable(format!("{operation}: a malformed response")))
    }
}

/// The region in the host name of a queue at AWS.
fn region_of(url: &Url) -> Option<&str> {
    let host = url.host_str()?;
    let rest = host
        .strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    rest.strip_prefix("sqs.")
        .filter(|region| !region.is_empty() && !region.contains('.'))
}

/// Classifies a failure: the credential is rejected, or the failure is temporary or permanent.
fn fault(operation: &str, response: &Response) -> Fault {
    let code = response::error_code(response);
    let text = format!(
        "{operation}: {} {}",
        response.status.as_u16(),
        sanitized(&code)
    );
    if let Some(rejection) = response::rejection(&code, "", &text) {
        return rejection;
    }
    let is_temporary = response::is_temporary(&code)
        || response.status == StatusCode::TOO_MANY_REQUESTS
        || !response.status.is_client_error();
    if is_temporary {
        Fault::Unavailable(text)
    } else {
        Fault::Refused(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observer::unobserved;
    use crate::signing::{Credentials, Signer};

    fn queue(url: &str) -> Result<Queue> {
        let http = upload_net::HttpClient::new(upload_net::Network::default()).unwrap();
        let signer = Signer::new(Credentials::fixed("key", "secret"), "us-east-1");
        let client = Client::new(http, signer, unobserved);
        Queue::new(&url.parse().unwrap(), &client)
    }

    #[test]
    fn queue_is_called_at_the_origin_of_its_url() {
        let queue = queue("https://sqs.eu-west-1.amazonaws.com/123456789012/uploads").unwrap();
        assert_eq!(
            queue.endpoint.as_str(),
            "https://sqs.eu-west-1.amazonaws.com/"
        );
        assert_eq!(region_of(&queue.endpoint), Some("eu-west-1"));
        let local = "http://127.0.0.1:4566/0/q".parse().unwrap();
        assert_eq!(region_of(&local), None);
    }

    #[test]
    fn urls_that_name_no_queue_are_rejected() {
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
    fn temporary_failures_are_unavailable_expired_keys_rejected_others_refused() {
        let fault_of = |status: u16, kind: &str| {
            let body = json!({"__type": kind, "message": "\u{1b}[2J"});
            let response = Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: http::HeaderMap::new(),
                body: body.to_string().into_bytes(),
            };
            fault("ReceiveMessage", &response)
        };
        let missing = fault_of(400, "com.amazonaws.sqs#QueueDoesNotExist");
        assert!(
            matches!(missing, Fault::Refused(text) if text == "ReceiveMessage: 400 QueueDoesNotExist")
        );
        for (status, kind) in [
            (400, "com.amazon.coral.availability#ThrottlingException"),
            (500, ""),
            (301, ""),
        ] {
            assert!(matches!(fault_of(status, kind), Fault::Unavailable(_)));
        }
        let expired = fault_of(403, "ExpiredTokenException");
        assert!(
            matches!(expired, Fault::Rejected(rejection) if rejection.kind == Kind::Unauthorized)
        );
    }
}
