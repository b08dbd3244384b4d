//! The first commands of a new user: `upload` alone, help, wrong verbs, and a missing or misplaced
//! backend.
//!
//! Not here: hints after an interruption (`hints`).

use std::fs;

use clap::Command as Definition;
use rusqlite::Connection;
use upload::cli::args;

use crate::support::sandbox::Sandbox;

#[test]
fn upload_alone_prints_a_short_screen() {
    let sandbox = Sandbox::new();
    let no_arguments: [&str; 0] = [];
    let output = sandbox.upload(no_arguments).run().exits(2);
    let lines: Vec<&str> = output.stderr().lines().collect();
    assert!(lines.len() <= 24, "{output}");
    assert!(lines.iter().all(|line| line.len() <= 80), "{output}");
    for verb in ["put", "resume", "list", "serve"] {
        assert!(output.stderr().contains(&format!("\n  {verb} ")), "{verb}");
    }
    assert_eq!(output.stdout(), "");
}

#[test]
fn version_is_a_verb_and_a_flag() {
    let sandbox = Sandbox::new();
    let by_flag = sandbox.upload(["--version"]).run().succeeds();
    let by_verb = sandbox.upload(["version"]).run().succeeds();
    assert_eq!(by_verb.line(), by_flag.line());
    let json = sandbox.upload(["version", "--json"]).run().succeeds();
    let line: serde_json::Value = serde_json::from_str(json.line()).unwrap();
    let version = line["version"].as_str().unwrap();
    assert!(by_flag.line().ends_with(version), "{line}");
}

/// The commands of `Examples:` in the help of a verb, without redirections.
fn examples(help: &str) -> Vec<Vec<String>> {
    let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_default();
    let mut commands = Vec::new();
    for line in examples.replace("\\\n", " ").lines() {
        let indent = line.len() - line.trim_start().len();
        assert!(indent == 2 || indent == 4, "{line:?}");
        if indent == 2 {
            continue;
        }
        let line = line.trim().trim_start_matches("(umask 077; ");
        // In a pipeline, other programs may come first.
        let mut programs = line.split('|').map(str::trim);
        let line = programs.find(|program| program.starts_with("upload "));
        let line = line.unwrap_or_default();
        let (line, _) = line.split_once([')', '>']).unwrap_or((line, ""));
        let words = shlex::split(line).unwrap();
        assert_eq!(words[0], "upload", "{line}");
        commands.push(words);
    }
    commands
}

/// Every verb, with the verbs above it.
fn verbs(command: &Definition, path: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for verb in command.get_subcommands() {
        let path = [path, &[verb.get_name().to_owned()]].concat();
        found.extend(verbs(verb, &path));
        found.push(path);
    }
    found
}

#[test]
fn help_of_each_verb_ends_with_examples_that_can_be_parsed() {
    let sandbox = Sandbox::new();
    let verbs = verbs(&args::command(), &[]);
    assert!(verbs.len() > 15, "{verbs:?}");
    for verb in verbs {
        let help = sandbox.upload(&verb).arg("--help").run().succeeds();
        let examples = examples(help.stdout());
        // It only groups the verbs below it.
        let is_group = verb == ["serve", "token"];
        let start = [&["upload".to_owned()], &verb[..]].concat();
        let is_own = |example: &Vec<String>| example.starts_with(&start);
        assert!(
            is_group || examples.iter().any(is_own),
            "{verb:?}: {examples:?}"
        );
        for example in examples {
            if let Err(error) = args::command().try_get_matches_from(&example) {
                panic!("{example:?}: {error}");
            }
        }
    }
}

#[test]
fn verb_of_another_program_names_the_verb_of_this_one() {
    let sandbox = Sandbox::new();
    for (line, verb) in [
        (&["cp", "film.mov", "s3://media"][..], "`upload put "),
        (&["sync", "dir"], "`upload put "),
        (&["get", "film.mov"], "`upload cat "),
        (&["delete", "film.mov"], "`upload rm "),
        (&["login"], "--token-file"),
        (&["ls"], "`upload list`"),
    ] {
        let output = sandbox.upload(line).run().exits(2);
        assert!(output.stderr().contains(verb), "{output}");
    }
}

/// The last line of a hint, from the word `upload`, without that word.
#[track_caller]
fn command_of_hint(stderr: &str) -> Vec<String> {
    let hint = stderr.lines().find(|line| line.starts_with("hint: "));
    let (_, command) = hint.unwrap().split_once(": upload ").unwrap();
    shlex::split(command).unwrap()
}

