//! What happens, told once, in order, to whoever shows it: the lines of `--json`, version 1.
//!
//! Border: facts and their serialised shape; how they look on a screen is `report`. A field is never removed or retyped
//! within a version.

use serde::Serialize;
use tokio::sync::mpsc;

use upload_types::names::{ETag, PartNumber, Sha256, UploadId};
use upload_types::wire::Receipt;

/// The `v` of each line.
pub const VERSION: u32 = 1;

/// Where events go. Sending never blocks and never fails: a screen that is gone stops no upload.
#[derive(Debug, Clone)]
pub struct Sink(mpsc::UnboundedSender<Event>);

impl Sink {
    /// A sink and the end its events come out of.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub fn tell(&self, event: Event) {
        // The receiver is gone only when nobody listens any more.
        let _ = self.0.send(event);
    }
}

/// One thing that happened. `item` tells the sources of one command apart (0 for the first) and is not serialised: an
/// upload has no id before it begins.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// How much there is to do in all, where that is known before each source is opened; for people only.
    #[serde(skip)]
    Sources { count: usize, bytes: u64 },
    /// A source was opened and cut into parts.
    Plan {
        #[serde(skip)]
        item: usize,
        /// Null before begin.
        upload: Option<UploadId>,
        path: String,
        /// The path's bytes, only where they are not UTF-8.
        #[serde(skip_serializing_if = "Option::is_none")]
        path_b64: Option<String>,
        size: u64,
        part_size: u64,
        parts: u32,
        /// Bytes that are in the store already and will not be sent.
        resumed_bytes: u64,
    },
    /// Where an upload stands, in bytes of its source. A reporter may drop any but the last.
    Progress {
        #[serde(skip)]
        item: usize,
        upload: Option<UploadId>,
        /// Fingerprinted.
        hashed: u64,
        /// Handed to the network.
        sent: u64,
        /// Acknowledged by the store.
        confirmed: u64,
        size: u64,
        /// Bytes handed to the network per second, of late.
        rate: u64,
    },
    /// The store has a part and the journal knows.
    Part {
        #[serde(skip)]
        item: usize,
        upload: UploadId,
        number: PartNumber,
        size: u64,
        sha256: Sha256,
        etag: ETag,
        /// It was there before; no byte of it was sent.
        skipped: bool,
    },
    /// Something failed for now and will be tried again.
    Retry {
        #[serde(skip)]
        item: usize,
        upload: Option<UploadId>,
        /// Null where a call failed that is about the whole upload.
        number: Option<PartNumber>,
        /// Which attempt failed, from 1.
        attempt: u32,
        kind: &'static str,
        wait_ms: u64,
        #[serde(skip)]
        message: String,
    },
    /// The source is no longer what it was; what follows says whether the upload begins anew or fails.
    Changed {
        #[serde(skip)]
        item: usize,
        upload: Option<UploadId>,
        path: String,
        message: String,
    },
    /// The object is verified, and the backend's own checks have not ended.
    Waiting {
        #[serde(skip)]
        item: usize,
        upload: UploadId,
    },
    /// The backend has verified the object; where that was asked for, its checks have ended well.
    Completed {
        #[serde(skip)]
        item: usize,
        upload: UploadId,
        receipt: Receipt,
        /// It was there before this command ran.
        #[serde(skip)]
        already: bool,
    },
    /// One source could not be uploaded.
    Failed {
        #[serde(skip)]
        item: usize,
        upload: Option<UploadId>,
        path: String,
        kind: &'static str,
        message: String,
        hint: Option<String>,
    },
    /// The last line, always.
    Exit {
        code: u8,
        /// Sources in all.
        uploads: u64,
        completed: u64,
        failed: u64,
        /// Bytes of parts that this run sent and the store acknowledged.
        bytes_sent: u64,
        /// Bytes that did not have to be sent.
        bytes_skipped: u64,
        /// `upload resume` can go on from here.
        resumable: bool,
    },
}

/// An event as one line of NDJSON, without its newline.
#[must_use]
pub fn line(event: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Line<'a, T: Serialize> {
        v: u32,
        #[serde(flatten)]
        event: &'a T,
    }
    // Events hold strings, numbers and maps with string keys, so there is nothing that could fail.
    escaped(serde_json::to_string(&Line { v: VERSION, event }).unwrap_or_default())
}

/// The same JSON, which a terminal shows as it stands: what serde leaves as it is and a terminal may obey or hide (DEL, C1,
/// direction and line separators, zero width) becomes `\u…`. Outside of strings there is none of it.
fn escaped(json: String) -> String {
    use std::fmt::Write as _;
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if !json.contains(obeyed) {
        return json;
    }
    let mut plain = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if obeyed(c) {
            // All of them are one unit of UTF-16. Writing to a string cannot fail.
            let _ = write!(plain, "\\u{:04x}", u32::from(c));
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_same_and_holds_nothing_that_a_terminal_obeys() {
        let message =
            "a\u{9b}31m\u{202e}b\u{7f}\u{1b}]0;t\u{7}\u{feff}\n\u{e9}\u{1f600}".to_owned();
        let event = Event::Changed {
            item: 0,
            upload: None,
            path: String::new(),
            message: message.clone(),
        };
        let line = line(&event);
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}' || c == '\u{feff}'),
            "{line:?}"
        );
        assert!(line.contains("\u{e9}\u{1f600}"), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], message.as_str());
    }
}
