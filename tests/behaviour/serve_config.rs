//! The configuration of `upload serve`: its file, the environment, and their order.
//!
//! Not here: every flag of the file (unit tests of `cli/serve`).

use std::fs;

use crate::support::command::Output;
use crate::support::gateway::Gateway;
use crate::support::sandbox::Sandbox;

/// Runs `upload serve ARGS… --config FILE` with this text in the file.
struct Serve {
    sandbox: Sandbox,
}

impl Serve {
    fn new() -> Self {
        Self {
            sandbox: Sandbox::new(),
        }
    }

    #[track_caller]
    fn run(&self, text: &str, args: &[&str], envs: &[(&str, &str)]) -> Output {
        let path = self.sandbox.path("serve.toml");
        fs::write(&path, text).unwrap();
        let mut command = self.sandbox.upload(["serve"]).args(args);
        for (name, value) in envs {
            command = command.env(name, value);
        }
        command.arg("--config").arg(path).run()
    }
}

#[test]
fn jwt_is_configured_by_the_file() {
    let serve = Serve::new();
    let check = |text: &str| serve.run(text, &["--check"], &[]);
    let issuer = "jwt_issuer = \"https://issuer.example\"\n";
    let keys = "jwt_audience = \"uploads\"\njwt_claim = [\"sub=**\"]\n\
                jwt_jwks = \"https://issuer.example/keys\"\n";
    check(&format!("auth = \"jwt\"\n{issuer}{keys}")).succeeds();
    check(&format!("auth = [\"tokens\", \"jwt\"]\n{keys}{issuer}")).succeeds();
    check(&format!("auth = \"tokens,jwt\"\n{issuer}{keys}")).succeeds();
    check(&format!("auth = \"jwt\"\n{keys}")).exits(78);
    check(keys).exits(78);
    // Flags and file complete each other.
    let flags = ["--check", "--jwt-audience", "uploads", "--auth", "jwt"];
    let text = format!("{issuer}jwt_claim = [\"sub=**\"]\n");
    serve.run(&text, &flags, &[]).succeeds();
}

#[test]
fn ledger_comes_from_flag_environment_or_file_in_that_order() {
    let serve = Serve::new();
    let ledger = |name: &str| format!("sqlite:{}", serve.sandbox.path(name).display());
    let text = format!("ledger = {:?}\n", ledger("file.db"));
    let (by_env, by_flag) = (ledger("env.db"), ledger("flag.db"));
    let envs = [("UPLOAD_LEDGER", by_env.as_str())];
    let add = ["token", "add", "me"];
    let exists = |name: &str| serve.sandbox.path(name).exists();

    let with_flag = [&add[..], &["--ledger", &by_flag]].concat();
    serve.run(&text, &with_flag, &envs).succeeds();
    assert!(exists("flag.db") && !exists("env.db") && !exists("file.db"));
    serve.run(&text, &add, &envs).succeeds();
    assert!(exists("env.db") && !exists("file.db"));
    serve.run(&text, &add, &[("UPLOAD_LEDGER", "")]).succeeds();
    assert!(exists("file.db"));
}

#[test]
fn cdn_with_a_hook_is_refused_also_by_check() {
    let serve = Serve::new();
    let text = "hook = [\"check=exec:/bin/true\"]\n";
    serve.run(text, &["--check"], &[]).succeeds();
    let cdn = ["--cdn", "https://cdn.example.com"];
    serve
        .run("", &[&["--check"], &cdn[..]].concat(), &[])
        .succeeds();
    for args in [&["--check"][..], &["--probe"], &[]] {
        let refused = serve.run(text, &[args, &cdn].concat(), &[]);
        refused.exits(78).stderr_contains("--cdn");
    }
}

/// Each variable has a value that is an error if it is used.
#[test]
fn variables_override_the_file_and_flags_override_them() {
    let serve = Serve::new();
    let ca = format!(
        "{}/tests/chaos/tls/ca.pem",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    );
    for (variable, key, good, wrong) in [
        ("AWS_CA_BUNDLE", "ca_cert", ca.as_str(), "/nowhere.pem"),
        ("AWS_ENDPOINT_URL", "s3_endpoint", "http://a.test", "a.test"),
        ("AWS_ENDPOINT_URL_S3", "s3_endpoint", "http://a.test", "a"),
    ] {
        let text = format!("store = \"s3://media\"\n{key} = {good:?}\n");
        let flag = format!("--{}={good}", key.replace('_', "-"));
        let wrong = [(variable, wrong)];
        serve.run(&text, &["--check"], &[]).succeeds();
        serve.run(&text, &["--check"], &wrong).exits(78);
        serve.run(&text, &["--check", &flag], &wrong).succeeds();
    }
}

