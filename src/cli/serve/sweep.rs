//! `upload serve sweep`: sweeps once and prints each result, or what a sweep would do.
//!
//! Not here: sweeping (`gateway`).

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::ledger_location;
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::event;
use crate::report::{safe, text};
use upload_gateway::{Config, SweepAction, SweepMode, SweptItem};
use upload_types::UploadId;
use upload_types::error::{Error, Kind, Result};
use upload_types::sync::lock;
use upload_types::wire::UploadState;

/// A line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    dry_run: bool,
    action: &'static str,
    /// Whether the action is complete; always true for `report`.
    done: bool,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<&'a UploadId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    became: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<jiff::Timestamp>,
    /// How many multipart uploads would be removed from the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    multiparts: Option<usize>,
    /// Whether an object would be removed from the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<bool>,
}

#[derive(Default)]
struct Results {
    lines: String,
    /// How often each action occurred, by [`index`].
    counts: [usize; 5],
    incomplete: usize,
}

/// # Errors
/// Those of the sweep; [`Kind::Temporary`] if an action could not be completed.
pub async fn run(settings: &Settings, config: Config, mode: SweepMode) -> Result<()> {
    ledger_location::check_exists(&config.ledger)?;
    let json = settings.json();
    // Waiting is useless: a gateway keeps the embedded store open until it stops.
    let config = Config {
        store_lock_timeout: Duration::ZERO,
        ..config
    };
    let results = Mutex::new(Results::default());
    let swept = upload_gateway::sweep_once(config, mode, &|swept| {
        let mut results = lock(&results);
        results.counts[index(swept.action)] += 1;
        results.incomplete += usize::from(mode == SweepMode::Run && !swept.is_done);
        let line = if json {
            event::to_json_line(&json_line(swept, mode))
        } else {
            text_line(swept, mode)
        };
        let _ = writeln!(results.lines, "{line}");
    })
    .await;
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    output::print(&results.lines)?;
    swept?;
    if !settings.quiet() && !json {
        output::eprint_line(&summary(results.counts, mode));
    }
    if results.incomplete == 0 {
        return Ok(());
    }
    Err(Error::new(
        Kind::Temporary,
        format!("{} actions could not be completed", results.incomplete),
    )
    .with_hint("run the sweep again; with -v it logs the errors of store and ledger"))
}

fn index(action: SweepAction) -> usize {
    match action {
        SweepAction::Decide => 0,
        SweepAction::Expire => 1,
        SweepAction::Abort => 2,
        SweepAction::CleanUp => 3,
        SweepAction::Report => 4,
    }
}

fn name(action: SweepAction) -> &'static str {
    ["decide", "expire", "abort", "clean_up", "report"][index(action)]
}

fn summary([decide, expire, abort, clean_up, report]: [usize; 5], mode: SweepMode) -> String {
    let unknown = format!("unknown to the ledger: {report}");
    match mode {
        SweepMode::DryRun => {
            format!(
                "would decide {decide}, expire {expire}, abort {abort}, clean up {clean_up}; {unknown}"
            )
        }
        SweepMode::Run => {
            format!(
                "decided {decide}, expired {expire}, aborted {abort}, cleaned up {clean_up}; {unknown}"
            )
        }
    }
}

fn json_line(swept: &SweptItem, mode: SweepMode) -> Line<'_> {
    let upload = swept.upload.as_ref();
    Line {
        kind: "sweep",
        dry_run: mode == SweepMode::DryRun,
        action: name(swept.action),
        done: swept.is_done,
        key: &swept.key,
        upload: upload.map(|upload| &upload.id),
        state: upload.map(|upload| upload.state.name()),
        became: swept.new_state.map(UploadState::name),
        size: upload.map(|upload| upload.plan.size()),
        expires_at: upload.map(|upload| upload.expires_at),
        multiparts: swept.leftovers.map(|leftovers| leftovers.multiparts),
        object: swept.leftovers.map(|leftovers| leftovers.has_object),
    }
}

fn text_line(swept: &SweptItem, mode: SweepMode) -> String {
    let key = safe(&swept.key);
    let Some(upload) = &swept.upload else {
        return format!(
            "{:<13}  {:<36}  {:<10}  {:>10}  {key}",
            "unknown", "-", "-", "-"
        );
    };
    let result = match (swept.action, mode, swept.is_done) {
        (SweepAction::Decide, SweepMode::Run, true) => "decided",
        (SweepAction::Expire, SweepMode::Run, true) => "expired",
        (SweepAction::Abort, SweepMode::Run, true) => "aborted",
        (SweepAction::CleanUp, SweepMode::Run, true) => "cleaned up",
        (_, SweepMode::Run, false) => "incomplete",
        (SweepAction::Decide, SweepMode::DryRun, _) => "would decide",
        (SweepAction::Expire, SweepMode::DryRun, _) => "would expire",
        (SweepAction::Abort, SweepMode::DryRun, _) => "would abort",
        (SweepAction::CleanUp, SweepMode::DryRun, _) => "would clean up",
        (SweepAction::Report, ..) => "unknown",
    };
    let state = swept.new_state.unwrap_or(upload.state).name();
    let removed = match swept.leftovers {
        None => String::new(),
        Some(leftovers) if leftovers.multiparts == 0 && !leftovers.has_object => {
            "  (nothing in the store)".to_owned()
        }
        Some(leftovers) if leftovers.has_object => {
            format!("  (the object, {} multipart uploads)", leftovers.multiparts)
        }
        Some(leftovers) => format!("  ({} multipart uploads)", leftovers.multiparts),
    };
    format!(
        "{result:<14}  {}  {state:<10}  {:>10}  {key}{removed}",
        upload.id,
        text::size(upload.plan.size())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_multipart_upload_has_a_key_only() {
        let swept = SweptItem {
            action: SweepAction::Report,
            key: "uploads/x\u{1b}[2J".into(),
            upload: None,
            leftovers: None,
            new_state: None,
            is_done: true,
        };
        assert!(!text_line(&swept, SweepMode::DryRun).contains('\u{1b}'));
        let line: serde_json::Value =
            serde_json::from_str(&event::to_json_line(&json_line(&swept, SweepMode::DryRun)))
                .unwrap();
        assert_eq!(
            (&line["type"], &line["action"]),
            (&"sweep".into(), &"report".into())
        );
        assert!(line.get("upload").is_none() && line.get("state").is_none());
    }

    #[test]
    fn summary_counts_each_action() {
        let counts = [0, 1, 0, 0, 2];
        let summary = summary(counts, SweepMode::DryRun);
        assert!(
            summary.contains("expire 1") && summary.ends_with(": 2"),
            "{summary}"
        );
    }
}
