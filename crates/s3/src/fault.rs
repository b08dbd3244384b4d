//! The one error type of calls to the store.
//!
//! Not here: the fault of each response, in [`crate::response`].

use std::fmt;

use upload_types::error::Kind;

/// The reason why a call to the store failed.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The store has no such multipart upload: it was completed or aborted, or has expired.
    NoSuchUpload,
    /// The parts of a complete are not stored or differ from the stored ones, are out of order, or
    /// are too small.
    InvalidPart(String),
    /// A condition did not hold: the object exists already.
    PreconditionFailed,
    /// The store rejects the request, and would reject a repetition.
    Refused(String),
    /// The store does not know the operation.
    Unsupported(String),
    /// Credentials, bucket, region or permissions are wrong.
    Rejected(Rejection),
    /// The store's certificate is not trusted. Nothing was sent.
    Untrusted(String),
    /// A service that gives credentials does not respond. Nothing was sent to the store.
    NoCredentials(String),
    /// A temporary failure, or a response that cannot be read. The outcome of the call is unknown.
    Unavailable(String),
}

/// A failure that the owner of the credentials or of the bucket can end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// [`Kind::Unauthorized`] if the store or a credential service rejects the credentials, or a
    /// proxy requires a login;
    /// [`Kind::Config`] for a setting that is missing or wrong.
    pub kind: Kind,
    pub place: Place,
    /// The reason without names of the configuration, for clients of a gateway.
    pub summary: &'static str,
    /// The reason in full, for the owner of the configuration.
    pub text: String,
    /// The remedy, in the imperative.
    pub hint: String,
    /// The region of the bucket, if the store names it because the request was for another one.
    pub region: Option<String>,
}

/// The origin of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The AWS configuration, or a service that gives credentials. Nothing was sent to the store.
    Credentials,
    Store,
    /// A proxy. Nothing was sent to the store.
    Proxy,
}

impl Fault {
    /// A setting of the AWS configuration is missing or wrong.
    pub(crate) fn config(text: impl Into<String>, hint: impl Into<String>) -> Self {
        let summary = "the AWS configuration of the gateway cannot be used";
        Self::rejected(Kind::Config, Place::Credentials, summary, text, hint)
    }

    /// A source of credentials refuses.
    pub(crate) fn no_access(
        summary: &'static str,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::rejected(Kind::Unauthorized, Place::Credentials, summary, text, hint)
    }

    /// The store rejects bucket, region or encryption.
    pub(crate) fn misconfigured(
        summary: &'static str,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::rejected(Kind::Config, Place::Store, summary, text, hint)
    }

    /// The store rejects the credentials.
    pub(crate) fn unauthorized(
        summary: &'static str,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::rejected(Kind::Unauthorized, Place::Store, summary, text, hint)
    }

    /// A proxy requires a login.
    pub(crate) fn proxy_login(text: impl Into<String>, hint: impl Into<String>) -> Self {
        let summary = "a proxy rejects the requests of the gateway";
        Self::rejected(Kind::Unauthorized, Place::Proxy, summary, text, hint)
    }

    fn rejected(
        kind: Kind,
        place: Place,
        summary: &'static str,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Rejected(Rejection {
            kind,
            place,
            summary,
            text: text.into(),
            hint: hint.into(),
            region: None,
        })
    }

    /// Adds the region that the store has named.
    pub(crate) fn in_region(self, region: &str) -> Self {
        match self {
            Self::Rejected(rejection) => Self::Rejected(Rejection {
                region: Some(region.to_owned()),
                ..rejection
            }),
            fault => fault,
        }
    }
}

/// The text is for logs: it contains no URL and no secret.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchUpload => f.write_str("the store does not know the multipart upload"),
            Self::PreconditionFailed => f.write_str("the object exists already"),
            Self::Rejected(rejection) => f.write_str(&rejection.text),
            Self::InvalidPart(text)
            | Self::Refused(text)
            | Self::Unsupported(text)
            | Self::Untrusted(text)
            | Self::NoCredentials(text)
            | Self::Unavailable(text) => f.write_str(text),
        }
    }
}
