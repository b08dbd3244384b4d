//! The sentences about one source. Pure: events and states in, text out.
//!
//! Not here: when and where a sentence is shown (`plain`, `bars`), failures (`failures`), and the
//! end of the run (`summary`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::fitting::{shorten, width};
use super::options::{Locations, Verbosity};
use super::source_state::{End, Scope, SourceState};
use super::sources::Sources;
use super::text::{duration, escape, files, number, percent, rate, safe, size};
use crate::event::{Event, Forecast, Phase};
use upload_types::saturating;
use upload_types::stream_waits::StreamWaits;
use upload_types::wire::Receipt;

const WAITING: &str = "waiting for the backend's checks";
/// A duration below this is not shown, because it would read `0s`.
const MIN_SHOWN_DURATION: Duration = Duration::from_millis(100);

/// Columns that a name keeps on the narrowest screen.
const MIN_NAME_COLUMNS: usize = 12;

/// Follows a statement for which the store was not asked.
pub const BY_JOURNAL: &str = "according to the journal (the store was not asked)";
/// Follows the name of a source that was left out.
pub const KEPT: &str = " was left out: an object is at its key";

/// The waits of a stream are shown after this time.
const MIN_WAITS_DURATION: Duration = Duration::from_secs(1);

/// Whether bytes are moving. While they are not, a rate and a time left mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    Moving,
    Standing,
}

/// How much of a source the store has: `81% of 2.0 GiB`, or `12 GiB` of a stream.
pub fn share(source: &SourceState) -> String {
    match source.scope {
        Scope::Found => return "scanning…".to_owned(),
        Scope::All if source.size == 0 => return size(0),
        Scope::All | Scope::One => {}
    }
    if source.is_endless() {
        return size(source.confirmed);
    }
    format!(
        "{}% of {}",
        percent(source.confirmed, source.size),
        size(source.size)
    )
}

/// How a source progresses, the most important first: a narrow screen cuts the end.
pub fn motion(source: &SourceState, motion: Motion, now: Instant) -> String {
    if let Some(work) = work(source) {
        return work;
    }
    let mut facts = Vec::new();
    if source.rate > 0 && motion == Motion::Moving {
        facts.push(rate(source.rate));
        let left = source.time_left(now);
        facts.extend(left.map(|left| format!("{} left", duration(left))));
    }
    if source.resumed > 0 {
        facts.push(format!("resumed {}", size(source.resumed)));
    }
    if let Some(waits) = source.waits.filter(is_meaningful) {
        let percent = waits.producer_waits_percent;
        facts.push(format!("producer waits {percent}%"));
    }
    facts.join(", ")
}

/// The share of a shorter time depends on chance.
fn is_meaningful(waits: &StreamWaits) -> bool {
    waits.total >= MIN_WAITS_DURATION
}

/// How long the producer of a stream and this program have waited for each other.
pub fn waits(source: &SourceState) -> Option<String> {
    let waits = source.waits.filter(is_meaningful)?;
    let (producer, own) = (
        waits.producer_waits_percent,
        waits.waits_for_producer_percent,
    );
    Some(format!(
        "the producer waited {producer}% of the time for the upload, and the upload {own}% for the \
         producer"
    ))
}

/// The rate of one source of several, or its work, in a few columns. The time left of a source that
/// waits for others means nothing.
pub fn short_motion(source: &SourceState, motion: Motion) -> String {
    match source.phase {
        _ if source.waiting => "waiting".to_owned(),
        Phase::Hashing | Phase::Checking(_) => "hashing".to_owned(),
        Phase::Comparing(_) => "comparing".to_owned(),
        Phase::Completing => "completing".to_owned(),
        Phase::Asking | Phase::Sending if source.rate > 0 && motion == Motion::Moving => {
            rate(source.rate)
        }
        Phase::Asking | Phase::Sending => String::new(),
    }
}

