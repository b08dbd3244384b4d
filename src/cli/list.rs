//! `upload list` and `upload status`: what the journal knows, and what the backend says.
//!
//! Border: shows; changes nothing.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Serialize;

use super::abort::LOCK_WAIT;
use super::args;
use super::backend_handle::Connected;
use super::backend_spec::BackendSpec;
use super::config::print;
use super::prune::orphans;
use super::resume::find;
use super::settings::Settings;
use crate::event;
use crate::journal::{Journal, Part, Upload};
use crate::report::{safe, text};
use crate::transfer;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{Checksum, ETag, PartNumber, Sha256, UploadId};
use upload_types::plan::Plan;
use upload_types::wire::{Receipt, StoredPart, UploadStatus};

/// One upload as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    upload: Option<&'a UploadId>,
    state: &'static str,
    backend: &'a str,
    path: String,
    name: &'a str,
    size: u64,
    part_size: u64,
    parts: u32,
    /// Acknowledged, by the journal.
    stored_parts: u32,
    stored_bytes: u64,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a Receipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part_list: Option<Vec<PartLine>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<Remote>,
}

#[derive(Serialize)]
struct PartLine {
    number: PartNumber,
    size: u64,
    sha256: Option<Sha256>,
    etag: Option<ETag>,
}

/// What the backend says.
#[derive(Serialize)]
struct Remote {
    #[serde(flatten)]
    status: UploadStatus,
    part_list: Vec<StoredPart>,
}

/// # Errors
/// When the journal cannot be read; where orphans are asked for, what the backend answers.
pub async fn list(settings: &Settings, flags: &args::List) -> Result<()> {
    let journal = Journal::open(&settings.journal()?)?;
    let mut out = String::new();
    for upload in journal
        .all()?
        .iter()
        .rev()
        .filter(|upload| flags.all || upload.state.is_unfinished())
    {
        let parts = journal.parts(upload.row)?;
        if settings.common.json {
            let _ = writeln!(out, "{}", event::line(&line(upload, &parts)?));
        } else {
            out.push_str(&row(upload, &parts)?);
        }
    }
    if flags.orphans {
        let connection = settings.connection(&flags.connection)?;
        let backend = flags.backend.as_deref();
        let spec = settings.backend(backend, &connection)?;
        out.push_str(&orphans(settings, &journal, &spec, backend, &connection).await?);
    }
    if out.is_empty() && !settings.common.json && !settings.common.quiet {
        super::remark(if flags.all {
            "the journal knows no upload"
        } else {
            "nothing is unfinished"
        });
    }
    print(&out)
}

/// # Errors
/// [`Kind::NotFound`] when the journal knows no such upload; with `--remote` what the backend answers.
pub async fn status(settings: &Settings, flags: &args::Status) -> Result<()> {
    let connection = settings.connection(&flags.connection)?;
    let journal = Journal::open(&settings.journal()?)?;
    let upload = find(&journal, OsStr::new(&flags.id), &|_| true)?;
    let parts = journal.parts(upload.row)?;
    let remote = if flags.remote {
        let spec = BackendSpec::parse(
            &upload.intent.backend,
            connection.allow_insecure_http,
            Kind::Config,
        )?;
        let connection = settings.toward(&spec, None, &connection)?;
        let connected =
            Connected::new(settings, &spec, &connection, LOCK_WAIT, Arc::default()).await?;
        let remote = ask(&connected, &upload).await;
        connected.close().await;
        Some(remote?)
    } else {
        None
    };
    let plan = plan(&upload)?;
    let listed = plan.parts().map(|(number, range)| {
        let part = parts.iter().find(|part| part.number == number);
        let (sha256, etag) = (
            part.map(|part| part.sha256),
            part.and_then(|part| part.etag.clone()),
        );
        PartLine {
            number,
            size: range.len,
            sha256,
            etag,
        }
    });
    if settings.common.json {
        let line = Line {
            part_list: Some(listed.collect()),
            remote,
            ..line(&upload, &parts)?
        };
        return print(&format!("{}\n", event::line(&line)));
    }
    let mut out = row(&upload, &parts)?;
    let _ = writeln!(out, "  backend   {}", safe(&upload.intent.backend));
    let _ = writeln!(
        out,
        "  parts     {} of {}",
        plan.count(),
        text::size(plan.part_size())
    );
    if let Some(receipt) = &upload.receipt {
        let checksum = receipt.checksum.as_ref().map_or("-", Checksum::as_str);
        let _ = writeln!(
            out,
            "  location  {}\n  checksum  {checksum}",
            safe(&receipt.location)
        );
    }
    for part in listed {
        let state = if part.etag.is_some() {
            "stored"
        } else {
            "outstanding"
        };
        let sha256 = part
            .sha256
            .map_or(String::from("-"), |sha256| sha256.to_string());
        let _ = writeln!(
            out,
            "  {:>5}  {:>10}  {state:<11}  {sha256}",
            part.number,
            text::size(part.size)
        );
    }
    if let Some(remote) = remote {
        let stored = remote
            .part_list
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.size));
        let (state, count) = (remote.status.state.name(), remote.part_list.len());
        let parts = match remote.status.receipt {
            Some(_) => String::new(),
            None => format!(", {count} parts stored, {}", text::size(stored)),
        };
        let _ = writeln!(out, "  the backend says: {state}{parts}");
    }
    print(&out)
}

