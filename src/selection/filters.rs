//! The filters for the files below a directory: a file is selected if it matches any include, or
//! none is given, and no exclude. The order of the patterns does not matter.
//!
//! A pattern that matches a directory also includes or excludes all files below it. Not here:
//! ignore files (`ignore_files`).

use std::path::Path;

use super::pattern::{Case, PathKind, Pattern, PatternSet};
use super::selection_results::Reason;
use upload_types::error::{Error, Kind, Result};

/// Names of files and directories that cameras and desktops leave behind.
const JUNK: [&str; 7] = [
    ".DS_Store",
    "._*",
    "Thumbs.db",
    "desktop.ini",
    ".Spotlight-V100",
    ".Trashes",
    "@eaDir",
];

/// A pattern with the place that it comes from.
#[derive(Debug, Clone)]
pub struct Rule {
    pattern: Pattern,
    /// For messages: `--exclude '*.tmp'`, or `rules.txt:3: *.tmp`.
    shown: String,
}

impl Rule {
    /// The value of the flag `flag`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it is not a pattern.
    pub fn from_flag(flag: &str, text: &str, case: Case) -> Result<Self> {
        let pattern = Pattern::from_flag(text, case).map_err(|reason| {
            let what = format!("could not use {flag}: {reason}");
            Error::new(Kind::Usage, what)
        })?;
        let shown = format!("{flag} '{text}'");
        Ok(Self { pattern, shown })
    }

    /// The rules of a pattern file with this text.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a line is not a pattern, or is a negation.
    pub fn from_file(path: &Path, text: &str, case: Case) -> Result<Vec<Self>> {
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), index + 1);
            let wrong = |reason: String| {
                Error::new(Kind::Usage, format!("could not use {place}: {reason}"))
            };
            let Some(pattern) = Pattern::from_line(line, case).map_err(wrong)? else {
                continue;
            };
            if pattern.is_negated() {
                let reason = format!("`{}` begins with `!`", pattern.text());
                let hint = "name the files to upload with --include, or use --ignore-file";
                return Err(wrong(reason).with_hint(hint));
            }
            let shown = format!("{place}: {}", pattern.text());
            rules.push(Self { pattern, shown });
        }
        Ok(rules)
    }
}

/// Rules that are matched together, and which of them have matched.
#[derive(Debug, Default)]
pub struct Rules {
    set: PatternSet,
    shown: Vec<String>,
    has_matched: Vec<bool>,
}

impl Rules {
    /// # Errors
    /// [`Kind::Usage`] if together they are too large to be compiled.
    pub fn new(rules: Vec<Rule>) -> Result<Self> {
        let has_matched = vec![false; rules.len()];
        let (patterns, shown) = rules
            .into_iter()
            .map(|rule| (rule.pattern, rule.shown))
            .unzip();
        let set = PatternSet::new(patterns).map_err(|what| Error::new(Kind::Usage, what))?;
        Ok(Self {
            set,
            shown,
            has_matched,
        })
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// The first rule that matches.
    fn first_match(&mut self, below: &Path, kind: PathKind) -> Option<&str> {
        let matching = self.set.matching(below, kind);
        for index in matching {
            self.has_matched[*index] = true;
        }
        matching.first().map(|index| self.shown[*index].as_str())
    }

    fn unmatched(&self) -> impl Iterator<Item = &str> {
        let rules = self.shown.iter().zip(&self.has_matched);
        rules.filter_map(|(shown, has_matched)| (!has_matched).then_some(shown.as_str()))
    }
}

/// A limit of the modification time, in nanoseconds since the epoch, and the flag that set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    NewerThan(i128),
    OlderThan(i128),
}

impl Age {
    fn permits(self, mtime_ns: i128) -> bool {
        match self {
            Self::NewerThan(time) => mtime_ns > time,
            Self::OlderThan(time) => mtime_ns < time,
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::NewerThan(_) => "--newer-than",
            Self::OlderThan(_) => "--older-than",
        }
    }
}

