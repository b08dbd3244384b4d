//! The architecture as tables: which crate may depend on which, which module may import which,
//! where each external crate may be used, and a few rules for source files.
//!
//! Not here: what rustc and clippy check. The sources are read as text, line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the workspace and their dependencies within it. Cargo rejects cycles; this table
/// fixes the layers.
const CRATES: &[(&str, &[&str])] = &[
    ("crates/types", &[]),
    ("crates/lease", &[]),
    ("crates/net", &[]),
    ("crates/sqlite", &["types"]),
    ("crates/s3", &["net", "types"]),
    ("crates/embedded-store", &["sqlite", "types"]),
    (
        "crates/gateway",
        &["embedded-store", "net", "s3", "sqlite", "types"],
    ),
    (
        "",
        &[
            "embedded-store",
            "gateway",
            "lease",
            "net",
            "s3",
            "sqlite",
            "types",
        ],
    ),
];

/// The modules of the root package by level. A module imports modules of lower levels and itself,
/// but no other module of its own level.
const LEVELS: &[&[&str]] = &[
    &["event"],
    &["selection", "source"],
    &["backend", "journal"],
    &["report", "transfer"],
    &["cli"],
    &["main"],
];

/// The modules of the gateway by layer, from the lowest. A module imports modules of its own layer
/// and of lower ones.
const GATEWAY_LAYERS: &[&[&str]] = &[
    &[
        "background_task",
        "connection_limiter",
        "hooks",
        "key_patterns",
        "lease",
        "limits",
        "listener",
        "metrics",
        "time",
        "tracked_stream",
        "transfer_progress",
    ],
    &["ledger"],
    &[
        "auth",
        "cors",
        "json_body",
        "problem",
        "request_body",
        "validation",
    ],
    &["events", "service"],
    &["companion", "openapi", "routes"],
    &[
        "bootstrap",
        "config",
        "reload",
        "removal",
        "server",
        "store_check",
        "store_credentials",
        "sweep_once",
    ],
];

/// External crates, and workspace crates that the gateway needs, with the only files (or folders,
/// with a slash) that may name them.
const ALLOWED_IN: &[(&str, &[&str])] = &[
    ("anyhow", &["src/cli/", "src/main.rs"]),
    ("axum", &["crates/gateway/", "crates/embedded-store/"]),
    (
        "clap",
        &["src/cli/args/", "src/cli/completions.rs", "src/cli/man/"],
    ),
    ("clap_complete", &["src/cli/"]),
    ("clap_mangen", &["src/cli/"]),
    ("deadpool", &["crates/gateway/src/ledger/postgres/"]),
    (
        "deadpool_postgres",
        &["crates/gateway/src/ledger/postgres/"],
    ),
    ("globset", &["crates/gateway/src/", "src/selection/"]),
    ("governor", &["crates/gateway/src/limits/rate.rs"]),
    ("hmac", &["crates/gateway/src/hooks/webhook.rs"]),
    ("hyper", &["crates/gateway/src/listener.rs"]),
    (
        "hyper_util",
        &[
            "crates/gateway/src/listener.rs",
            "crates/net/src/network.rs",
        ],
    ),
    ("jsonwebtoken", &["crates/gateway/src/auth/"]),
    ("libc", &["crates/lease/"]),
    ("prometheus_client", &["crates/gateway/src/metrics.rs"]),
    (
        "quick_xml",
        &["src/backend/store/response.rs", "crates/s3/"],
    ),
    ("reqsign_aws_v4", &["crates/s3/"]),
    ("reqsign_core", &["crates/s3/"]),
    (
        "reqwest",
        &[
            "src/backend/",
            "crates/net/",
            "crates/s3/",
            "crates/gateway/src/hooks/webhook.rs",
        ],
    ),
    (
        "rusqlite",
        &[
            "src/journal/",
            "crates/sqlite/",
            "crates/gateway/src/ledger/",
            "crates/embedded-store/",
        ],
    ),
    ("rustls", &["crates/gateway/src/ledger/postgres/tls.rs"]),
    (
        "rustls_platform_verifier",
        &["crates/gateway/src/ledger/postgres/tls.rs"],
    ),
    ("s3s", &["crates/embedded-store/"]),
    ("strsim", &["src/cli/toml_keys.rs"]),
    ("subtle", &["crates/gateway/src/auth/tokens.rs"]),
    (
        "tokio_postgres",
        &[
            "crates/gateway/src/ledger/sql.rs",
            "crates/gateway/src/ledger/postgres/",
        ],
    ),
    (
        "tokio_postgres_rustls",
        &["crates/gateway/src/ledger/postgres/target.rs"],
    ),
    ("upload_lease", &["src/source/"]),
    (
        "upload_gateway",
        &["src/cli/local_gateway.rs", "src/cli/serve/"],
    ),
    (
        "upload_s3",
        &[
            "src/cli/settings/aws.rs",
            "src/cli/serve/",
            "crates/gateway/",
        ],
    ),
    (
        "upload_embedded_store",
        &["src/cli/local_gateway.rs", "crates/gateway/"],
    ),
    (
        "utoipa",
        &[
            "crates/types/src/wire/",
            "crates/types/src/schema.rs",
            "crates/gateway/src/openapi/",
        ],
    ),
];

