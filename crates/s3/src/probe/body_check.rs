//! Sends a body, and classifies the response.

use http::StatusCode;

use upload_net::Response;

use crate::fault::Fault;
use crate::profile::{Finding, Support};
use crate::response::{self, sanitized};
use crate::signing::Presigned;
use crate::store::Store;
use crate::xml;

/// Sends a body as a client would: the HTTP library sets `content-length` to the true length.
/// `unsigned` are further headers, which the signature does not cover.
pub(super) async fn put(
    store: &Store,
    presigned: Presigned,
    body: &[u8],
    unsigned: &[(&str, &str)],
) -> Result<Response, Fault> {
    let mut request = http::Request::put(presigned.url.expose());
    let headers = presigned.headers.iter();
    for (name, value) in headers.filter(|(name, _)| *name != "content-length") {
        request = request.header(name, value);
    }
    for (name, value) in unsigned {
        request = request.header(*name, *value);
    }
    let request = request
        .body(body.to_vec())
        .map_err(|_| Fault::Refused("could not send the probe: the request is not valid".into()))?;
    store.send_unsigned(request).await
}

/// The response to a request of a probe, as far as findings depend on it.
pub(super) struct Reaction {
    pub(super) accepted: bool,
    /// A temporary failure: there is no finding.
    is_temporary: bool,
    precondition_failed: bool,
    pub(super) observed: String,
}

impl Reaction {
    pub(super) fn of(response: &Response) -> Self {
        // Some stores report errors with status 200.
        let code = xml::parse_error(&response.body).code;
        let status = response.status;
        let is_temporary = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || response::is_temporary(&code)
            || response::is_expired(&code);
        Self {
            accepted: status.is_success() && code.is_empty(),
            is_temporary,
            precondition_failed: status == StatusCode::PRECONDITION_FAILED
                || code == "PreconditionFailed",
            observed: observed(response),
        }
    }

    /// The finding after a correct request.
    pub(super) fn to_correct_request(&self) -> Finding {
        self.finding(if self.accepted {
            Support::Yes
        } else {
            Support::No
        })
    }

    /// The finding after a wrong request.
    pub(super) fn to_wrong_request(&self) -> Finding {
        self.finding(if self.accepted {
            Support::No
        } else {
            Support::Yes
        })
    }

    /// The finding after a request with a condition that does not hold.
    pub(super) fn to_false_condition(&self) -> Finding {
        self.finding(if self.accepted {
            Support::No
        } else if self.precondition_failed {
            Support::Yes
        } else {
            Support::Refused
        })
    }

    /// The finding after a request with a condition that holds: a store that rejects the request
    /// does not support the condition.
    pub(super) fn to_true_condition(&self) -> Finding {
        self.finding(if self.accepted {
            Support::Yes
        } else {
            Support::Refused
        })
    }

    fn finding(&self, support: Support) -> Finding {
        let support = if self.is_temporary {
            Support::Untried
        } else {
            support
        };
        Finding::new(support, self.observed.as_str())
    }
}

/// Status and error code of a response, such as `400 BadDigest`.
pub(super) fn observed(response: &Response) -> String {
    let code = sanitized(&xml::parse_error(&response.body).code);
    let text = format!("{} {code}", response.status.as_u16());
    text.trim_end().to_owned()
}

/// The finding of a check that may have failed.
pub(super) fn finding_of(result: Result<Finding, Fault>) -> Finding {
    result.unwrap_or_else(|fault| match fault {
        Fault::Unavailable(reason) | Fault::NoCredentials(reason) => {
            Finding::new(Support::Untried, reason)
        }
        fault => Finding::new(Support::No, fault.to_string()),
    })
}