#[test]
fn destination_after_the_file_is_named_as_the_backend() {
    let gateway = crate::support::gateway::Gateway::start(&[], &[]);
    for backend in [None, Some("embedded")] {
        let sandbox = Sandbox::new();
        let file = sandbox.file("my film.bin", 10);
        let mut put = sandbox.upload(["put"]).arg(&file);
        put = put.args([&gateway.url(), "--name", "other.mov"]);
        if let Some(backend) = backend {
            put = put.env("UPLOAD_BACKEND", backend);
        }
        let output = put.run().exits(2);
        assert!(
            sandbox
                .files()
                .iter()
                .all(|path| !path.ends_with("journal.db"))
        );
        let again = sandbox.upload(command_of_hint(output.stderr()));
        again.run().succeeds();
        let list = sandbox.upload(["list", "--all", "--json"]).run().succeeds();
        let line: serde_json::Value = serde_json::from_str(list.line()).unwrap();
        assert_eq!(line["backend"], gateway.url(), "{line}");
        assert_eq!(line["name"], "other.mov", "{line}");
    }
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = sandbox.upload(["put", "s3://media/in"]).arg(&file);
    let output = put.run().exits(2);
    let words = command_of_hint(output.stderr());
    let file = file.to_str().unwrap();
    assert_eq!(words, ["put", file, "s3://media/in"]);
}

#[test]
fn missing_or_unknown_backend_lists_the_forms_and_repeats_the_value() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = |args: &[&str]| sandbox.upload(["put"]).args(args).arg(&file).run();
    for (args, code) in [
        (&[][..], 78),
        (&["--backend", "s3"], 2),
        (&["--backend=ftp://a"], 2),
    ] {
        let output = put(args).exits(code);
        for form in [
            "embedded ",
            "https://host",
            "s3://bucket",
            "companion+https://",
        ] {
            let start = format!("\n  {form}");
            assert_eq!(
                output.stderr().matches(&start).count(),
                1,
                "{form}: {output}"
            );
        }
        assert!(
            output.stderr().lines().all(|line| line.len() <= 100),
            "{output}"
        );
    }
    put(&["--backend", "s3"]).stderr_contains("`s3`");
    let secret = put(&["--backend", "upl_canary"]).exits(2);
    assert!(!secret.stderr().contains("canary"), "{secret}");
}

#[test]
fn name_with_a_slash_is_rejected() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = sandbox.upload(["put", "--backend", "embedded", "--name", "a/b.bin"]);
    put.arg(&file).run().exits(2);
}

#[test]
fn unknown_key_of_the_configuration_names_its_line_and_every_key() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("config.toml");
    std::fs::write(&path, "jobs = 2\n\nallow_insecure = true\n").unwrap();
    let output = sandbox
        .upload(["list", "--config"])
        .arg(&path)
        .run()
        .exits(78);
    for text in ["line 3", "`allow_insecure_http`", "s3_path_style"] {
        assert!(output.stderr().contains(text), "{output}");
    }
}

#[test]
fn config_names_the_configuration_file_whether_or_not_it_exists() {
    let sandbox = Sandbox::new();
    let config = |args: &[&str]| sandbox.upload(["config"]).args(args).run().succeeds();
    let path = sandbox.path("home/config/upload/config.toml");
    let text = path.display().to_string();
    assert!(config(&[]).stdout().contains(&text));
    let line = |output: crate::support::command::Output| {
        let line: serde_json::Value = serde_json::from_str(output.lines()[0]).unwrap();
        (line["path"] == *text.as_str(), line["exists"].clone())
    };
    assert_eq!(line(config(&["--json"])), (true, false.into()));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "").unwrap();
    assert_eq!(line(config(&["--json"])), (true, true.into()));
}

#[test]
fn token_add_says_on_standard_error_what_the_token_is_for() {
    let sandbox = Sandbox::new();
    let ledger = format!("sqlite:{}", sandbox.path("typo.db").display());
    let add = |args: &[&str]| {
        let add = sandbox.upload(["serve", "token", "add", "laptop", "--ledger", &ledger]);
        add.args(args).run().succeeds()
    };
    let output = add(&[]);
    assert_eq!(output.lines().len(), 1, "{output}");
    for text in [ledger.as_str(), "--auth tokens", "--token-file"] {
        assert!(output.stderr().contains(text), "{output}");
    }
    assert!(
        !output.stderr().contains(output.line()),
        "the token is repeated"
    );
    assert_eq!(add(&["--quiet"]).stderr(), "");
}

/// The ledger of an embedded backend belongs to the client, which has no flag to name another one.
#[test]
fn hint_about_a_ledger_of_an_earlier_build_works_without_a_flag() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("a", 10);
    let put = || {
        let put = sandbox.upload(["put", "--backend", "embedded", "--force"]);
        put.arg(&file).run()
    };
    put().succeeds();
    let mut files = sandbox.files().into_iter();
    let ledger = files.find(|path| path.ends_with("embedded.db")).unwrap();
    let connection = Connection::open(&ledger).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let output = put().exits(78);
    assert!(output.stderr().contains("move it away"), "{output}");
    assert!(!output.stderr().contains("--ledger"), "{output}");
    fs::rename(&ledger, sandbox.path("away.db")).unwrap();
    put().succeeds();
}