/// The filters of one command.
#[derive(Debug, Default)]
pub struct Filters {
    include: Rules,
    exclude: Rules,
    /// The limit in bytes.
    pub min_size: Option<u64>,
    /// The limit in bytes.
    pub max_size: Option<u64>,
    pub ages: Vec<Age>,
    junk: PatternSet,
}

/// Why an entry is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub reason: Reason,
    pub rule: String,
}

impl LeftOut {
    pub fn new(reason: Reason, rule: impl Into<String>) -> Self {
        let rule = rule.into();
        Self { reason, rule }
    }
}

/// Whether a file is in a directory that an include names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Above {
    Included,
    NotIncluded,
}

impl Filters {
    #[must_use]
    pub fn new(include: Rules, exclude: Rules) -> Self {
        Self {
            include,
            exclude,
            ..Self::default()
        }
    }

    /// Leaves out the files that cameras and desktops leave behind.
    ///
    /// # Errors
    /// Never: the patterns are fixed.
    pub fn without_junk(self) -> Result<Self> {
        let patterns = JUNK
            .iter()
            .map(|name| Pattern::from_flag(name, Case::Insensitive));
        let patterns = patterns.collect::<Result<Vec<_>, _>>();
        let junk = patterns.and_then(PatternSet::new);
        let junk = junk.map_err(|what| Error::new(Kind::Other, what))?;
        Ok(Self { junk, ..self })
    }

    /// Whether the directory at `below` (its path below the walked directory) is read. Returns
    /// whether an include names it.
    ///
    /// # Errors
    /// The reason for which it is left out.
    pub fn directory(&mut self, below: &Path, above: Above) -> Result<Above, LeftOut> {
        let is_included = self
            .include
            .first_match(below, PathKind::Directory)
            .is_some();
        if let Some(rule) = self.exclude.first_match(below, PathKind::Directory) {
            return Err(LeftOut::new(Reason::Excluded, rule));
        }
        self.reject_junk(below, PathKind::Directory)?;
        Ok(if is_included { Above::Included } else { above })
    }

    /// Whether the file at `below` is selected.
    ///
    /// # Errors
    /// The reason for which it is left out.
    pub fn file(
        &mut self,
        below: &Path,
        above: Above,
        size: u64,
        mtime_ns: i128,
    ) -> Result<(), LeftOut> {
        let is_included = self.include.first_match(below, PathKind::File).is_some();
        if let Some(rule) = self.exclude.first_match(below, PathKind::File) {
            return Err(LeftOut::new(Reason::Excluded, rule));
        }
        if !self.include.is_empty() && !is_included && above == Above::NotIncluded {
            return Err(LeftOut::new(Reason::NotIncluded, "no --include matches it"));
        }
        self.reject_junk(below, PathKind::File)?;
        if self.max_size.is_some_and(|max| size > max) {
            return Err(LeftOut::new(Reason::Size, "--max-size"));
        }
        if self.min_size.is_some_and(|min| size < min) {
            return Err(LeftOut::new(Reason::Size, "--min-size"));
        }
        match self.ages.iter().find(|age| !age.permits(mtime_ns)) {
            Some(age) => Err(LeftOut::new(Reason::Age, age.flag())),
            None => Ok(()),
        }
    }

    /// The exclude that matches an entry which is neither a file nor a directory, or that cannot be
    /// read.
    pub fn find_exclude(&mut self, below: &Path) -> Option<LeftOut> {
        let rule = self.exclude.first_match(below, PathKind::File)?;
        Some(LeftOut::new(Reason::Excluded, rule))
    }

    fn reject_junk(&mut self, below: &Path, kind: PathKind) -> Result<(), LeftOut> {
        match self.junk.matching(below, kind) {
            [] => Ok(()),
            _ => Err(LeftOut::new(Reason::Junk, "--exclude-junk")),
        }
    }

    /// The patterns that matched nothing so far.
    #[must_use]
    pub fn unmatched(&self) -> Vec<String> {
        let rules = self.include.unmatched().chain(self.exclude.unmatched());
        rules.map(str::to_owned).collect()
    }
}

#[cfg(test)]
#[path = "filters_tests.rs"]
mod tests;
