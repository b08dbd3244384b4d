//! What can go wrong, told by what it changes: whether to try again, the exit code, the hint.
//!
//! Border: the kind is decided where the fact is known (a status in `backend/http`, a changed file in `source/file`) and
//! never reclassified above. Texts are lower-case fragments that fit "could not …"; they never hold a URL or a token.

use std::fmt;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// No kind without a reader: each differs in retry, exit code or hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The source is not what it was when its upload began.
    SourceChanged,
    /// Bytes arrived at the store, or came back from it, that are not the source's.
    Corrupt,
    /// There is no such source, or it cannot be opened.
    NoSource,
    /// The backend cannot be used at all: another protocol, TLS, nonsense for answers.
    Incompatible,
    /// The journal cannot be created or opened.
    DatabaseUnusable,
    /// The local system failed us: disk full, read error, standard output.
    Io,
    /// The network, the backend or the store failed for now.
    Temporary,
    /// Slow down; not before this long.
    Throttled(Option<Duration>),
    /// Something else answers in the place of backend or store: a captive portal, a proxy, another server.
    UnexpectedServer,
    /// The backend answers, but not what it was asked.
    ProtocolError,
    /// The signed URL is no longer good (or never was): sign again.
    UrlExpired,
    /// The store's clock and the one that signed differ.
    ClockSkew,
    /// The store is elsewhere than the URL was signed for.
    WrongEndpoint,
    /// The store says yes without the mark of it, an `ETag`: whether it has the part, only its list tells.
    MissingEtag,
    /// Somebody else drives this upload.
    Busy,
    /// The claim was taken over.
    LeaseLost,
    /// Not permitted: the token, or a policy of the store.
    Unauthorized,
    /// The backend does not take what was asked for: its name, type or size.
    NotAcceptable,
    /// The backend's checks have rejected the object for what is in it.
    CheckFailed,
    /// Something has to be configured first.
    Config,
    /// The backend or the journal knows no such upload.
    NotFound,
    /// The upload was aborted, has expired, or was rejected.
    Gone,
    /// It is completing or complete, and cannot be aborted.
    NotAbortable,
    /// The backend and we disagree on which parts are stored.
    PartsMismatch,
    /// It may have come to its end, and nobody who knows can be asked.
    Unconfirmed,
    /// A signal asked us to stop (its number); the journal is intact.
    Interrupted(u8),
    /// Anything else.
    Other,
}

impl Kind {
    /// The process exit code, after `sysexits.h` where it has one.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::SourceChanged | Self::Corrupt => 65,
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
            | Self::LeaseLost
            | Self::PartsMismatch => 75,
            Self::Unauthorized | Self::NotAcceptable | Self::CheckFailed => 77,
            Self::Config => 78,
            Self::Interrupted(signal) => 128 + signal,
            Self::NotFound | Self::Gone | Self::NotAbortable | Self::Unconfirmed | Self::Other => 1,
        }
    }

    /// The name events and logs carry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::SourceChanged => "source_changed",
            Self::Corrupt => "corrupt",
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
            Self::LeaseLost => "lease_lost",
            Self::Unauthorized => "unauthorized",
            Self::NotAcceptable => "not_acceptable",
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

    /// What to do next, where the kind alone tells.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::SourceChanged => {
                "put the file again to upload it as it is now; --if-changed restart does so by itself"
            }
            Self::Corrupt => {
                "the store refused bytes that were damaged on the way, or the disk or memory is failing; run `upload resume`"
            }
            Self::NoSource => "check the path and its permissions",
            Self::DatabaseUnusable => "name another place for the journal with --journal FILE",
            Self::UnexpectedServer => {
                "check the address of the backend; a captive portal or a proxy may be answering in its place"
            }
            Self::ProtocolError => {
                "use versions of upload and gateway that match; then run `upload resume`"
            }
            Self::ClockSkew => {
                "the gateway's clock is wrong, or the store's; ask its operator, then run `upload resume`"
            }
            Self::WrongEndpoint => {
                "the gateway signs for another place than the store is at; ask its operator"
            }
            Self::MissingEtag => {
                "the store, or a proxy before it, leaves out the ETag of what was sent; ask its operator"
            }
            Self::Busy => "wait for the other process, or stop it; then run `upload resume`",
            Self::LeaseLost => {
                "another machine or process has taken this upload over; let it finish"
            }
            Self::Unauthorized => {
                "check the token (--token-file, UPLOAD_TOKEN) and what the backend permits"
            }
            Self::NotAcceptable => {
                "ask for what the backend takes (--name, --content-type, --meta), or its operator for more"
            }
            Self::CheckFailed => {
                "it is not sent again by itself; if it should be, put it with --force"
            }
            Self::Gone => "put the file again to begin a new upload",
            Self::NotAbortable => {
                "`upload resume` tells what became of it; what is complete is removed in the store"
            }
            Self::NotFound => "`upload list --all` shows what the journal knows",
            _ => return None,
        })
    }
}

/// An error: its kind, what could not be done, what to do next, and what caused it.
pub struct Error {
    kind: Kind,
    what: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            hint: None,
            source: None,
        }
    }

    /// With the error that caused it; its text is appended when the error is shown.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With a hint that knows more than the kind does.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same once more, for another who is struck by it.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            kind: self.kind,
            what: self.to_string(),
            hint: self.hint.clone(),
            source: None,
        }
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref().or_else(|| self.kind.hint())
    }
}

/// The whole story in one line: what failed, then each cause.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.source.as_deref() {
            Some(source) => write!(f, ": {}", error_chain(source)),
            None => Ok(()),
        }
    }
}

/// An error and each of its causes, in one line.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {}

/// The exit code of a run over several sources: all failures alike give that code, 75 only if every failure is
/// temporary, otherwise 1; no failure at all gives 0.
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
    fn codes_merge_only_when_they_agree() {
        assert_eq!(merged_exit_code(&[]), 0);
        assert_eq!(merged_exit_code(&[75, 75]), 75);
        assert_eq!(merged_exit_code(&[66]), 66);
        assert_eq!(merged_exit_code(&[75, 65]), 1);
    }

    #[test]
    fn an_error_tells_its_causes_once() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::new(Kind::Io, "could not read part 3").with_source(cause);
        assert_eq!(error.to_string(), "could not read part 3: disk on fire");
    }
}
