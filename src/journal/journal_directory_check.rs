//! Checks the directory of the journal: another user must not be able to replace the journal by
//! another file or a link.
//!
//! Not here: the file itself (`upload_sqlite`).

use std::path::Path;

use upload_types::error::Result;

/// Checks the directory of a journal or, if it does not exist, the nearest existing one above it.
///
/// # Errors
/// As [`upload_sqlite::check_directory`].
pub fn check(journal: &Path) -> Result<()> {
    let hint = "create a directory with `mkdir -m 700 DIR`, and name a journal in it: \
                --journal DIR/journal.db";
    let directory = upload_sqlite::directory_of(journal);
    upload_sqlite::check_directory(directory, "the journal", hint)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use rustix::process::geteuid;

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
            chown(folder.path(), None, Some(54_321)).unwrap();
            for (mode, is_dangerous) in [(0o750, false), (0o770, true), (0o1770, true)] {
                set_mode(mode);
                assert_eq!(is_rejected(&existing), is_dangerous, "{mode:o}");
            }
            set_mode(0o700);
            chown(folder.path(), Some(12_345), None).unwrap();
            assert!(is_rejected(&existing) && is_rejected(&new));
        }
    }
}
