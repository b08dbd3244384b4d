//! `upload serve owners` and `upload serve usage`: the owners of uploads and their bytes, from the
//! ledger.

use jiff::Timestamp;
use serde::Serialize;

use super::ledger_location;
use crate::cli::args::serve::LedgerArgs;
use crate::cli::output::{self, Reader};
use crate::cli::settings::Settings;
use crate::event;
use crate::report::{safe, shorten, text};
use upload_gateway::{Amount, Ledger, OwnerUsage};
use upload_types::error::Result;

const PAGE_ROWS: u32 = 200;
const OWNERS_HEADING: &str = "SEGMENT                    SINCE      LAST USE (UTC)   SUBJECT";
const USAGE_HEADING: &str = "  OPEN     SIZE  STORED     SIZE   ENDED SUBJECT";
/// The columns before the subject.
const OWNERS_COLUMNS: usize = 26 + 1 + 10 + 1 + 16 + 1;
const USAGE_COLUMNS: usize = 6 + 1 + 8 + 1 + 7 + 1 + 8 + 1 + 7 + 1;

/// The part of each owner that is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    Owners,
    Usage,
}

#[derive(Serialize)]
struct OwnerLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    owner: &'a str,
    subject: &'a str,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct UsageLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    owner: &'a str,
    subject: &'a str,
    counted_bytes: u64,
    open: AmountFields,
    stored: AmountFields,
    ended: AmountFields,
}

#[derive(Serialize)]
struct AmountFields {
    uploads: u64,
    bytes: u64,
}

impl From<Amount> for AmountFields {
    fn from(Amount { uploads, bytes }: Amount) -> Self {
        Self { uploads, bytes }
    }
}

/// # Errors
/// Those of the ledger; [`Kind::Io`](upload_types::error::Kind::Io) if standard output fails.
pub async fn run(settings: &Settings, flags: &LedgerArgs, about: About) -> Result<()> {
    let location = ledger_location::resolve(settings, flags.ledger.as_deref())?;
    ledger_location::check_exists(&location)?;
    let ledger = Ledger::open(&location).await?;
    let columns = output::stdout_columns();
    let mut last = String::new();
    loop {
        let page = ledger.owner_usage(&last, PAGE_ROWS).await?;
        let Some(owner) = page.last() else {
            return Ok(());
        };
        let mut lines = String::new();
        if columns.is_some() && last.is_empty() && !settings.json() {
            lines = heading(about).to_owned() + "\n";
        }
        for owner in &page {
            lines += &if settings.json() {
                json_line(owner, about)
            } else {
                text_line(owner, about, columns)
            };
            lines.push('\n');
        }
        last.clone_from(&owner.subject);
        if output::print_page(&lines)? == Reader::Closed {
            return Ok(());
        }
    }
}

fn heading(about: About) -> &'static str {
    match about {
        About::Owners => OWNERS_HEADING,
        About::Usage => USAGE_HEADING,
    }
}

fn json_line(owner: &OwnerUsage, about: About) -> String {
    match about {
        About::Owners => event::to_json_line(&OwnerLine {
            kind: "owner",
            owner: &owner.segment,
            subject: &owner.subject,
            created_at: owner.created_at,
            last_used_at: owner.last_used_at,
        }),
        About::Usage => event::to_json_line(&UsageLine {
            kind: "usage",
            owner: &owner.segment,
            subject: &owner.subject,
            counted_bytes: owner.counted_bytes,
            open: owner.open.into(),
            stored: owner.stored.into(),
            ended: owner.ended.into(),
        }),
    }
}

/// A line. For a terminal, the subject is shortened to its columns, and sizes have units.
fn text_line(owner: &OwnerUsage, about: About, columns: Option<usize>) -> String {
    let subject = safe(&owner.subject);
    match (about, columns) {
        (About::Owners, Some(columns)) => format!(
            "{:<26} {} {:<16} {}",
            safe(&owner.segment),
            owner.created_at.strftime("%Y-%m-%d"),
            minute(owner.last_used_at),
            shorten(&subject, columns.saturating_sub(OWNERS_COLUMNS))
        ),
        (About::Owners, None) => {
            let last_use = owner.last_used_at.map(|at| format!("{at:.0}"));
            let last_use = last_use.as_deref().unwrap_or("-");
            let (segment, since) = (safe(&owner.segment), owner.created_at);
            format!("{segment:<26}  {since:.0}  {last_use:<20}  {subject}")
        }
        (About::Usage, Some(columns)) => format!(
            "{:>6} {:>8} {:>7} {:>8} {:>7} {}",
            owner.open.uploads,
            text::size(owner.open.bytes),
            owner.stored.uploads,
            text::size(owner.stored.bytes),
            owner.ended.uploads,
            shorten(&subject, columns.saturating_sub(USAGE_COLUMNS))
        ),
        (About::Usage, None) => format!(
            "{:>6}  {:>13}  {:>7}  {:>15}  {:>7}  {subject}",
            owner.open.uploads,
            owner.open.bytes,
            owner.stored.uploads,
            owner.stored.bytes,
            owner.ended.uploads,
        ),
    }
}

/// A time to the minute in UTC, or `-`.
pub fn minute(time: Option<Timestamp>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::width;

    #[test]
    fn lines_fit_the_terminal_and_have_no_controls() {
        let amount = Amount {
            uploads: 99_999,
            bytes: 1023 << 40,
        };
        let owner = OwnerUsage {
            segment: "o".repeat(26),
            subject: format!("jwt:https://issuer.example \u{1b}[2J{}", "é".repeat(90)),
            created_at: Timestamp::UNIX_EPOCH,
            last_used_at: Some(Timestamp::UNIX_EPOCH),
            counted_bytes: 1,
            open: amount,
            stored: amount,
            ended: amount,
        };
        for about in [About::Owners, About::Usage] {
            for columns in [Some(80), Some(200), None] {
                let line = text_line(&owner, about, columns);
                assert!(!line.contains('\u{1b}') && !line.contains('\n'), "{line:?}");
                assert!(
                    columns.is_none_or(|columns| width(&line) <= columns),
                    "{line}"
                );
            }
            assert!(width(heading(about)) <= 80);
        }
    }
}
