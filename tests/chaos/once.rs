//! Requests that arrive twice, or long after anybody waits for them: there is one object all the same, and it is the file.
//!
//! Border: what the network does to requests behind the client's back.

use crate::support::PART;
use crate::support::proxy::{Fault, Requests};
use crate::trial::{SIZES, Trial};

#[test]
fn every_request_arrives_twice() {
    let mut trial = Trial::new();
    for size in SIZES {
        for requests in [
            Requests::begin(),
            Requests::sign(),
            Requests::put(),
            Requests::complete(),
        ] {
            trial.survives(size, |proxy| proxy.inject(requests, Fault::DeliverTwice));
        }
    }
    trial.survives(4 * PART, |proxy| {
        proxy.inject(Requests::any(), Fault::DeliverTwice);
    });
}

/// The first attempt at a part lands after the second one, before and after the upload is complete.
#[test]
fn a_part_that_lands_late_changes_nothing() {
    let mut trial = Trial::new();
    for size in SIZES {
        let run = trial.survives(size, |proxy| {
            proxy.inject(Requests::put().nth(1), Fault::DeliverLater);
        });
        let late = trial.proxy().deliver_held();
        assert_eq!(late.len(), 1, "{:?}", run.traffic);
        let before = trial.objects();
        assert!(late[0] >= 400, "a part was taken after the end: {late:?}");
        assert_eq!(trial.objects(), before);
        trial.still_has(&run.file);
    }
}

#[test]
fn a_begin_and_a_complete_that_land_late_make_no_second_object() {
    let mut trial = Trial::new();
    for requests in [Requests::begin(), Requests::complete()] {
        for size in [1, PART + 1] {
            let run = trial.survives(size, |proxy| {
                proxy.inject(requests.nth(1), Fault::DeliverLater);
            });
            let before = trial.objects();
            let late = trial.proxy().deliver_held();
            assert_eq!(late, [200], "not answered as before");
            assert_eq!(trial.objects(), before);
            trial.still_has(&run.file);
        }
    }
}

/// A single PUT whose answer was lost: the second one is told that the object is there.
#[test]
fn an_object_of_ones_own_that_is_there_already() {
    let mut trial = Trial::new();
    for size in [0, 1, PART] {
        let run = trial.survives(size, |proxy| {
            proxy.inject(Requests::put().nth(1), Fault::DropResponse);
        });
        assert!(run.traffic.count("PUT") <= 2);
        run.asks_little();
    }
}

#[test]
fn ten_clients_that_begin_the_same_upload_make_one() {
    let mut trial = Trial::new();
    let file = trial.file(PART + 1);
    let running: Vec<_> = (0..10).map(|_| trial.put(&file).spawn()).collect();
    let codes: Vec<_> = running.into_iter().map(|one| one.wait().code()).collect();
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert!(
        codes.iter().all(|code| [Some(0), Some(75)].contains(code)),
        "{codes:?}"
    );
    trial.has(&file);
}
