//! `upload abort`: aborts uploads, first at the backend, then in the journal.

use std::ffi::OsStr;
use std::time::Duration;

use super::args::AbortArgs;
use super::backend_handle::BackendHandle;
use super::hint_commands::HintCommands;
use super::hints;
use super::lookup::find_upload;
use super::output;
use super::query_limit::within_limit;
use super::settings::{Connection, Settings};
use crate::backend::Backend;
use crate::event;
use crate::journal::{Journal, Record, State, Upload};
use crate::report::safe;
use crate::transfer;
use upload_types::UploadId;
use upload_types::error::{Error, Kind, Result, merged_exit_code};

/// # Errors
/// Errors before the first upload. Those of single uploads are printed, and are in the exit code.
pub async fn run(settings: &Settings, flags: &AbortArgs, commands: &HintCommands) -> Result<u8> {
    let connection = settings.connection(&flags.connection)?;
    let mut aborter = Aborter {
        journal: Journal::open(&settings.journal_to_read()?)?,
        settings,
        backend_flag: flags.backend.as_deref(),
        connection,
        limit: flags.query.limit(),
    };
    let mut codes = Vec::new();
    for upload in &flags.uploads {
        match aborter.abort(upload).await {
            Ok(id) => report(settings, id.as_ref(), upload)?,
            Err(error) => {
                codes.push(error.kind().exit_code());
                output::eprint_error(&hints::for_query(error, commands));
            }
        }
    }
    Ok(merged_exit_code(&codes))
}

struct Aborter<'a> {
    journal: Journal,
    settings: &'a Settings,
    backend_flag: Option<&'a str>,
    connection: Connection,
    /// The longest time that the backend may take for one upload.
    limit: Option<Duration>,
}

impl Aborter<'_> {
    /// Aborts one upload; returns its id, if it has begun.
    async fn abort(&mut self, id_or_file: &OsStr) -> Result<Option<UploadId>> {
        let upload = match find_upload(&self.journal, id_or_file, |_| true) {
            Ok(upload) => upload,
            Err(error) if error.kind() == Kind::NotFound => {
                return self.abort_orphan(id_or_file, error).await.map(Some);
            }
            Err(error) => return Err(error),
        };
        match upload.state {
            State::Completed => Err(Error::new(
                Kind::Other,
                format!("{} is finished and cannot be aborted", id_or_file.display()),
            )
            .with_hint("to remove the object, delete it in the store")),
            State::Abandoned => Ok(upload.id),
            _ => {
                self.abort_recorded(&upload).await?;
                Ok(upload.id)
            }
        }
    }

    /// Aborts an upload that is not in the journal. Without a backend, or if the argument is not an
    /// id, the error is `not_found`.
    async fn abort_orphan(&self, id: &OsStr, not_found: Error) -> Result<UploadId> {
        let id = id.to_str().and_then(|id| id.parse::<UploadId>().ok());
        let target = self.settings.target(self.backend_flag, &self.connection);
        let (Some(id), Ok(target)) = (id, target) else {
            return Err(not_found);
        };
        let handle =
            within_limit(self.limit, BackendHandle::connect(&target, self.settings)).await?;
        let aborted = within_limit(self.limit, handle.backend().abort(&id, None)).await;
        handle.close().await;
        aborted.map(|()| id)
    }

    async fn abort_recorded(&mut self, upload: &Upload) -> Result<()> {
        let upload = self.journal.take(upload)?;
        let target = self
            .settings
            .recorded_target(&upload.intent, None, &self.connection)?;
        let handle =
            within_limit(self.limit, BackendHandle::connect(&target, self.settings)).await?;
        let aborted = within_limit(self.limit, abort_at_backend(handle.backend(), &upload)).await;
        handle.close().await;
        let unconfirmed = match aborted {
            Ok(()) => None,
            // The backend has nothing to abort.
            Err(error)
                if matches!(
                    error.kind(),
                    Kind::NotFound | Kind::Gone | Kind::NotAcceptable
                ) =>
            {
                None
            }
            // The upload is abandoned all the same: a repetition could not confirm it either.
            Err(error) if error.kind() == Kind::Unconfirmed => Some(error),
            Err(error) => return Err(error),
        };
        self.journal
            .record(&[Record::Abandoned { row: upload.row }])?;
        unconfirmed.map_or(Ok(()), Err)
    }
}

/// Aborts regardless of the holder: the user asked for it. If the journal has no id, because no
/// response to the request to begin arrived, the request is repeated to learn the id.
async fn abort_at_backend(backend: &Backend, upload: &Upload) -> Result<()> {
    transfer::restore_state(backend, upload);
    if let Some(id) = &upload.id {
        return backend.abort(id, None).await;
    }
    if !backend.capabilities().durable {
        output::eprint_line(
            "if the upload had begun, an empty multipart upload remains in the store: this backend cannot look up its id",
        );
        return Ok(());
    }
    let begun = backend
        .begin(&transfer::begin_request(upload, None))
        .await?;
    backend.abort(&begun.id, Some(begun.epoch)).await
}

fn report(settings: &Settings, id: Option<&UploadId>, id_or_file: &OsStr) -> Result<()> {
    if settings.json() {
        let line = serde_json::json!({ "type": "aborted", "upload": id });
        output::print(&format!("{}\n", event::to_json_line(&line)))?;
    } else if !settings.quiet() {
        output::eprint_line(&format!("aborted {}", safe(&id_or_file.to_string_lossy())));
    }
    Ok(())
}
