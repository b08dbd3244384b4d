//! `upload abort` and `upload rm`: end uploads, first at the backend, then in the journal. Only
//! `rm` removes the object of a finished upload.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::time::Duration;

use super::args::AbortArgs;
use super::backend_handle::BackendHandle;
use super::hint_commands::{HintCommands, quoted};
use super::hints;
use super::lookup::{find_set, find_upload};
use super::output;
use super::query_limit::within_limit;
use super::settings::{Connection, Settings};
use crate::backend::Backend;
use crate::event;
use crate::journal::{FileSet, Journal, Record, State, Upload};
use crate::report::safe;
use crate::transfer;
use upload_types::UploadId;
use upload_types::error::{Error, Kind, Result, merged_exit_code};

/// The remedy for a finished upload of a Companion.
const DELETE_IN_STORE_HINT: &str = "delete the object in the store, with a client of that store";

/// The effect on a finished upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It stays: `upload abort`.
    Keep,
    /// Its object is removed: `upload rm`.
    Remove,
}

/// # Errors
/// Errors before the first upload. Those of single uploads are printed, and are in the exit code.
pub async fn run(
    settings: &Settings,
    flags: &AbortArgs,
    finished: Finished,
    commands: &HintCommands,
) -> Result<u8> {
    let connection = settings.connection(&flags.connection)?;
    let mut aborter = Aborter {
        journal: Journal::open(&settings.journal_to_read()?)?,
        settings,
        backend_flag: flags.backend.as_deref(),
        connection,
        limit: flags.query.limit(),
        finished,
    };
    let mut codes = Vec::new();
    for upload in &flags.uploads {
        let ended = match aborter.set(upload) {
            Ok(Some(set)) => aborter.abort_set(&set).await.map(Ended::Set),
            Ok(None) => aborter.abort(upload).await.map(Ended::Upload),
            Err(error) => Err(error),
        };
        match ended {
            Ok(ended) => report(settings, finished, &ended, upload, commands)?,
            Err(error) => {
                codes.push(error.kind().exit_code());
                output::eprint_error(&hints::for_query(error, commands));
            }
        }
    }
    Ok(merged_exit_code(&codes))
}

/// Something that was ended.
enum Ended {
    /// An upload with this id, if it has begun.
    Upload(Option<UploadId>),
    Set(EndedSet),
}

struct EndedSet {
    id: String,
    /// The number of uploads that were aborted.
    aborted: usize,
    /// The number of uploads that the backend is completing, or has completed.
    completing: usize,
}

struct Aborter<'a> {
    journal: Journal,
    settings: &'a Settings,
    backend_flag: Option<&'a str>,
    connection: Connection,
    /// The longest time that the backend may take for one upload.
    limit: Option<Duration>,
    finished: Finished,
}

