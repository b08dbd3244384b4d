//! The flags of every verb.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which are not Markdown"
)]

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args, ValueEnum, ValueHint};

#[derive(Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The journal: the file that records uploads [env: UPLOAD_JOURNAL] [default: journal.db in the
    /// state directory]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub journal: Option<PathBuf>,
    /// Print JSON lines on standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Show errors and warnings only; standard output is as without it
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Show more detail on standard error; repeat for more
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours; auto respects NO_COLOR, CLICOLOR and TERM=dumb [default: auto]
    #[arg(long, global = true, value_name = "WHEN")]
    pub color: Option<ColorWhen>,
    /// How to show progress [default: auto]
    #[arg(long, global = true, value_name = "STYLE")]
    pub progress: Option<ProgressStyle>,
    /// The configuration file, in TOML [default: config.toml in the configuration directory; for
    /// serve, serve.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Let the table [profile.NAME] of the configuration file override its top level [env:
    /// UPLOAD_PROFILE]
    #[arg(long, global = true, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub profile: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// Bars on a terminal, plain lines elsewhere
    Auto,
    /// Bars, on a terminal only
    Bar,
    /// A line at most every 10 seconds
    Plain,
    /// No progress: results, errors and a summary only
    None,
}

impl ColorWhen {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    /// Parses a text that [`ColorWhen::name`] returns.
    ///
    /// # Errors
    /// The texts that are accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text, false).map_err(|_| "it must be auto, always or never".to_owned())
    }
}

impl ProgressStyle {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bar => "bar",
            Self::Plain => "plain",
            Self::None => "none",
        }
    }

    /// Parses a text that [`ProgressStyle::name`] returns.
    ///
    /// # Errors
    /// The texts that are accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text, false).map_err(|_| "it must be auto, bar, plain or none".to_owned())
    }
}
