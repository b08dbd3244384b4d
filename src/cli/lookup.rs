//! Finds the upload or the set that an argument `ID|FILE` names.

use std::ffi::OsStr;
use std::path::Path;

use super::hints::about_upload;
use super::set_definition::SetDefinition;
use crate::event::STREAM_PATH;
use crate::journal::{FileSet, Journal, State, Upload};
use crate::source::FileVersion;
use upload_types::error::{Error, Kind, Result};

/// The upload with this id, or with the only id that begins with it; otherwise the newest upload of
/// this file, unfinished ones first, and those of a file that was moved to this path before those
/// of another file that was there. `is_candidate` restricts the search.
///
/// # Errors
/// [`Kind::NotFound`] if no upload matches; [`Kind::Usage`] if the beginning of an id is ambiguous.
pub fn find_upload(
    journal: &Journal,
    id_or_file: &OsStr,
    is_candidate: impl Fn(&Upload) -> bool,
) -> Result<Upload> {
    if let Some(id) = id_or_file.to_str().filter(|id| !id.is_empty())
        && let Some(upload) = find_by_id(journal, id, &is_candidate)?
    {
        return Ok(upload);
    }
    find_by_file(journal, Path::new(id_or_file), &is_candidate)
}

/// The fewest characters of the id of a set that name it: a file may have a shorter name.
const MIN_SET_ID_CHARS: usize = 8;

/// The set with this id, or with the only id that begins with it; otherwise the newest set of this
/// directory or list, unfinished ones first. `is_candidate` restricts the search.
///
/// # Errors
/// Those of the journal.
pub fn find_set(
    journal: &Journal,
    id_or_source: &OsStr,
    is_candidate: impl Fn(&FileSet) -> bool,
) -> Result<Option<FileSet>> {
    let mut sets = journal.file_sets()?;
    sets.retain(is_candidate);
    if let Some(id) = id_or_source.to_str().filter(|id| !id.is_empty()) {
        let is_long = id.len() >= MIN_SET_ID_CHARS;
        let mut named = sets.iter().filter(|set| is_long && set.id.starts_with(id));
        let is_only = |set: &&FileSet| {
            set.id == id || journal.by_id(id).is_ok_and(|uploads| uploads.is_empty())
        };
        if let (Some(set), None) = (named.next().filter(is_only), named.next()) {
            return Ok(Some(set.clone()));
        }
    }
    let path = Path::new(id_or_source);
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let canonical = path.canonicalize().ok();
    // The upload of a file precedes a set that names it.
    if canonical.as_ref().is_some_and(|path| path.is_file())
        && !journal
            .by_path(canonical.as_deref().unwrap_or(path))?
            .is_empty()
    {
        return Ok(None);
    }
    let is_this = |source: &Path| {
        // A directory that was deleted has no canonical path.
        source == absolute || (canonical.is_some() && source.canonicalize().ok() == canonical)
    };
    sets.retain(|set| SetDefinition::of(set).is_ok_and(|definition| definition.is_named(is_this)));
    let unfinished = sets.iter().position(|set| !set.progress.is_finished());
    Ok((!sets.is_empty()).then(|| sets.swap_remove(unfinished.unwrap_or(0))))
}

fn find_by_id(
    journal: &Journal,
    id: &str,
    is_candidate: &dyn Fn(&Upload) -> bool,
) -> Result<Option<Upload>> {
    let uploads = journal.by_id(id)?;
    let mut uploads: Vec<Upload> = uploads.into_iter().filter(is_candidate).collect();
    let is_exact = |upload: &Upload| upload.id.as_ref().is_some_and(|own| own.as_str() == id);
    if let Some(index) = uploads.iter().position(is_exact) {
        return Ok(Some(uploads.swap_remove(index)));
    }
    if uploads.len() > 1 {
        return Err(Error::new(
            Kind::Usage,
            format!("the ids of {} uploads begin with {id}", uploads.len()),
        )
        .with_hint("give more characters of the id; `upload list --all` shows all ids"));
    }
    Ok(uploads.pop())
}

fn find_by_file(
    journal: &Journal,
    file: &Path,
    is_candidate: &dyn Fn(&Upload) -> bool,
) -> Result<Upload> {
    let path = file
        .canonicalize()
        .or_else(|_| std::path::absolute(file))
        .unwrap_or_else(|_| file.to_path_buf());
    let path = if file.as_os_str() == STREAM_PATH {
        file.to_path_buf()
    } else {
        path
    };
    let is_usable = |upload: &Upload| is_candidate(upload) && upload.state != State::Abandoned;
    let mut uploads = moved_here(journal, &path)?;
    uploads.extend(journal.by_path(&path)?);
    let is_abandoned = |upload: &&Upload| upload.state == State::Abandoned;
    let abandoned = uploads.iter().find(is_abandoned).cloned();
    uploads.retain(is_usable);
    if uploads.is_empty() {
        let file = file.display();
        let Some(abandoned) = abandoned else {
            let what = format!("the journal has no upload of {file}");
            return Err(Error::new(Kind::NotFound, what)
                .with_hint("run `upload list --all` to see the uploads of this journal"));
        };
        let what = format!("the upload of {file} was aborted, removed or replaced");
        let error = Error::new(Kind::NotFound, what)
            .with_hint("run `upload put FILE` to upload the file again");
        return Err(about_upload(error, &abandoned));
    }
    let unfinished = uploads
        .iter()
        .position(|upload| upload.state.is_unfinished());
    Ok(uploads.swap_remove(unfinished.unwrap_or(0)))
}

/// The uploads of this file whose path no longer has it, with the new path.
fn moved_here(journal: &Journal, path: &Path) -> Result<Vec<Upload>> {
    let Some(version) = FileVersion::of(path) else {
        return Ok(Vec::new());
    };
    let is_moved = |upload: &Upload| {
        let recorded = &upload.intent.path;
        recorded != path
            && !FileVersion::of(recorded).is_some_and(|there| there.is_same_file(&version))
    };
    let moved = journal.by_file(&version)?.into_iter().filter(is_moved);
    Ok(moved
        .map(|mut upload| {
            path.clone_into(&mut upload.intent.path);
            upload
        })
        .collect())
}