impl Aborter<'_> {
    /// The set that an argument of `abort` names. `rm` removes no sets.
    fn set(&self, id_or_directory: &OsStr) -> Result<Option<FileSet>> {
        match self.finished {
            Finished::Keep => find_set(&self.journal, id_or_directory, |_| true),
            Finished::Remove => Ok(None),
        }
    }

    /// Aborts the unfinished uploads of a set, and removes it from the journal. Uploads that the
    /// backend is completing stay. The set stays if there is another failure.
    async fn abort_set(&mut self, set: &FileSet) -> Result<EndedSet> {
        if set.progress.is_finished() {
            let what = format!("all files of {} are uploaded", set.intent.name);
            let hint = "to remove the set from the journal, run `upload prune`";
            return Err(Error::new(Kind::NotAbortable, what).with_hint(hint));
        }
        // Another process may be uploading it.
        self.journal.take_set(set)?;
        let uploads = self.journal.unfinished_of_set(set.row)?;
        let mut ended = EndedSet {
            id: set.id.clone(),
            aborted: 0,
            completing: 0,
        };
        for upload in &uploads {
            match self.abort_recorded(upload).await {
                Ok(()) => ended.aborted += 1,
                Err(error) if error.kind() == Kind::NotAbortable => ended.completing += 1,
                Err(error) => return Err(error),
            }
        }
        self.journal.delete_sets(&[set.row])?;
        Ok(ended)
    }

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
            // An upload that was replaced may have an object.
            State::Abandoned if self.finished == Finished::Keep || upload.id.is_none() => {
                Ok(upload.id)
            }
            state => {
                let aborted = self.abort_recorded(&upload).await;
                let named = upload.id.as_ref();
                aborted.map_err(|error| {
                    explain(error, self.finished, Some(state), id_or_file, named)
                })?;
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
        let ended = within_limit(self.limit, self.end(handle.backend(), &id)).await;
        handle.close().await;
        let text = id.as_str().as_ref();
        ended.map_err(|error| explain(error, self.finished, None, text, Some(&id)))?;
        Ok(id)
    }

    /// Aborts regardless of the holder: the user asked for it.
    async fn end(&self, backend: &Backend, id: &UploadId) -> Result<()> {
        match self.finished {
            Finished::Keep => backend.abort(id, None).await,
            Finished::Remove => backend.remove(id).await,
        }
    }

    async fn abort_recorded(&mut self, upload: &Upload) -> Result<()> {
        let upload = self.journal.take(upload)?;
        // A finished upload that is kept stays in the journal, unless the backend has aborted it.
        let stays = upload.state == State::Completed && self.finished == Finished::Keep;
        let target = self
            .settings
            .recorded_target(&upload.intent, None, &self.connection)?;
        let handle =
            within_limit(self.limit, BackendHandle::connect(&target, self.settings)).await?;
        let aborted = self.end_recorded(handle.backend(), &upload);
        let aborted = within_limit(self.limit, aborted).await;
        handle.close().await;
        let unconfirmed = match aborted {
            Ok(()) => None,
            Err(error) if stays => return Err(error),
            // The backend has nothing to abort.
            Err(error)
                if matches!(
                    error.kind(),
                    Kind::NotFound
                        | Kind::Gone
                        | Kind::NotAcceptable
                        | Kind::Exists
                        | Kind::KeyInUse(_)
                ) =>
            {
                None
            }
            // The upload is abandoned all the same: a repetition could not confirm it either.
            Err(error) if error.kind() == Kind::Unconfirmed => Some(error),
            Err(error) => return Err(error),
        };
        if upload.state != State::Abandoned {
            self.journal
                .record(&[Record::Abandoned { row: upload.row }])?;
        }
        unconfirmed.map_or(Ok(()), Err)
    }

    /// Ends an upload of the journal. If the journal has no id, because no response to the request
    /// to begin arrived, the request is repeated to learn the id.
    async fn end_recorded(&self, backend: &Backend, upload: &Upload) -> Result<()> {
        transfer::restore_state(backend, upload);
        if upload.state == State::Completed && matches!(backend, Backend::Companion(_)) {
            let text = "the upload is finished, and a Companion cannot remove objects";
            return Err(Error::new(Kind::NotAbortable, text).with_hint(DELETE_IN_STORE_HINT));
        }
        if let Some(id) = &upload.id {
            return match (backend, upload.state) {
                (Backend::Gateway(_), _) => self.end(backend, id).await,
                (Backend::Companion(_), State::Abandoned) => Ok(()),
                (Backend::Companion(_), _) => backend.abort(id, None).await,
            };
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
}

/// Names the upload in the refusal of a backend, and the remedy. `recorded` is its state in the
/// journal, if it is there.
fn explain(
    error: Error,
    finished: Finished,
    recorded: Option<State>,
    id_or_file: &OsStr,
    id: Option<&UploadId>,
) -> Error {
    let text = match error.kind() {
        Kind::NotAbortable if recorded == Some(State::Completed) => {
            "is finished and was not removed"
        }
        Kind::NotAbortable => "is finished, or is being completed, and was not removed",
        _ => return error,
    };
    let text = format!("{} {text}", safe(&id_or_file.to_string_lossy()));
    let word = quoted(&[id_or_file.to_string_lossy().into_owned()]);
    let hint = match finished {
        _ if error.hint() == Some(DELETE_IN_STORE_HINT) => DELETE_IN_STORE_HINT.to_owned(),
        Finished::Keep => {
            let word = safe(&word);
            format!("to remove a finished upload with its object, run `upload rm {word}`")
        }
        Finished::Remove => {
            let id = id.map_or("ID", UploadId::as_str);
            format!("ask the operator of the backend to remove it: upload serve rm {id}")
        }
    };
    Error::new(Kind::NotAbortable, text)
        .with_hint(hint)
        .with_source(error)
}

fn report(
    settings: &Settings,
    finished: Finished,
    ended: &Ended,
    named: &OsStr,
    commands: &HintCommands,
) -> Result<()> {
    let verb = match finished {
        Finished::Keep => "aborted",
        Finished::Remove => "removed",
    };
    if settings.json() {
        let line = match ended {
            Ended::Upload(id) => serde_json::json!({ "type": verb, "upload": id }),
            Ended::Set(set) => serde_json::json!({
                "type": "aborted_set",
                "set": set.id,
                "aborted": set.aborted,
                "completing": set.completing,
            }),
        };
        return output::print(&format!("{}\n", event::to_json_line(&line)));
    }
    if !settings.quiet() {
        let mut text = format!("{verb} {}", safe(&named.to_string_lossy()));
        if let Ended::Set(set) = ended {
            let _ = match set.aborted {
                0 => Ok(()),
                1 => write!(text, ": 1 upload"),
                aborted => write!(text, ": {aborted} uploads"),
            };
            if set.completing > 0 {
                let resume = commands.resume();
                let _ = match set.completing {
                    1 => write!(
                        text,
                        "; 1 upload is complete or is being completed, and was not aborted (for \
                         its receipt, run `{resume}`)"
                    ),
                    completing => write!(
                        text,
                        "; {completing} uploads are complete or are being completed, and were not \
                         aborted (for their receipts, run `{resume}`)"
                    ),
                };
            }
        }
        output::eprint_line(&text);
    }
    Ok(())
}
