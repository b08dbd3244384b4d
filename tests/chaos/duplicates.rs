//! Requests that the network delivers twice, or long after the client stopped waiting for them: the
//! result is one object that equals the file.

use crate::setup::{SIZES, Setup};
use crate::support::PART;
use crate::support::proxy::{Fault, Requests};

#[test]
fn requests_delivered_twice_make_one_object() {
    let mut setup = Setup::new();
    for size in SIZES {
        for requests in [
            Requests::begin(),
            Requests::sign(),
            Requests::put(),
            Requests::complete(),
        ] {
            setup.succeeding_put(size, |proxy| proxy.inject(requests, Fault::DeliverTwice));
        }
    }
    setup.succeeding_put(4 * PART, |proxy| {
        proxy.inject(Requests::any(), Fault::DeliverTwice);
    });
}

/// The first attempt at a part arrives after the second one, also after the upload is complete.
#[test]
fn part_delivered_late_changes_nothing() {
    let mut setup = Setup::new();
    for size in SIZES {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put().nth(1), Fault::DeliverLater);
        });
        let before = setup.objects();
        let late = setup.proxy().deliver_held();
        assert_eq!(late.len(), 1, "{:?}", run.traffic);
        assert!(
            late[0] >= 400,
            "the store accepted a part after the upload was complete: {late:?}"
        );
        assert_eq!(setup.objects(), before);
        setup.assert_still_stored(&run.file);
    }
}

#[test]
fn begin_and_complete_delivered_late_make_no_second_object() {
    let mut setup = Setup::new();
    for requests in [Requests::begin(), Requests::complete()] {
        for size in [1, PART + 1] {
            let run = setup.succeeding_put(size, |proxy| {
                proxy.inject(requests.nth(1), Fault::DeliverLater);
            });
            let before = setup.objects();
            let late = setup.proxy().deliver_held();
            assert_eq!(late, [200], "the response differs from the first one");
            assert_eq!(setup.objects(), before);
            setup.assert_still_stored(&run.file);
        }
    }
}

/// The response to a single PUT is lost; the store rejects the second one, because the object
/// exists.
#[test]
fn own_object_found_after_a_lost_response_is_accepted() {
    let mut setup = Setup::new();
    for size in [0, 1, PART] {
        let run = setup.succeeding_put(size, |proxy| {
            proxy.inject(Requests::put().nth(1), Fault::DropResponse);
        });
        assert_eq!(run.traffic.count("PUT"), 2);
        run.makes_few_requests();
    }
}

#[test]
fn concurrent_clients_make_one_upload() {
    let mut setup = Setup::new();
    let file = setup.file(PART + 1);
    let running: Vec<_> = (0..10).map(|_| setup.put(&file).spawn()).collect();
    let codes: Vec<_> = running
        .into_iter()
        .map(|client| client.wait().code())
        .collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert!(
        codes.iter().all(|code| [Some(0), Some(75)].contains(code)),
        "{codes:?}"
    );
    setup.assert_stored(&file);
}
