//! `upload status`: one upload with its parts, and on request the backend's view of it. Changes
//! nothing.

use std::fmt::Write as _;

use super::args::StatusArgs;
use super::backend_handle::BackendHandle;
use super::lookup::find_upload;
use super::output;
use super::query_limit::within_limit;
use super::settings::Settings;
use super::upload_line::{PartLine, Remote, json_line, plan, text_line};
use crate::event;
use crate::journal::{Journal, Part, Upload};
use crate::report::{safe, text};
use crate::transfer;
use upload_types::Checksum;
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::ObjectState;

/// # Errors
/// [`Kind::NotFound`] if the journal has no such upload; with `--remote`, errors of the backend.
pub async fn run(settings: &Settings, flags: &StatusArgs) -> Result<()> {
    let connection = settings.connection(&flags.connection)?;
    let journal = Journal::open(&settings.journal()?)?;
    let upload = find_upload(&journal, &flags.upload, |_| true)?;
    let parts = journal.parts(upload.row)?;
    let remote = if flags.remote {
        let target = settings.recorded_target(&upload.intent.backend, None, &connection)?;
        let limit = flags.query.limit();
        let handle = within_limit(limit, BackendHandle::connect(&target)).await?;
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
        text(&upload, &parts, remote.as_ref())?
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
        None => backend.parts(id, plan(upload)?.count()).await?,
    };
    Ok(Remote { status, part_list })
}

/// Every part of the plan, with the journal's record of it.
fn part_lines(upload: &Upload, parts: &[Part]) -> Result<Vec<PartLine>> {
    let plan = plan(upload)?;
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

fn text(upload: &Upload, parts: &[Part], remote: Option<&Remote>) -> Result<String> {
    let plan = plan(upload)?;
    let mut text = text_line(upload, parts)?;
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  backend   {}", safe(&upload.intent.backend));
    let _ = writeln!(
        text,
        "  parts     {} of {}",
        plan.count(),
        text::size(plan.part_size())
    );
    if let Some(receipt) = &upload.receipt {
        let checksum = receipt.checksum.as_ref().map_or("-", Checksum::as_str);
        let _ = writeln!(
            text,
            "  location  {}\n  checksum  {checksum}",
            safe(&receipt.location)
        );
    }
    for part in part_lines(upload, parts)? {
        let state = if part.etag.is_some() {
            "stored"
        } else {
            "not stored"
        };
        let sha256 = part
            .sha256
            .map_or_else(|| "-".to_owned(), |sha256| sha256.to_string());
        let _ = writeln!(
            text,
            "  {:>5}  {:>10}  {state:<10}  {sha256}",
            part.number,
            text::size(part.size)
        );
    }
    if let Some(remote) = remote {
        let _ = writeln!(text, "  at the backend: {}", remote_text(remote));
    }
    Ok(text)
}

fn remote_text(remote: &Remote) -> String {
    let state = remote.status.state.name();
    if let Some(reason) = &remote.status.reason {
        return format!("{state}: {}", safe(reason));
    }
    if remote.status.receipt.is_some() {
        let object = remote.status.object.map(ObjectState::name);
        return object.map_or_else(
            || state.to_owned(),
            |object| format!("{state}, object {object}"),
        );
    }
    let bytes = remote
        .part_list
        .iter()
        .fold(0_u64, |sum, part| sum.saturating_add(part.size));
    let count = remote.part_list.len();
    format!("{state}, {count} parts stored, {}", text::size(bytes))
}
