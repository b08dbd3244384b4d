//! Tests of the test harness. They do not run `upload`.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::support::events::event;
use crate::support::files;
use crate::support::proxy::{Fault, Proxy, Requests};

#[test]
fn every_file_is_declared_in_main() {
    let dir = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo"))
        .join("tests/behaviour");
    let main = fs::read_to_string(dir.join("main.rs")).unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            name == "main" || main.contains(&format!("mod {name};")),
            "main.rs does not declare {name}, so its tests never run"
        );
    }
}

#[test]
fn event_with_an_added_or_missing_field_is_rejected() {
    let progress = r#"{"v":1,"type":"progress","source":0,"upload":null,"path":"f","hashed":1,"sent":1,"confirmed":1,"size":1,"rate":1}"#;
    event(progress);
    for (from, to) in [
        (r#""rate":1"#, r#""rate":1,"more":1"#),
        (r#","rate":1"#, ""),
        (r#""upload":null,"#, ""),
        (r#""v":1"#, r#""v":2"#),
        ("progress", "progres"),
    ] {
        let line = progress.replace(from, to);
        assert_ne!(line, progress);
        assert!(
            thread::spawn(move || event(&line)).join().is_err(),
            "{from} → {to}"
        );
    }
}

#[test]
fn hashes_agree_with_other_tools() {
    assert_eq!(
        files::sha256_of(b"abc"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, b"hello world").unwrap();
    // `printf 'hello world' | sha256sum | xxd -r -p | base64`; the second is the hash of the two
    // hashes of "hello " and "world".
    assert_eq!(
        files::checksum(&path, 100),
        "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="
    );
    assert_eq!(
        files::checksum(&path, 6),
        "Zhie15keHg/OBlOZxcoF/BXCgYZaeimRvdZnwUZqkaQ=-2"
    );
}

/// A server that responds with the SHA-256 of the request's body, a proxy in front of it, and a
/// client.
struct Echo {
    runtime: Runtime,
    proxy: Proxy,
    client: reqwest::Client,
}

impl Echo {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let proxy = Proxy::start();
        proxy.forward_to(listener.local_addr().unwrap());
        let hash = any(|body: Bytes| async move { files::sha256_of(&body) });
        let app = Router::new()
            .fallback_service(hash)
            .layer(DefaultBodyLimit::disable());
        runtime.spawn(async move { axum::serve(listener, app).await });
        let client = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .build()
            .unwrap();
        Self {
            runtime,
            proxy,
            client,
        }
    }

    /// Status and body of the response.
    fn put(&self, path: &str, body: &[u8]) -> Result<(u16, String), reqwest::Error> {
        let url = format!("{}{path}", self.proxy.url());
        self.runtime.block_on(async {
            let response = self.client.put(url).body(body.to_vec()).send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        })
    }
}

#[test]
fn proxy_relays_and_counts_requests() {
    let echo = Echo::start();
    let body = vec![7; 300_000];
    assert_eq!(
        echo.put("/a?partNumber=3", &body).unwrap(),
        (200, files::sha256_of(&body))
    );
    assert_eq!(echo.put("/b", b"").unwrap(), (200, files::sha256_of(b"")));
    let traffic = echo.proxy.traffic();
    assert_eq!(
        (
            traffic.count("PUT"),
            traffic.bytes("PUT"),
            traffic.attempts(3)
        ),
        (2, 300_000, 1)
    );
    assert_eq!(traffic.0[0].status, Some(200));
}

#[test]
fn proxy_injects_faults_into_the_selected_requests() {
    let echo = Echo::start();
    let body = vec![7; 300_000];
    let mut flipped = body.clone();
    flipped[200_000] ^= 1;
    echo.proxy
        .inject(Requests::put().nth(2), Fault::FlipBit { at: 200_000 });
    echo.proxy
        .inject(Requests::put().nth(3), Fault::CutAfter { bytes: 100_000 });
    echo.proxy
        .inject(Requests::put().nth(4), Fault::slow_down());
    echo.proxy
        .inject(Requests::put().nth(5), Fault::DropResponse);

    assert_eq!(echo.put("/", &body).unwrap().1, files::sha256_of(&body));
    assert_eq!(echo.put("/", &body).unwrap().1, files::sha256_of(&flipped));
    assert!(echo.put("/", &body).is_err());
    let (status, text) = echo.put("/", &body).unwrap();
    assert!(
        status == 503 && text.contains("SlowDown"),
        "{status} {text}"
    );
    assert!(echo.put("/", &body).is_err());
    assert_eq!(echo.put("/", &body).unwrap().1, files::sha256_of(&body));
    assert_eq!(echo.proxy.traffic().0[4].status, None);
}

#[test]
fn proxy_blocks_bodies_after_the_given_bytes() {
    let echo = Echo::start();
    let body = vec![7; 300_000];
    echo.proxy.block_after(100_000);
    thread::scope(|scope| {
        let put = scope.spawn(|| echo.put("/", &body));
        echo.proxy.wait_until_blocked();
        assert_eq!(echo.proxy.traffic().bytes("PUT"), 100_000);
        echo.proxy.unblock();
        assert_eq!(put.join().unwrap().unwrap().1, files::sha256_of(&body));
    });
}