/// The work on a source while no byte of it is sent.
fn work(source: &SourceState) -> Option<String> {
    let hashing = |bytes| format!("hashing: {}% read", percent(bytes, source.size));
    match source.phase {
        _ if source.waiting => Some(WAITING.to_owned()),
        Phase::Hashing => Some(hashing(source.hashed)),
        Phase::Checking(bytes) => Some(format!(
            "the file was touched, {}",
            hashing(bytes.min(source.size))
        )),
        Phase::Comparing(bytes) => Some(format!(
            "comparing with the object in the store, {}",
            hashing(bytes.min(source.size))
        )),
        Phase::Completing => Some("completing the upload".to_owned()),
        // The first parts are hashed before they are sent.
        Phase::Sending if source.is_stream() => None,
        Phase::Sending if !source.has_sent && (1..source.size).contains(&source.hashed) => {
            Some(hashing(source.hashed))
        }
        Phase::Asking | Phase::Sending => None,
    }
}

/// A progress line: name, share and motion.
pub fn progress(source: &SourceState, is_moving: Motion, now: Instant) -> String {
    let mut text = format!("{}{}", prefix(&source.name), share(source));
    let motion = motion(source, is_moving, now);
    if !motion.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, ", {motion}");
    }
    text
}

/// Whether the success of one source of several has a line of its own.
fn has_outcome(sources: &Sources, verbosity: Verbosity) -> bool {
    sources.has_several() && (sources.has_short_report() || verbosity.verbose > 0)
}

/// The line for the location of a finished source, or for its key if it has no location yet. On a
/// terminal, it names the file if no other line does. Returns `None` for one of many files of
/// directories and lists on a terminal.
pub fn location(
    receipt: &Receipt,
    sources: &Sources,
    item: Option<usize>,
    verbosity: Verbosity,
) -> Option<String> {
    let is_named = verbosity.locations == Locations::Named;
    let is_one_of_many = sources.is_set() && !sources.has_short_report();
    if is_named && is_one_of_many && verbosity.verbose == 0 && !verbosity.quiet {
        return None;
    }
    let is_named_elsewhere =
        !sources.has_several() || (has_outcome(sources, verbosity) && !verbosity.quiet);
    // A backend with hooks names no location before they have accepted the object.
    let location = receipt.location.as_deref();
    let location = escape(location.unwrap_or(receipt.key.as_str()));
    Some(match item {
        Some(item) if is_named && !is_named_elsewhere => {
            format!("{location}  {}", sources.name(item))
        }
        _ => location,
    })
}

/// The end of one source of several, in a line of `columns`. Returns `None` if it did not succeed:
/// failures have lines of their own. The summary reports a single source.
pub fn outcome(
    sources: &Sources,
    item: usize,
    verbosity: Verbosity,
    columns: Option<usize>,
) -> Option<String> {
    let has_line = has_outcome(sources, verbosity);
    let source = sources.get(item).filter(|_| has_line)?;
    let whole = size(source.size);
    let (before, after) = match source.end? {
        End::AlreadyStored => ("", format!(" is already uploaded, {whole}")),
        End::InJournal => ("", format!(" is already uploaded {BY_JOURNAL}, {whole}")),
        End::Uploaded if source.resumed > 0 => {
            let resumed = size(source.resumed);
            ("uploaded ", format!(", {whole}, resumed {resumed}"))
        }
        End::Uploaded => ("uploaded ", format!(", {whole}")),
        End::Kept => ("", KEPT.to_owned()),
        End::Failed | End::Interrupted => return None,
    };
    Some(in_columns(before, &source.name, &after, columns))
}

/// A line with a name, which is shortened if the line is too long for the screen.
fn in_columns(before: &str, name: &str, after: &str, columns: Option<usize>) -> String {
    let name = match columns {
        Some(columns) => {
            let others = width(before) + width(after);
            shorten(name, columns.saturating_sub(others).max(MIN_NAME_COLUMNS))
        }
        None => name.to_owned(),
    };
    format!("{before}{name}{after}")
}

