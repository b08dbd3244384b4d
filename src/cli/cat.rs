//! `upload cat` and `upload url`: what was uploaded, read back.
//!
//! Border: asks the backend for a read URL; the bytes come from the store.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::sync::Arc;

use super::abort::LOCK_WAIT;
use super::args;
use super::backend_handle::Connected;
use super::backend_spec::BackendSpec;
use super::resume::find;
use super::settings::{Connection, Settings};
use crate::backend::Backend;
use crate::event;
use crate::journal::{Journal, Upload};
use upload_types::error::{Error, Kind, Result};
use upload_types::names::{SignedUrl, UploadId};

/// Writes an object's bytes to standard output.
///
/// # Errors
/// [`Kind::Corrupt`] when the store sends fewer or more bytes than the receipt says.
pub async fn cat(settings: &Settings, flags: &args::Cat) -> Result<()> {
    let connection = settings.connection(&flags.connection)?;
    let (upload, connected) = reach(settings, &connection, &flags.id).await?;
    let written = match upload.begun() {
        Ok(id) => write(&connected.backend, id, upload.intent.identity.size).await,
        Err(error) => Err(error),
    };
    connected.close().await;
    written
}

async fn write(backend: &Backend, id: &UploadId, size: u64) -> Result<()> {
    let url = backend.read_url(id, None).await?.url;
    let mut object = backend.get(&url).await?;
    let mut out = io::stdout().lock();
    let mut bytes = 0;
    while let Some(chunk) = object.next().await? {
        bytes += chunk.len() as u64;
        match out.write_all(&chunk) {
            // Whoever reads has enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => {
                written.map_err(|error| {
                    Error::new(Kind::Io, "could not write to standard output").with_source(error)
                })?;
            }
        }
    }
    match out.flush() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        flushed => {
            flushed.map_err(|error| {
                Error::new(Kind::Io, "could not write to standard output").with_source(error)
            })?;
        }
    }
    if bytes == size {
        return Ok(());
    }
    Err(Error::new(
        Kind::Corrupt,
        format!("the object has {bytes} bytes, uploaded were {size}"),
    ))
}

/// Prints a URL by which an object can be read. That is what it is for: whoever asks for it gets the secret.
///
/// # Errors
/// [`Kind::NotFound`] when there is no such object.
pub async fn url(settings: &Settings, flags: &args::Url) -> Result<()> {
    let connection = settings.connection(&flags.connection)?;
    let (upload, connected) = reach(settings, &connection, &flags.id).await?;
    let url = match upload.begun() {
        Ok(id) => connected.backend.read_url(id, flags.expires).await,
        Err(error) => Err(error),
    };
    connected.close().await;
    let url = url?;
    let text = if settings.common.json {
        let exposed: &SignedUrl = &url.url;
        let line = serde_json::json!({
            "type": "url", "upload": upload.id, "url": exposed.expose(), "expires_in": url.expires_in,
        });
        event::line(&line)
    } else {
        url.url.expose().to_owned()
    };
    super::config::print(&format!("{text}\n"))
}

async fn reach(
    settings: &Settings,
    connection: &Connection,
    id: &str,
) -> Result<(Upload, Connected)> {
    let journal = Journal::open(&settings.journal()?)?;
    let upload = find(&journal, OsStr::new(id), &|_| true)?;
    let spec = BackendSpec::parse(
        &upload.intent.backend,
        connection.allow_insecure_http,
        Kind::Config,
    )?;
    let connection = settings.toward(&spec, None, connection)?;
    let connected = Connected::new(settings, &spec, &connection, LOCK_WAIT, Arc::default()).await?;
    Ok((upload, connected))
}
