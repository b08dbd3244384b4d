//! The order of settings: flags, environment, configuration file, defaults.
//!
//! Not here: parsing (unit tests of `cli`).

use std::fs;

use crate::support::command::Command;
use crate::support::requirements::skip;
use crate::support::sandbox::Sandbox;

/// As in a container without a home directory.
#[test]
fn home_that_is_not_a_directory_has_no_configuration() {
    let sandbox = Sandbox::new();
    let list = sandbox.command(env!("CARGO_BIN_EXE_upload")).without_env();
    let list = list.env("HOME", "/dev/null");
    let list = list.env("XDG_STATE_HOME", sandbox.path("state"));
    list.arg("list").run().succeeds();
}

#[test]
fn backend_comes_from_flag_environment_or_file_in_that_order() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let config = sandbox.path("config.toml");
    fs::write(
        &config,
        "backend = \"embedded\"\n\n[profile.broken]\nbackend = \"nonsense://\"\n",
    )
    .unwrap();
    let put = || {
        sandbox
            .upload(["put", "--config"])
            .arg(&config)
            .arg("--force")
            .arg(&file)
    };
    assert!(put().run().succeeds().line().starts_with("embedded:"));
    put().env("UPLOAD_BACKEND", "nonsense://").run().exits(78);
    put().args(["--profile", "broken"]).run().exits(78);
    put().env("UPLOAD_PROFILE", "broken").run().exits(78);
    put()
        .env("UPLOAD_BACKEND", "nonsense://")
        .args(["--backend", "embedded"])
        .run()
        .succeeds();
}

#[test]
fn config_prints_each_setting_and_its_origin() {
    let sandbox = Sandbox::new();
    let output = sandbox
        .upload(["config"])
        .env("UPLOAD_BACKEND", "embedded")
        .run()
        .succeeds();
    assert!(
        output.stdout().contains("embedded") && output.stdout().contains("UPLOAD_BACKEND"),
        "{output}"
    );
}

#[test]
fn journal_path_can_be_set() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let journal = sandbox.path("elsewhere/journal.db");
    sandbox
        .upload(["put", "--backend", "embedded", "--journal"])
        .arg(&journal)
        .arg(&file)
        .run()
        .succeeds();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&journal).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let listed = sandbox
        .upload(["list", "--all"])
        .env("UPLOAD_JOURNAL", &journal)
        .run()
        .succeeds();
    assert!(listed.stdout().contains("film.bin"), "{listed}");
}

#[test]
fn xdg_variables_suffice_without_a_home() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let directory = |name: &str| sandbox.path(name);
    let upload = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_upload"))
            .without_env()
            .env("XDG_STATE_HOME", directory("state"))
            .env("XDG_DATA_HOME", directory("data"))
            .env("XDG_CONFIG_HOME", directory("config"))
            .args(args)
    };
    upload(&["put", "--backend", "embedded"])
        .arg(&file)
        .run()
        .succeeds();
    assert!(directory("state/upload").is_dir());
    assert_eq!(upload(&["list", "--all"]).run().succeeds().lines().len(), 1);
}

/// Each directory has its variable. A user without a home directory, as in containers, needs only
/// those of the directories that are used.
#[test]
fn each_xdg_variable_suffices_for_its_directory() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    // A user id without a name has no home directory.
    let unshare = ["--user", "--map-user=65111"];
    let unnamed = || sandbox.command("unshare").args(unshare).args(["env", "-i"]);
    let possible = unnamed().arg("true").run();
    if possible.code() != Some(0) {
        return skip(&format!("cannot map a user: {}", possible.stderr().trim()));
    }
    let upload = |variables: &[(&str, &str)], args: &[&str]| {
        let assign = |(name, directory): &(&str, &str)| {
            format!("{name}={}", sandbox.path(directory).display())
        };
        let command = unnamed().args(variables.iter().map(assign));
        command.arg(env!("CARGO_BIN_EXE_upload")).args(args)
    };
    let (state, data) = (("XDG_STATE_HOME", "state"), ("XDG_DATA_HOME", "data"));
    let put = &["put", "--backend", "embedded"];
    upload(&[state, data], put).arg(&file).run().succeeds();
    let listed = upload(&[state], &["list", "--all"]).run().succeeds();
    assert_eq!(listed.lines().len(), 1, "{listed}");
    for (variables, missing) in [
        (&[state][..], "XDG_DATA_HOME"),
        (&[data], "XDG_STATE_HOME"),
        (&[], "XDG_STATE_HOME"),
    ] {
        let output = upload(variables, put).arg(&file).run().exits(73);
        assert!(output.stderr().contains(missing), "{output}");
    }
    let put = &["put", "--backend", "embedded", "--journal", "j.db"];
    upload(&[data], put).arg(&file).run().succeeds();
}

#[test]
fn endpoint_variables_of_aws_tools_are_used() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let sandbox = Sandbox::new();
        let config = |args: &[&str]| {
            let command = sandbox.upload(["config"]).args(args);
            command.env(name, "http://store.test:9000").run().succeeds()
        };
        assert!(
            config(&[])
                .stdout()
                .contains("s3_endpoint = http://store.test:9000/")
        );
        let flag = config(&["--s3-endpoint", "http://other.test"]);
        assert!(flag.stdout().contains("s3_endpoint = http://other.test/"));
    }
}

#[test]
fn header_file_that_is_too_long_is_rejected() {
    let sandbox = Sandbox::new();
    let (file, headers) = (sandbox.file("film.bin", 10), sandbox.path("headers"));
    fs::write(&headers, format!("x-long: {}\n", "a".repeat(33 << 10))).unwrap();
    let value = format!("@{}", headers.display());
    let put = sandbox.upload(["put", "--backend", "http://127.0.0.1:1", "--header", &value]);
    put.arg(&file).run().exits(78);
}

#[test]
fn proxy_and_region_of_the_environment_override_the_file() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("config.toml");
    let text = "proxy = \"http://file.test:3128\"\ns3_region = \"eu-west-1\"\n";
    fs::write(&path, text).unwrap();
    let setting = |key: &str, envs: &[(&str, &str)]| {
        let mut command = sandbox.upload(["config", "--json", "--config"]).arg(&path);
        for (name, value) in envs {
            command = command.env(name, value);
        }
        let output = command.run().succeeds();
        let parsed = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let mut lines = output.lines().into_iter().map(parsed);
        lines
            .find(|line| line["key"] == key)
            .unwrap_or_else(|| panic!("{output}"))
    };
    assert_eq!(setting("proxy", &[])["value"], "http://file.test:3128");
    let proxy = setting(
        "proxy",
        &[("https_proxy", "http://me:canary@env.test:3128")],
    );
    assert_eq!(
        (&proxy["origin"], &proxy["env"]),
        (&"env".into(), &"https_proxy".into())
    );
    assert!(!proxy.to_string().contains("canary"), "{proxy}");
    assert_eq!(setting("s3_region", &[])["value"], "eu-west-1");
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        let region = setting("s3_region", &[(name, "us-west-2")]);
        assert_eq!(
            (&region["value"], &region["env"]),
            (&"us-west-2".into(), &name.into())
        );
    }
}
