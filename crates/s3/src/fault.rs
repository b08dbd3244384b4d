//! The one error type of calls to the store.
//!
//! Not here: the fault of each response, in [`crate::response`].

use std::fmt;

/// The reason why a call to the store failed.
#[derive(Debug)]
pub enum Fault {
    /// The store has no such multipart upload: it was completed or aborted, or has expired.
    NoSuchUpload,
    /// The parts of a complete are not stored or differ from the stored ones, are out of order, or
    /// are too small.
    InvalidPart(String),
    /// A condition did not hold: the object exists already.
    PreconditionFailed,
    /// The store rejects the credentials or the request, and would reject a repetition.
    Refused(String),
    /// The store's certificate is not trusted. Nothing was sent.
    Untrusted(String),
    /// A temporary failure, or a response that cannot be read. The outcome of the call is unknown.
    Unavailable(String),
}

/// The text is for logs: it contains no URL and no secret.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchUpload => f.write_str("the store does not know the multipart upload"),
            Self::PreconditionFailed => f.write_str("the object exists already"),
            Self::InvalidPart(text)
            | Self::Refused(text)
            | Self::Untrusted(text)
            | Self::Unavailable(text) => f.write_str(text),
        }
    }
}
