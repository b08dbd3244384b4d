//! Limits on where the client sends bytes and tokens: it follows no redirect, sends parts to known
//! stores only, and uses plain HTTP on this machine only.
//!
//! Not here: the classes of addresses (unit tests of `net`).

use std::io::ErrorKind;
use std::net::TcpListener;
use std::thread;

use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Proxy, Requests, Response};
use crate::support::reserved_port::ReservedPort;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, wait};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// The target of a redirect, which must receive no connection.
struct RedirectTarget(TcpListener);

impl RedirectTarget {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn redirect(&self, status: u16) -> Fault {
        let url = format!("http://{}/", self.0.local_addr().unwrap());
        Fault::Respond(
            Response::new(status)
                .header("location", &url)
                .header("x-upload-protocol", "1"),
        )
    }

    #[track_caller]
    fn assert_no_connection(&self) {
        assert_eq!(
            self.0.accept().map(drop).unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "a redirect was followed"
        );
    }
}

/// Redirects `requests` during a put; asserts that the put fails and that the redirect is not
/// followed. All statuses run at the same time, because the client retries redirects that may come
/// from a captive portal.
fn assert_not_followed(requests: Requests, envs: &[(&str, &str)]) {
    thread::scope(|scope| {
        for status in STATUSES {
            scope.spawn(move || {
                let target = RedirectTarget::new();
                let world = World::new();
                let file = world.sandbox.file("film.bin", PART + 1000);
                world.proxy.inject(requests, target.redirect(status));
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
                target.assert_no_connection();
                world.proxy.clear_faults();
                world.put(&file).run().succeeds();
                world.assert_holds_only(&file);
            });
        }
    });
}

#[test]
fn redirect_of_the_first_call_is_not_followed() {
    assert_not_followed(Requests::get("/v1"), &[]);
}

#[test]
fn redirect_of_begin_is_not_followed() {
    assert_not_followed(Requests::begin(), &[]);
}

#[test]
fn redirect_of_sign_is_not_followed() {
    assert_not_followed(Requests::sign(), &[]);
}

#[test]
fn redirect_of_a_part_is_not_followed() {
    assert_not_followed(Requests::put(), &[]);
}

/// If an HTTP proxy is configured, the HTTP library sends the parts; `NO_PROXY` excludes this
/// machine.
#[test]
fn redirect_of_a_part_is_not_followed_by_the_library() {
    assert_not_followed(
        Requests::put(),
        &[
            ("http_proxy", "http://127.0.0.1:1"),
            ("NO_PROXY", "127.0.0.1"),
        ],
    );
}

#[test]
fn redirect_of_complete_is_not_followed() {
    assert_not_followed(Requests::complete(), &[]);
}

#[test]
fn redirect_of_resume_is_not_followed() {
    for requests in [Requests::get("/parts"), Requests::post("/claim")] {
        let target = RedirectTarget::new();
        let world = World::new();
        let file = world.sandbox.file("film.bin", 3 * PART);
        world.run_until_blocked(world.put(&file), PART).kill9();
        world.proxy.unblock();
        world.proxy.inject(requests, target.redirect(307));
        let output = world.resume().args(["--give-up-after", "1s"]).run();
        assert!(matches!(output.code(), Some(69 | 75)), "{output}");
        target.assert_no_connection();
        world.proxy.clear_faults();
        world.resume().run().succeeds();
        world.assert_holds_only(&file);
    }
}

/// A gateway that signs URLs below a public URL, and a client that calls the gateway directly.
struct SigningGateway {
    gateway: Gateway,
    token: String,
    sandbox: Sandbox,
}

impl SigningGateway {
    fn for_url(public_url: &str) -> Self {
        let gateway = Gateway::start(&["--auth", "tokens", "--public-url", public_url], &[]);
        let token = gateway.token("client");
        Self {
            gateway,
            token,
            sandbox: Sandbox::new(),
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
fn presigned_url_to_a_private_network_is_not_used() {
    for (url, reason) in [
        ("https://169.254.169.254", "private address"),
        ("https://[fe80::1]", "private address"),
        ("http://192.0.2.1:9000", "not https"),
        ("http://store.example", "not https"),
    ] {
        let signing = SigningGateway::for_url(url);
        let file = signing.sandbox.file("film.bin", 1000);
        let output = signing
            .put(&file)
            .run()
            .exits(69)
            .stderr_contains(reason)
            .stderr_contains("--store-host");
        assert!(!output.stderr().contains("X-Amz"), "{output}");
    }
}

/// The client accepts the store of a backend's first upload, and others only with `--store-host`.
#[test]
fn changed_store_host_is_not_used() {
    let (first, second) = (Proxy::start(), Proxy::start());
    let gateway_sandbox = Sandbox::new();
    let start = |proxy: &Proxy| {
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--public-url",
            &proxy.url(),
        ];
        let mut running = gateway_sandbox.upload(args).spawn();
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

    let (gateway, backend) = start(&first);
    put(&backend, "1.bin").run().succeeds();
    assert_eq!(first.traffic().count("PUT"), 1);
    gateway.kill9();

    let (gateway, backend) = start(&second);
    let output = put(&backend, "2.bin")
        .run()
        .exits(69)
        .stderr_contains("another store than before")
        .stderr_contains("--store-host 127.0.0.1:");
    assert_eq!(second.traffic().count("PUT"), 0, "{output}");
    let store_host = second.url().trim_start_matches("http://").to_owned();
    put(&backend, "2.bin")
        .args(["--store-host", &store_host])
        .run()
        .succeeds();
    put(&backend, "3.bin").run().succeeds();
    assert_eq!(
        second.traffic().count("PUT"),
        2,
        "a store that was named once must be accepted later"
    );
    gateway.kill9();
}

#[test]
fn plain_http_to_another_machine_needs_a_flag() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("film.bin", 10);
    let put = |backend: &str| {
        sandbox
            .upload(["put", "--give-up-after", "1s", "--backend", backend])
            .arg(&file)
    };
    put("http://192.0.2.1:9")
        .run()
        .exits(2)
        .stderr_contains("--allow-insecure-http");
    let config = sandbox.path("config.toml");
    std::fs::write(&config, "backend = \"http://192.0.2.1:9\"\n").unwrap();
    sandbox
        .upload(["put", "--config"])
        .arg(&config)
        .arg(&file)
        .run()
        .exits(78)
        .stderr_contains("--allow-insecure-http");
    let closed = ReservedPort::new();
    put(&format!("http://0.0.0.0:{}", closed.addr().port()))
        .arg("--allow-insecure-http")
        .run()
        .exits(75);
}

/// The client limits the size of responses and the number of pages of a list.
#[test]
fn endless_response_is_not_read() {
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

    // The client does not decompress responses, so a small response cannot grow.
    let gzip = Response::json(200, "\u{1f}\u{8b}").header("content-encoding", "gzip");
    world
        .proxy
        .inject(Requests::get("/v1"), Fault::Respond(gzip));
    world.put(&file).run().exits(69);
    world.proxy.clear_faults();

    world.run_until_blocked(world.put(&file), PART).kill9();
    world.proxy.unblock();
    let same_page = r#"{"parts":[],"next":1}"#;
    world.proxy.inject(
        Requests::get("/parts"),
        Fault::Respond(Response::json(200, same_page)),
    );
    world
        .resume()
        .run()
        .exits(69)
        .stderr_contains("does not end");
    world.proxy.clear_faults();
    world.resume().run().succeeds();
    wait::until("the end of the multipart upload", || {
        world.store().open_uploads().is_empty().then_some(())
    });
    world.assert_holds_only(&file);
}
