//! A map of paths: JSON lines with the path of a file, and optionally its key, its content type,
//! its metadata and the attributes of its object.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::path_list::{Line, Lines, LinesOf, Separator};
use super::selection_results::Attributes;
use upload_types::error::{Error, Kind, Result};

/// A line of the map.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapped {
    path: PathBuf,
    key: Option<String>,
    content_type: Option<String>,
    #[serde(default)]
    meta: BTreeMap<String, String>,
    acl: Option<String>,
    cache_control: Option<String>,
    content_disposition: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    expires: Option<String>,
    storage_class: Option<String>,
    sse: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// The files, in their order.
pub struct PathMap {
    lines: Lines,
}

impl PathMap {
    /// Opens a map; `-` is standard input.
    ///
    /// # Errors
    /// [`Kind::NoSource`] if it cannot be read.
    pub fn open(map: &Path) -> Result<Self> {
        let lines = Lines::open(map, LinesOf::Map, Separator::Newline)?;
        Ok(Self { lines })
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lines.name
    }

    fn mapped(&self, number: u64, line: &[u8]) -> Result<(Line, Attributes)> {
        let wrong = |reason: String| {
            let what = format!("could not use line {number} of the map {}", self.lines.name);
            let hint = r#"write a JSON object in each line, such as {"path": "a.bin"}"#;
            Error::new(Kind::Usage, what)
                .with_source(reason)
                .with_hint(hint)
        };
        let mapped: Mapped = serde_json::from_slice(line).map_err(|error| {
            // That is the line of this text, not of the map.
            wrong(error.to_string().replace(" at line 1 column", " at column"))
        })?;
        if mapped.path.as_os_str().is_empty() {
            return Err(wrong("its path is empty".to_owned()));
        }
        let attributes = Attributes {
            key: mapped.key,
            content_type: mapped.content_type,
            metadata: mapped.meta,
            of_object: upload_types::wire::Attributes {
                acl: mapped.acl,
                cache_control: mapped.cache_control,
                content_disposition: mapped.content_disposition,
                content_encoding: mapped.content_encoding,
                content_language: mapped.content_language,
                expires: mapped.expires,
                sse: mapped.sse,
                storage_class: mapped.storage_class,
                tags: mapped.tags,
            },
        };
        let path = mapped.path;
        Ok((Line { number, path }, attributes))
    }
}

impl Iterator for PathMap {
    type Item = Result<(Line, Attributes)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, bytes) = loop {
            let (number, bytes) = match self.lines.next()? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            // Some editors write a byte order mark at the start of a file.
            let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
            if !text.trim_ascii().is_empty() {
                break (number, text.to_vec());
            }
        };
        Some(self.mapped(number, &bytes))
    }
}

#[cfg(test)]
#[path = "path_map_tests.rs"]
mod tests;
