//! Responses that end a run: each has its own exit code and leaves no object, and the same command
//! succeeds after the cause is removed.
//!
//! Not here: temporary failures (`part_responses`, `gateway_calls`).

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::setup::{SIZES, Setup, assert_no_secrets, for_each_case};
use crate::support::PART;
use crate::support::files;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;

/// Each PUT gets this response. Asserts the exit code and the kind of the failure.
#[track_caller]
fn assert_ends_with(response: &Response, code: i32, kind: &str) {
    for_each_case([1, PART + 1], |setup, size| {
        let run = setup.failing_put(size, code, |proxy| {
            proxy.inject(Requests::put(), Fault::Respond(response.clone()));
        });
        run.assert_failed_as(kind);
    });
}

#[test]
fn denied_parts_end_with_77() {
    let mut setup = Setup::new();
    for size in SIZES {
        let run = setup.failing_put(size, 77, |proxy| {
            proxy.inject(Requests::put(), Fault::s3(403, "AccessDenied"));
        });
        assert!(run.traffic.count("PUT") <= 4, "{:?}", run.traffic);
        run.assert_failed_as("unauthorized");
    }
    assert_ends_with(
        &Response::s3(403, "SignatureDoesNotMatch"),
        77,
        "unauthorized",
    );
    assert_ends_with(&Response::s3(200, "AccessDenied"), 77, "unauthorized");
}

/// The clock of the gateway, which signs the URLs, may be wrong. That is a temporary failure, not a
/// missing permission.
#[test]
fn clock_skew_ends_with_75() {
    assert_ends_with(&Response::s3(403, "RequestTimeTooSkewed"), 75, "clock_skew");
    assert_ends_with(
        &Response::s3_with_message(403, "AccessDenied", "Request is not yet valid"),
        75,
        "clock_skew",
    );
}

#[test]
fn permanent_redirect_ends_with_69() {
    assert_ends_with(
        &Response::s3(301, "PermanentRedirect"),
        69,
        "wrong_endpoint",
    );
}

#[test]
fn repeated_corruption_ends_with_65() {
    assert_ends_with(&Response::s3(400, "BadDigest"), 65, "corrupt");
}

#[test]
fn missing_bucket_ends_with_78() {
    assert_ends_with(&Response::s3(404, "NoSuchBucket"), 78, "config");
    assert_ends_with(&Response::s3(405, "MethodNotAllowed"), 78, "config");
}

#[test]
fn unsupported_or_too_large_requests_are_not_retried() {
    for (status, code) in [
        (501, "NotImplemented"),
        (411, "MissingContentLength"),
        (400, "EntityTooLarge"),
    ] {
        assert_ends_with(&Response::s3(status, code), 69, "incompatible");
    }
    assert_ends_with(&Response::html_page(413), 69, "incompatible");
}

#[test]
fn missing_etags_end_with_69() {
    assert_ends_with(&Response::new(200), 69, "missing_etag");
}

#[test]
fn proxy_login_ends_with_77() {
    assert_ends_with(&Response::html_page(407), 77, "unauthorized");
    let mut setup = Setup::new();
    let run = setup.failing_put(1, 77, |proxy| {
        proxy.inject(Requests::any(), Fault::html_page(407));
    });
    run.output.stderr_contains("proxy");
}

/// To reach an https gateway, the client requests a tunnel from the proxy, which rejects it.
#[test]
fn rejected_tunnel_names_the_proxy() {
    let mut setup = Setup::new();
    let file = setup.file(1);
    let put_via_proxy = |status: u16| {
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = proxy.local_addr().unwrap();
        let responder = thread::spawn(move || {
            let mut request_lines = String::new();
            for client in proxy.incoming().flatten() {
                let mut lines = BufReader::new(&client).lines().map_while(Result::ok);
                match lines.next() {
                    Some(line) => request_lines += &line,
                    None => break,
                }
                lines.find(String::is_empty);
                Response::html_page(status).send(&client).unwrap();
            }
            request_lines
        });
        let put = setup
            .put_to("https://gateway.example", &file)
            .env("https_proxy", format!("http://{addr}"));
        let output = put.run();
        // A connection without a request ends the thread.
        drop(TcpStream::connect(addr).unwrap());
        let request_lines = responder.join().unwrap();
        assert!(
            request_lines.starts_with("CONNECT gateway.example:443 "),
            "{request_lines}"
        );
        assert_no_secrets(&output);
        output
    };
    put_via_proxy(407)
        .exits(77)
        .stderr_contains("requires a login");
    put_via_proxy(502).exits(75);
}

