//! Credentials for `s3://`, from every source of the AWS conventions, and the cause if a source
//! fails.
//!
//! Not here: keys that are renewed during an upload (`aws_rotation`).

use std::fs;

use serde_json::json;

use crate::support::aws::{AwsServices, MIDDLE_KEY, MIDDLE_TOKEN, REFRESH_TOKEN, SSO_TOKEN};
use crate::support::command::{Command, Output};
use crate::support::gateway::Gateway;
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;

/// A store, services that give the keys of the store, and a client without credentials.
struct World {
    sandbox: Sandbox,
    keeper: Gateway,
    store: S3,
    services: AwsServices,
}

impl World {
    fn new() -> Self {
        let keeper = Gateway::start(&[], &[]);
        let store = keeper.store();
        let [(_, access_key), (_, secret_key), _] = store.envs();
        let services = AwsServices::start(access_key, secret_key);
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("home/.aws")).unwrap();
        sandbox.file("film.bin", 1000);
        Self {
            sandbox,
            keeper,
            store,
            services,
        }
    }

    /// Writes `~/.aws/config`.
    fn config(&self, text: &str) {
        fs::write(self.sandbox.path("home/.aws/config"), text).unwrap();
    }

    /// `key = value` of the store's keys.
    fn key_lines(&self) -> String {
        let [(_, access_key), (_, secret_key), _] = self.store.envs();
        format!("aws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")
    }

    /// `put` of another object each time, with the fake services in place of AWS's.
    fn put(&self, envs: &[(&str, &str)]) -> Command {
        let put = self
            .sandbox
            .upload(["put", "film.bin", "--force", "--backend", "s3://embedded"])
            .args(["--s3-endpoint", &self.keeper.url(), "--give-up-after", "1s"])
            .args(["--key-style", "uuid"])
            .env("AWS_ENDPOINT_URL_STS", self.services.url())
            .env("AWS_ENDPOINT_URL_SSO", self.services.url())
            .env("AWS_ENDPOINT_URL_SSO_OIDC", self.services.url())
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let envs = envs.iter();
        envs.fold(put, |put, (name, value)| put.env(name, value))
    }

    #[track_caller]
    fn stores(&self, envs: &[(&str, &str)]) {
        let before = self.store.objects().len();
        self.put(envs).run().succeeds();
        assert_eq!(self.store.objects().len(), before + 1);
    }

    #[track_caller]
    fn fails(&self, envs: &[(&str, &str)], code: i32) -> Output {
        let output = self.put(envs).run().exits(code);
        assert_eq!(self.store.objects(), [""; 0]);
        output
    }
}

#[test]
fn keys_of_a_profile_are_used_from_either_file() {
    let world = World::new();
    world.config(&format!("[profile p]\n{}", world.key_lines()));
    world.stores(&[("AWS_PROFILE", "p")]);
    world.config("");
    let path = world.sandbox.path("keys");
    fs::write(&path, format!("[q]\n{}", world.key_lines())).unwrap();
    let path = path.to_str().unwrap();
    world.stores(&[("AWS_PROFILE", "q"), ("AWS_SHARED_CREDENTIALS_FILE", path)]);
}

#[test]
fn roles_of_a_chain_of_profiles_are_assumed_from_its_end() {
    let world = World::new();
    world.config(
        "[profile a]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = b\nregion = eu-west-1\n\
         external_id = x&y\nrole_session_name = night\nduration_seconds = 900\n\
         [profile b]\nrole_arn = arn:aws:iam::1:role/middle\nsource_profile = base\nregion = eu-west-2\n\
         [profile base]\naws_access_key_id = AKIABASEBASEBASE\naws_secret_access_key = s\n",
    );
    world.stores(&[("AWS_PROFILE", "a")]);
    let calls = world.services.sts_actions();
    let arns: Vec<_> = calls.iter().map(|call| call.parameter("RoleArn")).collect();
    assert_eq!(
        arns,
        ["arn:aws:iam::1:role/middle", "arn:aws:iam::1:role/a"]
    );
    let (first, second) = (&calls[0], &calls[1]);
    assert_eq!(first.parameter("Action"), "AssumeRole");
    let signed = |with: &str, region: &str, authorization: &str| {
        authorization.contains(&format!("Credential={with}/"))
            && authorization.contains(&format!("/{region}/sts/aws4_request"))
    };
    assert!(signed(
        "AKIABASEBASEBASE",
        "eu-west-2",
        first.header("authorization")
    ));
    assert!(signed(
        MIDDLE_KEY,
        "eu-west-1",
        second.header("authorization")
    ));
    assert_eq!(second.header("x-amz-security-token"), MIDDLE_TOKEN);
    assert_eq!(second.parameter("ExternalId"), "x&y");
    assert_eq!(second.parameter("RoleSessionName"), "night");
    assert_eq!(second.parameter("DurationSeconds"), "900");
}

#[test]
fn role_of_a_profile_with_keys_that_names_itself_is_assumed_with_them() {
    let world = World::new();
    world.config(
        "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = default\n\
         aws_access_key_id = AKIABASEBASEBASE\naws_secret_access_key = s\n",
    );
    world.stores(&[]);
    assert_eq!(world.services.sts_actions().len(), 1);
}

