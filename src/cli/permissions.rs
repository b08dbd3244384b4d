//! Whether a file that tells us what to do is one that nobody else can write.
//!
//! Border: modes and owners; what is in the file is its reader's.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

/// Checks a file that was found, and the directory it is in. A pipe or a device is as it is.
///
/// # Errors
/// Why it is not to be trusted.
pub fn check(path: &Path, found: &Metadata) -> Result<(), String> {
    if !found.is_file() {
        return Ok(());
    }
    ours(found).map_err(|why| format!("{why}; to mend that: chmod go-w {}", path.display()))?;
    let parent = path
        .canonicalize()
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf));
    let Some((parent, found)) =
        parent.and_then(|parent| Some((parent.clone(), fs::metadata(parent).ok()?)))
    else {
        return Ok(());
    };
    // Where nobody removes what is another's, what is ours stays.
    if found.mode() & 0o1000 != 0 {
        return Ok(());
    }
    ours(&found).map_err(|why| {
        format!(
            "its directory is not safe: {why}; to mend that: chmod go-w {}",
            parent.display()
        )
    })
}

fn ours(found: &Metadata) -> Result<(), &'static str> {
    if found.mode() & 0o022 != 0 {
        return Err("others may write to it");
    }
    if ![0, geteuid().as_raw()].contains(&found.uid()) {
        return Err("it belongs to another user");
    }
    Ok(())
}
