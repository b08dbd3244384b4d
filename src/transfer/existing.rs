//! An object at the key of an upload: what `--if-exists` says about it, and an upload of another
//! process at the same key.
//!
//! Not here: the comparison of the content (`comparison`).

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use upload_types::error::{Error, Kind, Result};
use upload_types::plan::Plan;
use upload_types::wire::{ExistingObject, IfExists, Receipt};

use super::active_upload::{ActiveUpload, Stage};
use super::blocked::Earlier;
use super::comparison::{Comparison, Cut, Facts, Verdict, hash_ranges, receipt_of_existing};
use super::deadline::WaitingFor;
use super::engine::{Engine, Next};
use super::options::{OnChange, PutRequest, TypeOrigin};
use super::task::{SourceDigests, UploadResult};
use super::wait_ready::VerifiedUpload;
use crate::backend::EXISTS_HINT;
use crate::event::Event;
use crate::journal::{Record, State};

const UNKNOWN_CONTENT: &str = "exists in the store, and its content cannot be compared: the store \
     has no SHA-256 of it, or does not report its parts";
/// The access list among the differences of an object.
const UNKNOWN_ACCESS_LIST: &str = "acl, which cannot be compared";
/// The name of the content type among the differences of an object.
const CONTENT_TYPE: &str = "content-type";

