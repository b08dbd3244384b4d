//! Patterns in the language of `.gitignore`: `*`, `?`, `[…]` and `**`; a pattern without a slash
//! matches names at any depth, one with a slash is anchored at its directory, a trailing slash
//! means directories only.
//!
//! As in git, braces are ordinary characters. Not here: which of several patterns decides
//! (`filters`, `ignore_files`).

use std::path::Path;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// Whether upper and lower case differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Case {
    #[default]
    Sensitive,
    Insensitive,
}

/// Whether a path is that of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    File,
    Directory,
}

/// One pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    glob: Glob,
    directories_only: bool,
    is_negated: bool,
}

impl Pattern {
    /// Parses a line of a file. Returns `None` for a comment and for an empty line.
    ///
    /// # Errors
    /// The reason, if it is not a pattern.
    pub fn from_line(line: &str, case: Case) -> Result<Option<Self>, String> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = without_trailing_spaces(line);
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        match line.strip_prefix('!') {
            Some(rest) => Self::new(line, rest, true, case).map(Some),
            None => Self::new(line, line, false, case).map(Some),
        }
    }

    /// Parses the value of a flag: there are no comments and no negations.
    ///
    /// # Errors
    /// The reason, if it is not a pattern.
    pub fn from_flag(text: &str, case: Case) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a pattern must not be empty".to_owned());
        }
        if text.starts_with('!') {
            return Err(format!(
                "the pattern `{text}` begins with `!`; write \\! for a name that begins with it"
            ));
        }
        Self::new(text, text, false, case)
    }

    fn new(text: &str, pattern: &str, is_negated: bool, case: Case) -> Result<Self, String> {
        let (pattern, directories_only) = match pattern.strip_suffix('/') {
            Some(name) => (name, true),
            None => (pattern, false),
        };
        let is_anchored = pattern.contains('/');
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        if pattern.is_empty() {
            return Err(format!("the pattern `{text}` names nothing"));
        }
        let pattern = for_globset(pattern);
        let pattern = if is_anchored {
            pattern
        } else {
            format!("**/{pattern}")
        };
        let glob = GlobBuilder::new(&pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .case_insensitive(case == Case::Insensitive)
            .build()
            .map_err(|error| format!("`{text}` is not a pattern: {}", error.kind()))?;
        Ok(Self {
            text: text.to_owned(),
            glob,
            directories_only,
            is_negated,
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it begins with `!`.
    #[must_use]
    pub fn is_negated(&self) -> bool {
        self.is_negated
    }
}

/// Spaces at the end do not count, unless a backslash precedes them.
fn without_trailing_spaces(line: &str) -> &str {
    let mut line = line;
    while let Some(shorter) = line.strip_suffix(' ') {
        if shorter.ends_with('\\') {
            break;
        }
        line = shorter;
    }
    line
}

/// Writes a pattern of git for `globset`: braces are ordinary characters, and a negated class does
/// not match a slash.
fn for_globset(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                text.push(c);
                text.extend(chars.next());
            }
            '{' | '}' => {
                text.push('\\');
                text.push(c);
            }
            '[' => {
                text.push(c);
                if let Some(negation @ ('!' | '^')) = chars.peek().copied() {
                    chars.next();
                    text.push(negation);
                    // A bracket that comes first is a member of the class.
                    text.extend(chars.next_if_eq(&']'));
                    text.push('/');
                }
                copy_class(&mut chars, &mut text);
            }
            _ => text.push(c),
        }
    }
    text
}

/// Copies the rest of a class, up to its closing bracket.
fn copy_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, text: &mut String) {
    text.extend(chars.next_if_eq(&']'));
    for c in chars.by_ref() {
        text.push(c);
        if c == ']' {
            break;
        }
    }
}

/// Patterns that are matched together.
#[derive(Debug, Default)]
pub struct PatternSet {
    patterns: Vec<Pattern>,
    globs: GlobSet,
    matching: Vec<usize>,
}

impl PatternSet {
    /// # Errors
    /// The reason, if together they are too large to be compiled.
    pub fn new(patterns: Vec<Pattern>) -> Result<Self, String> {
        let mut builder = GlobSetBuilder::new();
        for pattern in &patterns {
            builder.add(pattern.glob.clone());
        }
        let globs = builder
            .build()
            .map_err(|error| format!("the patterns cannot be used together: {error}"))?;
        Ok(Self {
            patterns,
            globs,
            matching: Vec::new(),
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The indices of the patterns that match a path below their directory, in their order.
    pub fn matching(&mut self, path: &Path, kind: PathKind) -> &[usize] {
        if self.patterns.is_empty() {
            return &[];
        }
        self.globs.matches_into(path, &mut self.matching);
        let patterns = &self.patterns;
        self.matching
            .retain(|index| kind == PathKind::Directory || !patterns[*index].directories_only);
        &self.matching
    }

    /// The last pattern that matches.
    #[must_use]
    pub fn last_match(&self, path: &Path, kind: PathKind) -> Option<&Pattern> {
        if self.patterns.is_empty() {
            return None;
        }
        let mut matching = self.globs.matches(path).into_iter().rev();
        let counts =
            |index: &usize| kind == PathKind::Directory || !self.patterns[*index].directories_only;
        matching.find(counts).map(|index| &self.patterns[index])
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
