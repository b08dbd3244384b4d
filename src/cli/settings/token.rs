//! The source of the API token.

use std::path::PathBuf;

use super::origin::Setting;
use crate::backend::TokenFile;
use crate::cli::secret_file::{check_secret, read_secret};
use upload_types::Token;
use upload_types::error::Result;

#[derive(Debug, Clone)]
pub enum TokenSource {
    File(PathBuf),
    /// The token itself, unchecked.
    Value(Token),
}

impl TokenSource {
    /// The file that may get a newer token during a run.
    #[must_use]
    pub fn file(self) -> Option<TokenFile> {
        match self {
            Self::File(path) => Some(TokenFile {
                path,
                read: |path| read_secret(path, "the token"),
            }),
            Self::Value(_) => None,
        }
    }
}

/// Reads the token.
///
/// # Errors
/// As [`read_secret`].
pub fn read(source: Option<&Setting<TokenSource>>) -> Result<Option<Token>> {
    let Some(Setting { value, origin }) = source else {
        return Ok(None);
    };
    match value {
        TokenSource::Value(token) => {
            check_secret(token.expose(), &format!("the token of {origin}")).map(Some)
        }
        TokenSource::File(path) => read_secret(path, "the token").map(Some),
    }
}
