//! No bytes and no token go where somebody else sends them: redirects are not followed, stores are the ones there were, plain
//! HTTP stays on this machine.
//!
//! Border: what a gateway or a store that is not to be trusted can make the client do; which addresses are whose has unit tests.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::thread;

use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Proxy, Requests, Response};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, wait};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// Another host, which must hear nothing.
struct Elsewhere(TcpListener);

impl Elsewhere {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn place(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn redirect(&self, status: u16) -> Fault {
        let there = format!("http://{}/", self.place());
        Fault::Respond(
            Response::new(status)
                .header("location", &there)
                .header("x-upload-protocol", "1"),
        )
    }

    #[track_caller]
    fn has_heard_nothing(&self) {
        assert_eq!(
            self.0.accept().map(drop).unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "somebody called"
        );
    }
}

/// One call of an upload is redirected: it fails, and nobody follows. Each status at the same time as the others: what
/// may be a captive portal is waited for.
fn not_followed(requests: Requests, envs: &[(&str, &str)]) {
    thread::scope(|scope| {
        for status in STATUSES {
            scope.spawn(move || {
                let elsewhere = Elsewhere::new();
                let world = World::new();
                let file = world.sandbox.file("film.bin", PART + 1000);
                world.proxy.inject(requests, elsewhere.redirect(status));
                let mut put = world.put(&file);
                for (name, value) in envs {
                    put = put.env(name, value);
                }
                let output = put
                    .args(["--give-up-after", "1s"])
                    .env("UPLOAD_TOKEN", "canary")
                    .run();
                assert!(matches!(output.code(), Some(69 | 75)), "{output}");
                assert!(output.stderr().contains(&status.to_string()), "{output}");
                elsewhere.has_heard_nothing();
                world.proxy.clear_faults();
                world.put(&file).run().succeeds();
                world.assert_holds_only(&file);
            });
        }
    });
}

#[test]
fn no_redirect_of_the_first_call_is_followed() {
    not_followed(Requests::get("/v1"), &[]);
}

#[test]
fn no_redirect_of_begin_is_followed() {
    not_followed(Requests::begin(), &[]);
}

#[test]
fn no_redirect_of_sign_is_followed() {
    not_followed(Requests::sign(), &[]);
}

#[test]
fn no_redirect_of_a_part_is_followed() {
    not_followed(Requests::put(), &[]);
}

/// Where a proxy is configured, parts are sent by the HTTP library; this machine is reached without it all the same.
#[test]
fn no_redirect_of_a_part_is_followed_by_the_library() {
    not_followed(
        Requests::put(),
        &[
            ("http_proxy", "http://127.0.0.1:1"),
            ("NO_PROXY", "127.0.0.1"),
        ],
    );
}

#[test]
fn no_redirect_of_complete_is_followed() {
    not_followed(Requests::complete(), &[]);
}

#[test]
fn no_redirect_of_a_resumed_upload_is_followed() {
    for requests in [Requests::get("/parts"), Requests::post("/claim")] {
        let elsewhere = Elsewhere::new();
        let world = World::new();
        let file = world.sandbox.file("film.bin", 3 * PART);
        crate::interrupt::held(&world, world.put(&file), PART).kill9();
        world.proxy.unblock();
        world.proxy.inject(requests, elsewhere.redirect(307));
        let output = world.resume().args(["--give-up-after", "1s"]).run();
        assert!(matches!(output.code(), Some(69 | 75)), "{output}");
        elsewhere.has_heard_nothing();
        world.proxy.clear_faults();
        world.resume().run().succeeds();
        world.assert_holds_only(&file);
    }
}

/// A gateway that signs for `public_url`, and a client beside it that calls it directly.
struct Signing {
    gateway: Gateway,
    token: String,
    sandbox: Sandbox,
}

impl Signing {
    fn for_url(public_url: &str) -> Self {
        Self::again(Sandbox::new(), Sandbox::new(), public_url)
    }

    fn again(gateways: Sandbox, sandbox: Sandbox, public_url: &str) -> Self {
        let gateway = Gateway::start_in(
            gateways,
            &["--auth", "tokens", "--public-url", public_url],
            &[],
        );
        let token = gateway.token("client");
        Self {
            gateway,
            token,
            sandbox,
        }
    }

