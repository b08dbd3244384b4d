//! The order of the house, held by a test: who may import whom, through which door each outside crate comes in, and a few
//! habits of files.
//!
//! Border: reads the sources as text, line by line; what rustc and clippy check is left to them.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by level. A module may use those of lower levels, and itself; not its neighbours, unless they are listed below.
const LEVELS: &[&[&str]] = &[
    &["crash", "names"],
    &["error", "wire"],
    &["event", "plan", "sqlite"],
    &["backend", "journal", "source"],
    &["report", "transfer"],
    &["cli"],
    &["main"],
];

/// Steps aside from the levels, each with its reason.
const ALSO: &[(&str, &str)] = &[];

/// The gateway stands beside the client: what it may see, and which files may see it.
const GATEWAY_SEES: &[&str] = &[
    "crash", "names", "error", "wire", "plan", "sqlite", "gateway",
];
const SEE_GATEWAY: &[&str] = &["cli/local.rs", "cli/serve.rs", "cli/serve/"];

/// Outside crates and the only places (files, or folders with a slash) that may name them.
const DOORS: &[(&str, &[&str])] = &[
    ("anyhow", &["cli/", "main.rs"]),
    ("axum", &["gateway/"]),
    (
        "clap",
        &[
            "cli/args.rs",
            "cli/args/",
            "cli/completions.rs",
            "cli/man.rs",
        ],
    ),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("governor", &["gateway/limits.rs"]),
    ("hmac", &["gateway/hooks/webhook.rs"]),
    ("hyper", &["gateway/listen.rs"]),
    ("hyper_util", &["gateway/listen.rs"]),
    ("indicatif", &["report/bars.rs"]),
    ("jsonwebtoken", &["gateway/auth/"]),
    ("prometheus_client", &["gateway/metrics.rs"]),
    ("quick_xml", &["backend/answer.rs", "gateway/store/"]),
    ("reqsign_aws_v4", &["gateway/store/"]),
    ("reqsign_core", &["gateway/store/"]),
    (
        "reqwest",
        &["backend/", "gateway/store/", "gateway/hooks/webhook.rs"],
    ),
    (
        "rusqlite",
        &[
            "sqlite.rs",
            "journal/",
            "gateway/commits.rs",
            "gateway/ledger/",
            "gateway/store/embedded/",
        ],
    ),
    ("rustls", &["gateway/ledger/postgres/tls.rs"]),
    (
        "rustls_platform_verifier",
        &["gateway/ledger/postgres/tls.rs"],
    ),
    ("s3s", &["gateway/store/embedded/"]),
    ("subtle", &["gateway/auth/tokens.rs"]),
    (
        "tokio_postgres",
        &["gateway/ledger/db.rs", "gateway/ledger/postgres/"],
    ),
    ("tokio_rustls", &["gateway/ledger/postgres/tls.rs"]),
    ("strsim", &["cli/serve/file.rs"]),
    ("utoipa", &["wire.rs", "gateway/openapi/"]),
];

const LINES_MAX: usize = 900;

/// What code outside tests does in these places only, most of it nowhere: it can panic on what somebody else sends, hides a
/// warning, or runs another program.
const SHUNNED: &[(&str, &[&str])] = &[
    (".unwrap()", &[]),
    (".expect(", &[]),
    ("panic!(", &[]),
    ("todo!(", &[]),
    ("unimplemented!(", &[]),
    ("#[allow(", &[]),
    ("#![allow(", &[]),
    ("process::Command", PROGRAMS),
    ("process::{Command", PROGRAMS),
    ("Command::new(", PROGRAMS),
];
/// Where other programs are run: what a profile of AWS names, and hooks.
const PROGRAMS: &[&str] = &["gateway/hooks/command.rs", "gateway/store/credentials.rs"];

/// A source file: its place beneath `src`, its text, and the text without tests and comments.
struct Source {
    place: String,
    text: String,
    code: String,
}

impl Source {
    /// `journal` for `journal/schema.rs` and `journal.rs`.
    fn module(&self) -> &str {
        self.place.split(['/', '.']).next().unwrap_or_default()
    }

    fn stands_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.place == *place || place.ends_with('/') && self.place.starts_with(place)
        })
    }
}

fn files_beneath(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_beneath(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Where the sources are now: a target directory may be shared between checkouts.
fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("run by cargo")
        .into()
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let files = files_beneath(&src)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"));
    files
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let place = path
                .strip_prefix(&src)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            // Files that are tests as a whole are declared behind `#[cfg(test)]`, and named so.
            let is_test = place.ends_with("tests.rs") || place.contains("/tests/");
            let code = if is_test {
                String::new()
            } else {
                without_tests(&text)
            };
            Source { place, text, code }
        })
        .collect()
}

/// Drops comments, and each item that stands behind `#[cfg(test)]`.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // rustfmt closes an item at the indentation it was opened at.
            let indent = line.len() - line.trim_start().len();
            let closing = format!("{}}}", " ".repeat(indent));
            for line in lines.by_ref() {
                let opened_and_shut = line.trim_end().ends_with(';')
                    && line.len() - line.trim_start().len() == indent;
                if line == closing || opened_and_shut {
                    break;
                }
            }
        } else if !line.trim_start().starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap_or_default());
            code.push('\n');
        }
    }
    code
}