/// The line for an event of a source that has not ended, on a screen of `columns`.
pub fn notice(
    event: &Event,
    sources: &Sources,
    verbose: u8,
    columns: Option<usize>,
) -> Option<String> {
    match event {
        Event::Changed { message, .. } => Some(format!("changed: {}", safe(message))),
        Event::Restarted { path, message, .. } => Some(format!(
            "restarted: {}{}",
            prefix(&sources.name_of(path)),
            safe(message)
        )),
        Event::Renamed {
            old_path,
            old_name,
            path,
            name,
            ..
        } => Some(format!(
            "renamed: {} was uploaded before as {}, from {}; it gets an object of its own as {}",
            safe(path),
            safe(old_name),
            safe(old_path),
            safe(name)
        )),
        Event::Blocked {
            path,
            message,
            is_first,
            ..
        } if verbose > 0 || *is_first => {
            let name = prefix(&sources.name_of(path));
            Some(format!("waiting: {name}{}", safe(message)))
        }
        Event::Comparing { parts: 0, .. } => {
            Some("continuing: the store has no part of the earlier run".to_owned())
        }
        Event::Comparing { parts: count, .. } => Some(format!(
            "continuing: comparing the stream with {} in the store",
            parts(*count)
        )),
        Event::Moved { old_path, path, .. } => Some(format!(
            "moved: {} is now {}; its upload continues",
            safe(old_path),
            safe(path)
        )),
        Event::Retry { .. } if verbose > 0 => retry(event, sources),
        Event::Waiting { item, .. } if verbose > 0 || !sources.has_several() => {
            Some(format!("{}{WAITING}", prefix(sources.name(*item))))
        }
        Event::Selected {
            files: count @ 1..,
            bytes,
            is_complete: true,
            destination,
            ..
        } => {
            let count = files(saturating::to_usize(*count));
            let to = destination.as_deref();
            let to = to.map_or_else(String::new, |to| format!(" to {}", safe(to)));
            Some(format!("{} in {count}{to}", size(*bytes)))
        }
        Event::Plan {
            item,
            path,
            key: Some(key),
            ..
        } if sources.is_first_with_key(*item) => Some(format!(
            "first file: {} has the key {}",
            safe(path),
            safe(key)
        )),
        Event::Skipped { path, reason, rule } if verbose > 0 => {
            let why = rule
                .as_deref()
                .map_or_else(String::new, |rule| format!(", {}", safe(rule)));
            Some(format!(
                "skipped: {}: {}{why}",
                safe(path),
                reason_words(reason, 1)
            ))
        }
        Event::Plan { .. } => plan_notice(event, sources, verbose, columns),
        Event::Part {
            number,
            size: bytes,
            skipped,
            copied,
            ..
        } if verbose > 1 => {
            let how = match (skipped, copied) {
                (_, true) => "copied in the store",
                (true, false) => "already stored",
                (false, false) => "stored",
            };
            Some(format!("part {number}, {}: {how}", size(*bytes)))
        }
        _ => None,
    }
}

/// The line for the plan of a source.
fn plan_notice(
    event: &Event,
    sources: &Sources,
    verbose: u8,
    columns: Option<usize>,
) -> Option<String> {
    match event {
        Event::Plan {
            forecast: Some(_), ..
        } if sources.is_set() && !sources.has_short_report() && verbose == 0 => None,
        Event::Plan {
            item,
            key,
            forecast: Some(forecast),
            ..
        } => {
            let key = key.as_deref();
            let source = sources.get(*item);
            source.map(|source| preview(source, *forecast) + &to_key(key))
        }
        // A source that is already stored completely is reported at its end.
        Event::Plan {
            item,
            resumed_bytes,
            size: whole,
            ..
        } if (verbose > 0 || sources.has_short_report()) && (1..*whole).contains(resumed_bytes) => {
            let (stored, whole) = (size(*resumed_bytes), size(*whole));
            let after = format!(": {stored} of {whole} are already stored");
            Some(in_columns(
                "resumed: ",
                sources.name(*item),
                &after,
                columns,
            ))
        }
        Event::Plan {
            stream: true, key, ..
        } if verbose > 0 => Some(format!("a stream{}", to_key(key.as_deref()))),
        Event::Plan {
            item,
            size: whole,
            parts: count,
            key,
            ..
        } if verbose > 0 => Some(format!(
            "{}{} in {}{}",
            prefix(sources.name(*item)),
            size(*whole),
            parts(*count),
            to_key(key.as_deref())
        )),
        _ => None,
    }
}

