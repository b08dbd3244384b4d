//! That this process lives: one locked file for each process, named by the rows of the uploads it drives.
//!
//! Border: processes of one machine; other machines are held off by the backend's claim. Which row names whom is `upload`'s.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

/// A file that is locked for as long as this process lives. The kernel gives it back when the process dies.
#[derive(Debug)]
pub struct Presence {
    _file: File,
    path: PathBuf,
    name: String,
}

impl Presence {
    /// Makes one beside the journal, and clears away what processes that died have left there.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] when there is no place for it.
    pub fn begin(journal: &Path) -> Result<Self> {
        let dir = directory(journal);
        let fail = |error: std::io::Error| {
            Error::new(
                Kind::DatabaseUnusable,
                format!("could not lock in {}", dir.display()),
            )
            .with_source(error)
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(fail)?;
        clear(&dir);
        loop {
            let name = uuid::Uuid::new_v4().simple().to_string();
            let path = dir.join(&name);
            let options = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .clone();
            let mut file = options.open(&path).map_err(fail)?;
            crash::point("journal.presence.made");
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(fail(error)),
            }
            // Somebody who cleared away may have taken it for a dead one's between our open and our lock.
            let same = |there: fs::Metadata, here: fs::Metadata| {
                there.ino() == here.ino() && there.dev() == here.dev()
            };
            crash::point("journal.presence.locked");
            if fs::metadata(&path)
                .and_then(|there| Ok(same(there, file.metadata()?)))
                .unwrap_or(false)
            {
                write!(file, "{}", std::process::id()).map_err(fail)?;
                crash::point("journal.presence.named");
                return Ok(Self {
                    _file: file,
                    path,
                    name,
                });
            }
        }
    }

    /// How rows name it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A file left behind is harmless: it is not locked.
        let _ = fs::remove_file(&self.path);
        crash::point("journal.presence.gone");
    }
}

/// The process id of whoever a row names, if that process lives.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] when that cannot be told.
pub fn alive(journal: &Path, name: &str) -> Result<Option<String>> {
    let path = directory(journal).join(name);
    let fail = |error: std::io::Error| {
        Error::new(
            Kind::DatabaseUnusable,
            format!("could not read {}", path.display()),
        )
        .with_source(error)
    };
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(fail)?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::Error(error)) => Err(fail(error)),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Only for a message; it may be written this moment.
            let _ = file.take(20).read_to_string(&mut pid);
            Ok(Some(pid))
        }
    }
}

fn directory(journal: &Path) -> PathBuf {
    let mut dir = journal.as_os_str().to_owned();
    dir.push(".locks");
    PathBuf::from(dir)
}

/// Removes the files of the dead. What cannot be removed stays. The lock is a shared one: whoever looks at the same moment, who
/// is alive or what may go, must not take us for the one who died.
fn clear(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if File::open(entry.path()).is_ok_and(|file| file.try_lock_shared().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
