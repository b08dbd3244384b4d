//! The checks of the sources of running uploads, and what follows from them.
//!
//! Not here: the decision about what a check has found (`source_watch`).

use std::time::Instant;

use upload_types::error::Result;

use super::active_upload::{ActiveUpload, Stage};
use super::engine::{Engine, Next};
use super::hashing;
use super::source_watch::{Finding, Observed};
use super::task::{TaskResult, UploadResult};
use super::transitions::Noticed;
use crate::journal::Record;

impl Engine<'_> {
    /// Checks the versions of the sources that are due.
    pub(super) fn check_versions(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        for upload in &mut self.uploads {
            if !is_watched(upload) || !upload.watch.start_version_check(now) {
                continue;
            }
            let (row, source) = (upload.row(), upload.source.clone());
            let task = self.tasks.spawn(async move {
                TaskResult::Upload(
                    row,
                    UploadResult::VersionChecked(hashing::observe(source).await),
                )
            });
            upload.keep_task(task);
        }
    }

    pub(super) fn on_version_checked(
        &mut self,
        upload: &mut ActiveUpload,
        observed: Option<Observed>,
    ) -> Result<Next> {
        upload.watch.end();
        // If the file system has failed, the next read reports it.
        let Some(observed) = observed else {
            return Ok(Next::Continue);
        };
        self.note_writer(upload, observed.has_writer);
        if !is_watched(upload) {
            return Ok(Next::Continue);
        }
        if observed.is_replaced {
            let why = "another file is at its path";
            return self.on_source_changed(upload, why, Noticed::WhileRunning);
        }
        match upload.watch.judge(observed.version) {
            Finding::OtherSize => {
                let why = "its size has changed";
                return self.on_source_changed(upload, why, Noticed::WhileRunning);
            }
            Finding::Touched if upload.stage() == Stage::Sending => self.start_early_check(upload),
            // In another stage, the digests are being compared.
            Finding::Unchanged | Finding::Touched => {}
        }
        Ok(Next::Continue)
    }

    /// Notes whether a process may write to the source. A suspicion is recorded, for later runs.
    pub(super) fn note_writer(&mut self, upload: &mut ActiveUpload, has_writer: bool) {
        upload.watch.note_writer(has_writer);
        let may_be_mapped = upload.watch.may_be_mapped() || upload.upload.may_be_mapped;
        self.record_mapping(upload, may_be_mapped);
    }

    /// Every part of the source was compared, and is the same.
    pub(super) fn on_compared(&mut self, upload: &mut ActiveUpload) {
        upload.watch.end_comparison(upload.source.has_writer());
        self.record_mapping(upload, upload.watch.may_be_mapped());
    }

    fn record_mapping(&mut self, upload: &mut ActiveUpload, may_be_mapped: bool) {
        if upload.upload.may_be_mapped == may_be_mapped {
            return;
        }
        upload.upload.may_be_mapped = may_be_mapped;
        let row = upload.row();
        self.committer
            .record(Record::MayBeMapped { row, may_be_mapped });
    }

    /// Compares the digests so far. A part that is hashed later belongs to the later state of the
    /// source.
    fn start_early_check(&mut self, upload: &mut ActiveUpload) {
        let parts = upload.known_digests();
        if parts.is_empty() {
            return;
        }
        upload.watch.start_content_check();
        let (row, source, read) = (upload.row(), upload.source.clone(), upload.start_rehash());
        let task = self.tasks.spawn(async move {
            let is_same = hashing::is_unchanged(source, parts, read).await;
            TaskResult::Upload(row, UploadResult::CheckedEarly(is_same))
        });
        upload.keep_task(task);
    }

    pub(super) fn on_checked_early(
        &mut self,
        upload: &mut ActiveUpload,
        is_same: Option<bool>,
    ) -> Result<Next> {
        upload.watch.end();
        match is_same {
            Some(false) if upload.stage() == Stage::Sending => {
                let why = "its content differs";
                self.on_source_changed(upload, why, Noticed::WhileRunning)
            }
            _ => Ok(Next::Continue),
        }
    }
}

/// Whether a change of the source ends the upload in its stage.
fn is_watched(upload: &ActiveUpload) -> bool {
    match upload.stage() {
        Stage::Sending | Stage::FinalCheck => true,
        Stage::Rehashing => !upload.upload.state.is_finished(),
        _ => false,
    }
}
