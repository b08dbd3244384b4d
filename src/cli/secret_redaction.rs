//! Values of flags in errors: repeated, unless they may be secrets.
//!
//! Pure.

#[cfg(feature = "gateway")]
use upload_types::error::{Error, Kind};

/// The longest text that an error repeats, in bytes.
const MAX_REPEATED_BYTES: usize = 200;

/// The text, unless it may be a secret that was pasted into the wrong place: a token, a key, or a
/// URL with a password or a signature.
pub fn repeatable(text: &str) -> Option<&str> {
    let is_token = text.starts_with("upl_") || text.starts_with("eyJ");
    let is_key = text.len() >= 32 && !text.contains(['.', ':']);
    let has_secret = text.contains(['@', '?', '#']) || text.chars().any(char::is_whitespace);
    let is_long = text.len() > MAX_REPEATED_BYTES;
    (!text.is_empty() && !is_token && !is_key && !has_secret && !is_long).then_some(text)
}

/// The error for the value of a flag. It repeats the value unless that may be a secret.
#[cfg(feature = "gateway")]
pub fn not_understood(flag: &str, text: &str) -> Error {
    let what = match repeatable(text) {
        Some(text) => format!("could not understand {flag} `{text}`"),
        None => format!("could not understand {flag}"),
    };
    Error::new(Kind::Usage, what)
}
