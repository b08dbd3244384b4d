//! Every `upload VERB` and every flag in a text that the program can print exists, and the verb
//! that prints the text has the flag.
//!
//! Not here: whether following a hint helps (`hints`).

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use upload::cli::args;

/// The verbs that call a backend and its store.
const CLIENTS: &[&str] = &[
    "put", "resume", "list", "status", "abort", "rm", "prune", "cat", "url",
];
const UPLOADERS: &[&str] = &["put", "resume"];
const GATEWAYS: &[&str] = &["serve", "serve sweep", "serve rm"];
const LEDGER_USERS: &[&str] = &[
    "serve",
    "serve sweep",
    "serve rm",
    "serve prune",
    "serve token add",
    "serve token list",
    "serve token revoke",
    "serve uploads",
    "serve usage",
    "serve owners",
];

/// The verbs that print the texts of a file. The longest prefix that matches its path applies.
const PRINTED_BY: &[(&str, &[&str])] = &[
    ("crates/", &[]),
    ("crates/embedded-store/", &["put", "serve"]),
    ("crates/embedded-store/src/signed_headers.rs", &["serve"]),
    ("crates/gateway/", GATEWAYS),
    ("crates/gateway/src/ledger/", LEDGER_USERS),
    (
        "crates/gateway/src/auth/tokens.rs",
        &["serve token add", "serve token revoke"],
    ),
    // Configures the listener, which a sweep does not open.
    ("crates/gateway/src/cors.rs", &["serve"]),
    (
        "crates/s3/",
        &["put", "resume", "cat", "url", "serve", "serve sweep"],
    ),
    // Names flags that only a gateway has.
    ("crates/s3/src/profile.rs", GATEWAYS),
    ("crates/types/", UPLOADERS),
    ("src/", CLIENTS),
    ("src/cli/abort.rs", &["abort", "rm"]),
    // A verb for one upload takes the backend from the journal.
    (
        "src/cli/backend_spec.rs",
        &[
            "put", "resume", "list", "abort", "rm", "prune", "url", "config",
        ],
    ),
    // Prints the meanings of lines and of flags of other verbs.
    ("src/cli/args/", &[]),
    ("src/cli/cat.rs", &["cat"]),
    // Names flags in scripts.
    ("src/cli/completions.rs", &["list"]),
    ("src/cli/destination.rs", &["put"]),
    ("src/cli/man/", &["man"]),
    ("src/cli/directory_flag.rs", &["put"]),
    ("src/cli/filter_flags.rs", &["put"]),
    ("src/cli/list.rs", &["list"]),
    ("src/cli/man/event_lines.rs", &[]),
    ("src/cli/man/gateway_lines.rs", &[]),
    ("src/cli/man/json_lines.rs", &[]),
    ("src/cli/man/set_lines.rs", &[]),
    ("src/cli/man/owner_lines.rs", &[]),
    ("src/cli/hint_commands.rs", UPLOADERS),
    ("src/cli/keys.rs", &["put"]),
    ("src/cli/local_gateway.rs", UPLOADERS),
    ("src/cli/put.rs", &["put"]),
    ("src/cli/selection.rs", &["put"]),
    ("src/cli/put_stream.rs", &["put"]),
    (
        "src/cli/query_limit.rs",
        &["list", "status", "abort", "rm", "prune", "cat", "url"],
    ),
    ("src/cli/receipt_file.rs", UPLOADERS),
    ("src/cli/resume.rs", &["resume"]),
    ("src/cli/serve/", GATEWAYS),
    ("src/cli/serve/ledger_location.rs", LEDGER_USERS),
    ("src/cli/serve/token.rs", &["serve token add"]),
    ("src/cli/session.rs", UPLOADERS),
    ("src/cli/status.rs", &["status"]),
    ("src/cli/url.rs", &["url"]),
    ("src/selection/", &["put"]),
    ("src/source/producer.rs", &["put"]),
    ("src/source/spool.rs", &["put"]),
    ("src/source/stream.rs", &["put"]),
    ("src/transfer/", UPLOADERS),
    ("src/transfer/set_items.rs", &["put"]),
    ("src/transfer/stream/", &["put"]),
];

/// Files and flags that their texts name although a verb that prints them has no such flag, with
/// the reasons.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Only the verbs below `serve` need a ledger.
    ("src/cli/settings/resolve.rs", "--ledger"),
    ("src/cli/local_gateway.rs", "--ledger"),
    // Words of the command in a hint.
    ("src/cli/cat.rs", "--force"),
    ("src/cli/hint_commands.rs", "--force"),
    ("src/cli/hint_commands.rs", "--if-exists"),
    ("src/cli/hint_commands.rs", "--key"),
    ("src/cli/hint_commands.rs", "--key-style"),
    ("src/cli/hint_commands.rs", "--prefix"),
    ("src/cli/object_flags.rs", "--force"),
    ("src/cli/object_flags.rs", "--if-exists"),
    ("src/cli/cat.rs", "--backend"),
    // Only a gateway that is configured for it encrypts objects.
    ("crates/s3/src/multipart.rs", "--sse"),
    ("crates/s3/src/probe/run.rs", "--sse"),
    // A flag of `aws`.
    ("crates/s3/src/aws/profile.rs", "--format"),
    // A part of a host name.
    ("crates/s3/src/signing/part_urls.rs", "--x-s3"),
    // Names of settings of `put`, checked when its flags are combined.
    ("src/cli/settings/resolve.rs", "--name"),
    ("src/cli/settings/resolve.rs", "--meta"),
];

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("run by cargo")
        .into()
}

