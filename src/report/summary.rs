//! The last lines of a run: what was uploaded, what was there already, what failed, and how to
//! continue. Pure.
//!
//! Not here: the failures by cause (`failures`).

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::source_state::{End, SourceState};
use super::sources::Sources;
use super::text::{duration, escape, files, number, rate, size};
use super::wording::{BY_JOURNAL, KEPT, parts, skipped_reasons, waits};
use crate::event::{Event, Forecast};
use upload_types::saturating;

/// A duration below this is not shown, because it would read `0s`.
const MIN_SHOWN_DURATION: Duration = Duration::from_millis(100);
/// The rate over a shorter time is not meaningful.
const MIN_RATE_DURATION: Duration = Duration::from_secs(1);

/// The facts of the `exit` event.
struct Exit<'a> {
    completed: usize,
    failed: usize,
    bytes_sent: u64,
    bytes_copied: u64,
    is_resumable: bool,
    resume_command: &'a str,
    elapsed: Duration,
}

/// The summary of a run, and whether it is shown with `--quiet`.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    pub line: String,
    pub is_interruption: bool,
}

/// The last line. `None` if there is nothing to add to the error of a single source.
pub fn summary(event: &Event, sources: &Sources, now: Instant) -> Option<Summary> {
    let Event::Exit {
        uploads,
        completed,
        failed,
        bytes_sent,
        bytes_copied,
        resumable,
        resume_command,
        is_dry_run,
        ..
    } = event
    else {
        return None;
    };
    let count = |number: u64| saturating::to_usize(number);
    let exit = Exit {
        completed: count(*completed),
        failed: count(*failed),
        bytes_sent: *bytes_sent,
        bytes_copied: *bytes_copied,
        is_resumable: *resumable,
        resume_command,
        elapsed: sources.elapsed(now),
    };
    let is_interruption = sources.ended(End::Interrupted) > 0;
    let line = if is_interruption {
        Some(stopped(&exit, sources))
    } else if *is_dry_run {
        let has_failed = *uploads == 1 && *failed == 1;
        (!has_failed).then(|| dry_run(&exit, sources))
    } else if sources.is_set() {
        Some(set(&exit, sources))
    } else if *uploads == 1 {
        sources
            .all()
            .next()
            .and_then(|source| single(&exit, source))
    } else if *uploads > 1 {
        Some(several(&exit, sources))
    } else {
        None
    };
    line.map(|line| Summary {
        line,
        is_interruption,
    })
}

fn single(exit: &Exit<'_>, source: &SourceState) -> Option<String> {
    let name = &source.name;
    match source.end? {
        End::AlreadyStored if exit.bytes_sent == 0 => {
            Some(format!("{name} is already uploaded; nothing was sent"))
        }
        End::InJournal => Some(format!("{name} is already uploaded {BY_JOURNAL}")),
        End::Uploaded | End::AlreadyStored => {
            let mut text = format!(
                "uploaded {name}: {} in {}, {}",
                size(source.size),
                parts(source.parts),
                sent(exit.bytes_sent, exit.elapsed)
            );
            add_copied(&mut text, exit);
            if source.resumed > 0 {
                // Writing to a string cannot fail.
                let _ = write!(text, "; resumed: {} were stored", size(source.resumed));
            }
            if let Some(waits) = waits(source) {
                let _ = write!(text, "; {waits}");
            }
            Some(text)
        }
        End::Kept => Some(format!("{name}{KEPT}; nothing was sent")),
        // A stream is not completed without its end.
        End::Failed if source.is_stream() => None,
        End::Failed if source.stored() > 0 && !source.waiting => Some(format!(
            "not uploaded: {name}; {} of {} are stored",
            size(source.stored()),
            size(source.size)
        )),
        End::Failed | End::Interrupted => None,
    }
}