/// The maximum length of a file that has code other than tests.
const MAX_FILE_LINES: usize = 600;
/// The maximum length of a file of tests.
const MAX_TEST_FILE_LINES: usize = 750;

/// Texts that code outside tests must not contain, and the files that are exempt.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (".unwrap()", &[]),
    (".expect(", &[]),
    ("panic!(", &[]),
    ("todo!(", &[]),
    ("unimplemented!(", &[]),
    ("#[allow(", &[]),
    ("#![allow(", &[]),
    ("process::Command", RUN_PROGRAMS),
    ("process::{Command", RUN_PROGRAMS),
    ("Command::new(", CREATE_COMMANDS),
];
/// The files that start other programs: the credential process of an AWS profile, hooks, and the
/// command of a stream.
const RUN_PROGRAMS: &[&str] = &[
    "crates/gateway/src/hooks/command.rs",
    "crates/s3/src/aws/process.rs",
    "src/source/producer.rs",
];
/// [`RUN_PROGRAMS`], and the file that makes a `clap::Command`.
const CREATE_COMMANDS: &[&str] = &[
    "crates/gateway/src/hooks/command.rs",
    "crates/s3/src/aws/process.rs",
    "src/cli/completions.rs",
    "src/source/producer.rs",
];

/// A source file.
struct Source {
    /// Relative to the repository: `src/journal/schema.rs`, `crates/s3/src/store.rs`.
    path: String,
    text: String,
    /// The text without comments and test items; empty for a file of tests.
    code: String,
}

impl Source {
    /// The folder of the crate: empty for the root package.
    fn crate_folder(&self) -> &str {
        self.path.split_once("src/").map_or("", |(folder, _)| {
            folder.strip_suffix('/').unwrap_or_default()
        })
    }

    /// The path below the `src` of its crate.
    fn place(&self) -> &str {
        self.path
            .split_once("src/")
            .map_or(self.path.as_str(), |(_, place)| place)
    }

    /// The module at the top of its crate: `journal` for `journal/schema.rs` and `journal.rs`.
    fn top_module(&self) -> &str {
        self.place().split(['/', '.']).next().unwrap_or_default()
    }

    /// `["journal", "schema"]` for `journal/schema.rs`, `["journal"]` for `journal/mod.rs`.
    fn module_path(&self) -> Vec<String> {
        let place = self.place().strip_suffix(".rs").unwrap_or(self.place());
        let place = place.strip_suffix("/mod").unwrap_or(place);
        match place {
            "lib" | "main" => Vec::new(),
            _ => place.split('/').map(str::to_owned).collect(),
        }
    }

