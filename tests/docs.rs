//! The completions and the man page that are checked in are those the program prints.
//!
//! Border: default features only, since other builds have other verbs. `UPLOAD_REGENERATE=1 cargo test --test docs`
//! writes the files.
#![cfg(feature = "gateway")]

use std::path::Path;
use std::{env, fs};

use upload::cli::args::Shell;
use upload::cli::{completions, man};

/// Compares a file of the repository with what it should hold, or writes it.
fn check(file: &str, generated: &str) {
    let path = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo")).join(file);
    if env::var_os("UPLOAD_REGENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, generated).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let line = kept
        .lines()
        .zip(generated.lines())
        .position(|(kept, new)| kept != new)
        .map_or(0, |line| line + 1);
    assert!(
        kept == generated,
        "{file} is not what the program prints (first at line {line}); run: UPLOAD_REGENERATE=1 cargo test --test docs"
    );
}

fn script(shell: Shell) -> String {
    String::from_utf8(completions::script(shell)).unwrap()
}

#[test]
fn completions_are_those_the_program_prints() {
    check("completions/upload.bash", &script(Shell::Bash));
    check("completions/_upload", &script(Shell::Zsh));
    check("completions/upload.fish", &script(Shell::Fish));
    check("completions/_upload.ps1", &script(Shell::Powershell));
    check("completions/upload.elv", &script(Shell::Elvish));
}

#[test]
fn the_man_page_is_the_one_the_program_prints() {
    check("man/upload.1", &man::page().unwrap());
}
