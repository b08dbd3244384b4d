//! The definition of a set: what finds its files again, and uploads them in the same way. The
//! journal holds it as JSON, and `resume` reads it.
//!
//! Not here: the row in the journal (`journal::FileSet`), and the search (`selection`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::args::SelectionArgs;
use super::keys::KeyRule;
use super::settings::PutOptions;
use crate::journal::{FileSet, S3Service, SetIntent};
use upload_types::KeyForm;
use upload_types::error::{Error, Kind, Result};

/// The most paths that a message names of a set.
const MAX_NAMED: usize = 3;

/// All paths are absolute, except those in lists and maps. Those of `put` begin with the directory
/// of `-C`, if the selection has one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetDefinition {
    /// Relative paths in lists and maps begin here.
    pub directory: PathBuf,
    pub selection: SelectionArgs,
    pub keys: KeyRule,
    pub put: PutOptions,
}

impl SetDefinition {
    /// The definition of a set that is named in the directory `working`. Returns `None` if its list
    /// is a stream, which cannot be read again.
    #[must_use]
    pub fn new(
        working: &Path,
        selection: &SelectionArgs,
        keys: &KeyRule,
        put: &PutOptions,
    ) -> Option<Self> {
        let mut lists = selection.files_from.iter().chain(&selection.map);
        if lists.any(|list| is_stream(list)) {
            return None;
        }
        let (mut selection, mut put) = (selection.clone(), put.clone());
        let optional = [
            &mut selection.files_from,
            &mut selection.map,
            &mut selection.base,
            &mut selection.directory,
        ];
        let optional = optional.into_iter().flatten();
        let paths = put.paths.iter_mut().chain(&mut selection.exclude_from);
        // A join keeps `DIR/.`, which has a meaning.
        paths
            .chain(optional)
            .for_each(|path| *path = working.join(&path));
        let directory = selection.directory.as_deref().unwrap_or(working).to_owned();
        Some(Self {
            directory,
            selection,
            keys: keys.clone(),
            put,
        })
    }

    /// The row for the journal, at a backend. Returns `None` if a path is not UTF-8, which JSON
    /// cannot hold.
    #[must_use]
    pub fn intent(&self, backend: String, s3_service: Option<S3Service>) -> Option<SetIntent> {
        let has_list = self.selection.files_from.is_some() || self.selection.map.is_some();
        let paths = self.put.paths.iter().map(PathBuf::as_path);
        let paths = paths.map(without_last_slashes);
        let identity = (
            has_list.then_some(&self.directory),
            paths.collect::<Vec<_>>(),
            &self.selection,
            &self.keys,
        );
        let identity = match self.put.key_form {
            KeyForm::Normalised => serde_json::to_string(&identity),
            KeyForm::AsGiven => serde_json::to_string(&(identity, KeyForm::AsGiven)),
        };
        Some(SetIntent {
            backend,
            s3_service,
            name: self.name(),
            identity: identity.ok()?,
            definition: serde_json::to_string(self).ok()?,
        })
    }

    /// Reads the definition of a set of the journal.
    ///
    /// # Errors
    /// [`Kind::Other`] if another version of this program has written it.
    pub fn of(set: &FileSet) -> Result<Self> {
        serde_json::from_str(&set.intent.definition).map_err(|error| {
            let what = format!(
                "could not continue {}: another version of upload has begun it",
                set.intent.name
            );
            Error::new(Kind::Other, what)
                .with_source(error)
                .with_hint(format!(
                    "continue it with that version, or run its command again and end this set with \
                     `upload abort {}`",
                    set.id
                ))
        })
    }

