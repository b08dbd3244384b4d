//! One process for each upload: a lock that dies with its process.
//!
//! Border: processes of one machine; other machines are held off by the backend's claim.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// The right to drive one upload of one journal. Given back when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of upload `row` of the journal at `journal`.
    ///
    /// # Errors
    /// [`Kind::Busy`] naming the process that holds it, [`Kind::NoJournal`] when there is no place for locks.
    pub fn take(journal: &Path, row: i64) -> Result<Self> {
        let mut dir = journal.as_os_str().to_owned();
        dir.push(".locks");
        let dir = PathBuf::from(dir);
        let path = dir.join(row.to_string());
        let fail = |error: std::io::Error| {
            Error::new(Kind::NoJournal, format!("could not lock {}", path.display())).because(error)
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(fail)?;
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(fail)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // Only for the message; whoever holds the lock may be writing it this moment.
                    let _ = file.take(20).read_to_string(&mut holder);
                    let what = format!("this upload is already running in another process (pid {})", holder.trim());
                    return Err(Error::new(Kind::Busy, what));
                }
                Err(TryLockError::Error(error)) => return Err(fail(error)),
            }
            // The one before us may have removed the file between our open and our lock: then we hold a lock nobody sees.
            let same = |there: fs::Metadata, here: fs::Metadata| there.ino() == here.ino() && there.dev() == here.dev();
            let ours = fs::metadata(&path).and_then(|there| Ok(same(there, file.metadata()?))).unwrap_or(false);
            if !ours {
                continue;
            }
            let write = file.set_len(0).and_then(|()| file.rewind());
            write.and_then(|()| write!(file, "{}", std::process::id())).map_err(fail)?;
            return Ok(Self { _file: file, path });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file left behind is harmless: the next one to come locks it.
        let _ = fs::remove_file(&self.path);
    }
}
