//! Adds the origins of wrong values to errors about the configuration.
//!
//! Pure.

use crate::cli::args::serve::ValueOrigin;
use upload_types::error::{Error, Kind};

/// The error, with the file or variable of each flag that it names. A flag without an origin is on
/// the command line, or has its default.
pub fn with_origins(error: Error, origins: &[ValueOrigin]) -> Error {
    if !matches!(error.kind(), Kind::Usage | Kind::Config) {
        return error;
    }
    let text = error.to_string();
    let named = origins.iter().filter(|origin| names(&text, &origin.flag));
    let named: Vec<String> = named
        .map(|ValueOrigin { flag, origin }| format!("{flag} is set by {origin}"))
        .collect();
    if named.is_empty() {
        return error;
    }
    let described = Error::new(error.kind(), format!("{text} ({})", named.join("; ")));
    match error.hint() {
        Some(hint) => described.with_hint(hint),
        None => described,
    }
}

/// Whether the text has the flag as a word.
fn names(text: &str, flag: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '-';
    text.match_indices(flag).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text
            .get(at + flag.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_of_a_named_flag_is_added() {
        let origin = |flag: &str, origin: &str| ValueOrigin {
            flag: flag.into(),
            origin: origin.into(),
        };
        let origins = [
            origin("--rate", "UPLOAD_SERVE_RATE"),
            origin("--hook", "serve.toml, line 2"),
        ];
        let described = |kind, text: &str| {
            let error = Error::new(kind, text).with_hint("write N/s");
            let error = with_origins(error, &origins);
            assert_eq!((error.kind(), error.hint()), (kind, Some("write N/s")));
            error.to_string()
        };
        let text = described(Kind::Usage, "could not understand --rate `fast`");
        assert!(
            text.ends_with("(--rate is set by UPLOAD_SERVE_RATE)"),
            "{text}"
        );
        let text = described(Kind::Config, "--hook-secret-file is missing for `--hook`");
        assert!(text.contains("serve.toml, line 2") && !text.contains("RATE"));
        for text in ["--hook-arg names no hook", "--rated", "x"] {
            assert_eq!(described(Kind::Config, text), text);
        }
        assert_eq!(described(Kind::Io, "--rate"), "--rate");
    }
}
