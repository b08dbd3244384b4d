//! Writes the file with endpoint and keys of the embedded store, in a format of S3 clients.
//!
//! Not here: the creation of the keys (`upload_embedded_store`).

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use url::Url;
use uuid::Uuid;

use upload_embedded_store as embedded;
use upload_types::error::{Error, Kind, Result};

/// Writes the file so that it can serve as `AWS_CONFIG_FILE` or as `AWS_SHARED_CREDENTIALS_FILE`.
/// Only its owner can read it. It replaces an earlier file atomically.
///
/// # Errors
/// [`Kind::Io`] if the file cannot be written.
pub fn write(
    path: &Path,
    endpoint: &Url,
    (access_key, secret_key): &(String, String),
) -> Result<()> {
    let endpoint = endpoint.as_str().trim_end_matches('/');
    let mut text = format!("# bucket: {}\n[default]\n", embedded::BUCKET);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "aws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}"
    );
    let _ = writeln!(
        text,
        "region = {}\nendpoint_url = {endpoint}",
        embedded::REGION
    );
    let _ = writeln!(text, "s3 =\n    addressing_style = path");
    let temporary = path.with_extension(format!("{}.tmp", Uuid::new_v4().simple()));
    let written =
        write_private(&temporary, text.as_bytes()).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // The file may not exist.
        let _ = fs::remove_file(&temporary);
        let path = path.display();
        Error::new(
            Kind::Io,
            format!("could not write the store's credentials to {path}"),
        )
        .with_source(error)
    })
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_file_is_private_and_replaces_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.ini");
        fs::write(&path, "old").unwrap();
        let keys = ("AKIA".to_owned(), "secret".to_owned());
        write(&path, &"http://127.0.0.1:9/".parse().unwrap(), &keys).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for line in [
            "[default]",
            "aws_access_key_id = AKIA",
            "aws_secret_access_key = secret",
            "endpoint_url = http://127.0.0.1:9",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
