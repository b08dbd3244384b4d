//! Failures between gateway and store: the gateway requests the outcome from the store and never
//! assumes one.
//!
//! The client's calls to the gateway and its parts do not fail.

use std::time::Duration;

use crate::setup::{Run, Setup, for_each_case_with};
use crate::support::gateway::Gateway;
use crate::support::proxy::{Fault, Requests, Response};
use crate::support::world::World;
use crate::support::{PART, wait};

/// A gateway in front of the embedded store of another gateway, with a proxy between the two.
struct StoreSetup {
    setup: Setup,
    _store_gateway: Gateway,
}

impl StoreSetup {
    #[track_caller]
    fn new() -> Self {
        let store_gateway = Gateway::start(&[], &[]);
        let store = store_gateway.store();
        let world = World::on_store(&store);
        Self {
            setup: Setup::on_world(world, Some(store)),
            _store_gateway: store_gateway,
        }
    }

    /// Puts two parts while the proxy in front of the store injects `fault`. Returns the run and
    /// the number of parts that were sent.
    #[track_caller]
    fn succeeding_put(&mut self, requests: Requests, fault: Fault) -> (Run, u64) {
        let before = self.setup.world.part_proxy().traffic();
        self.setup.world.part_proxy().clear_faults();
        self.setup.world.part_proxy().inject(requests, fault);
        let run = self.setup.succeeding_put(PART + 1, |_| {});
        let sent = self
            .setup
            .world
            .part_proxy()
            .traffic()
            .since(&before)
            .count("PUT");
        self.setup.world.part_proxy().clear_faults();
        (run, sent)
    }
}

#[test]
fn lost_create_response_is_survived() {
    let mut context = StoreSetup::new();
    context.succeeding_put(Requests::store_create().nth(1), Fault::DropResponse);
    context.succeeding_put(
        Requests::store_create().nth(1),
        Fault::ResetAfter { bytes: 0 },
    );
}

#[test]
fn complete_with_error_body_is_repeated() {
    let (_, sent) = StoreSetup::new().succeeding_put(
        Requests::store_complete().first(2),
        Fault::error_in_success(),
    );
    assert_eq!(sent, 2, "parts were sent again");
}

/// The object exists, although the response is an error.
#[test]
fn completed_object_is_found_despite_the_error() {
    let mut context = StoreSetup::new();
    for response in [
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
        let (_, sent) = context.succeeding_put(
            Requests::store_complete().nth(1),
            Fault::ReplaceResponse(response.clone()),
        );
        assert_eq!(sent, 2, "{response:?}: parts were sent again");
    }
}

#[test]
fn lost_complete_response_is_survived() {
    let mut context = StoreSetup::new();
    for fault in [Fault::DropResponse, Fault::DeliverLater] {
        let (_, sent) = context.succeeding_put(Requests::store_complete().nth(1), fault);
        assert_eq!(sent, 2, "parts were sent again");
    }
}

#[test]
fn complete_delivered_twice_is_survived() {
    let (_, sent) =
        StoreSetup::new().succeeding_put(Requests::store_complete(), Fault::DeliverTwice);
    assert_eq!(sent, 2, "parts were sent again");
}

/// The store sends white space for a while, as S3 does to keep the connection open.
#[test]
fn slow_complete_is_waited_for() {
    let time = Duration::from_secs(3);
    for_each_case_with(
        StoreSetup::new,
        [Fault::PadResponse(time), Fault::Delay(time)],
        |context, fault| {
            let (_, sent) = context.succeeding_put(Requests::store_complete().nth(1), fault);
            assert_eq!(sent, 2, "parts were sent again");
        },
    );
}

#[test]
fn parts_reported_missing_but_stored_are_not_sent_again() {
    let mut context = StoreSetup::new();
    for code in ["InvalidPart", "InvalidPartOrder"] {
        let (_, sent) =
            context.succeeding_put(Requests::store_complete().nth(1), Fault::s3(400, code));
        assert_eq!(sent, 2, "{code}: stored parts were sent again");
    }
}

/// The store's part 2 was replaced after it was sent: only that part is sent again.
#[test]
fn replaced_part_is_sent_again_alone() {
    let mut context = StoreSetup::new();
    let setup = &mut context.setup;
    let file = setup.file(3 * PART);
    let start = setup.world.part_proxy().traffic();
    setup
        .proxy()
        .inject(Requests::complete().nth(1), Fault::Hold);
    let running = setup.put(&file).spawn();
    wait::until("a call to complete", || {
        (setup.proxy().traffic().posts("/complete") == 1).then_some(())
    });
    let before = setup.world.part_proxy().traffic();
    assert_eq!(before.since(&start).count("PUT"), 3);
    setup
        .store()
        .replace_part(2, &vec![7; usize::try_from(PART).unwrap()]);
    setup.proxy().release();
    let output = running.wait().succeeds();
    let numbers: Vec<_> = setup
        .world
        .part_proxy()
        .traffic()
        .since(&before)
        .by_method("PUT")
        .map(|put| put.part)
        .collect();
    assert_eq!(numbers, [Some(2)], "{output}");
    setup.assert_stored(&file);
}