/// The token file changes during the run, as with tokens that are renewed every hour.
#[test]
fn renewed_token_file_is_read_again() {
    let mut setup = Setup::on_world(World::with_args(&["--auth", "tokens"]), None);
    let [old, new] = ["ci"; 2].map(|name| setup.world.gateway.token(name));
    let token_path = setup.world.sandbox.path("token");
    std::fs::write(&token_path, &old).unwrap();
    let file = setup.file(6 * PART);
    setup.proxy().block_after(1);
    let running = setup
        .world
        .put(&file)
        .arg("--json")
        .arg("--token-file")
        .arg(&token_path)
        .spawn();
    setup.proxy().wait_until_blocked();
    std::fs::write(&token_path, &new).unwrap();
    let id = old.split('_').nth(1).unwrap();
    setup
        .world
        .gateway
        .sandbox()
        .upload(["serve", "token", "revoke", id])
        .run()
        .succeeds();
    setup.proxy().unblock();
    let output = running.wait().succeeds();
    assert!(!output.stdout().contains("\"retry\""), "{output}");
    let rejected_count = setup
        .proxy()
        .traffic()
        .0
        .iter()
        .filter(|call| call.status == Some(401))
        .count();
    assert!(
        (1..=2).contains(&rejected_count),
        "{rejected_count} calls were rejected"
    );
    for token in [&old, &new] {
        assert!(
            !format!("{output}").contains(token.as_str()),
            "a token was printed"
        );
    }
    setup.assert_stored(&file);
}

#[test]
fn rejected_token_ends_with_77() {
    let mut setup = Setup::new();
    for requests in [
        Requests::info(),
        Requests::begin(),
        Requests::sign(),
        Requests::complete(),
    ] {
        let rejection = Fault::Respond(Response::problem(401, "unauthenticated"));
        let run = setup.failing_put(PART + 1, 77, |proxy| proxy.inject(requests, rejection));
        run.output.stderr_contains("token");
    }
}

/// Until the first response of a gateway, the client assumes that the address is wrong.
#[test]
fn other_server_than_a_gateway_ends_with_69() {
    for_each_case([200, 302, 404, 511], |setup, status| {
        let run = setup.failing_put(1, 69, |proxy| {
            proxy.inject(Requests::any(), Fault::html_page(status));
        });
        run.assert_failed_as("unexpected_server");
    });
}

