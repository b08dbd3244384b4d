//! `upload abort`: gives uploads up, in the store first and in the journal afterwards.
//!
//! Border: one upload after another; that the store has none of it any more is the backend's word, verified there.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use super::args;
use super::backend_handle::Connected;
use super::backend_spec::BackendSpec;
use super::resume::find;
use super::settings::{Connection, Settings};
use crate::backend::Backend;
use crate::event;
use crate::journal::{Journal, Note, State, Upload};
use crate::transfer;
use upload_types::error::{Error, Kind, Result, merged_exit_code};
use upload_types::names::UploadId;

/// How long to wait for another process that holds the embedded store.
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// # Errors
/// When the journal cannot be opened; what befalls single uploads is in the exit code.
pub async fn run(settings: &Settings, flags: &args::Abort) -> Result<u8> {
    let connection = settings.connection(&flags.connection)?;
    let mut journal = Journal::open(&settings.journal()?)?;
    let mut codes = Vec::new();
    for id in &flags.ids {
        if let Err(error) = one(
            &mut journal,
            settings,
            &connection,
            flags.backend.as_deref(),
            id,
        )
        .await
        {
            super::tell(&error);
            codes.push(error.kind().exit_code());
        }
    }
    Ok(merged_exit_code(&codes))
}

/// Aborts an upload, whoever drives it: that is what was typed. One whose begin was never answered is begun once more, to learn
/// what is to be aborted.
async fn give_up(backend: &Backend, upload: &Upload) -> Result<()> {
    transfer::recall(backend, upload);
    if let Some(id) = &upload.id {
        return backend.abort(id, None).await;
    }
    if !backend.ways().ledger {
        super::remark(
            "if it had begun, that stays behind in the store, empty: the backend cannot be asked",
        );
        return Ok(());
    }
    let begun = backend.begin(&transfer::begin(upload, None)).await?;
    backend.abort(&begun.id, Some(begun.epoch)).await
}

async fn one(
    journal: &mut Journal,
    settings: &Settings,
    connection: &Connection,
    backend: Option<&str>,
    id: &str,
) -> Result<()> {
    let upload = match (
        find(journal, OsStr::new(id), &|_| true),
        id.parse::<UploadId>(),
    ) {
        // An orphan, which only its backend may know.
        (Err(error), Ok(whole)) if error.kind() == Kind::NotFound => {
            let Ok(spec) = settings.backend(backend, connection) else {
                return Err(error);
            };
            let connection = settings.toward(&spec, backend, connection)?;
            let connected =
                Connected::new(settings, &spec, &connection, LOCK_WAIT, Arc::default()).await?;
            let aborted = connected.backend.abort(&whole, None).await;
            connected.close().await;
            aborted?;
            return tell(settings, Some(&whole), id);
        }
        (found, _) => found?,
    };
    if upload.state == State::Completed {
        let what = format!("{id} is finished and cannot be aborted");
        return Err(Error::new(Kind::Other, what).with_hint("its object is removed in the store"));
    }
    if upload.state != State::Abandoned {
        let upload = journal.take(&upload)?;
        let spec = BackendSpec::parse(
            &upload.intent.backend,
            connection.allow_insecure_http,
            Kind::Config,
        )?;
        let connection = settings.toward(&spec, None, connection)?;
        let connected =
            Connected::new(settings, &spec, &connection, LOCK_WAIT, Arc::default()).await?;
        let aborted = give_up(&connected.backend, &upload).await;
        connected.close().await;
        match aborted {
            // Given up here it is all the same: nobody will ever know more.
            Err(error) if error.kind() == Kind::Unconfirmed => {
                journal.note(&[Note::Abandoned { row: upload.row }])?;
                return Err(error);
            }
            // It has none of it either.
            Err(error)
                if !matches!(
                    error.kind(),
                    Kind::NotFound | Kind::Gone | Kind::NotAcceptable
                ) =>
            {
                return Err(error);
            }
            _ => {}
        }
        journal.note(&[Note::Abandoned { row: upload.row }])?;
    }
    tell(settings, upload.id.as_ref(), id)
}

fn tell(settings: &Settings, upload: Option<&UploadId>, id: &str) -> Result<()> {
    if settings.common.json {
        let line = serde_json::json!({ "type": "aborted", "upload": upload });
        super::config::print(&format!("{}\n", event::line(&line)))?;
    } else if !settings.common.quiet {
        super::remark(&format!("aborted {id}"));
    }
    Ok(())
}
