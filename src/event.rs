//! Events: the reports of the engine while it runs, in order. Serialised, they are the lines of
//! `--json`, version 1. Within a version, no field is removed or gets another type.
//!
//! Not here: events on a terminal (`report`).

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use tokio::sync::mpsc;
use upload_types::error::Error;
use upload_types::plan::Plan;
use upload_types::saturating;
use upload_types::stream_waits::StreamWaits;
use upload_types::wire::{ExistingObject, Receipt};
use upload_types::{ETag, PartNumber, Sha256, UploadId};

/// The path of a stream, on the command line, in the journal and in events.
pub const STREAM_PATH: &str = "-";

/// The field `v` of each line.
pub const VERSION: u32 = 1;

/// The sending end of the stream of events. Sending neither blocks nor fails: a closed terminal
/// does not stop an upload.
#[derive(Clone)]
pub struct EventSender {
    channel: mpsc::UnboundedSender<Event>,
    edit: Option<Edit>,
}

type Edit = Arc<dyn Fn(&mut Event) + Send + Sync>;

impl EventSender {
    /// A sender and its receiver.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (channel, receiver) = mpsc::unbounded_channel();
        let edit = None;
        (Self { channel, edit }, receiver)
    }

    /// A sender of the same channel that edits each event before it is sent.
    #[must_use]
    pub fn editing(&self, edit: impl Fn(&mut Event) + Send + Sync + 'static) -> Self {
        Self {
            channel: self.channel.clone(),
            edit: Some(Arc::new(edit)),
        }
    }

    pub fn emit(&self, mut event: Event) {
        if let Some(edit) = &self.edit {
            edit(&mut event);
        }
        // Fails only after the receiver was dropped.
        let _ = self.channel.send(event);
    }
}

impl fmt::Debug for EventSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSender").finish_non_exhaustive()
    }
}

/// The sources of a run that are not in its current set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OtherSources {
    pub files: u64,
    pub bytes: u64,
    /// The search for some of them has not ended.
    pub is_incomplete: bool,
}

