//! The lock that keeps a store to one process.
//!
//! Border: one file that holds the holder's process id. Whether it was ended properly is read here; what to tidy up when it
//! was not is `mod`'s.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

const POLL: Duration = Duration::from_millis(50);
/// Before a wait is worth a word.
const QUIET: Duration = Duration::from_secs(1);

/// Held until it is released or its process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// The holder before us did not release it: it was killed, or the machine stopped.
    pub left_behind: bool,
}

impl Lock {
    /// Takes the lock file under `dir`, waiting up to `wait` for who holds it.
    ///
    /// # Errors
    /// [`Kind::Busy`] naming the process that holds it, [`Kind::Io`] when the file cannot be used.
    pub async fn acquire(dir: &Path, wait: Duration) -> Result<Self> {
        let path = dir.join("lock");
        let failed = |error: std::io::Error| {
            Error::new(
                Kind::Io,
                format!("could not use the lock file {}", path.display()),
            )
            .with_source(error)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let begun = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < wait => {
                    // Who replaces another sees it go within moments; anybody else wants to know what they wait for.
                    if !told && begun.elapsed() > QUIET {
                        told = true;
                        tracing::warn!("waiting for the store: {}", holder(&mut file));
                    }
                    tokio::time::sleep(POLL).await;
                }
                Err(TryLockError::WouldBlock) => return Err(busy(dir, &mut file)),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        crash::point("store.lock.taken");
        let left_behind = file.metadata().map_err(failed)?.len() > 0;
        let line = format!("{}\n", std::process::id());
        // Never empty in between: who is killed there leaves something behind, too.
        file.write_all_at(line.as_bytes(), 0)
            .and_then(|()| file.set_len(line.len() as u64))
            .map_err(failed)?;
        // After a power cut this line is all that tells of us.
        file.sync_all().map_err(failed)?;
        Ok(Self { file, left_behind })
    }

    /// Lets go of the lock; `tidy` says that nothing is left for the next holder to clear away.
    pub fn release(self, tidy: bool) {
        if tidy {
            // Failing to say so costs the next holder a look around.
            let _ = self.file.set_len(0);
        }
    }
}

fn busy(dir: &Path, file: &mut File) -> Error {
    Error::new(
        Kind::Busy,
        format!(
            "could not open the store in {}: {}",
            dir.display(),
            holder(file)
        ),
    )
}

/// Who holds the lock, for people.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // The id is at most ten digits; whatever else stands there is not ours to repeat.
    let read = file
        .rewind()
        .and_then(|()| file.take(16).read_to_string(&mut text));
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(pid) => format!("process {pid} holds it"),
        None => "another process holds it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_longer_line_of_the_holder_before_is_cut() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        std::fs::write(&path, "99999999999999\n").unwrap();
        let lock = Lock::acquire(place.path(), Duration::ZERO).await.unwrap();
        assert!(lock.left_behind);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        lock.release(true);
        assert!(
            !Lock::acquire(place.path(), Duration::ZERO)
                .await
                .unwrap()
                .left_behind
        );
    }
}