#[test]
fn role_is_assumed_with_each_credential_source() {
    let world = World::new();
    let container = format!("{}/container", world.services.url());
    fs::write(world.sandbox.path("token"), "Bearer pod\n").unwrap();
    let token_file = world.sandbox.path("token");
    let environment = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &world.services.url()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            token_file.to_str().unwrap(),
        ),
    ];
    for source in ["EcsContainer", "Ec2InstanceMetadata"] {
        let role = "role_arn = arn:aws:iam::1:role/r";
        world.config(&format!(
            "[default]\n{role}\ncredential_source = {source}\n"
        ));
        world.stores(&environment);
    }
    assert_eq!(world.services.sts_actions().len(), 2);
    let mut requests = world.services.requests();
    requests.retain(|request| request.path == "/container");
    assert_eq!(requests[0].header("authorization"), "Bearer pod");
}

/// The keys in the environment are those that may assume the role.
#[test]
fn role_is_assumed_with_the_keys_in_the_environment() {
    let world = World::new();
    world.config(
        "[default]\nrole_arn = arn:aws:iam::1:role/r\ncredential_source = Environment\n\
         [profile p]\nrole_arn = arn:aws:iam::1:role/s\nsource_profile = default\n",
    );
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIABASEBASEBASE"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ];
    world.stores(&keys);
    assert_eq!(world.services.sts_actions().len(), 1);
    world.stores(&[keys[0], keys[1], ("AWS_PROFILE", "p")]);
    assert_eq!(world.services.sts_actions().len(), 3);
}

/// As in containers and services without a home directory.
#[test]
fn home_that_is_no_directory_does_not_end_the_search() {
    let world = World::new();
    let container = format!("{}/container", world.services.url());
    world.stores(&[
        ("HOME", "/dev/null"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
    ]);
}

/// On an instance, the service responds later: that is not a missing configuration.
#[test]
fn silent_metadata_service_that_is_expected_is_a_temporary_failure() {
    let world = World::new();
    let nowhere = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    let enabled = ("AWS_EC2_METADATA_DISABLED", "false");
    let output = world.fails(&[enabled, nowhere], 75);
    output.stderr_contains("instance metadata service");
    world.config("[default]\nrole_arn = arn:r\ncredential_source = Ec2InstanceMetadata\n");
    world.fails(&[enabled, nowhere], 75);
}

#[test]
fn web_identity_of_profile_and_environment_is_exchanged() {
    let world = World::new();
    fs::write(world.sandbox.path("token"), "the.web.token\n").unwrap();
    let path = world.sandbox.path("token");
    let path = path.to_str().unwrap();
    world.config(&format!(
        "[profile p]\nrole_arn = arn:aws:iam::1:role/p\nweb_identity_token_file = {path}\n"
    ));
    world.stores(&[("AWS_PROFILE", "p")]);
    world.stores(&[
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/e"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", path),
    ]);
    let calls = world.services.sts_actions();
    let arns: Vec<_> = calls.iter().map(|call| call.parameter("RoleArn")).collect();
    assert_eq!(arns, ["arn:aws:iam::1:role/p", "arn:aws:iam::1:role/e"]);
    for call in calls {
        assert_eq!(call.parameter("Action"), "AssumeRoleWithWebIdentity");
        assert_eq!(call.parameter("WebIdentityToken"), "the.web.token");
        assert_eq!(call.header("authorization"), "");
    }
}

#[test]
fn containers_and_instances_give_keys() {
    let world = World::new();
    let container = format!("{}/container", world.services.url());
    world.stores(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container)]);
    world.stores(&[
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &world.services.url()),
    ]);
    // Plain HTTP to another machine would show the token.
    let output = world.put(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/")]);
    output.run().exits(78);
}

/// Writes a token into the cache of SSO. `name` is the session or the start URL.
fn cache_sso_token(world: &World, name: &str, token: &str, expires: &str, refresh: &str) {
    let dir = world.sandbox.path("home/.aws/sso/cache");
    fs::create_dir_all(&dir).unwrap();
    let document = json!({
        "accessToken": token, "expiresAt": expires, "region": "eu-west-1",
        "clientId": "id", "clientSecret": "secret", "refreshToken": refresh,
    });
    let file = format!("{}.json", reqsign_core::hash::hex_sha1(name.as_bytes()));
    fs::write(dir.join(file), document.to_string()).unwrap();
}

const SSO_ROLE: &str = "sso_account_id = 123\nsso_role_name = Uploader\n";

#[test]
fn sso_session_and_old_start_url_are_exchanged() {
    let world = World::new();
    world.config(&format!(
        "[profile new]\nsso_session = corp\n{SSO_ROLE}\
         [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://sso.test/start\n\
         [profile old]\nsso_region = eu-west-1\nsso_start_url = https://sso.test/old\n{SSO_ROLE}"
    ));
    cache_sso_token(&world, "corp", SSO_TOKEN, "2999-01-01T00:00:00Z", "");
    let old = "https://sso.test/old";
    cache_sso_token(&world, old, SSO_TOKEN, "2999-01-01T00:00:00Z", "");
    world.stores(&[("AWS_PROFILE", "new")]);
    world.stores(&[("AWS_PROFILE", "old")]);
    let requests = world.services.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.parameter("account_id"), "123");
        assert_eq!(request.parameter("role_name"), "Uploader");
    }
}

