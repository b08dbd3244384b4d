//! What the reporters say to a stream of events, and when.

use std::time::{Duration, Instant};

use super::*;
use upload_types::names::{Checksum, Sha256, UploadId};
use upload_types::wire::{Proof, Receipt};

const GIB: u64 = 1 << 30;
const CHATTY: Loudness = Loudness {
    quiet: false,
    verbose: 0,
};
const QUIET: Loudness = Loudness {
    quiet: true,
    verbose: 0,
};

fn id() -> UploadId {
    "0198f0c4-1d2e-7a00-8000-000000000001".parse().unwrap()
}

fn plan(item: usize, path: &str, resumed_bytes: u64) -> Event {
    let (upload, path_b64) = (Some(id()), None);
    Event::Plan {
        item,
        upload,
        path: path.into(),
        path_b64,
        size: 2 * GIB,
        part_size: 8 << 20,
        parts: 256,
        resumed_bytes,
    }
}

fn progress(item: usize, confirmed: u64) -> Event {
    let (hashed, sent) = (confirmed, confirmed);
    Event::Progress {
        item,
        upload: Some(id()),
        hashed,
        sent,
        confirmed,
        size: 2 * GIB,
        rate: 64 << 20,
    }
}

fn completed(item: usize, already: bool) -> Event {
    let receipt = Receipt {
        id: id(),
        backend: "embedded".into(),
        instance_id: "i".into(),
        key: "uploads/o/1.mov".parse().unwrap(),
        location: format!("embedded:uploads/o/{item}.mov"),
        size: 2 * GIB,
        parts: 256,
        part_size: 8 << 20,
        etag: "e".parse().unwrap(),
        checksum: Some(Checksum::whole(&Sha256::of(b""))),
        proof: Proof::Sha256,
        unproven: Vec::new(),
        sha256: None,
        started: jiff::Timestamp::UNIX_EPOCH,
        finished: jiff::Timestamp::UNIX_EPOCH,
    };
    Event::Completed {
        item,
        upload: id(),
        receipt,
        already,
    }
}

fn failed(item: usize, path: &str) -> Event {
    let (message, hint) = (
        "could not read part 3:\n\x1b[31mdisk on fire".into(),
        Some("check the disk".into()),
    );
    Event::Failed {
        item,
        upload: None,
        path: path.into(),
        kind: "io",
        message,
        hint,
    }
}

fn exit(uploads: u64, completed: u64, bytes_sent: u64, bytes_skipped: u64) -> Event {
    let failed = uploads - completed;
    Event::Exit {
        code: 0,
        uploads,
        completed,
        failed,
        bytes_sent,
        bytes_skipped,
        resumable: failed > 0,
    }
}

/// Feeds a plain reporter one event a second; gives both streams.
fn tell(loudness: Loudness, progress: bool, events: &[Event]) -> (String, String) {
    let mut now = Instant::now();
    let mut plain = Plain::new(loudness, progress, now);
    let (mut out, mut err) = (String::new(), String::new());
    for event in events {
        now += Duration::from_secs(1);
        let said = plain.on(event, now);
        out += &lines(&said.data);
        err += &said.for_people(false);
    }
    (out, err)
}

#[test]
fn one_resumed_upload_in_plain_words() {
    let mut events = vec![plan(0, "/films/holiday.mov", 3 * GIB / 2)];
    events.extend((0..30).map(|step| progress(0, 3 * GIB / 2 + step * (16 << 20))));
    events.extend([completed(0, false), exit(1, 1, GIB / 2, 3 * GIB / 2)]);
    let (out, err) = tell(CHATTY, true, &events);
    assert_eq!(out, "embedded:uploads/o/0.mov\n");
    assert_eq!(
        err,
        "resumed: holiday.mov: 1.5 GiB of 2.0 GiB are already there\n\
         holiday.mov: 81% of 2.0 GiB, 64.0 MiB/s, 6s left, sent 81%, hashed 81%, resumed 1.5 GiB\n\
         holiday.mov: 89% of 2.0 GiB, 64.0 MiB/s, 3s left, sent 89%, hashed 89%, resumed 1.5 GiB\n\
         holiday.mov: 96% of 2.0 GiB, 64.0 MiB/s, 1s left, sent 96%, hashed 96%, resumed 1.5 GiB\n\
         uploaded holiday.mov: 2.0 GiB in 256 parts, sent 512 MiB in 33s (15.5 MiB/s)\n\
         resumed: 1.5 GiB of 2.0 GiB were already there\n"
    );
}