#[test]
fn malformed_gateway_responses_end_with_69() {
    let nonsense = [
        "{}",
        "[",
        "null",
        r#"{"parts":[]}"#,
        r#"{"parts":[{"number":0,"stored":{"etag":"e"}}]}"#,
        r#"{"parts":[{"number":-1,"stored":{"etag":"e"}}]}"#,
        r#"{"parts":"https://s3.example/?X-Amz-Signature=canaryPage"}"#,
    ];
    for_each_case(nonsense, |setup, body| {
        let run = setup.failing_put(PART + 1, 69, |proxy| {
            proxy.inject(Requests::sign(), Fault::Respond(Response::json(200, body)));
        });
        assert_eq!(run.traffic.count("PUT"), 0);
        run.assert_failed_as("protocol_error");
    });
    for_each_case(
        [Requests::info(), Requests::begin(), Requests::complete()],
        |setup, requests| {
            let run = setup.failing_put(PART + 1, 69, |proxy| {
                proxy.inject(
                    requests,
                    Fault::Respond(Response::json(200, r#"{"id":7,"size":-1,"limits":[]}"#)),
                );
            });
            run.assert_failed_as("protocol_error");
        },
    );
}

/// A receipt that differs in one field: size, number of parts or checksum.
#[test]
fn receipt_of_another_file_ends_with_65() {
    for_each_case(["size", "parts", "checksum"], |setup, field| {
        let file = setup.file(1);
        let (expected, other) = if field == "checksum" {
            let other = setup.world.sandbox.file("other.bin", 1);
            (files::checksum(&file, PART), files::checksum(&other, PART))
        } else {
            (format!("\"{field}\":1,"), format!("\"{field}\":2,"))
        };
        assert_ne!(expected, other);
        setup
            .proxy()
            .inject(Requests::complete(), Fault::ReplaceText(expected, other));
        let run = setup.record(&file, 1, setup.put(&file));
        assert_eq!(run.output.code(), Some(65), "{field}: {}", run.output);
        let run = run.assert_failed_as("corrupt");
        setup.proxy().clear_faults();
        let again = setup.record(&run.file, 1, setup.put(&run.file));
        setup.assert_arrived(again);
    });
}

/// The receipt would be valid for another upload of the same bytes.
#[test]
fn receipt_of_another_upload_ends_with_65() {
    let mut setup = Setup::new();
    let file = setup.file(1);
    let checksum = files::checksum(&file, PART);
    let receipt = format!(
        r#"{{"id":"0198c0de-0000-7000-8000-000000000000","backend":"b","instance_id":"i","key":"uploads/a/b.bin",
            "location":"embedded:uploads/a/b.bin","size":1,"parts":1,"part_size":{PART},"etag":"e",
            "checksum":"{checksum}","proof":"sha256","sha256":null,"started":"2026-01-01T00:00:00Z",
            "finished":"2026-01-01T00:00:00Z"}}"#
    );
    setup.proxy().inject(
        Requests::complete(),
        Fault::Respond(Response::json(200, &receipt)),
    );
    let run = setup.record(&file, 1, setup.put(&file));
    assert_eq!(run.output.code(), Some(65), "{}", run.output);
    let run = run.assert_failed_as("corrupt");
    setup.proxy().clear_faults();
    let again = setup.record(&run.file, 1, setup.put(&run.file));
    setup.assert_arrived(again);
}

#[test]
fn oversized_response_is_not_read() {
    let mut setup = Setup::new();
    let long = Response::json(200, &" ".repeat(5 << 20));
    let run = setup.failing_put(1, 69, |proxy| {
        proxy.inject(Requests::begin(), Fault::Respond(long));
    });
    run.assert_failed_as("incompatible");
}

#[test]
fn other_protocol_version_ends_with_69() {
    let mut setup = Setup::new();
    for response in [
        Response::new(426),
        Response::problem(426, "upgrade_required"),
        Response::json(
            200,
            r#"{"protocol":2,"instance_id":"i","limits":{"min_part":1,"max_part":2,"max_parts":3,"max_size":4,"equal_parts":false},"allow_types":[],"proof":"sha256"}"#,
        ),
    ] {
        let run = setup.failing_put(1, 69, |proxy| {
            proxy.inject(Requests::any(), Fault::Respond(response));
        });
        run.assert_failed_as("incompatible")
            .output
            .stderr_contains("version");
    }
}

/// Neither token nor bytes are sent to the target of a redirect: the client does not connect to it.
#[test]
fn redirects_are_never_followed() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let target_url = format!("http://{}/", target.local_addr().unwrap());
    let (sender, connections) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in target.incoming() {
            let _ = sender.send(stream.and_then(|stream| stream.peer_addr()));
        }
    });
    // `behaviour::redirects` tests every status with every call.
    let cases = [
        (301, Requests::put()),
        (302, Requests::begin()),
        (303, Requests::complete()),
        (307, Requests::put()),
        (308, Requests::sign()),
    ];
    for_each_case(cases, |setup, (status, requests)| {
        let redirect = Fault::Respond(Response::new(status).header("location", &target_url));
        setup.succeeding_put(PART + 1, |proxy| proxy.inject(requests.nth(1), redirect));
    });
    let mut setup = Setup::new();
    setup.failing_put(1, 69, |proxy| {
        proxy.inject(
            Requests::info(),
            Fault::Respond(Response::new(307).header("location", &target_url)),
        );
    });
    assert!(
        connections.try_recv().is_err(),
        "the client followed a redirect"
    );
}

#[test]
fn unresolvable_host_ends_with_75() {
    let mut setup = Setup::new();
    let file = setup.file(1);
    setup
        .put_to("https://upload.invalid", &file)
        .run()
        .exits(75);
}
