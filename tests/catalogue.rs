//! The catalogue of promises, faults and threats in `tests/README.md`: every row must name a test
//! that exists, or say why it has no test.
//!
//! Not here: whether a test can fail. The page and the sources are read as text.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The letters of the ids that must exist, with their highest number.
const REQUIRED_IDS: &[(&str, u32)] = &[("C", 13), ("F", 80)];
/// Introduces the reason of a row without a test.
const NO_TEST: &str = "no test:";

/// A row of the catalogue, with its continuation rows.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// For example `F12` or `F44a`.
    id: String,
    /// The last cells, joined.
    tests: String,
}

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("run by cargo")
        .into()
}

fn page() -> String {
    fs::read_to_string(root().join("tests/README.md")).unwrap()
}

fn is_id(cell: &str) -> bool {
    let number = cell.trim_start_matches(|c: char| c.is_ascii_uppercase());
    cell.len() > number.len() && number.starts_with(|c: char| c.is_ascii_digit())
}

/// The rows of all tables. A row without an id continues the previous row.
fn rows(page: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut continues = false;
    for line in page.lines() {
        let cells: Vec<&str> = line
            .trim()
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'))
            .map(|line| line.split('|').map(str::trim).collect())
            .unwrap_or_default();
        let (id, tests) = (
            cells.first().copied().unwrap_or_default(),
            cells.last().copied().unwrap_or_default(),
        );
        if is_id(id) {
            rows.push(Row {
                id: id.to_owned(),
                tests: tests.to_owned(),
            });
            continues = true;
        } else if id.is_empty() && continues && cells.len() > 1 {
            let row = rows.last_mut().unwrap();
            row.tests.push(' ');
            row.tests.push_str(tests);
        } else {
            continues = false;
        }
    }
    rows
}

/// The texts in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Appends all Rust sources below `dir`.
fn append_sources(dir: &Path, text: &mut String) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            append_sources(&path, text);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// The sources of a test program, a module of the client, or a crate.
fn sources(name: &str) -> String {
    let mut text = String::new();
    for dir in ["tests", "src"] {
        text.push_str(
            &fs::read_to_string(root().join(dir).join(format!("{name}.rs"))).unwrap_or_default(),
        );
        append_sources(&root().join(dir).join(name), &mut text);
    }
    append_sources(&root().join("crates").join(name).join("src"), &mut text);
    text
}

/// Returns true if `text` contains `name` as a whole word: a function, or an entry of a table from
/// which a macro makes functions.
fn contains_word(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        !text[..at].ends_with(word) && !text[at + name.len()..].starts_with(word)
    })
}

#[test]
fn every_required_row_exists_once() {
    let mut seen = BTreeSet::new();
    for row in rows(&page()) {
        assert!(seen.insert(row.id.clone()), "{} exists twice", row.id);
    }
    let missing: Vec<String> = REQUIRED_IDS
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")))
        .chain(["a", "b", "c"].map(|suffix| format!("F44{suffix}")))
        .filter(|id| !seen.contains(id))
        .collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn every_row_names_existing_tests_or_a_reason() {
    let mut sources_by_name: BTreeMap<String, String> = BTreeMap::new();
    let mut errors = Vec::new();
    for Row { id, tests } in rows(&page()) {
        let (tests, reason) = tests.split_once(NO_TEST).unwrap_or((&tests, ""));
        let names = quoted(tests);
        if names.is_empty() && reason.trim().is_empty() {
            errors.push(format!("{id} names neither a test nor a reason"));
        }
        for test in names {
            let (program, function) = (
                test.split("::").next().unwrap_or_default(),
                test.rsplit("::").next().unwrap_or_default(),
            );
            let text = sources_by_name
                .entry(program.to_owned())
                .or_insert_with(|| sources(program));
            if !contains_word(text, function) {
                errors.push(format!("{id} names {test}, which does not exist"));
            }
        }
    }
    assert!(errors.is_empty(), "\n{}\n", errors.join("\n"));
}

#[test]
fn rows_and_names_are_parsed() {
    let page = "| F44a | token | `chaos::x::y` |\n| | | `journal::tests::z` |\n\n\
                | row | test |\n|---|---|\n| F2 | a | no test: for a reason |\n\n| | | `a::b` |";
    let rows = rows(page);
    assert_eq!(
        rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
        ["F44a", "F2"]
    );
    assert_eq!(quoted(&rows[0].tests), ["chaos::x::y", "journal::tests::z"]);
    assert_eq!(rows[1].tests, "no test: for a reason");
    assert!(contains_word("fn a_b() {", "a_b"));
    assert!(!contains_word("fn a_bc() {", "a_b"));
    assert!(!contains_word("fn xa_b() {", "a_b"));
    assert!(sources("catalogue").contains("fn sources"));
    assert!(sources("journal").contains("rusqlite"));
}
