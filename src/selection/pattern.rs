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

/// Whether a pattern begins with `!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Negated {
    No,
    Yes,
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
            Some(rest) => Self::new(line, rest, Negated::Yes, case).map(Some),
            None => Self::new(line, line, Negated::No, case).map(Some),
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
        Self::new(text, text, Negated::No, case)
    }

    fn new(text: &str, pattern: &str, negated: Negated, case: Case) -> Result<Self, String> {
        let (pattern, directories_only) = match pattern.strip_suffix('/') {
            Some(name) => (name, true),
            None => (pattern, false),
        };
        let is_anchored = pattern.contains('/');
        let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
        if pattern.is_empty() {
            return Err(format!("the pattern `{text}` names nothing"));
        }
        let pattern = for_globset(pattern)
            .map_err(|reason| format!("`{text}` is not a pattern: {reason}"))?;
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
            is_negated: negated == Negated::Yes,
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

/// Writes a pattern of git for `globset`, in which braces have a meaning.
///
/// # Errors
/// The reason, if a class is wrong.
fn for_globset(pattern: &str) -> Result<String, String> {
    let mut text = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
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
                let (class, rest) = Class::parse(chars.as_str())?;
                text.push_str(&class.for_globset());
                chars = rest.chars();
            }
            _ => text.push(c),
        }
    }
    Ok(text)
}

/// A set of characters in brackets.
#[derive(Debug)]
struct Class {
    is_negated: bool,
    /// The first and the last character of each range.
    ranges: Vec<(char, char)>,
}

impl Class {
    /// Parses a class as git does: with escapes, and with names such as `[:digit:]`. `text` begins
    /// after its opening bracket. Returns it and the text after its closing bracket.
    ///
    /// # Errors
    /// The reason, if it is not a class.
    fn parse(text: &str) -> Result<(Self, &str), String> {
        let unclosed = || "a `[` has no `]`".to_owned();
        let members = text.strip_prefix(['!', '^']);
        let mut class = Self {
            is_negated: members.is_some(),
            ranges: Vec::new(),
        };
        let mut chars = members.unwrap_or(text).chars();
        let mut is_first = true;
        // The character with which a range may begin.
        let mut before = None;
        loop {
            let c = chars.next().ok_or_else(unclosed)?;
            // A bracket that comes first is a member.
            if c == ']' && !is_first {
                return Ok((class, chars.as_str()));
            }
            is_first = false;
            if c == '['
                && let Some((name, rest)) = class_name(chars.as_str())
            {
                let ranges =
                    named_ranges(name).ok_or_else(|| format!("there is no class `[:{name}:]`"))?;
                class.ranges.extend_from_slice(ranges);
                chars = rest.chars();
                before = None;
                continue;
            }
            let is_last = chars.as_str().starts_with(']');
            let first = before.filter(|_| c == '-' && !is_last);
            let mut last = c;
            if first.is_some() {
                last = chars.next().ok_or_else(unclosed)?;
            }
            if last == '\\' {
                last = chars.next().ok_or_else(unclosed)?;
            }
            class.ranges.push((first.unwrap_or(last), last));
            before = if first.is_some() { None } else { Some(last) };
        }
    }

    fn contains(&self, c: char) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&c))
    }

    /// The class in the language of `globset`, which knows neither escapes nor names.
    fn for_globset(&self) -> String {
        let mut text = "[".to_owned();
        if self.is_negated {
            text.push('!');
        }
        // No path has NUL: it only keeps the next character from being read as a negation.
        text.push(if self.contains(']') { ']' } else { '\0' });
        if self.is_negated {
            text.push('/');
        }
        for (first, last) in &self.ranges {
            let mut first = *first;
            for special in *b"-/]" {
                let c = char::from(special);
                if (first..=*last).contains(&c) {
                    push_range(&mut text, first, char::from(special - 1));
                    first = char::from(special + 1);
                }
            }
            push_range(&mut text, first, *last);
        }
        if self.contains('-') {
            text.push('-');
        }
        text.push(']');
        text
    }
}

/// Adds a range to a class, unless it is empty.
fn push_range(text: &mut String, first: char, last: char) {
    if first <= last {
        text.push(first);
    }
    if first < last {
        text.extend(['-', last]);
    }
}

/// The name in `:NAME:]`, and the text after it.
fn class_name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix(':')?.split_once(']')?;
    Some((name.strip_suffix(':')?, rest))
}

/// The characters of a named class.
fn named_ranges(name: &str) -> Option<&'static [(char, char)]> {
    Some(match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\u{1}', '\u{1f}'), ('\u{7f}', '\u{7f}')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    })
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
