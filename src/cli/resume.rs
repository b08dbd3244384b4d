//! `upload resume`: continues unfinished uploads of the journal.

use std::collections::BTreeMap;

use super::args::ResumeArgs;
use super::backend_spec::BackendSpec;
use super::hint_commands::HintCommands;
use super::lookup::find_upload;
use super::output;
use super::receipt_file::FileIdentity;
use super::session::Session;
use super::settings::{Connection, Settings, Target};
use crate::journal::{Journal, Upload};
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
    let mut uploads = select(session.journal(), flags, only_backend.as_deref())?;
    let all = uploads.len();
    uploads.retain(|upload| upload.intent.stream.is_none());
    let streams = all - uploads.len();
    if streams > 0 && !settings.quiet() && !settings.json() {
        let streams = match streams {
            1 => "1 stream is left out".to_owned(),
            streams => format!("{streams} streams are left out"),
        };
        output::eprint_line(&format!("{streams}: run their pipelines again"));
    }
    // A file may have been replaced since its upload began: the old inode is protected too.
    let sources = uploads.iter().flat_map(|upload| {
        let version = &upload.intent.version;
        let recorded = FileIdentity::new(version.dev, version.ino);
        [Some(recorded), FileIdentity::of(&upload.intent.path)]
    });
    session.write_receipts(transfer.receipt.as_ref(), sources.flatten())?;
    if uploads.is_empty() && !settings.quiet() && !settings.json() {
        let at_backend = only_backend.map_or_else(String::new, |backend| format!(" at {backend}"));
        output::eprint_line(&format!("nothing to resume{at_backend}"));
    }
    let mut by_backend: BTreeMap<_, Vec<Upload>> = BTreeMap::new();
    for upload in uploads {
        let backend = (
            upload.intent.backend.clone(),
            upload.intent.s3_service.clone(),
        );
        by_backend.entry(backend).or_default().push(upload);
    }
    session.announce(by_backend.values().flatten().map(|upload| {
        let intent = &upload.intent;
        (intent.path.as_path(), intent.version.size)
    }));
    let targets = by_backend
        .values()
        .filter_map(|uploads| uploads.first())
        .map(|upload| {
            settings.recorded_target(&upload.intent, flags.backend.as_deref(), &connection)
        })
        .collect::<Result<Vec<_>>>()?;
    check_one_gets_credentials(&targets)?;
    for (target, uploads) in targets.iter().zip(by_backend.into_values()) {
        let items = uploads.into_iter().map(Box::new).map(Item::Resume);
        session.run(target, items.collect::<Vec<_>>()).await;
    }
    Ok(session.close())
}

/// The backend of `--backend`, as the journal names it.
fn only_backend(flags: &ResumeArgs, connection: &Connection) -> Result<Option<String>> {
    let parse = |text: &String| BackendSpec::parse(text, connection.plain_http(), Kind::Usage);
    let spec = flags.backend.as_ref().map(parse).transpose()?;
    Ok(spec.map(|spec| spec.to_string()))
}

/// The uploads to continue, each once, in the order of the journal.
fn select(
    journal: &Journal,
    flags: &ResumeArgs,
    only_backend: Option<&str>,
) -> Result<Vec<Upload>> {
    let is_selected =
        |upload: &Upload| only_backend.is_none_or(|backend| upload.intent.backend == backend);
    let mut uploads: Vec<Upload> = if flags.uploads.is_empty() {
        journal
            .all()?
            .into_iter()
            .filter(|upload| upload.state.is_unfinished() && is_selected(upload))
            .collect()
    } else {
        flags
            .uploads
            .iter()
            .map(|upload| find_upload(journal, upload, is_selected))
            .collect::<Result<_>>()?
    };
    if !flags.uploads.is_empty() {
        uploads.iter().try_for_each(check_is_file)?;
    }
    uploads.sort_by_key(|upload| upload.row);
    uploads.dedup_by_key(|upload| upload.row);
    Ok(uploads)
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

/// Rejects a token or header that several backends would get: it is for one of them only, and
/// unknown for which.
fn check_one_gets_credentials(targets: &[Target]) -> Result<()> {
    let receivers = targets.iter().filter(|target| target.gets_credentials());
    if receivers.count() > 1 {
        return Err(Error::new(
            Kind::Config,
            "could not choose the backend for the token or header: several have unfinished uploads",
        )
        .with_hint("name the backend that the token is for with --backend URL"));
    }
    Ok(())
}
