//! The catalogue of promises, faults and threats (`tests/README.md`) against the tests that it names: a row whose test has
//! gone or was renamed is a failure here.
//!
//! Border: reads the page and the sources as text; whether a test can fail, mutating the code shows, not this.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The rows that must be there.
const ROWS: &[(&str, u32)] = &[("C", 8), ("F", 80)];
/// What stands in place of a test, before the reason.
const NONE: &str = "no test:";

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("run by cargo")
        .into()
}

fn page() -> String {
    fs::read_to_string(root().join("tests/README.md")).unwrap()
}

/// The rows of all tables: an id like `F12` or `F44a`, and the last cell.
fn rows(page: &str) -> Vec<(String, String)> {
    let cells = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .trim()
            .strip_prefix('|')?
            .strip_suffix('|')?
            .split('|')
            .map(str::trim)
            .collect();
        let (id, last) = (*cells.first()?, *cells.last()?);
        let digits = id.trim_start_matches(|c: char| c.is_ascii_uppercase());
        (id.len() > digits.len() && digits.starts_with(|c: char| c.is_ascii_digit()))
            .then(|| (id.to_owned(), last.to_owned()))
    });
    cells.collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn rust_beneath(dir: &Path, found: &mut String) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_beneath(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// The sources in which a test of this name must stand: a test binary, or a module of the library.
fn sources(first: &str) -> String {
    let mut found = String::new();
    for place in ["tests", "src"] {
        found.push_str(
            &fs::read_to_string(root().join(place).join(format!("{first}.rs"))).unwrap_or_default(),
        );
        rust_beneath(&root().join(place).join(first), &mut found);
    }
    rust_beneath(&root().join("crates").join(first).join("src"), &mut found);
    found
}

/// Whether a function is written there, or named in a table that makes one of it.
fn has(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        !text[..at].ends_with(word) && !text[at + name.len()..].starts_with(word)
    })
}

#[test]
fn every_row_is_there_once() {
    let page = page();
    let mut seen = BTreeSet::new();
    for (id, _) in rows(&page) {
        assert!(seen.insert(id.clone()), "{id} is there twice");
    }
    let missing: Vec<String> = ROWS
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")))
        // F44 has three more.
        .chain(["a", "b", "c"].map(|more| format!("F44{more}")))
        .filter(|id| !seen.contains(id))
        .collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn every_row_has_a_test_that_exists_or_a_reason() {
    let mut read: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (id, cell) in rows(&page()) {
        let tests = quoted(&cell);
        if tests.is_empty()
            && cell
                .split(NONE)
                .nth(1)
                .is_none_or(|reason| reason.trim().is_empty())
        {
            wrong.push(format!("{id} names neither a test nor a reason"));
        }
        for test in tests {
            let (first, name) = (
                test.split("::").next().unwrap_or_default(),
                test.rsplit("::").next().unwrap_or_default(),
            );
            let text = read
                .entry(first.to_owned())
                .or_insert_with(|| sources(first));
            if !has(text, name) {
                wrong.push(format!("{id} names {test}, which is nowhere"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_checks_see_what_they_look_for() {
    let page = "| F44a | token | `chaos::x::y`, `journal::tests::z` |\n| row | test |\n|---|---|\n| F2 | a | no test: for a reason |";
    let found = rows(page);
    assert_eq!(
        found.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
        ["F44a", "F2"]
    );
    assert_eq!(quoted(&found[0].1), ["chaos::x::y", "journal::tests::z"]);
    assert!(has("fn a_b() {", "a_b") && !has("fn a_bc() {", "a_b") && !has("fn xa_b() {", "a_b"));
    assert!(sources("catalogue").contains("fn sources") && sources("journal").contains("rusqlite"));
}