impl OtherSources {
    pub fn add(&mut self, files: u64, bytes: u64) {
        self.files = self.files.saturating_add(files);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The source that an event is about.
#[derive(Debug, Clone)]
pub struct EventSource {
    pub item: usize,
    /// `None` if the event is about the backend, and so about all sources.
    pub path: Option<String>,
    pub upload: Option<UploadId>,
}

/// One event. `item` numbers the sources of a command from 0. It is the field `source`, the same in
/// all events of a source.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The paths of all sources in the order of their items, and their size together. Not
    /// serialised.
    #[serde(skip)]
    Sources { paths: Vec<String>, bytes: u64 },
    /// The files that were found in directories and lists so far, while others are uploaded.
    /// Serialised at the end of the search.
    Selected {
        files: u64,
        /// Their size together.
        bytes: u64,
        #[serde(skip)]
        is_complete: bool,
        /// The id of the set in the journal, if it is there.
        set: Option<String>,
        /// The backend and the prefix of the keys.
        #[serde(skip)]
        destination: Option<String>,
        #[serde(skip)]
        others: OtherSources,
    },
    /// An entry of a directory or of a list is left out.
    Skipped {
        path: String,
        reason: &'static str,
        /// The rule that left it out, as the user wrote it.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// A pattern of `--include`, `--exclude` or `--exclude-from` matched nothing.
    Unmatched {
        /// The rule as the user wrote it.
        rule: String,
    },
    /// The first request to a backend. Not serialised.
    #[serde(skip)]
    Connecting {
        /// The host as messages name it; `None` if the backend runs in this process.
        host: Option<String>,
    },
    /// A source was opened and its parts were planned.
    Plan {
        #[serde(rename = "source")]
        item: usize,
        /// Null before the upload has begun.
        upload: Option<UploadId>,
        path: String,
        /// Base64 of the bytes of the path; only if they are not UTF-8.
        #[serde(skip_serializing_if = "Option::is_none")]
        path_b64: Option<String>,
        size: u64,
        part_size: u64,
        parts: u32,
        /// Bytes that the store already has; they are not sent.
        resumed_bytes: u64,
        /// The object exists already.
        already_stored: bool,
        /// Only the journal says so: the store was not asked.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        from_journal: bool,
        /// The key that this command chooses, below the prefix of the backend. Null if the backend
        /// makes it.
        key: Option<String>,
        /// The source is a stream: `size` is the expected size, or 0, and `parts` is 0.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        stream: bool,
        /// `None` in a real run.
        #[serde(skip)]
        forecast: Option<Forecast>,
    },
    /// Progress in bytes of the source. A reporter may drop any of them, except the last one of an
    /// upload.
    Progress {
        #[serde(rename = "source")]
        item: usize,
        upload: Option<UploadId>,
        path: String,
        /// Hashed.
        hashed: u64,
        /// Written to the network.
        sent: u64,
        /// Acknowledged by the store.
        confirmed: u64,
        size: u64,
        /// Bytes written to the network per second, recently.
        rate: u64,
        /// The waits of a stream; `None` for a file.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        waits: Option<StreamWaits>,
        #[serde(skip)]
        phase: Phase,
    },
    /// The store acknowledged a part, and the journal has recorded it.
    Part {
        #[serde(rename = "source")]
        item: usize,
        upload: UploadId,
        path: String,
        number: PartNumber,
        size: u64,
        sha256: Sha256,
        etag: ETag,
        /// The store already had the part; no byte of it was sent.
        skipped: bool,
        /// The store has copied the part from an earlier object.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        copied: bool,
    },
    /// An attempt failed and will be repeated.
    Retry {
        #[serde(skip)]
        item: usize,
        /// `item`; null if the failed call was about the backend.
        source: Option<usize>,
        upload: Option<UploadId>,
        /// Null if the failed call was about the backend.
        path: Option<String>,
        /// Null if the failed call was about the whole upload.
        number: Option<PartNumber>,
        /// The number of the failed attempt, from 1.
        attempt: u32,
        kind: &'static str,
        wait_ms: u64,
        message: String,
        /// The host that did not respond; `None` if the attempt failed for another reason.
        #[serde(skip)]
        unreached: Option<String>,
    },
    /// The source has changed since its upload began. The next events show whether a new upload
    /// begins or this one fails.
    Changed {
        #[serde(rename = "source")]
        item: usize,
        upload: Option<UploadId>,
        path: String,
        message: String,
    },
    /// A stream is read again after an interruption. Its parts are compared with those of the
    /// earlier run, and sent from the first one that differs.
    Comparing {
        #[serde(rename = "source")]
        item: usize,
        upload: UploadId,
        path: String,
        /// The parts that the store has.
        parts: u32,
    },
    /// Another process uploads the source; this run waits for that process.
    Blocked {
        #[serde(rename = "source")]
        item: usize,
        upload: Option<UploadId>,
        path: String,
        message: String,
        /// No other source of the run was blocked before.
        #[serde(skip)]
        is_first: bool,
    },
    /// The backend no longer has an upload or its object: the source is uploaded again from the
    /// beginning, by another upload.
    Restarted {
        #[serde(rename = "source")]
        item: usize,
        /// The upload that is replaced.
        upload: Option<UploadId>,
        path: String,
        message: String,
    },
    /// The source of an unfinished upload was moved; the upload continues with its new path.
    Moved {
        #[serde(rename = "source")]
        item: usize,
        upload: Option<UploadId>,
        old_path: String,
        path: String,
    },
    /// The source was uploaded before, from another path and under another name. It gets an object
    /// of its own under its new name.
    Renamed {
        #[serde(rename = "source")]
        item: usize,
        /// The earlier upload.
        upload: Option<UploadId>,
        old_path: String,
        old_name: String,
        path: String,
        name: String,
    },
    /// The object is verified, and the backend's hooks have not yet accepted it.
    Waiting {
        #[serde(rename = "source")]
        item: usize,
        upload: UploadId,
        path: String,
    },
    /// The backend has verified the object and, unless `--wait none` is given, its hooks have
    /// accepted it.
    Completed {
        #[serde(rename = "source")]
        item: usize,
        /// Null for an object that was there before, if no known upload has made it.
        upload: Option<UploadId>,
        /// The path of the source: as the command line has it or, if an upload was resumed, as the
        /// journal has it.
        path: String,
        /// The object existed before this command ran.
        already_stored: bool,
        /// Only the journal says so: the store was not asked.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        from_journal: bool,
        receipt: Box<Receipt>,
    },
    /// `--if-exists skip`: an object is at the key of the source, which was left out.
    #[serde(rename = "skipped")]
    Kept {
        #[serde(rename = "source")]
        item: usize,
        path: String,
        reason: &'static str,
        /// The key of the object in its bucket.
        key: String,
        location: String,
        /// The size of the object in bytes.
        size: u64,
    },
    /// A source could not be uploaded.
    Failed {
        #[serde(rename = "source")]
        item: usize,
        upload: Option<UploadId>,
        path: String,
        kind: &'static str,
        message: String,
        hint: Option<String>,
    },
    /// The last line of every run.
    Exit {
        code: u8,
        /// Number of sources.
        uploads: u64,
        /// Sources whose object is stored, among them those of `already_stored`.
        completed: u64,
        /// Sources whose object existed before this command ran.
        already_stored: u64,
        /// Those of `already_stored` about which the store was not asked.
        from_journal: u64,
        failed: u64,
        /// Bytes of parts that this run sent and the store acknowledged.
        bytes_sent: u64,
        /// Bytes that the store already had.
        bytes_skipped: u64,
        /// Bytes of `bytes_skipped` that the store has copied from earlier objects, in this run.
        bytes_copied: u64,
        /// The number of sources and entries that were left out, by reason.
        skipped: BTreeMap<&'static str, u64>,
        /// `upload resume` can continue at least one upload.
        resumable: bool,
        /// The command that continues them.
        #[serde(skip)]
        resume_command: String,
        /// Nothing was to be sent.
        #[serde(skip)]
        is_dry_run: bool,
    },
}

/// The work on an upload at the time of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Hashes the source before the upload begins.
    Hashing,
    /// Has read this many bytes of a touched source again.
    Checking(u64),
    /// Has read this many bytes of the source to compare them with the object at its key.
    Comparing(u64),
    /// Waits for the backend to begin, or to report what is stored.
    Asking,
    #[default]
    Sending,
    /// Waits for the backend to complete the object.
    Completing,
}

/// The result of a dry run for one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forecast {
    WouldSend,
    AlreadyStored,
    /// As `AlreadyStored`, but the store was not asked.
    InJournal,
}

