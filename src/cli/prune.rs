//! `upload prune`: forgets what has ended, and tells of orphans: uploads under way at the backend that the journal does not know.
//!
//! Border: nothing is removed from any store here; `upload abort ID` does that.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::abort::LOCK_WAIT;
use super::args;
use super::backend_handle::Connected;
use super::backend_spec::BackendSpec;
use super::config::print;
use super::settings::{Connection, Settings};
use crate::event;
use crate::journal::{Journal, Upload};
use crate::report::{safe, text};
use upload_types::error::{Kind, Result};
use upload_types::wire::{UploadState, UploadStatus};

/// An orphan as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    backend: &'a str,
    #[serde(flatten)]
    status: &'a UploadStatus,
}

/// # Errors
/// When the journal cannot be read or written; what the backend answers, where there is one.
pub async fn run(settings: &Settings, flags: &args::Prune) -> Result<()> {
    let connection = settings.connection(&flags.connection)?;
    let mut journal = Journal::open(&settings.journal()?)?;
    let now = Timestamp::now();
    let ended: Vec<i64> = journal
        .all()?
        .iter()
        .filter(|upload| is_due(upload, flags.older_than, now))
        .map(|upload| upload.row)
        .collect();
    // Looked for first: what is forgotten would else be an orphan to whoever looks next.
    let orphans = match settings.backend(flags.backend.as_deref(), &connection) {
        Ok(BackendSpec::Companion(_)) if flags.backend.is_none() => {
            if !settings.common.quiet {
                super::remark("a Companion cannot list uploads: orphans are not looked for");
            }
            String::new()
        }
        Ok(spec) => {
            orphans(
                settings,
                &journal,
                &spec,
                flags.backend.as_deref(),
                &connection,
            )
            .await?
        }
        Err(error) if error.kind() == Kind::Config && flags.backend.is_none() => String::new(),
        Err(error) => return Err(error),
    };
    let forgotten = journal.forget(&ended)?;
    if settings.common.json {
        let line = serde_json::json!({ "type": "pruned", "forgotten": forgotten });
        return print(&format!("{}\n{orphans}", event::line(&line)));
    }
    if !settings.common.quiet {
        super::remark(&format!("{forgotten} forgotten"));
        if !orphans.is_empty() {
            super::remark(
                "under way at the backend, unknown to this journal (perhaps another machine's); `upload abort ID` gives one up:",
            );
        }
    }
    print(&orphans)
}

/// Whether an upload ended, and long enough ago.
fn is_due(upload: &Upload, older_than: Option<Duration>, now: Timestamp) -> bool {
    let ended = upload
        .receipt
        .as_ref()
        .map_or(upload.created_at, |receipt| receipt.finished);
    let age = now.duration_since(ended);
    !upload.state.is_unfinished()
        && older_than.is_none_or(|least| age.unsigned_abs() >= least && age.is_positive())
}

/// A line for each upload that is under way at the backend and that the journal does not know.
///
/// # Errors
/// What the backend answers.
pub async fn orphans(
    settings: &Settings,
    journal: &Journal,
    spec: &BackendSpec,
    flag: Option<&str>,
    connection: &Connection,
) -> Result<String> {
    let connection = settings.toward(spec, flag, connection)?;
    let connected = Connected::new(settings, spec, &connection, LOCK_WAIT, Arc::default()).await?;
    let listed = under_way(&connected).await;
    let name = connected.name.clone();
    connected.close().await;
    // Read after the backend was asked, so that an upload that begins meanwhile is known.
    let known: BTreeSet<_> = journal
        .all()?
        .into_iter()
        .filter_map(|upload| upload.id)
        .collect();
    let mut out = String::new();
    for status in listed?.iter().filter(|status| !known.contains(&status.id)) {
        if settings.common.json {
            let line = Line {
                kind: "orphan",
                backend: &name,
                status,
            };
            let _ = writeln!(out, "{}", event::line(&line));
        } else {
            let (state, size) = (
                status.state.name(),
                status.size.map_or_else(|| "-".to_owned(), text::size),
            );
            let (id, until, name) = (&status.id, status.expires_at, safe(&status.name));
            let _ = writeln!(
                out,
                "{id:<36}  {state:<10}  orphan  {size:>10}  expires {until:.0}  {name}"
            );
        }
    }
    Ok(out)
}

async fn under_way(connected: &Connected) -> Result<Vec<UploadStatus>> {
    let mut uploads = Vec::new();
    for state in [
        UploadState::Pending,
        UploadState::Uploading,
        UploadState::Completing,
        UploadState::Aborting,
    ] {
        uploads.extend(
            connected
                .backend
                .uploads(state)
                .await?
                .into_iter()
                .filter(|upload| upload.state == state),
        );
    }
    Ok(uploads)
}
