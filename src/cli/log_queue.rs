//! Writes the log in a thread of its own: a reader of standard error that reads nothing must not
//! stop an upload or a gateway. Lines for which there is no room are dropped.
//!
//! Instead of `tracing-appender`: [`flush`] needs no guard that the end of the process must reach,
//! and the log itself reports how many lines were dropped.
//!
//! Not here: the log itself (`output`).

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::report::LogWriter;

/// The most lines that wait to be written.
const MAX_WAITING_LINES: usize = 4096;
/// The longest wait for these lines at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue of this process.
static QUEUE: OnceLock<SyncSender<Message>> = OnceLock::new();
/// Lines that were dropped since the last one that was written.
static DROPPED: AtomicU64 = AtomicU64::new(0);

enum Message {
    Line(Vec<u8>),
    /// Every line before it is written.
    Flush(SyncSender<()>),
}

/// Takes lines of the log; each `write` is a line. Writing neither fails nor blocks.
#[derive(Clone)]
pub struct LogQueue(SyncSender<Message>);

impl LogQueue {
    /// The queue of this process. The first call starts its thread, which writes to `writer`.
    pub fn start(writer: LogWriter) -> Self {
        let queue = QUEUE.get_or_init(|| {
            let (sender, receiver) = sync_channel(MAX_WAITING_LINES);
            thread::spawn(move || write_lines(&receiver, writer));
            sender
        });
        Self(queue.clone())
    }
}

impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_owned())).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until the lines so far are written, at most for [`FLUSH_TIMEOUT`].
pub fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (done, written) = sync_channel(1);
    if queue.try_send(Message::Flush(done)).is_ok() {
        let _ = written.recv_timeout(FLUSH_TIMEOUT);
    }
}

fn write_lines(messages: &Receiver<Message>, mut writer: LogWriter) {
    for message in messages {
        match message {
            Message::Line(line) => {
                let _ = writer.write_all(&line);
                let lines = DROPPED.swap(0, Ordering::Relaxed);
                if lines > 0 {
                    tracing::warn!(lines, "lines of the log were dropped: nothing read them");
                }
            }
            Message::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}
