//! The API token of requests to the backend. If it was read from a file, the file may get a newer
//! token while this process runs.
//!
//! Not here: the format of that file; the caller reads it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use upload_types::Token;
use upload_types::error::Result;
use upload_types::sync::lock;

/// A token, if requests carry one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Bearer {
    token: Arc<Mutex<Option<Token>>>,
    file: Option<TokenFile>,
}

/// A file that holds the token, and the function that reads it.
#[derive(Debug, Clone)]
pub struct TokenFile {
    pub path: PathBuf,
    pub read: fn(&Path) -> Result<Token>,
}

impl Bearer {
    #[must_use]
    pub fn new(token: Option<Token>, file: Option<TokenFile>) -> Self {
        Self {
            token: Arc::new(Mutex::new(token)),
            file,
        }
    }

    #[must_use]
    pub fn token(&self) -> Option<Token> {
        lock(&self.token).clone()
    }

    /// Replaces a token that the backend rejected. Returns `None` if there is no file, or if it
    /// holds the same token or cannot be read.
    #[must_use]
    pub fn replacement_of(&self, rejected: &Token) -> Option<Token> {
        let mut token = lock(&self.token);
        let differs = |token: &Token| token.expose() != rejected.expose();
        if token.as_ref().is_some_and(differs) {
            // A concurrent request has replaced it.
            return token.clone();
        }
        let TokenFile { path, read } = self.file.as_ref()?;
        let newer = read(path).ok().filter(differs)?;
        *token = Some(newer.clone());
        Some(newer)
    }
}

impl From<Option<Token>> for Bearer {
    fn from(token: Option<Token>) -> Self {
        Self::new(token, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upload_types::error::{Error, Kind};

    /// A bearer of the token "old" with a file that holds `content`. An empty file cannot be read.
    fn bearer_with_file(content: &str) -> Bearer {
        let read = |path: &Path| match path.to_str() {
            Some("") | None => Err(Error::new(Kind::Config, "could not read the token")),
            Some(text) => Ok(Token::new(text.to_owned())),
        };
        Bearer::new(
            Some(Token::new("old".into())),
            Some(TokenFile {
                path: content.into(),
                read,
            }),
        )
    }

    #[test]
    fn rejected_token_is_replaced_only_by_another_one() {
        let old = Token::new("old".into());
        let bearer = bearer_with_file("new");
        assert_eq!(bearer.replacement_of(&old).unwrap().expose(), "new");
        assert_eq!(bearer.token().unwrap().expose(), "new");
        let concurrent = bearer.replacement_of(&old).unwrap();
        assert_eq!(concurrent.expose(), "new");
        assert!(bearer.replacement_of(&Token::new("new".into())).is_none());
        for (bearer, case) in [
            (bearer_with_file("old"), "the file holds the same token"),
            (bearer_with_file(""), "the file cannot be read"),
            (Some(old.clone()).into(), "there is no file"),
        ] {
            assert!(bearer.replacement_of(&old).is_none(), "{case}");
            assert_eq!(bearer.token().unwrap().expose(), "old");
        }
    }
}
