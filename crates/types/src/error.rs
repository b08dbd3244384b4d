//! Errors: what could not be done, why, and what to do next. The kind decides the exit code and
//! whether an attempt is repeated.
//!
//! Not here: the choice of a kind for each failure. The code that detects the failure makes it (an
//! HTTP status in `backend`, a changed file in `source`), and no caller changes it. Texts are lower
//! case and never contain a URL or a token.

use std::fmt;
use std::time::Duration;

use crate::wire::ExistingObject;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error. Kinds differ in exit code, in name, or in whether an attempt is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The source has changed since its upload began.
    SourceChanged,
    /// The store received, or sent, bytes that are not those of the source.
    Corrupt,
    /// The command that produces a stream has failed.
    CommandFailed,
    /// A stream has fewer bytes than the user permits.
    StreamTooSmall,
    /// There is no such source, or it cannot be opened.
    NoSource,
    /// The backend or the store cannot be used: another protocol, no TLS, a forbidden URL.
    Incompatible,
    /// The journal cannot be created or opened.
    DatabaseUnusable,
    /// The local system failed: disk full, read error, standard output closed.
    Io,
    /// The network, the backend or the store failed, and may work later.
    Temporary,
    /// The backend or the store demands fewer requests. The delay before the next one, if it named
    /// one.
    Throttled(Option<Duration>),
    /// Another server responded: a captive portal, a proxy, a wrong address.
    UnexpectedServer,
    /// The backend's response does not match the request.
    ProtocolError,
    /// The store rejected a presigned URL as expired. A new one must be signed.
    UrlExpired,
    /// The clocks of the store and of the signer differ.
    ClockSkew,
    /// The store is at another endpoint or region than the URL was signed for.
    WrongEndpoint,
    /// The store accepted a part but returned no `ETag`. Only its list of parts shows whether it
    /// has the part.
    MissingEtag,
    /// Another process drives this upload.
    Busy,
    /// Another process has locked a database.
    Locked,
    /// Another process has taken over the lease.
    LeaseLost,
    /// The token or a policy of the store does not permit the request.
    Unauthorized,
    /// The store rejects the credentials that signed a request. Newer ones may be in use soon.
    CredentialsRejected,
    /// The backend does not accept this name, type or size.
    NotAcceptable,
    /// An object is at the key of the upload.
    Exists,
    /// Another unfinished upload has the key. The delay before the next attempt, if the backend
    /// named one.
    KeyInUse(Option<Duration>),
    /// A hook of the backend has rejected the object.
    CheckFailed,
    /// A setting is missing or wrong.
    Config,
    /// The backend or the journal knows no such upload.
    NotFound,
    /// The upload was aborted, has expired, or was rejected.
    Gone,
    /// The upload is completing or complete, and cannot be aborted.
    NotAbortable,
    /// Backend and client disagree on the stored parts.
    PartsMismatch,
    /// The upload may be complete, and no backend or store can confirm it.
    Unconfirmed,
    /// A signal with this number ended the command. The journal is intact.
    Interrupted(u8),
    /// Any other failure.
    Other,
}

impl Kind {
    /// The exit code of the process; that of `sysexits.h`, if it defines one.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::SourceChanged | Self::Corrupt | Self::CommandFailed | Self::StreamTooSmall => 65,
            Self::NoSource => 66,
            Self::Incompatible
            | Self::UnexpectedServer
            | Self::ProtocolError
            | Self::WrongEndpoint
            | Self::MissingEtag => 69,
            Self::DatabaseUnusable => 73,
            Self::Io => 74,
            Self::Temporary
            | Self::Throttled(_)
            | Self::UrlExpired
            | Self::ClockSkew
            | Self::Busy
            | Self::Locked
            | Self::LeaseLost
            | Self::KeyInUse(_)
            | Self::PartsMismatch => 75,
            Self::Unauthorized
            | Self::CredentialsRejected
            | Self::NotAcceptable
            | Self::Exists
            | Self::CheckFailed => 77,
            Self::Config => 78,
            Self::Interrupted(signal) => 128 + signal,
            Self::NotFound | Self::Gone | Self::NotAbortable | Self::Unconfirmed | Self::Other => 1,
        }
    }

    /// The name in events and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::SourceChanged => "source_changed",
            Self::Corrupt => "corrupt",
            Self::CommandFailed => "command_failed",
            Self::StreamTooSmall => "stream_too_small",
            Self::NoSource => "no_source",
            Self::Incompatible => "incompatible",
            Self::DatabaseUnusable => "database_unusable",
            Self::Io => "io",
            Self::Temporary => "temporary",
            Self::Throttled(_) => "throttled",
            Self::UnexpectedServer => "unexpected_server",
            Self::ProtocolError => "protocol_error",
            Self::UrlExpired => "url_expired",
            Self::ClockSkew => "clock_skew",
            Self::WrongEndpoint => "wrong_endpoint",
            Self::MissingEtag => "missing_etag",
            Self::Busy => "busy",
            Self::Locked => "locked",
            Self::LeaseLost => "lease_lost",
            Self::Unauthorized => "unauthorized",
            Self::CredentialsRejected => "credentials_rejected",
            Self::NotAcceptable => "not_acceptable",
            Self::Exists => "exists",
            Self::KeyInUse(_) => "key_in_use",
            Self::CheckFailed => "check_failed",
            Self::Config => "config",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::NotAbortable => "not_abortable",
            Self::PartsMismatch => "parts_mismatch",
            Self::Unconfirmed => "unconfirmed",
            Self::Interrupted(_) => "interrupted",
            Self::Other => "other",
        }
    }
}

