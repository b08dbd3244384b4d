//! Whether the journal's place is ours alone: nobody else may put another file, or a link, where the journal is to be.
//!
//! Border: looks at directories before anything is made in them; the file itself is `sqlite`'s.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

use upload_types::error::{Error, Kind, Result};

const HINT: &str = "name another place for the journal with --journal FILE";

/// Checks the directory a journal is in, or where it is not there yet, the nearest one above it.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] for a directory that is a link, that anybody may write to, or that belongs to another user (root may
/// be anybody's). As root, that is what keeps `sudo` out of the journal of the user it came from.
pub fn check(journal: &Path) -> Result<()> {
    let directory = journal
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    for (above, place) in directory.ancestors().enumerate() {
        let place = if place.as_os_str().is_empty() {
            Path::new(".")
        } else {
            place
        };
        let refuse = |why: &str| {
            let what = format!(
                "could not trust {} with the journal: {why}",
                place.display()
            );
            Err(Error::new(Kind::DatabaseUnusable, what).with_hint(HINT))
        };
        let Ok(found) = fs::symlink_metadata(place) else {
            continue;
        };
        if found.is_symlink() && above == 0 {
            return refuse("it is a symbolic link");
        }
        // Links above it are the user's.
        let Ok(found) = fs::metadata(place) else {
            return Ok(());
        };
        return match found {
            found if found.uid() != geteuid().as_raw() && found.uid() != 0 => {
                refuse("it belongs to another user")
            }
            // In such a place a directory of ours is still ours, if nobody else may remove it.
            found if found.mode() & 0o002 != 0 && (above == 0 || found.mode() & 0o1000 == 0) => {
                refuse("anybody may write to it")
            }
            _ => Ok(()),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn only_a_directory_of_our_own_is_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let mode =
            |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
        let (here, beneath) = (
            dir.path().join("journal.db"),
            dir.path().join("new/state/journal.db"),
        );
        let refused = |path: &Path| check(path).is_err();
        assert!(!refused(&here) && !refused(&beneath));
        mode(0o777);
        assert!(refused(&here) && refused(&beneath));
        mode(0o1777);
        assert!(refused(&here) && !refused(&beneath));
        mode(0o700);
        let link = dir.path().join("link");
        symlink(dir.path(), &link).unwrap();
        assert!(refused(&link.join("journal.db")));
        assert!(
            !refused(&link.join("new/journal.db")),
            "links above the directory are the user's"
        );
        if geteuid().is_root() {
            chown(dir.path(), Some(12_345), None).unwrap();
            assert!(refused(&here) && refused(&beneath));
        }
    }
}
