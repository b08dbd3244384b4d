//! A map of paths: JSON lines with the path of a file, and optionally its key, its content type and
//! its metadata.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::found::Attributes;
use super::path_list::{Line, Lines, Separator};
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
        let lines = Lines::open(map, Separator::Newline)?;
        Ok(Self { lines })
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lines.name
    }
}

impl Iterator for PathMap {
    type Item = Result<(Line, Attributes)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, bytes) = match self.lines.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let mapped = serde_json::from_slice(&bytes).map_err(|error| {
            let what = format!("could not use line {number} of the map {}", self.lines.name);
            let hint = r#"write a JSON object in each line, such as {"path": "a.bin"}"#;
            Error::new(Kind::Usage, what)
                .with_source(error)
                .with_hint(hint)
        });
        Some(mapped.map(|mapped: Mapped| {
            let attributes = Attributes {
                key: mapped.key,
                content_type: mapped.content_type,
                metadata: mapped.meta,
            };
            let path = mapped.path;
            (Line { number, path }, attributes)
        }))
    }
}

#[cfg(test)]
#[path = "path_map_tests.rs"]
mod tests;
