//! The expected state of bucket and journal after each action.

use std::cell::RefCell;

use upload::journal::State;
use upload_types::UploadId;
use upload_types::wire::Receipt;

use super::state::{Case, ClientModel};
use crate::CheckResult;
use crate::bucket::Object;

impl ClientModel {
    /// Bytes of the current source on which journal and store agree; 0 if an agreed part has
    /// changed.
    pub(super) fn agreed_bytes(this: &RefCell<Self>, case: &RefCell<Case>) -> u64 {
        let (model, case) = (this.borrow(), case.borrow());
        let (contents, journal, now) = (
            model.bucket.contents(),
            case.journal(),
            case.source.lock().unwrap().current(),
        );
        let mut known = 0;
        for upload in journal
            .all()
            .unwrap()
            .into_iter()
            .filter(|upload| upload.state.is_unfinished())
        {
            for part in journal.parts(upload.row).unwrap() {
                let number = part.number.get();
                let stored = contents
                    .open
                    .iter()
                    .filter(|(id, _)| !case.lost_uploads.contains(*id))
                    .find_map(|(_, open)| {
                        let stored = open.parts.get(&number)?;
                        part.etag
                            .as_ref()
                            .is_some_and(|etag| etag.as_str() == stored.etag)
                            .then_some(stored)
                    });
                match (stored, now.get(number as usize - 1)) {
                    (Some(stored), Some(part)) if (stored.sha256, stored.size) == *part => {
                        known += stored.size;
                    }
                    (Some(_), _) => return 0,
                    (None, _) => {}
                }
            }
        }
        known
    }

    /// Conditions that hold after every action.
    pub(super) fn invariants(this: &RefCell<Self>, case: &RefCell<Case>) -> CheckResult {
        let (model, case) = (this.borrow(), case.borrow());
        let (contents, source) = (model.bucket.contents(), case.source.lock().unwrap());
        for (key, object) in &contents.created_objects {
            if !source.versions.contains(&object.content) {
                return Err(format!(
                    "an object differs from every version of the source: {key} {:?}",
                    object.content
                ));
            }
        }
        for version in &source.versions {
            let is_of_version = |(key, object): &(&String, &Object)| {
                object.content == *version && !case.lost_objects.contains(*key)
            };
            let count = contents.objects.iter().filter(is_of_version).count();
            if count > 1 {
                return Err(format!(
                    "{count} objects of one version: {:?}",
                    contents.objects
                ));
            }
        }
        Ok(())
    }

    /// Asserts that a completed upload has its object, a correct receipt, and a journal entry.
    pub(super) fn receipt(
        this: &RefCell<Self>,
        case: &RefCell<Case>,
        receipt: &Receipt,
        edited: bool,
    ) -> CheckResult {
        let (model, case) = (this.borrow(), case.borrow());
        let contents = model.bucket.contents();
        let object = contents
            .objects
            .get(receipt.key.as_str())
            .ok_or("completed without an object")?;
        let source = case.source.lock().unwrap();
        let size: u64 = object.content.iter().map(|(_, size)| size).sum();
        if !edited && object.content != source.current() {
            return Err("completed, but the object differs from the source".into());
        }
        if receipt.size != size
            || receipt
                .checksum
                .as_ref()
                .is_none_or(|checksum| checksum.as_str() != object.checksum)
        {
            return Err(format!("a receipt is wrong: {receipt:?} {object:?}"));
        }
        let id = receipt.id.as_ref().map_or("", UploadId::as_str);
        let records = case.journal().by_id(id).unwrap();
        let is_recorded = records
            .iter()
            .any(|upload| upload.state == State::Completed && upload.receipt.is_some());
        if is_recorded {
            Ok(())
        } else {
            Err("completed, but the journal does not record it".into())
        }
    }
}
