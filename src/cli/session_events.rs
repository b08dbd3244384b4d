//! The senders of the events of a run: each event is recorded and completed before it is reported.
//!
//! Not here: the events (`crate::event`), and their reports (`crate::report`).

use super::hint_commands::{HintCommands, Subject, backend_flags};
use super::hint_put_flags::ItemFlags;
use super::output;
use super::run_state::RunState;
use super::settings::Target;
use crate::event::{self, Event, EventSender};
use upload_types::UploadId;
use upload_types::error::Result;

/// A sender that keeps the state of the run.
pub fn recording(events: &EventSender, state: &RunState) -> EventSender {
    let state = state.clone();
    events.editing(move |event| state.record(event))
}

/// A sender that keeps the state of the run, completes the commands in the hints of failures, and
/// adds to the totals of a set those of other sources.
pub fn completing_hints(
    events: &EventSender,
    state: &RunState,
    commands: &HintCommands,
    target: &Target,
    flags: ItemFlags,
    add_totals: impl Fn(&mut Event) + Send + Sync + 'static,
) -> EventSender {
    let commands = commands.clone();
    let backend = backend_flags(&target.name(), target.s3_service().as_ref());
    let state = state.clone();
    events.editing(move |event| {
        add_totals(event);
        state.record(event);
        let key = flags.end_in_set(event);
        let Event::Failed {
            item,
            upload,
            path,
            hint: Some(hint),
            ..
        } = event
        else {
            return;
        };
        let flags = flags.of_item(*item, key);
        let subject = Subject {
            backend: &backend,
            key: &flags.key,
            object: &flags.object,
            rule: &flags.rule,
            file: Some(path),
            upload: upload.as_ref().map(UploadId::as_str),
        };
        *hint = commands.complete(hint, subject);
    })
}

/// Prints the last line of the event stream of a run that failed before its session began.
///
/// # Errors
/// As [`output::print`].
pub fn print_exit_event(code: u8) -> Result<()> {
    let exit = Event::early_exit(code);
    output::print(&format!("{}\n", event::to_json_line(&exit)))
}
