//! The lock that limits a store to one process: a locked file that holds the process id. The file
//! is empty if the store was closed properly.
//!
//! Not here: the repair after an unclean shutdown, in [`crate::manifest`].

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A longer wait is logged. A process that replaces another usually waits for a shorter time.
const LOG_WAIT_AFTER: Duration = Duration::from_secs(1);

/// Held until it is dropped or its process ends.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
    after_crash: bool,
}

impl StoreLock {
    /// Locks the file `lock` in `dir`. Waits up to `wait` for the process that holds it.
    ///
    /// # Errors
    /// [`Kind::Busy`] with the id of the process that holds the lock; [`Kind::Io`] if the file
    /// cannot be used.
    pub async fn acquire(dir: &Path, wait: Duration) -> Result<Self> {
        let path = dir.join("lock");
        let unusable = |error: std::io::Error| {
            let text = format!("could not use the lock file {}", path.display());
            Error::new(Kind::Io, text).with_source(error)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable)?;
        let started = Instant::now();
        let mut logged = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if started.elapsed() < wait => {
                    if !logged && started.elapsed() > LOG_WAIT_AFTER {
                        logged = true;
                        tracing::warn!("waiting for the store: {}", holder(&mut file));
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let (dir, holder) = (dir.display(), holder(&mut file));
                    let text = format!("could not open the store in {dir}: {holder}");
                    return Err(Error::new(Kind::Busy, text).with_hint(
                        "wait until that process ends, or stop it; then run the command again",
                    ));
                }
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
            }
        }
        crash::point("store.lock.acquired");
        let after_crash = file.metadata().map_err(unusable)?.len() > 0;
        let line = format!("{}\n", std::process::id());
        // The file is never empty in between, so that a kill at this point is also detected.
        file.write_all_at(line.as_bytes(), 0)
            .and_then(|()| file.set_len(line.len() as u64))
            .map_err(unusable)?;
        // After a power cut only this line shows that the store was open.
        file.sync_all().map_err(unusable)?;
        Ok(Self { file, after_crash })
    }

    /// Returns true if the previous process did not call [`Self::release_clean`]: it was killed, or
    /// the machine stopped.
    pub fn is_after_crash(&self) -> bool {
        self.after_crash
    }

    /// Releases the lock and records that rows and part files agree.
    pub fn release_clean(self) {
        // If this fails, the next process compares rows and part files once more.
        let _ = self.file.set_len(0);
    }
}

/// The id of the process that has the store in `dir` open. Returns `None` if it is not known.
#[must_use]
pub fn lock_holder(dir: &Path) -> Option<u32> {
    holder_id(&mut File::open(dir.join("lock")).ok()?)
}

fn holder_id(file: &mut File) -> Option<u32> {
    // A process id has ten digits at most; any other content is not repeated.
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(16).read_to_string(&mut text));
    read.ok().and_then(|_| text.trim().parse().ok())
}

/// The process that holds the lock, as text for a message.
fn holder(file: &mut File) -> String {
    match holder_id(file) {
        Some(pid) => format!("process {pid} holds it"),
        None => "another process holds it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn longer_line_of_previous_holder_is_truncated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, "99999999999999\n").unwrap();
        let lock = StoreLock::acquire(dir.path(), Duration::ZERO)
            .await
            .unwrap();
        assert!(lock.is_after_crash());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        lock.release_clean();
        let next = StoreLock::acquire(dir.path(), Duration::ZERO)
            .await
            .unwrap();
        assert!(!next.is_after_crash());
    }
}