#[test]
fn several_sources_are_one_line_now_and_then() {
    let mut events = vec![plan(0, "a.mov", 0), plan(1, "b.mov", 0)];
    events.extend((0..10).flat_map(|step| [progress(0, step << 20), progress(1, step << 21)]));
    events.extend([
        completed(1, false),
        failed(0, "a.mov"),
        exit(2, 1, 2 * GIB, 0),
    ]);
    let (out, err) = tell(CHATTY, true, &events);
    assert_eq!(out, "embedded:uploads/o/1.mov\n");
    assert_eq!(
        err.lines()
            .filter(|line| line.starts_with("0 of 2 files: "))
            .count(),
        2,
        "{err}"
    );
    let end: Vec<_> = err.lines().skip(2).collect();
    assert_eq!(
        end,
        [
            "uploaded b.mov, 2.0 GiB",
            "error: a.mov: could not read part 3:\\u{a}\\u{1b}[31mdisk on fire",
            "hint: check the disk",
            "uploaded 1 of 2 files, sent 2.0 GiB in 25s (81.9 MiB/s)",
            "what is missing stays in the journal: run `upload resume` to go on",
        ]
    );
}

#[test]
fn quiet_says_errors_only_and_still_gives_the_data() {
    let events = [
        plan(0, "a.mov", GIB),
        progress(0, GIB),
        completed(0, false),
        exit(1, 1, GIB, GIB),
    ];
    assert_eq!(
        tell(QUIET, true, &events),
        ("embedded:uploads/o/0.mov\n".into(), String::new())
    );
    let (_, err) = tell(QUIET, true, &[failed(0, "a.mov"), exit(1, 0, 0, 0)]);
    assert!(
        err.starts_with("error: a.mov: ") && err.contains("hint: check"),
        "{err}"
    );
}

#[test]
fn a_file_that_is_there_already_says_so() {
    let (out, err) = tell(
        CHATTY,
        true,
        &[
            plan(0, "a.mov", 2 * GIB),
            completed(0, true),
            exit(1, 1, 0, 2 * GIB),
        ],
    );
    assert_eq!(
        (out.as_str(), err.as_str()),
        (
            "embedded:uploads/o/0.mov\n",
            "a.mov is already there; nothing was sent\n"
        )
    );
}

#[test]
fn an_error_names_its_source_once() {
    let error = |path: &str| tell(CHATTY, true, &[failed(0, path)]).1;
    assert!(error("a.mov").starts_with("error: a.mov: could not read part 3"));
    assert!(error("part 3").starts_with("error: could not read part 3"));
    assert!(error("").starts_with("error: could not read part 3"));
}

#[test]
fn no_progress_means_none() {
    let mut events = vec![plan(0, "a.mov", 0)];
    events.extend((0..30).map(|step| progress(0, step << 20)));
    assert_eq!(tell(CHATTY, false, &events), (String::new(), String::new()));
}

#[test]
fn names_cannot_move_the_cursor() {
    let name = "/x/\x1b[2J\rgood.mov\u{202e}";
    let events = [
        plan(0, name, GIB),
        failed(0, name),
        completed(0, false),
        exit(1, 1, GIB, GIB),
    ];
    let (out, err) = tell(
        Loudness {
            quiet: false,
            verbose: 2,
        },
        true,
        &events,
    );
    assert!(
        !(out + &err)
            .chars()
            .any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')),
        "{err:?}"
    );
}

