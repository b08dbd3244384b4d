//! Proxies: the flag and the environment apply to every connection to another machine, but not to
//! connections to this machine.
//!
//! Not here: certificates (`tests/chaos/tls.rs`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use crate::support::command::Command;
use crate::support::sandbox::Sandbox;

/// A proxy that answers every request with this status. Returns its address, and the request lines
/// that it receives.
fn rejecting_proxy(status: u16) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut line = String::new();
            let read = BufReader::new(&connection).read_line(&mut line);
            let answer = format!(
                "HTTP/1.1 {status} Rejected\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = connection.write_all(answer.as_bytes());
            if read.is_err() || sender.send(line).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

/// `put` to a store that only the proxy can resolve.
fn put_to_remote_store(sandbox: &Sandbox) -> Command {
    put_to_store_at(sandbox, "http://store.test")
}

fn put_to_store_at(sandbox: &Sandbox, endpoint: &str) -> Command {
    let store = ["--s3-path-style", "--s3-endpoint", endpoint];
    put_to(sandbox, "s3://bucket").args(store)
}

fn put_to(sandbox: &Sandbox, backend: &str) -> Command {
    let file = sandbox.file("film.bin", 1000);
    sandbox
        .upload(["put", "--backend", backend, "--allow-insecure-http"])
        .args(["--give-up-after", "1s"])
        .arg(&file)
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
}

#[test]
fn proxy_flag_applies_to_the_store_of_a_bucket() {
    let sandbox = Sandbox::new();
    let (proxy, requests) = rejecting_proxy(503);
    let output = put_to_remote_store(&sandbox)
        .args(["--proxy", &proxy])
        .run();
    assert_ne!(output.code(), Some(0), "{output}");
    let request = requests.try_recv().expect("a request to the proxy");
    assert!(request.contains(" http://store.test/bucket"), "{request}");
}

#[test]
fn proxy_of_the_environment_applies_to_the_store_of_a_bucket() {
    let sandbox = Sandbox::new();
    let (proxy, requests) = rejecting_proxy(503);
    let output = put_to_remote_store(&sandbox)
        .env("HTTP_PROXY", &proxy)
        .run();
    assert_ne!(output.code(), Some(0), "{output}");
    let request = requests.try_recv().expect("a request to the proxy");
    assert!(request.contains(" http://store.test/bucket"), "{request}");
}

#[test]
fn hosts_in_no_proxy_bypass_the_proxy() {
    for no_proxy in ["store.test", ".test", "*"] {
        let sandbox = Sandbox::new();
        let (proxy, requests) = rejecting_proxy(503);
        let put = put_to_remote_store(&sandbox).args(["--proxy", &proxy]);
        let output = put.env("NO_PROXY", no_proxy).run();
        assert_ne!(output.code(), Some(0), "{output}");
        assert!(requests.try_recv().is_err(), "{no_proxy}");
    }
}

/// A proxy of plain HTTP answers the request; that of TLS does not open a tunnel.
#[test]
fn proxy_that_refuses_or_does_not_answer_is_named() {
    let (refusing, _requests) = rejecting_proxy(407);
    for (proxy, code, cause) in [
        (refusing.as_str(), 77, "requires a login (HTTP 407)"),
        ("http://127.0.0.1:1", 75, "Connection refused"),
    ] {
        let address = format!("proxy {}", proxy.trim_start_matches("http://"));
        for scheme in ["http", "https"] {
            let endpoint = format!("{scheme}://store.test");
            let gateway = format!("{scheme}://gateway.test");
            for put in [
                |sandbox: &Sandbox, (endpoint, _): (&str, &str)| put_to_store_at(sandbox, endpoint),
                |sandbox: &Sandbox, (_, gateway): (&str, &str)| put_to(sandbox, gateway),
            ] {
                let sandbox = Sandbox::new();
                let put = put(&sandbox, (&endpoint, &gateway));
                let output = put.args(["--proxy", proxy]).run().exits(code);
                let stderr = output.stderr();
                let error = stderr.lines().find(|line| line.starts_with("error: "));
                let error = error.unwrap_or_default();
                assert!(
                    error.contains(&address) && error.contains(cause),
                    "{output}"
                );
                assert!(
                    stderr.contains("proxy") && stderr.contains("hint: "),
                    "{output}"
                );
            }
        }
    }
}

#[test]
fn embedded_store_bypasses_every_proxy() {
    let unusable = "http://127.0.0.1:1";
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
        let sandbox = Sandbox::new();
        let file = sandbox.file("film.bin", 1000);
        let put = sandbox.upload(["put", "--backend", "embedded"]).arg(&file);
        put.env(name, unusable).run().succeeds();
        let again = sandbox.upload(["put", "--force", "--backend", "embedded"]);
        let again = again.arg(&file).args(["--proxy", unusable]);
        again.run().succeeds();
    }
}
