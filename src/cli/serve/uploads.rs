//! `upload serve uploads`: the uploads of all owners, from the ledger.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::ledger_location;
use crate::cli::args::serve::UploadsArgs;
use crate::cli::output::{self, Reader};
use crate::cli::settings::Settings;
use crate::event;
use crate::report::{safe, shorten, text};
use upload_gateway::{Ledger, ListedUpload, UploadFilter};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Receipt;

const PAGE_ROWS: u32 = 500;
const HEADING: &str = "UPLOAD                               STATE          SIZE BEGUN (UTC)";
const LABEL_COLUMNS: usize = 8;

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    owner: &'a str,
    subject: &'a str,
    state: &'static str,
    size: u64,
    name: &'a str,
    content_type: &'a str,
    key: &'a str,
    created_at: Timestamp,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a Receipt>,
}

/// # Errors
/// Those of the ledger; [`Kind::NotFound`] for an owner that the ledger does not have;
/// [`Kind::Io`] if standard output fails.
pub async fn run(settings: &Settings, flags: &UploadsArgs) -> Result<()> {
    let location = ledger_location::resolve(settings, flags.ledger.ledger.as_deref())?;
    ledger_location::check_exists(&location)?;
    let ledger = Ledger::open(&location).await?;
    let owner = match &flags.owner {
        Some(text) => Some(segment(&ledger, text).await?),
        None => None,
    };
    let filter = UploadFilter {
        owner,
        state: flags.state,
        since: flags.since.map(|since| since.time(Timestamp::now())),
    };
    let columns = output::stdout_columns().filter(|_| !settings.json());
    let mut last: Option<String> = None;
    loop {
        let page = ledger
            .upload_listing(&filter, last.as_deref(), PAGE_ROWS)
            .await?;
        let mut lines = String::new();
        if let (Some(_), None, false) = (columns, &last, page.is_empty()) {
            lines = format!("{HEADING}\n");
        }
        for upload in &page {
            lines += &match columns {
                _ if settings.json() => event::to_json_line(&json_line(upload)) + "\n",
                Some(columns) => rows(upload, columns),
                None => text_line(upload),
            };
        }
        if output::print_page(&lines)? == Reader::Closed {
            return Ok(());
        }
        let Some(upload) = page.last() else {
            return Ok(());
        };
        last = Some(upload.id.clone());
    }
}

async fn segment(ledger: &Ledger, text: &str) -> Result<String> {
    ledger.find_owner(text).await?.ok_or_else(|| {
        let what = format!("the ledger has no owner {}", safe(text));
        Error::new(Kind::NotFound, what)
            .with_hint("run `upload serve owners` with the same ledger to list them")
    })
}

fn json_line(upload: &ListedUpload) -> Line<'_> {
    Line {
        kind: "upload",
        id: &upload.id,
        owner: &upload.owner,
        subject: &upload.subject,
        state: upload.state.name(),
        size: upload.size,
        name: &upload.name,
        content_type: &upload.content_type,
        key: &upload.key,
        created_at: upload.created_at,
        expires_at: upload.expires_at,
        receipt: upload.receipt.as_ref(),
    }
}

/// One line for programs.
fn text_line(upload: &ListedUpload) -> String {
    format!(
        "{}  {:<10}  {:>13}  {:.0}  {}  {}\n",
        safe(&upload.id),
        upload.state.name(),
        upload.size,
        upload.created_at,
        safe(&upload.owner),
        safe(&upload.name)
    )
}

/// Lines for a terminal of this many columns.
fn rows(upload: &ListedUpload, columns: usize) -> String {
    let mut rows = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        rows,
        "{:<36} {:<10} {:>8} {}",
        safe(&upload.id),
        upload.state.name(),
        text::size(upload.size),
        upload.created_at.strftime("%Y-%m-%d %H:%M")
    );
    let room = columns.saturating_sub(LABEL_COLUMNS + 2);
    for (label, detail) in [("owner", &upload.subject), ("name", &upload.name)] {
        let detail = shorten(&safe(detail), room);
        let _ = writeln!(rows, "  {label:LABEL_COLUMNS$}{detail}");
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::width;
    use upload_types::wire::UploadState;

    #[test]
    fn lines_fit_the_terminal_and_have_no_controls() {
        let upload = ListedUpload {
            id: "0198c0de-0000-7000-8000-000000000000".into(),
            owner: "o".repeat(26),
            subject: format!("jwt:https://issuer.example {}", "7".repeat(90)),
            state: UploadState::Completing,
            size: 1023 << 40,
            name: "a\u{1b}[2J\u{202e}".repeat(40),
            content_type: "video/mp4".into(),
            key: "uploads/o/i".into(),
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            receipt: None,
        };
        let rows = rows(&upload, 80);
        for line in [HEADING].into_iter().chain(rows.lines()) {
            assert!(width(line) <= 80, "{line}");
        }
        for text in [rows, text_line(&upload)] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        }
        let json = event::to_json_line(&json_line(&upload));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["name"], upload.name);
    }
}
