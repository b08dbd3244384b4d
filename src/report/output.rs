//! The text that one event produces, for each of the two standard streams.
//!
//! Not here: the streams themselves (`reporter`).

use super::options::Colors;

/// The output of one event.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Lines for standard output: a location, or JSON.
    pub data: Vec<String>,
    /// For standard error, after the notices: an error and its hint.
    pub failure: Option<(String, Option<String>)>,
    /// Lines for standard error.
    pub notices: Vec<String>,
}

impl Output {
    pub fn stdout(&self) -> String {
        join_lines(&self.data)
    }

    pub fn stderr(&self, colors: Colors) -> String {
        let paint = |code: &str, word: &str| match colors {
            Colors::On => format!("\x1b[{code}m{word}\x1b[0m"),
            Colors::Off => word.to_owned(),
        };
        let mut lines = self.notices.clone();
        if let Some((error, hint)) = &self.failure {
            lines.push(format!("{} {error}", paint("1;31", "error:")));
            lines.extend(
                hint.as_ref()
                    .map(|hint| format!("{} {hint}", paint("1;36", "hint:"))),
            );
        }
        join_lines(&lines)
    }
}

fn join_lines(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}
