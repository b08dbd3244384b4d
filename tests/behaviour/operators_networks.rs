//! Gateways in the networks of operators: another address of the store for clients, limited
//! permissions, wrong clocks, proxies with limits, and app origins.

use std::fs;
use std::process;

use crate::support::command::Output;
use crate::support::gateway::{Gateway, store_args};
use crate::support::proxy::{Fault, Proxy, Requests, Response};
use crate::support::raw_http::get;
use crate::support::s3::S3;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;
use crate::support::{PART, wait};

/// A bucket for one test.
#[track_caller]
fn bucket(name: &str) -> S3 {
    S3::real(&format!("upload-networks-{name}-{}", process::id()))
}

/// The end of an `upload serve` that must not start, with the store behind a proxy.
#[track_caller]
fn failed_start(store: &S3, endpoint: &str, args: &[&str], code: i32) -> Output {
    let sandbox = Sandbox::new();
    let name = format!("s3://{}", store.bucket());
    let command = sandbox
        .upload(["serve", "--listen", "127.0.0.1:0"])
        .args(store_args(&name, endpoint))
        .args(args);
    let envs = store.envs().into_iter();
    let command = envs.fold(command, |command, (name, value)| command.env(name, value));
    command.run().exits(code)
}

#[track_caller]
fn check(args: &[&str], code: i32) -> Output {
    let sandbox = Sandbox::new();
    sandbox
        .upload(["serve", "--check"])
        .args(args)
        .run()
        .exits(code)
}

#[test]
fn clients_use_the_public_endpoint_and_the_gateway_its_own() {
    let store = bucket("public");
    let (internal, public) = (Proxy::start(), Proxy::start());
    internal.forward_to(store.addr());
    public.forward_to(store.addr());
    // The store accepts a signature only for the Host that the client has connected to.
    let public_url = public.url();
    let sandbox = Sandbox::new();
    let name = format!("s3://{}", store.bucket());
    let endpoint = internal.url();
    let args = [
        &store_args(&name, &endpoint)[..],
        &["--s3-public-endpoint", &public_url],
    ];
    let gateway = Gateway::start(&args.concat(), &store.envs());
    assert_eq!(public.traffic().count("GET"), 1, "the check of the start");
    let begun = internal.traffic();
    for size in [10, 2 * PART] {
        let file = sandbox.file(&format!("{size}.bin"), size);
        let put = ["put", "--part-size", "5MiB", "--backend", &gateway.url()];
        let output = sandbox.upload(put).arg(&file).run().succeeds();
        assert!(output.line().starts_with(&public_url), "{output}");
        let cat = sandbox.upload(["cat"]);
        cat.arg(&file).run().succeeds();
    }
    let internal = internal.traffic().since(&begun);
    assert_eq!(internal.count("PUT"), 0, "{internal:?}");
    assert_eq!(public.traffic().count("PUT"), 3);
    assert_eq!(
        public.traffic().count("HEAD") + public.traffic().count("POST"),
        0
    );
}

#[test]
fn public_endpoint_is_checked_at_the_start() {
    let store = bucket("public-check");
    let direct = format!("http://{}", store.addr());
    let public = Proxy::start();
    public.forward_to(store.addr());
    let flags = ["--s3-public-endpoint", &public.url()];
    // A proxy that sets another Host makes every signature wrong.
    public.inject(
        Requests::any(),
        Fault::SetRequestHeader("host", "store.internal"),
    );
    failed_start(&store, &direct, &flags, 78).stderr_contains(&public.url());
    // An address that only clients reach is no reason not to start.
    let name = format!("s3://{}", store.bucket());
    let args = [
        &store_args(&name, &direct)[..],
        &["--s3-public-endpoint", "http://127.0.0.1:1"],
    ];
    let gateway = Gateway::start(&args.concat(), &store.envs());
    wait::until("a warning", || {
        let stderr = gateway.stderr();
        let mut warnings = stderr
            .lines()
            .filter(|line| line.contains("could not check the public endpoint"));
        warnings
            .any(|line| line.contains("http://127.0.0.1:1"))
            .then_some(())
    });
    check(&["--s3-public-endpoint", "https://s3.example"], 78);
}

#[test]
fn start_names_the_permission_that_the_role_lacks() {
    let store = bucket("role");
    let denied = || Fault::s3(403, "AccessDenied");
    let bare = Fault::Respond(Response::new(403));
    for (rules, permission) in [
        (vec![(Requests::store_head(), bare.clone())], "s3:GetObject"),
        (
            vec![
                (Requests::store_head(), bare.clone()),
                (Requests::any().with_text("list-type=2"), denied()),
            ],
            "s3:ListBucket",
        ),
        (
            vec![(Requests::any().with_text("?uploads&"), denied())],
            "s3:ListBucketMultipartUploads",
        ),
    ] {
        let proxy = Proxy::start();
        proxy.forward_to(store.addr());
        for (requests, fault) in rules {
            proxy.inject(requests, fault);
        }
        let output = failed_start(&store, &proxy.url(), &[], 77);
        let text = output.stderr().to_owned();
        let named = text
            .split(|c: char| c.is_whitespace() || ",;".contains(c))
            .any(|word| word == permission);
        assert!(named, "{permission}: {text}");
    }
}

#[test]
fn wrong_clock_is_named_as_the_cause() {
    let store = bucket("clock");
    let proxy = Proxy::start();
    proxy.forward_to(store.addr());
    // The store's clock is ahead, so every URL has expired.
    proxy.inject(
        Requests::put(),
        Fault::Respond(
            Response::s3_with_message(403, "AccessDenied", "Request has expired")
                .header("date", "Thu, 01 Jan 2099 00:00:00 GMT"),
        ),
    );
    proxy.inject(
        Requests::any(),
        Fault::SetHeader("date", "Thu, 01 Jan 2099 00:00:00 GMT"),
    );
    let output = failed_start(&store, &proxy.url(), &[], 78);
    output.stderr_contains("clock").stderr_contains("behind");
}

