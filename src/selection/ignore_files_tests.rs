//! Ignore files in a tree of directories.

use super::*;

/// Whether the file at `path` below the root is left out, as the walk asks: directory by directory.
fn is_left_out(files: &IgnoreFiles, root: &Path, path: &str) -> bool {
    let mut rules = files.above(root).unwrap();
    let mut directory = root.to_owned();
    let names: Vec<&str> = path.split('/').collect();
    for (index, name) in names.iter().enumerate() {
        rules = files.in_directory(&directory, rules).unwrap();
        let entry = directory.join(name);
        let kind = if index + 1 < names.len() {
            PathKind::Directory
        } else {
            PathKind::File
        };
        if files.names_git_directory(&entry) {
            return true;
        }
        if rules
            .as_ref()
            .is_some_and(|rules| rules.left_out(&entry, kind).is_some())
        {
            return true;
        }
        directory = entry;
    }
    false
}

fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    (folder, root)
}

fn git() -> IgnoreFiles {
    IgnoreFiles {
        git: true,
        ..IgnoreFiles::default()
    }
}

#[test]
fn deepest_file_and_last_line_decide() {
    let (_folder, root) = tree(&[
        (".gitignore", "*.log\n!keep.log\nbuild/\n/only-here\n"),
        ("a/.gitignore", "!*.log\nsecret.*\n"),
        ("a/x", ""),
    ]);
    for (path, expected) in [
        ("x.log", true),
        ("keep.log", false),
        ("a/x.log", false),
        ("b/x.log", true),
        ("a/secret.txt", true),
        ("secret.txt", false),
        ("build/x", true),
        ("a/build/x", true),
        ("build", false),
        ("only-here", true),
        ("a/only-here", false),
        (".git/config", true),
        (".gitignore", false),
    ] {
        assert_eq!(is_left_out(&git(), &root, path), expected, "{path}");
    }
}

#[test]
fn files_above_count_up_to_the_root_of_the_repository() {
    let (_folder, root) = tree(&[
        (".gitignore", "*.outside\n"),
        ("repository/.git/info/exclude", "*.local\n"),
        ("repository/.gitignore", "*.log\n/sub/anchored\n"),
        ("repository/sub/x", ""),
    ]);
    let below = root.join("repository/sub");
    for (path, expected) in [
        ("x.log", true),
        ("anchored", true),
        ("a/anchored", false),
        ("x.local", true),
        ("x.outside", false),
    ] {
        assert_eq!(is_left_out(&git(), &below, path), expected, "{path}");
    }
}

#[test]
fn files_of_other_names_precede_gitignore() {
    let (_folder, root) = tree(&[
        (".gitignore", "*.bin\n"),
        (".uploadignore", "!*.bin\n*.txt\n"),
    ]);
    let both = IgnoreFiles {
        names: vec![".uploadignore".into()],
        ..git()
    };
    assert!(!is_left_out(&both, &root, "a.bin"));
    assert!(is_left_out(&both, &root, "a.txt"));
    let own = IgnoreFiles { git: false, ..both };
    assert!(!is_left_out(&own, &root, ".git/config"));
    assert!(is_left_out(&own, &root, "b/a.txt"));
}

#[test]
fn ignore_file_that_cannot_be_read_is_an_error() {
    let (_folder, root) = tree(&[]);
    std::os::unix::fs::symlink(".gitignore", root.join(".gitignore")).unwrap();
    let error = git().in_directory(&root, None).unwrap_err();
    assert_eq!(error.kind(), Kind::NoSource);
}
