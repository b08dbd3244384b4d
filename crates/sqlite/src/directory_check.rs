//! Checks a directory: another user must not be able to replace the files in it by other files or
//! links.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;
use upload_types::error::{Error, Kind, Result};

/// Permission of others to write.
const OTHERS_WRITE: u32 = 0o002;

/// Checks a directory or, if it does not exist, the nearest existing one above it. `noun` names the
/// files in it: "the journal"; `hint` is the instruction for a user without a suitable directory.
///
/// # Errors
/// [`Kind::DatabaseUnusable`] if the directory itself is a symbolic link, except one that root made
/// for another user, or every user may write to it; and if the checked directory belongs neither to
/// the effective user nor to root. The last rule also keeps `sudo` from writing to files of a user.
pub fn check_directory(directory: &Path, noun: &str, hint: &str) -> Result<()> {
    for (levels_above, directory) in directory.ancestors().enumerate() {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let reject = |reason: &str| {
            let what = format!("could not use {} for {noun}: {reason}", directory.display());
            Err(Error::new(Kind::DatabaseUnusable, what).with_hint(hint))
        };
        let Ok(metadata) = fs::symlink_metadata(directory) else {
            continue;
        };
        let is_own = levels_above == 0;
        // Root makes such links for a service: systemd does with `DynamicUser=`.
        let is_of_root = metadata.uid() == 0 && !geteuid().is_root();
        if metadata.is_symlink() && is_own && !is_of_root {
            return reject("it is a symbolic link");
        }
        // Links above the directory are followed: they are the user's choice.
        let Ok(metadata) = fs::metadata(directory) else {
            return Ok(());
        };
        if metadata.uid() != geteuid().as_raw() && metadata.uid() != 0 {
            return reject("it belongs to another user");
        }
        // A directory above may be writable by all users, as volumes of containers are: the files
        // get a new directory in it, which only this user can use.
        if metadata.mode() & OTHERS_WRITE != 0 && is_own {
            return reject("every user may write to it");
        }
        return Ok(());
    }
    Ok(())
}

/// The directory of a file.
#[must_use]
pub fn directory_of(file: &Path) -> &Path {
    file.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