    /// Its directories and lists, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let (list, map) = (&self.selection.files_from, &self.selection.map);
        set_name(&self.put.paths, list.as_deref(), map.as_deref())
    }

    /// Whether a path that `is_this` recognizes names it: one of its directories, lists and maps,
    /// that of `-C`, or its only file.
    pub fn is_named(&self, is_this: impl Fn(&Path) -> bool) -> bool {
        if self.selection.directory.as_deref().is_some_and(&is_this) {
            return true;
        }
        let lists = self.selection.files_from.iter().chain(&self.selection.map);
        let is_only = self.sources().count() == 1;
        let mut paths = self.put.paths.iter();
        paths.any(|path| is_this(path) && (is_only || !path.is_file()))
            || lists.into_iter().any(|list| is_this(list))
    }

    /// The files and directories that its command named, and its lists.
    pub fn sources(&self) -> impl Iterator<Item = &Path> {
        let paths = self.put.paths.iter();
        let lists = self.selection.files_from.iter().chain(&self.selection.map);
        paths.chain(lists).map(PathBuf::as_path)
    }
}

/// `DIR/` is `DIR`. `DIR/.` is not.
fn without_last_slashes(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let slashes = bytes.iter().rev().take_while(|byte| **byte == b'/').count();
    let end = (bytes.len() - slashes).max(1);
    PathBuf::from(OsStr::from_bytes(&bytes[..end]))
}

/// The directories and lists of a set, for messages.
pub fn set_name(paths: &[PathBuf], list: Option<&Path>, map: Option<&Path>) -> String {
    let shown = |path: &Path| match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => path.display().to_string(),
    };
    let mut names: Vec<String> = paths
        .iter()
        .take(MAX_NAMED)
        .map(|path| shown(path))
        .collect();
    if paths.len() > MAX_NAMED {
        names.push("…".to_owned());
    }
    names.extend(list.map(|list| format!("the list {}", shown(list))));
    names.extend(map.map(|map| format!("the map {}", shown(map))));
    names.join(", ")
}

