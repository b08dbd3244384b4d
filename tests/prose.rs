//! The rules of prose in CONTRIBUTING.md, as far as a program can check them: comments, messages,
//! documents and the names of tests.
//!
//! Not here: grammar, and the width of code (rustfmt).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Words that no comment, message or document may contain.
const FORBIDDEN_WORDS: &[&str] = &[
    // An actor has a name: caller, owner, client, gateway, request, row.
    "who",
    "whom",
    "whoever",
    "whomever",
    "somebody",
    "nobody",
    "anybody",
    "everybody",
    "whatever",
    "whichever",
    // Files and programs do not speak.
    "told",
    "tells",
    // Old-fashioned words.
    "lest",
    "whence",
    "thereof",
    "therein",
    "hither",
    "anew",
    "likewise",
    "wherever",
    "wherewith",
];

/// Nouns that `who` may follow.
const PEOPLE: &[&str] = &[
    "user",
    "users",
    "operator",
    "operators",
    "developer",
    "developers",
    "person",
    "people",
];

/// Phrases that no comment, message or document may contain.
const FORBIDDEN_PHRASES: &[&str] = &[
    "Border:",
    "for ever",
    "brought to its end",
    "of its own accord",
    "where none",
    "is as good as",
    "by its own word",
    "in anyone's name",
    "goes on with",
    "gone on with",
    "asked to leave",
    "shown out",
    "on the way in",
    "has no business",
    // A count, or what follows from it, has a name.
    "so many",
    "says nothing",
    "lease lives",
    "is the truth",
];

/// Words that no sentence of a comment may begin with, because a clause must not be the subject.
/// `What to …` is a noun phrase, and questions are allowed.
const CLAUSE_OPENINGS: &[&str] = &["What", "Who", "Where", "That what", "Of what", "To whom"];

/// Words that no file may open with.
const FILE_OPENINGS: &[&str] = &[
    "What", "Who", "Where", "Which", "Whether", "How", "Why", "That",
];

/// Words that the name of a test must not begin with, because it begins with its subject.
const TEST_OPENINGS: &[&str] = &[
    "a", "an", "the", "what", "who", "whose", "where", "that", "of", "it", "there",
];

/// Participles that do not end in -ed.
const OTHER_PARTICIPLES: &[&str] = &["found", "kept", "lost", "sent"];

/// Verbs and predicates that look like participles.
const PARTICIPLE_EXCEPTIONS: &[&str] = &["feed", "need", "seed", "embed"];

const MAX_COMMENT_COLUMNS: usize = 100;

/// The words of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
}

/// A text without its quotations in backticks or double quotes, which may be anything.
fn without_quotations(text: &str) -> String {
    let outside = |text: &str, quote: char| {
        let pieces: Vec<&str> = text.split(quote).collect();
        // A quote without a second one opens a quotation that ends on another line.
        pieces.into_iter().step_by(2).collect::<Vec<_>>().join(" ")
    };
    outside(&outside(text, '`'), '"')
}

/// The rule that a piece of prose breaks.
fn broken_rule(prose: &str) -> Option<String> {
    let prose = without_quotations(prose);
    let mut prose = prose;
    for people in PEOPLE {
        prose = prose.replace(&format!("{people} who "), "");
    }
    if let Some(word) =
        words(&prose).find(|word| FORBIDDEN_WORDS.contains(&word.to_lowercase().as_str()))
    {
        return Some(format!("the word `{word}`"));
    }
    let contains = |phrase: &str| {
        prose.match_indices(phrase).any(|(at, _)| {
            let next = prose[at + phrase.len()..].chars().next();
            !next.is_some_and(char::is_alphanumeric)
        })
    };
    FORBIDDEN_PHRASES
        .iter()
        .find(|phrase| contains(phrase))
        .map(|phrase| format!("the phrase `{phrase}`"))
}