/// Status 200 with `AccessDenied` in the body: no object, no success, and no part is sent again.
#[test]
fn denied_complete_makes_no_object_and_resends_no_part() {
    let mut context = StoreSetup::new();
    let denied = Fault::Respond(Response::s3(200, "AccessDenied"));
    let (_, sent) = context.succeeding_put(Requests::store_complete().nth(1), denied.clone());
    assert_eq!(sent, 2, "parts were sent again");

    let setup = &mut context.setup;
    setup
        .world
        .part_proxy()
        .inject(Requests::store_complete(), denied);
    let file = setup.file(PART + 1);
    let (objects, before) = (setup.objects(), setup.world.part_proxy().traffic());
    let put = || setup.world.put(&file).arg("--json");
    put().run().exits(77);
    assert_eq!(setup.objects(), objects, "an object exists");
    setup.world.part_proxy().clear_faults();
    put().run().succeeds();
    assert_eq!(
        setup
            .world
            .part_proxy()
            .traffic()
            .since(&before)
            .count("PUT"),
        2,
        "parts were sent again"
    );
    setup.assert_stored(&file);
}

#[test]
fn upload_unknown_to_complete_begins_again() {
    let mut context = StoreSetup::new();
    context.setup.world.part_proxy().inject(
        Requests::store_complete().nth(1),
        Fault::s3(404, "NoSuchUpload"),
    );
    let run = context.setup.run(PART + 1, |_| {});
    // In fact the first upload still exists: the gateway cannot abort an upload that, according to
    // the store, does not exist.
    assert_eq!(
        (run.output.code(), context.setup.objects().len()),
        (Some(0), 1),
        "{}",
        run.output
    );
}

#[test]
fn throttling_responses_are_retried() {
    let calls = [
        Requests::store_create(),
        Requests::store_complete(),
        Requests::store_head(),
    ];
    for_each_case_with(StoreSetup::new, calls, |context, requests| {
        context.succeeding_put(requests.first(2), Fault::slow_down());
    });
}

#[test]
fn failed_store_calls_are_retried() {
    let calls = [
        Requests::store_create(),
        Requests::store_complete(),
        Requests::store_head(),
    ];
    for_each_case_with(StoreSetup::new, calls, |context, requests| {
        context.succeeding_put(requests.first(2), Fault::s3(500, "InternalError"));
        context.succeeding_put(requests.nth(1), Fault::ResetAfter { bytes: 0 });
    });
}

/// A captive portal may be between a gateway and its store.
#[test]
fn html_page_is_not_a_store_response() {
    let calls = [Requests::store_create(), Requests::store_complete()];
    let cases = calls
        .into_iter()
        .flat_map(|requests| [200, 302, 511].map(|status| (requests, status)));
    for_each_case_with(StoreSetup::new, cases, |context, (requests, status)| {
        let (_, sent) = context.succeeding_put(requests.nth(1), Fault::html_page(status));
        assert_eq!(sent, 2, "{status}: parts were sent again");
    });
}

#[test]
fn parts_missing_from_the_store_list_are_sent_again() {
    let mut context = StoreSetup::new();
    let empty = Response::new(200).body(
        "application/xml",
        "<?xml version=\"1.0\"?><ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>",
    );
    let before = context.setup.world.part_proxy().traffic();
    context.setup.world.part_proxy().inject(
        Requests::store_complete().nth(1),
        Fault::s3(400, "InvalidPart"),
    );
    context
        .setup
        .world
        .part_proxy()
        .inject(Requests::store_list().nth(1), Fault::Respond(empty));
    context.setup.succeeding_put(PART + 1, |_| {});
    let sent = context
        .setup
        .world
        .part_proxy()
        .traffic()
        .since(&before)
        .count("PUT");
    assert_eq!(sent, 4, "parts that the store does not list are sent again");
}

#[test]
fn endless_store_list_is_not_followed() {
    let mut context = StoreSetup::new();
    let endless = Response::new(200).body(
        "application/xml",
        "<?xml version=\"1.0\"?><ListPartsResult><IsTruncated>true</IsTruncated>\
         <NextPartNumberMarker>1</NextPartNumberMarker></ListPartsResult>",
    );
    let before = context.setup.world.part_proxy().traffic();
    context.setup.world.part_proxy().inject(
        Requests::store_complete().nth(1),
        Fault::s3(400, "InvalidPart"),
    );
    context
        .setup
        .world
        .part_proxy()
        .inject(Requests::store_list().first(5), Fault::Respond(endless));
    context.setup.succeeding_put(PART + 1, |_| {});
    assert!(
        context
            .setup
            .world
            .part_proxy()
            .traffic()
            .since(&before)
            .requests()
            < 40
    );
}
