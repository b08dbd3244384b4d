//! The rows at the bottom of a terminal that are drawn again and again, and the text above them.
//!
//! Standard error only. Not here: the content of the rows (`bars`).
//!
//! The cursor stays at the start of the empty row below: a `^C` that the terminal echoes does not
//! break a row, and is erased with the others.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::fitting::width;
use upload_types::sync::lock;

/// The size of a terminal that does not report one.
const DEFAULT_SIZE: Size = Size {
    columns: 80,
    rows: 24,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// The rows at the bottom of the terminal. Clones share them.
#[derive(Debug, Clone)]
pub struct LiveRows(Arc<Mutex<Bottom>>);

#[derive(Debug, Default)]
struct Bottom {
    is_hidden: bool,
    drawn: Vec<String>,
}

impl LiveRows {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Rows that are not drawn.
    #[cfg(test)]
    pub fn hidden() -> Self {
        Self(Arc::new(Mutex::new(Bottom {
            is_hidden: true,
            drawn: Vec::new(),
        })))
    }

    /// Replaces the rows. Each must fit into the terminal. If there are too many, the first are
    /// omitted.
    pub fn draw(&self, mut rows: Vec<String>) {
        let mut bottom = lock(&self.0);
        let size = stderr_size().unwrap_or(DEFAULT_SIZE);
        rows.drain(..rows.len().saturating_sub(size.rows.saturating_sub(1)));
        if bottom.is_hidden || rows == bottom.drawn {
            return;
        }
        let text = erase(&bottom.drawn, size) + &join(&rows);
        write(&text);
        bottom.drawn = rows;
    }

    pub fn clear(&self) {
        self.draw(Vec::new());
    }

    /// Runs `write` while the rows are off the screen.
    pub fn suspend<T>(&self, write_above: impl FnOnce() -> T) -> T {
        let bottom = lock(&self.0);
        if bottom.drawn.is_empty() {
            return write_above();
        }
        write(&erase(&bottom.drawn, stderr_size().unwrap_or(DEFAULT_SIZE)));
        let result = write_above();
        write(&join(&bottom.drawn));
        result
    }
}

/// Standard error may be closed.
fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The rows, without automatic line breaks: a terminal that has become narrower and has not yet
/// reported it cuts them.
fn join(rows: &[String]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("\x1b[?7l{}\n\x1b[?7h", rows.join("\n"))
}

/// Erases the drawn rows and the one below, and leaves the cursor at the first. A terminal that has
/// become narrower shows a wide row in several.
///
/// Erases row by row: some terminals keep a screen that is erased at once in their history.
fn erase(drawn: &[String], size: Size) -> String {
    let rows_of = |row: &String| width(row).div_ceil(size.columns.max(1)).max(1);
    let rows: usize = drawn.iter().map(rows_of).sum();
    let rows = rows.min(size.rows.saturating_sub(1));
    if rows == 0 {
        return String::new();
    }
    let each = "\x1b[2K\x1b[B".repeat(rows);
    format!("\r\x1b[{rows}A{each}\x1b[2K\x1b[{rows}A")
}

/// The size of the terminal that standard error is connected to, if it is one and reports it.
pub fn stderr_size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    let size = Size {
        columns: usize::from(size.ws_col),
        rows: usize::from(size.ws_row),
    };
    (size.columns > 0 && size.rows > 0).then_some(size)
}

/// The columns of that terminal.
#[must_use]
pub fn stderr_columns() -> Option<usize> {
    stderr_size().map(|size| size.columns)
}

/// Standard error for log lines, which appear above the rows, if there are any.
#[derive(Debug, Clone, Default)]
pub struct LogWriter(Option<LiveRows>);

impl LogWriter {
    pub fn above(rows: LiveRows) -> Self {
        Self(Some(rows))
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(rows) => rows.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_a_narrow_terminal_has_broken_are_erased_whole() {
        let rows = ["x".repeat(79), "y".repeat(10)];
        let erased_at = |columns| {
            let size = Size { columns, rows: 24 };
            erase(&rows, size).matches("\x1b[2K").count()
        };
        assert_eq!([erased_at(80), erased_at(40), erased_at(8)], [3, 4, 13]);
        assert_eq!(erased_at(1), 24, "not above the screen");
        assert_eq!(erase(&[], DEFAULT_SIZE), "");
    }
}
