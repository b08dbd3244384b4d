//! Notices and warnings of a run on standard error, outside the stream of events.

use std::io::Write as _;

use super::settings::Settings;
use crate::report::{LogWriter, escape};

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
        // One write only, because each write redraws the bars.
        let line = format!("{}\n", escape(text));
        let _ = self.writer.clone().write_all(line.as_bytes());
    }
}
