//! The state of a run for its end at a second signal, when the engine cannot report it any more:
//! the events that end each unfinished source and the run.
//!
//! Not here: the signals (`signals`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::event::{Event, STREAM_PATH};
use crate::transfer::RUN_PIPELINE_AGAIN;
use upload_types::UploadId;
use upload_types::error::Kind;
use upload_types::sync::lock;

/// Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct RunState(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The path and, once it has begun, the upload of each source that has not ended.
    unfinished: BTreeMap<usize, (String, Option<UploadId>)>,
    ended: u64,
    /// The number of entries that were left out, by reason.
    skipped: BTreeMap<&'static str, u64>,
    completed: u64,
    already_stored: u64,
    from_journal: u64,
    /// Sources that were left out because an object is at their key.
    kept: u64,
    bytes_sent: u64,
    bytes_skipped: u64,
    bytes_copied: u64,
    /// The journal has the set whose files are uploaded.
    has_recorded_set: bool,
}

impl RunState {
    /// Takes an event before it is reported.
    pub fn record(&self, event: &Event) {
        let state = &mut *lock(&self.0);
        match event {
            Event::Sources { paths, .. } => {
                let paths = paths.iter().map(|path| (path.clone(), None)).enumerate();
                state.unfinished.extend(paths);
            }
            Event::Plan {
                item,
                upload,
                path,
                forecast: None,
                ..
            } => {
                let source = (path.clone(), upload.clone());
                state.unfinished.insert(*item, source);
            }
            Event::Progress { item, upload, .. } => {
                if let Some((_, known)) = state.unfinished.get_mut(item) {
                    known.clone_from(upload);
                }
            }
            Event::Part {
                item,
                upload,
                size,
                skipped,
                copied,
                ..
            } => {
                if let Some((_, known)) = state.unfinished.get_mut(item) {
                    *known = Some(upload.clone());
                }
                let bytes = if *skipped {
                    &mut state.bytes_skipped
                } else {
                    &mut state.bytes_sent
                };
                *bytes = bytes.saturating_add(*size);
                if *copied {
                    state.bytes_copied = state.bytes_copied.saturating_add(*size);
                }
            }
            Event::Completed {
                item,
                already_stored,
                from_journal,
                ..
            } => {
                state.completed += 1;
                state.already_stored += u64::from(*already_stored);
                state.from_journal += u64::from(*from_journal);
                state.end(*item);
            }
            Event::Kept { item, reason, .. } => {
                state.kept += 1;
                *state.skipped.entry(reason).or_default() += 1;
                state.end(*item);
            }
            Event::Failed { item, .. } => state.end(*item),
            Event::Moved { item, path, .. } => {
                if let Some((known, _)) = state.unfinished.get_mut(item) {
                    known.clone_from(path);
                }
            }
            Event::Selected { set, .. } => state.has_recorded_set |= set.is_some(),
            Event::Skipped { reason, .. } => {
                *state.skipped.entry(reason).or_default() += 1;
            }
            // Nothing follows the plan of a dry run.
            Event::Plan {
                forecast: Some(_), ..
            }
            | Event::Connecting { .. }
            | Event::Unmatched { .. }
            | Event::Retry { .. }
            | Event::Changed { .. }
            | Event::Blocked { .. }
            | Event::Comparing { .. }
            | Event::Restarted { .. }
            | Event::Renamed { .. }
            | Event::Waiting { .. }
            | Event::Exit { .. } => {}
        }
    }

    /// The number of entries that were left out so far, by reason.
    pub fn skipped(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).skipped.clone()
    }

    /// The last events of a run that a signal ends at once.
    pub fn end(&self, signal: u8, resume_command: &str) -> Vec<Event> {
        let kind = Kind::Interrupted(signal);
        let state = lock(&self.0);
        let mut events = Vec::new();
        for (item, (path, upload)) in &state.unfinished {
            events.push(Event::Failed {
                item: *item,
                upload: upload.clone(),
                path: path.clone(),
                kind: kind.name(),
                message: "interrupted; nothing is lost".to_owned(),
                hint: if path == STREAM_PATH {
                    Some(RUN_PIPELINE_AGAIN.to_owned())
                } else {
                    upload
                        .as_ref()
                        .map(|id| format!("to continue: {resume_command} {id}"))
                },
            });
        }
        let unfinished = state.unfinished.len() as u64;
        let ended = state.ended;
        events.push(Event::Exit {
            code: kind.exit_code(),
            uploads: ended + unfinished,
            completed: state.completed,
            already_stored: state.already_stored,
            from_journal: state.from_journal,
            failed: ended + unfinished - state.completed - state.kept,
            bytes_sent: state.bytes_sent,
            bytes_skipped: state.bytes_skipped,
            bytes_copied: state.bytes_copied,
            skipped: state.skipped.clone(),
            resumable: state.has_recorded_set
                || state
                    .unfinished
                    .values()
                    .any(|(path, upload)| upload.is_some() && path != STREAM_PATH),
            resume_command: resume_command.to_owned(),
            is_dry_run: false,
        });
        events
    }
}

impl State {
    fn end(&mut self, item: usize) {
        self.unfinished.remove(&item);
        self.ended += 1;
    }
}