#[test]
fn colours_mark_errors_only_where_they_are_wanted() {
    let said = Said {
        failure: Some(("no".into(), Some("do".into()))),
        ..Said::default()
    };
    assert_eq!(said.for_people(false), "error: no\nhint: do\n");
    assert!(
        said.for_people(true)
            .starts_with("\x1b[1;31merror:\x1b[0m no\n")
    );

    let terminal = Options {
        json: false,
        quiet: false,
        verbose: 0,
        progress: Progress::Auto,
        color: Color::Auto,
        screen: Screen::Terminal,
        no_color: false,
    };
    assert!(terminal.colours() && terminal.bars());
    assert!(
        !Options {
            no_color: true,
            ..terminal
        }
        .colours()
    );
    assert!(
        Options {
            no_color: true,
            ..terminal
        }
        .bars()
    );
    let dumb = Options {
        screen: Screen::Dumb,
        ..terminal
    };
    assert!(!dumb.colours() && !dumb.bars());
    let pipe = Options {
        screen: Screen::None,
        progress: Progress::Bar,
        ..terminal
    };
    assert!(!pipe.colours() && !pipe.bars());
    assert!(
        Options {
            color: Color::Always,
            ..pipe
        }
        .colours()
    );
    assert!(
        !Options {
            color: Color::Never,
            ..terminal
        }
        .colours()
    );
}

#[test]
fn json_tells_progress_once_a_second_and_always_the_last() {
    let begin = Instant::now();
    let mut json = Json::default();
    let mut told = Vec::new();
    for step in 0..25 {
        told.extend(json.on(progress(0, step), begin + Duration::from_millis(100 * step)));
    }
    assert_eq!(told.len(), 3, "{told:?}");
    let end = json.on(completed(0, false), begin + Duration::from_millis(2500));
    assert_eq!(end.len(), 2);
    assert!(
        end[0].contains("\"confirmed\":24,") && end[1].contains("\"type\":\"completed\""),
        "{end:?}"
    );
    // Two uploads have a pace each.
    assert_eq!(
        json.on(progress(1, 1), begin).len() + json.on(progress(2, 1), begin).len(),
        2
    );
    assert!(json.on(progress(1, 2), begin).is_empty());
    let end = json.on(exit(1, 1, 1, 0), begin);
    assert_eq!(end.len(), 2);
    assert!(end[1].starts_with("{\"v\":1,\"type\":\"exit\""), "{end:?}");
}

#[test]
fn a_bar_that_ends_stays_as_a_line() {
    let now = Instant::now();
    let mut bars = Bars::hidden(CHATTY, now);
    let first = bars.on(&plan(0, "a.mov", GIB), now);
    assert_eq!(
        first.remarks,
        ["resumed: a.mov: 1.0 GiB of 2.0 GiB are already there"]
    );
    for item in 1..40 {
        bars.on(&plan(item, "more", 0), now);
    }
    let end = bars.on(&completed(0, false), now);
    assert_eq!(end.remarks, ["uploaded a.mov, 2.0 GiB, resumed 1.0 GiB"]);
    assert_eq!(end.data, ["embedded:uploads/o/0.mov"]);
}

/// How many there are is known before each was opened.
#[test]
fn the_total_counts_what_is_still_to_come() {
    let mut items = item::Items::new(Instant::now());
    items.note(&Event::Sources {
        count: 301,
        bytes: 602 * GIB,
    });
    assert!(items.several());
    items.note(&plan(0, "a", 0));
    items.note(&plan(1, "b", 0));
    items.note(&completed(0, false));
    let total = items.total();
    assert_eq!(
        (total.name.as_str(), total.size, total.confirmed),
        ("1 of 301 files", 602 * GIB, 2 * GIB)
    );
    assert!(
        Json::default()
            .on(
                Event::Sources {
                    count: 301,
                    bytes: 1
                },
                Instant::now()
            )
            .is_empty(),
        "for people only"
    );
}