/// An error: its kind, what could not be done, a hint, and its cause.
pub struct Error {
    kind: Kind,
    what: Box<str>,
    hint: Option<Box<str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// The host that did not respond.
    unreached: Option<Box<str>>,
    /// The object at the key of the upload.
    existing: Option<Box<ExistingObject>>,
    /// The store has responded with a code of S3.
    is_of_store: bool,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into().into_boxed_str(),
            hint: None,
            source: None,
            unreached: None,
            existing: None,
            is_of_store: false,
        }
    }

    /// A task of the runtime panicked or was cancelled.
    pub fn task_ended(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Kind::Other, "a task ended before it finished its work").with_source(source)
    }

    /// Adds the cause. The text of the error names it.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds an instruction for the user, in the imperative.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into_boxed_str());
        self
    }

    /// The same error for another upload that fails for the same reason. The causes become part of
    /// the text.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            kind: self.kind,
            what: self.to_string().into_boxed_str(),
            hint: self.hint.clone(),
            source: None,
            unreached: self.unreached.clone(),
            existing: self.existing.clone(),
            is_of_store: self.is_of_store,
        }
    }

    /// Notes that a host did not respond, or broke off the connection. The text of the error does
    /// not name it.
    #[must_use]
    pub fn with_unreached(mut self, host: impl Into<String>) -> Self {
        self.unreached = Some(host.into().into_boxed_str());
        self
    }

    /// Adds the proxy of a request to the text.
    #[must_use]
    pub fn through(mut self, proxy: &str) -> Self {
        self.what = format!("{} through proxy {proxy}", self.what).into_boxed_str();
        self
    }

    /// The host that did not respond, with the proxy, if one was in use. `None` if the failure has
    /// another cause.
    #[must_use]
    pub fn unreached(&self) -> Option<&str> {
        self.unreached.as_deref()
    }

    /// Adds the object that is at the key of the upload. The text of the error does not describe
    /// it.
    #[must_use]
    pub fn with_existing(mut self, existing: Box<ExistingObject>) -> Self {
        self.existing = Some(existing);
        self
    }

    /// The object that is at the key of the upload, if the backend described it.
    #[must_use]
    pub fn existing(&self) -> Option<&ExistingObject> {
        self.existing.as_deref()
    }

    /// Notes that the error is the response of a store, with a code of S3.
    #[must_use]
    pub fn of_store(mut self) -> Self {
        self.is_of_store = true;
        self
    }

    /// Returns true if a store has responded with a code of S3: no other server, and no check of
    /// this program.
    #[must_use]
    pub fn is_of_store(&self) -> bool {
        self.is_of_store
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The instruction for the user, if one was added.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// The error and its causes in one line, so that no message omits a cause.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error_chain(self))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// An error and each of its causes, in one line. Each is named once.
#[must_use]
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let own_text = |error: &(dyn std::error::Error + 'static)| match error.downcast_ref::<Error>() {
        Some(error) => error.what.to_string(),
        None => error.to_string(),
    };
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(own_text).collect::<Vec<_>>().join(": ")
}

/// The exit code for several sources: 0 if none failed, the common code if all failures have the
/// same, otherwise 1.
#[must_use]
pub fn merged_exit_code(failures: &[u8]) -> u8 {
    match failures {
        [] => 0,
        [first, rest @ ..] if rest.iter().all(|code| code == first) => *first,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_exit_code_is_common_code_or_one() {
        assert_eq!(merged_exit_code(&[]), 0);
        assert_eq!(merged_exit_code(&[75, 75]), 75);
        assert_eq!(merged_exit_code(&[66]), 66);
        assert_eq!(merged_exit_code(&[75, 65]), 1);
    }

    #[test]
    fn chain_names_each_cause_once() {
        let cause = std::io::Error::other("disk on fire");
        let read = Error::new(Kind::Io, "could not read part 3").with_source(cause);
        let error = Error::new(Kind::Other, "could not upload film.mkv").with_source(read);
        let chain = "could not upload film.mkv: could not read part 3: disk on fire";
        assert_eq!(error.to_string(), chain);
        assert_eq!(error.duplicate().to_string(), chain);
        assert_eq!(error_chain(&error), chain);
        assert_eq!(format!("{error:?}"), format!("Other: {chain}"));
    }
}
