//! Headers for calls to a backend, from flags or from files with one header per line. No error
//! repeats a value.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::lookup::Settings;
use super::origin::Setting;
use crate::backend::Header;
use crate::cli::args::ConnectionArgs;
use crate::cli::secret_file;
use upload_types::error::{Error, Kind, Result};

impl Settings {
    pub(super) fn headers_setting(&self, flags: &ConnectionArgs) -> Result<Setting<Vec<Header>>> {
        if !flags.headers.is_empty() {
            let headers = parse(&read_lines(&flags.headers, Path::new(""))?).map_err(|reason| {
                Error::new(Kind::Usage, "could not use the value of --header").with_source(reason)
            })?;
            return Ok(Setting::flag(headers));
        }
        let Some(Setting { value, origin }) = self.in_file(|keys| keys.headers.clone()) else {
            return Ok(Setting::default(Vec::new()));
        };
        let lines = read_lines(&value, &self.file.resolve(Path::new("")))?;
        let value = parse(&lines).map_err(|reason| self.file_error("headers", reason))?;
        Ok(Setting { value, origin })
    }

    /// The files that have headers: those after `@`, and the configuration file if it has some
    /// itself.
    pub(super) fn header_files(&self, flags: &ConnectionArgs) -> Vec<PathBuf> {
        let files = |texts: &[String], directory: &Path, own: Option<&Path>| {
            let file = |text: &String| match text.strip_prefix('@') {
                Some(file) => Some(directory.join(file)),
                None => own.map(Path::to_path_buf),
            };
            let files: BTreeSet<PathBuf> = texts.iter().filter_map(file).collect();
            files.into_iter().collect()
        };
        if !flags.headers.is_empty() {
            return files(&flags.headers, Path::new(""), None);
        }
        let directory = self.file.resolve(Path::new(""));
        let found = self.in_file(|keys| keys.headers.clone());
        found.map_or_else(Vec::new, |found| {
            files(&found.value, &directory, Some(self.file.path()))
        })
    }
}

/// Each text, or for `@FILE` the lines of the file; its path is relative to `directory`.
fn read_lines(texts: &[String], directory: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for text in texts {
        let text = match text.strip_prefix('@') {
            Some(file) => secret_file::read_text(&directory.join(file), "the headers")?,
            None => text.clone(),
        };
        lines.extend(text.lines().map(str::to_owned));
    }
    Ok(lines)
}

fn parse(lines: &[String]) -> Result<Vec<Header>, String> {
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    filled
        .map(|line| line.parse().map_err(|reason| format!("{reason}")))
        .collect()
}
