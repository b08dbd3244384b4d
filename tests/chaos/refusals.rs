//! Answers after which there is no going on: each ends the run with its own exit code, leaves no object, and the same command
//! finishes the job once the cause is gone.
//!
//! Border: for good, or again and again; what passes is in `answers` and `calls`.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::support::PART;
use crate::support::files;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;
use crate::trial::{SIZES, Trial, each, hides_secrets};

/// All PUTs are answered so.
#[track_caller]
fn ends(answer: &Response, code: i32, kind: &str) {
    each([1, PART + 1], |trial, size| {
        let run = trial.fails(size, code, |proxy| {
            proxy.inject(Requests::put(), Fault::Respond(answer.clone()));
        });
        run.failed_as(kind);
    });
}

#[test]
fn a_store_that_refuses_twice() {
    let mut trial = Trial::new();
    for size in SIZES {
        let run = trial.fails(size, 77, |proxy| {
            proxy.inject(Requests::put(), Fault::s3(403, "AccessDenied"));
        });
        assert!(run.traffic.count("PUT") <= 4, "{:?}", run.traffic);
        run.failed_as("unauthorized");
    }
    ends(
        &Response::s3(403, "SignatureDoesNotMatch"),
        77,
        "unauthorized",
    );
    ends(&Response::s3(200, "AccessDenied"), 77, "unauthorized");
}

/// With signed URLs it is the gateway's clock: no way to go on for now, and no question of permission.
#[test]
fn clocks_that_differ() {
    ends(&Response::s3(403, "RequestTimeTooSkewed"), 75, "clock_skew");
    ends(
        &Response::s3_with_message(403, "AccessDenied", "Request is not yet valid"),
        75,
        "clock_skew",
    );
}

#[test]
fn a_store_that_is_somewhere_else() {
    ends(
        &Response::s3(301, "PermanentRedirect"),
        69,
        "wrong_endpoint",
    );
}

#[test]
fn bytes_that_are_damaged_every_time() {
    ends(&Response::s3(400, "BadDigest"), 65, "corrupt");
}

#[test]
fn a_bucket_that_is_not_there() {
    ends(&Response::s3(404, "NoSuchBucket"), 78, "config");
    ends(&Response::s3(405, "MethodNotAllowed"), 78, "config");
}

#[test]
fn what_is_not_implemented_or_too_large_is_not_tried_again() {
    for (status, code) in [
        (501, "NotImplemented"),
        (411, "MissingContentLength"),
        (400, "EntityTooLarge"),
    ] {
        ends(&Response::s3(status, code), 69, "incompatible");
    }
    ends(&Response::html_page(413), 69, "incompatible");
}

#[test]
fn a_store_that_never_says_yes_properly() {
    ends(&Response::new(200), 69, "missing_etag");
}

#[test]
fn a_proxy_that_wants_a_login() {
    ends(&Response::html_page(407), 77, "unauthorized");
    let mut trial = Trial::new();
    let run = trial.fails(1, 77, |proxy| {
        proxy.inject(Requests::any(), Fault::html_page(407));
    });
    run.output.stderr_contains("proxy");
}

/// Between a client and an https gateway a proxy is asked for a tunnel, and it is the proxy that says no.
#[test]
fn a_proxy_that_builds_no_tunnel() {
    let mut trial = Trial::new();
    let file = trial.file(1);
    let said = |status: u16| {
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = proxy.local_addr().unwrap();
        let answering = thread::spawn(move || {
            let mut asked = String::new();
            for client in proxy.incoming().flatten() {
                let mut lines = BufReader::new(&client).lines().map_while(Result::ok);
                match lines.next() {
                    Some(line) => asked += &line,
                    None => break,
                }
                lines.find(String::is_empty);
                Response::html_page(status).send(&client).unwrap();
            }
            asked
        });
        let put = trial
            .put_to("https://gateway.example", &file)
            .env("https_proxy", format!("http://{addr}"));
        let output = put.run();
        // A connection without a word ends it.
        drop(TcpStream::connect(addr).unwrap());
        let asked = answering.join().unwrap();
        assert!(asked.starts_with("CONNECT gateway.example:443 "), "{asked}");
        hides_secrets(&output);
        output
    };
    said(407).exits(77).stderr_contains("requires a login");
    said(502).exits(75);
}

