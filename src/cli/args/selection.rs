//! The flags that select files: directories, filters, and lists.

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which are not Markdown"
)]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};

use crate::cli::parse::{self, Since};

#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(next_help_heading = "Directories and lists")]
pub struct SelectionArgs {
    /// Upload the files below directories too
    ///
    /// The paths of the files begin with the name of DIR, as with cp -r; DIR/ means the same. With
    /// DIR/. they begin below it. With a prefix or a bucket, this path is the end of the key.
    /// Hidden files are sent, symbolic links are left out, and so are pipes, sockets and devices;
    /// the summary counts them. Sending begins while directories are read.
    #[arg(short, long)]
    pub recursive: bool,
    /// Look for files in this directory; their keys have the paths as they are written
    ///
    /// As tar -C DIR: with -C card, DCIM/1.jpg is the file card/DCIM/1.jpg, and its key ends with
    /// DCIM/1.jpg if this command chooses the keys. With -r, the path . uploads everything in card;
    /// otherwise DIR/. is the same as DIR. The paths in --files-from and --map begin there too. A
    /// path that is absolute or contains .. is an error, except in --map. The files that other
    /// flags name, such as the list itself, are relative to the working directory.
    #[arg(
        short = 'C',
        long,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        conflicts_with = "base"
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Upload only files that match this pattern; repeatable
    ///
    /// The language is that of .gitignore: *, ?, ** and sets in brackets. A pattern without a slash
    /// matches names at any depth, one with a slash is anchored at DIR, and one that ends with a
    /// slash matches directories. A pattern that matches a directory also applies to all files
    /// below it. The order of the flags does not matter: a file is sent if it matches any
    /// --include, or none is given, and no --exclude. Files that are named on the command line or
    /// in a list are always sent.
    #[arg(long, value_name = "PATTERN")]
    pub include: Vec<String>,
    /// Leave out files and directories that match this pattern; repeatable. See --include
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Leave out what the patterns of this file match, one in each line; repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub exclude_from: Vec<PathBuf>,
    /// Leave out what .gitignore files exclude, and .git
    ///
    /// As git: the files of DIR and below, those above DIR up to the root of its repository, and
    /// .git/info/exclude; not the file of the user (core.excludesFile). Works outside a repository
    /// too. A tracked file that a rule excludes is left out.
    #[arg(long)]
    pub gitignore: bool,
    /// Read rules in the language of .gitignore from the files of this name, in DIR and below;
    /// repeatable
    #[arg(long, value_name = "NAME")]
    pub ignore_file: Vec<OsString>,
    /// Leave out files larger than this, such as 5GiB
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    pub max_size: Option<u64>,
    /// Leave out files smaller than this, such as 1
    ///
    /// A smaller stream is not completed, and the exit code is 65.
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    pub min_size: Option<u64>,
    /// Leave out files that were modified earlier: 24h for a day ago, or 2026-11-29 (UTC)
    #[arg(long, value_name = "AGE|DATE", value_parser = parse::since)]
    pub newer_than: Option<Since>,
    /// Leave out files that were modified later; as --newer-than
    #[arg(long, value_name = "AGE|DATE", value_parser = parse::since)]
    pub older_than: Option<Since>,
    /// Patterns and ignore files do not distinguish upper and lower case
    #[arg(long)]
    pub ignore_case: bool,
    /// Leave out .DS_Store, ._*, Thumbs.db, desktop.ini, .Spotlight-V100, .Trashes and @eaDir
    #[arg(long)]
    pub exclude_junk: bool,
    /// Follow symbolic links below directories; each directory is read once
    #[arg(long)]
    pub follow_symlinks: bool,
    /// Stay on the file system of each DIR
    #[arg(short = 'x', long)]
    pub one_file_system: bool,
    /// Files that are deleted while the command runs are no failure
    ///
    /// Without it, the exit code is 66.
    #[arg(long)]
    pub ignore_vanished: bool,
    /// Fail with exit code 66 if no file is found
    ///
    /// Without it, the exit code is 0 if directories and lists have no file, or the filters leave
    /// out every one. `upload resume` does not repeat it.
    #[arg(long)]
    #[serde(skip)]
    pub fail_if_empty: bool,
    /// Upload the files in this list, one in each line; - reads standard input
    ///
    /// Paths are verbatim: no patterns, no comments, no trimming. They are relative to the working
    /// directory, or to that of -C. A path that is absolute or contains .. needs --base.
    /// Directories need -r. Sending begins before the list ends. A path that is not there is
    /// reported with its line number; the others are sent.
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    pub files_from: Option<PathBuf>,
    /// The paths of --files-from are separated by NUL
    #[arg(short = '0', long, requires = "files_from")]
    pub null: bool,
    /// The directory at which the relative paths of listed files begin [default: the working
    /// directory]
    #[arg(
        long,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        requires = "files_from"
    )]
    pub base: Option<PathBuf>,
    /// Upload the files of this map, a JSON object in each line; - reads standard input
    ///
    /// Each object has a path, and optionally key, content_type, meta and tags (objects of texts),
    /// acl, cache_control, content_disposition, content_encoding, content_language, expires,
    /// storage_class and sse. They precede the flags of these names. A file without a key has the
    /// one that it would have in a list; if its path is absolute or contains .., its name alone
    /// counts.
    #[arg(
        long,
        value_name = "FILE|-",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = [
            "recursive", "include", "exclude", "exclude_from", "gitignore", "ignore_file", "max_size",
            "min_size", "newer_than", "older_than", "exclude_junk", "follow_symlinks",
            "one_file_system", "files_from", "base",
        ]
    )]
    pub map: Option<PathBuf>,
}

impl SelectionArgs {
    /// Whether the files are found while others are uploaded.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.recursive || self.files_from.is_some() || self.map.is_some()
    }

    /// The first flag that filters the files below directories.
    #[must_use]
    pub fn first_filter(&self) -> Option<&'static str> {
        self.filters().next()
    }

    /// The first of these that has no meaning for a stream.
    #[must_use]
    pub fn first_filter_of_files(&self) -> Option<&'static str> {
        self.filters().find(|flag| *flag != "--min-size")
    }

    fn filters(&self) -> impl Iterator<Item = &'static str> {
        [
            (!self.include.is_empty(), "--include"),
            (!self.exclude.is_empty(), "--exclude"),
            (!self.exclude_from.is_empty(), "--exclude-from"),
            (self.gitignore, "--gitignore"),
            (!self.ignore_file.is_empty(), "--ignore-file"),
            (self.max_size.is_some(), "--max-size"),
            (self.min_size.is_some(), "--min-size"),
            (self.newer_than.is_some(), "--newer-than"),
            (self.older_than.is_some(), "--older-than"),
            (self.exclude_junk, "--exclude-junk"),
            (self.follow_symlinks, "--follow-symlinks"),
            (self.one_file_system, "--one-file-system"),
        ]
        .into_iter()
        .filter_map(|(is_given, flag)| is_given.then_some(flag))
    }
}
