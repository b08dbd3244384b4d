//! The endpoint and the region of `s3://`, by the conventions of AWS, and the errors for a wrong
//! bucket, region or key.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use crate::support::command::Command;
use crate::support::gateway::{Gateway, store_args};
use crate::support::proxy::{Fault, Proxy, Requests, Response};
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;

/// A store, and a client with keys for it and no endpoint.
struct World {
    sandbox: Sandbox,
    keeper: Gateway,
    store: S3,
}

impl World {
    fn new() -> Self {
        let keeper = Gateway::start(&[], &[]);
        let (store, sandbox) = (keeper.store(), Sandbox::new());
        fs::create_dir(sandbox.path("home/.aws")).unwrap();
        sandbox.file("film.bin", 1000);
        Self {
            sandbox,
            keeper,
            store,
        }
    }

    fn config(&self, text: &str) {
        fs::write(self.sandbox.path("home/.aws/config"), text).unwrap();
    }

    /// `put` of another object each time.
    fn put(&self, bucket: &str) -> Command {
        let put = self
            .sandbox
            .upload(["put", "film.bin", "--force", "--backend", bucket])
            .args(["--give-up-after", "1s", "--key-style", "uuid"])
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let envs = self.store.envs();
        envs.iter()
            .fold(put, |put, (name, value)| put.env(name, value))
    }
}

#[test]
fn endpoint_of_the_profile_and_of_its_services_is_used() {
    let world = World::new();
    let url = world.keeper.url();
    let nowhere = "http://127.0.0.1:1";
    world.config(&format!(
        "[default]\nendpoint_url = {url}\n\
         [profile p]\nendpoint_url = {nowhere}\nservices = local\n\
         [services local]\nsts =\n  endpoint_url = {nowhere}\ns3 =\n  endpoint_url = {url}\n"
    ));
    world.put("s3://embedded").run().succeeds();
    let put = world.put("s3://embedded").env("AWS_PROFILE", "p");
    put.run().succeeds();
    assert_eq!(world.store.objects().len(), 2);
    // A flag and a variable precede the file.
    let put = world.put("s3://embedded").args(["--s3-endpoint", nowhere]);
    put.run().exits(75);
    let put = world.put("s3://embedded").env("AWS_ENDPOINT_URL", nowhere);
    put.run().exits(75);
}

#[test]
fn file_of_store_credentials_configures_a_client() {
    let world = World::new();
    let credentials = world.keeper.sandbox().path("credentials");
    let put = world
        .sandbox
        .upload(["put", "film.bin", "--backend", "s3://embedded"])
        .env("AWS_CONFIG_FILE", credentials);
    put.run().succeeds();
    assert_eq!(world.store.objects().len(), 1);
}

#[test]
fn addressing_style_of_the_profile_is_used() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("home/.aws")).unwrap();
    let config = "[default]\ns3 =\n  addressing_style = path\nendpoint_url = http://s3.test\n";
    fs::write(sandbox.path("home/.aws/config"), config).unwrap();
    let output = sandbox.upload(["config", "--json"]).run().succeeds();
    for (key, value) in [
        ("s3_endpoint", "http://s3.test/"),
        ("s3_path_style", "true"),
    ] {
        let line = output.lines().into_iter().find(|line| line.contains(key));
        let setting: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
        assert_eq!(setting["value"], value);
        assert_eq!(setting["origin"], "aws_profile");
        assert_eq!(setting["profile"], "default");
    }
}

/// A proxy that rejects every request. Returns its address, and the request lines that it receives.
fn rejecting_proxy() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut line = String::new();
            let read = BufReader::new(&connection).read_line(&mut line);
            let _ = connection.write_all(b"HTTP/1.1 503 No\r\nconnection: close\r\n\r\n");
            if read.is_err() || sender.send(line).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

#[test]
fn variants_of_the_endpoints_of_aws_are_used() {
    let world = World::new();
    world.config(
        "[profile fips]\nuse_fips_endpoint = true\n\
         [profile ignoring]\nendpoint_url = http://127.0.0.1:1\n\
         ignore_configured_endpoint_urls = true\n",
    );
    let (fips, dual) = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT");
    for (region, envs, host) in [
        ("eu-west-1", vec![], "s3.eu-west-1.amazonaws.com"),
        (
            "us-gov-west-1",
            vec![(fips, "true")],
            "s3-fips.us-gov-west-1.amazonaws.com",
        ),
        (
            "us-gov-west-1",
            vec![("AWS_PROFILE", "fips")],
            "s3-fips.us-gov-west-1.amazonaws.com",
        ),
        (
            "eu-west-1",
            vec![(dual, "true")],
            "s3.dualstack.eu-west-1.amazonaws.com",
        ),
        (
            "eu-west-1",
            vec![
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
                ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
            ],
            "s3.eu-west-1.amazonaws.com",
        ),
        (
            "eu-west-1",
            vec![("AWS_PROFILE", "ignoring")],
            "s3.eu-west-1.amazonaws.com",
        ),
    ] {
        let (proxy, requests) = rejecting_proxy();
        let put = world.put("s3://media").args(["--proxy", &proxy]);
        let put = put.env("AWS_REGION", region);
        let put = envs
            .iter()
            .fold(put, |put, (name, value)| put.env(name, value));
        assert_ne!(put.run().code(), Some(0));
        let line = requests.try_recv().expect("a request to the proxy");
        assert_eq!(line.split(' ').nth(1), Some(&*format!("media.{host}:443")));
    }
    // The demand for validated cryptography must not be dropped silently.
    let put = world.put("s3://embedded").env(fips, "true");
    let output = put.args(["--s3-endpoint", &world.keeper.url()]).run();
    output.exits(78).stderr_contains(fips);
}

