//! `upload resume`: continues unfinished uploads and sets of the journal.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use super::args::ResumeArgs;
use super::backend_spec::BackendSpec;
use super::directory_flag::check_directory;
use super::hint_commands::HintCommands;
use super::hints::about_upload;
use super::lookup::{find_set, find_upload};
use super::output;
use super::put::{read_files, set_items};
use super::receipt_file::FileIdentity;
use super::selection::Selection;
use super::session::Session;
use super::set_definition::SetDefinition;
use super::settings::{Connection, Settings, Target, Transfer};
use crate::event::OtherSources;
use crate::journal::{FileSet, Journal, State, Upload};
use crate::source::FileVersion;
use crate::transfer::Item;
use upload_types::error::{Error, Kind, Result};

/// # Errors
/// Errors before the first upload. Those of single uploads are reported, and are in the exit code.
pub async fn run(settings: &Settings, flags: &ResumeArgs, commands: HintCommands) -> Result<u8> {
    let connection = settings.connection(&flags.connection)?;
    let only_backend = only_backend(flags, &connection)?;
    let transfer = settings.transfer(&flags.transfer)?;
    settings.journal_to_read()?;
    let mut session = Session::open(settings, settings.report(), &transfer, commands)?;
    let Unfinished { uploads, sets } = select(session.journal(), flags, only_backend.as_deref())?;
    let (uploads, streams): (Vec<_>, Vec<_>) = uploads
        .into_iter()
        .partition(|upload| upload.intent.stream.is_none());
    report_streams(settings, streams.len());
    session.write_receipts(transfer.receipt.as_ref(), sources(&uploads, &sets))?;
    if uploads.is_empty() && sets.is_empty() && !settings.quiet() && !settings.json() {
        let at_backend = only_backend.map_or_else(String::new, |backend| format!(" at {backend}"));
        output::eprint_line(&format!("nothing to resume{at_backend}"));
    }
    let flag = flags.backend.as_deref();
    let by_backend = by_backend(uploads);
    let targets = by_backend
        .iter()
        .filter_map(|uploads| uploads.first())
        .map(|upload| settings.recorded_target(&upload.intent, flag, &connection))
        .collect::<Result<Vec<_>>>()?;
    let of_sets = sets
        .iter()
        .map(|set| settings.recorded_target(&set.intent, flag, &connection))
        .collect::<Result<Vec<_>>>()?;
    check_one_gets_credentials(targets.iter().chain(&of_sets))?;
    announce(&mut session, &by_backend, &sets);
    for (target, uploads) in targets.iter().zip(by_backend) {
        session.run(target, items(uploads)).await;
    }
    for (index, (target, set)) in of_sets.iter().zip(&sets).enumerate() {
        session.set_later_sets(others(&sets[index + 1..]));
        if let Err(error) = resume_set(&mut session, target, &transfer, set).await {
            session.fail_set(&set.intent.name, &error);
            continue;
        }
        let vanished = vanished(session.journal(), set)?;
        if !vanished.is_empty() {
            session.run_vanished(target, items(vanished)).await;
        }
    }
    Ok(session.close())
}

fn items(uploads: Vec<Upload>) -> Vec<Item> {
    let uploads = uploads.into_iter().map(Box::new);
    uploads.map(Item::Resume).collect()
}

fn report_streams(settings: &Settings, streams: usize) {
    if streams == 0 || settings.quiet() || settings.json() {
        return;
    }
    let streams = match streams {
        1 => "1 stream is left out".to_owned(),
        streams => format!("{streams} streams are left out"),
    };
    output::eprint_line(&format!("{streams}: run their pipelines again"));
}

/// The files that this command reads, which receipts must not replace. A file may have been
/// replaced since its upload began: the old inode is protected too.
fn sources(uploads: &[Upload], sets: &[FileSet]) -> Vec<FileIdentity> {
    let of_uploads = uploads.iter().flat_map(|upload| {
        let version = &upload.intent.version;
        let recorded = FileIdentity::new(version.dev, version.ino);
        [Some(recorded), FileIdentity::of(&upload.intent.path)]
    });
    let definitions = sets.iter().filter_map(|set| SetDefinition::of(set).ok());
    let of_sets = definitions.flat_map(|definition| {
        let lists = read_files(&definition.selection);
        let paths = lists.chain(definition.sources());
        paths.map(FileIdentity::of).collect::<Vec<_>>()
    });
    of_uploads.chain(of_sets).flatten().collect()
}

/// The uploads of each backend.
fn by_backend(uploads: Vec<Upload>) -> Vec<Vec<Upload>> {
    let mut by_backend: BTreeMap<_, Vec<Upload>> = BTreeMap::new();
    for upload in uploads {
        let backend = (
            upload.intent.backend.clone(),
            upload.intent.s3_service.clone(),
        );
        by_backend.entry(backend).or_default().push(upload);
    }
    by_backend.into_values().collect()
}

/// The files of sets, as their last runs have found them.
fn others(sets: &[FileSet]) -> OtherSources {
    let mut others = OtherSources::default();
    for FileSet { progress, .. } in sets {
        others.add(progress.files, progress.bytes);
        others.is_incomplete |= !progress.is_complete;
    }
    others
}

fn announce(session: &mut Session, uploads: &[Vec<Upload>], sets: &[FileSet]) {
    let all = uploads.iter().flatten();
    session.announce(all.clone().map(|upload| {
        let intent = &upload.intent;
        (intent.path.as_path(), intent.version.size)
    }));
    if !sets.is_empty() {
        let bytes = all.clone().map(|upload| upload.intent.version.size).sum();
        session.count_before_sets(all.count() as u64, bytes);
        session.set_later_sets(others(sets));
        session.announce_set();
    }
}

