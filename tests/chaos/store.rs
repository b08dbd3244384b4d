//! What goes wrong between a gateway and its store is decided by asking the store, never guessed.
//!
//! Border: the client is whole and speaks to the gateway undisturbed; what it sends to the store passes undisturbed too.

use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;
use crate::support::{PART, wait};
use crate::trial::{Run, Trial, each_of};

/// A gateway in front of another process' store, with a proxy between the two.
struct Bench {
    trial: Trial,
    _keeper: Gateway,
}

impl Bench {
    #[track_caller]
    fn new() -> Self {
        let keeper = Gateway::start(&[], &[]);
        let store = keeper.store();
        let world = World::on_store(&store);
        Self {
            trial: Trial::of(world, Some(store)),
            _keeper: keeper,
        }
    }

    /// A file of two parts, while the store's proxy spoils `requests`. Gives the run, and how many parts were sent.
    #[track_caller]
    fn survives(&mut self, requests: Requests, fault: Fault) -> (Run, u64) {
        let before = self.trial.world.part_proxy().traffic();
        self.trial.world.part_proxy().clear_faults();
        self.trial.world.part_proxy().inject(requests, fault);
        let run = self.trial.survives(PART + 1, |_| {});
        let sent = self
            .trial
            .world
            .part_proxy()
            .traffic()
            .since(&before)
            .count("PUT");
        self.trial.world.part_proxy().clear_faults();
        (run, sent)
    }
}

#[test]
fn a_lost_answer_to_create() {
    let mut bench = Bench::new();
    bench.survives(Requests::store_create().nth(1), Fault::DropResponse);
    bench.survives(
        Requests::store_create().nth(1),
        Fault::ResetAfter { bytes: 0 },
    );
}

#[test]
fn complete_says_an_internal_error_behind_a_yes_twice() {
    let (_, sent) = Bench::new().survives(
        Requests::store_complete().first(2),
        Fault::error_in_success(),
    );
    assert_eq!(sent, 2, "parts were sent again");
}

/// The object is there, and what says no knows nothing of it.
#[test]
fn complete_is_done_and_says_otherwise() {
    let mut bench = Bench::new();
    for answer in [
        Response::s3(200, "InternalError"),
        Response::s3(500, "InternalError"),
        Response::s3(503, "SlowDown"),
        Response::html_page(504),
        Response::new(200),
        Response::new(200).body(
            "application/xml",
            "<?xml version=\"1.0\"?>\n<CompleteMultipartUplo",
        ),
    ] {
        let (_, sent) = bench.survives(
            Requests::store_complete().nth(1),
            Fault::ReplaceResponse(answer.clone()),
        );
        assert_eq!(sent, 2, "{answer:?}: parts were sent again");
    }
}

#[test]
fn completes_answer_is_lost() {
    let mut bench = Bench::new();
    for fault in [Fault::DropResponse, Fault::DeliverLater] {
        let (_, sent) = bench.survives(Requests::store_complete().nth(1), fault);
        assert_eq!(sent, 2, "parts were sent again");
    }
}

#[test]
fn complete_is_delivered_twice() {
    let (_, sent) = Bench::new().survives(Requests::store_complete(), Fault::DeliverTwice);
    assert_eq!(sent, 2, "parts were sent again");
}

/// White space for a while, as S3 sends it to keep the connection open.
#[test]
fn complete_takes_its_time() {
    let time = Duration::from_secs(3);
    each_of(
        Bench::new,
        [Fault::PadResponse(time), Fault::Delay(time)],
        |bench, fault| {
            let (_, sent) = bench.survives(Requests::store_complete().nth(1), fault);
            assert_eq!(sent, 2, "parts were sent again");
        },
    );
}

#[test]
fn complete_misses_a_part() {
    let mut bench = Bench::new();
    for code in ["InvalidPart", "InvalidPartOrder"] {
        let (_, sent) = bench.survives(Requests::store_complete().nth(1), Fault::s3(400, code));
        assert_eq!(sent, 2, "{code}: parts were sent again that are there");
    }
}

/// What the store has of one part is not what was sent: that part goes again, and no other.
#[test]
fn complete_finds_another_part_than_was_sent() {
    let mut bench = Bench::new();
    let trial = &mut bench.trial;
    let file = trial.file(3 * PART);
    let start = trial.world.part_proxy().traffic();
    trial
        .proxy()
        .inject(Requests::complete().nth(1), Fault::Hold);
    let running = trial.put(&file).spawn();
    wait::until("a complete", || {
        (trial.proxy().traffic().posts("/complete") == 1).then_some(())
    });
    let before = trial.world.part_proxy().traffic();
    assert_eq!(before.since(&start).count("PUT"), 3);
    trial
        .store()
        .replace_part(2, &vec![7; usize::try_from(PART).unwrap()]);
    trial.proxy().release();
    let output = running.wait().succeeds();
    let again: Vec<_> = trial
        .world
        .part_proxy()
        .traffic()
        .since(&before)
        .by_method("PUT")
        .map(|put| put.part)
        .collect();
    assert_eq!(again, [Some(2)], "{output}");
    trial.has(&file);
}

