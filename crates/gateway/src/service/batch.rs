//! Batch: runs the begins and completes of several uploads concurrently, so that the ledger commits
//! them together.
//!
//! Not here: the calls themselves (`begin`, `complete`), which do not depend on each other. Their
//! limits on requests to the store apply here too.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{join, join_all};

use super::begin::Begun;
use super::completion::CompleteResult;
use super::shared_state::Service;
use crate::auth::Owner;
use crate::problem::Refusal;
use upload_types::wire::{BatchBegin, BatchComplete, BeginRequest};

/// A call of a batch, or its refusal if it does not parse.
pub type BatchCall<T> = Result<T, Refusal>;

impl Service {
    /// Runs each call as [`Service::begin`] or [`Service::complete`] does. The results have the
    /// order of the calls. Begins with the same idempotency key run one after the other, so that
    /// later ones return the upload of the first one.
    pub async fn batch(
        self: &Arc<Self>,
        owner: &Owner,
        begins: Vec<BatchCall<BatchBegin>>,
        completes: Vec<BatchCall<BatchComplete>>,
    ) -> (Vec<Result<Begun, Refusal>>, Vec<CompleteResult>) {
        let completes = completes.into_iter().map(async |call| {
            let call = call?;
            self.complete(owner, call.id.as_str(), call.request).await
        });
        join(self.begin_all(owner, begins), join_all(completes)).await
    }

    async fn begin_all(
        self: &Arc<Self>,
        owner: &Owner,
        calls: Vec<BatchCall<BatchBegin>>,
    ) -> Vec<Result<Begun, Refusal>> {
        let mut invalid = Vec::new();
        let mut by_key: BTreeMap<String, Vec<(usize, BeginRequest)>> = BTreeMap::new();
        for (index, call) in calls.into_iter().enumerate() {
            match call {
                Ok(call) => by_key
                    .entry(call.idempotency_key)
                    .or_default()
                    .push((index, call.request)),
                Err(refusal) => invalid.push((index, Err(refusal))),
            }
        }
        let begins = join_all(by_key.into_iter().map(async |(key, requests)| {
            let mut results = Vec::with_capacity(requests.len());
            for (index, request) in requests {
                results.push((index, self.begin(owner, &key, request).await));
            }
            results
        }));
        let mut results: Vec<_> = begins.await.into_iter().flatten().chain(invalid).collect();
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
