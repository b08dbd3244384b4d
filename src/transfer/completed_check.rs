//! The check that a completed upload of the same file version needs before it is reported: the same
//! decision for a run and for a dry run. Pure.
//!
//! Not here: the choice of the upload (`resume`).

use upload_types::wire::BackendInfo;

use super::options::{PutRequest, WaitFor};
use crate::journal::Upload;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletedCheck {
    /// No check: the receipt of the journal is reported.
    Trusted,
    /// The backend is asked for the object.
    Object,
    /// The content of the source is compared with the digests of the parts first.
    Content,
}

/// The facts on which the check depends, in addition to the request and the upload.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckFacts {
    /// A process may write to the source.
    has_writer: bool,
    /// The run reads every source (`--sha256`).
    reads_every_source: bool,
    /// The run waits for hooks. The journal does not know whether they have accepted the object.
    waits_for_hooks: bool,
}

impl CheckFacts {
    /// The facts of a run that waits for `wait` at a backend. `reads_every_source` is `--sha256`.
    #[must_use]
    pub fn new(
        has_writer: bool,
        reads_every_source: bool,
        wait: WaitFor,
        info: &BackendInfo,
    ) -> Self {
        Self {
            has_writer,
            reads_every_source,
            waits_for_hooks: info.hooks && wait.at(info) != WaitFor::Verified,
        }
    }
}

impl CompletedCheck {
    /// The check of an upload for which [`super::resume::Choice::Completed`] was made.
    #[must_use]
    pub fn of(upload: &Upload, put: &PutRequest, facts: CheckFacts) -> Self {
        if facts.reads_every_source || facts.has_writer || upload.may_be_mapped {
            return Self::Content;
        }
        let is_trusted = put.trust_journal && !facts.waits_for_hooks && upload.receipt.is_some();
        if is_trusted {
            Self::Trusted
        } else {
            Self::Object
        }
    }
}
