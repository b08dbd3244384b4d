//! The confirmation of many finished uploads in one call. An upload that the call does not confirm
//! starts again, and is asked about on its own.
//!
//! Not here: when the calls are made (`confirmations`), and the status of one upload
//! (`transitions`).

use std::sync::Arc;
use std::time::Instant;

use upload_types::error::{Error, Result};
use upload_types::plan::Plan;

use super::confirmations::{Due, More, Unconfirmed};
use super::engine::Engine;
use super::finish::KnownFrom;
use super::options::{Item, PutRequest};
use super::retry::{self, Attempt, Verdict};
use super::task::TaskResult;
use super::wait_ready::VerifiedUpload;
use crate::event::{Event, EventSource, Stored};
use crate::journal::Upload;

impl Engine<'_> {
    /// A source whose finished upload can be confirmed together with others.
    ///
    /// # Errors
    /// The request, if the status of the upload has to be asked for.
    pub(super) fn accept_unconfirmed(
        &mut self,
        item: usize,
        put: PutRequest,
        upload: &Upload,
    ) -> Result<Box<Unconfirmed>, Box<PutRequest>> {
        let intent = &upload.intent;
        let plan = Plan::pinned(intent.version.size, intent.part_size);
        let is_accepted = self.backend.capabilities().durable && self.confirmations.accepts(item);
        let (true, Some(id), Some(receipt), Ok(plan)) =
            (is_accepted, &upload.id, &upload.receipt, plan)
        else {
            return Err(Box::new(put));
        };
        // The backend may name the location later.
        if receipt.location.is_none() {
            return Err(Box::new(put));
        }
        Ok(Box::new(Unconfirmed {
            item,
            put,
            row: upload.row,
            id: id.clone(),
            plan,
            receipt: Box::new(receipt.clone()),
        }))
    }

    /// Makes the calls that are due.
    pub(super) fn start_confirmations(&mut self) {
        loop {
            let may_come = self.incoming.is_open() || !self.pending.is_empty();
            let more = if may_come {
                More::Possible
            } else {
                More::Excluded
            };
            match self.confirmations.due(more, Instant::now()) {
                Due::Nothing => return,
                Due::OneByOne(sources) => self.start_again(sources),
                Due::Call(call, ids) => {
                    let backend = Arc::clone(&self.backend);
                    self.tasks.spawn(async move {
                        TaskResult::Present(call, backend.find_present(ids).await)
                    });
                }
            }
        }
    }

    /// The response to a call: for each source, whether its object is there.
    pub(super) fn on_present(&mut self, call: u64, result: Result<Option<Vec<bool>>>) {
        let sources = self.confirmations.take(call);
        match result {
            Ok(Some(present)) if present.len() == sources.len() => {
                self.last_success = Instant::now();
                self.confirmations.reset_failures();
                let (confirmed, others): (Vec<_>, Vec<_>) = sources
                    .into_iter()
                    .zip(present)
                    .partition(|(_, is_present)| *is_present);
                for (source, _) in confirmed {
                    self.on_source_confirmed(source);
                }
                let others = others.into_iter().map(|(source, _)| source).collect();
                let others = self.confirmations.leave(others);
                self.start_again(others);
            }
            Ok(_) => {
                self.confirmations.set_unsupported();
                self.start_again(sources);
            }
            Err(error) => self.on_present_failed(sources, &error),
        }
    }

    fn on_present_failed(&mut self, sources: Vec<Unconfirmed>, error: &Error) {
        let failures = &mut self.confirmations.failures;
        match retry::judge(error.kind(), Attempt::Call, failures, fastrand::f64()) {
            Verdict::Retry(wait) => {
                let attempts = failures.attempts;
                let source = EventSource {
                    item: sources.first().map_or(0, |source| source.item),
                    path: None,
                    upload: None,
                };
                self.emit_retry(source, None, attempts, error, wait);
                self.confirmations.ask_again(sources, Instant::now() + wait);
            }
            // Each of them fails with a call of its own.
            Verdict::ListParts | Verdict::Stop => {
                let sources = self.confirmations.leave(sources);
                self.start_again(sources);
            }
        }
    }

    /// Starts sources before those that have not started yet.
    fn start_again(&mut self, sources: Vec<Unconfirmed>) {
        for source in sources.into_iter().rev() {
            self.pending
                .push_front((source.item, Item::Put(source.put)));
        }
    }

    /// The backend has found the object: nothing has to be sent.
    fn on_source_confirmed(&mut self, source: Unconfirmed) {
        let Unconfirmed {
            item,
            put,
            row,
            id,
            plan,
            receipt,
        } = source;
        self.summary.bytes_skipped += plan.size();
        let event = Event::plan(item, Some(id.clone()), &put.path, &plan, Stored::Object);
        self.committer.emit(event.with_key(put.key));
        let upload = VerifiedUpload {
            item,
            row,
            path: put.path.display().to_string(),
            id,
            receipt,
            already: true,
            plan: None,
        };
        self.report_completed(upload, KnownFrom::Store);
    }

    /// Fails the sources that wait. Their uploads stay finished, so there is nothing to resume.
    pub(super) fn fail_unconfirmed(&mut self, error: impl Fn(&Unconfirmed) -> Error) {
        for source in self.confirmations.take_all() {
            let error = error(&source);
            self.fail_verified(
                VerifiedUpload {
                    item: source.item,
                    row: source.row,
                    path: source.put.path.display().to_string(),
                    id: source.id,
                    receipt: source.receipt,
                    already: true,
                    plan: None,
                },
                &error,
            );
        }
    }
}
