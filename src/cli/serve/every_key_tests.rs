//! Every flag of `upload serve` has the same effect in the configuration file as on a command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::config::config;
use super::config_file::parse;
use super::variables;
use crate::cli::args::from_file::{self, Form, Key};
use crate::cli::args::{CommandLine, Verb};
use crate::cli::settings::{Directories, Environment, Settings, Terminals};
use upload_gateway::Config;

/// A value for each key that differs from the default. `DIR` stands for a directory with the files
/// `secret` and `ca.pem`.
const VALUES: &[(&str, &[&str])] = &[
    ("listen", &["127.0.0.1:7001"]),
    ("public_url", &["https://up.example/base"]),
    ("metrics_listen", &["127.0.0.1:7002"]),
    ("store", &["s3://media/in"]),
    ("ledger", &["sqlite:DIR/ledger.db"]),
    ("store_credentials", &["DIR/store.ini"]),
    ("store_presigned_puts", &["true"]),
    ("allow_type", &["video/*", "image/*"]),
    ("allow_attribute", &["cache-control", "tag"]),
    ("client_keys", &["true"]),
    ("max_size", &["50GiB"]),
    ("url_ttl", &["20m"]),
    ("upload_ttl", &["3d"]),
    ("lease", &["90s"]),
    ("keep_ended", &["30d"]),
    ("sweep_every", &["never"]),
    ("events", &["webhook"]),
    ("events_secret_file", &["DIR/secret"]),
    ("companion", &["/companion"]),
    ("allow_origin", &["https://a.example", "https://b.example"]),
    ("cdn", &["https://cdn.example"]),
    ("hook", &["scan=exec:/bin/true", "https://hook.example/"]),
    ("hook_arg", &["scan=--fast", "scan=-v"]),
    ("hook_secret_file", &["DIR/secret"]),
    ("hook_timeout", &["5m"]),
    ("on_reject", &["quarantine:bad"]),
    ("client_delete", &["true"]),
    ("sse", &["AES256"]),
    ("required_header", &["x-amz-acl: private"]),
    ("store_probe", &["warn"]),
    ("store_checksum", &["payload"]),
    ("drain", &["10s"]),
    ("log_format", &["json"]),
    ("auth", &["tokens", "jwt"]),
    (
        "jwt_issuer",
        &["https://issuer.example", "https://b.example"],
    ),
    ("jwt_audience", &["uploads", "account"]),
    ("jwt_jwks", &["https://issuer.example/keys"]),
    ("jwt_algorithm", &["ES256", "PS512"]),
    ("jwt_claim", &["repository=acme/*", "ref=refs/heads/main"]),
    ("jwt_owner_claim", &["repository_id"]),
    ("rate", &["100/s,burst=5000"]),
    ("quota", &["open=10,total=1TiB"]),
    (
        "limits",
        &[
            r#"owner = "token:ci-*", quota = "total=1GiB""#,
            r#"claim = "plan=free", rate = "10/s""#,
        ],
    ),
    ("subjects", &["hooks"]),
    ("ca_cert", &["DIR/ca.pem"]),
    ("proxy", &["http://proxy.example:3128"]),
    ("s3_endpoint", &["http://127.0.0.1:9000"]),
    ("s3_public_endpoint", &["https://s3.example"]),
    ("s3_region", &["eu-west-1"]),
    ("s3_path_style", &["true"]),
    ("verbose", &["2"]),
];

/// A directory with the files that [`VALUES`] names.
fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "sixteen-characters-or-more\n").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(
        root.join("tests/chaos/tls/ca.pem"),
        dir.path().join("ca.pem"),
    )
    .unwrap();
    dir
}

/// The values of a key, with the path of the directory.
fn values(key: &Key, dir: &Path) -> Vec<String> {
    let found = VALUES.iter().find(|(name, _)| *name == key.name);
    let (_, values) = found.unwrap_or_else(|| panic!("add a value for the key {}", key.name));
    let dir = dir.to_str().unwrap();
    values
        .iter()
        .map(|value| value.replace("DIR", dir))
        .collect()
}

/// The keys as lines of TOML, and the same flags as arguments.
fn lines_and_arguments(keys: &[Key], dir: &Path) -> (String, Vec<String>) {
    let (mut lines, mut arguments) = (String::new(), Vec::new());
    for key in keys {
        let values = values(key, dir);
        let flag = format!("--{}", key.name.replace('_', "-"));
        let text = match key.form {
            Form::Switch | Form::Count => values.concat(),
            Form::Texts => format!("{values:?}"),
            Form::Text | Form::Path => format!("{:?}", values.concat()),
        };
        writeln!(lines, "{} = {text}", key.name).unwrap();
        match key.form {
            Form::Switch => arguments.push(flag),
            Form::Count => arguments.extend([flag.clone(), flag]),
            _ => arguments.extend(values.iter().map(|value| format!("{flag}={value}"))),
        }
    }
    (lines, arguments)
}

