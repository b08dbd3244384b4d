//! The receipt file: a line of JSON for each completed upload, written when it completes.
//!
//! Border: listens in on the events on their way to the screen and passes on every one.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::event::{Event, Sink};
use upload_types::error::{Error, Kind, Result};

/// Makes the file, and a sink whose events it sees before `next` does. The thread ends with the sink.
///
/// # Errors
/// [`Kind::Io`] when the file cannot be made; the thread ends with it when it cannot be written.
pub fn tee(path: &Path, next: Sink) -> Result<(Sink, JoinHandle<Result<()>>)> {
    let fail = |error: std::io::Error, path: &Path| {
        Error::new(
            Kind::Io,
            format!("could not write the receipt {}", path.display()),
        )
        .with_source(error)
    };
    let mut file = File::create(path).map_err(|error| fail(error, path))?;
    let path = path.to_owned();
    let (sink, mut events): (Sink, UnboundedReceiver<Event>) = Sink::channel();
    let thread = thread::spawn(move || {
        let mut written = Ok(());
        while let Some(mut event) = events.blocking_recv() {
            if let (Event::Completed { receipt, .. }, Ok(())) = (&event, &written) {
                let line = serde_json::to_string(receipt).map_err(std::io::Error::other);
                written = line
                    .and_then(|line| writeln!(file, "{line}"))
                    .map_err(|error| fail(error, &path));
            }
            // The last event says how the process ends, the receipt's failure included.
            if let Event::Exit { code, .. } = &mut event {
                written = written.and_then(|()| match file.sync_all() {
                    // A pipe or a terminal has nothing to sync.
                    Err(error) if error.kind() != std::io::ErrorKind::InvalidInput => {
                        Err(fail(error, &path))
                    }
                    _ => Ok(()),
                });
                if let (0, Err(error)) = (*code, &written) {
                    *code = error.kind().exit_code();
                }
            }
            next.tell(event);
        }
        written
    });
    Ok((sink, thread))
}
