//! The error of the ledger's operations.

use std::fmt;

use upload_types::error::{Error, Kind};

/// The failure of an operation of the ledger. The operation wrote nothing, unless the response to
/// its commit was lost. A repetition is safe.
///
/// This is a type of its own, so that no other error can be reported as a failure of the ledger.
pub struct LedgerError {
    error: Error,
    reason: Option<&'static str>,
}

/// The result of an operation of the ledger.
pub type LedgerResult<T> = Result<T, LedgerError>;

impl LedgerError {
    /// The error for a database that failed.
    pub(super) fn new(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::with_reason(source, None)
    }

    /// Like [`LedgerError::new`], with a reason that the operator can act on.
    pub(super) fn with_reason(
        source: impl std::error::Error + Send + Sync + 'static,
        reason: Option<&'static str>,
    ) -> Self {
        let error = Error::new(Kind::Io, "could not use the ledger").with_source(source);
        Self { error, reason }
    }

    /// Why the database cannot be used, as a sentence without a full stop. It contains no values.
    pub fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// The error for a value that cannot be written as JSON. `value` names it: "a receipt".
    pub(super) fn encode(value: &str, source: serde_json::Error) -> Self {
        let error = Error::new(Kind::Other, format!("could not encode {value}"));
        Self {
            error: error.with_source(source),
            reason: None,
        }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Debug for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl std::error::Error for LedgerError {}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        error.error
    }
}
