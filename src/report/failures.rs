//! The failures of a run: one line for each cause when it first occurs, and at the end the paths of
//! each cause together, so that a long run does not hide them.
//!
//! Not here: interruptions, which are no failures (`summary`).

use std::ops::Range;

use super::output::Message;
use super::text::{STREAM_NAME, escape, files, number, safe};
use crate::event::{Event, STREAM_PATH};

/// The most paths that are listed for a cause. `--json` has all.
const MAX_LISTED: usize = 20;
/// Failures that were reported within this many messages before the end are not repeated there.
const MAX_RECENT: usize = 10;

/// The `kind` of the failure of an interrupted upload.
pub const INTERRUPTED: &str = "interrupted";

#[derive(Debug, Default)]
pub struct Failures {
    causes: Vec<Cause>,
}

/// The failures that have the same message, apart from the path.
#[derive(Debug)]
struct Cause {
    message: String,
    /// `None` if each file has another hint.
    hint: Option<String>,
    /// The first [`MAX_LISTED`], and the one that was reported.
    paths: Vec<String>,
    count: usize,
    /// Messages since the first failure was reported.
    messages_since: usize,
}

impl Cause {
    /// The report of the first failure is still in sight.
    fn is_recent(&self) -> bool {
        self.messages_since <= MAX_RECENT
    }
}

impl Failures {
    /// Takes an event. Returns the lines that report a failure: the failure of a single source, and
    /// the first one of each cause.
    pub fn record(&mut self, event: &Event, has_several: bool) -> Vec<Message> {
        let Event::Failed {
            path,
            kind,
            message,
            hint,
            ..
        } = event
        else {
            return Vec::new();
        };
        if *kind == INTERRUPTED {
            return Vec::new();
        }
        // Errors about a stream do not name it: it is the only source.
        let is_stream = path == STREAM_PATH && !has_several;
        let (path, name) = if is_stream {
            ("", STREAM_NAME.to_owned())
        } else {
            (path.as_str(), safe(path))
        };
        let cause = without_path(message, path);
        let known = self.causes.iter_mut().find(|known| known.message == cause);
        if let (Some(known), true) = (known, has_several) {
            known.count += 1;
            if known.paths.len() <= MAX_LISTED {
                known.paths.push(name);
            }
            if known.hint != *hint {
                known.hint = None;
            }
            return Vec::new();
        }
        let messages = error_of(path, message, hint.as_deref());
        self.count_messages(messages.len());
        self.causes.push(Cause {
            message: cause,
            hint: hint.clone(),
            paths: vec![name],
            count: 1,
            messages_since: 0,
        });
        messages
    }

    /// Counts messages about other things. They may hide earlier failures.
    pub fn count_messages(&mut self, count: usize) {
        for cause in &mut self.causes {
            cause.messages_since += count;
        }
    }

    /// The failures of several sources by cause, for the end of the run. Without those that were
    /// reported just before.
    pub fn groups(&self) -> Vec<Message> {
        if let [only] = self.causes.as_slice()
            && only.is_recent()
        {
            return more_of_the_same(&only.paths[1..], only.count - 1);
        }
        let mut messages = Vec::new();
        for cause in &self.causes {
            let count = cause.count;
            if count == 1 && cause.is_recent() {
                continue;
            }
            let text = safe(&cause.message);
            messages.push(Message::Error(format!("{}: {text}", files(count))));
            messages.extend(listed(&cause.paths, count));
            let hint = cause.hint.as_deref().map(escape);
            messages.extend(hint.map(Message::Hint));
        }
        messages
    }
}

/// The paths that have failed like the one that was reported just before.
fn more_of_the_same(paths: &[String], count: usize) -> Vec<Message> {
    if count == 0 {
        return Vec::new();
    }
    let noun = if count == 1 { "file" } else { "files" };
    let text = format!("the same happened to {} more {noun}:", number(count));
    [Message::Error(text)]
        .into_iter()
        .chain(listed(paths, count))
        .collect()
}

/// The first of `count` paths, and how many more there are.
fn listed(paths: &[String], count: usize) -> Vec<Message> {
    let mut messages: Vec<_> = paths
        .iter()
        .take(MAX_LISTED)
        .cloned()
        .map(Message::Detail)
        .collect();
    if let Some(more @ 1..) = count.checked_sub(MAX_LISTED) {
        messages.push(Message::Detail(format!("… and {} more", number(more))));
    }
    messages
}

/// The message and the hint of one failure.
fn error_of(path: &str, message: &str, hint: Option<&str>) -> Vec<Message> {
    // Most errors about a file name it.
    let is_named = path.is_empty() || occurrences(message, path).next().is_some();
    let text = if is_named {
        safe(message)
    } else {
        format!("{}: {}", safe(path), safe(message))
    };
    let error = Message::Error(text);
    // Not cut: a hint may contain a command.
    let hint = hint.map(escape).map(Message::Hint);
    [error].into_iter().chain(hint).collect()
}

