//! `upload serve sweep`: one sweep now, or what it would do.
//!
//! Border: prints what it is told of; sweeping is `gateway`.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use upload_types::sync::lock;

use serde::Serialize;

use crate::cli::config::print;
use crate::cli::settings::Settings;
use crate::event;
use crate::report::{safe, text};
use upload_gateway::{Config, SweepAction, SweepMode, SweptItem};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::UploadId;
use upload_types::wire::UploadState;

/// One line of `--json`: `type` is `sweep`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    dry_run: bool,
    action: &'static str,
    /// Whether that was done; of what is only reported there is nothing to do.
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
    /// Multipart uploads that would go out of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    multiparts: Option<usize>,
    /// Whether an object would.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<bool>,
}

/// How often each action was met, and how often it could not be brought to its end.
#[derive(Default)]
struct Counts {
    out: String,
    met: [usize; 5],
    left: usize,
}

/// Prints each thing that was found, and at the end, on standard error, how many.
///
/// # Errors
/// What the sweep says; [`Kind::Temporary`] when something it found could not be brought to its end.
pub async fn run(settings: &Settings, config: Config, dry_run: bool) -> Result<()> {
    let json = settings.common.json;
    let counts = Mutex::new(Counts::default());
    // Who runs the embedded store runs it for long.
    let config = Config {
        store_lock_timeout: Duration::ZERO,
        ..config
    };
    let mode = if dry_run {
        SweepMode::DryRun
    } else {
        SweepMode::Run
    };
    let swept = upload_gateway::sweep_once(config, mode, &|swept| {
        let mut counts = lock(&counts);
        counts.met[place(swept.action)] += 1;
        counts.left += usize::from(!dry_run && !swept.is_done);
        let line = if json {
            event::to_json_line(&line(swept, dry_run))
        } else {
            row(swept, dry_run)
        };
        let _ = writeln!(counts.out, "{line}");
    })
    .await;
    let Counts { out, met, left } = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    print(&out)?;
    swept?;
    if !settings.common.quiet && !json {
        super::super::remark(&summary(met, dry_run));
    }
    if left == 0 {
        return Ok(());
    }
    Err(Error::new(
        Kind::Temporary,
        format!("{left} of what was found could not be brought to an end"),
    )
    .with_hint("the next sweep tries again; -v says what the store and the ledger answered"))
}

fn place(action: SweepAction) -> usize {
    match action {
        SweepAction::Decide => 0,
        SweepAction::Expire => 1,
        SweepAction::Abort => 2,
        SweepAction::CleanUp => 3,
        SweepAction::Report => 4,
    }
}

fn name(action: SweepAction) -> &'static str {
    ["decide", "expire", "abort", "clear", "report"][place(action)]
}

fn summary([decide, expire, abort, clear, report]: [usize; 5], dry_run: bool) -> String {
    let strangers = format!("{report} that this ledger does not know");
    if dry_run {
        format!(
            "it would decide {decide}, expire {expire}, abort {abort}, clear {clear}, and leave {strangers}"
        )
    } else {
        format!(
            "decided {decide}, expired {expire}, aborted {abort}, cleared {clear}, and left {strangers}"
        )
    }
}

fn line(swept: &SweptItem, dry_run: bool) -> Line<'_> {
    let upload = swept.upload.as_ref();
    Line {
        kind: "sweep",
        dry_run,
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

fn row(swept: &SweptItem, dry_run: bool) -> String {
    let key = safe(&swept.key);
    let Some(upload) = &swept.upload else {
        return format!(
            "{:<13}  {:<36}  {:<10}  {:>10}  {key}",
            "not ours", "-", "-", "-"
        );
    };
    let verb = match (swept.action, dry_run, swept.is_done) {
        (SweepAction::Decide, false, true) => "decided",
        (SweepAction::Expire, false, true) => "expired",
        (SweepAction::Abort, false, true) => "aborted",
        (SweepAction::CleanUp, false, true) => "cleared",
        (_, false, false) => "not yet",
        (SweepAction::Decide, true, _) => "would decide",
        (SweepAction::Expire, true, _) => "would expire",
        (SweepAction::Abort, true, _) => "would abort",
        (SweepAction::CleanUp, true, _) => "would clear",
        (SweepAction::Report, ..) => "not ours",
    };
    let state = swept.new_state.unwrap_or(upload.state).name();
    let goes = match swept.leftovers {
        None => String::new(),
        Some(left) if left.multiparts == 0 && !left.has_object => {
            "  (nothing in the store)".to_owned()
        }
        Some(left) if left.has_object => format!("  (the object, {} unfinished)", left.multiparts),
        Some(left) => format!("  ({} unfinished)", left.multiparts),
    };
    format!(
        "{verb:<13}  {}  {state:<10}  {:>10}  {key}{goes}",
        upload.id,
        text::size(upload.plan.size())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_has_a_key_and_nothing_else() {
        let stranger = SweptItem {
            action: SweepAction::Report,
            key: "uploads/x\u{1b}[2J".into(),
            upload: None,
            leftovers: None,
            new_state: None,
            is_done: true,
        };
        assert!(!row(&stranger, true).contains('\u{1b}'));
        let line: serde_json::Value =
            serde_json::from_str(&event::to_json_line(&line(&stranger, true))).unwrap();
        assert_eq!(
            (&line["type"], &line["action"]),
            (&"sweep".into(), &"report".into())
        );
        assert!(line.get("upload").is_none() && line.get("state").is_none());
        assert!(
            summary([0, 1, 0, 0, 2], true).contains("expire 1")
                && summary([0, 1, 0, 0, 2], true).contains("2 that")
        );
    }
}
