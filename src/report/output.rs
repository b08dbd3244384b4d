//! The text that one event produces, for each of the two standard streams.
//!
//! Not here: the streams themselves (`reporter`).

use super::fitting::wrap;
use super::options::Colors;

/// The output of one event. The data is written first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Lines for standard output: a location, or JSON.
    pub data: Vec<String>,
    /// Lines for standard error.
    pub messages: Vec<Message>,
}

/// A line for standard error.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Notice(String),
    Error(String),
    Hint(String),
    /// A line below an error, such as the path of a file that it is about.
    Detail(String),
}

impl Output {
    pub fn notices(&mut self, lines: impl IntoIterator<Item = String>) {
        self.messages.extend(lines.into_iter().map(Message::Notice));
    }

    pub fn stdout(&self) -> String {
        self.data.iter().flat_map(|line| [line, "\n"]).collect()
    }

    /// The text for standard error. On a terminal of `columns` it is broken at words.
    pub fn stderr(&self, colors: Colors, columns: Option<usize>) -> String {
        let lines = self.messages.iter().map(|message| {
            let (label, color, text) = match message {
                Message::Notice(text) => ("", "", text.clone()),
                Message::Error(text) => ("error:", "1;31", format!("error: {text}")),
                Message::Hint(text) => ("hint:", "1;36", format!("hint: {text}")),
                Message::Detail(text) => return format!("  {text}\n"),
            };
            let text = match columns {
                Some(columns) => wrap(&text, columns),
                None => text,
            };
            match text.strip_prefix(label) {
                Some(rest) if colors == Colors::On && !label.is_empty() => {
                    format!("\x1b[{color}m{label}\x1b[0m{rest}\n")
                }
                _ => text + "\n",
            }
        });
        lines.collect()
    }
}
