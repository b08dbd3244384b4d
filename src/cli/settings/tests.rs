//! The precedence of flag, environment, configuration file and default, in replaced environments.

use std::ffi::OsString;
use std::fs;

use tempfile::TempDir;

use super::*;
use crate::cli::args::{CommandLine, ConfigArgs, GlobalArgs, IfChanged, Verb};
use upload_types::error::{Kind, Result};
use upload_types::wire::IfExists;

const HTTPS: &str = "https://up.example";

/// An environment without a terminal, with these variables.
fn environment(variable: fn(&str) -> Option<OsString>) -> Environment {
    let directories = Directories {
        config: Some("/nowhere/config/upload".into()),
        state: Some("/nowhere/state/upload".into()),
        data: Some("/nowhere/data/upload".into()),
    };
    Environment {
        variable,
        terminals: Terminals {
            stdout: false,
            stderr: false,
        },
        directories,
    }
}

fn empty() -> Environment {
    environment(|_| None)
}

fn config(arguments: &[&str]) -> (GlobalArgs, ConfigArgs) {
    let CommandLine {
        global,
        verb: Verb::Config(flags),
    } = CommandLine::of(&[&["config"], arguments].concat())
    else {
        panic!("config")
    };
    (global, flags)
}

fn effective(environment: Environment, arguments: &[&str]) -> Result<Vec<EffectiveSetting>> {
    let (global, flags) = config(arguments);
    Settings::load(&global, environment)?.effective(&flags)
}

