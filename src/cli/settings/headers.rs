//! Headers for the calls to a backend: each as it was typed, or a file of them, one a line.
//!
//! Border: reads and checks; a value never shows itself, in no error either.

use std::path::Path;

use super::precedence::{default, from_file};
use super::token;
use super::{Origin, Setting, Settings};
use crate::backend::Header;
use crate::cli::args;
use upload_types::error::{Error, Kind, Result};

impl Settings {
    pub(super) fn headers_setting(&self, flags: &args::Connection) -> Result<Setting<Vec<Header>>> {
        if !flags.headers.is_empty() {
            let wrong = |why| {
                Error::new(Kind::Usage, "could not use the value of --header").with_source(why)
            };
            let value = read(&flags.headers, Path::new(""))?.map_err(wrong)?;
            return Ok(Setting {
                value,
                origin: Origin::Flag,
            });
        }
        let Some(found) = self.in_file(|keys| keys.headers.clone()) else {
            return Ok(default(Vec::new()));
        };
        let value = from_file(
            &self.file,
            "headers",
            read(&found.value, &self.file.resolve(Path::new("")))?,
        )?;
        Ok(Setting {
            value,
            origin: found.origin,
        })
    }
}

/// The headers of some texts; a file's name is relative to `place`.
fn read(texts: &[String], place: &Path) -> Result<Result<Vec<Header>, String>> {
    let mut headers = Vec::new();
    for text in texts {
        let lines = match text.strip_prefix('@') {
            Some(file) => token::text(&place.join(file), "the headers")?,
            None => text.clone(),
        };
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            match line.parse::<Header>() {
                Ok(header) => headers.push(header),
                Err(why) => return Ok(Err(why.to_string())),
            }
        }
    }
    Ok(Ok(headers))
}
