//! The flags of `put -r` that filter files, as filters.
//!
//! Not here: what filters do (`crate::selection`).

use std::fs;
use std::io;

use jiff::Timestamp;

use super::args::SelectionArgs;
use crate::selection::{Age, Case, Filters, IgnoreFiles, Links, Rule, Rules, WalkOptions};
use upload_types::error::{Error, Kind, Result};

/// How directories are walked.
pub fn walk_options(flags: &SelectionArgs) -> WalkOptions {
    WalkOptions {
        links: if flags.follow_symlinks {
            Links::Follow
        } else {
            Links::Skip
        },
        one_file_system: flags.one_file_system,
        ignore_files: IgnoreFiles {
            names: flags.ignore_file.clone(),
            git: flags.gitignore,
            case: case(flags),
        },
        ..WalkOptions::default()
    }
}

fn case(flags: &SelectionArgs) -> Case {
    if flags.ignore_case {
        Case::Insensitive
    } else {
        Case::Sensitive
    }
}

/// The filters of the flags. Ages count from `now`.
///
/// # Errors
/// [`Kind::Usage`] if a pattern is wrong, or a pattern file cannot be read.
pub fn filters(flags: &SelectionArgs, now: Timestamp) -> Result<Filters> {
    let case = case(flags);
    let of_flag = |flag: &'static str, patterns: &[String]| -> Result<Vec<Rule>> {
        let rules = patterns
            .iter()
            .map(|text| Rule::from_flag(flag, text, case));
        rules.collect()
    };
    let include = of_flag("--include", &flags.include)?;
    let mut exclude = of_flag("--exclude", &flags.exclude)?;
    for file in &flags.exclude_from {
        let unreadable = |error: io::Error| {
            let what = format!("could not read the patterns in {}", file.display());
            Error::new(Kind::Usage, what)
                .with_source(error)
                .with_hint("name a readable file of UTF-8 text with --exclude-from FILE")
        };
        let text = fs::read_to_string(file).map_err(unreadable)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        exclude.extend(Rule::from_file(file, text, case)?);
    }
    let newer = flags
        .newer_than
        .map(|since| Age::NewerThan(since.time(now).as_nanosecond()));
    let older = flags
        .older_than
        .map(|since| Age::OlderThan(since.time(now).as_nanosecond()));
    let mut filters = Filters::new(Rules::new(include)?, Rules::new(exclude)?);
    (filters.min_size, filters.max_size) = (flags.min_size, flags.max_size);
    filters.ages = newer.into_iter().chain(older).collect();
    if flags.exclude_junk {
        filters.without_junk()
    } else {
        Ok(filters)
    }
}