/// Whether a list can be read only once.
fn is_stream(list: &Path) -> bool {
    list.as_os_str() == "-" || list.metadata().is_ok_and(|metadata| !metadata.is_file())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use jiff::Timestamp;

    use super::*;
    use crate::journal::SetProgress;
    use upload_types::wire::{Attributes, IfExists};

    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        selection: SelectionArgs,
    }

    fn defined(flags: &[&str], force: bool) -> Option<SetDefinition> {
        let words = ["upload"].iter().chain(flags);
        let selection = CommandLine::parse_from(words).selection;
        let put = PutOptions {
            paths: ["card/.", "/abs"].map(PathBuf::from).to_vec(),
            name: None,
            part_size: Some(5 << 20),
            content_type: None,
            metadata: [("a".to_owned(), "b".to_owned())].into(),
            attributes: Box::new(Attributes::NONE),
            key_style: None,
            if_exists: IfExists::Skip,
            if_changed: crate::cli::args::IfChanged::Fail,
            force,
            key_form: KeyForm::Normalised,
            trust_journal: false,
            dry_run: false,
        };
        let keys = KeyRule::Named {
            prefix: "in/".to_owned(),
        };
        SetDefinition::new(Path::new("/data"), &selection, &keys, &put)
    }

    fn set_of(intent: SetIntent) -> FileSet {
        FileSet {
            row: 1,
            id: String::new(),
            intent,
            progress: SetProgress::default(),
            created_at: Timestamp::UNIX_EPOCH,
            is_new: false,
        }
    }

    fn intent(definition: &SetDefinition) -> SetIntent {
        definition.intent("embedded".to_owned(), None).unwrap()
    }

    #[test]
    fn every_field_comes_back() {
        let flags = [
            "-r",
            "--include=*.mov",
            "--exclude=tmp/",
            "--exclude-from=rules",
            "--gitignore",
            "--ignore-file=.uploadignore",
            "--max-size=5GiB",
            "--min-size=1",
            "--newer-than=24h",
            "--older-than=2026-11-29",
            "--ignore-case",
            "--exclude-junk",
            "--follow-symlinks",
            "-x",
            "--ignore-vanished",
            "--files-from=list",
            "-0",
            "--base=base",
        ];
        let definition = defined(&flags, false).unwrap();
        let row = intent(&definition);
        let read = SetDefinition::of(&set_of(row.clone())).unwrap();
        assert_eq!(intent(&read).definition, row.definition);
        assert_eq!(intent(&read).identity, row.identity);
        assert_eq!(
            format!("{:?}", read.selection),
            format!("{:?}", definition.selection)
        );
        assert_eq!(read.put, definition.put);
        assert_eq!(read.keys, definition.keys);
        let mut paths = read.put.paths.iter().map(|path| path.to_str().unwrap());
        assert_eq!(paths.next(), Some("/data/card/."), "the dot has a meaning");
        assert_eq!(paths.next(), Some("/abs"));
        let list = read.selection.files_from.as_deref();
        assert_eq!(list, Some(Path::new("/data/list")));
    }

    #[test]
    fn set_that_cannot_be_run_again_has_no_definition() {
        assert!(defined(&["--files-from=-"], false).is_none());
        assert!(defined(&["--map=-"], false).is_none());
        assert!(defined(&["--map=/dev/null"], false).is_none());
        assert!(defined(&["-r"], true).is_some());
    }

    #[test]
    fn set_is_the_same_for_other_attributes_and_another_one_for_other_files() {
        let one = defined(&["-r"], false).unwrap();
        let mut other = one.clone();
        (other.put.if_exists, other.put.force) = (IfExists::Update, true);
        other.put.metadata.clear();
        assert_eq!(intent(&one).identity, intent(&other).identity);
        assert_ne!(intent(&one).definition, intent(&other).definition);
        let filtered = defined(&["-r", "--exclude=a"], false).unwrap();
        assert_ne!(intent(&one).identity, intent(&filtered).identity);
        let mut as_given = one.clone();
        as_given.put.key_form = KeyForm::AsGiven;
        assert_ne!(intent(&one).identity, intent(&as_given).identity);
        let read = SetDefinition::of(&set_of(intent(&as_given))).unwrap();
        assert_eq!(read.put, as_given.put);
        assert!(!intent(&one).definition.contains("key_form"));
        other.keys = KeyRule::Made;
        assert_ne!(intent(&one).identity, intent(&other).identity);
    }

    #[test]
    fn set_is_the_same_from_another_directory_unless_it_has_a_list() {
        let from = |directory: &str, paths: &[&str], flags: &[&str]| {
            let mut one = defined(flags, false).unwrap();
            one.put.paths = paths.iter().map(PathBuf::from).collect();
            one.directory = directory.into();
            intent(&one).identity
        };
        let one = from("/data", &["/data/card"], &["-r"]);
        assert_eq!(from("/home", &["/data/card//"], &["-r"]), one);
        assert_ne!(from("/data", &["/data/card/."], &["-r"]), one);
        assert_ne!(from("/data", &["/"], &["-r"]), one);
        let list = "--files-from=/list";
        assert_ne!(from("/data", &[], &[list]), from("/home", &[], &[list]));
    }

    #[test]
    fn directory_of_a_set_is_kept_and_part_of_its_identity() {
        let below = defined(&["-r", "-C", "card"], false).unwrap();
        assert_eq!(below.directory, Path::new("/data/card"));
        let row = intent(&below);
        let read = SetDefinition::of(&set_of(row.clone())).unwrap();
        let directory = read.selection.directory.as_deref();
        assert_eq!(directory, Some(Path::new("/data/card")));
        assert_eq!(intent(&read).identity, row.identity);
        assert!(below.is_named(|path| path == Path::new("/data/card")));
        let without = intent(&defined(&["-r"], false).unwrap());
        assert_ne!(row.identity, without.identity);
        assert!(!without.definition.contains(r#""directory":null"#));
    }

    #[test]
    fn definition_with_an_unknown_filter_is_not_read() {
        let mut row = intent(&defined(&["-r"], false).unwrap());
        let later = row
            .definition
            .replacen("\"include\"", "\"include_later\"", 1);
        assert_ne!(later, row.definition);
        row.definition = later;
        assert!(SetDefinition::of(&set_of(row)).is_err());
    }
}
