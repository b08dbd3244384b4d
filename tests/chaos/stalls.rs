//! Stalls: a transfer without progress is cancelled and repeated, a slow one is not.
//!
//! `--stall-after` makes the limit short; `src/backend/timeouts.rs` tests the default.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::setup::{MANY_PARTS_SIZE, Run, STALL_LIMIT, Setup, for_each_case, for_each_case_with};
use crate::support::proxy::{Fault, Requests, WHOLE_BODY};
use crate::support::{MIB, PART, wait};

/// Asserts that the stalled part was sent again soon after the limit.
#[track_caller]
fn assert_stalled_part_is_retried(size: u64, requests: Requests, bytes: u64) {
    let mut setup = Setup::new().with_short_stall_limit();
    let run = setup.succeeding_put(size, |proxy| {
        proxy.inject(requests.nth(1), Fault::StallAfter { bytes });
    });
    let puts: Vec<Instant> = run.traffic.by_method("PUT").map(|put| put.began).collect();
    let longest = puts
        .windows(2)
        .map(|two| two[1] - two[0])
        .max()
        .expect("a second attempt");
    assert!(longest >= STALL_LIMIT, "{longest:?}");
    // Generous, for a loaded machine. `measurements` measures the time on an idle one.
    assert!(longest <= Duration::from_secs(30), "{longest:?}");
    run.resends_little();
}

#[test]
fn stalled_part_is_sent_again() {
    assert_stalled_part_is_retried(PART, Requests::put(), PART / 2);
}

/// The TCP window of the receiver is closed, so the kernel accepts no more bytes.
#[test]
fn part_that_the_store_does_not_read_is_sent_again() {
    assert_stalled_part_is_retried(PART + 1, Requests::part(1), 0);
}

/// All bytes are sent and no response arrives.
#[test]
fn part_without_response_is_sent_again() {
    assert_stalled_part_is_retried(1, Requests::put(), WHOLE_BODY);
}

#[test]
fn stalled_part_does_not_delay_the_others() {
    let mut setup = Setup::new().with_short_stall_limit();
    let stall = Fault::StallAfter { bytes: PART / 2 };
    let run = setup.succeeding_put(MANY_PARTS_SIZE, |proxy| {
        proxy.inject(Requests::part(3).nth(1), stall);
    });
    run.resends_little();
}

#[test]
fn call_without_response_is_repeated() {
    let calls = [
        Requests::info(),
        Requests::begin(),
        Requests::sign(),
        Requests::complete(),
    ];
    for_each_case_with(
        || Setup::new().with_short_stall_limit(),
        calls,
        |setup, requests| {
            let stall = Fault::StallAfter { bytes: WHOLE_BODY };
            let run = setup.succeeding_put(PART + 1, |proxy| proxy.inject(requests.nth(1), stall));
            run.resends_little();
        },
    );
}

/// The network changes: requests in flight are lost, no server is reachable for a while, then all
/// are.
#[test]
fn network_change_costs_only_parts_in_flight() {
    let mut setup = Setup::new().with_short_stall_limit();
    let file = setup.file(6 * PART);
    setup.proxy().block_after(PART / 2);
    let mut running = setup.put(&file).spawn();
    setup.proxy().wait_until_blocked();
    let began = Instant::now();
    setup.proxy().stop_listening();
    // A retry of a part, not of a call.
    let is_part_retry =
        |line: &str| line.contains("\"retry\"") && !line.contains("\"number\":null");
    running.wait_for("a part to be retried", |running| {
        running.stdout().lines().any(is_part_retry).then_some(())
    });
    setup.proxy().listen_again();
    setup.proxy().unblock();
    // The kernel would report the broken connection later.
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let output = running.wait();
    let run = Run {
        output,
        traffic: setup.proxy().traffic(),
        file,
        size: 6 * PART,
    };
    setup.assert_arrived(run).resends_little();
}

/// While a process is suspended, it sees no progress, but the network does not stall. Tested during
/// a part and during a call.
#[test]
fn suspended_process_reports_no_stall() {
    for_each_case_with(
        || Setup::new().with_short_stall_limit(),
        [Requests::put(), Requests::complete()],
        |setup, requests| {
            let file = setup.file(1);
            setup.proxy().inject(requests, Fault::Hold);
            let running = setup.put(&file).spawn();
            wait::until("the request to be held", || {
                setup.proxy().is_holding().then_some(())
            });
            // Long enough for progress to be seen before the stall begins.
            thread::sleep(Duration::from_millis(700));
            running.signal(Signal::STOP);
            // The suspension is longer than the limit.
            thread::sleep(STALL_LIMIT + Duration::from_millis(700));
            running.signal(Signal::CONT);
            // The client has time to check for progress. It finds no progress.
            thread::sleep(Duration::from_millis(300));
            setup.proxy().release();
            let run = Run {
                output: running.wait(),
                traffic: setup.proxy().traffic(),
                file,
                size: 1,
            };
            let run = setup.assert_arrived(run).resends_at_most(0);
            assert_eq!(run.retry_kinds(), [""; 0], "{}", run.output);
        },
    );
}

/// The transfer takes far longer than the limit and always makes progress.
#[test]
fn slow_part_is_not_a_stall() {
    let mut setup = Setup::new();
    let size = 24 * MIB;
    let file = setup.file(size);
    setup.proxy().throttle(4 * MIB);
    let put = setup
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
    let run = setup.record(&file, size, put);
    assert!(began.elapsed() > 2 * STALL_LIMIT, "{:?}", began.elapsed());
    assert_eq!(setup.assert_arrived(run).traffic.count("PUT"), 1);
}

/// The stall limit is the default.
#[test]
fn trickling_part_is_not_a_stall() {
    for_each_case([(4, 1), (4 << 10, 1 << 10)], |setup, (size, rate)| {
        let file = setup.file(size);
        setup
            .proxy()
            .inject(Requests::put(), Fault::Trickle { rate });
        let put = setup.world.put(&file).arg("--json");
        let run = setup.record(&file, size, put);
        setup.proxy().clear_faults();
        assert_eq!(setup.assert_arrived(run).traffic.count("PUT"), 1);
    });
}

#[test]
fn slow_response_is_not_a_stall() {
    let mut setup = Setup::new();
    let run = setup.succeeding_put(1, |proxy| {
        proxy.inject(Requests::complete(), Fault::TrickleResponse { rate: 250 });
    });
    assert_eq!(run.traffic.posts("/complete"), 1, "{}", run.output);
}

#[test]
fn latency_costs_no_requests() {
    let mut setup = Setup::new();
    let delay = Fault::Delay(Duration::from_millis(150));
    let run = setup.succeeding_put(4 * PART, |proxy| proxy.inject(Requests::any(), delay));
    run.resends_at_most(0).makes_few_requests();
}

/// A listener that neither accepts nor refuses connections.
#[test]
fn unconnectable_address_ends_with_75() {
    // The queue of this listener has room for one connection: `_first`.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    for_each_case(["http", "https"], |setup, scheme| {
        let file = setup.file(1);
        let began = Instant::now();
        setup
            .put_to(&format!("{scheme}://{address}"), &file)
            .run()
            .exits(75);
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{scheme}: {:?}",
            began.elapsed()
        );
    });
}

/// The connection is accepted, but the server does not answer the TLS handshake.
#[test]
fn handshake_without_response_ends_with_75() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut setup = Setup::new();
    let file = setup.file(1);
    let backend = format!("https://{}", listener.local_addr().unwrap());
    let began = Instant::now();
    setup.put_to(&backend, &file).run().exits(75);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}
