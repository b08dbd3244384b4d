//! The access key and secret of the store: created once, kept in the file `keys`, two lines.
//!
//! Not here: the programs that use the keys.

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

/// Does not show its secret in `Debug`.
#[derive(Debug, Clone)]
pub struct AccessKeys {
    access_key: String,
    secret: SecretString,
}

impl AccessKeys {
    /// Reads the keys in `dir`, or creates them.
    ///
    /// # Errors
    /// [`Kind::Io`] if the file cannot be read or written, or is not a key file.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("keys");
        let unusable = |error: io::Error| {
            let text = format!("could not use the store's key file {}", path.display());
            Error::new(Kind::Io, text).with_source(error)
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = generate();
                write_durably(dir, &path, &text).map_err(unusable)?;
                text
            }
            Err(error) => return Err(unusable(error)),
        };
        parse(&text).ok_or_else(|| {
            let text = format!("could not read {}: it is not a key file", path.display());
            Error::new(Kind::Io, text)
        })
    }

    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    pub fn secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

#[async_trait::async_trait]
impl S3Auth for AccessKeys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key {
            Ok(self.secret().into())
        } else {
            Err(s3_error!(InvalidAccessKeyId))
        }
    }
}

fn parse(text: &str) -> Option<AccessKeys> {
    let (access_key, secret) = text.trim_end().split_once('\n')?;
    let is_key_byte = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let is_key = |key: &str| !key.is_empty() && key.bytes().all(is_key_byte);
    (is_key(access_key) && is_key(secret)).then(|| AccessKeys {
        access_key: access_key.to_owned(),
        secret: secret.into(),
    })
}

/// The content of a new key file: `AK` and 18 characters of `[A-Z0-9]`, and a secret of 240 random
/// bits in 40 characters.
fn generate() -> String {
    const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let to_letter = |byte: u8| {
        ALPHABET
            .get(usize::from(byte) % ALPHABET.len())
            .map_or('A', |letter| char::from(*letter))
    };
    let access_key: String = random_bytes().into_iter().take(18).map(to_letter).collect();
    let secret: String = URL_SAFE.encode(random_bytes()).chars().take(40).collect();
    format!("AK{access_key}\n{secret}\n")
}

/// 256 random bits from the system's generator, taken from UUIDs (122 random bits each).
fn random_bytes() -> [u8; 32] {
    let mut hasher = Sha256::new();
    for _ in 0..4 {
        hasher.update(Uuid::new_v4());
    }
    hasher.finalize().into()
}

/// Writes the whole file or nothing.
fn write_durably(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    crash::point("store.keys.written");
    fs::rename(&temporary, path)?;
    crash::point("store.keys.renamed");
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_created_once_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let created = AccessKeys::open(dir.path()).unwrap();
        let read = AccessKeys::open(dir.path()).unwrap();
        let (access_key, secret) = (created.access_key(), created.secret());
        assert_eq!((access_key.len(), secret.len()), (20, 40));
        assert_eq!((access_key, secret), (read.access_key(), read.secret()));
        assert!(!format!("{created:?}").contains(secret));
    }

    #[test]
    fn damaged_key_file_is_rejected() {
        for text in ["", "AK\n", "AK secret\n", "\nsecret", "AK\nse cret\n"] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}