#[test]
fn expired_sso_token_is_renewed_or_reported() {
    let world = World::new();
    world.config(&format!(
        "[profile p]\nsso_session = corp\n{SSO_ROLE}\
         [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://sso.test/start\n"
    ));
    let profile = [("AWS_PROFILE", "p")];
    let login = "aws sso login --profile p";
    world.fails(&profile, 77).stderr_contains(login);
    cache_sso_token(&world, "corp", "old", "2020-01-01T00:00:00Z", "unknown");
    world.fails(&profile, 77).stderr_contains(login);
    // The portal may not accept a token that seems to be valid.
    cache_sso_token(&world, "corp", "revoked", "2999-01-01T00:00:00Z", "");
    world.fails(&profile, 77).stderr_contains(login);
    cache_sso_token(&world, "corp", "old", "2020-01-01T00:00:00Z", REFRESH_TOKEN);
    world.stores(&profile);
    let file = format!("{}.json", reqsign_core::hash::hex_sha1(b"corp"));
    let cache = world.sandbox.path("home/.aws/sso/cache").join(file);
    let cached: serde_json::Value = serde_json::from_slice(&fs::read(cache).unwrap()).unwrap();
    assert_eq!(cached["accessToken"], SSO_TOKEN);
    assert_eq!(cached["refreshToken"], "next-refresh-token");
    assert_eq!(cached["clientId"], "id");
}

#[test]
fn credential_process_gives_keys_or_its_failure_is_reported() {
    let world = World::new();
    let [(_, access_key), (_, secret_key), _] = world.store.envs();
    let output = world.sandbox.path("two words.json");
    let keys = json!({"Version": 1, "AccessKeyId": access_key, "SecretAccessKey": secret_key});
    fs::write(&output, keys.to_string()).unwrap();
    world.config(&format!(
        "[default]\ncredential_process = cat \"{}\"\n\
         [profile failing]\ncredential_process = sh -c 'echo login first >&2; exit 7'\n\
         [profile missing]\ncredential_process = /nowhere/program\n\
         [profile silent]\ncredential_process = true\n",
        output.display()
    ));
    world.stores(&[]);
    let failing = world.put(&[("AWS_PROFILE", "failing")]).run().exits(77);
    failing
        .stderr_contains("exit code 7")
        .stderr_contains("login first");
    for profile in ["missing", "silent"] {
        let output = world.put(&[("AWS_PROFILE", profile)]).run().exits(78);
        assert!(output.stderr().contains(profile), "{output}");
    }
}

#[test]
fn profile_that_cannot_be_used_is_named() {
    let world = World::new();
    world.config(
        "[profile a]\nrole_arn = arn:a\nsource_profile = b\n\
         [profile b]\nrole_arn = arn:b\nsource_profile = a\n\
         [profile dangling]\nrole_arn = arn:a\nsource_profile = gone\n\
         [profile bare]\nrole_arn = arn:a\n\
         [profile half]\naws_access_key_id = AKIA\n\
         [profile mfa]\nrole_arn = arn:a\nsource_profile = half\nmfa_serial = arn:device\n\
         [profile odd]\nrole_arn = arn:a\ncredential_source = Moon\n",
    );
    for (profile, named) in [
        ("nope", "nope"),
        ("a", "a -> b -> a"),
        ("dangling", "gone"),
        ("bare", "source_profile"),
        ("half", "aws_secret_access_key"),
        ("mfa", "mfa_serial"),
        ("odd", "Moon"),
    ] {
        let output = world.fails(&[("AWS_PROFILE", profile)], 78);
        let output = output.stderr_contains(named);
        assert!(!output.stderr().contains("bucket's name"), "{output}");
    }
    assert_eq!(world.services.requests().len(), 0);
}

#[test]
fn refusal_of_sts_is_the_error() {
    let world = World::new();
    world.config(
        "[default]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKIABASEBASEBASE\naws_secret_access_key = s\n",
    );
    let message = "User base may not perform sts:AssumeRole";
    world.services.refuse_roles(403, "AccessDenied", message);
    let output = world.fails(&[], 77);
    output
        .stderr_contains("AccessDenied")
        .stderr_contains(message);
    // A failure of the network may pass.
    world.fails(&[("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")], 75);
}

#[test]
fn missing_credentials_are_reported_with_the_places_of_the_search() {
    let world = World::new();
    let output = world.fails(&[], 78);
    let config = world.sandbox.path("home/.aws/config");
    let output = output
        .stderr_contains("AWS_ACCESS_KEY_ID")
        .stderr_contains(config.to_str().unwrap());
    assert!(!output.stderr().contains("bucket's name"), "{output}");
    let output = world.fails(&[("AWS_ACCESS_KEY_ID", "AKIA")], 78);
    output.stderr_contains("AWS_SECRET_ACCESS_KEY");
}