/// The rule that the beginnings of sentences break. `is_start`: whether the line begins a
/// paragraph.
fn broken_opening(prose: &str, is_start: bool) -> Option<String> {
    let prose = without_quotations(prose);
    let prose = prose.trim();
    let starts = prose
        .match_indices(". ")
        .map(|(at, dot)| &prose[at + dot.len()..]);
    let first = is_start.then_some(prose);
    let mut sentences = first.into_iter().chain(starts);
    sentences.find_map(|sentence| {
        let is_question = sentence
            .split_inclusive(['.', '?'])
            .next()
            .is_some_and(|sentence| sentence.ends_with('?'));
        let is_noun = sentence.starts_with("What to ") || sentence.starts_with("Where to ");
        let opening = CLAUSE_OPENINGS.iter().find(|opening| {
            sentence
                .strip_prefix(**opening)
                .is_some_and(|rest| rest.starts_with(' '))
        })?;
        (!is_question && !is_noun).then(|| format!("a sentence that begins with `{opening}`"))
    })
}

/// The text of a line of Rust that is a comment; `None` for other lines.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("//")?;
    Some(text.trim_start_matches(['/', '!']).trim())
}

struct Finding {
    path: String,
    line: usize,
    rule: String,
}

fn files(root: &Path, places: &[&str], extensions: &[&str]) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = places.iter().map(|place| root.join(place)).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        } else if let Some(extension) = path.extension()
            && extensions.iter().any(|wanted| extension == *wanted)
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .expect("run by cargo")
        .into()
}

fn rust_files() -> Vec<(String, String)> {
    let places = [
        "src",
        "crates",
        "tests",
        "benches",
        "fuzz/src",
        "fuzz/fuzz_targets",
    ];
    let own = Path::new("tests/prose.rs");
    let root = root();
    files(&root, &places, &["rs"])
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&root).unwrap().to_owned();
            (path, text)
        })
        .filter(|(path, _)| path != own)
        .map(|(path, text)| (path.display().to_string(), text))
        .collect()
}

/// The findings in the comments of a Rust file.
fn check_comments(path: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut was_comment = false;
    for (index, line) in text.lines().enumerate() {
        let Some(prose) = comment(line) else {
            was_comment = false;
            continue;
        };
        let is_start = !was_comment;
        was_comment = !prose.is_empty();
        let mut rules: Vec<String> = broken_rule(prose).into_iter().collect();
        rules.extend(broken_opening(prose, is_start));
        if index == 0 {
            let opening = FILE_OPENINGS
                .iter()
                .find(|word| prose.starts_with(&format!("{word} ")));
            rules.extend(opening.map(|word| format!("a file that opens with `{word}`")));
        }
        // A row of a table cannot be wrapped.
        if line.chars().count() > MAX_COMMENT_COLUMNS && !prose.starts_with('|') {
            rules.push(format!(
                "a comment of more than {MAX_COMMENT_COLUMNS} columns"
            ));
        }
        found.extend(rules.into_iter().map(|rule| Finding {
            path: path.to_owned(),
            line: index + 1,
            rule,
        }));
    }
    found
}

#[track_caller]
fn assert_none(found: &[Finding]) {
    let lines: Vec<String> = found
        .iter()
        .map(|finding| format!("{}:{}: {}", finding.path, finding.line, finding.rule))
        .collect();
    assert!(
        lines.is_empty(),
        "{} findings\n{}\n",
        lines.len(),
        lines.join("\n")
    );
}

#[test]
fn comments_follow_the_rules_of_prose() {
    let found: Vec<Finding> = rust_files()
        .iter()
        .flat_map(|(path, text)| check_comments(path, text))
        .collect();
    assert_none(&found);
}

