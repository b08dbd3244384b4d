//! The error of the ledger's operations.

use std::fmt;

use upload_types::error::{Error, Kind};

/// The failure of an operation of the ledger. The operation wrote nothing, unless the response to
/// its commit was lost. A repetition is safe.
///
/// This is a type of its own, so that no other error can be reported as a failure of the ledger.
pub struct LedgerError(Error);

/// The result of an operation of the ledger.
pub type LedgerResult<T> = Result<T, LedgerError>;

impl LedgerError {
    /// The error for a database that failed.
    pub(super) fn new(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Error::new(Kind::Io, "could not use the ledger").with_source(source))
    }

    /// The error for a value that cannot be written as JSON. `value` names it: "a receipt".
    pub(super) fn encode(value: &str, source: serde_json::Error) -> Self {
        Self(Error::new(Kind::Other, format!("could not encode {value}")).with_source(source))
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for LedgerError {}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        error.0
    }
}
