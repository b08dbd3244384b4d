//! The meaning of a response: classifies the statuses and error codes of S3. Pure. A few
//! operations treat some of them specially.
//!
//! Not here: the documents in the body, in [`crate::xml`].

use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use upload_net::Response;

use crate::fault::Fault;
use crate::xml::{self, ErrorDocument, Unreadable};

/// The maximum length of a logged text from another machine.
const MAX_LOGGED_CHARS: usize = 64;
const MAX_MESSAGE_CHARS: usize = 200;
const MAX_WORD_CHARS: usize = 32;

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
    if error.region.is_empty() {
        let region = response.header("x-amz-bucket-region").unwrap_or_default();
        region.clone_into(&mut error.region);
    }
    Err(fault(operation, response.status, &error))
}

/// The error code of a failed response, of S3 or of a service with JSON. Empty for a success, or
/// without a code.
pub(crate) fn error_code(response: &Response) -> String {
    error_document(response).code
}

fn error_document(response: &Response) -> ErrorDocument {
    if response.status.is_success() {
        ErrorDocument::default()
    } else if response.body.starts_with(b"{") {
        let error: JsonError = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = error.kind.rsplit('#').next().unwrap_or_default();
        ErrorDocument {
            code: code.to_owned(),
            ..ErrorDocument::default()
        }
    } else {
        xml::parse_error(&response.body)
    }
}

/// The error of a service with JSON, such as SQS.
#[derive(Default, Deserialize)]
struct JsonError {
    #[serde(default, rename = "__type")]
    kind: String,
}

/// Whether a response rejects the credential that signed its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialRejection {
    None,
    /// It has no code. A missing permission has the same response.
    Likely,
    Certain,
}

/// Whether a response to a signed request rejects its credential. The response to a HEAD has no
/// code.
pub(crate) fn rejects_credential(method: &Method, response: &Response) -> CredentialRejection {
    let is_bare_head = *method == Method::HEAD
        && matches!(response.status.as_u16(), 400 | 403)
        && response.body.is_empty();
    match credential_summary(&error_code(response)) {
        Some(_) => CredentialRejection::Certain,
        None if is_bare_head => CredentialRejection::Likely,
        None => CredentialRejection::None,
    }
}

/// Why the store rejects a credential, by the error code. `None` for a code about anything else.
/// Newer keys may be accepted.
fn credential_summary(code: &str) -> Option<&'static str> {
    Some(match code {
        code if is_expired(code) => "the AWS credentials have expired",
        "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException" => {
            "the store does not know the AWS access key"
        }
        "InvalidToken" => "the session token of the AWS credentials is not valid",
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            "the store refuses the signature of the AWS credentials"
        }
        _ => return None,
    })
}

/// The rejection that a code of S3 or of SQS means. `None` for any other code. `text` names
/// operation, status and code.
pub(crate) fn rejection(code: &str, region: &str, text: &str) -> Option<Fault> {
    if let Some(summary) = credential_summary(code) {
        let hint = match code {
            "SignatureDoesNotMatch" | "InvalidSignatureException" => {
                "check the secret key, the region (--s3-region) and the clock of this machine"
            }
            "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException" => {
                "check the access key, and that it belongs to this endpoint (--s3-endpoint)"
            }
            _ => "renew the AWS credentials; then run the command again",
        };
        return Some(Fault::unauthorized(
            summary,
            format!("{summary} ({text})"),
            hint,
        ));
    }
    let region = sanitized(region);
    match code {
        "RequestTimeTooSkewed" => {
            let summary = "the clocks of the store and of the gateway differ";
            let hint = "set the clock of this machine";
            Some(Fault::unauthorized(
                summary,
                format!("{summary} ({text})"),
                hint,
            ))
        }
        "NoSuchBucket" => Some(Fault::misconfigured(
            "the bucket of the gateway does not exist",
            format!("the bucket does not exist ({text})"),
            "check the name of the bucket and the endpoint (--s3-endpoint)",
        )),
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
            if !region.is_empty() =>
        {
            Some(other_region(&region, text))
        }
        "AuthorizationHeaderMalformed" => Some(Fault::misconfigured(
            "the store refuses the signature of the gateway",
            format!("the store refuses the signature ({text})"),
            "check the region of the bucket: --s3-region",
        )),
        _ => None,
    }
}

fn other_region(region: &str, text: &str) -> Fault {
    Fault::misconfigured(
        "the bucket of the gateway is in another region",
        format!("the bucket is in the region {region} ({text})"),
        format!("use --s3-region {region}"),
    )
    .in_region(region)
}

/// Whether a code announces a temporary failure, although the status of some of them is 4xx.
pub(crate) fn is_temporary(code: &str) -> bool {
    matches!(
        code,
        "SlowDown"
            | "RequestTimeout"
            | "InternalError"
            | "ServiceUnavailable"
            | "OperationAborted"
            | "ConditionalRequestConflict"
    ) || code.contains("Throttl")
}