/// Messages are string literals of at least four words.
#[test]
fn messages_follow_the_rules_of_prose() {
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        if path.starts_with("tests/") || path.contains("/tests") || path.ends_with("tests.rs") {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            if comment(line).is_some() {
                continue;
            }
            let literals = line.split('"').skip(1).step_by(2);
            for literal in literals.filter(|literal| words(literal).count() >= 4) {
                found.extend(broken_rule(literal).map(|rule| Finding {
                    path: path.clone(),
                    line: index + 1,
                    rule,
                }));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn documents_follow_the_rules_of_prose() {
    let places = [
        "README.md",
        "CHANGELOG.md",
        "docs",
        "examples",
        "tests/README.md",
        "benches",
    ];
    let root = root();
    let mut found = Vec::new();
    for path in files(&root, &places, &["md"]) {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&root).unwrap().display().to_string();
        let mut is_code = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                found.extend(broken_rule(line).map(|rule| Finding {
                    path: path.clone(),
                    line: index + 1,
                    rule,
                }));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn names_of_tests_begin_with_their_subject() {
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        let mut is_test = false;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some(name) = line
                .strip_prefix("async fn ")
                .or_else(|| line.strip_prefix("fn "))
                .and_then(|rest| rest.split('(').next())
                && std::mem::take(&mut is_test)
            {
                let first = name.split('_').next().unwrap_or_default();
                if TEST_OPENINGS.contains(&first) {
                    found.push(Finding {
                        path: path.clone(),
                        line: index + 1,
                        rule: format!("a test whose name begins with `{first}`: {name}"),
                    });
                }
            }
        }
    }
    assert_none(&found);
}

/// The names of functions that act, and are named as a bare participle: methods with `&mut self`, and
/// `async` functions.
fn participles_that_act(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("fn ") {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let Some((name, rest)) = text[at + 3..].split_once(['(', '<']) else {
            continue;
        };
        let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase());
        if !before.is_whitespace() || !is_word {
            continue;
        }
        let is_async = text[..at].ends_with("async ");
        let arguments = rest.split(')').next().unwrap_or_default();
        let is_participle = name.ends_with("ed") || OTHER_PARTICIPLES.contains(&name);
        if is_participle && (is_async || arguments.contains("&mut self")) {
            found.push((text[..at].lines().count(), name.to_owned()));
        }
    }
    found
}

#[test]
fn functions_that_act_are_named_as_verbs() {
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        let is_own_code = path.starts_with("src/") || path.starts_with("crates/");
        if !is_own_code || path.contains("/tests/") || path.ends_with("tests.rs") {
            continue;
        }
        for (line, name) in participles_that_act(&text) {
            if !PARTICIPLE_EXCEPTIONS.contains(&name.as_str()) {
                found.push(Finding {
                    path: path.clone(),
                    line,
                    rule: format!("a function that acts, with the name of a getter: {name}"),
                });
            }
        }
    }
    assert_none(&found);
}

#[test]
fn check_finds_the_participles_that_act() {
    let names = |text| -> Vec<String> {
        let found = participles_that_act(text).into_iter();
        found.map(|(_, name)| name).collect()
    };
    assert_eq!(
        names("fn failed(\n    &mut self,\n    error: &Error,\n) {}"),
        ["failed"]
    );
    assert_eq!(names("pub async fn kept<T>(value: T) {}"), ["kept"]);
    for text in [
        "fn signed(&self) -> bool {}",
        "fn on_failed(&mut self) {}",
        "fn send(&mut self) {}",
    ] {
        assert!(names(text).is_empty(), "{text}");
    }
}

#[test]
fn check_finds_the_sentences_that_the_rules_forbid() {
    for prose in [
        "Who names no holder is none.",
        "An upload nobody claimed.",
        "Border: rows only.",
        "It waits for ever.",
        "The client is told why.",
    ] {
        assert!(broken_rule(prose).is_some(), "{prose}");
    }
    for prose in [
        "What is lost is sent again.",
        "It ends. Where none is, none is made.",
    ] {
        assert!(broken_opening(prose, true).is_some(), "{prose}");
    }
    for prose in [
        "What to do next.",
        "Whether the part is stored.",
        "Returns `None` if the caller has no lease.",
        "The word `whoever` is forbidden.",
    ] {
        assert_eq!(broken_rule(prose), None, "{prose}");
        assert_eq!(broken_opening(prose, true), None, "{prose}");
    }
    assert_eq!(broken_opening("What a line within a sentence", false), None);
}