    fn put(&self, file: &std::path::Path) -> crate::support::command::Command {
        let put = self.sandbox.upload([
            "put",
            "--give-up-after",
            "20s",
            "--backend",
            &self.gateway.url(),
        ]);
        put.arg(file).env("UPLOAD_TOKEN", &self.token)
    }
}

#[test]
fn a_url_into_somebody_elses_network_is_not_used() {
    for (url, why) in [
        ("https://169.254.169.254", "private address"),
        ("https://[fe80::1]", "private address"),
        ("http://192.0.2.1:9000", "not https"),
        ("http://store.example", "not https"),
    ] {
        let signing = Signing::for_url(url);
        let file = signing.sandbox.file("film.bin", 1000);
        let output = signing
            .put(&file)
            .run()
            .exits(69)
            .stderr_contains(why)
            .stderr_contains("--store-host");
        assert!(!output.stderr().contains("X-Amz"), "{output}");
    }
}

/// The store of the first upload is the store of this backend, until somebody says otherwise.
#[test]
fn a_store_that_is_another_than_before_is_not_used() {
    let (first, second) = (Proxy::start(), Proxy::start());
    let gateways = Sandbox::new();
    let started = |gateways: &Sandbox, proxy: &Proxy| {
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--public-url",
            &proxy.url(),
        ];
        let mut running = gateways.upload(args).spawn();
        let addr: std::net::SocketAddr = running.wait_for("its address", |running| {
            let stderr = running.stderr();
            let (_, rest) = stderr.split_once("listening on http://")?;
            rest.split(|end: char| end.is_whitespace() || end == '/')
                .next()?
                .parse()
                .ok()
        });
        proxy.forward_to(addr);
        (running, format!("http://{addr}"))
    };
    let client = Sandbox::new();
    let put = |backend: &str, name: &str| {
        client
            .upload(["put", "--backend", backend])
            .arg(client.file(name, 1000))
    };

    let (gateway, backend) = started(&gateways, &first);
    put(&backend, "1.bin").run().succeeds();
    assert_eq!(first.traffic().count("PUT"), 1);
    gateway.kill9();

    let (gateway, backend) = started(&gateways, &second);
    let output = put(&backend, "2.bin")
        .run()
        .exits(69)
        .stderr_contains("another store than before")
        .stderr_contains("--store-host 127.0.0.1:");
    assert_eq!(second.traffic().count("PUT"), 0, "{output}");
    let place = second.url().trim_start_matches("http://").to_owned();
    put(&backend, "2.bin")
        .args(["--store-host", &place])
        .run()
        .succeeds();
    put(&backend, "3.bin").run().succeeds();
    assert_eq!(
        second.traffic().count("PUT"),
        2,
        "once it was named, it is one of its stores"
    );
    gateway.kill9();
}

#[test]
fn plain_http_to_another_machine_needs_a_word() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = |backend: &str| {
        sandbox
            .upload(["put", "--give-up-after", "1s", "--backend", backend])
            .arg(&file)
    };
    let refused = put("http://192.0.2.1:9").run();
    assert!(
        refused.code() == Some(2) && refused.stderr().contains("--allow-insecure-http"),
        "{refused}"
    );
    let config = sandbox.path("config.toml");
    std::fs::write(&config, "backend = \"http://192.0.2.1:9\"\n").unwrap();
    sandbox
        .upload(["put", "--config"])
        .arg(&config)
        .arg(&file)
        .run()
        .exits(78)
        .stderr_contains("--allow-insecure-http");
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    put(&format!("http://0.0.0.0:{port}"))
        .arg("--allow-insecure-http")
        .run()
        .exits(75);
}

/// What somebody else answers without end, or over and over, is not read for ever.
#[test]
fn an_answer_without_end_is_not_read() {
    let world = World::new();
    let file = world.sandbox.file("film.bin", 2 * PART);
    let endless = Response::json(200, &"[0,".repeat(3 << 20));
    world
        .proxy
        .inject(Requests::get("/v1"), Fault::Respond(endless.clone()));
    world.put(&file).run().exits(69).stderr_contains("bytes");
    world.proxy.clear_faults();
    world.proxy.inject(
        Requests::put(),
        Fault::Respond(endless.header("etag", "\"e\"")),
    );
    world.put(&file).run().exits(69).stderr_contains("bytes");
    world.proxy.clear_faults();

    // What is compressed is not unpacked: there is no bomb.
    let gzip = Response::json(200, "\u{1f}\u{8b}").header("content-encoding", "gzip");
    world
        .proxy
        .inject(Requests::get("/v1"), Fault::Respond(gzip));
    world.put(&file).run().exits(69);
    world.proxy.clear_faults();

    crate::interrupt::held(&world, world.put(&file), PART).kill9();
    world.proxy.unblock();
    let again = r#"{"parts":[],"next":1}"#;
    world.proxy.inject(
        Requests::get("/parts"),
        Fault::Respond(Response::json(200, again)),
    );
    world
        .resume()
        .run()
        .exits(69)
        .stderr_contains("does not end");
    world.proxy.clear_faults();
    world.resume().run().succeeds();
    wait::until("its end", || {
        world.store().open_uploads().is_empty().then_some(())
    });
    world.assert_holds_only(&file);
}