impl Engine<'_> {
    /// The backend did not begin or complete an upload, because an object is at its key.
    pub(super) fn on_exists(&mut self, upload: &mut ActiveUpload, error: Error) -> Result<Next> {
        self.last_success = Instant::now();
        let Some(existing) = error.existing().cloned() else {
            if upload.stage() == Stage::Completing {
                // It has disappeared again.
                return Ok(Next::Restart);
            }
            self.abandon(upload);
            return Err(error);
        };
        let rule = upload.put.if_exists;
        let began_with = upload.upload.intent.if_exists;
        match rule {
            // It began with another rule, in an earlier run.
            IfExists::Overwrite if began_with != Some(IfExists::Overwrite) => Ok(Next::Restart),
            IfExists::Skip => {
                self.abandon(upload);
                Ok(Next::Skip(Box::new(existing)))
            }
            IfExists::Fail => {
                self.abandon(upload);
                let what = format!("exists in the store already{}", uploaded(&existing));
                Err(exists(upload, &what))
            }
            IfExists::Same | IfExists::Update | IfExists::Overwrite => {
                match Comparison::with(&existing, &upload.plan) {
                    Comparison::Parts(_) => {
                        upload.existing = Some(Box::new(existing));
                        self.move_to(upload, Stage::Comparing)
                    }
                    Comparison::OtherSize => {
                        self.on_other_object(upload, &other_content(&existing))
                    }
                    Comparison::Impossible => self.on_other_object(upload, UNKNOWN_CONTENT),
                }
            }
        }
    }

    /// Another unfinished upload has the key: waits until it has ended, for as long as the run may
    /// go without progress.
    pub(super) fn on_key_in_use(
        &mut self,
        upload: &mut ActiveUpload,
        error: Error,
    ) -> Result<Next> {
        let now = Instant::now();
        let (since, earlier) = self.blocked.note(upload.item, now);
        if self
            .options
            .give_up
            .is_due(now, since, WaitingFor::Progress)
        {
            return Err(error);
        }
        if earlier != Earlier::Same {
            self.committer.emit(Event::Blocked {
                item: upload.item,
                upload: None,
                path: upload.path(),
                message: error.to_string(),
                is_first: earlier == Earlier::None,
            });
        }
        // Waiting for another process is no failure to make progress.
        if self.has_no_uploads() {
            self.last_success = now;
        }
        let wait = self.retry_delay(upload, error)?;
        self.call_after(upload, wait)?;
        Ok(Next::Continue)
    }

    /// The task that hashes a source to compare it with the object at its key.
    pub(super) fn hash_for_comparison(
        &self,
        upload: &mut ActiveUpload,
    ) -> impl Future<Output = UploadResult> + Send + 'static + use<> {
        let ranges = cut_of(upload).map_or_else(Vec::new, |cut| cut.ranges);
        // A process may have changed the source without a new version since it was hashed.
        let known = if upload.watch.may_be_mapped() {
            Vec::new()
        } else {
            upload.known_digests()
        };
        let with_whole = self.options.sha256 && ranges.len() > 1;
        let (source, read) = (upload.source.clone(), upload.start_rehash());
        async move {
            UploadResult::Compared(
                hash_ranges(source, ranges, known, with_whole, Arc::clone(&read)).await,
            )
        }
    }

    /// The digests of a source, for the parts of the object at its key.
    pub(super) fn on_compared_content(
        &mut self,
        upload: &mut ActiveUpload,
        digests: &SourceDigests,
    ) -> Result<Next> {
        self.last_success = Instant::now();
        if upload.source.current_version()? != upload.upload.intent.version {
            let why =
                "it was modified or replaced while it was compared with the object at its key";
            let error = self.emit_changed(upload.item, &upload.upload, why);
            if upload.put.on_change == OnChange::Restart {
                return Ok(Next::Restart);
            }
            self.abandon(upload);
            return Err(error);
        }
        let (Some(cut), Some(existing)) = (cut_of(upload), upload.existing.take()) else {
            let what = "the object at the key is no longer known";
            return Err(Error::new(Kind::Other, what));
        };
        let checksum = existing.checksum.as_ref();
        let verdict = checksum.map(|checksum| cut.verdict(checksum, &digests.parts));
        let other_attributes = other_attributes(&upload.put, &existing);
        match verdict {
            Some(Verdict::Same) if !other_attributes.is_empty() => {
                let what = format!(
                    "exists in the store with the same content and other attributes ({}){}",
                    other_attributes.join(", "),
                    uploaded(&existing)
                );
                self.on_other_object(upload, &what)
            }
            Some(Verdict::Same) => {
                let facts = Facts {
                    backend: &self.options.backend,
                    instance_id: &self.info.instance_id,
                    name: &upload.upload.intent.name,
                    now: Timestamp::now(),
                };
                let receipt = receipt_of_existing(&existing, &cut, digests, &facts);
                if !self.adopt(upload, &cut, digests, &receipt) {
                    self.abandon(upload);
                }
                self.emit_plan_of_stored(upload);
                Ok(Next::SameContent(Box::new(receipt)))
            }
            Some(Verdict::Other) => self.on_other_object(upload, &other_content(&existing)),
            Some(Verdict::Unknown) | None => self.on_other_object(upload, UNKNOWN_CONTENT),
        }
    }

    /// Records the finished upload of the owner that made the object as that of this source.
    /// Returns false if it is not known, or if another upload was begun in its place.
    fn adopt(
        &mut self,
        upload: &mut ActiveUpload,
        cut: &Cut,
        digests: &SourceDigests,
        receipt: &Receipt,
    ) -> bool {
        let (Some(id), Some(part_size)) = (&receipt.id, cut.part_size()) else {
            return false;
        };
        let part_size = part_size.max(1);
        let plan = Plan::pinned(receipt.size, part_size);
        let Some(plan) = plan.ok().filter(|plan| plan.count() == receipt.parts) else {
            return false;
        };
        if upload.upload.state != State::Creating {
            return false;
        }
        let row = upload.row();
        self.committer.record(Record::DigestsForgotten { row });
        self.committer.record(Record::Begun {
            row,
            id: id.clone(),
            part_size,
            backend_state: None,
        });
        for ((number, _), sha256) in plan.parts().zip(&digests.parts) {
            self.committer.record(Record::PartHashed {
                row,
                number,
                sha256: *sha256,
            });
            // The ETags of its parts are not known, and nothing compares those of a finished
            // upload.
            let etag = receipt.etag.clone();
            self.committer
                .record(Record::PartStored { row, number, etag });
        }
        self.committer.record(Record::Completed {
            row,
            receipt: Box::new(receipt.clone()),
        });
        upload.upload.id = Some(id.clone());
        upload.upload.state = State::Completed;
        upload.plan = plan;
        true
    }

    /// The object at the key of an upload is not what the upload would make. `what` follows the
    /// path of the source.
    fn on_other_object(&mut self, upload: &mut ActiveUpload, what: &str) -> Result<Next> {
        if upload.put.if_exists == IfExists::Update {
            // It begins again, with an upload that replaces the object.
            upload.put.if_exists = IfExists::Overwrite;
            return Ok(Next::Restart);
        }
        self.abandon(upload);
        if upload.put.if_exists == IfExists::Overwrite {
            let what = format!(
                "{}: another program has put an object at its key meanwhile; it was not replaced",
                upload.path()
            );
            let hint = "to replace that object too, run the command again";
            return Err(Error::new(Kind::Exists, what).with_hint(hint));
        }
        Err(exists(upload, what))
    }

    fn abandon(&mut self, upload: &ActiveUpload) {
        let row = upload.row();
        self.committer.record(Record::Abandoned { row });
    }

    /// Reports an object that was there before.
    pub(super) fn on_same_content(&mut self, upload: &ActiveUpload, receipt: Box<Receipt>) {
        let is_adopted = upload.upload.state == State::Completed;
        if let (true, Some(id)) = (is_adopted, receipt.id.clone()) {
            // The hooks of the backend may not have accepted it yet.
            return self.on_object_verified(VerifiedUpload {
                item: upload.item,
                row: upload.row(),
                path: upload.path(),
                id,
                receipt,
                already: true,
                plan: None,
            });
        }
        self.summary.completed += 1;
        self.summary.already_stored += 1;
        self.committer.emit(Event::Completed {
            item: upload.item,
            upload: receipt.id.clone(),
            path: upload.path(),
            already_stored: true,
            from_journal: false,
            receipt,
        });
    }

    /// Reports a source that was left out.
    pub(super) fn report_kept(&mut self, upload: &ActiveUpload, existing: &ExistingObject) {
        self.committer
            .emit(Event::kept(upload.item, upload.path(), existing));
    }
}