/// The token's file has another by now, as where tokens are renewed every hour: it is read again, and nobody notices.
#[test]
fn a_token_that_is_renewed_in_its_file() {
    let mut trial = Trial::of(World::with_args(&["--auth", "tokens"]), None);
    let [old, new] = ["ci"; 2].map(|name| trial.world.gateway.token(name));
    let place = trial.world.sandbox.path("token");
    std::fs::write(&place, &old).unwrap();
    let file = trial.file(6 * PART);
    trial.proxy().block_after(1);
    let running = trial
        .world
        .put(&file)
        .arg("--json")
        .arg("--token-file")
        .arg(&place)
        .spawn();
    trial.proxy().wait_until_blocked();
    std::fs::write(&place, &new).unwrap();
    let id = old.split('_').nth(1).unwrap();
    trial
        .world
        .gateway
        .sandbox()
        .upload(["serve", "token", "revoke", id])
        .run()
        .succeeds();
    trial.proxy().unblock();
    let output = running.wait().succeeds();
    assert!(!output.stdout().contains("\"retry\""), "{output}");
    let refused = trial
        .proxy()
        .traffic()
        .0
        .iter()
        .filter(|call| call.status == Some(401))
        .count();
    assert!((1..=2).contains(&refused), "{refused} calls were refused");
    for token in [&old, &new] {
        assert!(
            !format!("{output}").contains(token.as_str()),
            "a token is told"
        );
    }
    trial.has(&file);
}

#[test]
fn a_token_that_is_taken_no_more() {
    let mut trial = Trial::new();
    for requests in [
        Requests::info(),
        Requests::begin(),
        Requests::sign(),
        Requests::complete(),
    ] {
        let no = Fault::Respond(Response::problem(401, "unauthenticated"));
        let run = trial.fails(PART + 1, 77, |proxy| proxy.inject(requests, no));
        run.output.stderr_contains("token");
    }
}

/// Before a gateway has ever answered, the address may be wrong.
#[test]
fn something_else_than_a_gateway_from_the_start() {
    each([200, 302, 404, 511], |trial, status| {
        let run = trial.fails(1, 69, |proxy| {
            proxy.inject(Requests::any(), Fault::html_page(status));
        });
        run.failed_as("unexpected_server");
    });
}

