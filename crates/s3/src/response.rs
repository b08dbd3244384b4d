//! The meaning of a response: classifies the statuses and error codes of S3. Pure. A few
//! operations treat some of them specially.
//!
//! Not here: the documents in the body, in [`crate::xml`].

use http::StatusCode;
use serde::de::DeserializeOwned;

use upload_net::Response;

use crate::fault::Fault;
use crate::xml::{self, ErrorDocument, Unreadable};

/// The maximum length of a logged text from another machine.
const MAX_LOGGED_CHARS: usize = 64;

/// Parses the document of a successful response. Its root element must begin with `root`.
///
/// # Errors
/// The [`Fault`] of a failure; also of an error document with status 200.
/// [`Fault::Unavailable`] for a body that is empty, cut off, or another document.
pub(crate) fn parse<T: DeserializeOwned>(
    operation: &str,
    response: Response,
    root: &str,
) -> Result<T, Fault> {
    let response = check(operation, response)?;
    xml::parse(root, &response.body).map_err(|unreadable| match unreadable {
        Unreadable::Error(error) => fault(operation, response.status, &error),
        Unreadable::Malformed => Fault::Unavailable(format!(
            "{operation}: {} with a malformed body",
            response.status.as_u16()
        )),
    })
}

/// Returns a successful response, or the [`Fault`] of a failure.
pub(crate) fn check(operation: &str, response: Response) -> Result<Response, Fault> {
    if response.status.is_success() {
        return Ok(response);
    }
    let mut error = error_document(&response);
    if error.request_id.is_empty() {
        let request_id = response.header("x-amz-request-id").unwrap_or_default();
        request_id.clone_into(&mut error.request_id);
    }
    Err(fault(operation, response.status, &error))
}

/// The error code of a failed response. Empty for a success, or without a code.
pub(crate) fn error_code(response: &Response) -> String {
    error_document(response).code
}

fn error_document(response: &Response) -> ErrorDocument {
    if response.status.is_success() {
        ErrorDocument::default()
    } else {
        xml::parse_error(&response.body)
    }
}

/// Classifies a failure: by its code, if S3 defines it, otherwise by its status.
fn fault(operation: &str, status: StatusCode, error: &ErrorDocument) -> Fault {
    let mut text = format!("{operation}: {}", status.as_u16());
    if !error.code.is_empty() {
        text = format!("{text} {}", sanitized(&error.code));
    }
    if !error.request_id.is_empty() {
        text = format!("{text} (request {})", sanitized(&error.request_id));
    }
    match (error.code.as_str(), status.as_u16()) {
        ("NoSuchUpload", _) => Fault::NoSuchUpload,
        ("InvalidPart" | "InvalidPartOrder" | "EntityTooSmall", _) => Fault::InvalidPart(text),
        ("PreconditionFailed", _) | (_, 412) => Fault::PreconditionFailed,
        // Temporary, although the status of some of them is 4xx.
        (
            "SlowDown"
            | "RequestTimeout"
            | "InternalError"
            | "ServiceUnavailable"
            | "OperationAborted"
            | "ConditionalRequestConflict"
            | "ExpiredToken",
            _,
        )
        | (_, 307 | 408 | 429) => Fault::Unavailable(text),
        // Permanent, even with status 200.
        ("AccessDenied" | "NotImplemented", _) | (_, 300..=499 | 501) => Fault::Refused(text),
        _ => Fault::Unavailable(text),
    }
}

/// Makes a text from another machine safe to log: keeps letters, digits and `-_.+/=`, at most 64.
pub(crate) fn sanitized(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.+/=".contains(*c))
        .take(MAX_LOGGED_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(status: u16, code: &str) -> Fault {
        let error = ErrorDocument {
            code: code.into(),
            request_id: "r-1".into(),
        };
        let status = StatusCode::from_u16(status).unwrap();
        fault("CompleteMultipartUpload", status, &error)
    }

    #[test]
    fn faults_are_classified_by_code_then_by_status() {
        use Fault::{InvalidPart, NoSuchUpload, PreconditionFailed, Refused, Unavailable};
        assert!(matches!(fault_of(404, "NoSuchUpload"), NoSuchUpload));
        assert!(matches!(fault_of(404, "NoSuchKey"), Refused(_)));
        assert!(matches!(fault_of(400, "EntityTooSmall"), InvalidPart(_)));
        assert!(matches!(fault_of(412, ""), PreconditionFailed));
        assert!(matches!(
            fault_of(200, "PreconditionFailed"),
            PreconditionFailed
        ));
        assert!(matches!(fault_of(200, "InternalError"), Unavailable(_)));
        assert!(matches!(fault_of(200, "AccessDenied"), Refused(_)));
        assert!(matches!(fault_of(409, "OperationAborted"), Unavailable(_)));
        assert!(matches!(fault_of(400, "RequestTimeout"), Unavailable(_)));
        assert!(matches!(fault_of(501, ""), Refused(_)));
        assert!(matches!(fault_of(301, "PermanentRedirect"), Refused(_)));
        assert!(matches!(fault_of(503, ""), Unavailable(_)));
    }

    #[test]
    fn fault_text_holds_only_operation_status_code_and_request_id() {
        let Fault::Refused(text) = fault_of(403, "Signature\x1b[2J\nDoesNotMatch") else {
            panic!("403 is permanent")
        };
        assert_eq!(
            text,
            "CompleteMultipartUpload: 403 Signature2JDoesNotMatch (request r-1)"
        );
    }
}