/// The status says yes, the body that nobody may: while it says so there is no object and no success, and no part goes again.
#[test]
fn complete_is_denied_behind_a_yes() {
    let mut bench = Bench::new();
    let denied = Fault::Respond(Response::s3(200, "AccessDenied"));
    let (_, sent) = bench.survives(Requests::store_complete().nth(1), denied.clone());
    assert_eq!(sent, 2, "parts were sent again");

    let trial = &mut bench.trial;
    trial
        .world
        .part_proxy()
        .inject(Requests::store_complete(), denied);
    let file = trial.file(PART + 1);
    let (objects, before) = (trial.objects(), trial.world.part_proxy().traffic());
    let put = || trial.world.put(&file).arg("--json");
    put().args(["--give-up-after", "2s"]).run().exits(75);
    assert_eq!(trial.objects(), objects, "there is an object");
    trial.world.part_proxy().clear_faults();
    put().run().succeeds();
    assert_eq!(
        trial
            .world
            .part_proxy()
            .traffic()
            .since(&before)
            .count("PUT"),
        2,
        "parts were sent again"
    );
    trial.has(&file);
}

#[test]
fn complete_knows_no_such_upload_and_there_is_no_object() {
    let mut bench = Bench::new();
    bench.trial.world.part_proxy().inject(
        Requests::store_complete().nth(1),
        Fault::s3(404, "NoSuchUpload"),
    );
    let run = bench.trial.run(PART + 1, |_| {});
    // In truth the first one is still there: what the store denies to have, nobody can take back.
    assert_eq!(
        (run.output.code(), bench.trial.objects().len()),
        (Some(0), 1),
        "{}",
        run.output
    );
}

#[test]
fn a_store_that_wants_to_be_asked_less_often() {
    let calls = [
        Requests::store_create(),
        Requests::store_complete(),
        Requests::store_head(),
    ];
    each_of(Bench::new, calls, |bench, requests| {
        bench.survives(requests.first(2), Fault::slow_down());
    });
}

#[test]
fn a_store_that_fails_for_a_while() {
    let calls = [
        Requests::store_create(),
        Requests::store_complete(),
        Requests::store_head(),
    ];
    each_of(Bench::new, calls, |bench, requests| {
        bench.survives(requests.first(2), Fault::s3(500, "InternalError"));
        bench.survives(requests.nth(1), Fault::ResetAfter { bytes: 0 });
    });
}

/// A gateway's way to its store may lead through a network that shuts.
#[test]
fn a_page_in_the_stores_place_is_no_answer() {
    let calls = [Requests::store_create(), Requests::store_complete()];
    let cases = calls
        .into_iter()
        .flat_map(|requests| [200, 302, 511].map(|status| (requests, status)));
    each_of(Bench::new, cases, |bench, (requests, status)| {
        let (_, sent) = bench.survives(requests.nth(1), Fault::html_page(status));
        assert_eq!(sent, 2, "{status}: parts were sent again");
    });
}

#[test]
fn a_list_of_the_stores_that_lacks_what_is_there() {
    let mut bench = Bench::new();
    let empty = Response::new(200).body(
        "application/xml",
        "<?xml version=\"1.0\"?><ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>",
    );
    let before = bench.trial.world.part_proxy().traffic();
    bench.trial.world.part_proxy().inject(
        Requests::store_complete().nth(1),
        Fault::s3(400, "InvalidPart"),
    );
    bench
        .trial
        .world
        .part_proxy()
        .inject(Requests::store_list().nth(1), Fault::Respond(empty));
    bench.trial.survives(PART + 1, |_| {});
    let sent = bench
        .trial
        .world
        .part_proxy()
        .traffic()
        .since(&before)
        .count("PUT");
    assert_eq!(sent, 4, "what the store does not list goes again");
}

#[test]
fn a_list_of_the_stores_that_never_ends() {
    let mut bench = Bench::new();
    let endless = Response::new(200).body(
        "application/xml",
        "<?xml version=\"1.0\"?><ListPartsResult><IsTruncated>true</IsTruncated>\
         <NextPartNumberMarker>1</NextPartNumberMarker></ListPartsResult>",
    );
    let before = bench.trial.world.part_proxy().traffic();
    bench.trial.world.part_proxy().inject(
        Requests::store_complete().nth(1),
        Fault::s3(400, "InvalidPart"),
    );
    bench
        .trial
        .world
        .part_proxy()
        .inject(Requests::store_list().first(5), Fault::Respond(endless));
    bench.trial.survives(PART + 1, |_| {});
    assert!(
        bench
            .trial
            .world
            .part_proxy()
            .traffic()
            .since(&before)
            .requests()
            < 40
    );
}