#[test]
fn readiness_and_metrics_tell_the_clock() {
    let store = bucket("ready");
    let world = World::on_store_with(&store, &["--metrics-listen", "127.0.0.1:0"], &[]);
    assert_eq!(get(world.gateway.addr(), "/readyz", &[]).body, "ready\n");
    world.part_proxy().inject(
        Requests::any(),
        Fault::SetHeader("date", "Thu, 01 Jan 2099 00:00:00 GMT"),
    );
    let body = wait::until("a readiness check with the other clock", || {
        let response = get(world.gateway.addr(), "/readyz", &[]);
        assert_eq!(response.status, 200);
        (response.body != "ready\n").then_some(response.body)
    });
    assert!(body.contains("behind"), "{body}");
    wait::until("the sample of the next readiness check", || {
        get(world.gateway.addr(), "/readyz", &[]);
        let metrics = get(world.gateway.metrics_addr(), "/metrics", &[]).body;
        let mut samples = metrics.lines().filter_map(|line| line.split_once(' '));
        let offset = samples.find(|(name, _)| *name == "upload_clock_offset_seconds");
        let offset: i64 = offset.expect("the sample").1.parse().unwrap();
        (offset > 60).then_some(())
    });
}

#[test]
fn proxy_that_accepts_no_large_request_is_named_and_not_asked_again() {
    let world = World::new();
    let page = Response::new(413).body("text/html", "<html>413</html>");
    for requests in [Requests::sign(), Requests::complete()] {
        world.proxy.inject(requests, Fault::Respond(page.clone()));
    }
    let file = world.sandbox.file("film.bin", 2 * PART);
    let before = world.proxy.traffic();
    let output = world.put(&file).run().exits(69);
    output
        .stderr_contains("413")
        .stderr_contains("client_max_body_size");
    let traffic = world.proxy.traffic().since(&before);
    assert!(
        traffic.posts("/sign") + traffic.posts("/complete") <= 2,
        "{traffic:?}"
    );
}

#[test]
fn settings_that_cannot_work_are_rejected_by_check() {
    check(&["--public-url", "http://127.0.0.1:9/up"], 78).stderr_contains("path");
    check(&["--public-url", "http://127.0.0.1:9"], 0);
    let origins = [
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "app://.",
    ];
    for origin in origins {
        check(&["--allow-origin", origin], 0);
    }
    check(&["--allow-origin", "capacitor://localhost/index.html"], 78);
    let store = bucket("payer");
    let direct = format!("http://{}", store.addr());
    let header = ["--required-header", "x-amz-request-payer: requester"];
    failed_start(&store, &direct, &header, 78).stderr_contains("Requester Pays");
}

#[test]
fn token_file_of_powershell_is_read() {
    let mut gateway = Gateway::start(&["--auth", "tokens"], &[]);
    let token = gateway.token("laptop");
    let sandbox = Sandbox::new();
    let file = sandbox.file("a.bin", 10);
    let utf16 = |token: &str| {
        let units = format!("{token}\r\n").encode_utf16().collect::<Vec<u16>>();
        let bytes = units.into_iter().flat_map(u16::to_le_bytes);
        [0xff, 0xfe].into_iter().chain(bytes).collect::<Vec<u8>>()
    };
    let utf8 = [b"\xef\xbb\xbf", token.as_bytes(), b"\r\n"].concat();
    for bytes in [utf8, utf16(&token)] {
        let path = sandbox.path("token");
        fs::write(&path, bytes).unwrap();
        let put = [
            "put",
            "--force",
            "--backend",
            &gateway.url(),
            "--token-file",
        ];
        sandbox.upload(put).arg(&path).arg(&file).run().succeeds();
    }
    gateway.kill9();
}

#[test]
fn next_start_and_sweep_clear_an_interrupted_probe_without_warnings() {
    let store = bucket("probe");
    let mut world = World::on_store(&store);
    // A probe that ran until now, with an object and an open upload.
    let key = "uploads/probe/0198f2c4-0000-7000-8000-000000000001";
    store.create_upload(key);
    store.put(&format!("{key}-source"), b"left over");
    world.gateway.kill9();
    // The start with a saved profile keeps a probe that may still run, and does not report it.
    world.gateway.restart();
    let swept = world.gateway.sandbox().upload(["serve", "sweep"]);
    let name = format!("s3://{}", store.bucket());
    let endpoint = format!("http://{}", store.addr());
    let swept = swept.args(store_args(&name, &endpoint));
    let envs = store.envs().into_iter();
    let swept = envs.fold(swept, |command, (name, value)| command.env(name, value));
    let output = swept.run().succeeds();
    assert!(!output.stderr().contains("orphan"), "{output}");
    assert!(!output.stdout().contains(key), "{output}");
    assert_eq!(store.open_uploads(), [key]);
    // Later the leftovers are old: the store reports that they were begun before.
    world.gateway.kill9();
    world.part_proxy().inject(
        Requests::any().with_text("uploads%2Fprobe"),
        Fault::ReplaceText(today(), "2020-01-01".to_owned()),
    );
    world.gateway.restart();
    assert!(store.open_uploads().is_empty() && store.objects().is_empty());
}

/// The date of today, as S3 writes it.
fn today() -> String {
    let now = jiff::Timestamp::now().to_string();
    now.split('T').next().unwrap().to_owned()
}
