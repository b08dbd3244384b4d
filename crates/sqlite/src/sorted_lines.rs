//! Lines in sorted order, of which there may be more than fit into memory. SQLite sorts them in a
//! temporary file that it deletes.

use std::io;

use rusqlite::Connection;

/// Lines to sort.
#[derive(Debug)]
pub struct SortedLines {
    db: Connection,
    count: u64,
}

impl SortedLines {
    /// # Errors
    /// The temporary file cannot be created.
    pub fn new() -> io::Result<Self> {
        // A database without a name is in memory until it is large.
        let open = || {
            let db = Connection::open("")?;
            db.execute_batch(
                "PRAGMA journal_mode = OFF; CREATE TABLE line (text TEXT NOT NULL) STRICT; BEGIN",
            )?;
            Ok(db)
        };
        let db = open().map_err(failed)?;
        Ok(Self { db, count: 0 })
    }

    /// Adds a line without its newline.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn add(&mut self, line: &str) -> io::Result<()> {
        self.count += 1;
        let insert = self
            .db
            .prepare_cached("INSERT INTO line (text) VALUES (?1)");
        insert
            .and_then(|mut insert| insert.execute([line]))
            .map_err(failed)?;
        Ok(())
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Visits the lines in the order of their bytes.
    ///
    /// # Errors
    /// The temporary file cannot be written or read.
    pub fn visit(&self, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
        let mut read = || {
            let mut select = self.db.prepare("SELECT text FROM line ORDER BY text")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                visit(row.get_ref(0)?.as_bytes()?);
            }
            Ok(())
        };
        read().map_err(failed)
    }
}

fn failed(error: rusqlite::Error) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_visited_in_the_order_of_their_bytes() {
        let sorted = |lines: &[&str]| {
            let mut sorted = SortedLines::new().unwrap();
            for line in lines {
                sorted.add(line).unwrap();
            }
            assert_eq!(sorted.count(), lines.len() as u64);
            let mut visited = Vec::new();
            let visit = |line: &[u8]| visited.push(String::from_utf8(line.to_vec()).unwrap());
            sorted.visit(visit).unwrap();
            visited
        };
        assert_eq!(
            sorted(&["a", "\u{e9}", "B", "a"]),
            ["B", "a", "a", "\u{e9}"]
        );
        assert_eq!(sorted(&[]), [""; 0]);
    }
}
