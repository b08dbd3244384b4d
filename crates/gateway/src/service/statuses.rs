//! The statuses of several uploads. Pages of the store's listing confirm most of their objects, so
//! that a tree of files costs a few requests to the store instead of one for each file.
//!
//! Not here: the status of one upload (`read`).

use std::collections::{BTreeMap, HashSet};

use futures_util::future::join_all;

use super::batch::BatchCall;
use super::lifecycle::is_complete;
use super::read::is_recorded;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::ledger::Upload;
use crate::problem::Refusal;
use upload_types::UploadId;
use upload_types::wire::{ObjectState, UploadStatus};

/// A page of the listing must confirm this many objects, otherwise they are checked one by one.
const MIN_LISTED: usize = 4;

impl Service {
    /// The status of each upload, as [`Service::status`] returns it, in the order of the ids.
    pub async fn statuses(
        &self,
        owner: &Owner,
        ids: Vec<BatchCall<UploadId>>,
    ) -> Vec<Result<UploadStatus, Refusal>> {
        let uploads = ids.into_iter().map(async |id| {
            let id = id?;
            self.take_permits(owner, 1)?;
            self.find_upload(owner, id.as_str()).await
        });
        let uploads = join_all(uploads).await;
        let complete = uploads.iter().flatten();
        let complete = complete.filter(|upload| is_complete(upload.state));
        let listed = self.listed_objects(complete.collect()).await;
        let statuses = uploads.into_iter().map(async |upload| {
            let upload = upload?;
            let object = if !is_complete(upload.state) {
                None
            } else if listed.contains(&upload.id) {
                Some(ObjectState::Present)
            } else {
                let _permit = self.store_calls.acquire().await;
                Some(self.object_state(&upload).await?)
            };
            Ok(UploadStatus {
                object,
                ..self.describe(upload)
            })
        });
        join_all(statuses).await
    }

    /// The uploads whose objects are in the store's listing with the recorded size and `ETag`. The
    /// listing decides nothing about the others: some stores list new objects late.
    async fn listed_objects(&self, uploads: Vec<&Upload>) -> HashSet<UploadId> {
        let mut by_folder: BTreeMap<String, Vec<&Upload>> = BTreeMap::new();
        for upload in uploads {
            if let Some((folder, _)) = upload.key.as_str().rsplit_once('/') {
                by_folder
                    .entry(format!("{folder}/"))
                    .or_default()
                    .push(upload);
            }
        }
        let mut listed = HashSet::new();
        for (folder, mut uploads) in by_folder {
            uploads.sort_by(|one, other| one.key.cmp(&other.key));
            let mut rest = uploads.as_slice();
            while rest.len() >= MIN_LISTED {
                let _permit = self.store_calls.acquire().await;
                let page = match self.store.list_objects(&folder, &rest[0].key).await {
                    Ok(page) => page,
                    Err(fault) => {
                        tracing::debug!(?fault, "could not list objects: checking each");
                        break;
                    }
                };
                let last = page.objects.last_key_value().map(|(key, _)| key);
                let is_on_page = |upload: &&Upload| {
                    !page.is_truncated || last.is_some_and(|last| upload.key <= *last)
                };
                let (on_page, others) = rest.split_at(rest.partition_point(is_on_page));
                let confirmed = on_page.iter().filter(|upload| {
                    let object = page.objects.get(&upload.key);
                    object.is_some_and(|object| is_recorded(upload, object.size, &object.etag))
                });
                let before = listed.len();
                listed.extend(confirmed.map(|upload| upload.id.clone()));
                if listed.len() - before < MIN_LISTED {
                    break;
                }
                rest = others;
            }
        }
        listed
    }
}
