//! Lists of stored parts that are wrong: `upload resume` sends what journal and store do not agree on, and nothing is taken
//! for stored that is not.
//!
//! Border: lists as the gateway gives them, and as the store gives them to the gateway.

use std::path::PathBuf;

use crate::support::PART;
use crate::support::files;
use crate::support::proxy::{Fault, Requests, Response};
use crate::trial::{Run, Trial, each};

const PARTS: u64 = 4;
const SIZE: u64 = PARTS * PART;

/// An upload that was killed when about half of it was on its way.
#[track_caller]
fn interrupted(trial: &mut Trial) -> PathBuf {
    let file = trial.file(SIZE);
    trial.proxy().block_after(2 * PART + PART / 2);
    let mut running = trial.put(&file).spawn();
    running.wait_for_stdout(r#""type":"part""#);
    trial.proxy().wait_until_blocked();
    running.kill9();
    trial.proxy().unblock();
    file
}

#[track_caller]
fn resumes(list: Fault) -> Run {
    let mut trial = Trial::new();
    let file = interrupted(&mut trial);
    trial.proxy().inject(Requests::parts().nth(1), list);
    let run = trial.watch(&file, SIZE, trial.resume());
    trial.proxy().clear_faults();
    trial.arrived(run)
}

fn list(body: &str) -> Fault {
    Fault::Respond(Response::json(200, body))
}

#[test]
fn a_list_without_parts_that_are_there() {
    let run = resumes(list(r#"{"parts":[]}"#));
    run.wastes(0);
}

/// By number and size right, by SHA-256 another's; and one that the plan does not have.
#[test]
fn parts_that_are_not_ours() {
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
        let run = resumes(list(&format!(r#"{{"parts":[{part}]}}"#)));
        assert_eq!(run.traffic.bytes("PUT"), SIZE, "{part}");
    }
}

#[test]
fn a_list_that_does_not_end_or_has_no_order() {
    let part = |number: u64| format!(r#"{{"number":{number},"size":{PART},"etag":"e"}}"#);
    let bodies = [
        format!(r#"{{"parts":[{}],"next":1}}"#, part(1)),
        format!(r#"{{"parts":[{},{}]}}"#, part(2), part(1)),
        format!(r#"{{"parts":[{},{}]}}"#, part(1), part(1)),
    ];
    each(bodies, |trial, body| {
        let file = interrupted(trial);
        // The same on every page, as a server says that never grows tired of it.
        trial.proxy().inject(Requests::parts(), list(&body));
        let run = trial.watch(&file, SIZE, trial.resume());
        assert_eq!(run.output.code(), Some(69), "{}", run.output);
        assert!(run.traffic.requests() < 20, "{:?}", run.traffic);
        assert_eq!(run.traffic.count("PUT"), 0);
        let run = run.failed_as("protocol_error");
        trial.proxy().clear_faults();
        let again = trial.watch(&run.file, SIZE, trial.resume());
        trial.arrived(again);
    });
}

#[test]
fn a_list_whose_answer_is_lost() {
    let run = resumes(Fault::DropResponse);
    assert!(run.traffic.bytes("PUT") < SIZE, "all of it was sent again");
}

/// The gateway no longer knows the upload: it begins anew with what was fingerprinted.
#[test]
fn a_list_of_an_upload_that_is_gone() {
    for (status, code) in [(404, "not_found"), (410, "gone")] {
        let mut trial = Trial::new();
        let file = interrupted(&mut trial);
        trial.proxy().inject(
            Requests::parts().nth(1),
            Fault::Respond(Response::problem(status, code)),
        );
        let run = trial.watch(&file, SIZE, trial.resume());
        assert_eq!(run.output.code(), Some(0), "{}", run.output);
        assert_eq!(run.traffic.bytes("PUT"), SIZE);
    }
}
