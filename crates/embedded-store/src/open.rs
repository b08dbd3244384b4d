//! Opens the store in its directory.

use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use upload_types::DiskFailure;
use upload_types::error::{Error, Kind, Result};

use crate::access_keys::AccessKeys;
use crate::error::StoreError;
use crate::lock::StoreLock;
use crate::manifest::{Manifest, Recovery};
use crate::part_files::PartFiles;
use crate::service::{Disk, Service};
use crate::store::Store;
use crate::time::milliseconds;

/// A store in a directory that only this process uses. It is closed when the last clone, service
/// and body of a response is dropped.
#[derive(Clone)]
pub struct Embedded {
    dir: PathBuf,
    keys: AccessKeys,
    store: Store,
    disk_failure: DiskFailure,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens or creates the store. Waits up to `wait` for another process that has it open. Sets
    /// the mode of the directory to 0700.
    ///
    /// # Errors
    /// [`Kind::DatabaseUnusable`] for a directory that other users control, or a symbolic link;
    /// [`Kind::Busy`] with the id of the process that has the store open; [`Kind::Io`] if the
    /// directory cannot be used.
    pub async fn open(dir: &Path, wait: Duration) -> Result<Self> {
        let dir = dir.to_owned();
        let dir = blocking(move || create_private_dir(&dir)).await?;
        let lock = StoreLock::acquire(&dir, wait).await?;
        blocking(move || Self::open_locked(dir, lock)).await
    }

    fn open_locked(dir: PathBuf, lock: StoreLock) -> Result<Self> {
        let could_not = |reason: &str| {
            let dir = dir.display();
            Error::new(
                Kind::Io,
                format!("could not open the store in {dir}: {reason}"),
            )
        };
        let files_unusable =
            |error: std::io::Error| could_not("its files cannot be used").with_source(error);
        let database = dir.join("store.db");
        // With a new manifest, all part files would be unknown and be set aside.
        if !database.exists() && PartFiles::any_in(&dir).map_err(files_unusable)? {
            return Err(could_not("it has part files but no store.db"));
        }
        let keys = AccessKeys::open(&dir)?;
        let recovery = if lock.is_after_crash() {
            Recovery::SetAsideUnknownFiles
        } else {
            Recovery::None
        };
        let files = PartFiles::open(&dir, lock).map_err(files_unusable)?;
        let manifest =
            Manifest::open(&database, Arc::clone(&files), recovery).map_err(|error| {
                let unusable = could_not("its manifest cannot be used");
                match error {
                    StoreError::Internal(cause) => unusable.with_source(cause),
                    StoreError::Rejected(rejection) => unusable.with_source(rejection),
                }
            })?;
        let created = fs::metadata(dir.join("keys"))
            .and_then(|file| file.modified())
            .map_err(files_unusable)?;
        let store = Store::new(manifest, files, milliseconds(created));
        Ok(Self {
            dir,
            keys,
            store,
            disk_failure: DiskFailure::default(),
        })
    }

    /// Reports a failure of the disk to `disk_failure`.
    #[must_use]
    pub fn reporting(self, disk_failure: DiskFailure) -> Self {
        Self {
            disk_failure,
            ..self
        }
    }

    /// Access key and secret. They are created with the store and never change.
    #[must_use]
    pub fn keys(&self) -> (String, String) {
        let (access_key, secret) = (self.keys.access_key(), self.keys.secret());
        (access_key.to_owned(), secret.to_owned())
    }

    #[must_use]
    pub fn service(&self) -> Service {
        let disk = Disk {
            dir: self.dir.clone(),
            failure: self.disk_failure.clone(),
        };
        Service::new(self.store.clone(), self.keys.clone(), disk)
    }
}

/// Creates the directory if it does not exist, and sets its mode. Returns its path without symbolic
/// links, which SQLite does not follow.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] for a directory that other users control, or a link;
/// [`Kind::Io`] if it cannot be created.
fn create_private_dir(dir: &Path) -> Result<PathBuf> {
    check_place(dir)?;
    let create = || {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        fs::canonicalize(dir)
    };
    let created = create().map_err(|error| {
        let text = format!("could not use the directory {}", dir.display());
        Error::new(Kind::Io, text).with_source(error)
    })?;
    // Another user may have created the directory in the meantime.
    check_place(dir)?;
    Ok(created)
}

fn check_place(dir: &Path) -> Result<()> {
    let hint = "create a directory with `mkdir -m 700 DIR`; name it with `upload serve --store \
                embedded:DIR`, or set XDG_DATA_HOME=DIR for other commands";
    upload_sqlite::check_directory(dir, "the embedded store", hint)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error| Error::new(Kind::Other, "could not open the store").with_source(error);
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}
