//! The store's access key and secret: made once, kept beside the data.
//!
//! Border: one file of two lines. Who is told the keys is `mod`'s caller's affair.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use upload_types::crash;
use upload_types::error::{Error, Kind, Result};

/// Read from the file `keys`; shows its secret to no formatter.
#[derive(Debug, Clone)]
pub struct Keys {
    pub access: String,
    secret: SecretString,
}

impl Keys {
    /// Reads the keys under `dir`, or makes them.
    ///
    /// # Errors
    /// [`Kind::Io`] when the file cannot be read or written, or holds something else.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("keys");
        let failed = |error: io::Error| {
            Error::new(
                Kind::Io,
                format!("could not use the store's key file {}", path.display()),
            )
            .with_source(error)
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = fresh();
                write(dir, &path, &text).map_err(failed)?;
                text
            }
            Err(error) => return Err(failed(error)),
        };
        parse(&text).ok_or_else(|| {
            Error::new(
                Kind::Io,
                format!("could not read {}: not a store's key file", path.display()),
            )
        })
    }

    #[must_use]
    pub fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access: &str) -> S3Result<SecretKey> {
        if access == self.access {
            Ok(self.secret().into())
        } else {
            Err(s3_error!(InvalidAccessKeyId))
        }
    }
}

fn parse(text: &str) -> Option<Keys> {
    let (access, secret) = text.trim_end().split_once('\n')?;
    let plain = |key: &str| {
        !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    (plain(access) && plain(secret)).then(|| Keys {
        access: access.to_owned(),
        secret: secret.into(),
    })
}

/// `AK` and 18 of `[A-Z0-9]`, and a secret of 240 random bits in 40 characters.
fn fresh() -> String {
    const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let letter = |byte: u8| {
        LETTERS
            .get(usize::from(byte) % LETTERS.len())
            .map_or('A', |letter| char::from(*letter))
    };
    let access: String = random().into_iter().take(18).map(letter).collect();
    let secret: String = URL_SAFE.encode(random()).chars().take(40).collect();
    format!("AK{access}\n{secret}\n")
}

/// 256 random bits, from the system's generator by way of UUIDs (122 random bits each).
fn random() -> [u8; 32] {
    let mut all = Sha256::new();
    for _ in 0..4 {
        all.update(Uuid::new_v4());
    }
    all.finalize().into()
}

/// Whole or not at all, and durable.
fn write(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    crash::point("store.keys.drafted");
    fs::rename(&draft, path)?;
    crash::point("store.keys.named");
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let made = Keys::open(dir.path()).unwrap();
        let read = Keys::open(dir.path()).unwrap();
        assert_eq!((made.access.len(), made.secret().len()), (20, 40));
        assert_eq!((&made.access, made.secret()), (&read.access, read.secret()));
        assert!(!format!("{made:?}").contains(made.secret()));
    }

    #[test]
    fn a_damaged_key_file_is_refused() {
        for text in ["", "AK\n", "AK secret\n", "\nsecret", "AK\nse cret\n"] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}