/// Everything that a command line configures, as text.
fn effect(command_line: CommandLine, dir: &Path) -> BTreeMap<&'static str, String> {
    let environment = Environment {
        variable: |_| None,
        terminals: Terminals {
            stdout: false,
            stderr: false,
        },
        directories: Directories {
            config: Some(dir.join("config")),
            state: Some(dir.join("state")),
            data: Some(dir.join("data")),
        },
    };
    let CommandLine { global, verb } = command_line;
    let Verb::Serve(serve) = verb else {
        panic!("serve")
    };
    let settings = Settings::without_file(&global, environment).unwrap();
    let configured = config(&settings, &serve.options).unwrap();
    // All keys are valid together, except that a CDN and hooks exclude each other.
    let without_cdn = Config {
        cdn_url: None,
        ..configured.clone()
    };
    without_cdn.validate().unwrap();
    BTreeMap::from([
        ("configuration", format!("{configured:#?}")),
        ("log format", format!("{:?}", serve.options.log_format)),
        ("verbose", global.verbose.to_string()),
    ])
}

fn line(arguments: &[String]) -> impl Iterator<Item = OsString> {
    let words = ["upload".to_owned(), "serve".to_owned()];
    words.into_iter().chain(arguments.to_vec()).map(Into::into)
}

#[test]
fn every_key_of_the_file_has_the_effect_of_its_flag() {
    let dir = directory();
    let keys = from_file::keys();
    assert_eq!(keys.len(), VALUES.len(), "a value belongs to no key");
    let (lines, arguments) = lines_and_arguments(&keys, dir.path());
    let flags = parse(&lines, &dir.path().join("serve.toml"), None).unwrap();
    let by_file = from_file::parse_with_defaults(line(&[]), &flags, |_| false).unwrap();
    let by_flags = from_file::parse_with_defaults(line(&arguments), &[], |_| false).unwrap();
    let defaults = from_file::parse_with_defaults(line(&[]), &[], |_| false).unwrap();
    let by_file = effect(by_file, dir.path());
    let defaults = effect(defaults, dir.path());
    for (what, configured) in effect(by_flags, dir.path()) {
        assert_eq!(by_file[what], configured, "{what}");
        assert_ne!(defaults[what], configured, "{what}");
    }
}

/// Each key alone reaches the arguments, whether or not it makes sense without the others.
#[test]
fn every_key_of_the_file_is_accepted_alone_and_overridden_by_its_flag() {
    let dir = directory();
    let matches = |arguments: &[String], flags: &[from_file::FileFlag]| {
        from_file::parse_with_defaults(line(arguments), flags, |_| false).map(|_| ())
    };
    for key in from_file::keys() {
        let (lines, arguments) = lines_and_arguments(std::slice::from_ref(&key), dir.path());
        let flags = parse(&lines, &dir.path().join("serve.toml"), None)
            .unwrap_or_else(|error| panic!("{lines}: {error}"));
        matches(&[], &flags).unwrap_or_else(|error| panic!("{lines}: {error}"));
        matches(&arguments, &flags).unwrap_or_else(|error| panic!("{lines}: {error}"));
    }
}

/// Each variable `UPLOAD_SERVE_…` has the effect of its flag, precedes the file, and is overridden
/// by the flag.
#[test]
fn every_variable_has_the_effect_of_its_flag() {
    let dir = directory();
    let keys = from_file::keys();
    let variables = keys.iter().map(|key| {
        let values = values(key, dir.path());
        let value = match key.form {
            Form::Texts => format!("{values:?}"),
            _ => values.concat(),
        };
        (key.variable().into(), value.into())
    });
    let variables = variables::flags(variables.collect::<Vec<_>>()).unwrap();
    assert_eq!(variables.len(), keys.len());
    let (_, arguments) = lines_and_arguments(&keys, dir.path());
    let by_variables = from_file::parse_with_defaults(line(&[]), &variables, |_| true).unwrap();
    let by_flags = from_file::parse_with_defaults(line(&arguments), &[], |_| false).unwrap();
    let by_flags = effect(by_flags, dir.path());
    assert_eq!(effect(by_variables, dir.path()), by_flags);
    let Verb::Serve(both) = from_file::parse_with_defaults(line(&arguments), &variables, |_| true)
        .unwrap()
        .verb
    else {
        panic!("serve")
    };
    assert_eq!(both.options.origins, []);
    for key in keys {
        let origins = |flags: &[from_file::FileFlag]| {
            let parsed = from_file::parse_with_defaults(line(&[]), flags, |_| true);
            let Verb::Serve(serve) = parsed.unwrap().verb else {
                panic!("serve")
            };
            serve.options.origins
        };
        let own: Vec<_> = variables
            .iter()
            .filter(|flag| flag.key == key)
            .cloned()
            .collect();
        let expected = usize::from(key.name != "verbose");
        assert_eq!(origins(&own).len(), expected, "{}", key.name);
    }
}
