//! `upload status`: a summary of one upload; on request its parts, and the view of the backend.
//! Changes nothing.

use jiff::Timestamp;

use super::args::StatusArgs;
use super::backend_handle::BackendHandle;
use super::lookup::find_upload;
use super::output;
use super::query_limit::within_limit;
use super::settings::Settings;
use super::status_text::status_text;
use super::upload_line::{PartLine, Remote, json_line, plan};
use crate::event;
use crate::journal::{Journal, Part, Upload};
use crate::transfer;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Limits;

/// # Errors
/// [`Kind::NotFound`] if the journal has no such upload; with `--remote`, errors of the backend.
pub async fn run(settings: &Settings, flags: &StatusArgs) -> Result<()> {
    let connection = settings.connection(&flags.connection)?;
    let journal = Journal::open(&settings.journal_to_read()?)?;
    let upload = find_upload(&journal, &flags.upload, |_| true)?;
    let parts = journal.parts(upload.row)?;
    let remote = if flags.remote {
        let target = settings.recorded_target(&upload.intent, None, &connection)?;
        let limit = flags.query.limit();
        let handle = within_limit(limit, BackendHandle::connect(&target, settings)).await?;
        let remote = within_limit(limit, ask_backend(&handle, &upload)).await;
        handle.close().await;
        Some(remote?)
    } else {
        None
    };
    output::print(&if settings.json() {
        let mut line = json_line(&upload, &parts)?;
        line.part_list = Some(part_lines(&upload, &parts)?);
        line.remote = remote;
        event::to_json_line(&line) + "\n"
    } else {
        let listed = if flags.parts {
            part_lines(&upload, &parts)?
        } else {
            Vec::new()
        };
        status_text(&upload, &parts, &listed, remote.as_ref(), Timestamp::now())?
    })
}

async fn ask_backend(handle: &BackendHandle, upload: &Upload) -> Result<Remote> {
    let id = upload.begun_id()?;
    let backend = handle.backend();
    transfer::restore_state(backend, upload);
    if upload.receipt.is_some() && !backend.capabilities().durable {
        return Err(Error::new(
            Kind::Incompatible,
            "this backend keeps no record of finished uploads",
        )
        .with_hint("leave out --remote to see the record of the journal"));
    }
    let mut status = backend.status(id).await?;
    let part_list = match &mut status.receipt {
        // Stores do not list the parts of complete objects.
        Some(receipt) => {
            handle.name().clone_into(&mut receipt.backend);
            Vec::new()
        }
        None => backend.parts(id, most_parts(upload)?).await?,
    };
    Ok(Remote { status, part_list })
}

/// The most parts that the store may list of an upload.
fn most_parts(upload: &Upload) -> Result<u32> {
    match upload.intent.stream {
        None => Ok(plan(upload, &[])?.count()),
        Some(_) => Ok(Limits::S3.max_parts),
    }
}

/// Every part of the plan, with the journal's record of it.
fn part_lines(upload: &Upload, parts: &[Part]) -> Result<Vec<PartLine>> {
    let plan = plan(upload, parts)?;
    let lines = plan.parts().map(|(number, range)| {
        let recorded = parts.iter().find(|part| part.number == number);
        PartLine {
            number,
            size: range.len,
            sha256: recorded.map(|part| part.sha256),
            etag: recorded.and_then(|part| part.etag.clone()),
        }
    });
    Ok(lines.collect())
}
