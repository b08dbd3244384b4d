//! Notices and warnings of a run on standard error, outside the stream of events.

use super::settings::Settings;
use crate::report::{LogWriter, escape, stderr_columns, wrap};

#[derive(Debug, Clone)]
pub struct Notices {
    is_quiet: bool,
    writer: LogWriter,
}

impl Notices {
    pub fn new(settings: &Settings, writer: LogWriter) -> Self {
        let is_quiet = settings.quiet();
        Self { is_quiet, writer }
    }

    /// Shows a notice, except with `--quiet`.
    pub fn show(&self, text: &str) {
        if !self.is_quiet {
            self.write(text);
        }
    }

    /// Shows a warning, also with `--quiet`.
    pub fn warn(&self, text: &str) {
        self.write(&format!("warning: {text}"));
    }

    fn write(&self, text: &str) {
        let text = escape(text);
        let text = match stderr_columns() {
            Some(columns) => wrap(&text, columns),
            None => text,
        };
        // One write only, because each write redraws the bars.
        self.writer.notice(&(text + "\n"));
    }
}