/// The key that the client chooses, at the end of a line.
fn to_key(key: Option<&str>) -> String {
    key.map_or_else(String::new, |key| format!(", key {}", safe(key)))
}

/// The line of a dry run for one source.
fn preview(source: &SourceState, forecast: Forecast) -> String {
    let (name, whole) = (prefix(&source.name), size(source.size));
    match forecast {
        Forecast::WouldSend if source.is_endless() => {
            "a stream of unknown size, which was not read".to_owned()
        }
        Forecast::WouldSend if source.is_stream() => {
            format!("a stream of about {whole}, which was not read")
        }
        Forecast::AlreadyStored => format!("{name}{whole}, already uploaded"),
        Forecast::InJournal => format!("{name}{whole}, already uploaded {BY_JOURNAL}"),
        Forecast::WouldSend if source.resumed > 0 => format!(
            "{name}{whole} in {}, {} already stored",
            parts(source.parts),
            size(source.resumed)
        ),
        Forecast::WouldSend => format!("{name}{whole} in {}", parts(source.parts)),
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

/// The reasons for which entries were left out, with their numbers: `1 fifo, 3 links`.
pub fn skipped_reasons(skipped: &BTreeMap<&'static str, u64>) -> String {
    // An empty directory has nothing to upload.
    let counted = skipped
        .iter()
        .filter(|(reason, _)| **reason != "empty_directory");
    let reasons = counted.map(|(reason, count)| {
        let count = saturating::to_usize(*count);
        format!("{} {}", number(count), reason_words(reason, count))
    });
    reasons.collect::<Vec<_>>().join(", ")
}

/// The reason for which `count` entries were left out.
fn reason_words(reason: &'static str, count: usize) -> &'static str {
    match (reason, count) {
        ("link", 1) => "link",
        ("link", _) => "links",
        ("fifo", 1) => "fifo",
        ("fifo", _) => "fifos",
        ("socket", 1) => "socket",
        ("socket", _) => "sockets",
        ("device", 1) => "device",
        ("device", _) => "devices",
        ("not_included", _) => "not included",
        ("size", _) => "by size",
        ("age", _) => "by age",
        ("empty_directory", _) => "empty directory",
        ("other_file_system", _) => "on another file system",
        ("repeated", _) => "reached before",
        ("own", _) => "written by this program",
        (reason, _) => reason,
    }
}

pub fn parts(count: u32) -> String {
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
    fn lines_about_an_unnamed_source_begin_with_their_content() {
        let now = Instant::now();
        let sources = Sources::new(now);
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
            unreached: None,
        };
        assert_eq!(
            notice(&event, &sources, 1, None).as_deref(),
            Some("retry: could not reach the backend; trying again now (attempt 3 failed)")
        );
        let unnamed = SourceState {
            size: 6,
            ..SourceState::default()
        };
        assert_eq!(progress(&unnamed, Motion::Moving, now), "0% of 6 B");
    }

    #[test]
    fn standing_source_has_neither_rate_nor_time_left() {
        let now = Instant::now();
        let mut source = SourceState {
            size: 100,
            sent: 20,
            rate: 10,
            ..SourceState::default()
        };
        source.pace.record(now, 0);
        source.pace.record(now + Duration::from_secs(1), 10);
        source.confirmed = 10;
        let at = now + Duration::from_secs(1);
        assert_eq!(motion(&source, Motion::Moving, at), "10 B/s, 9s left");
        assert_eq!(motion(&source, Motion::Standing, at), "");
        assert_eq!(short_motion(&source, Motion::Moving), "10 B/s");
        source.phase = Phase::Checking(50);
        assert!(motion(&source, Motion::Moving, at).contains("50%"));
    }
}
