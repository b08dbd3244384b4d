//! The text of `upload status` for people.
//!
//! Pure. Not here: JSON (`upload_line`).

use std::fmt::{Display, Write as _};

use jiff::Timestamp;

use super::upload_line::{PartLine, Remote, json_line, plan, size, subject};
use crate::journal::{Part, Upload};
use crate::report::{escape, safe, text};
use upload_types::error::Result;
use upload_types::saturating;
use upload_types::wire::ObjectState;

/// A summary of the upload, and a line for each part in `part_lines`.
///
/// # Errors
/// The plan of the upload is invalid.
pub fn status_text(
    upload: &Upload,
    parts: &[Part],
    part_lines: &[PartLine],
    remote: Option<&Remote>,
    now: Timestamp,
) -> Result<String> {
    let plan = plan(upload, parts)?;
    let line = json_line(upload, parts)?;
    let mut text = String::new();
    let mut add = |label: &str, value: &dyn Display| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{label:<10}{value}");
    };
    let known = size(upload, &plan);
    let stored = match known {
        Some(size) => format!("{}% stored", text::percent(line.stored_bytes, size)),
        None => format!("{} stored", text::size(line.stored_bytes)),
    };
    add("file", &escape(&subject(upload)));
    match &upload.id {
        Some(id) => add("upload", &safe(id.as_str())),
        None => add("upload", &"not begun"),
    }
    add("state", &format_args!("{}, {stored}", upload.state.name()));
    match known {
        Some(bytes) => add(
            "size",
            &format_args!("{} ({bytes} bytes)", text::size(bytes)),
        ),
        None => add("size", &"unknown: a stream that has not ended"),
    }
    let each = match plan.schedule().double_after() {
        Some(_) => "and more",
        None => "each",
    };
    add(
        "parts",
        &format_args!(
            "{} of {} stored, {} {each}",
            line.stored_parts,
            plan.count(),
            text::size(plan.part_size())
        ),
    );
    for (key, value) in &upload.intent.metadata {
        add("metadata", &escape(&format!("{key}={value}")));
    }
    let attributes = &upload.intent.attributes;
    for attribute in attributes.given() {
        if let Some(value) = attributes.value(attribute) {
            add("attribute", &escape(&format!("{attribute}: {value}")));
        }
    }
    for (key, value) in &attributes.tags {
        add("attribute", &escape(&format!("tag: {key}={value}")));
    }
    let age = now.duration_since(upload.created_at).unsigned_abs();
    add(
        "begun",
        &format_args!("{:.0} ({} ago)", upload.created_at, text::duration(age)),
    );
    if let Some(receipt) = &upload.receipt {
        let took = receipt.finished.duration_since(receipt.started);
        add(
            "finished",
            &format_args!("{:.0}{}", receipt.finished, rate(plan.size(), took)),
        );
    }
    add("backend", &safe(&upload.intent.backend));
    let service = upload.intent.s3_service.as_ref();
    if let Some(endpoint) = service.and_then(|service| service.endpoint.as_ref()) {
        add("endpoint", &safe(endpoint));
    }
    if let Some(receipt) = &upload.receipt {
        add("key", &escape(receipt.key.as_str()));
        if let Some(location) = &receipt.location {
            add("location", &escape(location));
        }
        if let Some(checksum) = &receipt.checksum {
            add("checksum", &safe(checksum.as_str()));
        }
        add("proof", &receipt.proof.name());
    } else if let Some(key) = &upload.intent.key {
        add("key", &escape(key));
    }
    if let Some(remote) = remote {
        add("remote", &remote_text(remote));
    }
    for part in part_lines {
        let _ = writeln!(text, "{}", part_text(part));
    }
    Ok(text)
}

/// The average rate of a finished upload; empty if it took less than a tenth of a second.
fn rate(bytes: u64, took: jiff::SignedDuration) -> String {
    let millis = u64::try_from(took.as_millis()).unwrap_or(0);
    if millis < 100 {
        return String::new();
    }
    let per_second = u128::from(bytes) * 1000 / u128::from(millis);
    let per_second = saturating::to_u64(per_second);
    let took = text::duration(took.unsigned_abs());
    format!(", after {took}, {} on average", text::rate(per_second))
}

fn part_text(part: &PartLine) -> String {
    let state = if part.etag.is_some() {
        "stored"
    } else {
        "not stored"
    };
    let sha256 = part
        .sha256
        .map_or_else(|| "-".to_owned(), |sha256| sha256.to_string());
    let (number, size) = (part.number, text::size(part.size));
    format!("{number:>7}  {size:>10}  {state:<10}  {sha256}")
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
