//! The survey: a walk over the objects below the gateway's prefix, a few pages with each sweep,
//! which compares them with the ledger. The ledger has the position, for all gateways together.
//!
//! An object of an upload that has ended is removed, however late it arrived. The quota follows the
//! store: an object that the store no longer has, or has again, is counted accordingly. An object
//! with other bytes than those that were verified is reported, and never changed.
//!
//! Not here: multipart uploads (`sweep`), which no listing of objects contains.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;

use super::lifecycle::is_complete;
use super::read::is_recorded;
use super::shared_state::Service;
use super::sweep::{MAX_CONCURRENT_UPLOADS, SURVEY_PAGES_PER_SWEEP};
use crate::hooks::Disposal;
use crate::key_patterns::ClientKeys;
use crate::ledger::{LedgerError, SurveyPage, SurveyedKeys, SurveyedUpload};
use crate::metrics::{Difference, metrics};
use crate::problem::{
    Refusal, ledger_failed, report_ledger_error, report_store_fault, store_failed,
};
use crate::time::after;
use upload_s3::{Fault, ListedObject};
use upload_types::Key;

/// The time between two walks.
const SURVEY_INTERVAL: Duration = Duration::from_hours(24);
/// The folder of all objects whose keys the gateway has made.
const FOLDER: &str = "uploads/";

/// The conclusion from an upload and the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    AsRecorded,
    /// The upload has ended, and its object is there.
    Returned,
    /// Bytes are counted for an object that is not listed.
    NotListed,
    /// The listed object has this many bytes, and others are counted.
    Held(u64),
    /// Like `Held`, and the object has other bytes than those that were verified.
    Replaced(u64),
}

impl Service {
    /// Compares at most `max_pages` pages of objects with the ledger, if they are due. Returns true
    /// if there are no more pages at this time.
    ///
    /// # Errors
    /// `store_unavailable`, `unavailable`. A later call repeats the page.
    pub async fn survey_objects(&self, max_pages: usize) -> Result<bool, Refusal> {
        for _ in 0..max_pages {
            let now = self.now();
            let until = self.config().lease_terms.renewed(now).lease_until;
            let page = self.ledger.take_survey_page(now, until).await;
            let Some(page) = page.map_err(ledger_failed)? else {
                return Ok(true);
            };
            self.survey_page(&page).await?;
        }
        Ok(false)
    }

    /// Compares all objects with the ledger, from the beginning.
    ///
    /// # Errors
    /// As [`Service::survey_objects`].
    pub async fn survey_all(&self) -> Result<(), Refusal> {
        self.ledger.restart_survey().await.map_err(ledger_failed)?;
        while !self.survey_objects(SURVEY_PAGES_PER_SWEEP).await? {}
        Ok(())
    }

    async fn survey_page(&self, page: &SurveyPage) -> Result<(), Refusal> {
        let after_key = page.after_key.as_str();
        let (folder, keys) = match self.config().client_keys {
            // Objects of other programs are listed too.
            ClientKeys::ByPattern => ("", SurveyedKeys::All),
            // A gateway of one owner has no quota, and its bucket may have many other objects.
            ClientKeys::None | ClientKeys::All => (FOLDER, SurveyedKeys::Made),
        };
        let listed = self.store.list_objects_after(folder, after_key).await;
        let listed = listed.map_err(|fault| store_failed("list objects", &fault))?;
        let page_end = listed.last_key.filter(|_| listed.is_truncated);
        let uploads = self
            .ledger
            .uploads_with_objects(after_key, page_end.as_deref(), keys)
            .await;
        let (uploads, has_more) = uploads.map_err(ledger_failed)?;
        let last_upload = uploads.last().map(|row| row.upload.key.to_string());
        let next = last_upload.filter(|_| has_more).or(page_end);
        iter(uploads)
            .for_each_concurrent(MAX_CONCURRENT_UPLOADS, async |row| {
                let object = listed.objects.get(&row.upload.key);
                let finding = match find(&row, object) {
                    // At a chosen key, the object may belong to another program.
                    Finding::Returned if row.upload.chosen.is_some() => {
                        self.returned_at_chosen_key(&row).await
                    }
                    finding => finding,
                };
                self.act_on(&row, finding).await;
            })
            .await;
        let due = match next {
            Some(_) => self.now(),
            None => after(self.now(), SURVEY_INTERVAL),
        };
        let next = next.unwrap_or_default();
        let finished = self.ledger.finish_survey_page(page, &next, due).await;
        finished.map(drop).map_err(ledger_failed)
    }

