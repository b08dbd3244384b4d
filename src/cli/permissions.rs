//! Checks that other users cannot change a file that this program trusts: a configuration, a token,
//! a secret. Warns if they can read a secret.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

use super::hint_commands::quoted;
use super::output;
use crate::report::{escape, safe};

const STICKY_BIT: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const READABLE_BY_OTHERS: u32 = 0o044;
const ROOT: u32 = 0;

/// Checks an open file and its directory. Pipes and devices pass.
///
/// # Errors
/// The reason, and how to correct it.
pub fn check_private_writes(path: &Path, metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        return Ok(());
    }
    check(path, metadata)?;
    let directory = path
        .canonicalize()
        .ok()
        .and_then(|path| path.parent().map(Path::to_path_buf));
    let Some((directory, metadata)) =
        directory.and_then(|path| Some((path.clone(), fs::metadata(path).ok()?)))
    else {
        return Ok(());
    };
    // In a sticky directory only the owner of a file can replace it.
    if metadata.mode() & STICKY_BIT != 0 {
        return Ok(());
    }
    check(&directory, &metadata).map_err(|reason| format!("its directory is not safe: {reason}"))
}

/// Warns of a file with a secret that other users can read, also with `--quiet`. Not if the file
/// belongs to another user, because this one cannot change its mode.
pub fn warn_if_others_can_read(path: &Path, noun: &str) {
    let has_readers = fs::metadata(path).is_ok_and(|metadata| {
        let is_own = metadata.is_file() && metadata.uid() == geteuid().as_raw();
        is_own && metadata.mode() & READABLE_BY_OTHERS != 0
    });
    if has_readers {
        let path = path.to_string_lossy();
        let command = quoted(&["chmod", "600", &path].map(str::to_owned));
        output::eprint_line(&format!(
            "warning: other users can read {noun} in {}; to correct that, run `{}`",
            safe(&path),
            escape(&command)
        ));
    }
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), String> {
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(format!(
            "other users may write to it; to correct that: chmod go-w {}",
            path.display()
        ));
    }
    if ![ROOT, geteuid().as_raw()].contains(&metadata.uid()) {
        return Err("it belongs to another user, but must belong to you or to root".to_owned());
    }
    Ok(())
}
