//! The options of reports: the flags that choose a reporter, and the kind of screen.

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Auto,
    Bar,
    Plain,
    None,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// The kind of screen that standard error is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    Terminal,
    /// A terminal without escape codes (`TERM=dumb`).
    Dumb,
    /// A pipe, a file, or closed.
    None,
}

/// The lines with the locations of uploaded files on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locations {
    /// The location is the only text of its line: programs read it.
    Alone,
    /// The name of the file precedes it, unless another line has the name: a person reads it.
    Named,
}

/// The requested output, and the screen for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub json: bool,
    pub quiet: bool,
    pub verbose: u8,
    pub progress: Progress,
    pub color: Color,
    pub screen: Screen,
    pub locations: Locations,
    /// `NO_COLOR` is set, or `CLICOLOR=0`.
    pub no_color: bool,
}

impl Options {
    /// Whether standard error gets colours. `--color always` applies to pipes too.
    pub(super) fn colors(self) -> Colors {
        let is_on = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => self.screen == Screen::Terminal && !self.no_color,
        };
        if is_on { Colors::On } else { Colors::Off }
    }

    /// Whether standard error gets bars.
    #[must_use]
    pub fn use_bars(&self) -> bool {
        let is_wanted = matches!(self.progress, Progress::Auto | Progress::Bar);
        is_wanted && self.screen == Screen::Terminal && !self.quiet && !self.json
    }

    pub(super) fn verbosity(self) -> Verbosity {
        Verbosity {
            quiet: self.quiet,
            verbose: self.verbose,
            locations: self.locations,
        }
    }
}

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colors {
    On,
    Off,
}

/// `--quiet` and `-v`, and the form of locations.
#[derive(Debug, Clone, Copy)]
pub struct Verbosity {
    pub quiet: bool,
    pub verbose: u8,
    pub locations: Locations,
}