    /// The paths within the crate that the code names, from the root of the crate.
    fn named_paths(&self) -> Vec<Vec<String>> {
        let own = self.module_path();
        let mut found = paths_after(&self.code, "crate::");
        for (levels, prefix) in [
            (1, "super::"),
            (2, "super::super::"),
            (3, "super::super::super::"),
        ] {
            let Some(above) = own.len().checked_sub(levels) else {
                break;
            };
            let paths = paths_after(&self.code, prefix).into_iter();
            let paths = paths.filter(|path| path.first().is_none_or(|name| name != "super"));
            found.extend(paths.map(|path| [&own[..above], &path].concat()));
        }
        if self.path.ends_with("mod.rs") || own.is_empty() {
            // The children are named without a prefix: `use child::Item`, `child::function()`.
            for prefix in ["use ", "pub use "] {
                let paths = paths_after(&self.code, prefix).into_iter();
                let paths = paths.filter(|path| {
                    path.first()
                        .is_some_and(|name| !["crate", "super", "std"].contains(&name.as_str()))
                });
                found.extend(paths.map(|path| [&own[..], &path].concat()));
            }
        }
        found
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path == *place || place.ends_with('/') && self.path.starts_with(place)
        })
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The root of the repository at run time: a target directory may be shared between checkouts.
fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("run by cargo")
        .into()
}

fn sources() -> Vec<Source> {
    let root = root();
    let folders = CRATES
        .iter()
        .map(|(folder, _)| root.join(folder).join("src"));
    folders
        .flat_map(|folder| files_below(&folder))
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
            let code = if is_test {
                String::new()
            } else {
                without_tests(&text)
            };
            Source {
                path: path.to_owned(),
                text,
                code,
            }
        })
        .collect()
}

/// Removes comments, and each item after `#[cfg(test)]`.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // rustfmt closes an item at the indentation at which it opened it.
            let indent = line.len() - line.trim_start().len();
            let closing = format!("{}}}", " ".repeat(indent));
            for line in lines.by_ref() {
                let is_one_line = line.trim_end().ends_with(';')
                    && line.len() - line.trim_start().len() == indent;
                if line == closing || is_one_line {
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

/// The paths that follow `prefix` in a text; of a group in braces, each path up to a nested group.
fn paths_after(code: &str, prefix: &str) -> Vec<Vec<String>> {
    let segments = |text: &str| -> Vec<String> {
        let end = text
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(text.len());
        let path = text[..end].split("::").filter(|name| !name.is_empty());
        path.map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let is_visibility = code[..at].ends_with("(in ");
        if is_visibility || before.is_alphanumeric() || matches!(before, '_' | '$' | ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let (base, group) = match rest.find(['{', ';', '\n']) {
            Some(open) if rest[open..].starts_with('{') && rest[..open].ends_with("::") => {
                (segments(&rest[..open]), Some(&rest[open + 1..]))
            }
            Some(0) if rest.starts_with('{') => (Vec::new(), Some(&rest[1..])),
            _ => (segments(rest), None),
        };
        let Some(group) = group else {
            found.push(base);
            continue;
        };
        let mut depth = 0_usize;
        let mut item = String::new();
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ if depth > 0 => {}
                ',' => {
                    found.push([base.clone(), segments(std::mem::take(&mut item).trim())].concat());
                }
                _ => item.push(c),
            }
        }
        if !item.trim().is_empty() {
            found.push([base, segments(item.trim())].concat());
        }
    }
    found
}

/// The first names of the paths that follow `prefix` (`crate::`, `super::`) in a text, alone or in
/// braces.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
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
                    .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*')
                    .collect(),
            );
        }
    }
    found
        .into_iter()
        .map(|name| {
            let name = name.trim().split("::").next().unwrap_or_default().trim();
            name.split(' ').next().unwrap_or_default().to_owned()
        })
        .filter(|name| !name.is_empty())
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
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn crates_depend_as_the_table_says() {
    let mut wrong = Vec::new();
    for (folder, allowed) in CRATES {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let dependencies = manifest
            .split("\n[")
            .filter(|section| section.starts_with("dependencies]"))
            .flat_map(str::lines)
            .filter_map(|line| line.strip_prefix("upload-"))
            .map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default());
        let found: BTreeSet<&str> = dependencies.collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        if found != allowed {
            wrong.push(format!(
                "{folder}/Cargo.toml depends on {found:?}, the table says {allowed:?}"
            ));
        }
    }
    assert_none(&wrong);
}

