//! Walks through trees with entries of every kind.

use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;

use super::*;
use crate::selection::{Case, Rule, Rules};

struct Tree(tempfile::TempDir);

impl Tree {
    fn of(files: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for path in files {
            let path = tree.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// The relative paths of the files, and the other results by the name of their reason.
    fn walk(&self, options: &WalkOptions, filters: &mut Filters) -> (Vec<String>, Vec<String>) {
        let (mut files, mut others) = (Vec::new(), Vec::new());
        for found in Walk::new(self.0.path(), Some("root".into()), options, filters) {
            let shown = |path: PathBuf| {
                path.strip_prefix(self.0.path())
                    .unwrap()
                    .display()
                    .to_string()
            };
            match found {
                Found::File(file) => files.push(file.relative),
                Found::Skipped { path, reason, .. } => {
                    others.push(format!("{} {}", reason.name(), shown(path)));
                }
                Found::Failed { path, .. } => others.push(format!("failed {}", shown(path))),
                Found::Vanished { path } => others.push(format!("vanished {}", shown(path))),
                Found::Unmatched { rule } => others.push(rule),
            }
        }
        (files, others)
    }
}

#[test]
fn files_come_before_subdirectories_both_by_name() {
    let tree = Tree::of(&["b", "a/2", "a/1", "c/d/e", ".hidden", "a/z/y"]);
    let (files, others) = tree.walk(&WalkOptions::default(), &mut Filters::default());
    let expected = [
        "root/.hidden",
        "root/b",
        "root/a/1",
        "root/a/2",
        "root/a/z/y",
        "root/c/d/e",
    ];
    assert_eq!(files, expected);
    assert_eq!(others, Vec::<String>::new());
}

#[test]
fn links_special_files_and_empty_directories_are_left_out() {
    let tree = Tree::of(&["f"]);
    symlink("f", tree.path("link")).unwrap();
    symlink("missing", tree.path("dangling")).unwrap();
    fs::create_dir(tree.path("empty")).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, tree.path("fifo"), mode).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path("socket")).unwrap();
    let (files, others) = tree.walk(&WalkOptions::default(), &mut Filters::default());
    assert_eq!(files, ["root/f"]);
    let expected = [
        "link dangling",
        "fifo fifo",
        "link link",
        "socket socket",
        "empty_directory empty",
    ];
    assert_eq!(others, expected);
}

#[test]
fn followed_links_read_each_directory_once() {
    let tree = Tree::of(&["a/f", "g"]);
    symlink("..", tree.path("a/up")).unwrap();
    symlink("a", tree.path("z")).unwrap();
    symlink("g", tree.path("h")).unwrap();
    symlink("missing", tree.path("dangling")).unwrap();
    let options = WalkOptions {
        links: Links::Follow,
        ..WalkOptions::default()
    };
    let (files, others) = tree.walk(&options, &mut Filters::default());
    assert_eq!(files, ["root/g", "root/h", "root/a/f"]);
    assert_eq!(others, ["failed dangling", "repeated z", "repeated a/up"]);
}

#[test]
fn excluded_directory_is_not_read() {
    let tree = Tree::of(&["keep/f", "cut/g"]);
    // Reading it would be a failure.
    fs::remove_file(tree.path("cut/g")).unwrap();
    let rule = Rule::from_flag("--exclude", "cut/", Case::Sensitive).unwrap();
    let mut filters = Filters::new(Rules::default(), Rules::new(vec![rule]).unwrap());
    let (files, others) = tree.walk(&WalkOptions::default(), &mut filters);
    assert_eq!(files, ["root/keep/f"]);
    assert_eq!(others, ["excluded cut"], "its content was looked at");
}

#[test]
fn excluded_dangling_link_is_no_failure() {
    let tree = Tree::of(&["f"]);
    symlink("missing", tree.path("dangling")).unwrap();
    let rule = Rule::from_flag("--exclude", "dangling", Case::Sensitive).unwrap();
    let mut filters = Filters::new(Rules::default(), Rules::new(vec![rule]).unwrap());
    for links in [Links::Skip, Links::Follow] {
        let options = WalkOptions {
            links,
            ..WalkOptions::default()
        };
        let (files, others) = tree.walk(&options, &mut filters);
        assert_eq!(files, ["root/f"]);
        assert_eq!(others, ["excluded dangling"]);
    }
    assert!(filters.unmatched().is_empty());
}

#[test]
fn own_files_and_directories_are_left_out() {
    let tree = Tree::of(&[
        "receipts",
        ".receipts.123.tmp",
        "receipts-wal",
        "receipts-2",
        "receipts.mov",
        "receipts2",
        "store/x",
        "d/receipts",
    ]);
    let root = tree.0.path().canonicalize().unwrap();
    let options = WalkOptions {
        own_files: vec![root.join("receipts")],
        own_directories: vec![root.join("store")],
        ..WalkOptions::default()
    };
    let (files, others) = tree.walk(&options, &mut Filters::default());
    assert_eq!(
        files,
        [
            "root/receipts-2",
            "root/receipts.mov",
            "root/receipts2",
            "root/d/receipts"
        ]
    );
    assert_eq!(
        others,
        [
            "own .receipts.123.tmp",
            "own receipts",
            "own receipts-wal",
            "own store"
        ]
    );
}

#[test]
fn large_directory_and_strange_names_are_complete() {
    let tree = Tree::of(&[]);
    for number in 0..MAX_SORTED_NAMES + 10 {
        fs::write(tree.path(&number.to_string()), b"").unwrap();
    }
    let strange = OsString::from_vec(b"\xff\n".to_vec());
    fs::write(tree.0.path().join(strange), b"").unwrap();
    let (mut files, others) = tree.walk(&WalkOptions::default(), &mut Filters::default());
    assert_eq!((files.len(), others.len()), (MAX_SORTED_NAMES + 11, 0));
    files.sort_unstable();
    files.dedup();
    assert_eq!(files.len(), MAX_SORTED_NAMES + 11);
    assert!(files.contains(&"root/\u{fffd}FF\u{fffd}0A".to_owned()));
}

#[test]
fn root_that_is_not_there_is_a_failure() {
    let tree = Tree::of(&[]);
    let root = tree.path("missing");
    let (options, mut filters) = (WalkOptions::default(), Filters::default());
    let found: Vec<_> = Walk::new(&root, None, &options, &mut filters).collect();
    assert!(
        matches!(found.as_slice(), [Found::Failed { error, .. }] if error.kind() == Kind::NoSource)
    );
}
