//! Reads tokens and other secrets from files that other users cannot write. No error repeats a
//! secret.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::permissions;
use upload_types::Token;
use upload_types::error::{Error, Kind, Result};

const MAX_SECRET_BYTES: u64 = 8 << 10;

/// The secret in a file; `noun` names it in errors (`the token`).
///
/// # Errors
/// [`Kind::Config`] for a text that is not a secret, and for a file that cannot be read.
pub fn read_secret(path: &Path, noun: &str) -> Result<Token> {
    check_secret(
        &read_text(path, noun)?,
        &format!("{noun} in {}", path.display()),
    )
}

/// The text of a file.
///
/// # Errors
/// [`Kind::Config`] for a file that cannot be read, or has more than 8 KiB.
pub fn read_text(path: &Path, noun: &str) -> Result<String> {
    let unreadable = || {
        Error::new(
            Kind::Config,
            format!("could not read {noun} in {}", path.display()),
        )
    };
    let file = File::open(path).map_err(|error| unreadable().with_source(error))?;
    let metadata = file
        .metadata()
        .map_err(|error| unreadable().with_source(error))?;
    permissions::check_private_writes(path, &metadata)
        .map_err(|reason| unreadable().with_source(reason))?;
    let mut text = String::new();
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable().with_source(error))?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(unreadable().with_source("it is longer than 8 KiB"));
    }
    Ok(text)
}

/// Checks that a text fits into one HTTP header; `noun` names it in errors.
///
/// # Errors
/// [`Kind::Config`] for a text that is empty, longer than 8 KiB, of several lines, or not visible
/// ASCII.
pub fn check_secret(text: &str, noun: &str) -> Result<Token> {
    let wrong = |reason: &str| {
        Err(Error::new(Kind::Config, format!("could not use {noun}")).with_source(reason))
    };
    let text = text.trim();
    if text.is_empty() {
        return wrong("it is empty");
    }
    if text.len() as u64 > MAX_SECRET_BYTES {
        return wrong("it is longer than 8 KiB");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong("it is not one line of visible ASCII without spaces");
    }
    Ok(Token::new(text.to_owned()))
}