async fn ask(connected: &Connected, upload: &Upload) -> Result<Remote> {
    let id = upload.begun()?;
    transfer::recall(&connected.backend, upload);
    if upload.receipt.is_some() && !connected.backend.ways().ledger {
        return Err(Error::new(
            Kind::Incompatible,
            "this backend cannot tell of an upload that is finished",
        )
        .with_hint("what the journal knows of it is shown without --remote"));
    }
    let mut status = connected.backend.status(id).await?;
    let part_list = match &mut status.receipt {
        // Of an object that is whole, no store lists parts.
        Some(receipt) => {
            receipt.backend.clone_from(&connected.name);
            Vec::new()
        }
        None => connected.backend.parts(id).await?,
    };
    Ok(Remote { status, part_list })
}

fn plan(upload: &Upload) -> Result<Plan> {
    Plan::pinned(upload.intent.identity.size, upload.intent.part_size)
}

/// How many parts, and bytes, the journal holds an acknowledgement of.
fn stored(plan: &Plan, parts: &[Part]) -> (u32, u64) {
    let stored = parts
        .iter()
        .filter(|part| part.etag.is_some())
        .filter_map(|part| plan.range(part.number));
    stored.fold((0, 0), |(count, bytes), range| {
        (count + 1, bytes + range.len)
    })
}

fn line<'a>(upload: &'a Upload, parts: &[Part]) -> Result<Line<'a>> {
    let plan = plan(upload)?;
    let (stored_parts, stored_bytes) = stored(&plan, parts);
    Ok(Line {
        kind: "upload",
        upload: upload.id.as_ref(),
        state: upload.state.name(),
        backend: &upload.intent.backend,
        path: upload.intent.path.display().to_string(),
        name: &upload.intent.name,
        size: plan.size(),
        part_size: plan.part_size(),
        parts: plan.count(),
        stored_parts,
        stored_bytes,
        created_at: upload.created_at.to_string(),
        receipt: upload.receipt.as_ref(),
        part_list: None,
        remote: None,
    })
}

fn row(upload: &Upload, parts: &[Part]) -> Result<String> {
    let plan = plan(upload)?;
    let (_, bytes) = stored(&plan, parts);
    let id = upload.id.as_ref().map_or("(not begun)", UploadId::as_str);
    let percent = text::percent(bytes, plan.size());
    let (state, size) = (upload.state.name(), text::size(plan.size()));
    let path = safe(&upload.intent.path.display().to_string());
    Ok(format!(
        "{id:<36}  {state:<10}  {percent:>3}%  {size:>10}  {path}\n"
    ))
}
