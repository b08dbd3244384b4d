//! Notices of a run on standard error, outside the stream of events; none with `--quiet`.

use std::io::Write as _;

use super::settings::Settings;
use crate::report::{LogWriter, stderr_columns, wrap};

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

    pub fn show(&self, text: &str) {
        if !self.is_quiet {
            let text = match stderr_columns() {
                Some(columns) => wrap(text, columns),
                None => text.to_owned(),
            };
            // One write only, because each write redraws the bars. Standard error may be closed.
            let line = text + "\n";
            let _ = self.writer.clone().write_all(line.as_bytes());
        }
    }
}
