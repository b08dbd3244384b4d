//! Where the API token is, and reading it.
//!
//! Border: a token never shows itself, in no error either.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::Setting;
use crate::backend::TokenFile;
use crate::cli::permissions;
use upload_types::error::{Error, Kind, Result};
use upload_types::names::Token;

/// The most bytes of a token's file that are read.
const SIZE_MAX: u64 = 8 << 10;

/// Where a token is.
#[derive(Debug, Clone)]
pub enum Place {
    File(PathBuf),
    Here(Token),
}

impl Place {
    /// Where a newer token may come to stand.
    #[must_use]
    pub fn file(self) -> Option<TokenFile> {
        match self {
            Self::File(path) => Some(TokenFile {
                path,
                read: |path| file(path, "the token"),
            }),
            Self::Here(_) => None,
        }
    }
}

/// The token at its place.
///
/// # Errors
/// [`Kind::Config`] for one that is empty, longer than 8 KiB, of several lines, or not visible ASCII, and for a file that
/// cannot be read.
pub fn read(place: Option<&Setting<Place>>) -> Result<Option<Token>> {
    let Some(Setting {
        value: place,
        origin,
    }) = place
    else {
        return Ok(None);
    };
    match place {
        Place::Here(token) => check(token.expose(), &format!("the token of {origin}")).map(Some),
        Place::File(path) => file(path, "the token").map(Some),
    }
}

/// The token, or what else is kept so, in a file that nobody else can write.
///
/// # Errors
/// [`Kind::Config`] for one that is no token, and for a file that cannot be read.
pub fn file(path: &Path, noun: &str) -> Result<Token> {
    check(&text(path, noun)?, &format!("{noun} in {}", path.display()))
}

/// What stands in a file that nobody else can write, up to a little more than a token may have.
///
/// # Errors
/// [`Kind::Config`] for a file that cannot be read.
pub fn text(path: &Path, noun: &str) -> Result<String> {
    let mut text = String::new();
    let unread = || {
        Error::new(
            Kind::Config,
            format!("could not read {noun} in {}", path.display()),
        )
    };
    let file = File::open(path).map_err(|error| unread().with_source(error))?;
    let found = file
        .metadata()
        .map_err(|error| unread().with_source(error))?;
    permissions::check(path, &found).map_err(|why| unread().with_source(why))?;
    file.take(SIZE_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| unread().with_source(error))?;
    Ok(text)
}

fn check(text: &str, what: &str) -> Result<Token> {
    let wrong =
        |why: &str| Err(Error::new(Kind::Config, format!("could not use {what}")).with_source(why));
    let text = text.trim();
    if text.is_empty() {
        return wrong("it is empty");
    }
    if text.len() as u64 > SIZE_MAX {
        return wrong("it is longer than 8 KiB");
    }
    // It goes into a header.
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong("it is not one line of visible ASCII without spaces");
    }
    Ok(Token::new(text.to_owned()))
}
