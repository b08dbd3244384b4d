//! One upload of the journal as a line of text or JSON, for `list` and `status`, or as an entry of
//! a table.

use serde::Serialize;

use super::upload_table::Entry;
use crate::journal::{Part, S3Service, Upload};
use crate::report::{escape, safe, text};
use crate::transfer::plan_error;
use upload_types::error::Result;
use upload_types::plan::Plan;
use upload_types::schedule::Schedule;
use upload_types::wire::{Receipt, StoredPart, UploadStatus};
use upload_types::{ByteRange, ETag, PartNumber, Sha256, UploadId};

/// A line of `--json`.
#[derive(Serialize)]
pub struct UploadLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    upload: Option<&'a UploadId>,
    state: &'static str,
    backend: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_service: Option<&'a S3Service>,
    path: String,
    name: &'a str,
    /// The key that the client has chosen, below the prefix of the backend. Null if the backend
    /// makes it.
    key: Option<&'a str>,
    /// Null for a stream that has not ended.
    size: Option<u64>,
    part_size: u64,
    /// Of a stream that has not ended: the number of parts that were read.
    parts: u32,
    /// The upload of a stream.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    /// Acknowledged by the store, according to the journal.
    pub stored_parts: u32,
    pub stored_bytes: u64,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a Receipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_list: Option<Vec<PartLine>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
}

#[derive(Serialize)]
pub struct PartLine {
    pub number: PartNumber,
    pub size: u64,
    pub sha256: Option<Sha256>,
    pub etag: Option<ETag>,
}

/// The backend's view of an upload.
#[derive(Serialize)]
pub struct Remote {
    #[serde(flatten)]
    pub status: UploadStatus,
    pub part_list: Vec<StoredPart>,
}

/// The plan of an upload. That of a stream which has not ended has the parts that were read so far.
pub fn plan(upload: &Upload, parts: &[Part]) -> Result<Plan> {
    let intent = &upload.intent;
    let Some(terms) = intent.stream else {
        return Plan::pinned(intent.version.size, intent.part_size).map_err(plan_error);
    };
    let schedule = Schedule::pinned(intent.part_size, terms.double_after).map_err(plan_error)?;
    let size = upload.receipt.as_ref().map(|receipt| receipt.size);
    let read = parts.iter().filter_map(|part| schedule.range(part.number));
    let read = read.map(ByteRange::end).max().unwrap_or(0);
    Plan::of_stream(size.unwrap_or(read), schedule).map_err(plan_error)
}

/// The size of an upload; `None` for a stream that has not ended.
pub fn size(upload: &Upload, plan: &Plan) -> Option<u64> {
    let is_known = upload.intent.stream.is_none() || upload.receipt.is_some();
    is_known.then_some(plan.size())
}

/// The file of an upload, or the name of a stream.
pub fn subject(upload: &Upload) -> String {
    let path = upload.intent.path.display();
    match upload.intent.stream {
        None => path.to_string(),
        Some(_) => format!("{path} ({})", upload.intent.name),
    }
}

pub fn json_line<'a>(upload: &'a Upload, parts: &[Part]) -> Result<UploadLine<'a>> {
    let plan = plan(upload, parts)?;
    let (stored_parts, stored_bytes) = stored(&plan, parts);
    Ok(UploadLine {
        kind: "upload",
        upload: upload.id.as_ref(),
        state: upload.state.name(),
        backend: &upload.intent.backend,
        s3_service: upload.intent.s3_service.as_ref(),
        path: upload.intent.path.display().to_string(),
        name: &upload.intent.name,
        key: upload.intent.key.as_deref(),
        size: size(upload, &plan),
        part_size: plan.part_size(),
        parts: plan.count(),
        stream: upload.intent.stream.is_some(),
        stored_parts,
        stored_bytes,
        created_at: upload.created_at.to_string(),
        receipt: upload.receipt.as_ref(),
        part_list: None,
        remote: None,
    })
}

pub fn text_line(upload: &Upload, parts: &[Part]) -> Result<String> {
    let plan = plan(upload, parts)?;
    let (_, stored_bytes) = stored(&plan, parts);
    let id = upload.id.as_ref().map_or("(not begun)", UploadId::as_str);
    let (percent, size) = match size(upload, &plan) {
        Some(size) => (text::percent(stored_bytes, size).to_string(), size),
        None => ("?".to_owned(), stored_bytes),
    };
    let (state, size) = (upload.state.name(), text::size(size));
    let path = safe(&subject(upload));
    Ok(format!(
        "{id:<36}  {state:<10}  {percent:>3}%  {size:>10}  {path}\n"
    ))
}

/// An upload in the table for a terminal.
pub fn table_entry(upload: &Upload, parts: &[Part]) -> Result<Entry> {
    let plan = plan(upload, parts)?;
    let (_, stored_bytes) = stored(&plan, parts);
    let id = upload.id.as_ref().map_or("(not begun)", UploadId::as_str);
    let mut details = vec![
        ("file", escape(&subject(upload))),
        ("backend", escape(&upload.intent.backend)),
    ];
    let receipt = upload.receipt.as_ref();
    if let Some(location) = receipt.and_then(|receipt| receipt.location.as_ref()) {
        details.push(("location", escape(location)));
    } else if let Some(key) = &upload.intent.key {
        details.push(("key", escape(key)));
    }
    Ok(Entry {
        id: id.to_owned(),
        state: upload.state.name(),
        stored: size(upload, &plan).map(|size| text::percent(stored_bytes, size)),
        size: Some(size(upload, &plan).unwrap_or(stored_bytes)),
        begun_at: upload.created_at,
        details,
    })
}

/// The number and the bytes of the parts that the store has acknowledged.
fn stored(plan: &Plan, parts: &[Part]) -> (u32, u64) {
    parts
        .iter()
        .filter(|part| part.etag.is_some())
        .filter_map(|part| plan.range(part.number))
        .fold((0, 0), |(count, bytes), range| {
            (count + 1, bytes + range.len)
        })
}