fn several(exit: &Exit<'_>, sources: &Sources) -> String {
    let by_journal = sources.ended(End::InJournal);
    let already = sources.ended(End::AlreadyStored) + by_journal;
    let uploaded = exit.completed.saturating_sub(already);
    let kept = sources.ended(End::Kept);
    let all = exit.completed + exit.failed + kept;
    let mut text = match (uploaded, already) {
        (0, 0) if kept > 0 && exit.failed == 0 => format!("uploaded none of {all} files"),
        (0, 1) => format!("1 of {all} files is already uploaded"),
        (0, already @ 2..) => format!("{already} of {all} files are already uploaded"),
        (_, 0) => format!("uploaded {uploaded} of {all} files"),
        (_, 1) => format!("uploaded {uploaded} of {all} files; 1 is already uploaded"),
        (_, already) => {
            format!("uploaded {uploaded} of {all} files; {already} are already uploaded")
        }
    };
    if by_journal > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "; {by_journal} of these only {BY_JOURNAL}");
    }
    let _ = match kept {
        0 => Ok(()),
        1 => write!(text, "; 1 was left out: an object is at its key"),
        _ => write!(text, "; {kept} were left out: objects are at their keys"),
    };
    if exit.failed > 0 {
        let _ = write!(text, "; {} failed", exit.failed);
    }
    let _ = write!(text, "; {}", sent(exit.bytes_sent, exit.elapsed));
    add_copied(&mut text, exit);
    if sources.resumed() > 0 {
        let _ = write!(text, "; resumed: {} were stored", size(sources.resumed()));
    }
    // A command at the end of a line is easy to copy.
    if exit.is_resumable {
        let command = escape(exit.resume_command);
        let _ = write!(text, "; to continue the unfinished uploads: {command}");
    }
    text
}

/// The sources of directories and lists: `1,204 files: 14 uploaded, 1,190 already there`.
fn set(exit: &Exit<'_>, sources: &Sources) -> String {
    let (asked, by_journal) = (
        sources.ended(End::AlreadyStored),
        sources.ended(End::InJournal),
    );
    let already = asked + by_journal;
    let of_journal = format!("already uploaded {BY_JOURNAL}");
    let kept = sources.ended(End::Kept);
    let left_out = match kept {
        1 => "left out because an object is at its key",
        _ => "left out because objects are at their keys",
    };
    let counts = [
        (exit.completed.saturating_sub(already), "uploaded"),
        (asked, "already there"),
        (by_journal, of_journal.as_str()),
        (kept, left_out),
        (exit.failed, "failed"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(count, what)| format!("{} {what}", number(count)))
        .collect();
    let all = exit.completed + exit.failed + kept;
    let mut text = match all {
        0 => "no files to upload".to_owned(),
        _ => format!("{}: {}", files(all), counts.join(", ")),
    };
    add_skipped(&mut text, sources);
    // Empty files have nothing to send.
    if all > 0 && (exit.bytes_sent > 0 || exit.completed == already) {
        // Writing to a string cannot fail.
        let _ = write!(text, "; {}", sent(exit.bytes_sent, exit.elapsed));
    }
    add_copied(&mut text, exit);
    if sources.resumed() > 0 {
        let _ = write!(text, "; resumed: {} were stored", size(sources.resumed()));
    }
    if exit.is_resumable && sources.is_recorded_set() {
        let _ = write!(text, "; to continue: {}", escape(exit.resume_command));
    } else if exit.is_resumable {
        text.push_str("; to continue, run the command again");
    }
    text
}

/// Bytes that are in the store and were not sent.
fn add_copied(text: &mut String, exit: &Exit<'_>) {
    if exit.bytes_copied > 0 {
        let copied = size(exit.bytes_copied);
        // Writing to a string cannot fail.
        let _ = write!(text, "; copied in the store: {copied}");
    }
}

fn add_skipped(text: &mut String, sources: &Sources) {
    let reasons = skipped_reasons(sources.skipped());
    if !reasons.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(text, "; skipped: {reasons}");
    }
}

