//! The file of `--receipt`: a line of JSON for each completed upload, written as soon as it
//! completes.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::{Event, EventSender};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Receipt;

/// Creates the file, and a sender in front of `next` that writes receipts into it. The thread ends
/// when the sender is dropped.
///
/// # Errors
/// [`Kind::Io`] if the file cannot be created; the thread returns it if the file cannot be written.
pub fn tee(path: &Path, next: EventSender) -> Result<(EventSender, JoinHandle<Result<()>>)> {
    let mut receipts = ReceiptFile::create(path)?;
    let (sink, mut events): (EventSender, UnboundedReceiver<Event>) = EventSender::channel();
    let thread = thread::spawn(move || {
        while let Some(mut event) = events.blocking_recv() {
            match &mut event {
                Event::Completed { receipt, .. } => receipts.write(receipt),
                // The exit code includes a failure of this file.
                Event::Exit { code, .. } => {
                    receipts.sync();
                    if let (0, Err(error)) = (*code, &receipts.result) {
                        *code = error.kind().exit_code();
                    }
                }
                _ => {}
            }
            next.emit(event);
        }
        receipts.result
    });
    Ok((sink, thread))
}

struct ReceiptFile {
    path: PathBuf,
    file: File,
    /// The first failure; nothing is written after it.
    result: Result<()>,
}

impl ReceiptFile {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| write_error(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            result: Ok(()),
        })
    }

    fn write(&mut self, receipt: &Receipt) {
        if self.result.is_ok() {
            self.result = serde_json::to_string(receipt)
                .map_err(io::Error::other)
                .and_then(|line| writeln!(self.file, "{line}"))
                .map_err(|error| write_error(&self.path, error));
        }
    }

    fn sync(&mut self) {
        if self.result.is_ok() {
            self.result = match self.file.sync_all() {
                // Pipes and terminals cannot be synced.
                Err(error) if error.kind() != io::ErrorKind::InvalidInput => {
                    Err(write_error(&self.path, error))
                }
                _ => Ok(()),
            };
        }
    }
}

fn write_error(path: &Path, error: io::Error) -> Error {
    Error::new(
        Kind::Io,
        format!("could not write the receipt file {}", path.display()),
    )
    .with_source(error)
    .with_hint("run the command again with another file: --receipt FILE; completed uploads are not sent again")
}