/// Classifies a failure: by its code, if S3 defines it, otherwise by its status.
fn fault(operation: &str, status: StatusCode, error: &ErrorDocument) -> Fault {
    let code = error.code.as_str();
    let mut text = format!("{operation}: {}", status.as_u16());
    if !code.is_empty() {
        text = format!("{text} {}", sanitized(code));
    }
    if !error.request_id.is_empty() {
        text = format!("{text} (request {})", sanitized(&error.request_id));
    }
    if let Some(rejection) = rejection(code, &error.region, &text) {
        return rejection;
    }
    match (code, status.as_u16()) {
        ("NoSuchUpload", _) => Fault::NoSuchUpload,
        ("InvalidPart" | "InvalidPartOrder" | "EntityTooSmall", _) => Fault::InvalidPart(text),
        ("PreconditionFailed", _) | (_, 412) => Fault::PreconditionFailed,
        _ if is_temporary(code) => Fault::Unavailable(text),
        // A response to HEAD has no code.
        (_, 301) if !error.region.is_empty() && code.is_empty() => {
            other_region(&sanitized(&error.region), &text)
        }
        (_, 307 | 408 | 429) => Fault::Unavailable(text),
        // Permanent, even with status 200.
        ("AccessDenied" | "AllAccessDisabled", _) => Fault::unauthorized(
            "the store does not permit a request of the gateway",
            text,
            "check what the credentials and the policy of the bucket permit",
        ),
        ("NotImplemented", _) | (_, 300..=499 | 501) => Fault::Refused(text),
        _ => Fault::Unavailable(text),
    }
}

/// The message of a failed response as words that are safe to log. Only for requests without
/// secrets in URL and body: some stores repeat these.
pub(crate) fn message(response: &Response) -> String {
    let text = xml::error_message(&response.body);
    let words = text.split_whitespace().map(sanitized);
    // Longer words may be signatures.
    let words: Vec<String> = words.filter(|word| word.len() <= MAX_WORD_CHARS).collect();
    words.join(" ").chars().take(MAX_MESSAGE_CHARS).collect()
}

/// Whether a code says that a credential has expired.
pub(crate) fn is_expired(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired"
    )
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
    use upload_types::error::Kind;

    fn fault_of(status: u16, code: &str) -> Fault {
        let error = ErrorDocument {
            code: code.into(),
            request_id: "r-1".into(),
            region: String::new(),
        };
        let status = StatusCode::from_u16(status).unwrap();
        fault("CompleteMultipartUpload", status, &error)
    }

    #[test]
    fn faults_are_classified_by_code_then_by_status() {
        use Fault::{
            InvalidPart, NoSuchUpload, PreconditionFailed, Refused, Rejected, Unavailable,
        };
        assert!(matches!(fault_of(404, "NoSuchUpload"), NoSuchUpload));
        assert!(matches!(fault_of(404, "NoSuchKey"), Refused(_)));
        assert!(matches!(fault_of(400, "EntityTooSmall"), InvalidPart(_)));
        assert!(matches!(fault_of(412, ""), PreconditionFailed));
        assert!(matches!(
            fault_of(200, "PreconditionFailed"),
            PreconditionFailed
        ));
        assert!(matches!(fault_of(200, "InternalError"), Unavailable(_)));
        assert!(matches!(fault_of(200, "AccessDenied"), Rejected(_)));
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
    #[test]
    fn rejected_credentials_buckets_and_regions_have_their_kind() {
        let kind_of = |status, code, region: &str| {
            let error = ErrorDocument {
                code: String::from(code),
                region: region.to_owned(),
                ..ErrorDocument::default()
            };
            let status = StatusCode::from_u16(status).unwrap();
            match fault("ListParts", status, &error) {
                Fault::Rejected(rejection) => Some(rejection.kind),
                _ => None,
            }
        };
        for (status, code) in [
            (400, "ExpiredToken"),
            (403, "InvalidAccessKeyId"),
            (403, "SignatureDoesNotMatch"),
            (403, "RequestTimeTooSkewed"),
            (400, "InvalidToken"),
            (403, "AccessDenied"),
        ] {
            assert_eq!(
                kind_of(status, code, ""),
                Some(Kind::Unauthorized),
                "{code}"
            );
        }
        assert_eq!(kind_of(404, "NoSuchBucket", ""), Some(Kind::Config));
        assert_eq!(
            kind_of(301, "PermanentRedirect", "eu-west-1"),
            Some(Kind::Config)
        );
        assert_eq!(kind_of(301, "", "eu-west-1"), Some(Kind::Config));
        assert_eq!(kind_of(301, "PermanentRedirect", ""), None);
        assert_eq!(kind_of(404, "", "eu-west-1"), None);
    }

    #[test]
    fn bare_rejection_of_a_head_is_likely_that_of_a_credential() {
        let rejection = |method, status: u16, body: &str| {
            let response = Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: http::HeaderMap::new(),
                body: body.as_bytes().to_vec(),
            };
            rejects_credential(&method, &response)
        };
        let expired = "<Error><Code>ExpiredToken</Code></Error>";
        assert_eq!(
            rejection(Method::GET, 400, expired),
            CredentialRejection::Certain
        );
        let expired = r#"{"__type":"com.amazon.coral.service#ExpiredTokenException"}"#;
        assert_eq!(
            rejection(Method::POST, 403, expired),
            CredentialRejection::Certain
        );
        assert_eq!(
            rejection(Method::HEAD, 403, ""),
            CredentialRejection::Likely
        );
        assert_eq!(rejection(Method::HEAD, 404, ""), CredentialRejection::None);
        assert_eq!(rejection(Method::GET, 403, ""), CredentialRejection::None);
    }
}
