//! `upload cat`: writes an uploaded object to standard output, and verifies it.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use super::args::CatArgs;
use super::backend_handle::BackendHandle;
use super::hints::about_upload;
use super::lookup::find_upload;
use super::object_verifier::{Mismatch, ObjectVerifier, Verified};
use super::output::{self, Reader};
use super::query_limit::within_limit;
use super::settings::Settings;
use super::upload_line::plan;
use crate::backend::Backend;
use crate::journal::{Journal, Upload};
use upload_types::UploadId;
use upload_types::error::{Error, Kind, Result};

/// # Errors
/// [`Kind::Corrupt`] if the object differs from the uploaded file. Bytes may have been written by
/// then.
pub async fn run(settings: &Settings, flags: &CatArgs) -> Result<()> {
    let connection = settings.connection(&flags.connection)?;
    let journal = Journal::open(&settings.journal_to_read()?)?;
    let upload = find_upload(&journal, &flags.upload, |_| true)?;
    let verifier = verifier(&journal, &upload)?;
    let target = settings.recorded_target(&upload.intent, None, &connection)?;
    let limit = flags.query.limit();
    let handle = within_limit(limit, BackendHandle::connect(&target, settings)).await?;
    let copied = match upload.begun_id() {
        Ok(id) => copy_to_stdout(handle.backend(), id, verifier, limit)
            .await
            .map_err(with_put_hint),
        Err(error) => Err(error),
    };
    handle.close().await;
    let copied = copied.map_err(|error| about_upload(error, &upload))?;
    if let (Some(verified), false) = (copied, settings.quiet()) {
        output::eprint_line(&describe(&verified));
    }
    Ok(())
}

fn verifier(journal: &Journal, upload: &Upload) -> Result<ObjectVerifier> {
    let parts = journal.parts(upload.row)?;
    let plan = plan(upload, &parts)?;
    let checksum = upload
        .receipt
        .as_ref()
        .and_then(|receipt| receipt.checksum.clone());
    Ok(ObjectVerifier::new(plan, &parts, checksum))
}

/// Returns `None` if standard output was closed before the end. `limit` is the time until
/// the first byte of the object.
async fn copy_to_stdout(
    backend: &Backend,
    id: &UploadId,
    mut verifier: ObjectVerifier,
    limit: Option<Duration>,
) -> Result<Option<Verified>> {
    let open = async {
        let url = backend.read_url(id, None).await?.url;
        backend.get(&url).await
    };
    let mut object = within_limit(limit, open).await?;
    let mut stdout = io::stdout().lock();
    let is_terminal = stdout.is_terminal();
    let mut written = 0;
    let mut last_byte = None;
    while let Some(chunk) = object.next().await? {
        verifier
            .update(&chunk)
            .map_err(|mismatch| damaged(&mismatch, written))?;
        if is_terminal && has_controls(last_byte, &chunk) {
            let what = "the object is not text, and standard output is a terminal";
            let hint = "redirect standard output to a new file, or to another program";
            return Err(Error::new(Kind::Usage, what).with_hint(hint));
        }
        last_byte = chunk.last().copied().or(last_byte);
        if output::write_out(&mut stdout, &chunk)? == Reader::Closed {
            return Ok(None);
        }
        written += chunk.len() as u64;
    }
    if output::flush(&mut stdout)? == Reader::Closed {
        return Ok(None);
    }
    verifier
        .finish()
        .map(Some)
        .map_err(|mismatch| damaged(&mismatch, written))
}

/// Whether bytes contain controls that a terminal may obey, or that no text has. `before` is the
/// byte before them.
fn has_controls(before: Option<u8>, bytes: &[u8]) -> bool {
    let is_control = |byte: &u8| byte.is_ascii_control() && !b"\t\n\r".contains(byte);
    let is_c1 = |pair: &[u8]| matches!(pair, [0xc2, 0x80..=0x9f]);
    let begins_with_c1 = matches!((before, bytes), (Some(0xc2), [0x80..=0x9f, ..]));
    begins_with_c1 || bytes.iter().any(is_control) || bytes.windows(2).any(is_c1)
}

fn damaged(mismatch: &Mismatch, written: u64) -> Error {
    let reason = match mismatch {
        Mismatch::Part(number) => {
            format!("the SHA-256 of part {number} is not that of the uploaded file")
        }
        Mismatch::Checksum => "its checksum is not that of the receipt".to_owned(),
        Mismatch::TooShort { bytes, expected } => {
            format!("it has {bytes} bytes, but {expected} were uploaded")
        }
        Mismatch::TooLong { expected } => {
            format!("it has more than the {expected} bytes that were uploaded")
        }
    };
    Error::new(
        Kind::Corrupt,
        format!(
            "the stored object is not the uploaded file: {reason}; {written} bytes were already written"
        ),
    )
}

/// Names the command that uploads the file again, if the object is damaged.
fn with_put_hint(error: Error) -> Error {
    match error.kind() {
        Kind::Corrupt => error.with_hint(
            "discard the output; to upload the file again, run `upload put FILE --force`",
        ),
        _ => error,
    }
}

fn describe(verified: &Verified) -> String {
    match verified {
        Verified::Parts { verified, of } => {
            let parts = if *of == 1 { "part" } else { "parts" };
            format!("verified the SHA-256 of {verified} of {of} {parts}")
        }
        Verified::Checksum => "verified the checksum of the receipt".to_owned(),
        Verified::Size => "verified the size only: no SHA-256 of this upload is known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_no_controls() {
        for text in ["", "a\tb\r\nc", "M\u{fc}ller \u{5199}"] {
            assert!(!has_controls(None, text.as_bytes()), "{text:?}");
        }
        for other in [&b"\0"[..], b"a\x1b[2J", b"\x7f", "\u{9b}31m".as_bytes()] {
            assert!(has_controls(None, other), "{other:?}");
        }
        assert!(has_controls(Some(0xc2), b"\x9b31m"));
        assert!(!has_controls(Some(0xc5), b"\x99"));
    }
}
