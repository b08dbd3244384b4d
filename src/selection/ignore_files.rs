//! Ignore files: `.gitignore`, as git reads it, and files of other names with the same language.
//!
//! The deepest file that names an entry decides; in a file, its last line. Files of other names
//! precede `.gitignore`. The file of the user (`core.excludesFile`) is not read: all machines must
//! agree.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::filters::LeftOut;
use super::pattern::{Case, PathKind, Pattern, PatternSet};
use super::selection_results::Reason;
use upload_types::error::{Error, Kind, Result};

/// The largest ignore file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;
const GITIGNORE: &str = ".gitignore";
const GIT_DIR: &str = ".git";

/// Which ignore files are read.
#[derive(Debug, Clone, Default)]
pub struct IgnoreFiles {
    /// The names of files in each directory.
    pub names: Vec<OsString>,
    /// Read `.gitignore` too, and leave out `.git`.
    pub git: bool,
    pub case: Case,
}

/// The rules that hold in a directory: its own, and those of the directories above it.
#[derive(Debug)]
pub struct IgnoreRules {
    /// Absolute; the paths of patterns begin here.
    directory: PathBuf,
    /// For each kind of file, in the order in which they decide.
    files: Vec<Option<RuleFile>>,
    above: Option<Arc<IgnoreRules>>,
}

#[derive(Debug)]
struct RuleFile {
    path: PathBuf,
    patterns: PatternSet,
}

impl IgnoreFiles {
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.git || !self.names.is_empty()
    }

    /// The rules of the directories above `root` (absolute) that belong to the same repository.
    /// `None` outside a repository.
    ///
    /// # Errors
    /// [`Kind::NoSource`] if a file cannot be read.
    pub fn above(&self, root: &Path) -> Result<Option<Arc<IgnoreRules>>> {
        if !self.git {
            return Ok(None);
        }
        let is_repository = |directory: &&Path| directory.join(GIT_DIR).symlink_metadata().is_ok();
        let Some(repository) = root.ancestors().find(is_repository) else {
            return Ok(None);
        };
        let mut directories: Vec<&Path> = root
            .ancestors()
            .skip(1)
            .take_while(|directory| directory.starts_with(repository))
            .collect();
        directories.reverse();
        let mut rules = None;
        for directory in directories {
            rules = self.in_directory(directory, rules)?;
        }
        Ok(rules)
    }

    /// The rules that hold in `directory` (absolute).
    ///
    /// # Errors
    /// [`Kind::NoSource`] if a file cannot be read.
    pub fn in_directory(
        &self,
        directory: &Path,
        above: Option<Arc<IgnoreRules>>,
    ) -> Result<Option<Arc<IgnoreRules>>> {
        let mut paths: Vec<PathBuf> = self.names.iter().map(|name| directory.join(name)).collect();
        if self.git {
            paths.push(directory.join(GITIGNORE));
            paths.push(directory.join(GIT_DIR).join("info/exclude"));
        }
        let files = paths.into_iter().map(|path| self.read(path));
        let files = files.collect::<Result<Vec<_>>>()?;
        if files.iter().all(Option::is_none) {
            return Ok(above);
        }
        Ok(Some(Arc::new(IgnoreRules {
            directory: directory.to_owned(),
            files,
            above,
        })))
    }

    /// Reads a file. Returns `None` if there is none, or it has no rules. A line that is not a
    /// pattern matches nothing, as in git.
    fn read(&self, path: PathBuf) -> Result<Option<RuleFile>> {
        let unreadable = |error: io::Error| {
            let what = format!("could not read the ignore file {}", path.display());
            Error::new(Kind::NoSource, what)
                .with_source(error)
                .with_hint("make the file readable, or remove it")
        };
        let text = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_FILE_BYTES => {
                fs::read(&path).map_err(unreadable)?
            }
            Ok(metadata) if metadata.is_file() => {
                let reason = "it has more than 4 MiB";
                return Err(unreadable(io::Error::other(reason)));
            }
            Ok(_) => return Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(error)),
        };
        let text = String::from_utf8_lossy(&text);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let patterns = text
            .lines()
            .filter_map(|line| Pattern::from_line(line, self.case).ok().flatten());
        let patterns = PatternSet::new(patterns.collect())
            .map_err(|reason| unreadable(io::Error::other(reason)))?;
        Ok((!patterns.is_empty()).then_some(RuleFile { path, patterns }))
    }

    /// Whether an entry with this name is left out without a rule: the directory of git.
    #[must_use]
    pub fn names_git_directory(&self, path: &Path) -> bool {
        self.git && path.file_name().is_some_and(|name| name == GIT_DIR)
    }
}

impl IgnoreRules {
    /// Why the entry at `path` (absolute) is left out, if it is.
    #[must_use]
    pub fn left_out(&self, path: &Path, kind: PathKind) -> Option<LeftOut> {
        let kinds = self.chain().map(|rules| rules.files.len()).max()?;
        for index in 0..kinds {
            let deciding = self.chain().find_map(|rules| {
                let file = rules.files.get(index)?.as_ref()?;
                let below = path.strip_prefix(&rules.directory).ok()?;
                let pattern = file.patterns.last_match(below, kind)?;
                Some((file, pattern))
            });
            if let Some((file, pattern)) = deciding {
                let rule = format!("{}: {}", file.path.display(), pattern.text());
                return (!pattern.is_negated()).then(|| LeftOut::new(Reason::Ignored, rule));
            }
        }
        None
    }

    /// The rules from the deepest directory upwards.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |rules| rules.above.as_deref())
    }
}

#[cfg(test)]
#[path = "ignore_files_tests.rs"]
mod tests;
