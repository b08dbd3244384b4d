//! The preview of a sweep. It only reads ledger and store.

use std::collections::HashSet;

use futures_util::stream::iter;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::lifecycle::is_gone;
use super::shared_state::Service;
use super::sweep::{
    MAX_CONCURRENT_UPLOADS, StoreLeftovers, SweepAction, SweepObserver, SweptItem, action,
};
use crate::hooks::Disposal;
use crate::ledger::{KeyStatus, SWEEP_BATCH_ROWS, SweepTask, Upload};
use crate::problem::{Refusal, ledger_failed, store_failed};
use upload_s3::Fault;

impl Service {
    /// Reports the actions of a sweep at this moment, and the orphans in the bucket. Changes
    /// nothing.
    ///
    /// # Errors
    /// `store_unavailable`, `unavailable`.
    pub async fn preview_sweep(&self, observer: SweepObserver<'_>) -> Result<(), Refusal> {
        self.measure_clock().await;
        let now = self.now();
        for task in SweepTask::ALL {
            let mut after = String::new();
            loop {
                let page = self.ledger.list_sweep_task(task, now, &after).await;
                let page = page.map_err(ledger_failed)?;
                let is_full = page.len() == SWEEP_BATCH_ROWS;
                if let Some(last) = page.last() {
                    last.id.as_str().clone_into(&mut after);
                }
                let actions = page.into_iter().map(|upload| {
                    let action = action(task, &upload, now);
                    (upload, action)
                });
                self.preview(actions.collect(), observer).await?;
                if !is_full {
                    break;
                }
            }
        }
        self.preview_orphans(observer).await
    }

    /// Reports orphans, and the multipart uploads of ended uploads, which a sweep would remove.
    async fn preview_orphans(&self, observer: SweepObserver<'_>) -> Result<(), Refusal> {
        let (mut after, mut reported) = (None, HashSet::new());
        loop {
            let page = self.store.open_uploads(after.as_ref()).await;
            let (keys, next) = page.map_err(|fault| store_failed("search for orphans", &fault))?;
            let statuses = self.ledger.key_statuses(keys).await;
            for (key, status) in statuses.map_err(ledger_failed)? {
                match status {
                    KeyStatus::Unknown => observer(&self.orphan(key)),
                    KeyStatus::Leftover(upload) if reported.insert(key) => {
                        self.preview(vec![(*upload, SweepAction::CleanUp)], observer)
                            .await?;
                    }
                    KeyStatus::Leftover(_) | KeyStatus::InUse => {}
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Reports the action on each upload, and the leftovers that it would remove from the store.
    async fn preview(
        &self,
        uploads: Vec<(Upload, SweepAction)>,
        observer: SweepObserver<'_>,
    ) -> Result<(), Refusal> {
        let items = uploads.into_iter().map(async |(upload, action)| {
            let leftovers = if action == SweepAction::Decide {
                None
            } else {
                Some(self.leftovers(&upload, action).await?)
            };
            Ok(SweptItem {
                action,
                key: self.store.full_key(&upload.key),
                upload: Some(upload),
                leftovers,
                new_state: None,
                is_done: false,
            })
        });
        iter(items)
            .buffered(MAX_CONCURRENT_UPLOADS)
            .try_for_each(async |item| {
                observer(&item);
                Ok(())
            })
            .await
            .map_err(|fault: Fault| store_failed("find leftovers", &fault))
    }

    /// The leftovers that [`Service::remove_leftovers`], or the disposal of a rejected object,
    /// would remove from the store.
    async fn leftovers(
        &self,
        upload: &Upload,
        action: SweepAction,
    ) -> Result<StoreLeftovers, Fault> {
        let will_be_gone = action != SweepAction::CleanUp || is_gone(upload.state);
        let mut leftovers = StoreLeftovers {
            multiparts: 0,
            has_object: false,
        };
        if !upload.is_single() {
            let open = self.store.find(&upload.key).await?;
            let named = upload.store_upload.as_ref();
            let is_leftover = |multipart: &&String| match &upload.chosen {
                // Others belong to other uploads or to other programs.
                Some(_) => will_be_gone && Some(*multipart) == named,
                None => will_be_gone || Some(*multipart) != named,
            };
            leftovers.multiparts = open.iter().filter(is_leftover).count();
        }
        let is_kept = upload
            .rejection
            .as_ref()
            .is_some_and(|rejection| rejection.disposal == Disposal::Keep);
        if will_be_gone && !is_kept {
            leftovers.has_object = self.find_own_object(upload).await?.is_some();
        }
        Ok(leftovers)
    }
}