impl Event {
    /// The plan of an upload of the source at `path`.
    #[must_use]
    pub fn plan(
        item: usize,
        upload: Option<UploadId>,
        path: &Path,
        plan: &Plan,
        stored: Stored,
    ) -> Self {
        let path_b64 = match path.to_str() {
            Some(_) => None,
            None => Some(BASE64.encode(path.as_os_str().as_bytes())),
        };
        Self::Plan {
            item,
            upload,
            path: path.display().to_string(),
            path_b64,
            size: plan.size(),
            part_size: plan.part_size(),
            parts: plan.count(),
            resumed_bytes: match stored {
                Stored::Bytes(bytes) => bytes,
                Stored::Object | Stored::InJournal => plan.size(),
            },
            already_stored: !matches!(stored, Stored::Bytes(_)),
            from_journal: stored == Stored::InJournal,
            key: None,
            stream: false,
            forecast: None,
        }
    }

    /// A source that was left out, because this object is at its key.
    #[must_use]
    pub fn kept(item: usize, path: String, existing: &ExistingObject) -> Self {
        Self::Kept {
            item,
            path,
            reason: "exists",
            key: existing.key.as_str().to_owned(),
            location: existing.location.clone(),
            size: existing.size,
        }
    }

    /// The plan of a stream.
    #[must_use]
    pub fn stream_plan(
        item: usize,
        upload: Option<UploadId>,
        expected_size: Option<u64>,
        part_size: u64,
    ) -> Self {
        Self::Plan {
            item,
            upload,
            path: STREAM_PATH.to_owned(),
            path_b64: None,
            size: expected_size.unwrap_or(0),
            part_size,
            parts: 0,
            resumed_bytes: 0,
            already_stored: false,
            from_journal: false,
            key: None,
            stream: true,
            forecast: None,
        }
    }