#[test]
fn nonsense_from_a_gateway() {
    let nonsense = [
        "{}",
        "[",
        "null",
        r#"{"parts":[]}"#,
        r#"{"parts":[{"number":0,"stored":{"etag":"e"}}]}"#,
        r#"{"parts":[{"number":-1,"stored":{"etag":"e"}}]}"#,
        r#"{"parts":"https://s3.example/?X-Amz-Signature=canaryPage"}"#,
    ];
    each(nonsense, |trial, body| {
        let run = trial.fails(PART + 1, 69, |proxy| {
            proxy.inject(Requests::sign(), Fault::Respond(Response::json(200, body)));
        });
        assert_eq!(run.traffic.count("PUT"), 0);
        run.failed_as("protocol_error");
    });
    each(
        [Requests::info(), Requests::begin(), Requests::complete()],
        |trial, requests| {
            let run = trial.fails(PART + 1, 69, |proxy| {
                proxy.inject(
                    requests,
                    Fault::Respond(Response::json(200, r#"{"id":7,"size":-1,"limits":[]}"#)),
                );
            });
            run.failed_as("protocol_error");
        },
    );
}

/// A receipt that fits in all but one thing: the size, the number of parts, or the checksum.
#[test]
fn a_receipt_of_something_else() {
    each(["size", "parts", "checksum"], |trial, field| {
        let file = trial.file(1);
        let (is, other) = if field == "checksum" {
            let other = trial.world.sandbox.file("other.bin", 1);
            (files::checksum(&file, PART), files::checksum(&other, PART))
        } else {
            (format!("\"{field}\":1,"), format!("\"{field}\":2,"))
        };
        assert_ne!(is, other);
        trial
            .proxy()
            .inject(Requests::complete(), Fault::ReplaceText(is, other));
        let run = trial.watch(&file, 1, trial.put(&file));
        assert_eq!(run.output.code(), Some(65), "{field}: {}", run.output);
        let run = run.failed_as("corrupt");
        trial.proxy().clear_faults();
        let again = trial.watch(&run.file, 1, trial.put(&run.file));
        trial.arrived(again);
    });
}

/// It would be right of another upload of the same bytes.
#[test]
fn a_receipt_of_another_upload() {
    let mut trial = Trial::new();
    let file = trial.file(1);
    let checksum = files::checksum(&file, PART);
    let receipt = format!(
        r#"{{"id":"0198c0de-0000-7000-8000-000000000000","backend":"b","instance_id":"i","key":"uploads/a/b.bin",
            "location":"embedded:uploads/a/b.bin","size":1,"parts":1,"part_size":{PART},"etag":"e",
            "checksum":"{checksum}","proof":"sha256","sha256":null,"started":"2026-01-01T00:00:00Z",
            "finished":"2026-01-01T00:00:00Z"}}"#
    );
    trial.proxy().inject(
        Requests::complete(),
        Fault::Respond(Response::json(200, &receipt)),
    );
    let run = trial.watch(&file, 1, trial.put(&file));
    assert_eq!(run.output.code(), Some(65), "{}", run.output);
    let run = run.failed_as("corrupt");
    trial.proxy().clear_faults();
    let again = trial.watch(&run.file, 1, trial.put(&run.file));
    trial.arrived(again);
}

#[test]
fn an_answer_without_end_is_not_read() {
    let mut trial = Trial::new();
    let long = Response::json(200, &" ".repeat(5 << 20));
    let run = trial.fails(1, 69, |proxy| {
        proxy.inject(Requests::begin(), Fault::Respond(long));
    });
    run.failed_as("incompatible");
}

#[test]
fn a_gateway_of_another_protocol() {
    let mut trial = Trial::new();
    for answer in [
        Response::new(426),
        Response::problem(426, "upgrade_required"),
        Response::json(
            200,
            r#"{"protocol":2,"instance_id":"i","limits":{"min_part":1,"max_part":2,"max_parts":3,"max_size":4,"equal_parts":false},"allow_types":[],"proof":"sha256"}"#,
        ),
    ] {
        let run = trial.fails(1, 69, |proxy| {
            proxy.inject(Requests::any(), Fault::Respond(answer));
        });
        run.failed_as("incompatible")
            .output
            .stderr_contains("version");
    }
}

/// Neither token nor bytes go where a redirect points: nobody even connects there.
#[test]
fn a_redirect_is_never_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("http://{}/", elsewhere.local_addr().unwrap());
    let (told, connected) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in elsewhere.incoming() {
            let _ = told.send(stream.and_then(|stream| stream.peer_addr()));
        }
    });
    // Each kind for each call is tried in `behaviour::redirects`, where they do not end; here they do.
    let cases = [
        (301, Requests::put()),
        (302, Requests::begin()),
        (303, Requests::complete()),
        (307, Requests::put()),
        (308, Requests::sign()),
    ];
    each(cases, |trial, (status, requests)| {
        let redirect = Fault::Respond(Response::new(status).header("location", &place));
        trial.survives(PART + 1, |proxy| proxy.inject(requests.nth(1), redirect));
    });
    let mut trial = Trial::new();
    trial.fails(1, 69, |proxy| {
        proxy.inject(
            Requests::info(),
            Fault::Respond(Response::new(307).header("location", &place)),
        );
    });
    assert!(
        connected.try_recv().is_err(),
        "somebody followed a redirect"
    );
}

#[test]
fn a_name_that_nobody_knows_is_asked_for_until_it_is_given_up() {
    let mut trial = Trial::new();
    let file = trial.file(1);
    trial
        .put_to("https://upload.invalid", &file)
        .run()
        .exits(75);
}
