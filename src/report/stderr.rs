//! Standard error, written by a thread of its own: a reader that has stopped reading must not
//! stop a run.
//!
//! Not here: the rows at the bottom of a terminal (`live_rows`), and the log (`cli::log_queue`).

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// The longest wait for a reader. After that, texts are queued, and no more is waited for until
/// the reader reads again.
const READER_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest wait at the end of the process.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// The most texts that wait for the reader. Later ones are dropped.
const MAX_WAITING: usize = 1024;

static QUEUE: OnceLock<SyncSender<Text>> = OnceLock::new();
/// The reader did not read within [`READER_TIMEOUT`].
static IS_STUCK: AtomicBool = AtomicBool::new(false);

struct Text {
    bytes: Vec<u8>,
    written: SyncSender<()>,
}

/// Writes to standard error. Errors are ignored: it may be closed.
pub fn write(bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    // A terminal that the user has stopped shows the text later.
    if io::stderr().is_terminal() {
        let _ = io::stderr().write_all(bytes);
        return;
    }
    let (written, is_written) = sync_channel(1);
    let text = Text {
        bytes: bytes.to_owned(),
        written,
    };
    if queue().try_send(text).is_err() || IS_STUCK.load(Ordering::Relaxed) {
        return;
    }
    if is_written.recv_timeout(READER_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
        IS_STUCK.store(true, Ordering::Relaxed);
    }
}

/// Waits for a slow reader at the end of the process. Without texts that wait, returns at once.
pub fn finish() {
    let (written, is_written) = sync_channel(1);
    let bytes = Vec::new();
    if let Some(queue) = QUEUE.get()
        && queue.try_send(Text { bytes, written }).is_ok()
    {
        let _ = is_written.recv_timeout(END_TIMEOUT);
    }
}

fn queue() -> &'static SyncSender<Text> {
    QUEUE.get_or_init(|| {
        let (sender, texts) = sync_channel::<Text>(MAX_WAITING);
        thread::spawn(move || {
            for text in texts {
                let _ = io::stderr().write_all(&text.bytes);
                IS_STUCK.store(false, Ordering::Relaxed);
                let _ = text.written.try_send(());
            }
        });
        sender
    })
}
