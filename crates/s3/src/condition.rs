//! The condition under which a new object takes its key: S3's conditional writes. Pure.

use upload_types::ETag;

use crate::profile::Capability;

/// The object that must be at a key when a new object takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCondition<'a> {
    /// None.
    Absent,
    /// The one with this `ETag`.
    Matches(&'a ETag),
}

impl<'a> WriteCondition<'a> {
    /// The condition of a write that replaces the object with this `ETag`; `None` if there is no
    /// object.
    #[must_use]
    pub fn replacing(etag: Option<&'a ETag>) -> Self {
        etag.map_or(Self::Absent, Self::Matches)
    }

    /// The capability of a store that enforces the condition on `CompleteMultipartUpload`.
    pub(crate) fn capability(self) -> Capability {
        match self {
            Self::Absent => Capability::CompleteOnce,
            Self::Matches(_) => Capability::CompleteMatch,
        }
    }

    /// The header of a request with the condition.
    pub(crate) fn header(self) -> (&'static str, String) {
        match self {
            Self::Absent => ("if-none-match", "*".to_owned()),
            Self::Matches(etag) => ("if-match", etag.quoted()),
        }
    }
}
