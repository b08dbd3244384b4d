//! Batch: begins and completes of many uploads at the same time, so that the ledger commits them together.
//!
//! Border: what each call does is `begin` and `complete`, and none knows of its neighbours; their bounds on questions to the
//! store hold here too.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{join, join_all};

use super::{Completion, Service};
use crate::auth::Owner;
use crate::problem::Refusal;
use upload_types::wire::{BatchBegin, BatchComplete, BeginResponse};

/// What could be read of a call, or why it could not.
pub type Call<T> = Result<T, Refusal>;

impl Service {
    /// Begins and completes uploads as [`Service::begin`] and [`Service::complete`] do each alone; the answers in the order
    /// asked. Begins under one idempotency key come one after another: the later repeat the first.
    pub async fn batch(
        self: &Arc<Self>,
        owner: &Owner,
        begin: Vec<Call<BatchBegin>>,
        complete: Vec<Call<BatchComplete>>,
    ) -> (Vec<Call<(BeginResponse, bool)>>, Vec<Call<Completion>>) {
        let completes = complete.into_iter().map(async |call| {
            let call = call?;
            self.complete(owner, call.id.as_str(), call.request).await
        });
        join(self.begins(owner, begin), join_all(completes)).await
    }

    async fn begins(
        self: &Arc<Self>,
        owner: &Owner,
        calls: Vec<Call<BatchBegin>>,
    ) -> Vec<Call<(BeginResponse, bool)>> {
        let (mut unread, mut by_key) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for (place, call) in calls.into_iter().enumerate() {
            match call {
                Ok(call) => by_key
                    .entry(call.idempotency_key)
                    .or_default()
                    .push((place, call.request)),
                Err(refusal) => unread.push((place, Err(refusal))),
            }
        }
        let begins = join_all(by_key.into_iter().map(async |(key, requests)| {
            let mut answers = Vec::with_capacity(requests.len());
            for (place, request) in requests {
                answers.push((place, self.begin(owner, &key, request).await));
            }
            answers
        }));
        let mut answers: Vec<_> = begins.await.into_iter().flatten().chain(unread).collect();
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}