/// The modules of this crate that a text names: after `crate::` (or `upload::` in the binary), alone or in braces.
fn modules_named(code: &str, crate_name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let prefix = format!("{crate_name}::");
    for (at, _) in code.match_indices(&prefix) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' || before == '$' || before == ':' {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_usize;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    _ if depth > 0 => {}
                    ',' => found.push(std::mem::take(&mut name)),
                    _ => name.push(c),
                }
            }
            found.push(name);
        } else {
            found.push(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    let names = found.into_iter().map(|name| {
        name.trim()
            .split("::")
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    names
        .filter(|name| name.starts_with(|c: char| c.is_lowercase()))
        .collect()
}

fn names_crate(code: &str, name: &str) -> bool {
    [
        format!("{name}::"),
        format!("use {name};"),
        format!("use {name} as"),
    ]
    .iter()
    .any(|needle| {
        code.match_indices(needle.as_str()).any(|(at, _)| {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            !(before.is_alphanumeric() || before == '_' || before == ':')
        })
    })
}

#[track_caller]
fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn imports_go_one_way() {
    let level: BTreeMap<&str, usize> = LEVELS
        .iter()
        .enumerate()
        .flat_map(|(level, modules)| modules.iter().map(move |module| (*module, level)))
        .collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        let mut named = modules_named(&source.code, "crate");
        if module == "main" {
            named.extend(modules_named(&source.code, "upload"));
        }
        for name in named {
            let may = if module == name {
                true
            } else if module == "gateway" {
                GATEWAY_SEES.contains(&name.as_str())
            } else if name == "gateway" {
                source.stands_in(SEE_GATEWAY)
            } else {
                match (level.get(module), level.get(name.as_str())) {
                    (Some(from), Some(to)) => to < from || ALSO.contains(&(module, name.as_str())),
                    _ => false,
                }
            };
            if !may {
                wrong.push(format!("src/{}: {module} may not see {name}", source.place));
            }
        }
    }
    none(&wrong);
}

#[test]
fn each_module_has_a_level() {
    let known: Vec<&str> = LEVELS
        .iter()
        .copied()
        .flatten()
        .copied()
        .chain(["lib", "gateway"])
        .collect();
    let strangers = sources()
        .into_iter()
        .filter(|source| !known.contains(&source.module()));
    none(
        &strangers
            .map(|source| format!("src/{} has no level", source.place))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn each_outside_crate_has_its_door() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in DOORS {
            if names_crate(&source.code, name) && !source.stands_in(places) {
                wrong.push(format!(
                    "src/{}: {name} is only for {places:?}",
                    source.place
                ));
            }
        }
    }
    none(&wrong);
}

#[test]
fn each_file_says_what_it_is_for() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "));
    none(
        &silent
            .map(|source| format!("src/{} does not open with `//!`", source.place))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_stay_small() {
    let large = sources()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.place));
    let large = large.filter(|(lines, _)| *lines > LINES_MAX);
    none(
        &large
            .map(|(lines, place)| format!("src/{place} has {lines} lines"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_panics_on_purpose_hides_a_warning_or_runs_a_program() {
    let mut wrong = Vec::new();
    for source in sources() {
        let shunned = SHUNNED
            .iter()
            .filter(|(_, places)| !source.stands_in(places))
            .map(|(word, _)| *word);
        for line in source.code.lines() {
            for word in shunned.clone().filter(|word| line.contains(word)) {
                wrong.push(format!("src/{}: {word} in {}", source.place, line.trim()));
            }
        }
    }
    none(&wrong);
}

/// Somebody's home or build directory has no business in what is published.
#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let words = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
    ];
    let tracked = [
        "src",
        "tests",
        "scripts",
        "docs",
        "man",
        "completions",
        "benches",
        "README.md",
        "Cargo.toml",
        ".ci",
    ];
    let mut wrong = Vec::new();
    for place in tracked
        .map(|place| root().join(place))
        .into_iter()
        .filter(|place| place.exists())
    {
        let files = if place.is_dir() {
            files_beneath(&place)
        } else {
            vec![place]
        };
        for path in files {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            for word in words.iter().filter(|word| begins_a_path(&text, word)) {
                wrong.push(format!(
                    "{} names {word}",
                    path.strip_prefix(root()).unwrap().display()
                ));
            }
        }
    }
    none(&wrong);
}

/// Whether a path in `text` begins so, rather than going on so (`$dir/…`).
fn begins_a_path(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        !(before.is_alphanumeric() || "_-.}".contains(before))
    })
}

/// The checks themselves, on texts that break the rules.
#[test]
fn the_checks_see_what_they_look_for() {
    let code = without_tests(
        "use crate::names::Key;\n// crate::cli\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\nfn f() {\n    \
         let x = crate::plan::Plan::new();\n}\nuse crate::{error::{Error, Kind}, wire};\n#[cfg(test)]\nmod more;\nlet \
         y = z.unwrap(); // fine\n",
    );
    assert_eq!(
        modules_named(&code, "crate"),
        ["names", "plan", "error", "wire"]
    );
    assert!(code.contains(".unwrap()") && !code.contains("fine") && !code.contains("mod more"));
    let home = concat!("/ho", "me/");
    assert!(
        begins_a_path(&format!("x = \"{home}me\""), home)
            && !begins_a_path(&format!("$dir{home}me"), home)
    );
    assert!(
        names_crate("use reqwest::Client;", "reqwest")
            && names_crate("fn f(c: reqwest::Client)", "reqwest")
    );
    assert!(
        !names_crate("my_reqwest::x", "reqwest") && !names_crate("crate::reqwest::x", "reqwest")
    );
}