    /// A failed attempt that will be repeated after `wait`.
    #[must_use]
    pub fn retry(
        source: EventSource,
        number: Option<PartNumber>,
        attempt: u32,
        error: &Error,
        wait: Duration,
    ) -> Self {
        Self::Retry {
            item: source.item,
            source: source.path.is_some().then_some(source.item),
            upload: source.upload,
            path: source.path,
            number,
            attempt,
            kind: error.kind().name(),
            wait_ms: saturating::to_u64(wait.as_millis()),
            message: error.to_string(),
            unreached: error.unreached().map(str::to_owned),
        }
    }

    /// The same plan with a key that the client chooses.
    #[must_use]
    pub fn with_key(mut self, chosen: Option<String>) -> Self {
        if let Self::Plan { key, .. } = &mut self {
            *key = chosen;
        }
        self
    }

    /// The same plan, as the result of a dry run.
    #[must_use]
    pub fn as_forecast(mut self, result: Forecast) -> Self {
        if let Self::Plan { forecast, .. } = &mut self {
            *forecast = Some(result);
        }
        self
    }

    /// The end of a run that failed before its first source.
    #[must_use]
    pub fn early_exit(code: u8) -> Self {
        Self::Exit {
            code,
            uploads: 0,
            completed: 0,
            already_stored: 0,
            from_journal: 0,
            failed: 0,
            bytes_sent: 0,
            bytes_skipped: 0,
            bytes_copied: 0,
            skipped: BTreeMap::new(),
            resumable: false,
            resume_command: String::new(),
            is_dry_run: false,
        }
    }
}

/// The part of a source that the store has before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Parts of this many bytes together.
    Bytes(u64),
    /// The object.
    Object,
    /// The object, according to the journal: the store is not asked.
    InJournal,
}

/// An event as one line of NDJSON, without its newline.
#[must_use]
pub fn to_json_line(event: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, T: Serialize> {
        v: u32,
        #[serde(flatten)]
        event: &'a T,
    }
    // Cannot fail: events hold strings, numbers and maps with string keys.
    escape_for_terminal(serde_json::to_string(&Line { v: VERSION, event }).unwrap_or_default())
}

/// Escapes as `\u…` the characters that a terminal interprets or hides and that serde does not
/// escape: DEL, C1 controls, direction marks, line separators, zero-width characters. Valid JSON
/// has them in strings only.
fn escape_for_terminal(json: String) -> String {
    use std::fmt::Write as _;
    let is_unsafe = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !json.contains(is_unsafe) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unsafe(c) {
            // Each unsafe character is one UTF-16 code unit. Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_line_keeps_the_message_and_escapes_terminal_controls() {
        let message =
            "a\u{9b}31m\u{202e}b\u{7f}\u{1b}]0;t\u{7}\u{feff}\n\u{e9}\u{1f600}".to_owned();
        let event = Event::Changed {
            item: 0,
            upload: None,
            path: String::new(),
            message: message.clone(),
        };
        let line = to_json_line(&event);
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}' || c == '\u{feff}'),
            "{line:?}"
        );
        assert!(line.contains("\u{e9}\u{1f600}"), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], message.as_str());
    }
}