/// The summary after a signal: it is no failure that a user stops a run.
fn stopped(exit: &Exit<'_>, sources: &Sources) -> String {
    let unfinished: Vec<&SourceState> = sources
        .all()
        .filter(|source| source.end == Some(End::Interrupted))
        .collect();
    let stored = unfinished
        .iter()
        .fold(0, |sum: u64, source| sum.saturating_add(source.stored()));
    let has_begun = unfinished.iter().all(|source| source.upload.is_some());
    let mut text = match unfinished.as_slice() {
        [source] if source.waiting => format!(
            "stopped: {} is stored, but its checks have not ended",
            source.name
        ),
        [source] if !sources.has_several() => {
            let stored = match source.stored() {
                // The store was not asked yet.
                bytes if source.is_stream() => format!(", {} of it are stored", size(bytes)),
                _ if source.parts == 0 => String::new(),
                0 => ", nothing is stored yet".to_owned(),
                bytes => format!(", {} of {} are stored", size(bytes), size(source.size)),
            };
            format!("stopped: {} is unfinished{stored}", source.name)
        }
        _ => {
            let (count, all) = (unfinished.len(), sources.count());
            let count = if sources.is_set() {
                sources.not_ended()
            } else {
                count
            };
            let all = if sources.is_searching() {
                format!("{} or more files", number(all))
            } else {
                files(all)
            };
            let count = number(count);
            let stored = match stored {
                0 => String::new(),
                bytes => format!(", {} of them stored", size(bytes)),
            };
            format!("stopped: {count} of {all} unfinished{stored}")
        }
    };
    let of_journal = format!("already uploaded {BY_JOURNAL}");
    // Writing to a string cannot fail.
    let counts = [
        (sources.ended(End::Uploaded), "uploaded"),
        (sources.ended(End::AlreadyStored), "already uploaded"),
        (sources.ended(End::InJournal), of_journal.as_str()),
        (sources.ended(End::Kept), "left out"),
        (sources.ended(End::Failed), "failed"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, "; {} {what}", number(count));
    }
    let command = escape(exit.resume_command);
    let has_begun = has_begun && !sources.is_set();
    let _ = match unfinished.as_slice() {
        _ if sources.is_recorded_set() => write!(text, "; to continue: {command}"),
        // No command can read a stream again.
        [source] if source.is_stream() => {
            write!(text, "; to continue, run the whole pipeline again")
        }
        [source] if has_begun => match &source.upload {
            Some(id) => write!(text, "; to continue: {command} {id}"),
            None => Ok(()),
        },
        _ if has_begun => write!(text, "; to continue: {command}"),
        _ => write!(text, "; to continue, run the command again"),
    };
    text
}

fn dry_run(exit: &Exit<'_>, sources: &Sources) -> String {
    let (new, bytes) = sources.forecast(Forecast::WouldSend);
    let (stored, _) = sources.forecast(Forecast::AlreadyStored);
    let mut text = match new {
        _ if sources.all().any(SourceState::is_stream) => "would send the stream".to_owned(),
        0 => "would send nothing".to_owned(),
        new => format!("would send {}, {}", files(new), size(bytes)),
    };
    // Writing to a string cannot fail.
    let _ = match stored {
        0 => Ok(()),
        1 => write!(text, "; 1 file is already uploaded"),
        stored => write!(text, "; {} files are already uploaded", number(stored)),
    };
    let (by_journal, _) = sources.forecast(Forecast::InJournal);
    let _ = match by_journal {
        0 => Ok(()),
        1 => write!(text, "; 1 file is already uploaded {BY_JOURNAL}"),
        _ => {
            let count = number(by_journal);
            write!(text, "; {count} files are already uploaded {BY_JOURNAL}")
        }
    };
    add_skipped(&mut text, sources);
    if exit.failed > 0 {
        let _ = write!(text, "; {} failed", exit.failed);
    }
    text
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
        let millis = saturating::to_u64(time.as_millis());
        let _ = write!(text, " ({})", rate(bytes.saturating_mul(1000) / millis));
    }
    text
}

#[cfg(test)]
mod tests {
    use upload_types::stream_waits::StreamWaits;

    use super::super::wording::{Motion, motion};
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
    fn summary_of_a_stream_has_its_waits_after_a_second() {
        let exit = Exit {
            completed: 1,
            failed: 0,
            bytes_copied: 0,
            bytes_sent: 6 << 20,
            is_resumable: false,
            resume_command: "",
            elapsed: Duration::ZERO,
        };
        let line = |seconds| {
            let source = SourceState {
                name: "dump".to_owned(),
                end: Some(End::Uploaded),
                waits: Some(StreamWaits {
                    producer_waits_percent: 3,
                    waits_for_producer_percent: 90,
                    total: Duration::from_secs(seconds),
                }),
                ..SourceState::default()
            };
            let text = motion(&source, Motion::Moving, Instant::now());
            (single(&exit, &source).unwrap(), text)
        };
        let (summary, motion) = line(10);
        let waits = "sent 6.0 MiB; the producer waited 3% of the time for the upload, and the \
                     upload 90% for the producer";
        assert!(summary.ends_with(waits), "{summary}");
        assert_eq!(motion, "producer waits 3%");
        let (summary, motion) = line(0);
        assert!(summary.ends_with("sent 6.0 MiB"), "{summary}");
        assert_eq!(motion, "");
    }
}
