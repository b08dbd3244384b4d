//! The engine after the machine was suspended, or the process stopped.
//!
//! Not here: how that is detected (`suspend`).

use std::time::Instant;

use tokio::task::JoinSet;

use super::active_upload::Stage;
use super::batcher::CallBatcher;
use super::engine::Engine;

impl Engine<'_> {
    /// After the process was suspended: opens new connections, and continues every upload as after
    /// a crash. The store lists the parts that were sent before. Interrupted attempts do not count
    /// as failures, and URLs from before are not used.
    pub(super) fn on_suspended(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        tracing::info!("the process was suspended: connecting again");
        match self.backend.with_new_connections() {
            Ok(backend) => self.backend = backend.into(),
            Err(error) => {
                tracing::warn!(%error, "could not open new connections: keeping the old ones");
            }
        }
        // Results that were not handled yet are dropped too: the calls are repeated.
        self.tasks = JoinSet::new();
        self.pending.extend(self.moved.take_all());
        self.committer.cancel_shared();
        self.batcher = CallBatcher::default();
        self.last_success = Instant::now();
        self.throttle.reset_budget();
        self.waits.poll_all_again();
        self.confirmations.ask_all_again(Instant::now());
        for mut upload in std::mem::take(&mut self.uploads) {
            let next = match upload.stage() {
                Stage::Sending => self.move_to(&mut upload, Stage::Rejoining),
                Stage::Preparing => {
                    self.cancel_tasks(&mut upload);
                    upload.stop_parts();
                    self.prepare(&mut upload)
                }
                stage => self.move_to(&mut upload, stage),
            };
            let last = self.uploads.len();
            self.apply(last, upload, next);
        }
    }
}
