//! The results of a selection: files, entries that were left out, and failures.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use upload_types::error::Error;

/// One result.
#[derive(Debug)]
pub enum Found {
    File(Selected),
    Skipped {
        path: PathBuf,
        reason: Reason,
        /// The rule that left it out, as the user wrote it.
        rule: Option<String>,
    },
    /// A pattern that matched nothing.
    Unmatched {
        /// The rule as the user wrote it.
        rule: String,
    },
    /// An entry that was deleted after it was found.
    Vanished {
        path: PathBuf,
    },
    /// An entry that could not be read. The others follow.
    Failed {
        path: PathBuf,
        error: Error,
    },
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    pub path: PathBuf,
    /// Its path from the directory or list that named it, with `/` between names.
    pub relative: String,
    /// The size in bytes, when it was found.
    pub size: u64,
    /// Its attributes in a map.
    pub attributes: Option<Box<Attributes>>,
}

/// The attributes of a file in a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub key: Option<String>,
    pub content_type: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// Not checked yet.
    pub of_object: upload_types::wire::Attributes,
}

/// The reason for which an entry is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Link,
    Fifo,
    Socket,
    Device,
    /// It matches an `--exclude`.
    Excluded,
    /// It matches no `--include`.
    NotIncluded,
    /// A rule of an ignore file names it.
    Ignored,
    Junk,
    Size,
    Age,
    /// A directory without entries.
    EmptyDirectory,
    OtherFileSystem,
    /// A directory that another link has led to.
    Repeated,
    /// A file that this program writes itself: its receipts or its journal.
    Own,
    /// It was deleted after it was found.
    Vanished,
}

impl Reason {
    /// The name in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Device => "device",
            Self::Excluded => "excluded",
            Self::NotIncluded => "not_included",
            Self::Ignored => "ignored",
            Self::Junk => "junk",
            Self::Size => "size",
            Self::Age => "age",
            Self::EmptyDirectory => "empty_directory",
            Self::OtherFileSystem => "other_file_system",
            Self::Repeated => "repeated",
            Self::Own => "own",
            Self::Vanished => "vanished",
        }
    }
}

/// The identity of a file under all its names: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    pub dev: u64,
    pub ino: u64,
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        }
    }
}
