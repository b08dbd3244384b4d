//! The relative path of a listed file, and each listed file once.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Component, Path, PathBuf};

use super::names;

/// The directory from which the relative paths of listed files begin.
#[derive(Debug, Clone)]
pub struct Base {
    /// As it was given, made absolute.
    given: PathBuf,
    /// Without symbolic links.
    canonical: PathBuf,
    working: PathBuf,
}

/// A path has no relative path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unnamed {
    /// It is absolute or leaves the working directory, and no base is given.
    NeedsBase,
    OutsideBase,
    /// It is the base or the working directory itself.
    Empty,
}

impl Base {
    /// `base` (relative to `working`, which is absolute) as a base.
    #[must_use]
    pub fn new(working: &Path, base: &Path) -> Self {
        let given = cleaned(&working.join(base));
        let canonical = given.canonicalize().unwrap_or_else(|_| given.clone());
        Self {
            given,
            canonical,
            working: working.to_owned(),
        }
    }

    fn relative(&self, path: &Path) -> Result<String, Unnamed> {
        let absolute = cleaned(&self.working.join(path));
        let below = [&self.given, &self.canonical]
            .into_iter()
            .find_map(|base| absolute.strip_prefix(base).ok());
        let below = below.ok_or(Unnamed::OutsideBase)?;
        if below.as_os_str().is_empty() {
            return Err(Unnamed::Empty);
        }
        Ok(names::relative_path(below.iter()))
    }
}

/// The relative path of a listed path: from the base or, without one, as it was written, without
/// dots and double slashes.
///
/// # Errors
/// It has none.
pub fn relative(path: &Path, base: Option<&Base>) -> Result<String, Unnamed> {
    if let Some(base) = base {
        return base.relative(path);
    }
    let mut names: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => names.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Unnamed::NeedsBase);
            }
        }
    }
    if names.is_empty() {
        return Err(Unnamed::Empty);
    }
    Ok(names::relative_path(names))
}

/// The relative path of a path that begins with `directory`, as [`relative`] returns it.
///
/// # Errors
/// It has none.
pub fn relative_to(directory: &Path, path: &Path) -> Result<String, Unnamed> {
    let below = path.strip_prefix(directory);
    relative(below.map_err(|_| Unnamed::OutsideBase)?, None)
}

/// An absolute path without `.` and `..`.
fn cleaned(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            component => cleaned.push(component),
        }
    }
    cleaned
}

/// The paths so far, as hashes of 128 bits: a million paths take some 32 MiB.
#[derive(Debug, Default)]
pub struct SeenPaths {
    keys: (RandomState, RandomState),
    seen: HashSet<(u64, u64)>,
}

impl SeenPaths {
    /// Adds a path. Returns false if it was added before.
    pub fn is_new(&mut self, path: &Path) -> bool {
        let components = path.components();
        let named = components.filter(|component| *component != Component::CurDir);
        let path: PathBuf = named.collect();
        let (first, second) = &self.keys;
        let hash = (first.hash_one(&path), second.hash_one(&path));
        self.seen.insert(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_path_is_as_written_and_cleaned() {
        for (path, expected) in [
            ("a/b", Ok("a/b")),
            ("./a//b/./c", Ok("a/b/c")),
            ("a/", Ok("a")),
            ("/a", Err(Unnamed::NeedsBase)),
            ("a/../b", Err(Unnamed::NeedsBase)),
            ("../b", Err(Unnamed::NeedsBase)),
            (".", Err(Unnamed::Empty)),
        ] {
            let found = relative(Path::new(path), None);
            assert_eq!(found, expected.map(str::to_owned), "{path}");
        }
    }

    #[test]
    fn relative_path_begins_at_the_base() {
        let base = Base::new(Path::new("/w/a"), Path::new("/w"));
        for (path, expected) in [
            ("f", Ok("a/f")),
            ("../b/f", Ok("b/f")),
            ("/w/c/f", Ok("c/f")),
            ("/v/f", Err(Unnamed::OutsideBase)),
            ("../../f", Err(Unnamed::OutsideBase)),
            ("/w", Err(Unnamed::Empty)),
        ] {
            let found = relative(Path::new(path), Some(&base));
            assert_eq!(found, expected.map(str::to_owned), "{path}");
        }
    }

    #[test]
    fn relative_path_is_as_written_below_a_directory() {
        for (directory, path, expected) in [
            ("card", "card/a/b", Ok("a/b")),
            ("card/", "card/./a/.", Ok("a")),
            ("../card", "../card/a", Ok("a")),
            ("/card", "/card/.", Err(Unnamed::Empty)),
            (".", "./a", Ok("a")),
            ("card", "card/a/../b", Err(Unnamed::NeedsBase)),
            ("card", "/a", Err(Unnamed::OutsideBase)),
        ] {
            let found = relative_to(Path::new(directory), Path::new(path));
            assert_eq!(found, expected.map(str::to_owned), "{directory} {path}");
        }
    }

    #[test]
    fn path_is_new_once() {
        let mut seen = SeenPaths::default();
        assert!(seen.is_new(Path::new("a/b")));
        assert!(!seen.is_new(Path::new("a//b/")));
        assert!(!seen.is_new(Path::new("./a/./b")));
        assert!(seen.is_new(Path::new("a/c")));
    }
}
