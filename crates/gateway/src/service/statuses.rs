//! The statuses of several uploads. Objects that the store's listing does not confirm are checked
//! one by one.
//!
//! Not here: the listing (`store_listing`), and the status of one upload (`read`).

use std::collections::HashSet;

use futures_util::future::join_all;

use super::batch::BatchCall;
use super::lifecycle::is_complete;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::ledger::{RecordedObject, Upload};
use crate::problem::Refusal;
use upload_types::UploadId;
use upload_types::wire::{ObjectState, UploadStatus};

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
        let listed = self.listed_uploads(uploads.iter().flatten()).await;
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

    /// The uploads whose objects are in the store's listing as they were recorded.
    async fn listed_uploads(&self, uploads: impl Iterator<Item = &Upload>) -> HashSet<UploadId> {
        let recorded = uploads.filter_map(|upload| Some((&upload.id, recorded_object(upload)?)));
        let (ids, objects): (Vec<_>, Vec<_>) = recorded.unzip();
        let listed = self
            .find_in_listing(&objects.iter().collect::<Vec<_>>())
            .await;
        let listed = ids.into_iter().zip(listed);
        let listed = listed.filter(|(_, is_listed)| *is_listed);
        listed.map(|(id, _)| id.clone()).collect()
    }
}

/// The object of a complete upload, unless that of another upload has taken its key.
fn recorded_object(upload: &Upload) -> Option<RecordedObject> {
    let receipt = upload.receipt.as_ref()?;
    let is_its_own = is_complete(upload.state) && !upload.is_replaced;
    is_its_own.then(|| RecordedObject {
        key: upload.key.clone(),
        size: upload.plan.size(),
        etag: receipt.etag.clone(),
    })
}
