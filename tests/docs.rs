//! The committed completions and man pages equal the program's output.
//! `UPLOAD_REGENERATE=1 cargo test --test docs` writes them. Default features only, because other
//! builds have other verbs.
#![cfg(feature = "gateway")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use upload::cli::args::Shell;
use upload::cli::{completions, man};

fn regenerate() -> bool {
    env::var_os("UPLOAD_REGENERATE").is_some()
}

fn path_of(file: &str) -> PathBuf {
    Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo")).join(file)
}

/// Compares a committed file with the generated one, or writes it.
fn check(file: &str, generated: &str) {
    let path = path_of(file);
    if regenerate() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, generated).unwrap();
        return;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let line = committed
        .lines()
        .zip(generated.lines())
        .position(|(committed, generated)| committed != generated)
        .map_or(0, |line| line + 1);
    assert!(
        committed == generated,
        "{file} differs from the program's output at line {line}; run: UPLOAD_REGENERATE=1 cargo test --test docs"
    );
}

fn script(shell: Shell) -> String {
    String::from_utf8(completions::script(shell)).unwrap()
}

#[test]
fn committed_completions_are_current() {
    check("completions/upload.bash", &script(Shell::Bash));
    check("completions/_upload", &script(Shell::Zsh));
    check("completions/upload.fish", &script(Shell::Fish));
    check("completions/_upload.ps1", &script(Shell::Powershell));
    check("completions/upload.elv", &script(Shell::Elvish));
}

#[test]
fn committed_man_pages_are_current() {
    let mut files = BTreeSet::new();
    for page in man::pages().unwrap() {
        let file = format!("{}.1", page.name);
        check(&format!("man/{file}"), &page.text);
        files.insert(file);
    }
    let committed = fs::read_dir(path_of("man")).unwrap();
    for entry in committed {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if regenerate() && !files.contains(&name) {
            fs::remove_file(path_of("man").join(&name)).unwrap();
        } else {
            assert!(files.contains(&name), "man/{name} belongs to no verb");
        }
    }
}