/// Finds the files of a set again, and uploads what is not uploaded.
///
/// # Errors
/// Errors before the first file is found.
async fn resume_set(
    session: &mut Session,
    target: &Target,
    transfer: &Transfer,
    set: &FileSet,
) -> Result<()> {
    session.take_set(set)?;
    let SetDefinition {
        directory,
        selection,
        keys,
        put,
    } = SetDefinition::of(set)?;
    if let Some(directory) = &selection.directory {
        check_directory(
            directory,
            "mount or restore this directory; then run the command again",
        )?;
    }
    let selection = Selection::prepare(&put.paths, &selection, Some(&directory), set.created_at)?;
    let Some(selection) = selection else {
        return Ok(());
    };
    let items = set_items(session, target, transfer, selection, keys, put);
    session.run(target, items).await;
    Ok(())
}

/// The unfinished uploads of a set whose files the search did not find, because they were deleted.
fn vanished(journal: &Journal, set: &FileSet) -> Result<Vec<Upload>> {
    let progress = journal.set_progress(set.row)?;
    if progress.is_none_or(|progress| !progress.is_complete) {
        return Ok(Vec::new());
    }
    let mut uploads = journal.unfinished_of_set(set.row)?;
    uploads.retain(|upload| {
        let metadata = upload.intent.path.symlink_metadata();
        metadata.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    });
    Ok(uploads)
}

/// The backend of `--backend`, as the journal names it.
fn only_backend(flags: &ResumeArgs, connection: &Connection) -> Result<Option<String>> {
    let parse = |text: &String| BackendSpec::parse(text, connection.plain_http(), Kind::Usage);
    let spec = flags.backend.as_ref().map(parse).transpose()?;
    Ok(spec.map(|spec| spec.to_string()))
}

/// The uploads and the sets to continue.
struct Unfinished {
    uploads: Vec<Upload>,
    sets: Vec<FileSet>,
}

/// The uploads and the sets to continue, each once, in the order of the journal. Uploads of these
/// sets are not among the uploads.
fn select(journal: &Journal, flags: &ResumeArgs, only_backend: Option<&str>) -> Result<Unfinished> {
    let is_at = |backend: &str| only_backend.is_none_or(|only| backend == only);
    let mut uploads = Vec::new();
    let mut sets = Vec::new();
    if flags.uploads.is_empty() {
        uploads = journal.all()?;
        uploads.retain(|upload| upload.state.is_unfinished() && is_at(&upload.intent.backend));
        sets = journal.file_sets()?;
        sets.retain(|set| !set.progress.is_finished() && is_at(&set.intent.backend));
    }
    for named in &flags.uploads {
        if let Some(set) = find_set(journal, named, |set| is_at(&set.intent.backend))? {
            sets.push(set);
            continue;
        }
        let upload = find_upload(journal, named, |upload| is_at(&upload.intent.backend))?;
        check_is_file(&upload)?;
        check_is_current(named, &upload)?;
        uploads.push(upload);
    }
    sets.sort_by_key(|set| set.row);
    sets.dedup_by_key(|set| set.row);
    let is_in_set = |upload: &Upload| {
        sets.iter()
            .any(|set| upload.intent.file_set == Some(set.row))
    };
    uploads.retain(|upload| !is_in_set(upload));
    uploads.sort_by_key(|upload| upload.row);
    uploads.dedup_by_key(|upload| upload.row);
    Ok(Unfinished { uploads, sets })
}

/// A stream cannot be read again by this command.
fn check_is_file(upload: &Upload) -> Result<()> {
    if upload.intent.stream.is_none() {
        return Ok(());
    }
    let what = format!(
        "{} is the upload of a stream, which `upload resume` cannot read again",
        upload.intent.name
    );
    let hint = "run the whole pipeline again, with the same name: parts that are stored are not \
                sent again";
    Err(Error::new(Kind::Other, what).with_hint(hint))
}

/// Rejects a finished upload that is named by its file, if the file has changed since.
fn check_is_current(named: &OsStr, upload: &Upload) -> Result<()> {
    let is_named_by_id = upload.id.as_ref().is_some_and(|id| named == id.as_str());
    if is_named_by_id || upload.state != State::Completed {
        return Ok(());
    }
    let uploaded = &upload.intent.version;
    let has_changed = FileVersion::of(Path::new(named)).is_some_and(|version| {
        (version.size, version.mtime_ns) != (uploaded.size, uploaded.mtime_ns)
    });
    if !has_changed {
        return Ok(());
    }
    let what = format!(
        "{} was modified since its upload, which is complete",
        upload.intent.path.display()
    );
    let hint = "run `upload put FILE` to upload the file as it is now";
    let error = Error::new(Kind::SourceChanged, what).with_hint(hint);
    Err(about_upload(error, upload))
}

/// Rejects a token or header that several backends would get: it is for one of them only, and
/// unknown for which.
fn check_one_gets_credentials<'a>(targets: impl Iterator<Item = &'a Target>) -> Result<()> {
    let receivers = targets.filter(|target| target.gets_credentials());
    if receivers.count() > 1 {
        return Err(Error::new(
            Kind::Config,
            "could not choose the backend for the token or header: several have unfinished uploads",
        )
        .with_hint("name the backend that the token is for with --backend URL"));
    }
    Ok(())
}