#[test]
fn missing_bucket_is_named_with_its_endpoint() {
    let world = World::new();
    let put = world.put("s3://no-such-bucket");
    let output = put.args(["--s3-endpoint", &world.keeper.url()]).run();
    output
        .exits(78)
        .stderr_contains("no-such-bucket")
        .stderr_contains(&world.keeper.url())
        .stderr_contains("does not exist");
}

#[test]
fn wrong_secret_key_is_rejected_with_its_possible_causes() {
    let world = World::new();
    let put = world
        .put("s3://embedded")
        .env("AWS_SECRET_ACCESS_KEY", "wrong");
    let output = put.args(["--s3-endpoint", &world.keeper.url()]).run();
    let output = output.exits(77).stderr_contains("SignatureDoesNotMatch");
    for cause in ["secret key", "region", "clock"] {
        assert!(output.stderr().contains(cause), "{output}");
    }
    let put = world
        .put("s3://embedded")
        .env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN");
    let output = put.args(["--s3-endpoint", &world.keeper.url()]).run();
    output.exits(77).stderr_contains("InvalidAccessKeyId");
}

#[test]
fn wrong_secret_key_is_noticed_by_presigned_parts_alone() {
    // Some stores check the signatures of presigned URLs only.
    let world = World::new();
    let proxy = Proxy::start();
    proxy.forward_to(world.keeper.addr());
    let rejected = Fault::s3(403, "SignatureDoesNotMatch");
    proxy.inject(Requests::put(), rejected);
    let put = world.put("s3://embedded");
    let output = put.args(["--s3-endpoint", &proxy.url()]).run().exits(77);
    output.stderr_contains("secret key");
}

/// The responses of a store to a request for another region than eu-west-3.
fn other_region() -> [Response; 2] {
    [
        Response::s3(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-3"),
        Response::new(400).body(
            "application/xml",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message>\
             <Region>eu-west-3</Region></Error>",
        ),
    ]
}

#[test]
fn region_of_a_redirect_is_used_unless_one_was_named() {
    for response in other_region() {
        let world = World::new();
        world.config("[default]\nregion = us-east-1\n");
        let proxy = Proxy::start();
        proxy.forward_to(world.keeper.addr());
        let wrong = Requests::any().with_text("/us-east-1/s3/aws4_request");
        proxy.inject(wrong, Fault::Respond(response));
        let put = || {
            let put = world.put("s3://embedded").env("AWS_REGION", "");
            put.args(["--s3-endpoint", &proxy.url()])
        };
        // The second one finds the result of the first one's probe.
        for count in [1, 2] {
            put().run().succeeds();
            assert_eq!(world.store.objects().len(), count);
        }
        let output = put().args(["--s3-region", "us-east-1"]).run().exits(78);
        output.stderr_contains("--s3-region eu-west-3");
    }
}

#[test]
fn region_of_a_redirect_is_named() {
    for response in other_region() {
        let world = World::new();
        let proxy = Proxy::start();
        proxy.forward_to(world.keeper.addr());
        proxy.inject(Requests::any(), Fault::Respond(response));
        let put = world.put("s3://embedded");
        let output = put.args(["--s3-endpoint", &proxy.url()]).run().exits(78);
        output.stderr_contains("--s3-region eu-west-3");
    }
}

#[test]
fn refused_encryption_is_named_with_the_message_of_the_store() {
    let world = World::new();
    let proxy = Proxy::start();
    proxy.forward_to(world.keeper.addr());
    let message = "The server side encryption is not implemented";
    let refusal = Response::s3_with_message(501, "NotImplemented", message);
    proxy.inject(Requests::store_create(), Fault::Respond(refusal));
    let url = proxy.url();
    let serve = world
        .sandbox
        .upload(["serve", "--listen", "127.0.0.1:0", "--sse", "AES256"])
        .args(store_args("s3://embedded", &url));
    let envs = world.store.envs();
    let serve = envs
        .iter()
        .fold(serve, |serve, (name, value)| serve.env(name, value));
    let output = serve.run().exits(78);
    output.stderr_contains("--sse").stderr_contains(message);
}
