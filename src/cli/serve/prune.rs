//! `upload serve prune`: deletes old records from the ledger, also while gateways run on it.
//!
//! Not here: the records that may be deleted (`gateway`).

use jiff::Timestamp;
use serde::Serialize;

use super::ledger_location;
use crate::cli::args::serve::PruneArgs;
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::event;
use crate::report::text;
use upload_gateway::{Ledger, PruneScope, PrunedUploads};
use upload_types::error::Result;

/// The line of `--json`.
#[derive(Serialize)]
struct Line {
    #[serde(rename = "type")]
    kind: &'static str,
    dry_run: bool,
    aborted: u64,
    expired: u64,
    rejected: u64,
    ready: u64,
    /// The bytes by which the file of the ledger gets smaller.
    released: u64,
}

/// # Errors
/// [`Kind::NotFound`](upload_types::error::Kind::NotFound) if there is no ledger; those of the
/// ledger.
pub async fn run(settings: &Settings, arguments: &PruneArgs) -> Result<()> {
    let location = ledger_location::resolve(settings, arguments.ledger.ledger.as_deref())?;
    ledger_location::check_exists(&location)?;
    let ledger = Ledger::open(&location).await?;
    let before = Timestamp::now().checked_sub(arguments.older_than);
    let before = before.unwrap_or(Timestamp::MIN);
    let scope = if arguments.ready {
        PruneScope::EndedAndReady
    } else {
        PruneScope::Ended
    };
    let (pruned, released) = if arguments.dry_run {
        (ledger.count_prunable(before, scope).await?, 0)
    } else {
        let pruned = ledger.prune(before, scope).await?;
        let released = ledger.release_space().await?;
        drop(ledger);
        upload_gateway::write_log_into_file(&location).await;
        (pruned, released)
    };
    let line = if settings.json() {
        event::to_json_line(&json_line(pruned, released, arguments.dry_run))
    } else {
        text_line(pruned, released, arguments.dry_run)
    };
    output::print(&(line + "\n"))
}

fn json_line(pruned: PrunedUploads, released: u64, dry_run: bool) -> Line {
    let PrunedUploads {
        aborted,
        expired,
        rejected,
        ready,
    } = pruned;
    Line {
        kind: "prune",
        dry_run,
        aborted,
        expired,
        rejected,
        ready,
        released,
    }
}

fn text_line(pruned: PrunedUploads, released: u64, dry_run: bool) -> String {
    let verb = if dry_run { "would delete" } else { "deleted" };
    let PrunedUploads {
        aborted,
        expired,
        rejected,
        ready,
    } = pruned;
    let counts = format!(
        "{verb} {} uploads: {aborted} aborted, {expired} expired, {rejected} rejected, {ready} ready",
        pruned.total()
    );
    if released == 0 {
        return counts;
    }
    format!("{counts}; released {}", text::size(released))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_each_count() {
        let pruned = PrunedUploads {
            aborted: 3,
            expired: 20,
            rejected: 0,
            ready: 1,
        };
        let text = text_line(pruned, 0, true);
        assert!(text.contains("24") && text.contains("20 expired"), "{text}");
        let line = event::to_json_line(&json_line(pruned, 4096, false));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["aborted"], &line["released"]),
            (&3.into(), &4096.into())
        );
    }
}