/// The source files of the program, by their path below the root.
fn sources() -> Vec<(String, String)> {
    let mut folders = vec![root().join("src"), root().join("crates")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.components().any(|part| {
                let name = part.as_os_str().to_string_lossy();
                name.ends_with("tests") || name.ends_with("tests.rs")
            });
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The string literals of a file, without those of its tests and of its comments. Lines that end in
/// a backslash are joined.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let mut joined = String::new();
    for line in code.lines().map(str::trim_start) {
        if line.starts_with("//") {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(line) => joined += line,
            None => joined = joined + line + "\n",
        }
    }
    let mut literals = Vec::new();
    let mut chars = joined.chars();
    while let Some(c) = chars.next() {
        match c {
            // A character literal that holds a quote or an escape; a lifetime has neither.
            '\'' if chars.as_str().starts_with(['"', '\\']) => {
                chars.nth(1);
            }
            '"' => literals.push(literal(&mut chars)),
            _ => {}
        }
    }
    literals
}

/// The rest of a literal, up to its closing quote.
fn literal(chars: &mut std::str::Chars<'_>) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next()),
            _ => text.push(c),
        }
    }
    text
}

/// The flags of a verb, including hidden and global ones; `None` if there is no such verb.
fn flags_of(verb: &[&str]) -> Option<BTreeSet<String>> {
    let mut command = args::command();
    command.build();
    let command = verb
        .iter()
        .try_fold(&command, |command, name| command.find_subcommand(name))?;
    let longs = command.get_arguments().filter_map(|arg| arg.get_long());
    Some(longs.map(str::to_owned).collect())
}

/// The words of a text that are flags, without their dashes.
fn flags_in(text: &str) -> Vec<&str> {
    let is_end = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let words = text.split(|c: char| c.is_whitespace() || "(`\"'".contains(c));
    words
        .filter_map(|word| word.strip_prefix("--"))
        .map(|word| word.split(is_end).next().unwrap_or_default())
        .filter(|flag| flag.len() > 1 && !flag.contains("--"))
        .collect()
}

/// The violations of one command, such as `upload put FILE --force`.
fn check_command(command: &str) -> Vec<String> {
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let verb: Vec<&str> = words
        .iter()
        .copied()
        .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        .collect();
    let Some(flags) = flags_of(&verb) else {
        return vec![format!("there is no verb `{command}`")];
    };
    flags_in(command)
        .into_iter()
        .filter(|flag| !flags.contains(*flag))
        .map(|flag| format!("`{command}` has no --{flag}"))
        .collect()
}

/// The violations of one text that these verbs print.
fn check_text(text: &str, verbs: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut outside = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 && part.starts_with("upload ") {
            found.extend(check_command(part));
        } else {
            outside = outside + part + " ";
        }
    }
    for flag in flags_in(&outside) {
        let lacks = |verb: &&&str| {
            let words: Vec<&str> = verb.split(' ').collect();
            !flags_of(&words).expect("a verb").contains(flag)
        };
        let lacking: Vec<&str> = verbs.iter().filter(lacks).copied().collect();
        if !lacking.is_empty() {
            found.push(format!("{lacking:?} have no --{flag}"));
        }
    }
    found
}

fn printed_by(file: &str) -> &'static [&'static str] {
    let rules = PRINTED_BY
        .iter()
        .filter(|(prefix, _)| file.starts_with(prefix));
    let rule = rules.max_by_key(|(prefix, _)| prefix.len());
    rule.map(|(_, verbs)| *verbs).unwrap_or_default()
}

#[test]
fn texts_name_existing_verbs_and_flags() {
    let mut found = Vec::new();
    let mut texts = 0;
    for (file, source) in sources() {
        for text in literals(&source) {
            texts += usize::from(text.contains("`upload "));
            for violation in check_text(&text, printed_by(&file)) {
                let is_exception = EXCEPTIONS
                    .iter()
                    .any(|(known, flag)| *known == file && violation.ends_with(flag));
                if !is_exception {
                    found.push(format!("{file}: {violation}\n    {text:?}"));
                }
            }
        }
    }
    assert!(texts > 20, "only {texts} texts name a command");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn rules_are_about_existing_files() {
    let rules = PRINTED_BY.iter().map(|(path, _)| path);
    for path in rules.chain(EXCEPTIONS.iter().map(|(path, _)| path)) {
        assert!(Path::new(&root()).join(path).exists(), "{path}");
    }
}

#[test]
fn check_finds_violations() {
    assert!(check_text("run `upload put FILE --force`", &["resume"]).is_empty());
    assert!(check_text("name another: --journal FILE", &["resume"]).is_empty());
    for text in [
        "run `upload restart`",
        "run `upload resume --force`",
        "put it with --force",
        "check the flags (--name)",
    ] {
        assert_eq!(check_text(text, &["resume"]).len(), 1, "{text}");
    }
    let source = "let a = \"one \\\n    two\"; // \"three\"\nlet b = ['\"', 'x'];\n// \"four\"\nlet c = \"five\";";
    assert_eq!(literals(source), ["one two", "three", "five"]);
}
