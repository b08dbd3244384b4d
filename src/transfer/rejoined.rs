//! The upload after a rejoin, which claims the lease and lists the stored parts after an
//! interruption: which parts the store has, and which are sent.
//!
//! Not here: the calls of a rejoin (`backend_calls`), and the comparison of journal and store
//! (`resume`).

use std::time::Instant;

use upload_types::crash;
use upload_types::error::Result;
use upload_types::wire::StoredPart;
use upload_types::{ByteRange, PartNumber};

use super::active_upload::ActiveUpload;
use super::engine::{Engine, Next};
use super::hashing;
use super::part_queue::PartQueue;
use super::resume;
use super::task::{Rejoined, UploadResult};
use crate::journal::Record;
use crate::source::WithMd5;

impl Engine<'_> {
    /// The backend has sent the state of an upload that has begun.
    pub(super) fn on_rejoined(
        &mut self,
        upload: &mut ActiveUpload,
        rejoined: Rejoined,
    ) -> Result<Next> {
        crash::point("transfer.rejoined");
        self.last_success = Instant::now();
        let is_first = upload.queue_generation == 0 && !upload.was_found_verified;
        match rejoined {
            Rejoined::Running { epoch, stored } => {
                upload.epoch = epoch;
                self.send_missing(upload, &stored);
                if is_first {
                    self.emit_plan(upload);
                }
                Ok(Next::Continue)
            }
            Rejoined::Verified(receipt) => {
                upload.was_found_verified = true;
                if is_first {
                    upload.resumed_bytes = upload.plan.size();
                    self.summary.bytes_skipped += upload.plan.size();
                    self.emit_plan(upload);
                }
                // If a process with another journal completed it, this one has not hashed every
                // part.
                let unhashed: Vec<(PartNumber, ByteRange)> = upload
                    .plan
                    .parts()
                    .filter(|(number, _)| upload.parts.sha256(*number).is_none())
                    .collect();
                if self.needs_whole_sha256(upload) {
                    let hashed = Self::hash_whole(upload, Some(receipt));
                    self.defer(upload, hashed);
                    return Ok(Next::Continue);
                }
                if unhashed.is_empty() {
                    return self.on_receipt(upload, *receipt);
                }
                let (source, read) = (upload.source.clone(), upload.start_rehash());
                self.defer(upload, async move {
                    let hashed = hashing::hash_all(source, unhashed, read).await;
                    UploadResult::HashedForReceipt(receipt, hashed)
                });
                Ok(Next::Continue)
            }
        }
    }

    /// Starts to send the parts that the store does not have.
    pub(super) fn send_missing(&mut self, upload: &mut ActiveUpload, stored: &[StoredPart]) {
        let journal = upload.parts.to_journal();
        let agreed = resume::agreed_parts(&upload.plan, journal.values(), stored);
        upload.parts.clear_etags();
        upload.confirmed_bytes = 0;
        let row = upload.row();
        for (number, _, etag) in agreed {
            upload.confirmed_bytes += upload.part_len(number);
            let recorded = journal.get(&number).and_then(|part| part.etag.as_ref());
            if recorded != Some(&etag) {
                let etag = etag.clone();
                self.committer
                    .record(Record::PartStored { row, number, etag });
            }
            upload.parts.set_stored(number, etag);
        }
        // The object of a single PUT whose response was lost has the upload's token, so its bytes
        // are those that were signed.
        if let ([only], true) = (stored, upload.plan.is_single()) {
            self.adopt_single(upload, only);
        }
        let is_stored = |number: PartNumber| upload.parts.etag(number).is_some();
        let numbers = upload.plan.parts().map(|(number, _)| number);
        let missing = numbers.filter(|number| !is_stored(*number));
        // The journal has no MD5: if the store wants one, the part is hashed again.
        let needs_md5 = self.with_md5() == WithMd5::Yes;
        let is_hashed = |number: &PartNumber| {
            let has_md5 = !needs_md5 || upload.parts.md5(*number).is_some();
            has_md5 && upload.parts.sha256(*number).is_some()
        };
        let (to_sign, to_hash): (Vec<_>, Vec<_>) = missing.partition(is_hashed);
        let hashed: u64 = to_sign.iter().map(|number| upload.part_len(*number)).sum();
        upload.hashed_bytes = upload.confirmed_bytes + hashed;
        // After the first time, the parts that the store has were sent by this run.
        if upload.queue_generation == 0 {
            self.summary.bytes_skipped += upload.confirmed_bytes;
            upload.resumed_bytes = upload.confirmed_bytes;
        }
        self.cancel_tasks(upload);
        upload.start_queue(PartQueue::new(to_hash, to_sign));
    }

    /// Takes over the only part of a single PUT if the store keeps no SHA-256 to compare.
    fn adopt_single(&mut self, upload: &mut ActiveUpload, stored: &StoredPart) {
        let number = stored.number;
        let fits = number == PartNumber::FIRST
            && stored.size == upload.part_len(number)
            && stored.sha256.is_none();
        let is_open = upload.parts.sha256(number).is_some() && upload.parts.etag(number).is_none();
        if fits && is_open {
            let etag = stored.etag.clone();
            let row = upload.row();
            upload.parts.set_stored(number, etag.clone());
            upload.confirmed_bytes = stored.size;
            self.committer
                .record(Record::PartStored { row, number, etag });
        }
    }
}
