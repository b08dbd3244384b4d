//! A list of paths: one a line, or separated by NUL. Paths are verbatim: there are no patterns, no
//! comments, and no trimming. Only empty lines are left out.
//!
//! The list is read as a stream. Not here: the relative path of each (`listed_paths`).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use upload_types::error::{Error, Kind, Result};

/// The longest line, in bytes. No system has longer paths.
pub(super) const MAX_LINE_BYTES: u64 = 1 << 20;
/// The bytes that are read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// The character between two paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    Newline,
    Nul,
}

impl Separator {
    fn byte(self) -> u8 {
        match self {
            Self::Newline => b'\n',
            Self::Nul => 0,
        }
    }
}

/// A path of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: u64,
    pub path: PathBuf,
}

/// The paths, in their order.
pub struct PathList {
    lines: Lines,
}

impl PathList {
    /// Opens a list; `-` is standard input. Waits for its first bytes.
    ///
    /// # Errors
    /// [`Kind::NoSource`] if it cannot be read; [`Kind::Usage`] if its lines end as on Windows.
    pub fn open(list: &Path, separator: Separator) -> Result<Self> {
        let mut lines = Lines::open(list, LinesOf::List, separator)?;
        if separator == Separator::Newline && lines.has_windows_line_ends()? {
            let what = format!("the list {} has Windows line ends", lines.name);
            let hint = "convert it first, for example with `tr -d '\\r'`; if the names of the files \
                        end with a carriage return, separate them by NUL and add -0";
            return Err(Error::new(Kind::Usage, what).with_hint(hint));
        }
        Ok(Self { lines })
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.lines.name
    }
}

impl Iterator for PathList {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Result<Line>> {
        let (number, bytes) = match self.lines.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let path = PathBuf::from(OsString::from_vec(bytes));
        Some(Ok(Line { number, path }))
    }
}

/// The kind of a file that names files, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinesOf {
    List,
    Map,
}

impl LinesOf {
    fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Map => "map",
        }
    }

    fn unreadable(self, name: &str, error: io::Error) -> Error {
        let of = self.name();
        Error::new(Kind::NoSource, format!("could not read the {of} {name}"))
            .with_source(error)
            .with_hint(format!("check the path of the {of} and its permissions"))
    }

    fn too_long_hint(self) -> &'static str {
        match self {
            Self::List => "if the paths are separated by NUL, add -0",
            Self::Map => "write a JSON object in each line",
        }
    }
}

/// The lines of a file that are not empty, with their numbers. Ends after an error.
pub(super) struct Lines {
    pub(super) name: String,
    of: LinesOf,
    reader: BufReader<Box<dyn Read + Send>>,
    separator: u8,
    number: u64,
    has_ended: bool,
}

impl Lines {
    pub(super) fn open(file: &Path, of: LinesOf, separator: Separator) -> Result<Self> {
        let is_standard_input = file.as_os_str() == "-";
        let name = if is_standard_input {
            "of standard input".to_owned()
        } else {
            file.display().to_string()
        };
        let reader: Box<dyn Read + Send> = if is_standard_input {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(file).map_err(|error| of.unreadable(&name, error))?)
        };
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        Ok(Self {
            name,
            of,
            reader,
            separator: separator.byte(),
            number: 0,
            has_ended: false,
        })
    }

    /// Whether each complete line of the first bytes ends with a carriage return.
    fn has_windows_line_ends(&mut self) -> Result<bool> {
        let bytes = match self.reader.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.of.unreadable(&self.name, error)),
        };
        let mut complete = bytes.split_inclusive(|byte| *byte == b'\n');
        let is_complete = |line: &&[u8]| line.ends_with(b"\n");
        let mut lines = complete.by_ref().filter(is_complete).peekable();
        Ok(lines.peek().is_some() && lines.all(|line| line.ends_with(b"\r\n")))
    }

    fn read(&mut self) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.reader).take(MAX_LINE_BYTES + 1);
        limited
            .read_until(self.separator, &mut bytes)
            .map_err(|error| self.of.unreadable(&self.name, error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let is_complete = bytes.last() == Some(&self.separator);
        if is_complete {
            bytes.pop();
        } else if bytes.len() as u64 > MAX_LINE_BYTES {
            let (number, of, name) = (self.number, self.of.name(), &self.name);
            let what = format!("line {number} of the {of} {name} is longer than 1 MiB");
            return Err(Error::new(Kind::Usage, what).with_hint(self.of.too_long_hint()));
        }
        Ok(Some(bytes))
    }
}

impl Iterator for Lines {
    type Item = Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_ended {
            match self.read() {
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => return Some(Ok((self.number, bytes))),
                Ok(None) => self.has_ended = true,
                Err(error) => {
                    self.has_ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(text: &[u8], separator: Separator) -> Result<Vec<(u64, String)>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        PathList::open(file.path(), separator)?
            .map(|line| line.map(|line| (line.number, line.path.display().to_string())))
            .collect()
    }

    #[test]
    fn lines_are_verbatim_and_keep_their_numbers() {
        let lines = read(b"a\n\n # b \n*.c\nd e", Separator::Newline).unwrap();
        let expected = [(1, "a"), (3, " # b "), (4, "*.c"), (5, "d e")];
        assert_eq!(
            lines,
            expected.map(|(number, path)| (number, path.to_owned()))
        );
        let lines = read(b"a\nb\0\0c", Separator::Nul).unwrap();
        assert_eq!(lines, [(1, "a\nb".to_owned()), (3, "c".to_owned())]);
        assert_eq!(read(b"", Separator::Newline).unwrap(), []);
    }

    #[test]
    fn list_with_windows_line_ends_is_rejected() {
        let error = read(b"a\r\nb\r\n", Separator::Newline).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains("Windows line ends"), "{error}");
        assert_eq!(read(b"a\r\nb\n", Separator::Newline).unwrap().len(), 2);
        assert_eq!(read(b"a\r\0b\r\0", Separator::Nul).unwrap().len(), 2);
        assert_eq!(read(b"a\r", Separator::Newline).unwrap().len(), 1);
    }

    #[test]
    fn endless_line_is_rejected() {
        let text = vec![b'a'; usize::try_from(MAX_LINE_BYTES).unwrap() + 1];
        let error = read(&text, Separator::Newline).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(read(&text[1..], Separator::Newline).is_ok());
    }
}
