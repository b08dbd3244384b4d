//! Answers after which there is no going on: each ends the run with its own exit code, leaves no object, and the same command
//! finishes the job once the cause is gone.
//!
//! Border: for good, or again and again; what passes is in `answers` and `calls`.

use std::net::TcpListener;
use std::thread;

use crate::support::PART;
use crate::support::files;
use crate::support::proxy::{Answer, Fault, Requests};
use crate::trial::{SIZES, Trial, each};

/// All PUTs are answered so.
#[track_caller]
fn ends(answer: &Answer, code: i32, kind: &str) {
    each([1, PART + 1], |trial, size| {
        let run = trial.fails(size, code, |proxy| proxy.spoil(Requests::put(), Fault::Answer(answer.clone())));
        run.failed_as(kind);
    });
}

#[test]
fn a_store_that_refuses_twice() {
    let mut trial = Trial::new();
    for size in SIZES {
        let run = trial.fails(size, 77, |proxy| proxy.spoil(Requests::put(), Fault::s3(403, "AccessDenied")));
        assert!(run.traffic.count("PUT") <= 4, "{:?}", run.traffic);
        run.failed_as("refused");
    }
    ends(&Answer::s3(403, "SignatureDoesNotMatch"), 77, "refused");
    ends(&Answer::s3(200, "AccessDenied"), 77, "refused");
}

/// With signed URLs it is the gateway's clock: no way to go on for now, and no question of permission.
#[test]
fn clocks_that_differ() {
    ends(&Answer::s3(403, "RequestTimeTooSkewed"), 75, "skewed");
    ends(&Answer::s3_saying(403, "AccessDenied", "Request is not yet valid"), 75, "skewed");
}

#[test]
fn a_store_that_is_somewhere_else() {
    ends(&Answer::s3(301, "PermanentRedirect"), 69, "moved");
}

#[test]
fn bytes_that_are_damaged_every_time() {
    ends(&Answer::s3(400, "BadDigest"), 65, "corrupt");
}

#[test]
fn a_bucket_that_is_not_there() {
    ends(&Answer::s3(404, "NoSuchBucket"), 78, "config");
    ends(&Answer::s3(405, "MethodNotAllowed"), 78, "config");
}

#[test]
fn what_is_not_implemented_or_too_large_is_not_tried_again() {
    for (status, code) in [(501, "NotImplemented"), (411, "MissingContentLength"), (400, "EntityTooLarge")] {
        ends(&Answer::s3(status, code), 69, "unusable");
    }
    ends(&Answer::page(413), 69, "unusable");
}

#[test]
fn a_store_that_never_says_yes_properly() {
    ends(&Answer::new(200), 69, "unmarked");
}

#[test]
fn a_proxy_that_wants_a_login() {
    ends(&Answer::page(407), 77, "refused");
    let mut trial = Trial::new();
    let run = trial.fails(1, 77, |proxy| proxy.spoil(Requests::any(), Fault::page(407)));
    run.output.says("proxy");
}

#[test]
fn a_token_that_is_taken_no_more() {
    let mut trial = Trial::new();
    for requests in [Requests::info(), Requests::begin(), Requests::sign(), Requests::complete()] {
        let no = Fault::Answer(Answer::problem(401, "unauthenticated"));
        let run = trial.fails(PART + 1, 77, |proxy| proxy.spoil(requests, no));
        run.output.says("token");
    }
}

/// Before a gateway has ever answered, the address may be wrong.
#[test]
fn something_else_than_a_gateway_from_the_start() {
    each([200, 302, 404, 511], |trial, status| {
        let run = trial.fails(1, 69, |proxy| proxy.spoil(Requests::any(), Fault::page(status)));
        run.failed_as("intercepted");
    });
}