    /// Whether the object at a chosen key belongs to an upload that has ended.
    async fn returned_at_chosen_key(&self, row: &SurveyedUpload) -> Finding {
        let _permit = self.store_calls.acquire().await;
        match self.find_own_object(&row.upload).await {
            Ok(Some(_)) => Finding::Returned,
            Ok(None) => Finding::AsRecorded,
            Err(fault) => {
                report_store_fault("look for an object", &fault);
                Finding::AsRecorded
            }
        }
    }

    /// Failures are logged, and repeated by the next walk.
    async fn act_on(&self, row: &SurveyedUpload, finding: Finding) {
        let (id, key) = (&row.upload.id, &row.upload.key);
        let recorded = match finding {
            Finding::AsRecorded => return,
            Finding::Returned => {
                tracing::warn!(%id, %key, "object of an ended upload found: it is removed");
                metrics().record_difference(Difference::Returned);
                self.ledger.schedule_cleanup(id, self.now()).await
            }
            Finding::NotListed => self.free_if_missing(row).await,
            Finding::Held(bytes) => self.set_held(row, bytes).await,
            Finding::Replaced(bytes) => {
                tracing::warn!(
                    %id, %key, bytes,
                    "object has other bytes than those that were verified: it was written again"
                );
                metrics().record_difference(Difference::Replaced);
                self.set_held(row, bytes).await
            }
        };
        if let Err(error) = recorded {
            report_ledger_error(&error);
        }
    }

    /// Counts an object no longer if it does not exist. A listing proves nothing: some stores list
    /// new objects late.
    async fn free_if_missing(&self, row: &SurveyedUpload) -> Result<(), LedgerError> {
        let key = row.upload.quarantine_key();
        let key = key.as_ref().unwrap_or(&row.upload.key);
        match self.exists(key).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::info!(
                    id = %row.upload.id, %key, bytes = row.held_bytes,
                    "store no longer has the object: its bytes are not counted any more"
                );
                metrics().record_difference(Difference::Missing);
                self.set_held(row, 0).await
            }
            Err(fault) => {
                report_store_fault("look for an object", &fault);
                Ok(())
            }
        }
    }

    async fn exists(&self, key: &Key) -> Result<bool, Fault> {
        let _permit = self.store_calls.acquire().await;
        Ok(self.store.head(key).await?.is_some())
    }

    async fn set_held(&self, row: &SurveyedUpload, bytes: u64) -> Result<(), LedgerError> {
        if bytes == row.held_bytes {
            return Ok(());
        }
        let set = self
            .ledger
            .set_held_bytes(&row.upload.id, row.held_bytes, bytes);
        // If the bytes have changed in the meantime, the next walk compares them again.
        set.await.map(drop)
    }
}

/// Compares an upload with the object that the store lists at its key.
fn find(row: &SurveyedUpload, object: Option<&ListedObject>) -> Finding {
    let upload = &row.upload;
    let disposal = upload.rejection.as_ref().map(|it| &it.disposal);
    let may_have_object = is_complete(upload.state) || disposal == Some(&Disposal::Keep);
    match object {
        None if row.held_bytes > 0 => Finding::NotListed,
        None => Finding::AsRecorded,
        Some(object) if may_have_object => {
            if is_complete(upload.state) && !is_recorded(upload, object.size, &object.etag) {
                Finding::Replaced(object.size)
            } else if object.size == row.held_bytes {
                Finding::AsRecorded
            } else {
                Finding::Held(object.size)
            }
        }
        Some(_) if row.has_cleanup || row.is_object_kept => Finding::AsRecorded,
        Some(_) => Finding::Returned,
    }
}
