//! A terminal emulator: the rows that a user sees after a text was written to a terminal. It knows
//! the escape sequences that the program uses, and line breaks at the right margin.

/// The rows of a terminal of `columns`, without trailing spaces and trailing empty rows.
pub fn rows(written: &str, columns: usize) -> Vec<String> {
    let mut screen = Emulator::new(columns);
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                let sequence: String = chars
                    .by_ref()
                    .take_while(|c| !c.is_ascii_alphabetic())
                    .collect();
                // `take_while` consumes the final letter; it follows the parameters in the text.
                let end = written.len() - chars.as_str().len();
                let letter = written[..end].chars().next_back();
                screen.escape(&sequence, letter.unwrap_or_default());
            }
            c => screen.put(c),
        }
    }
    screen.visible()
}

struct Emulator {
    columns: usize,
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    breaks_lines: bool,
}

impl Emulator {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: vec![Vec::new()],
            at: (0, 0),
            breaks_lines: true,
        }
    }

    fn put(&mut self, c: char) {
        let (row, column) = &mut self.at;
        match c {
            '\r' => *column = 0,
            '\n' => *row += 1,
            _ => {
                if *column == self.columns && self.breaks_lines {
                    (*row, *column) = (*row + 1, 0);
                }
                let column_to_write = (*column).min(self.columns - 1);
                self.rows
                    .resize_with(self.rows.len().max(*row + 1), Vec::new);
                let cells = &mut self.rows[*row];
                cells.resize(cells.len().max(column_to_write + 1), ' ');
                cells[column_to_write] = c;
                *column = column_to_write + 1;
            }
        }
    }

    fn escape(&mut self, parameters: &str, letter: char) {
        let number = || parameters.trim_start_matches('[').parse().unwrap_or(1);
        match (parameters, letter) {
            (_, 'A') => self.at.0 = self.at.0.saturating_sub(number()),
            (_, 'B') => self.at.0 += number(),
            ("[2", 'K') => {
                if let Some(cells) = self.rows.get_mut(self.at.0) {
                    cells.clear();
                }
            }
            ("[?7", letter) => self.breaks_lines = letter == 'h',
            // Colours.
            (_, 'm') => {}
            _ => panic!("unknown escape sequence {parameters:?} {letter:?}"),
        }
    }

    fn visible(self) -> Vec<String> {
        let rows = self.rows.into_iter();
        let mut rows: Vec<String> = rows
            .map(|row| String::from_iter(row).trim_end().to_owned())
            .collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }
}