fn one(environment: Environment, arguments: &[&str], key: &str) -> (Option<String>, Origin) {
    let found = effective(environment, arguments)
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
fn precedence_is_flag_environment_profile_file_default() {
    let text =
        "backend = \"https://file.example\"\n[profile.ci]\nbackend = \"https://ci.example\"\n";
    let (_dir, path) = file(text);
    let env =
        || environment(|name| (name == "UPLOAD_BACKEND").then(|| "https://env.example/".into()));
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
    let found = one(empty(), &both, "backend");
    assert_eq!(
        found,
        (
            Some("https://ci.example".into()),
            Origin::File(path.clone().into(), Some("ci".into()))
        )
    );
    let found = one(empty(), &both[..2], "backend");
    assert_eq!(
        found,
        (
            Some("https://file.example".into()),
            Origin::File(path.clone().into(), None)
        )
    );
    assert_eq!(one(empty(), &[], "backend"), (None, Origin::Default));
}

#[test]
fn profile_from_environment_and_empty_variable() {
    let (_dir, path) = file("jobs = 2\n[profile.ci]\njobs = 3\n");
    let by_env = environment(|name| (name == "UPLOAD_PROFILE").then(|| "ci".into()));
    assert_eq!(
        one(by_env, &["--config", &path], "jobs").0.as_deref(),
        Some("3")
    );
    let empty = environment(|name| (name == "UPLOAD_PROFILE").then(OsString::new));
    assert_eq!(
        one(empty, &["--config", &path], "jobs").0.as_deref(),
        Some("2")
    );
}

#[test]
fn journal_is_in_the_state_directory_by_default() {
    let found = one(empty(), &[], "journal");
    assert_eq!(
        found,
        (
            Some("/nowhere/state/upload/journal.db".into()),
            Origin::Default
        )
    );
    let env = || environment(|name| (name == "UPLOAD_JOURNAL").then(|| "/env/j.db".into()));
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
    assert_eq!(
        one(empty(), &["--config", &path], "journal").0,
        Some(beside)
    );
}

#[test]
fn journal_must_be_named_without_a_home_directory() {
    let without_home = || Environment {
        directories: Directories::default(),
        ..empty()
    };
    let error = effective(without_home(), &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::DatabaseUnusable);
    assert!(error.hint().unwrap().contains("--journal"));
    assert!(effective(without_home(), &["--journal", "j.db"]).is_ok());
}

#[test]
fn named_configuration_file_must_exist() {
    assert_eq!(
        effective(empty(), &["--config", "/nowhere/up.toml"])
            .unwrap_err()
            .kind(),
        Kind::Config
    );
    assert!(effective(empty(), &[]).is_ok());
    assert_eq!(
        effective(empty(), &["--profile", "ci"]).unwrap_err().kind(),
        Kind::Config
    );
}

#[test]
fn missing_backend_is_a_configuration_error_whose_hint_names_the_forms() {
    let (global, flags) = config(&[]);
    let settings = Settings::load(&global, empty()).unwrap();
    let connection = settings.connection(&flags.connection).unwrap();
    let error = settings.target(None, &connection).unwrap_err();
    assert_eq!(error.kind().exit_code(), 78);
    for form in [
        "embedded",
        "https://host[/base]",
        "s3://bucket[/prefix]",
        "companion+https://host[/path]",
    ] {
        assert!(error.hint().unwrap().contains(form), "{form}");
    }
}

#[test]
fn wrong_value_is_a_usage_error_for_flags_and_a_configuration_error_otherwise() {
    assert_eq!(
        effective(empty(), &["--backend", "ftp://x"])
            .unwrap_err()
            .kind(),
        Kind::Usage
    );
    let env = environment(|name| (name == "UPLOAD_BACKEND").then(|| "ftp://x".into()));
    assert_eq!(effective(env, &[]).unwrap_err().kind(), Kind::Config);
    assert_eq!(
        effective(empty(), &["--proxy", "ftp://x"])
            .unwrap_err()
            .kind(),
        Kind::Usage
    );
    for text in [
        "part_size = \"1MiB\"",
        "key_style = \"path\"",
        "if_exists = \"replace\"",
        "jobs = 0",
        "give_up_after = \"soon\"",
        "color = \"pink\"",
        "store_hosts = [\"a b\"]",
    ] {
        let (_dir, path) = file(text);
        let error = effective(empty(), &["--config", &path]).unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{text}");
        let key = text.split(' ').next().unwrap();
        assert!(
            error.to_string().contains(key) && error.to_string().contains(&path),
            "{error}"
        );
    }
}

#[test]
fn insecure_http_must_be_permitted() {
    let http = ["--backend", "http://up.example"];
    assert_eq!(effective(empty(), &http).unwrap_err().kind(), Kind::Usage);
    assert!(effective(empty(), &[&http[..], &["--allow-insecure-http"]].concat()).is_ok());
    let (_dir, path) = file("allow_insecure_http = true\n");
    assert!(effective(empty(), &[&http[..], &["--config", &path]].concat()).is_ok());
}

#[test]
fn give_up_after_is_limited_without_a_terminal() {
    assert_eq!(
        one(empty(), &[], "give_up_after"),
        (Some("15m".into()), Origin::Default)
    );
    let with_terminal = Environment {
        terminals: Terminals {
            stdout: false,
            stderr: true,
        },
        ..empty()
    };
    assert_eq!(
        one(with_terminal, &[], "give_up_after").0.as_deref(),
        Some("never")
    );
    assert_eq!(
        one(empty(), &["--give-up-after", "2h 30m"], "give_up_after")
            .0
            .as_deref(),
        Some("2h 30m")
    );
}

#[test]
fn token_precedence_and_redaction() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "canary-file\n").unwrap();
    let by_flag = ["--token-file", path.to_str().unwrap()];
    let env = || environment(|name| (name == "UPLOAD_TOKEN").then(|| "canary-env".into()));

    let token = |environment: Environment, arguments: &[&str]| {
        let (global, flags) = config(arguments);
        let connection = Settings::load(&global, environment)
            .unwrap()
            .connection(&flags.connection);
        connection.map(|connection| connection.token.map(|token| token.expose().to_owned()))
    };
    assert_eq!(
        token(env(), &by_flag).unwrap().as_deref(),
        Some("canary-file")
    );
    assert_eq!(token(env(), &[]).unwrap().as_deref(), Some("canary-env"));
    assert_eq!(token(empty(), &[]).unwrap(), None);
    let shown = format!("{:?}", effective(env(), &[]).unwrap());
    assert!(
        shown.contains("UPLOAD_TOKEN") && !shown.contains("canary"),
        "{shown}"
    );

    for wrong in ["", " \n", "two\nlines", "caf\u{e9}", &"x".repeat(33_000)] {
        fs::write(&path, wrong).unwrap();
        assert_eq!(
            token(empty(), &by_flag).unwrap_err().kind(),
            Kind::Config,
            "{wrong:?}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(token(empty(), &by_flag).unwrap_err().kind(), Kind::Config);
}

#[test]
fn proxy_password_is_redacted() {
    let (value, _) = one(
        empty(),
        &["--proxy", "http://me:canary@proxy.lan:3128"],
        "proxy",
    );
    assert_eq!(value.as_deref(), Some("http://REDACTED@proxy.lan:3128"));
}

#[test]
fn conflicting_flags_of_put_are_usage_errors() {
    let put = |arguments: &[&str]| {
        let CommandLine {
            global,
            verb: Verb::Put(flags),
        } = CommandLine::of(&[&["put"], arguments].concat())
        else {
            panic!("put")
        };
        let settings = Settings::load(&global, empty()).unwrap();
        settings.put(&flags, flags.paths.clone())
    };
    assert_eq!(
        put(&["a", "b", "--name", "n"]).unwrap_err().kind(),
        Kind::Usage
    );
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
    assert_eq!(options.if_exists, IfExists::Same);
    let forced = put(&["a", "--force"]).unwrap();
    assert_eq!(forced.if_exists, IfExists::Overwrite);
    let kept = put(&["a", "--force", "--if-exists", "fail"]).unwrap();
    assert_eq!(kept.if_exists, IfExists::Fail);
}

#[test]
fn limit_rate_precedence() {
    let (_dir, path) = file("limit_rate = \"3MiB/s\"\n");
    let env = || environment(|name| (name == "UPLOAD_LIMIT_RATE").then(|| "500KB/s".into()));
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
        one(empty(), &all[..2], "limit_rate").0.as_deref(),
        Some("3MiB/s")
    );
    assert_eq!(
        one(empty(), &[], "limit_rate"),
        (Some("none".into()), Origin::Default)
    );
    let wrong = environment(|name| (name == "UPLOAD_LIMIT_RATE").then(|| "0".into()));
    assert_eq!(effective(wrong, &[]).unwrap_err().kind(), Kind::Config);
}

/// Scripts read null, not a text, for a setting that is not set.
#[test]
fn settings_that_are_not_set_have_no_value() {
    let settings = effective(empty(), &[]).unwrap();
    for setting in &settings {
        assert_ne!(setting.value.as_deref(), Some("not set"), "{}", setting.key);
    }
    assert_eq!(one(empty(), &[], "token"), (None, Origin::Default));
    let token = environment(|name| (name == "UPLOAD_TOKEN").then(|| "secret".into()));
    let found = one(token, &[], "token");
    assert_eq!(found, (Some("set".into()), Origin::Env("UPLOAD_TOKEN")));
}
