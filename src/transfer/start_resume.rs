//! Starting uploads of the journal for `resume`.
//!
//! Not here: sources that `put` names (`start`).

use std::path::Path;

use upload_types::error::Result;

use super::active_upload::{ActiveUpload, Stage, StartedBy};
use super::backend_calls::restore_state;
use super::engine::Engine;
use super::options::{IfGone, NameOrigin, OnChange, PutRequest, TypeOrigin};
use super::resume;
use super::start::Started;
use super::wait_ready::VerifiedUpload;
use super::whole_file::lacks_whole_sha256;
use crate::event::Stored;
use crate::journal::Upload;

impl Engine<'_> {
    /// Starts the upload of a `resume`.
    pub(super) fn start_resume(&mut self, item: usize, upload: &Upload) -> Result<Started> {
        restore_state(&self.backend, upload);
        if self.options.sha256 && lacks_whole_sha256(upload) {
            return self.completed_without_sha256(item, upload);
        }
        if let Some(completed) = completed(item, upload) {
            return Ok(completed);
        }
        // The user may have named a newer path than that of the journal.
        let path = upload.intent.path.clone();
        self.with_taken(upload, |engine, upload| {
            restore_state(&engine.backend, &upload);
            engine.resume_taken(item, upload, &path)
        })
    }

    fn resume_taken(&mut self, item: usize, upload: Upload, path: &Path) -> Result<Started> {
        if self.options.sha256 && lacks_whole_sha256(&upload) {
            return self.completed_without_sha256(item, &upload);
        }
        if let Some(completed) = completed(item, &upload) {
            return Ok(completed);
        }
        if let Some(error) = resume::not_resumable(upload.state) {
            return Err(error);
        }
        let source = self.open_source(item, path, &upload)?;
        let put = PutRequest {
            path: source.path().to_owned(),
            ..request_of(&upload)
        };
        if source.version().size != upload.intent.version.size {
            return Err(self.emit_changed(item, &upload, "its size has changed"));
        }
        let wanted = [(put.name.as_str(), source.path(), source.version())];
        let candidates = self.committer.candidates(&self.info.instance_id, &wanted)?;
        let base = self.base(&candidates.concat(), &source.version())?;
        let mut upload = self
            .continue_upload(item, put, source, upload)?
            .with_base(base);
        upload.started_by = StartedBy::Resume;
        Ok(Started::Upload(Box::new(upload)))
    }

    /// A completed upload of which the receipt lacks the SHA-256 of the whole file.
    fn completed_without_sha256(&mut self, item: usize, upload: &Upload) -> Result<Started> {
        let source = self.open_source(item, &upload.intent.path, upload)?;
        let put = PutRequest {
            path: source.path().to_owned(),
            ..request_of(upload)
        };
        if source.version().size != upload.intent.version.size {
            return Err(self.emit_changed(item, upload, "its size has changed"));
        }
        let parts = self.committer.parts(upload.row)?;
        let mut upload = upload.clone();
        self.record_path(item, &mut upload, source.path());
        let upload = ActiveUpload::new(item, put, source, upload, Stage::Rehashing)?;
        let mut upload = upload.with_parts(parts);
        upload.started_by = StartedBy::Resume;
        Ok(Started::Upload(Box::new(upload)))
    }
}

/// The request for the upload of the journal.
fn request_of(upload: &Upload) -> PutRequest {
    let intent = upload.intent.clone();
    PutRequest {
        path: intent.path,
        name: intent.name,
        name_origin: NameOrigin::Requested,
        content_type: intent.content_type,
        type_origin: TypeOrigin::Requested,
        metadata: intent.metadata,
        attributes: intent.attributes,
        key: intent.key,
        if_exists: intent.if_exists.unwrap_or_default(),
        part_size: Some(intent.part_size),
        force: false,
        trust_journal: false,
        on_change: OnChange::Fail,
        if_gone: IfGone::Fail,
        file_set: intent.file_set,
        begun_since: None,
    }
}

/// Returns `None` if the journal has no receipt of the upload.
fn completed(item: usize, upload: &Upload) -> Option<Started> {
    let verified = VerifiedUpload::recorded(item, &upload.intent.path, upload, Stored::Object)?;
    Some(Started::Completed(Box::new(verified)))
}