/// The message without the path of its file, so that the same failures of several files are equal.
fn without_path(message: &str, path: &str) -> String {
    if path.is_empty() {
        return message.to_owned();
    }
    let message = message
        .strip_prefix(&format!("{path}: "))
        .unwrap_or(message);
    let (mut text, mut rest) = (String::new(), 0);
    for named in occurrences(message, path) {
        text = text + &message[rest..named.start] + "the file";
        rest = named.end;
    }
    text + &message[rest..]
}

/// The places at which a message names a path, also as the end of an absolute one. A short path may
/// be part of another word or path.
fn occurrences(message: &str, path: &str) -> impl Iterator<Item = Range<usize>> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "/-_".contains(c));
    let mut end = 0;
    message.match_indices(path).filter_map(move |(at, found)| {
        let before = &message[end..at];
        let start = if before.ends_with('/') && !path.starts_with('/') {
            end + start_of_absolute(before)?
        } else {
            (!is_word(before.chars().next_back())).then_some(at)?
        };
        let after = at + found.len();
        if is_word(message[after..].chars().next()) {
            return None;
        }
        end = after;
        Some(start..after)
    })
}

/// The start of the absolute path with which a text ends.
fn start_of_absolute(text: &str) -> Option<usize> {
    match text.rfind(" /") {
        Some(space) => Some(space + 1),
        None => text.starts_with('/').then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: &str, message: &str, hint: Option<&str>) -> Event {
        Event::Failed {
            item: 0,
            upload: None,
            path: path.into(),
            kind: "no_source",
            message: message.into(),
            hint: hint.map(str::to_owned),
        }
    }

    #[test]
    fn same_failures_are_reported_once_and_listed_at_the_end() {
        let mut failures = Failures::default();
        let messages = (0..100).flat_map(|file| {
            let path = format!("dir/{file}.mov");
            let message = format!("could not open {path}: no such file");
            failures.record(&failed(&path, &message, Some("check the path")), true)
        });
        let messages: Vec<_> = messages.collect();
        assert_eq!(
            messages,
            [
                Message::Error("could not open dir/0.mov: no such file".into()),
                Message::Hint("check the path".into())
            ]
        );
        let recent = failures.groups();
        assert_eq!(recent.len(), 1 + MAX_LISTED + 1);
        assert!(!recent.contains(&Message::Detail("dir/0.mov".into())));
        assert_eq!(recent[1], Message::Detail("dir/1.mov".into()));
        assert_eq!(recent[21], Message::Detail("… and 79 more".into()));
        failures.count_messages(MAX_RECENT + 1);
        let groups = failures.groups();
        assert_eq!(groups.len(), 1 + MAX_LISTED + 1 + 1);
        let first = "100 files: could not open the file: no such file";
        assert_eq!(groups[0], Message::Error(first.into()));
        assert_eq!(groups[1], Message::Detail("dir/0.mov".into()));
        assert_eq!(groups[21], Message::Detail("… and 80 more".into()));
    }

    /// An error names the file by its absolute path, the event as on the command line.
    #[test]
    fn absolute_paths_do_not_make_causes_different() {
        let mut failures = Failures::default();
        for file in ["s/a", "s/b", "s/c"] {
            let message = format!("/tmp/my dir/{file} has changed: see /tmp/my dir/{file}");
            failures.record(&failed(file, &message, None), true);
        }
        failures.count_messages(MAX_RECENT + 1);
        let first = "3 files: the file has changed: see the file";
        assert_eq!(failures.groups()[0], Message::Error(first.into()));
    }

    #[test]
    fn part_of_another_word_or_path_does_not_name_the_file() {
        for (message, expected) in [
            ("could not read s: no", "could not read the file: no"),
            ("s/a, as, s-1 and a/s remain", "s/a, as, s-1 and a/s remain"),
            ("/tmp/s is gone", "the file is gone"),
            ("/tmp/s/a is not s", "/tmp/s/a is not the file"),
        ] {
            assert_eq!(without_path(message, "s"), expected);
        }
    }

    #[test]
    fn single_failure_of_a_cause_is_not_repeated_beside_a_group() {
        let mut failures = Failures::default();
        failures.record(&failed("a", "gave up", None), true);
        failures.record(&failed("b", "disk full", None), true);
        failures.record(&failed("c", "disk full", None), true);
        let groups = failures.groups();
        assert_eq!(groups[0], Message::Error("2 files: disk full".into()));
        assert_eq!(groups.len(), 3, "{groups:?}");
    }

    #[test]
    fn different_hints_of_one_cause_are_omitted() {
        let mut failures = Failures::default();
        for (path, id) in [("a", "1"), ("b", "2")] {
            let hint = format!("to continue: upload resume {id}");
            failures.record(&failed(path, "gave up", Some(&hint)), true);
        }
        failures.count_messages(MAX_RECENT + 1);
        let groups = failures.groups();
        assert_eq!(groups.len(), 3, "{groups:?}");
    }

    #[test]
    fn recent_failure_is_not_repeated() {
        let mut failures = Failures::default();
        failures.record(&failed("a", "gave up", None), true);
        failures.count_messages(MAX_RECENT);
        assert_eq!(failures.groups(), []);
        failures.count_messages(1);
        assert_eq!(failures.groups().len(), 2);
    }
}
