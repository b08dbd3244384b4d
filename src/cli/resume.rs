//! `upload resume`: goes on with what is unfinished.
//!
//! Border: from ids and paths to uploads of the journal; the rest is the engine's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::args;
use super::backend_spec::BackendSpec;
use super::session::Session;
use super::settings::{Connection, Settings};
use crate::journal::{Journal, State, Upload};
use crate::transfer::Item;
use upload_types::error::{Error, Kind, Result};

/// # Errors
/// What keeps the command from beginning; what befalls single uploads is in the exit code.
pub async fn run(settings: &Settings, flags: &args::Resume, resume: String) -> Result<u8> {
    let connection = settings.connection(&flags.connection)?;
    let filter = Settings::backend_filter(flags.backend.as_deref(), &connection)?
        .map(|spec| spec.to_string());
    let mut session = Session::open(
        settings,
        settings.report(),
        &settings.transfer(&flags.transfer)?,
        resume,
    )?;
    let wanted = |upload: &Upload| {
        filter
            .as_ref()
            .is_none_or(|backend| upload.intent.backend == *backend)
    };
    let mut uploads = if flags.uploads.is_empty() {
        session
            .journal
            .all()?
            .into_iter()
            .filter(|upload| upload.state.is_unfinished() && wanted(upload))
            .collect()
    } else {
        named(&session.journal, &flags.uploads, &wanted)?
    };
    uploads.sort_by_key(|upload| upload.row);
    uploads.dedup_by_key(|upload| upload.row);
    session.announce(uploads.iter().map(|upload| upload.intent.version.size));
    // One gateway, one store, one engine at a time.
    let mut backends: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for upload in uploads {
        if session.tell_finished(&upload) {
            continue;
        }
        backends
            .entry(upload.intent.backend.clone())
            .or_default()
            .push(Item::Resume(Box::new(upload)));
    }
    let parse = |backend: &String| {
        BackendSpec::parse(backend, connection.allow_insecure_http, Kind::Config)
    };
    let specs = backends.keys().map(parse).collect::<Result<Vec<_>>>()?;
    let toward = |spec| settings.toward(spec, flags.backend.as_deref(), &connection);
    let connections = specs.iter().map(toward).collect::<Result<Vec<_>>>()?;
    let would_get_the_token = |(spec, to): &(&BackendSpec, &Connection)| {
        spec.is_elsewhere() && (to.token.is_some() || !to.headers.is_empty())
    };
    if specs
        .iter()
        .zip(&connections)
        .filter(would_get_the_token)
        .count()
        > 1
    {
        return Err(Error::new(
            Kind::Config,
            "there are unfinished uploads to several backends, and one token or header",
        )
        .with_hint("name the backend the token is for: --backend URL"));
    }
    for ((spec, connection), items) in specs.iter().zip(&connections).zip(backends.into_values()) {
        session.run(settings, spec, connection, items).await;
    }
    Ok(session.close())
}

fn named(
    journal: &Journal,
    names: &[impl AsRef<OsStr>],
    wanted: &dyn Fn(&Upload) -> bool,
) -> Result<Vec<Upload>> {
    names
        .iter()
        .map(|name| find(journal, name.as_ref(), wanted))
        .collect()
}

/// The upload a person means: by id (or the beginning of one), or the newest of a path, an unfinished one before a
/// finished one.
///
/// # Errors
/// [`Kind::NotFound`] when there is none, [`Kind::Usage`] when the beginning of an id fits several.
pub fn find(journal: &Journal, name: &OsStr, wanted: &dyn Fn(&Upload) -> bool) -> Result<Upload> {
    if let Some(id) = name.to_str().filter(|id| !id.is_empty()) {
        let mut found: Vec<Upload> = journal.by_id(id)?.into_iter().filter(wanted).collect();
        if let Some(exact) = found
            .iter()
            .position(|upload| upload.id.as_ref().is_some_and(|it| it.as_str() == id))
        {
            return Ok(found.swap_remove(exact));
        }
        match found.len() {
            0 => {}
            1 => return Ok(found.swap_remove(0)),
            several => {
                return Err(Error::new(
                    Kind::Usage,
                    format!("{several} uploads have an id that begins with {id}"),
                )
                .with_hint("give more of it; `upload list --all` shows all ids"));
            }
        }
    }
    let path = Path::new(name);
    let path = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_path_buf());
    let live = |upload: &Upload| wanted(upload) && upload.state != State::Abandoned;
    let mut of_path: Vec<Upload> = journal.by_path(&path)?.into_iter().filter(live).collect();
    let unfinished = of_path
        .iter()
        .position(|upload| upload.state.is_unfinished());
    if of_path.is_empty() {
        let what = format!(
            "the journal knows no upload of {}",
            Path::new(name).display()
        );
        return Err(Error::new(Kind::NotFound, what));
    }
    Ok(of_path.swap_remove(unfinished.unwrap_or(0)))
}
