//! Checks the directory of the journal: another user must not be able to replace the journal by
//! another file or a link.
//!
//! Not here: the file itself (`upload_sqlite`).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;
use upload_types::error::{Error, Kind, Result};

/// Permission of others to write.
const OTHERS_WRITE: u32 = 0o002;

/// Checks the directory of a journal or, if it does not exist, the nearest existing one above it.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] if the directory of the journal is a symbolic link or every user may
/// write to it, and if the checked directory belongs neither to the effective user nor to root. The
/// last rule also keeps `sudo` from writing to the user's journal.
pub fn check(journal: &Path) -> Result<()> {
    let directory = journal
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    for (levels_above, directory) in directory.ancestors().enumerate() {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let reject = |reason: &str| {
            let what = format!(
                "could not use {} for the journal: {reason}",
                directory.display()
            );
            let hint = "create a directory with `mkdir -m 700 DIR`, and name a journal in it: \
                        --journal DIR/journal.db";
            Err(Error::new(Kind::DatabaseUnusable, what).with_hint(hint))
        };
        let Ok(metadata) = fs::symlink_metadata(directory) else {
            continue;
        };
        let is_own = levels_above == 0;
        if metadata.is_symlink() && is_own {
            return reject("it is a symbolic link");
        }
        // Links above the directory are followed: they are the user's choice.
        let Ok(metadata) = fs::metadata(directory) else {
            return Ok(());
        };
        if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 {
            return reject("it belongs to another user");
        }
        // A directory above may be writable by all users, as volumes of containers are: the journal
        // gets a new directory in it, which only this user can use.
        if metadata.mode() & OTHERS_WRITE != 0 && is_own {
            return reject("every user may write to it");
        }
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn directories_that_others_control_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let set_mode =
            |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let existing = folder.path().join("journal.db");
        let new = folder.path().join("new/state/journal.db");
        let is_rejected = |path: &Path| check(path).is_err();
        assert!(!is_rejected(&existing) && !is_rejected(&new));
        for mode in [0o777, 0o1777, 0o2777] {
            set_mode(mode);
            assert!(is_rejected(&existing) && !is_rejected(&new), "{mode:o}");
        }
        set_mode(0o700);
        let link = folder.path().join("link");
        symlink(folder.path(), &link).unwrap();
        assert!(is_rejected(&link.join("journal.db")));
        assert!(
            !is_rejected(&link.join("new/journal.db")),
            "links above the directory are followed"
        );
        if geteuid().is_root() {
            chown(folder.path(), Some(12_345), None).unwrap();
            assert!(is_rejected(&existing) && is_rejected(&new));
        }
    }
}