/// The names of what the user requests and the object at the key does not have.
fn other_attributes<'a>(put: &PutRequest, existing: &'a ExistingObject) -> Vec<&'a str> {
    // A content type that was guessed is no request.
    let has_type = put.type_origin == TypeOrigin::Requested;
    let differs = existing.differs.iter().map(String::as_str);
    // Stores do not report access lists.
    let acl = put.attributes.acl.iter().map(|_| UNKNOWN_ACCESS_LIST);
    differs
        .filter(|name| has_type || *name != CONTENT_TYPE)
        .chain(acl)
        .collect()
}

fn other_content(existing: &ExistingObject) -> String {
    let uploaded = uploaded(existing);
    format!("exists in the store with other content{uploaded}")
}

/// How the object at the key of an upload was cut. `None` if it cannot be compared.
fn cut_of(upload: &ActiveUpload) -> Option<Cut> {
    let existing = upload.existing.as_ref()?;
    match Comparison::with(existing, &upload.plan) {
        Comparison::Parts(cut) => Some(cut),
        Comparison::OtherSize | Comparison::Impossible => None,
    }
}

/// The error of an object at the key of an upload. `what` follows the path of the source.
fn exists(upload: &ActiveUpload, what: &str) -> Error {
    let what = format!("{} {what}", upload.path());
    Error::new(Kind::Exists, what).with_hint(EXISTS_HINT)
}

/// When an object was uploaded, to follow other words. Empty if the store does not report it.
pub fn uploaded(existing: &ExistingObject) -> String {
    existing.modified.map_or_else(String::new, |time| {
        format!(" (uploaded {})", time.strftime("%-d %b %Y"))
    })
}
