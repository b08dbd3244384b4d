//! Wrong lists of stored parts: `upload resume` sends each part on which journal and store
//! disagree, and treats no missing part as stored.

use std::path::PathBuf;

use crate::setup::{Run, Setup, for_each_case};
use crate::support::PART;
use crate::support::files;
use crate::support::proxy::{Fault, Requests, Response};

const PARTS: u64 = 4;
const SIZE: u64 = PARTS * PART;

/// Starts a put of [`SIZE`] bytes and kills it after about half of them are sent.
#[track_caller]
fn kill_half_way(setup: &mut Setup) -> PathBuf {
    let file = setup.file(SIZE);
    setup.proxy().block_after(2 * PART + PART / 2);
    let mut running = setup.put(&file).spawn();
    running.wait_for_stdout(r#""type":"part""#);
    setup.proxy().wait_until_blocked();
    running.kill9();
    setup.proxy().unblock();
    file
}

#[track_caller]
fn resume_with_list(list: Fault) -> Run {
    let mut setup = Setup::new();
    let file = kill_half_way(&mut setup);
    setup.proxy().inject(Requests::parts().nth(1), list);
    let run = setup.record(&file, SIZE, setup.resume());
    setup.proxy().clear_faults();
    setup.assert_arrived(run)
}

fn list(body: &str) -> Fault {
    Fault::Respond(Response::json(200, body))
}

#[test]
fn stored_parts_missing_from_the_list_are_sent_again() {
    let run = resume_with_list(list(r#"{"parts":[]}"#));
    assert_eq!(run.traffic.bytes("PUT"), SIZE);
}

/// Parts with the right number and size but another SHA-256, and numbers beyond the plan.
#[test]
fn listed_parts_with_other_content_are_sent_again() {
    let other = files::sha256_of(b"other");
    for part in [
        format!(r#"{{"number":1,"size":{PART},"etag":"e","sha256":"{other}"}}"#),
        format!(
            r#"{{"number":1,"size":{},"etag":"e","sha256":"{other}"}}"#,
            PART - 1
        ),
        format!(r#"{{"number":1,"size":{PART},"etag":"e"}}"#),
        format!(r#"{{"number":77,"size":{PART},"etag":"e","sha256":"{other}"}}"#),
        format!(
            r#"{{"number":4294967295,"size":{},"etag":"e","sha256":"{other}"}}"#,
            u64::MAX
        ),
    ] {
        let run = resume_with_list(list(&format!(r#"{{"parts":[{part}]}}"#)));
        assert_eq!(run.traffic.bytes("PUT"), SIZE, "{part}");
    }
}

#[test]
fn endless_or_unordered_list_is_rejected() {
    let part = |number: u64| format!(r#"{{"number":{number},"size":{PART},"etag":"e"}}"#);
    let bodies = [
        format!(r#"{{"parts":[{}],"next":1}}"#, part(1)),
        format!(r#"{{"parts":[{},{}]}}"#, part(2), part(1)),
        format!(r#"{{"parts":[{},{}]}}"#, part(1), part(1)),
    ];
    for_each_case(bodies, |setup, body| {
        let file = kill_half_way(setup);
        // Each page is the same.
        setup.proxy().inject(Requests::parts(), list(&body));
        let run = setup.record(&file, SIZE, setup.resume());
        assert_eq!(run.output.code(), Some(69), "{}", run.output);
        assert!(run.traffic.requests() < 20, "{:?}", run.traffic);
        assert_eq!(run.traffic.count("PUT"), 0);
        let run = run.assert_failed_as("protocol_error");
        setup.proxy().clear_faults();
        let again = setup.record(&run.file, SIZE, setup.resume());
        setup.assert_arrived(again);
    });
}

#[test]
fn lost_list_response_is_requested_again() {
    let run = resume_with_list(Fault::DropResponse);
    assert!(run.traffic.bytes("PUT") < SIZE, "every part was sent again");
}

/// The gateway lost the upload: the client begins again with the SHA-256 it has.
#[test]
fn list_of_a_lost_upload_begins_again() {
    for (status, code) in [(404, "not_found"), (410, "gone")] {
        let mut setup = Setup::new();
        let file = kill_half_way(&mut setup);
        setup.proxy().inject(
            Requests::parts().nth(1),
            Fault::Respond(Response::problem(status, code)),
        );
        let run = setup.record(&file, SIZE, setup.resume());
        assert_eq!(run.output.code(), Some(0), "{}", run.output);
        assert_eq!(run.traffic.bytes("PUT"), SIZE);
    }
}
