//! Which of flag, environment, configuration file and default wins, without touching any of this machine's.

use std::ffi::OsString;
use std::fs;

use tempfile::TempDir;

use super::*;
use crate::cli::args::{Args, Verb};

const HTTPS: &str = "https://up.example";

/// A machine without a terminal, with nothing in its environment.
fn machine(env: fn(&str) -> Option<OsString>) -> Machine {
    let directories = Directories {
        config: "/nowhere/config/upload".into(),
        state: "/nowhere/state/upload".into(),
        data: "/nowhere/data/upload".into(),
    };
    Machine {
        env,
        terminals: Terminals {
            stdout: false,
            stderr: false,
        },
        directories: Some(directories),
    }
}

fn bare() -> Machine {
    machine(|_| None)
}

fn config(line: &[&str]) -> (args::Global, args::Config) {
    let Args {
        global,
        verb: Verb::Config(flags),
    } = Args::of(&[&["config"], line].concat())
    else {
        panic!("config")
    };
    (global, flags)
}

fn effective(machine: Machine, line: &[&str]) -> Result<Vec<Effective>> {
    let (global, flags) = config(line);
    Settings::load(&global, machine)?.effective(&flags)
}

fn one(machine: Machine, line: &[&str], key: &str) -> (Option<String>, Origin) {
    let found = effective(machine, line)
        .unwrap()
        .into_iter()
        .find(|setting| setting.key == key)
        .unwrap();
    (found.value, found.origin)
}

