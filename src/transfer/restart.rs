//! A new upload in place of one of the same source that cannot be continued.
//!
//! Not here: the uploads that a `put` replaces when it starts (`start`).

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

use super::active_upload::{ActiveUpload, Stage, StartedBy};
use super::engine::Engine;
use crate::journal::{Part, Record, State};
use crate::source::{FileVersion, SourceFile};

/// How often a new upload may replace another one of the same source in one run.
pub(super) const MAX_RESTARTS: u32 = 3;

impl Engine<'_> {
    /// The error of an upload that may have been completed, if the backend cannot tell.
    pub(super) fn unconfirmed_completion(&self, upload: &ActiveUpload) -> Option<Error> {
        let may_be_completed =
            upload.upload.state == State::Completing && upload.stage() != Stage::Aborting;
        if !may_be_completed || self.backend.capabilities().durable {
            return None;
        }
        let id = upload.upload.id.as_ref()?;
        Some(self.backend.unconfirmed(id))
    }

    /// Replaces an upload that cannot be continued with a new one of the same source. The digests
    /// of an unchanged source are kept.
    ///
    /// # Errors
    /// [`Kind::Unconfirmed`] if the upload may have been completed and the backend cannot tell.
    pub(super) fn restart(&mut self, upload: &mut ActiveUpload) -> Result<()> {
        if let Some(error) = self.unconfirmed_completion(upload) {
            return Err(error);
        }
        if upload.restarts == MAX_RESTARTS {
            let has_changed = FileVersion::of(&upload.put.path)
                .is_none_or(|version| version != upload.upload.intent.version);
            let (kind, what, hint) = if has_changed {
                (
                    Kind::SourceChanged,
                    format!("the file has changed again after {MAX_RESTARTS} restarts"),
                    "wait until no program writes the file; then put it again",
                )
            } else {
                (
                    Kind::Other,
                    format!(
                        "the upload was started again {MAX_RESTARTS} times and ended each time"
                    ),
                    "make sure that nothing aborts its uploads; then put it again",
                )
            };
            return Err(Error::new(kind, what).with_hint(hint));
        }
        let source = SourceFile::open(&upload.put.path)?;
        let is_same = source.version() == upload.upload.intent.version;
        if upload.started_by == StartedBy::Resume && !is_same {
            let why = "it was modified or replaced";
            return Err(self.emit_changed(upload.item, &upload.upload, why));
        }
        // The store has no part of the new upload.
        let skipped = &mut self.summary.bytes_skipped;
        *skipped = skipped.saturating_sub(upload.resumed_bytes + upload.copies.bytes);
        let copied = &mut self.summary.bytes_copied;
        *copied = copied.saturating_sub(upload.copies.bytes);
        let intent = self.intent(&upload.put, &source)?;
        let is_replaced = !upload.upload.state.is_finished()
            || upload.stage() == Stage::Confirming
            || upload.digests_disproved;
        let replaced = is_replaced.then(|| upload.row());
        let recorded = self.committer.replace(replaced, intent)?;
        crash::point("transfer.restarted");
        self.cancel_tasks(upload);
        let put = upload.put.clone();
        let mut next = self.new_upload(upload.item, put, source, recorded)?;
        next.started_by = upload.started_by;
        next.restarts = upload.restarts + 1;
        next = next.with_base(upload.copies.take_base());
        let may_be_mapped = upload.watch.may_be_mapped();
        let has_writer = may_be_mapped || next.watch.may_be_mapped();
        self.note_writer(&mut next, has_writer);
        // Writes through a mapping need not change the version of the file.
        let may_differ = upload.digests_disproved || may_be_mapped;
        if is_same && next.plan == upload.plan && !may_differ {
            next.parts = upload.parts.digests_only();
            let row = next.row();
            for Part { number, sha256, .. } in next.parts.to_journal().into_values() {
                self.committer.record(Record::PartHashed {
                    row,
                    number,
                    sha256,
                });
            }
        }
        *upload = next;
        self.prepare(upload).map(drop)
    }
}
