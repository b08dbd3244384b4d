//! The rows at the bottom of a terminal that are drawn again and again, and the text above them.
//!
//! Standard error only. indicatif draws; its terminal is [`StandardError`], which also erases rows
//! that a narrower terminal has broken. Not here: the content of the rows (`bars`).
//!
//! The cursor stays at the start of the empty row below: a `^C` that the terminal echoes does not
//! break a row, and is erased with the others.

use std::io::{self, Write};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::fitting::width;
use super::stderr;
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
pub struct LiveRows(ProgressBar);

impl LiveRows {
    pub fn new() -> Self {
        let terminal = Box::new(StandardError::default());
        Self::on(ProgressDrawTarget::term_like(terminal))
    }

    /// Rows that are not drawn.
    #[cfg(test)]
    pub fn hidden() -> Self {
        Self::on(ProgressDrawTarget::hidden())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let style = ProgressStyle::with_template("{msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::with_draw_target(None, target).with_style(style))
    }

    /// Replaces the rows. Each must fit into the terminal. If there are too many, the first are
    /// omitted.
    pub fn draw(&self, mut rows: Vec<String>) {
        let size = stderr_size().unwrap_or(DEFAULT_SIZE);
        rows.drain(..rows.len().saturating_sub(size.rows.saturating_sub(1)));
        let text = rows.join("\n");
        if text != self.0.message() {
            self.0.set_message(text);
        }
    }

    pub fn clear(&self) {
        self.draw(Vec::new());
    }

    /// Runs `write_above` while the rows are off the screen.
    pub fn suspend<T>(&self, write_above: impl FnOnce() -> T) -> T {
        self.0.suspend(write_above)
    }
}

/// Standard error as a terminal for indicatif, which moves the cursor back to its first row, writes
/// each row and then the spaces up to the right margin, and flushes. Only the rows matter here.
#[derive(Debug, Default)]
struct StandardError(Mutex<Screen>);

#[derive(Debug, Default)]
struct Screen {
    drawn: Vec<String>,
    /// The rows since the last flush.
    next: Vec<String>,
    /// A row was written, and its spaces follow.
    expects_spaces: bool,
}

impl TermLike for StandardError {
    fn width(&self) -> u16 {
        let size = stderr_size().unwrap_or(DEFAULT_SIZE);
        u16::try_from(size.columns).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        let size = stderr_size().unwrap_or(DEFAULT_SIZE);
        u16::try_from(size.rows).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, _rows: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _rows: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, row: &str) -> io::Result<()> {
        lock(&self.0).next.push(row.to_owned());
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut screen = lock(&self.0);
        if screen.expects_spaces {
            screen.expects_spaces = false;
        } else if text != "\r" {
            screen.next.push(text.to_owned());
            screen.expects_spaces = true;
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut screen = lock(&self.0);
        let mut next = std::mem::take(&mut screen.next);
        screen.expects_spaces = false;
        // An empty message is one empty row.
        next.retain(|row| !row.is_empty());
        if next != screen.drawn {
            let size = stderr_size().unwrap_or(DEFAULT_SIZE);
            let text = erase(&screen.drawn, size) + &join(&next);
            // Standard error may be closed.
            let _ = io::stderr().write_all(text.as_bytes());
            screen.drawn = next;
        }
        Ok(())
    }
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

/// Standard error for the log and for notices, which appear above the rows, if there are any.
/// Writing never fails: a reader that has ended must not end anything else.
#[derive(Debug, Clone, Default)]
pub struct LogWriter(Option<LiveRows>);

impl LogWriter {
    pub fn above(rows: LiveRows) -> Self {
        Self(Some(rows))
    }
}

impl LogWriter {
    /// Writes a notice. A reader that reads nothing does not hold up the caller.
    pub fn notice(&self, text: &str) {
        let write = || stderr::write(text.as_bytes());
        match &self.0 {
            Some(rows) => rows.suspend(write),
            None => write(),
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || {
            let _ = io::stderr().write_all(bytes);
        };
        match &self.0 {
            Some(rows) => rows.suspend(write),
            None => write(),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
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
