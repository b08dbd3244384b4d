//! The arguments of a run, and its summary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::concurrency::Jobs;
use super::deadline::GiveUp;
use crate::backend::Limiter;
use crate::journal::{Intent, S3Service, Upload};
use upload_types::DiskFailure;
use upload_types::wire::{Attributes, BackendInfo, IfExists};

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The backend as the user named it: for the journal and for receipts.
    pub backend: String,
    /// The S3 service of an `s3://` backend, which is recorded with each upload.
    pub s3_service: Option<S3Service>,
    /// The command line that continues unfinished uploads, for hints.
    pub resume_command: String,
    /// The number of the first item, if the command had others before.
    pub first_item: usize,
    /// How many parts are sent at the same time, of all uploads together.
    pub jobs: Jobs,
    /// The most parts that are sent, and the most sources that are open, at the same time. It
    /// follows from the limit of open files.
    pub max_open: usize,
    /// The rate limit, which signals can change.
    pub limiter: Arc<Limiter>,
    pub give_up: GiveUp,
    pub wait: WaitFor,
    /// The failure of a disk of a backend in this process.
    pub disk_failure: DiskFailure,
    /// Compute the SHA-256 of each whole source.
    pub sha256: bool,
}

/// One source, or one upload of the journal.
#[derive(Debug, Clone)]
pub enum Item {
    Put(PutRequest),
    Resume(Box<Upload>),
}

impl Item {
    /// The path of the source, for messages.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Put(put) => put.path.display().to_string(),
            Self::Resume(upload) => upload.intent.path.display().to_string(),
        }
    }
}

/// A source to upload.
#[derive(Debug, Clone)]
pub struct PutRequest {
    pub path: PathBuf,
    pub name: String,
    pub name_origin: NameOrigin,
    pub content_type: String,
    pub type_origin: TypeOrigin,
    pub metadata: BTreeMap<String, String>,
    pub attributes: Box<Attributes>,
    /// The key of the object below the prefix of the backend, checked. `None` lets the backend make
    /// it.
    pub key: Option<String>,
    /// What to do about an object at `key`.
    pub if_exists: IfExists,
    /// The part size in bytes.
    pub part_size: Option<u64>,
    /// Make a new object even if this version of the source is already stored.
    pub force: bool,
    /// Do not ask the store about a source that the journal has as uploaded.
    pub trust_journal: bool,
    pub on_change: OnChange,
    pub if_gone: IfGone,
    /// The row of its set in the journal.
    pub file_set: Option<i64>,
    /// When the set was put. An upload that has begun since then belongs to it: `force` and a rule
    /// for existing objects do not make another one.
    pub begun_since: Option<Timestamp>,
}

impl PutRequest {
    /// Whether an upload with this intent has the content type, the metadata and the attributes
    /// that the user requested, if any, and replaces an object only if the user requests that.
    pub(super) fn accepts_attributes_of(&self, intent: &Intent) -> bool {
        let has_type = match self.type_origin {
            TypeOrigin::Requested => intent.content_type == self.content_type,
            TypeOrigin::Guessed => true,
        };
        // The other rules differ only in what follows if an object is there.
        let may_replace = intent.if_exists == Some(IfExists::Overwrite);
        let may_now = matches!(self.if_exists, IfExists::Overwrite | IfExists::Update);
        let has_rule = !may_replace || may_now;
        has_rule
            && has_type
            && (self.metadata.is_empty() || intent.metadata == self.metadata)
            && (self.attributes.is_empty() || intent.attributes == self.attributes)
    }

    /// The request with the attributes of an upload that it continues.
    #[must_use]
    pub(super) fn with_attributes_of(self, intent: &Intent) -> Self {
        Self {
            content_type: intent.content_type.clone(),
            metadata: intent.metadata.clone(),
            attributes: intent.attributes.clone(),
            ..self
        }
    }
}

/// The origin of the name of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOrigin {
    /// The user named it. An upload with another name is not continued.
    Requested,
    /// It is the last component of the path. The upload of a file that was moved keeps the name
    /// that it began with.
    Path,
}

/// The origin of the content type of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeOrigin {
    /// The user named it. An upload with another type is not continued.
    Requested,
    /// It follows from the name of the file. An upload that was begun with another type keeps that.
    Guessed,
}

/// What to do about a source that changes while it is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    Fail,
    /// Begin a new upload, a few times at most.
    Restart,
}

/// What to do about a source that does not exist when it is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfGone {
    /// The user named it: fail.
    #[default]
    Fail,
    /// It was found in a directory and has been deleted since: fail.
    FailAsVanished,
    /// It was found in a directory and has been deleted since: leave it out.
    Skip,
}

/// When an upload counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// The backend has verified the object.
    Verified,
    /// The backend's hooks have accepted the object too, within this time.
    Ready(Option<Duration>),
    /// As `Ready` if the backend has hooks, otherwise as `Verified`.
    ReadyIfHooks(Option<Duration>),
}

impl WaitFor {
    /// Decides [`WaitFor::ReadyIfHooks`] for a backend.
    #[must_use]
    pub fn at(self, info: &BackendInfo) -> Self {
        match self {
            Self::ReadyIfHooks(limit) if info.hooks => Self::Ready(limit),
            Self::ReadyIfHooks(_) => Self::Verified,
            wait => wait,
        }
    }
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// The items that were found during the run.
    pub found: u64,
    pub completed: u64,
    /// The completed ones whose object existed before the run.
    pub already_stored: u64,
    /// Those of `already_stored` about which the store was not asked.
    pub from_journal: u64,
    /// The exit code of each failure.
    pub failures: Vec<u8>,
    /// Bytes of parts that were sent and acknowledged.
    pub bytes_sent: u64,
    /// Bytes that the store already had.
    pub bytes_skipped: u64,
    /// Those of them that the store has copied from earlier objects, in this run.
    pub bytes_copied: u64,
    /// `resume` can continue at least one of the failed uploads.
    pub resumable: bool,
}
