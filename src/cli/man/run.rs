//! Prints a man page, or writes all of them to a directory.

use std::fs;
use std::path::Path;

use super::pages::{Page, pages};
use crate::cli::args::ManArgs;
use crate::cli::output;
use upload_types::error::{Error, Kind, Result};

/// # Errors
/// [`Kind::Usage`] for a verb that does not exist; [`Kind::Io`] if the output or a file cannot be
/// written.
pub fn run(flags: &ManArgs) -> Result<()> {
    let pages = pages()?;
    if let Some(dir) = &flags.dir {
        return write_all(&pages, dir);
    }
    let page = pages
        .iter()
        .find(|page| page.verb == flags.verb)
        .ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("there is no verb `{}`", flags.verb.join(" ")),
            )
            .with_hint("run `upload --help` to see the verbs")
        })?;
    output::print(&page.text)
}

fn write_all(pages: &[Page], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| {
        Error::new(Kind::Io, format!("could not create {}", dir.display())).with_source(error)
    })?;
    for page in pages {
        let path = dir.join(format!("{}.1", page.name));
        fs::write(&path, &page.text).map_err(|error| {
            Error::new(Kind::Io, format!("could not write {}", path.display())).with_source(error)
        })?;
    }
    Ok(())
}
