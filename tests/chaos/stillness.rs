//! What neither fails nor gets on: it is given up when nothing moves any more, and never because it takes long.
//!
//! Border: limits on standing still, made short by `--stall-after`; how long they are without it is tested in
//! `src/backend/timeouts.rs`.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::proxy::{Fault, Requests, WHOLE_BODY};
use crate::support::{MIB, PART, wait};
use crate::trial::{LARGE, Run, STILL, Trial, each, each_of};

/// When the part that stood still was tried again.
#[track_caller]
fn tried_again_in_time(size: u64, requests: Requests, bytes: u64) {
    let mut trial = Trial::new().impatient();
    let run = trial.survives(size, |proxy| {
        proxy.inject(requests.nth(1), Fault::StallAfter { bytes });
    });
    let puts: Vec<Instant> = run.traffic.by_method("PUT").map(|put| put.began).collect();
    let longest = puts
        .windows(2)
        .map(|two| two[1] - two[0])
        .max()
        .expect("a second attempt");
    assert!(longest >= STILL, "{longest:?}");
    // How soon it is on a machine that has nothing else to do, `numbers` tells.
    assert!(longest <= Duration::from_secs(30), "{longest:?}");
    run.wastes_little();
}

#[test]
fn a_part_that_stands_still_is_sent_again() {
    tried_again_in_time(PART, Requests::put(), PART / 2);
}

/// The receiver's window shuts: the kernel takes no more.
#[test]
fn a_store_that_takes_nothing_is_given_up() {
    tried_again_in_time(PART + 1, Requests::part(1), 0);
}

/// All of it is sent, and nothing comes back.
#[test]
fn a_part_without_an_answer_is_sent_again() {
    tried_again_in_time(1, Requests::put(), WHOLE_BODY);
}

#[test]
fn one_that_stands_still_does_not_hold_up_the_others() {
    let mut trial = Trial::new().impatient();
    let hush = Fault::StallAfter { bytes: PART / 2 };
    let run = trial.survives(LARGE, |proxy| proxy.inject(Requests::part(3).nth(1), hush));
    run.wastes_little();
}

#[test]
fn a_call_without_an_answer_is_made_again() {
    let calls = [
        Requests::info(),
        Requests::begin(),
        Requests::sign(),
        Requests::complete(),
    ];
    each_of(
        || Trial::new().impatient(),
        calls,
        |trial, requests| {
            let hush = Fault::StallAfter { bytes: WHOLE_BODY };
            let run = trial.survives(PART + 1, |proxy| proxy.inject(requests.nth(1), hush));
            run.wastes_little();
        },
    );
}

/// The network is another one: what is under way goes nowhere, nobody is reached for a while, and then all is well.
#[test]
fn a_network_that_changes_costs_what_was_on_the_wire() {
    let mut trial = Trial::new().impatient();
    let file = trial.file(6 * PART);
    trial.proxy().block_after(PART / 2);
    let mut running = trial.put(&file).spawn();
    trial.proxy().wait_until_blocked();
    let began = Instant::now();
    trial.proxy().stop_listening();
    // Of a part, not of a call: there what stood still has been given up.
    let given_up = |line: &str| line.contains("\"retry\"") && !line.contains("\"number\":null");
    running.wait_for("a part that nobody takes", |running| {
        running.stdout().lines().any(given_up).then_some(())
    });
    trial.proxy().listen_again();
    trial.proxy().unblock();
    // Sooner than the kernel finds out.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let output = running.wait();
    let run = Run {
        output,
        traffic: trial.proxy().traffic(),
        file,
        size: 6 * PART,
    };
    trial.arrived(run).wastes_little();
}

/// A process that is kept from running looks like a network that stands still, to itself: while a part is answered, and a call.
#[test]
fn a_process_that_did_not_run_blames_no_network() {
    each_of(
        || Trial::new().impatient(),
        [Requests::put(), Requests::complete()],
        |trial, requests| {
            let file = trial.file(1);
            trial.proxy().inject(requests, Fault::Hold);
            let running = trial.put(&file).spawn();
            wait::until("what is held", || trial.proxy().is_holding().then_some(()));
            // Long enough to have been seen to move, and then not to.
            thread::sleep(Duration::from_millis(700));
            running.signal(Signal::STOP);
            // The length of the standstill is what this is about; ten seconds would be a sleep.
            thread::sleep(STILL + Duration::from_millis(700));
            running.signal(Signal::CONT);
            // As long as it takes to look at what has moved, which is nothing.
            thread::sleep(Duration::from_millis(300));
            trial.proxy().release();
            let run = Run {
                output: running.wait(),
                traffic: trial.proxy().traffic(),
                file,
                size: 1,
            };
            let run = trial.arrived(run).wastes(0);
            assert_eq!(run.retries(), [""; 0], "{}", run.output);
        },
    );
}

/// Far longer than the limit on standing still, and all the time on the move.
#[test]
fn a_slow_part_is_never_given_up() {
    let mut trial = Trial::new();
    let size = 24 * MIB;
    let file = trial.file(size);
    trial.proxy().throttle(4 * MIB);
    let put = trial
        .world
        .upload(&[
            "put",
            "--part-size",
            "24MiB",
            "--stall-after",
            "2s",
            "--json",
        ])
        .arg(&file);
    let began = Instant::now();
    let run = trial.watch(&file, size, put);
    assert!(began.elapsed() > 2 * STILL, "{:?}", began.elapsed());
    assert_eq!(trial.arrived(run).traffic.count("PUT"), 1);
}

/// With the limits there are when none is asked for.
#[test]
fn a_trickle_is_waited_for() {
    each([(4, 1), (4 << 10, 1 << 10)], |trial, (size, rate)| {
        let file = trial.file(size);
        trial
            .proxy()
            .inject(Requests::put(), Fault::Trickle { rate });
        let put = trial.world.put(&file).arg("--json");
        let run = trial.watch(&file, size, put);
        trial.proxy().clear_faults();
        assert_eq!(trial.arrived(run).traffic.count("PUT"), 1);
    });
}

#[test]
fn a_slow_answer_is_waited_for() {
    let mut trial = Trial::new();
    let run = trial.survives(1, |proxy| {
        proxy.inject(Requests::complete(), Fault::TrickleResponse { rate: 250 });
    });
    assert_eq!(run.traffic.posts("/complete"), 1, "{}", run.output);
}

#[test]
fn a_long_way_costs_time_only() {
    let mut trial = Trial::new();
    let delay = Fault::Delay(Duration::from_millis(150));
    let run = trial.survives(4 * PART, |proxy| proxy.inject(Requests::any(), delay));
    run.wastes(0).asks_little();
}

/// A name that is taken and does not listen: neither refused nor connected.
#[test]
fn a_place_that_does_not_even_connect_is_given_up() {
    // The queue of this listener holds one connection, which is this one.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let place = listener.local_addr().unwrap();
    let _first = std::net::TcpStream::connect(place).unwrap();
    each(["http", "https"], |trial, scheme| {
        let file = trial.file(1);
        let began = Instant::now();
        trial
            .put_to(&format!("{scheme}://{place}"), &file)
            .run()
            .exits(75);
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{scheme}: {:?}",
            began.elapsed()
        );
    });
}

/// Connected, but TLS is never spoken.
#[test]
fn a_handshake_without_an_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut trial = Trial::new();
    let file = trial.file(1);
    let backend = format!("https://{}", listener.local_addr().unwrap());
    let began = Instant::now();
    trial.put_to(&backend, &file).run().exits(75);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}
