//! The directory of `put -C DIR`: the paths below it.
//!
//! Not here: the keys of these files (`keys`, `selection`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::selection::{Unnamed, relative};
use upload_types::error::{Error, Kind, Result};

/// The files of a command, with the directory of `-C` before each.
///
/// # Errors
/// [`Kind::NoSource`] if it is no directory; [`Kind::Usage`] if a file is named by an absolute path
/// or by one with `..`.
pub fn located(files: &[PathBuf], directory: Option<&Path>) -> Result<Vec<PathBuf>> {
    let Some(directory) = directory else {
        return Ok(files.to_vec());
    };
    check_directory(
        directory,
        "name the directory in which the files are with -C DIR",
    )?;
    let located = files.iter().map(|path| match relative(path, None) {
        Ok(_) | Err(Unnamed::Empty) => Ok(directory.join(path)),
        Err(Unnamed::NeedsBase | Unnamed::OutsideBase) => Err(outside(path)),
    });
    located.collect()
}

/// Checks that the directory of `-C` can be used. `hint` says what to do if it cannot.
///
/// # Errors
/// [`Kind::NoSource`] if it cannot.
pub fn check_directory(directory: &Path, hint: &'static str) -> Result<()> {
    let unusable = |error: io::Error| {
        let what = format!(
            "could not use {} as the directory of -C",
            directory.display()
        );
        Error::new(Kind::NoSource, what)
            .with_source(error)
            .with_hint(hint)
    };
    if fs::metadata(directory).map_err(unusable)?.is_dir() {
        Ok(())
    } else {
        Err(unusable(io::ErrorKind::NotADirectory.into()))
    }
}

/// The error for a path that is not below the directory of `-C`.
pub fn outside(path: &Path) -> Error {
    let what = format!(
        "{} is absolute or contains `..`, and the files of -C are below its directory",
        path.display()
    );
    let hint = "write the path as it is below the directory of -C, or leave out -C";
    Error::new(Kind::Usage, what).with_hint(hint)
}
