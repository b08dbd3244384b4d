//! Reads tokens and other secrets from files that other users cannot write. No error repeats a
//! secret.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::permissions;
use upload_types::Token;
use upload_types::error::{Error, Kind, Result};

/// Tokens of directories with many groups are long.
const MAX_SECRET_BYTES: u64 = 32 << 10;

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
/// [`Kind::Config`] for a file that cannot be read, or has more than 32 KiB.
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
    let mut bytes = Vec::new();
    file.take(MAX_SECRET_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable().with_source(error))?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(unreadable().with_source("it is longer than 32 KiB"));
    }
    decode(&bytes).ok_or_else(|| {
        unreadable()
            .with_source("it is not UTF-8")
            .with_hint("save the file as UTF-8, such as with `Set-Content -Encoding ascii`")
    })
}

/// A text with or without a byte order mark, in UTF-8 or UTF-16: PowerShell writes all of these.
fn decode(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes
            .chunks(2)
            .map(|pair| <[u8; 2]>::try_from(pair).ok().map(unit))
            .collect::<Option<_>>()?;
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] | text => String::from_utf8(text.to_vec()).ok(),
    }
}

/// Checks that a text fits into one HTTP header; `noun` names it in errors.
///
/// # Errors
/// [`Kind::Config`] for a text that is empty, longer than 32 KiB, of several lines, or not visible
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
        return wrong("it is longer than 32 KiB");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong("it is not one line of visible ASCII without spaces");
    }
    Ok(Token::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_mark_is_not_a_part_of_the_text() {
        let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
            let text = "token\r\n".encode_utf16().flat_map(bytes);
            mark.into_iter().chain(text).collect::<Vec<u8>>()
        };
        for bytes in [
            b"token\r\n".to_vec(),
            b"\xef\xbb\xbftoken\r\n".to_vec(),
            utf16([0xff, 0xfe], u16::to_le_bytes),
            utf16([0xfe, 0xff], u16::to_be_bytes),
        ] {
            let text = decode(&bytes).unwrap();
            let token = check_secret(&text, "the token").unwrap();
            assert_eq!(token.expose(), "token", "{bytes:?}");
        }
        for bytes in [&b"\xfftoken"[..], b"\xff\xfet\0o"] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }
}
