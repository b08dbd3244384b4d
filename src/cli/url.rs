//! `upload url`: prints a URL for reading an uploaded object. The URL is a secret, printed on
//! purpose.

use super::args::UrlArgs;
use super::backend_handle::BackendHandle;
use super::backend_spec::BackendSpec;
use super::hints::about_upload;
use super::lookup::find_upload;
use super::output;
use super::query_limit::within_limit;
use super::settings::{Connection, Settings, Target};
use crate::event;
use crate::journal::{Journal, State, Upload};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::ReadUrl;

/// # Errors
/// [`Kind::NotFound`] if there is no such object; [`Kind::Incompatible`] if it is in the embedded
/// store and no gateway is named.
pub async fn run(settings: &Settings, flags: &UrlArgs) -> Result<()> {
    let connection = settings.connection(&flags.connection)?;
    let journal = Journal::open(&settings.journal_to_read()?)?;
    let upload = find_upload(&journal, &flags.upload, |_| true)?;
    let target = match flags.backend.as_deref() {
        Some(backend) if !is_recorded(backend, &upload, &connection)? => {
            settings.target(Some(backend), &connection)?
        }
        flag => settings.recorded_target(&upload.intent, flag, &connection)?,
    };
    check_outlives_process(&target, &upload)?;
    let limit = flags.query.limit();
    let handle = within_limit(limit, BackendHandle::connect(&target, settings)).await?;
    let url = match upload.begun_id() {
        Ok(id) => within_limit(limit, handle.backend().read_url(id, flags.expires)).await,
        Err(error) => Err(error),
    };
    handle.close().await;
    let url = url.map_err(|error| about_upload(error, &upload))?;
    output::print(&line(settings, &upload, &url))
}

/// Whether this is the backend of the upload in the journal.
fn is_recorded(backend: &str, upload: &Upload, connection: &Connection) -> Result<bool> {
    let spec = BackendSpec::parse(backend, connection.plain_http(), Kind::Usage)?;
    Ok(spec.to_string() == upload.intent.backend)
}

fn line(settings: &Settings, upload: &Upload, read: &ReadUrl) -> String {
    let url = read.url.expose();
    if settings.json() {
        let line = serde_json::json!({
            "type": "url", "upload": upload.id, "url": url, "expires_in": read.expires_in,
        });
        event::to_json_line(&line) + "\n"
    } else {
        format!("{url}\n")
    }
}

/// Rejects the embedded store of this process: its URLs work only until the process ends.
fn check_outlives_process(target: &Target, upload: &Upload) -> Result<()> {
    if target.spec != BackendSpec::Embedded {
        return Ok(());
    }
    let id = upload.begun_id()?;
    if upload.state == State::Abandoned {
        return Err(
            Error::new(Kind::Gone, "the upload has ended without an object")
                .with_hint("run `upload put FILE` to upload the file again"),
        );
    }
    if upload.state.is_unfinished() {
        let what = "the upload is not complete";
        let hint = format!("run `upload resume {id}` to complete it");
        return Err(Error::new(Kind::Temporary, what).with_hint(hint));
    }
    Err(Error::new(
        Kind::Incompatible,
        "the object is in the embedded store, which serves URLs only while a gateway runs",
    )
    .with_hint(format!(
        "run `upload cat {id}` to read the object; if a gateway runs with this store, name it: --backend URL"
    )))
}
