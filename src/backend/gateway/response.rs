//! The errors for failure responses of a gateway. Pure.

use std::time::Duration;

use crate::backend::response::{
    CREDENTIALS_HINT, NETWORK_LOGIN_HINT, Response, VERSIONS_HINT, backend_redirects,
    backend_unavailable, excerpt, proxy_login_required,
};
use upload_types::error::{Error, Kind};
use upload_types::wire::{Code, Problem};

const TOKEN_HINT: &str = "check the token (--token-file FILE or UPLOAD_TOKEN), or ask the operator of the backend what \
     it permits";

/// How to upload although an object is at the key.
pub const EXISTS_HINT: &str = "to replace the object, run `upload put FILE --if-exists overwrite`";

const FIREWALL_HINT: &str = "log in to the network if it requires a login; if a proxy in front of the backend requires \
     credentials, pass them: --header 'NAME: VALUE'; otherwise ask the operator of the network to \
     permit the backend";

const PROXY_SIZE_HINT: &str = "ask the operator of the backend to let its proxy accept requests of 4 MiB (nginx: \
     client_max_body_size 4m); then run `upload resume`, which sends only what is missing";

/// The error of a response without a success status.
pub fn gateway_error(response: &Response) -> Error {
    let (status, retry_after) = (response.status, response.retry_after());
    if response.is_from_gateway()
        && let Ok(problem) = serde_json::from_slice(&response.body)
    {
        return problem_error(status, &problem, retry_after);
    }
    match status {
        407 => proxy_login_required(None),
        403 if response.is_html() => {
            let what =
                "a proxy or a firewall answered instead of the backend (HTTP 403, an HTML page)";
            Error::new(Kind::Unauthorized, what).with_hint(FIREWALL_HINT)
        }
        // A gateway and a proxy that asks for credentials send no XML; a store does.
        401 | 403 if response.is_xml() => no_gateway_here(status),
        401 | 403 => {
            let what = format!("the backend refused the credentials (HTTP {status})");
            Error::new(Kind::Unauthorized, what).with_hint(TOKEN_HINT)
        }
        408 | 429 | 500 | 502..=504 => backend_unavailable(status, retry_after),
        413 => {
            let what = "a proxy in front of the backend accepts no request of this size (HTTP 413)";
            Error::new(Kind::Incompatible, what).with_hint(PROXY_SIZE_HINT)
        }
        426 => {
            let what = "the backend requires another version of the protocol (HTTP 426)";
            Error::new(Kind::Incompatible, what).with_hint(VERSIONS_HINT)
        }
        300..=399 => backend_redirects(&format!("HTTP {status}")),
        _ if status == 511 || status < 300 || response.is_html() => not_a_gateway(status),
        _ => no_gateway_here(status),
    }
}

fn no_gateway_here(status: u16) -> Error {
    let what = format!("there is no gateway at this address (HTTP {status})");
    Error::new(Kind::Incompatible, what)
        .with_hint("check the address of the backend, including the path")
}

/// The error of a request without a token to a gateway that requires one.
pub fn no_token_given() -> Error {
    let what = "the backend requires a token, and none was given";
    Error::new(Kind::Unauthorized, what).with_hint(
        "name the file of a token with --token-file FILE, or set UPLOAD_TOKEN; if UPLOAD_BACKEND \
         or the configuration file names another backend, the token belongs to that one",
    )
}

/// The error of a response that is not from a gateway.
pub fn not_a_gateway(status: u16) -> Error {
    let what = format!("the response is not from a gateway (HTTP {status})");
    Error::new(Kind::UnexpectedServer, what).with_hint(NETWORK_LOGIN_HINT)
}

