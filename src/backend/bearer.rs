//! The token that calls to the backend carry; where it was read from a file, a newer one is looked for there.
//!
//! Border: how a token is read is the caller's business; it is held here, and shown to nobody.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use upload_types::sync::lock;

use upload_types::error::Result;
use upload_types::names::Token;

/// A token, if calls carry any.
#[derive(Debug, Clone, Default)]
pub struct Bearer {
    token: Arc<Mutex<Option<Token>>>,
    file: Option<TokenFile>,
}

/// Where a newer token may come to stand while this process runs, and how it is read.
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

    /// Another token than the one that was refused, if there is one by now. A file that cannot be read has none.
    #[must_use]
    pub fn instead_of(&self, refused: &Token) -> Option<Token> {
        let mut token = lock(&self.token);
        let is_another = |token: &Token| token.expose() != refused.expose();
        if token.as_ref().is_some_and(is_another) {
            // Another call has found it.
            return token.clone();
        }
        let TokenFile { path, read } = self.file.as_ref()?;
        let found = read(path).ok().filter(is_another)?;
        *token = Some(found.clone());
        Some(found)
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

    fn of(path: &str) -> Bearer {
        let read = |path: &Path| match path.to_str() {
            Some("") | None => Err(Error::new(Kind::Config, "not there")),
            Some(text) => Ok(Token::new(text.to_owned())),
        };
        Bearer::new(
            Some(Token::new("old".into())),
            Some(TokenFile {
                path: path.into(),
                read,
            }),
        )
    }

    #[test]
    fn a_token_that_is_refused_is_replaced_by_a_newer_one_alone() {
        let old = Token::new("old".into());
        let bearer = of("new");
        assert_eq!(bearer.instead_of(&old).unwrap().expose(), "new");
        assert_eq!(bearer.token().unwrap().expose(), "new");
        assert_eq!(
            bearer.instead_of(&old).unwrap().expose(),
            "new",
            "another call had the old one"
        );
        assert!(bearer.instead_of(&Token::new("new".into())).is_none());
        for (bearer, what) in [
            (of("old"), "the same"),
            (of(""), "none"),
            (Some(old.clone()).into(), "no file"),
        ] {
            assert!(bearer.instead_of(&old).is_none(), "{what}");
            assert_eq!(bearer.token().unwrap().expose(), "old");
        }
    }
}
