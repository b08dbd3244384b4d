//! A dry run of one source: the decisions of a real run, without begin, PUT or record.
//!
//! Not here: the decisions (`resume`, `completed_check`).

use std::sync::Arc;
use std::time::Instant;

use upload_types::ByteRange;
use upload_types::error::{Kind, Result};
use upload_types::plan::Plan;
use upload_types::wire::BackendInfo;

use super::backend_calls::restore_state;
use super::comparison::check_key;
use super::completed_check::{CheckFacts, CompletedCheck};
use super::deadline::{GiveUp, WaitingFor};
use super::handshake::{gave_up, wait_for};
use super::hashing;
use super::moved_source;
use super::options::{PutRequest, WaitFor};
use super::plan_error::plan_error;
use super::resume::{self, Choice, Continuation, Presence};
use super::whole_file;
use crate::backend::Backend;
use crate::event::{Event, Forecast, Stored};
use crate::journal::{Journal, Upload};
use crate::source::SourceFile;

/// The options of a run that decide what it would do.
#[derive(Debug, Clone, Copy)]
pub struct PreviewOptions {
    pub give_up: GiveUp,
    pub wait: WaitFor,
    pub sha256: bool,
}

/// The plan that a `put` of this source would have, and the bytes that it would not send.
///
/// # Errors
/// As a `put` that cannot begin.
pub async fn preview(
    journal: &Journal,
    backend: &Backend,
    info: &BackendInfo,
    options: PreviewOptions,
    item: usize,
    put: &PutRequest,
) -> Result<Event> {
    let source = SourceFile::open(&put.path)?;
    check_key(put, info)?;
    let version = source.version();
    let wanted = [(put.name.as_str(), source.path(), version)];
    let candidates = journal.candidates(&info.instance_id, &wanted)?.concat();
    let candidates = moved_source::usable(&candidates, put, &source);
    for upload in &candidates {
        restore_state(backend, upload);
    }
    let preview = Preview {
        journal,
        backend,
        give_up: options.give_up,
        source: &source,
    };
    let found = match resume::choose(&candidates, &version, put) {
        Choice::New | Choice::Discard(_) | Choice::Replace(_) => None,
        Choice::Completed(index) => {
            let upload = candidates[index];
            let (wait, sha256) = (options.wait, options.sha256);
            let facts = CheckFacts::new(source.has_writer(), sha256, wait, info);
            match CompletedCheck::of(upload, put, facts) {
                CompletedCheck::Trusted => Some(Found {
                    plan: plan(upload)?,
                    upload,
                    stored: Stored::InJournal,
                }),
                CompletedCheck::Object => preview.find_completed(upload).await?,
                CompletedCheck::Content => preview.find_compared(upload).await?,
            }
        }
        Choice::PossiblyCompleted(index) => preview.find_compared(candidates[index]).await?,
        Choice::Continue(index) => preview.find_unfinished(candidates[index]).await?,
    };
    let (plan, id, stored) = match found {
        Some(Found {
            plan,
            upload,
            stored,
        }) => (plan, upload.id.clone(), stored),
        None => (
            Plan::new(version.size, put.part_size, &info.limits).map_err(plan_error)?,
            None,
            Stored::Bytes(0),
        ),
    };
    let forecast = match stored {
        Stored::Object => Forecast::AlreadyStored,
        Stored::InJournal => Forecast::InJournal,
        Stored::Bytes(_) => Forecast::WouldSend,
    };
    let event = Event::plan(item, id, &put.path, &plan, stored);
    Ok(event.with_key(put.key.clone()).as_forecast(forecast))
}

struct Preview<'a> {
    journal: &'a Journal,
    backend: &'a Backend,
    give_up: GiveUp,
    source: &'a SourceFile,
}

/// An upload that a `put` would continue or find complete.
struct Found<'a> {
    plan: Plan,
    upload: &'a Upload,
    /// The bytes that would not be sent.
    stored: Stored,
}

impl<'a> Found<'a> {
    /// An upload of which nothing has to be sent.
    fn whole(upload: &'a Upload) -> Result<Option<Self>> {
        Ok(Some(Self {
            plan: plan(upload)?,
            upload,
            stored: Stored::Object,
        }))
    }
}

impl Preview<'_> {
    /// A completed upload, if the source has its content, and its object is still there.
    async fn find_compared<'a>(&self, upload: &'a Upload) -> Result<Option<Found<'a>>> {
        if self.is_unchanged(upload).await? {
            self.find_completed(upload).await
        } else {
            Ok(None)
        }
    }

    /// A completed upload, if its object is still there.
    async fn find_completed<'a>(&self, upload: &'a Upload) -> Result<Option<Found<'a>>> {
        let Some(status) = unless_gone(self.call(self.backend.status(upload.begun_id()?)).await)?
        else {
            return Ok(None);
        };
        match resume::presence(&status) {
            Presence::There if upload.receipt.is_some() => Found::whole(upload),
            Presence::There | Presence::Gone => Ok(None),
            Presence::Rejected(error) => Err(error),
        }
    }

    /// An unfinished upload, if the source is unchanged and the backend still has it.
    async fn find_unfinished<'a>(&self, upload: &'a Upload) -> Result<Option<Found<'a>>> {
        let is_touched = self.source.version() != upload.intent.version;
        if is_touched && !self.is_unchanged(upload).await? {
            return Ok(None);
        }
        let Some(id) = &upload.id else {
            return Ok(Some(Found {
                plan: plan(upload)?,
                upload,
                stored: Stored::Bytes(0),
            }));
        };
        let Some(status) = unless_gone(self.call(self.backend.status(id)).await)? else {
            return Ok(None);
        };
        match resume::continuation(status) {
            Continuation::Parts => {}
            Continuation::Verified(_) => return Found::whole(upload),
            Continuation::Ended(error) => return unless_gone(Err(error)),
        }
        let plan = plan(upload)?;
        let listed = self.call(self.backend.parts(id, plan.count()));
        let Some(stored) = unless_gone(listed.await)? else {
            return Ok(None);
        };
        let parts = self.journal.parts(upload.row)?;
        let agreed = resume::agreed_parts(&plan, &parts, &stored);
        let ranges = agreed.iter().filter_map(|(number, ..)| plan.range(*number));
        Ok(Some(Found {
            plan,
            upload,
            stored: Stored::Bytes(ranges.map(|range| range.len).sum()),
        }))
    }

    /// Makes a call, within the time after which a run gives up.
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let now = Instant::now();
        let left = self.give_up.left(now, now, WaitingFor::FirstResponse);
        tokio::select! {
            response = call => response,
            () = wait_for(left) => Err(gave_up(None)),
        }
    }

    /// Whether the recorded parts of the source still have their digests.
    async fn is_unchanged(&self, upload: &Upload) -> Result<bool> {
        let parts = self.journal.parts(upload.row)?;
        if upload.state.is_finished() {
            return whole_file::is_source_of(self.source.clone(), upload, parts).await;
        }
        let plan = plan(upload)?;
        let parts = parts
            .into_iter()
            .filter(|part| part.etag.is_some())
            .filter_map(|part| Some((plan.range(part.number)?, part.sha256)));
        let parts: Vec<(ByteRange, _)> = parts.collect();
        hashing::is_unchanged(self.source.clone(), parts, Arc::default()).await
    }
}

/// Returns `None` for an upload that the backend no longer has: a real run begins another one.
fn unless_gone<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Gone) => Ok(None),
        result => result.map(Some),
    }
}

fn plan(upload: &Upload) -> Result<Plan> {
    Plan::pinned(upload.intent.version.size, upload.intent.part_size).map_err(plan_error)
}