#[test]
fn variables_of_serve_override_other_variables_and_the_file() {
    let serve = Serve::new();
    let wrong = ("UPLOAD_SERVE_RATE", "fast");
    let file = "rate = \"fast\"\n";
    let check = |text: &str, args: &[&str], envs: &[(&str, &str)]| {
        serve.run(text, &[&["--check"], args].concat(), envs)
    };
    check(file, &[], &[]).exits(2);
    check(file, &[], &[("UPLOAD_SERVE_RATE", "5/s")]).succeeds();
    check("", &[], &[wrong]).exits(2);
    check("", &["--rate", "5/s"], &[wrong]).succeeds();
    check(file, &[], &[("UPLOAD_SERVE_RATE", "")]).exits(2);
    let bucket = "store = \"s3://media\"\n";
    let endpoints = [
        ("AWS_ENDPOINT_URL_S3", "not a url"),
        ("UPLOAD_SERVE_S3_ENDPOINT", "http://a.test"),
    ];
    check(bucket, &[], &endpoints[..1]).exits(78);
    check(bucket, &[], &endpoints).succeeds();
    // Of verbs below `serve` too.
    let ledger = format!("sqlite:{}", serve.sandbox.path("own.db").display());
    let envs = [
        ("UPLOAD_SERVE_LEDGER", ledger.as_str()),
        ("UPLOAD_LEDGER", "sqlite:x"),
    ];
    serve.run("", &["token", "add", "me"], &envs).succeeds();
    assert!(serve.sandbox.path("own.db").exists());
}

#[test]
fn error_names_the_place_of_a_wrong_value() {
    let serve = Serve::new();
    let check = |text: &str, envs: &[(&str, &str)]| serve.run(text, &["--check"], envs);
    check("listen = \"127.0.0.1:1\"\nquota = \"many\"\n", &[])
        .exits(2)
        .stderr_contains("serve.toml, line 2");
    check("", &[("UPLOAD_SERVE_QUOTA", "many")])
        .exits(2)
        .stderr_contains("UPLOAD_SERVE_QUOTA");
    check("", &[("UPLOAD_SERVE_LISTEN", "here")])
        .exits(78)
        .stderr_contains("UPLOAD_SERVE_LISTEN");
    check("", &[("UPLOAD_SERVE_EVENTS", "webhook")])
        .exits(78)
        .stderr_contains("UPLOAD_SERVE_EVENTS");
    check("", &[("UPLOAD_SERVE_LISTN", "x")])
        .succeeds()
        .stderr_contains("UPLOAD_SERVE_LISTN");
    check("[[limits]]\nowner = \"a\"\n", &[])
        .exits(78)
        .stderr_contains("serve.toml, line 1");
}

#[test]
fn profile_of_the_environment_applies_to_the_file_of_serve() {
    let serve = Serve::new();
    let text = "[profile.open]\nlisten = \"0.0.0.0:0\"\nauth = \"none\"\n\
                [profile.closed]\nlisten = \"0.0.0.0:0\"\nauth = \"tokens\"\n";
    let check = |args: &[&str], profile: &str| {
        let args = [&["--check"], args].concat();
        serve.run(text, &args, &[("UPLOAD_PROFILE", profile)])
    };
    check(&[], "open").exits(78);
    check(&[], "closed").succeeds();
    check(&[], "").succeeds();
    check(&["--profile", "closed"], "open").succeeds();
    check(&[], "missing")
        .exits(78)
        .stderr_contains("UPLOAD_PROFILE");
}

#[test]
fn file_of_the_client_does_not_affect_serve() {
    let serve = Serve::new();
    let config = serve.sandbox.path("home/config/upload");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), "not TOML").unwrap();
    serve.sandbox.upload(["list"]).run().exits(78);
    let check = || serve.sandbox.upload(["serve", "--check"]).run();
    check().succeeds();
    fs::write(config.join("serve.toml"), "not TOML").unwrap();
    check().exits(78);
}

/// The variable does not count, so it must not hide the endpoint of the file.
#[test]
fn endpoint_of_the_file_is_used_if_that_of_the_environment_is_ignored() {
    let (keeper, serve) = (Gateway::start(&[], &[]), Serve::new());
    let store = keeper.store();
    let ledger = format!("sqlite:{}", serve.sandbox.path("ledger.db").display());
    let text = format!(
        "store = \"s3://{}\"\ns3_endpoint = \"{}\"\nledger = {ledger:?}\n",
        store.bucket(),
        keeper.url()
    );
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    let envs = [&store.envs()[..], &[nowhere, ignored]].concat();
    serve.run(&text, &["--probe"], &envs).succeeds();
    let envs = [&store.envs()[..], &[nowhere]].concat();
    serve.run(&text, &["--probe"], &envs).exits(75);
}