#[test]
fn modules_import_lower_levels_only() {
    let level: BTreeMap<&str, usize> = LEVELS
        .iter()
        .enumerate()
        .flat_map(|(level, modules)| modules.iter().map(move |module| (*module, level)))
        .collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.top_module();
        if !source.crate_folder().is_empty() || module == "lib" {
            continue;
        }
        let Some(own_level) = level.get(module) else {
            wrong.push(format!("{} has no level", source.path));
            continue;
        };
        let crate_name = if module == "main" {
            "upload::"
        } else {
            "crate::"
        };
        for name in names_after(&source.code, crate_name) {
            let is_lower = level
                .get(name.as_str())
                .is_some_and(|other| other < own_level);
            if name != module && !is_lower {
                wrong.push(format!("{}: {module} must not import {name}", source.path));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn modules_of_the_gateway_import_their_own_layer_and_lower_ones_only() {
    let layer: BTreeMap<&str, usize> = GATEWAY_LAYERS
        .iter()
        .enumerate()
        .flat_map(|(layer, modules)| modules.iter().map(move |module| (*module, layer)))
        .collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.top_module();
        if source.crate_folder() != "crates/gateway" || source.code.is_empty() || module == "lib" {
            continue;
        }
        let Some(own_layer) = layer.get(module) else {
            wrong.push(format!("{} has no layer", source.path));
            continue;
        };
        let named = source.named_paths();
        for name in named.iter().filter_map(|path| path.first()) {
            if layer
                .get(name.as_str())
                .is_some_and(|other| other > own_layer)
            {
                wrong.push(format!("{}: {module} must not import {name}", source.path));
            }
        }
    }
    assert_none(&wrong);
}

/// The modules of a crate and the imports between them.
struct ModuleGraph {
    /// Module paths below the crate's root; the root is empty.
    modules: BTreeSet<Vec<String>>,
    /// From a module to the module that it names.
    imports: Vec<(Vec<String>, Vec<String>)>,
}

impl ModuleGraph {
    fn new(sources: &[&Source]) -> Self {
        let modules: BTreeSet<Vec<String>> = sources.iter().map(|s| s.module_path()).collect();
        let mut imports = Vec::new();
        for source in sources {
            let own = source.module_path();
            for target in source.named_paths() {
                // The longest beginning of the path that is a module: the rest are items.
                let is_module = |length: &usize| modules.contains(&target[..*length]);
                let Some(length) = (0..=target.len()).rev().find(is_module) else {
                    continue;
                };
                imports.push((own.clone(), target[..length].to_vec()));
            }
        }
        Self { modules, imports }
    }

    /// The imports between the children of one folder. A `mod.rs` is the child `mod`.
    fn edges_in(&self, folder: &[String]) -> BTreeSet<(String, String)> {
        let child = |path: &[String]| match path.strip_prefix(folder) {
            Some([]) => Some("mod".to_owned()),
            Some([first, ..]) => Some(first.clone()),
            None => None,
        };
        self.imports
            .iter()
            .filter_map(|(from, to)| Some((child(from)?, child(to)?)))
            .filter(|(from, to)| from != to)
            .collect()
    }
}

/// The nodes that are on a cycle.
fn nodes_on_cycles(edges: &BTreeSet<(String, String)>) -> BTreeSet<String> {
    let reachable = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start.to_owned()];
        while let Some(node) = open.pop() {
            for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
                if seen.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        seen
    };
    edges
        .iter()
        .map(|(from, _)| from.clone())
        .filter(|node| reachable(node).contains(node))
        .collect()
}

#[test]
fn files_of_one_folder_import_each_other_without_circles() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (folder, _) in CRATES {
        let own: Vec<&Source> = sources
            .iter()
            .filter(|source| source.crate_folder() == *folder && !source.code.is_empty())
            .collect();
        let graph = ModuleGraph::new(&own);
        let folders: BTreeSet<&[String]> = graph
            .modules
            .iter()
            .filter_map(|path| path.split_last().map(|(_, parent)| parent))
            .collect();
        for module in folders {
            let edges = graph.edges_in(module);
            let nodes = nodes_on_cycles(&edges);
            if !nodes.is_empty() {
                let on_cycle: Vec<String> = edges
                    .iter()
                    .filter(|(from, to)| nodes.contains(from) && nodes.contains(to))
                    .map(|(from, to)| format!("{from} -> {to}"))
                    .collect();
                wrong.push(format!(
                    "{folder}/src/{}: {}",
                    module.join("/"),
                    on_cycle.join(", ")
                ));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn external_crates_are_used_where_the_table_says() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, places) in ALLOWED_IN {
            if names_crate(&source.code, name) && !source.is_in(places) {
                wrong.push(format!("{}: {name} is only for {places:?}", source.path));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn files_open_with_their_purpose() {
    let without_purpose = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "));
    assert_none(
        &without_purpose
            .map(|source| format!("{} does not open with `//!`", source.path))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn files_stay_small() {
    let large = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        let max = if source.code.is_empty() {
            MAX_TEST_FILE_LINES
        } else {
            MAX_FILE_LINES
        };
        (lines > max).then_some((lines, source.path))
    });
    assert_none(
        &large
            .map(|(lines, path)| format!("{path} has {lines} lines"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn code_neither_panics_nor_hides_warnings_nor_starts_programs() {
    let mut wrong = Vec::new();
    for source in sources() {
        let forbidden = FORBIDDEN
            .iter()
            .filter(|(_, places)| !source.is_in(places))
            .map(|(word, _)| *word);
        for line in source.code.lines() {
            for word in forbidden.clone().filter(|word| line.contains(word)) {
                wrong.push(format!("{}: {word} in {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&wrong);
}

/// No file names a home or build directory of a machine.
#[test]
fn no_file_names_an_absolute_path_of_a_machine() {
    let words = [
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
    ];
    let tracked = [
        "src",
        "crates",
        "tests",
        "scripts",
        "docs",
        "man",
        "completions",
        "benches",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
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
            files_below(&place)
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
    assert_none(&wrong);
}

/// Returns true if a path in `text` begins with `word`, not if a path only contains it (`$dir/…`).
fn begins_a_path(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        !(before.is_alphanumeric() || "_-.}".contains(before))
    })
}

/// Runs the checks on texts that break the rules.
#[test]
fn checks_find_their_violations() {
    let code = without_tests(
        "use crate::names::Key;\n// crate::cli\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\nfn f() {\n    \
         let x = crate::plan::Plan::new();\n}\nuse crate::{error::{Error, Kind}, wire};\n#[cfg(test)]\nmod more;\nlet \
         y = z.unwrap(); // fine\n",
    );
    assert_eq!(
        names_after(&code, "crate::"),
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
    let paths: Vec<String> = paths_after(
        "use crate::a::{b, c::D};\npub(in crate::x) fn f() { crate::e::f() }\nuse crate::g::H;",
        "crate::",
    )
    .iter()
    .map(|path| path.join("/"))
    .collect();
    assert_eq!(paths, ["a/b", "a/c/D", "e/f", "g/H"]);
    let edges = |names: &[(&str, &str)]| -> BTreeSet<(String, String)> {
        let owned = names
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
        owned.collect()
    };
    let cycle = edges(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]);
    assert_eq!(
        nodes_on_cycles(&cycle),
        ["b", "c"].map(str::to_owned).into()
    );
    assert!(nodes_on_cycles(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
}