fn file(text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("up.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn flag_then_environment_then_profile_then_file_then_default() {
    let text =
        "backend = \"https://file.example\"\n[profile.ci]\nbackend = \"https://ci.example\"\n";
    let (_dir, path) = file(text);
    let env = || machine(|name| (name == "UPLOAD_BACKEND").then(|| "https://env.example/".into()));
    let both = ["--config", &path, "--profile", "ci"];

    let found = one(
        env(),
        &[&["--backend", HTTPS], &both[..]].concat(),
        "backend",
    );
    assert_eq!(found, (Some(HTTPS.into()), Origin::Flag));
    let found = one(env(), &both, "backend");
    assert_eq!(
        found,
        (
            Some("https://env.example".into()),
            Origin::Env("UPLOAD_BACKEND")
        )
    );
    let found = one(bare(), &both, "backend");
    assert_eq!(
        found,
        (
            Some("https://ci.example".into()),
            Origin::File(path.clone().into(), Some("ci".into()))
        )
    );
    let found = one(bare(), &both[..2], "backend");
    assert_eq!(
        found,
        (
            Some("https://file.example".into()),
            Origin::File(path.clone().into(), None)
        )
    );
    assert_eq!(one(bare(), &[], "backend"), (None, Origin::Default));
}

#[test]
fn the_profile_may_come_from_the_environment_and_an_empty_variable_is_none() {
    let (_dir, path) = file("jobs = 2\n[profile.ci]\njobs = 3\n");
    let by_env = machine(|name| (name == "UPLOAD_PROFILE").then(|| "ci".into()));
    assert_eq!(
        one(by_env, &["--config", &path], "jobs").0.as_deref(),
        Some("3")
    );
    let empty = machine(|name| (name == "UPLOAD_PROFILE").then(OsString::new));
    assert_eq!(
        one(empty, &["--config", &path], "jobs").0.as_deref(),
        Some("2")
    );
}

#[test]
fn the_journal_is_in_the_state_directory_unless_said() {
    let found = one(bare(), &[], "journal");
    assert_eq!(
        found,
        (
            Some("/nowhere/state/upload/journal.db".into()),
            Origin::Default
        )
    );
    let env = || machine(|name| (name == "UPLOAD_JOURNAL").then(|| "/env/j.db".into()));
    assert_eq!(
        one(env(), &[], "journal"),
        (Some("/env/j.db".into()), Origin::Env("UPLOAD_JOURNAL"))
    );
    assert_eq!(
        one(env(), &["--journal", "j.db"], "journal"),
        (Some("j.db".into()), Origin::Flag)
    );
    let (dir, path) = file("journal = \"here.db\"\n");
    let beside = dir.path().join("here.db").display().to_string();
    assert_eq!(one(bare(), &["--config", &path], "journal").0, Some(beside));
}

#[test]
fn without_a_home_the_journal_has_to_be_named() {
    let homeless = || Machine {
        directories: None,
        ..bare()
    };
    let error = effective(homeless(), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::DatabaseUnusable);
    assert!(error.hint().unwrap().contains("--journal"));
    assert!(effective(homeless(), &["--journal", "j.db"]).is_ok());
}

#[test]
fn a_configuration_file_that_was_named_has_to_be_there() {
    assert_eq!(
        effective(bare(), &["--config", "/nowhere/up.toml"])
            .unwrap_err()
            .kind(),
        Kind::Config
    );
    assert!(effective(bare(), &[]).is_ok());
    assert_eq!(
        effective(bare(), &["--profile", "ci"]).unwrap_err().kind(),
        Kind::Config
    );
}

#[test]
fn no_backend_is_a_matter_of_configuration_that_names_the_forms() {
    let (global, flags) = config(&[]);
    let settings = Settings::load(&global, bare()).unwrap();
    let connection = settings.connection(&flags.connection).unwrap();
    let error = settings.backend(None, &connection).unwrap_err();
    assert_eq!(error.kind().exit_code(), 78);
    for form in [
        "embedded",
        "https://host[/base]",
        "s3://bucket[/prefix]",
        "--backend embedded",
    ] {
        assert!(error.hint().unwrap().contains(form), "{form}");
    }
}

#[test]
fn a_wrong_value_is_usage_when_typed_and_configuration_else() {
    assert_eq!(
        effective(bare(), &["--backend", "ftp://x"])
            .unwrap_err()
            .kind(),
        Kind::Usage
    );
    let env = machine(|name| (name == "UPLOAD_BACKEND").then(|| "ftp://x".into()));
    assert_eq!(effective(env, &[]).unwrap_err().kind(), Kind::Config);
    assert_eq!(
        effective(bare(), &["--proxy", "ftp://x"])
            .unwrap_err()
            .kind(),
        Kind::Usage
    );
    for text in [
        "part_size = \"1MiB\"",
        "jobs = 0",
        "give_up_after = \"soon\"",
        "color = \"pink\"",
        "store_hosts = [\"a b\"]",
    ] {
        let (_dir, path) = file(text);
        let error = effective(bare(), &["--config", &path]).unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{text}");
        let key = text.split(' ').next().unwrap();
        assert!(
            error.to_string().contains(key) && error.to_string().contains(&path),
            "{error}"
        );
    }
}

#[test]
fn insecure_http_has_to_be_permitted() {
    let http = ["--backend", "http://up.example"];
    assert_eq!(effective(bare(), &http).unwrap_err().kind(), Kind::Usage);
    assert!(effective(bare(), &[&http[..], &["--allow-insecure-http"]].concat()).is_ok());
    let (_dir, path) = file("allow_insecure_http = true\n");
    assert!(effective(bare(), &[&http[..], &["--config", &path]].concat()).is_ok());
}

#[test]
fn nobody_waits_forever_without_a_terminal() {
    assert_eq!(
        one(bare(), &[], "give_up_after"),
        (Some("15m".into()), Origin::Default)
    );
    let watched = Machine {
        terminals: Terminals {
            stdout: false,
            stderr: true,
        },
        ..bare()
    };
    assert_eq!(
        one(watched, &[], "give_up_after").0.as_deref(),
        Some("never")
    );
    assert_eq!(
        one(bare(), &["--give-up-after", "2h 30m"], "give_up_after")
            .0
            .as_deref(),
        Some("2h 30m")
    );
}

#[test]
fn the_token_is_read_in_order_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "canary-file\n").unwrap();
    let by_flag = ["--token-file", path.to_str().unwrap()];
    let env = || machine(|name| (name == "UPLOAD_TOKEN").then(|| "canary-env".into()));

    let token = |machine: Machine, line: &[&str]| {
        let (global, flags) = config(line);
        let connection = Settings::load(&global, machine)
            .unwrap()
            .connection(&flags.connection);
        connection.map(|connection| connection.token.map(|token| token.expose().to_owned()))
    };
    assert_eq!(
        token(env(), &by_flag).unwrap().as_deref(),
        Some("canary-file")
    );
    assert_eq!(token(env(), &[]).unwrap().as_deref(), Some("canary-env"));
    assert_eq!(token(bare(), &[]).unwrap(), None);
    let shown = format!("{:?}", effective(env(), &[]).unwrap());
    assert!(
        shown.contains("UPLOAD_TOKEN") && !shown.contains("canary"),
        "{shown}"
    );

    for wrong in ["", " \n", "two\nlines", "caf\u{e9}", &"x".repeat(9000)] {
        fs::write(&path, wrong).unwrap();
        assert_eq!(
            token(bare(), &by_flag).unwrap_err().kind(),
            Kind::Config,
            "{wrong:?}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(token(bare(), &by_flag).unwrap_err().kind(), Kind::Config);
}

#[test]
fn a_proxys_password_is_not_shown() {
    let (value, _) = one(
        bare(),
        &["--proxy", "http://me:canary@proxy.lan:3128"],
        "proxy",
    );
    assert_eq!(value.as_deref(), Some("http://REDACTED@proxy.lan:3128"));
}

#[test]
fn flags_of_put_that_do_not_go_together_are_usage() {
    let put = |line: &[&str]| {
        let Args {
            global,
            verb: Verb::Put(flags),
        } = Args::of(&[&["put"], line].concat())
        else {
            panic!("put")
        };
        Settings::load(&global, bare()).unwrap().put(&flags)
    };
    assert_eq!(
        put(&["a", "b", "--name", "n"]).unwrap_err().kind(),
        Kind::Usage
    );
    assert_eq!(put(&["-"]).unwrap_err().kind(), Kind::Usage);
    assert_eq!(
        put(&["a", "--meta", "k=1", "--meta", "k=2"])
            .unwrap_err()
            .kind(),
        Kind::Usage
    );
    let options = put(&[
        "a",
        "--part-size",
        "8M",
        "--meta",
        "k=1",
        "--if-changed",
        "restart",
    ])
    .unwrap();
    assert_eq!(options.part_size, Some(8_000_000));
    assert_eq!(options.metadata.get("k").map(String::as_str), Some("1"));
    assert_eq!(options.if_changed, IfChanged::Restart);
}

#[test]
fn the_rate_is_limited_by_flag_environment_or_file() {
    let (_dir, path) = file("limit_rate = \"3MiB/s\"\n");
    let env = || machine(|name| (name == "UPLOAD_LIMIT_RATE").then(|| "500KB/s".into()));
    let all = ["--config", &path, "--limit-rate", "none"];
    assert_eq!(
        one(env(), &all, "limit_rate"),
        (Some("none".into()), Origin::Flag)
    );
    let found = one(env(), &all[..2], "limit_rate");
    assert_eq!(
        found,
        (Some("500000B/s".into()), Origin::Env("UPLOAD_LIMIT_RATE"))
    );
    assert_eq!(
        one(bare(), &all[..2], "limit_rate").0.as_deref(),
        Some("3MiB/s")
    );
    assert_eq!(
        one(bare(), &[], "limit_rate"),
        (Some("none".into()), Origin::Default)
    );
    let wrong = machine(|name| (name == "UPLOAD_LIMIT_RATE").then(|| "0".into()));
    assert_eq!(effective(wrong, &[]).unwrap_err().kind(), Kind::Config);
}
