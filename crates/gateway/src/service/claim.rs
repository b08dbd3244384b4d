//! Claim: gives the lease of an upload to a holder.
//!
//! Not here: the decision (`lease`), and the compare-and-set that records it (`ledger`).

use super::lifecycle::is_gone;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::lease::{self, ClaimDecision, Lease};
use crate::ledger::Upload;
use crate::problem::{Refusal, ledger_failed};
use crate::validation;
use upload_types::crash;
use upload_types::wire::{ClaimRequest, ClaimResponse, Code};

/// A claim is tried again if another call has changed the lease in the meantime.
const MAX_CLAIM_ATTEMPTS: usize = 8;

impl Service {
    /// Gives the lease of the upload to a holder.
    ///
    /// # Errors
    /// `lease_held`, `lease_lost`, `rate_limited`, `gone`, `not_found`.
    pub async fn claim(
        &self,
        owner: &Owner,
        id: &str,
        request: ClaimRequest,
    ) -> Result<ClaimResponse, Refusal> {
        validation::check_word("the holder", &request.holder)?;
        self.take_permits(owner, 1)?;
        let upload = self.find_upload(owner, id).await?;
        if is_gone(upload.state) {
            return Err(Refusal::new(Code::Gone));
        }
        let epoch = self.set_holder(upload, &request).await?;
        Ok(ClaimResponse { epoch })
    }

    /// Decides a claim and records it. Returns the epoch of the holder.
    pub(super) async fn set_holder(
        &self,
        mut upload: Upload,
        request: &ClaimRequest,
    ) -> Result<u64, Refusal> {
        for _ in 0..MAX_CLAIM_ATTEMPTS {
            let now = self.now();
            let epoch = match lease::decide(now, &upload.lease, request) {
                ClaimDecision::Held { seconds } => {
                    return Err(Refusal::retry_after(Code::LeaseHeld, seconds));
                }
                ClaimDecision::Lost => return Err(Refusal::new(Code::LeaseLost)),
                ClaimDecision::Granted { epoch } => epoch,
            };
            let renewed = self.config().lease_terms.renewed(now);
            let new = Lease {
                holder: Some(request.holder.clone()),
                epoch,
                until: renewed.lease_until,
            };
            let is_set = self
                .ledger
                .set_lease(&upload.id, upload.lease.clone(), new, renewed.expires_at)
                .await
                .map_err(ledger_failed)?;
            if is_set {
                crash::point("gateway.claim.granted");
                return Ok(epoch);
            }
            upload = self.reload(&upload).await?;
            if is_gone(upload.state) {
                return Err(Refusal::new(Code::Gone));
            }
        }
        Err(Refusal::retry_after(Code::Busy, 1))
    }
}