/// The error of a problem document.
pub fn problem_error(status: u16, problem: &Problem, retry_after: Option<Duration>) -> Error {
    let code = Code::from_name(&problem.code);
    let kind = problem_kind(status, code, retry_after);
    let title = excerpt(&problem.title);
    let detail = match &problem.detail {
        Some(detail) => format!(" ({})", excerpt(detail)),
        None => String::new(),
    };
    let what = match (&problem.detail, code) {
        // The title lists every reason for which an upload may be gone.
        (Some(reason), Some(Code::Gone)) => excerpt(reason),
        (_, Some(Code::KeyInUse)) => format!("{title}{detail}"),
        _ => format!("the backend refused the request: {title}{detail}"),
    };
    let mut error = Error::new(kind, what);
    if let Some(existing) = &problem.existing {
        error = error.with_existing(existing.clone());
    }
    match hint_for(kind, code) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn problem_kind(status: u16, code: Option<Code>, retry_after: Option<Duration>) -> Kind {
    match code {
        Some(Code::Unauthenticated | Code::Forbidden) => Kind::Unauthorized,
        Some(
            Code::TooLarge
            | Code::TypeNotAllowed
            | Code::NameInvalid
            | Code::AttributeNotAllowed
            | Code::KeyNotAllowed
            | Code::KeyInvalid,
        ) => Kind::NotAcceptable,
        Some(Code::Exists) => Kind::Exists,
        Some(Code::KeyInUse) => Kind::KeyInUse(retry_after),
        Some(Code::NotFound) => Kind::NotFound,
        Some(Code::LeaseHeld) => Kind::Busy,
        Some(Code::LeaseLost) => Kind::LeaseLost,
        Some(Code::PartPinned | Code::SourceMismatch) => Kind::SourceChanged,
        Some(Code::NotReady) => Kind::Temporary,
        Some(Code::NotAbortable) => Kind::NotAbortable,
        Some(Code::PartsMismatch) => Kind::PartsMismatch,
        Some(Code::Gone) => Kind::Gone,
        // Without `Retry-After`, waiting does not free a quota.
        Some(Code::QuotaExceeded) if retry_after.is_none() => Kind::NotAcceptable,
        Some(Code::RateLimited | Code::QuotaExceeded | Code::Busy) => Kind::Throttled(retry_after),
        Some(Code::StoreRejected) => Kind::CredentialsRejected,
        Some(Code::StoreUnavailable | Code::Unavailable) => {
            backend_unavailable(status, retry_after).kind()
        }
        // An unknown code, perhaps of a newer gateway: the status decides.
        None if status == 401 || status == 403 => Kind::Unauthorized,
        None if status == 426 => Kind::Incompatible,
        None if status == 429 || status >= 500 => backend_unavailable(status, retry_after).kind(),
        None | Some(Code::InvalidRequest | Code::IdempotencyMismatch) => Kind::Other,
    }
}

/// Returns `None` for errors that a retry may solve.
fn hint_for(kind: Kind, code: Option<Code>) -> Option<&'static str> {
    Some(match (kind, code) {
        (Kind::Unauthorized, _) => TOKEN_HINT,
        (Kind::NotAcceptable, Some(Code::TypeNotAllowed)) => {
            "choose a content type that the backend accepts: `upload put FILE --content-type TYPE`"
        }
        (Kind::NotAcceptable, Some(Code::NameInvalid)) => {
            "choose a name that the backend accepts: `upload put FILE --name NAME`"
        }
        (Kind::NotAcceptable, Some(Code::AttributeNotAllowed)) => {
            "leave out the flag of that attribute; the operator of a gateway can allow it with \
             `upload serve --allow-attribute NAME`"
        }
        (Kind::NotAcceptable, Some(Code::KeyNotAllowed)) => {
            "choose a key that the backend permits: `upload put FILE --key KEY`; or ask its operator to \
             permit this one"
        }
        (Kind::NotAcceptable, Some(Code::KeyInvalid)) => {
            "choose another key: `upload put FILE --key KEY`"
        }
        (Kind::Exists, _) => EXISTS_HINT,
        (Kind::KeyInUse(_), _) => {
            "wait until the other upload has ended; then run the command again"
        }
        (Kind::NotAcceptable, Some(Code::QuotaExceeded)) => {
            "ask the operator of the backend for a larger quota"
        }
        (Kind::NotAcceptable, _) => "ask the operator of the backend for a higher limit",
        (Kind::CredentialsRejected, _) => CREDENTIALS_HINT,
        (Kind::NotFound, _) => {
            "check the id; `upload list --all` shows the uploads of this journal, and `upload list \
             --orphans` those that only the backend knows"
        }
        (Kind::Busy, _) => "wait for the other process, or stop it; then run the command again",
        (Kind::LeaseLost, _) => {
            "wait until the process that has taken over the upload has finished it"
        }
        (Kind::SourceChanged, _) => {
            "run `upload put FILE --if-changed restart` to upload the file as it is now"
        }
        (Kind::NotAbortable, _) => {
            "run `upload resume` to learn the outcome; if you do not need the object, run \
             `upload rm ID`"
        }
        (Kind::Gone, _) => "run `upload put FILE` to begin a new upload",
        (_, Some(Code::NotReady)) => {
            "run `upload resume ID --wait ready` to complete the upload and to wait for its checks"
        }
        (_, Some(Code::IdempotencyMismatch)) => {
            "put the file again with another journal: --journal FILE"
        }
        (_, Some(Code::InvalidRequest)) => {
            "correct the option that the message names; if it names none, use versions of upload \
             and of the backend that match"
        }
        (Kind::Incompatible | Kind::Other, _) => VERSIONS_HINT,
        _ => return None,
    })
}
