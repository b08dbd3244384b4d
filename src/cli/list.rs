//! `upload list`: the uploads of the journal, and the orphans of a backend. Changes nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::args::ListArgs;
use super::hint_commands::HintCommands;
use super::orphans::Orphans;
use super::output;
use super::settings::Settings;
use super::upload_line::{json_line, text_line};
use crate::event;
use crate::journal::{Journal, State};
use upload_types::error::Result;

/// # Errors
/// Those of the journal and, for `--orphans`, of the backend.
pub async fn run(settings: &Settings, flags: &ListArgs, commands: &HintCommands) -> Result<()> {
    let journal = Journal::open(&settings.journal()?)?;
    let mut lines = String::new();
    let uploads = journal.all()?;
    let is_listed = |state: State| flags.all || state.is_unfinished();
    for upload in uploads
        .iter()
        .rev()
        .filter(|upload| is_listed(upload.state))
    {
        let parts = journal.parts(upload.row)?;
        if settings.json() {
            // Writing to a string cannot fail.
            let _ = writeln!(
                lines,
                "{}",
                event::to_json_line(&json_line(upload, &parts)?)
            );
        } else {
            lines.push_str(&text_line(upload, &parts)?);
        }
    }
    if flags.orphans {
        let connection = settings.connection(&flags.connection)?;
        let target = settings.target(flags.backend.as_deref(), &connection)?;
        let orphans = Orphans::find(&journal, &target, settings, &BTreeSet::new()).await?;
        orphans.announce(settings, commands);
        lines.push_str(&orphans.lines(settings.json()));
    }
    if lines.is_empty() && !settings.json() && !settings.quiet() {
        output::eprint_line(if flags.all {
            "the journal has no uploads"
        } else {
            "no unfinished uploads"
        });
    }
    output::print(&lines)
}
