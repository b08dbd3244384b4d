//! The sentences of the bars and of the plain reporter. Pure: events and states in, text out.
//!
//! Not here: when and where a sentence is shown (`plain`, `bars`).

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::sources::{SourceState, Sources};
use super::text::{duration, escape, percent, rate, safe, size};
use crate::event::Event;

const WAITING: &str = "waiting for the backend's checks";
/// A retry is shown from this attempt on, or with `-v`: most failures end after one or two
/// attempts.
const SHOWN_ATTEMPTS: u32 = 3;
/// A duration below this is not shown, because it would read `0s`.
const MIN_SHOWN_DURATION: Duration = Duration::from_millis(100);
/// The rate over a shorter time is not meaningful.
const MIN_RATE_DURATION: Duration = Duration::from_secs(1);

/// How much of a source the store has: `81% of 2.0 GiB`.
pub fn share(source: &SourceState) -> String {
    format!(
        "{}% of {}",
        percent(source.confirmed, source.size),
        size(source.size)
    )
}

/// How a source progresses, the most important first: a narrow screen cuts the end.
pub fn motion(source: &SourceState) -> String {
    if source.waiting {
        return WAITING.to_owned();
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    if source.rate > 0 {
        let _ = write!(text, "{}, ", rate(source.rate));
        let seconds_left = source
            .size
            .saturating_sub(source.confirmed)
            .checked_div(source.rate)
            .filter(|seconds| *seconds > 0);
        if let Some(seconds) = seconds_left {
            let _ = write!(text, "{} left, ", duration(Duration::from_secs(seconds)));
        }
    }
    // Bytes that the store had before this run count as hashed and sent.
    let sent = percent(source.sent.max(source.confirmed), source.size);
    let hashed = percent(source.hashed.max(source.confirmed), source.size);
    let _ = write!(text, "sent {sent}%, hashed {hashed}%");
    if source.resumed > 0 {
        let _ = write!(text, ", resumed {}", size(source.resumed));
    }
    text
}

/// A progress line: name, share and motion.
pub fn progress(source: &SourceState) -> String {
    format!(
        "{}{}, {}",
        prefix(&source.name),
        share(source),
        motion(source)
    )
}

/// The end of one source of several.
pub fn outcome(source: &SourceState) -> String {
    let name = &source.name;
    if source.failed {
        format!("failed {name} at {}", share(source))
    } else if source.already {
        format!("{name} is already uploaded, {}", size(source.size))
    } else if source.resumed > 0 {
        format!(
            "uploaded {name}, {}, resumed {}",
            size(source.size),
            size(source.resumed)
        )
    } else {
        format!("uploaded {name}, {}", size(source.size))
    }
}

/// The message and the hint of a failure.
pub fn failure(event: &Event) -> Option<(String, Option<String>)> {
    let Event::Failed {
        path,
        message,
        hint,
        ..
    } = event
    else {
        return None;
    };
    // Most errors about a file name it.
    let is_named = path.is_empty() || message.contains(path.as_str());
    let path = if is_named { "" } else { path };
    let text = format!("{}{}", prefix(&safe(path)), safe(message));
    // Not cut: a hint may contain a command.
    Some((text, hint.as_deref().map(escape)))
}

/// The line for an event of a source that has not ended.
pub fn notice(event: &Event, sources: &Sources, verbose: u8) -> Option<String> {
    match event {
        Event::Changed { message, .. } => Some(format!("changed: {}", safe(message))),
        Event::Restarted { path, message, .. } => Some(format!(
            "restarted: {}{}",
            prefix(&safe(path)),
            safe(message)
        )),
        Event::Blocked {
            path,
            message,
            is_first,
            ..
        } if verbose > 0 || *is_first => {
            Some(format!("waiting: {}{}", prefix(&safe(path)), safe(message)))
        }
        Event::Moved { old_path, path, .. } => Some(format!(
            "moved: {} is now {}; its upload continues",
            safe(old_path),
            safe(path)
        )),
        Event::Retry { attempt, .. } if verbose > 0 || *attempt >= SHOWN_ATTEMPTS => {
            retry(event, sources)
        }
        Event::Waiting { item, .. } if verbose > 0 || !sources.has_several() => {
            Some(format!("{}{WAITING}", prefix(sources.name(*item))))
        }
        // A source that is already stored completely is reported at its end.
        Event::Plan {
            item,
            resumed_bytes,
            size: whole,
            ..
        } if (1..*whole).contains(resumed_bytes) => Some(format!(
            "resumed: {}{} of {} are already stored",
            prefix(sources.name(*item)),
            size(*resumed_bytes),
            size(*whole)
        )),
        Event::Plan {
            item,
            size: whole,
            parts: count,
            resumed_bytes,
            ..
        } if verbose > 0 => {
            let is_stored = *whole > 0 && resumed_bytes == whole;
            Some(format!(
                "{}{} in {}{}",
                prefix(sources.name(*item)),
                size(*whole),
                parts(*count),
                if is_stored { ", already stored" } else { "" }
            ))
        }
        Event::Part {
            number,
            size: bytes,
            skipped,
            ..
        } if verbose > 1 => {
            let how = if *skipped { "already stored" } else { "stored" };
            Some(format!("part {number}, {}: {how}", size(*bytes)))
        }
        _ => None,
    }
}

/// The line for a failed attempt. Before the plan of a source, its name is unknown, and the failure
/// is about the backend.
fn retry(event: &Event, sources: &Sources) -> Option<String> {
    let Event::Retry {
        item,
        number,
        attempt,
        kind,
        wait_ms,
        message,
        ..
    } = event
    else {
        return None;
    };
    let name = sources.name(*item);
    let about = match number {
        Some(number) if name.is_empty() => format!("part {number}"),
        Some(number) => format!("{name}, part {number}"),
        None => name.to_owned(),
    };
    let reason = if message.is_empty() {
        (*kind).to_owned()
    } else {
        safe(message)
    };
    let wait = Duration::from_millis(*wait_ms);
    let next = if wait < MIN_SHOWN_DURATION {
        "trying again now".to_owned()
    } else {
        format!("trying again in {}", duration(wait))
    };
    Some(format!(
        "retry: {}{reason}; {next} (attempt {attempt} failed)",
        prefix(&about)
    ))
}

/// The last lines: bytes sent, and bytes that resuming saved. Empty for a single source of which
/// nothing was sent or already stored.
pub fn summary(event: &Event, sources: &Sources, now: Instant) -> Vec<String> {
    let Event::Exit {
        uploads,
        completed,
        bytes_sent,
        bytes_skipped,
        resumable,
        resume_command,
        ..
    } = event
    else {
        return Vec::new();
    };
    let sent = sent(*bytes_sent, sources.elapsed(now));
    let mut lines = Vec::new();
    let only = sources
        .only_completed()
        .filter(|_| *uploads == 1 && *completed == 1);
    match only {
        Some(source) if source.already && *bytes_sent == 0 => {
            return vec![format!(
                "{} is already uploaded; nothing was sent",
                source.name
            )];
        }
        Some(source) => lines.push(format!(
            "uploaded {}: {} in {}, {sent}",
            source.name,
            size(source.size),
            parts(source.parts)
        )),
        None if *uploads > 1 => {
            lines.push(format!("uploaded {completed} of {uploads} files, {sent}"));
        }
        None if *bytes_sent > 0 => lines.push(sent),
        None => {}
    }
    if *bytes_skipped > 0 {
        let whole = sources.size().max(*bytes_skipped);
        lines.push(format!(
            "resumed: {} of {} were already stored",
            size(*bytes_skipped),
            size(whole)
        ));
    }
    // The failure of a single source has its own hint.
    if *resumable && *uploads > 1 {
        lines.push(format!(
            "to continue the unfinished uploads: {}",
            escape(resume_command)
        ));
    }
    lines
}

fn sent(bytes: u64, time: Duration) -> String {
    if bytes == 0 {
        return "nothing was sent".to_owned();
    }
    let mut text = format!("sent {}", size(bytes));
    // Writing to a string cannot fail.
    if time >= MIN_SHOWN_DURATION {
        let _ = write!(text, " in {}", duration(time));
    }
    if time >= MIN_RATE_DURATION {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let _ = write!(text, " ({})", rate(bytes.saturating_mul(1000) / millis));
    }
    text
}

fn parts(count: u32) -> String {
    if count == 1 {
        "1 part".to_owned()
    } else {
        format!("{count} parts")
    }
}

/// `name: `, or nothing without a name.
fn prefix(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!("{name}: ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_has_no_meaningless_duration_or_rate() {
        let sent_in = |millis| sent(6 << 20, Duration::from_millis(millis));
        assert_eq!(sent_in(13), "sent 6.0 MiB");
        assert_eq!(sent_in(400), "sent 6.0 MiB in 0.4s");
        assert_eq!(sent_in(2000), "sent 6.0 MiB in 2s (3.0 MiB/s)");
        assert_eq!(sent(0, Duration::from_secs(9)), "nothing was sent");
    }

    #[test]
    fn lines_about_an_unnamed_source_begin_with_their_content() {
        let sources = Sources::new(Instant::now());
        let event = Event::Retry {
            item: 0,
            source: None,
            upload: None,
            path: None,
            number: None,
            attempt: 3,
            kind: "temporary",
            wait_ms: 20,
            message: "could not reach the backend".into(),
        };
        assert_eq!(
            notice(&event, &sources, 0).as_deref(),
            Some("retry: could not reach the backend; trying again now (attempt 3 failed)")
        );
        let unnamed = SourceState {
            size: 6,
            ..SourceState::default()
        };
        assert_eq!(progress(&unnamed), "0% of 6 B, sent 0%, hashed 0%");
    }
}