#[test]
fn nonsense_from_a_gateway() {
    let nonsense = [
        "{}",
        "[",
        "null",
        r#"{"parts":[]}"#,
        r#"{"parts":[{"number":0,"known":{"etag":"e"}}]}"#,
        r#"{"parts":[{"number":-1,"known":{"etag":"e"}}]}"#,
        r#"{"parts":"https://s3.example/?X-Amz-Signature=canaryPage"}"#,
    ];
    each(nonsense, |trial, body| {
        let run = trial.fails(PART + 1, 69, |proxy| {
            proxy.spoil(Requests::sign(), Fault::Answer(Answer::json(200, body)));
        });
        assert_eq!(run.traffic.count("PUT"), 0);
        run.failed_as("garbled");
    });
    each([Requests::info(), Requests::begin(), Requests::complete()], |trial, requests| {
        let run = trial.fails(PART + 1, 69, |proxy| {
            proxy.spoil(requests, Fault::Answer(Answer::json(200, r#"{"id":7,"size":-1,"limits":[]}"#)));
        });
        run.failed_as("garbled");
    });
}

/// A receipt that fits in all but one thing: the upload, the size, or the checksum.
#[test]
fn a_receipt_of_something_else() {
    let mut trial = Trial::new();
    let checksum = files::checksum(&trial.file(1), PART);
    let other = files::checksum(&trial.file(2), PART);
    for (size, checksum) in [(1, &checksum), (2, &checksum), (1, &other)] {
        let mut trial = Trial::new();
        let receipt = format!(
            r#"{{"id":"0198c0de-0000-7000-8000-000000000000","backend":"b","instance_id":"i","key":"uploads/a/b.bin",
                "location":"embedded:uploads/a/b.bin","size":{size},"parts":1,"part_size":{PART},"etag":"e",
                "checksum":"{checksum}","proof":"sha256","sha256":null,"started":"2026-01-01T00:00:00Z",
                "finished":"2026-01-01T00:00:00Z"}}"#
        );
        let lie = Fault::Answer(Answer::json(200, &receipt));
        let run = trial.run(1, |proxy| proxy.spoil(Requests::complete(), lie));
        assert_eq!(run.output.code(), Some(65), "{}", run.output);
        let run = run.failed_as("corrupt");
        trial.proxy().mend();
        let again = trial.watch(&run.file, 1, trial.put(&run.file));
        trial.arrived(again);
    }
}

#[test]
fn an_answer_without_end_is_not_read() {
    let mut trial = Trial::new();
    let long = Answer::json(200, &" ".repeat(5 << 20));
    let run = trial.fails(1, 69, |proxy| proxy.spoil(Requests::begin(), Fault::Answer(long)));
    run.failed_as("unusable");
}

#[test]
fn a_gateway_of_another_protocol() {
    let mut trial = Trial::new();
    for answer in [
        Answer::new(426),
        Answer::problem(426, "upgrade_required"),
        Answer::json(
            200,
            r#"{"protocol":2,"instance_id":"i","limits":{"min_part":1,"max_part":2,"max_parts":3,"max_size":4,"equal_parts":false},"allow_types":[],"proof":"sha256"}"#,
        ),
    ] {
        let run = trial.fails(1, 69, |proxy| proxy.spoil(Requests::any(), Fault::Answer(answer)));
        run.failed_as("unusable").output.says("version");
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
    each([301, 302, 303, 307, 308], |trial, status| {
        let redirect = Fault::Answer(Answer::new(status).header("location", &place));
        for requests in [Requests::begin(), Requests::sign(), Requests::put(), Requests::complete()] {
            trial.survives(PART + 1, |proxy| proxy.spoil(requests.nth(1), redirect.clone()));
        }
    });
    let mut trial = Trial::new();
    trial.fails(1, 69, |proxy| {
        proxy.spoil(Requests::info(), Fault::Answer(Answer::new(307).header("location", &place)));
    });
    assert!(connected.try_recv().is_err(), "somebody followed a redirect");
}

#[test]
fn a_name_that_nobody_knows_is_asked_for_until_it_is_given_up() {
    let mut trial = Trial::new();
    let file = trial.file(1);
    trial.put_to("https://upload.invalid", &file).run().exits(75);
}
