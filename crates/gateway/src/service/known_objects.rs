//! Finds, among many finished uploads, those whose objects are in the store's listing.
//!
//! Not here: the uploads that the listing does not confirm; their clients ask for the status
//! (`statuses`).

use super::batch::BatchCall;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::problem::{Refusal, ledger_failed};
use upload_types::UploadId;

/// The ids for which a call takes one permit of the rate.
const IDS_PER_PERMIT: usize = 256;

impl Service {
    /// For each id, whether the owner's upload is ready, and a listing that the store has sent for
    /// this call has its object as it was recorded. False if that is not known.
    ///
    /// # Errors
    /// `rate_limited`, `unavailable`.
    pub async fn find_present(
        &self,
        owner: &Owner,
        ids: Vec<BatchCall<UploadId>>,
    ) -> Result<Vec<bool>, Refusal> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.take_permits(owner, ids.len().div_ceil(IDS_PER_PERMIT))?;
        let mut is_present = vec![false; ids.len()];
        let (places, ids): (Vec<usize>, Vec<UploadId>) = ids
            .into_iter()
            .enumerate()
            .filter_map(|(place, id)| Some((place, id.ok()?)))
            .unzip();
        let recorded = self.ledger.recorded_objects(&owner.0, &ids).await;
        let recorded = recorded.map_err(ledger_failed)?;
        let known = places.into_iter().zip(&recorded);
        let known: Vec<_> = known
            .filter_map(|(place, object)| Some((place, object.as_ref()?)))
            .collect();
        let objects: Vec<_> = known.iter().map(|(_, object)| *object).collect();
        let listed = self.find_in_listing(&objects).await;
        for ((place, _), is_listed) in known.iter().zip(listed) {
            is_present[*place] = is_listed;
        }
        Ok(is_present)
    }
}
