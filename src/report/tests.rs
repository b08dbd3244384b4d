//! The output of each reporter for streams of events.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::bars::Bars;
use super::json::Json;
use super::options::{Colors, Verbosity};
use super::output::{Message, Output};
use super::plain::Plain;
use super::source_state::Scope;
use super::sources::Sources;
use super::*;
use crate::event::{Event, Forecast, OtherSources, Phase};
use upload_types::wire::{Proof, Receipt};
use upload_types::{Checksum, Sha256, UploadId};

const GIB: u64 = 1 << 30;
const NORMAL: Verbosity = Verbosity {
    quiet: false,
    verbose: 0,
    locations: Locations::Alone,
};
const QUIET: Verbosity = Verbosity {
    quiet: true,
    ..NORMAL
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
        already_stored: false,
        from_journal: false,
        key: None,
        stream: false,
        forecast: None,
    }
}

fn progress(item: usize, confirmed: u64) -> Event {
    let (hashed, sent) = (confirmed, confirmed);
    Event::Progress {
        item,
        upload: Some(id()),
        path: String::new(),
        hashed,
        sent,
        confirmed,
        size: 2 * GIB,
        rate: 64 << 20,
        waits: None,
        phase: Phase::Sending,
    }
}

fn completed(item: usize) -> Event {
    let (upload, receipt) = (Some(id()), receipt(item));
    Event::Completed {
        item,
        upload,
        path: String::new(),
        already_stored: false,
        from_journal: false,
        receipt: Box::new(receipt),
    }
}

fn already_completed(item: usize) -> Event {
    let (upload, receipt) = (Some(id()), receipt(item));
    Event::Completed {
        item,
        upload,
        path: String::new(),
        already_stored: true,
        from_journal: false,
        receipt: Box::new(receipt),
    }
}

fn receipt(item: usize) -> Receipt {
    Receipt {
        id: Some(id()),
        backend: "embedded".into(),
        instance_id: "i".into(),
        name: "n".into(),
        bucket: None,
        key: "uploads/o/1.mov".parse().unwrap(),
        version_id: None,
        location: Some(format!("embedded:uploads/o/{item}.mov")),
        size: 2 * GIB,
        parts: 256,
        part_size: 8 << 20,
        double_after: None,
        etag: "e".parse().unwrap(),
        checksum: Some(Checksum::whole(&Sha256::of(b""))),
        proof: Proof::Sha256,
        unproven: Vec::new(),
        sha256: None,
        started: jiff::Timestamp::UNIX_EPOCH,
        finished: jiff::Timestamp::UNIX_EPOCH,
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
        already_stored: 0,
        from_journal: 0,
        failed,
        bytes_sent,
        bytes_skipped,
        bytes_copied: 0,
        skipped: BTreeMap::new(),
        resumable: failed > 0,
        resume_command: "upload --journal j.db resume".into(),
        is_dry_run: false,
    }
}

/// The end of a dry run of `uploads` sources, of which `wrong` have failed.
fn dry_exit(uploads: u64, wrong: u64) -> Event {
    let mut event = exit(uploads, 0, 0, 0);
    if let Event::Exit {
        failed, is_dry_run, ..
    } = &mut event
    {
        (*failed, *is_dry_run) = (wrong, true);
    }
    event
}

/// Feeds a plain reporter one event per second; returns standard output and standard error.
fn report(verbosity: Verbosity, progress: Progress, events: &[Event]) -> (String, String) {
    let mut now = Instant::now();
    let mut plain = Plain::new(verbosity, progress, now);
    let (mut out, mut err) = (String::new(), String::new());
    for event in events {
        now += Duration::from_secs(1);
        let output = plain.on(event, now);
        out += &output.stdout();
        err += &output.stderr(Colors::Off, None);
    }
    (out, err)
}

#[test]
fn plain_reports_a_resumed_upload() {
    let mut events = vec![plan(0, "/films/holiday.mov", 3 * GIB / 2)];
    events.extend((0..30).map(|step| progress(0, 3 * GIB / 2 + step * (16 << 20))));
    events.extend([completed(0), exit(1, 1, GIB / 2, 3 * GIB / 2)]);
    let (out, err) = report(NORMAL, Progress::Plain, &events);
    assert_eq!(out, "embedded:uploads/o/0.mov\n");
    assert_eq!(
        err,
        "resumed: /films/holiday.mov: 1.5 GiB of 2.0 GiB are already stored\n\
         /films/holiday.mov: 81% of 2.0 GiB, 64.0 MiB/s, 27s left, resumed 1.5 GiB\n\
         /films/holiday.mov: 89% of 2.0 GiB, 64.0 MiB/s, 14s left, resumed 1.5 GiB\n\
         /films/holiday.mov: 96% of 2.0 GiB, 64.0 MiB/s, 4s left, resumed 1.5 GiB\n\
         uploaded /films/holiday.mov: 2.0 GiB in 256 parts, sent 512 MiB in 33s (15.5 MiB/s); \
         resumed: 1.5 GiB were stored\n"
    );
}

#[test]
fn plain_reports_several_sources_in_one_progress_line() {
    let mut events = vec![plan(0, "a.mov", 0), plan(1, "b.mov", 0)];
    events.extend((0..10).flat_map(|step| [progress(0, step << 20), progress(1, step << 21)]));
    events.extend([completed(1), failed(0, "a.mov"), exit(2, 1, 2 * GIB, 0)]);
    let (out, err) = report(NORMAL, Progress::Plain, &events);
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
            "uploaded 1 of 2 files; 1 failed; sent 2.0 GiB in 25s (81.9 MiB/s); \
             to continue the unfinished uploads: upload --journal j.db resume",
        ]
    );
}

fn selected(files: u64, is_complete: bool) -> Event {
    let bytes = files * 2 * GIB;
    Event::Selected {
        files,
        bytes,
        is_complete,
        set: None,
        destination: None,
        others: OtherSources::default(),
    }
}

#[test]
fn set_is_summed_up_and_its_ended_sources_are_only_counted() {
    const FILES: usize = 5000;
    let mut now = Instant::now();
    let mut sources = Sources::new(now);
    let mut events = vec![selected(4000, false)];
    for item in 0..FILES {
        events.extend([plan(item, "f", GIB), progress(item, GIB)]);
        events.push(match item % 10 {
            0 => failed(item, "f"),
            _ => completed(item),
        });
    }
    for event in &events {
        now += Duration::from_millis(1);
        sources.record(event, now);
        assert!(sources.all().count() < 3000);
    }
    let total = sources.total(now);
    assert_eq!(total.name, "5,000 of 5,000 or more files");
    assert_eq!(total.scope, Scope::Found);
    sources.record(&selected(5001, true), now);
    assert_eq!(sources.total(now).name, "5,000 of 5,001 files");
    assert_eq!((sources.not_ended(), sources.resumed()), (1, 4500 * GIB));
}

#[test]
fn plain_reports_a_set_by_its_numbers() {
    let skipped = |path: &str, reason| Event::Skipped {
        path: path.into(),
        reason,
        rule: None,
    };
    let mut events = vec![
        selected(0, false),
        skipped("l", "link"),
        skipped("m", "link"),
    ];
    events.extend([skipped("p", "fifo"), skipped("e", "empty_directory")]);
    events.push(Event::Unmatched {
        rule: "--exclude '*.x'".into(),
    });
    events.push(selected(30, true));
    for item in 0..30 {
        events.extend([plan(item, "f", 0), completed(item)]);
    }
    events.push(exit(30, 30, GIB, 0));
    let (_, err) = report(NORMAL, Progress::Plain, &events);
    let lines: Vec<&str> = err.lines().collect();
    let [found, warning, summary] = lines.as_slice() else {
        panic!("{err}")
    };
    assert_eq!(*found, "60.0 GiB in 30 files");
    assert_eq!(*warning, "warning: --exclude '*.x' matched nothing");
    let expected = "30 files: 30 uploaded; skipped: 1 fifo, 2 links; sent 1.0 GiB";
    assert!(summary.starts_with(expected), "{summary}");
}

fn kept(item: usize) -> Event {
    Event::Kept {
        item,
        path: String::new(),
        reason: "exists",
        key: "k".into(),
        location: "embedded:k".into(),
        size: GIB,
    }
}

#[test]
fn source_left_out_has_a_line_and_no_bytes_to_send() {
    let events = [
        plan(0, "a.mov", 0),
        plan(1, "b.mov", 0),
        kept(0),
        completed(1),
    ];
    let (_, err) = report(NORMAL, Progress::Plain, &events);
    let line = "a.mov was left out: an object is at its key";
    assert_eq!(err, format!("{line}\nuploaded b.mov, 2.0 GiB\n"));
    let now = Instant::now();
    let mut bars = Bars::hidden(NORMAL, now);
    let [.., end] = [&events[0], &events[1], &events[2]].map(|event| bars.on(event, now));
    assert_eq!(end.messages, [Message::Notice(line.into())]);
    let mut sources = Sources::new(now);
    sources.record(&selected(3, true), now);
    for event in &events {
        sources.record(event, now);
    }
    assert_eq!(sources.not_ended(), 1);
    assert_eq!(sources.total(now).size, 4 * GIB);
}

#[test]
fn stream_is_named_by_its_receipt_and_not_by_its_path() {
    let mut stream_plan = plan(0, "-", 0);
    if let Event::Plan {
        stream,
        size,
        parts,
        ..
    } = &mut stream_plan
    {
        (*stream, *size, *parts) = (true, 0, 0);
    }
    let events = [stream_plan.clone(), completed(0), exit(1, 1, 2 * GIB, 0)];
    let (_, err) = report(NORMAL, Progress::Plain, &events);
    assert!(err.starts_with("uploaded n: 2.0 GiB in 256 parts"), "{err}");
    let (_, err) = report(NORMAL, Progress::Plain, &[stream_plan, failed(0, "-")]);
    assert!(err.starts_with("error: could not read part 3"), "{err}");
}

#[test]
fn quiet_reports_errors_and_data_only() {
    let events = [
        plan(0, "a.mov", GIB),
        progress(0, GIB),
        completed(0),
        exit(1, 1, GIB, GIB),
    ];
    assert_eq!(
        report(QUIET, Progress::Plain, &events),
        ("embedded:uploads/o/0.mov\n".into(), String::new())
    );
    let (_, err) = report(
        QUIET,
        Progress::Plain,
        &[failed(0, "a.mov"), exit(1, 0, 0, 0)],
    );
    assert!(
        err.starts_with("error: a.mov: ") && err.contains("hint: check"),
        "{err}"
    );
}

#[test]
fn plain_reports_an_upload_that_was_complete_before() {
    let (out, err) = report(
        NORMAL,
        Progress::Plain,
        &[
            plan(0, "a.mov", 2 * GIB),
            already_completed(0),
            exit(1, 1, 0, 2 * GIB),
        ],
    );
    assert_eq!(
        (out.as_str(), err.as_str()),
        (
            "embedded:uploads/o/0.mov\n",
            "a.mov is already uploaded; nothing was sent\n"
        )
    );
}

#[test]
fn error_names_its_source_once() {
    let error = |path: &str| report(NORMAL, Progress::Plain, &[failed(0, path)]).1;
    assert!(error("a.mov").starts_with("error: a.mov: could not read part 3"));
    assert!(error("part 3").starts_with("error: could not read part 3"));
    assert!(error("").starts_with("error: could not read part 3"));
}

#[test]
fn progress_none_reports_no_progress() {
    let mut events = vec![plan(0, "a.mov", 0)];
    events.extend((0..30).map(|step| progress(0, step << 20)));
    assert_eq!(
        report(NORMAL, Progress::None, &events),
        (String::new(), String::new())
    );
}

#[test]
fn file_names_are_escaped() {
    let name = "/x/\x1b[2J\rgood.mov\u{202e}";
    let events = [
        plan(0, name, GIB),
        failed(0, name),
        completed(0),
        exit(1, 1, GIB, GIB),
    ];
    let (out, err) = report(
        Verbosity {
            verbose: 2,
            ..NORMAL
        },
        Progress::Plain,
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
fn colors_and_bars_depend_on_options_and_screen() {
    let output = Output {
        messages: vec![Message::Error("no".into()), Message::Hint("do this".into())],
        ..Output::default()
    };
    assert_eq!(
        output.stderr(Colors::Off, None),
        "error: no\nhint: do this\n"
    );
    assert_eq!(
        output.stderr(Colors::Off, Some(9)),
        "error: no\nhint: do\nthis\n"
    );
    let colored = output.stderr(Colors::On, Some(80));
    assert!(
        colored.starts_with("\x1b[1;31merror:\x1b[0m no\n"),
        "{colored:?}"
    );

    let terminal = Options {
        json: false,
        quiet: false,
        verbose: 0,
        progress: Progress::Auto,
        color: Color::Auto,
        screen: Screen::Terminal,
        locations: Locations::Named,
        no_color: false,
    };
    assert_eq!(terminal.colors(), Colors::On);
    assert!(terminal.use_bars());
    let no_color = Options {
        no_color: true,
        ..terminal
    };
    assert_eq!(no_color.colors(), Colors::Off);
    assert!(no_color.use_bars());
    let dumb = Options {
        screen: Screen::Dumb,
        ..terminal
    };
    assert_eq!(dumb.colors(), Colors::Off);
    assert!(!dumb.use_bars());
    let pipe = Options {
        screen: Screen::None,
        progress: Progress::Bar,
        ..terminal
    };
    assert_eq!(pipe.colors(), Colors::Off);
    assert!(!pipe.use_bars());
    let always = Options {
        color: Color::Always,
        ..pipe
    };
    assert_eq!(always.colors(), Colors::On);
    let never = Options {
        color: Color::Never,
        ..terminal
    };
    assert_eq!(never.colors(), Colors::Off);
}

#[test]
fn json_reports_progress_once_per_second_and_the_last() {
    let start = Instant::now();
    let mut json = Json::default();
    let mut lines = Vec::new();
    assert!(json.on(progress(0, 0), start).is_empty(), "before the plan");
    for item in 0..3 {
        json.on(plan(item, "f", 0), start);
    }
    for step in 0..25 {
        lines.extend(json.on(progress(0, step), start + Duration::from_millis(100 * step)));
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
    let end = json.on(completed(0), start + Duration::from_millis(2500));
    assert_eq!(end.len(), 2);
    assert!(
        end[0].contains("\"confirmed\":24,") && end[1].contains("\"type\":\"completed\""),
        "{end:?}"
    );
    // Each upload has an interval of its own.
    assert_eq!(
        json.on(progress(1, 1), start).len() + json.on(progress(2, 1), start).len(),
        2
    );
    assert!(json.on(progress(1, 2), start).is_empty());
    let end = json.on(exit(1, 1, 1, 0), start);
    assert_eq!(end.len(), 2);
    assert!(end[1].starts_with("{\"v\":1,\"type\":\"exit\""), "{end:?}");
}

#[test]
fn bar_that_ends_leaves_a_line() {
    let now = Instant::now();
    let mut bars = Bars::hidden(NORMAL, now);
    let first = bars.on(&plan(0, "a.mov", GIB), now);
    let notice = |text: &str| [Message::Notice(text.into())];
    assert_eq!(
        first.messages,
        notice("resumed: a.mov: 1.0 GiB of 2.0 GiB are already stored")
    );
    for item in 1..10 {
        bars.on(&plan(item, "more", 0), now);
    }
    let end = bars.on(&completed(0), now);
    assert_eq!(
        end.messages,
        notice("uploaded a.mov, 2.0 GiB, resumed 1.0 GiB")
    );
    assert_eq!(end.data, ["embedded:uploads/o/0.mov"]);
}

#[test]
fn total_includes_sources_that_are_not_opened_yet() {
    let now = Instant::now();
    let mut sources = Sources::new(now);
    let announced = Event::Sources {
        paths: (0..301).map(|number| format!("{number}.mov")).collect(),
        bytes: 602 * GIB,
    };
    sources.record(&announced, now);
    assert!(sources.has_several());
    sources.record(&plan(0, "a", 0), now);
    sources.record(&plan(1, "b", 0), now);
    sources.record(&completed(0), now);
    let total = sources.total(now);
    assert_eq!(
        (total.name.as_str(), total.size, total.confirmed),
        ("1 of 301 files", 602 * GIB, 2 * GIB)
    );
    assert!(
        Json::default().on(announced, now).is_empty(),
        "`sources` has no line of JSON"
    );
}

/// The last line of a run without a terminal.
fn last_line(events: &[Event]) -> String {
    let (_, err) = report(NORMAL, Progress::Plain, events);
    err.lines().next_back().unwrap_or_default().to_owned()
}

#[test]
fn summary_counts_agree() {
    let mut events = vec![completed(0), already_completed(1), already_completed(2)];
    events.extend([failed(3, "d.mov"), exit(4, 3, 2 * GIB, 4 * GIB)]);
    let line = last_line(&events);
    assert!(
        line.starts_with("uploaded 1 of 4 files; 2 are already uploaded; 1 failed; sent 2.0 GiB"),
        "{line}"
    );
    let line = last_line(&[
        already_completed(0),
        already_completed(1),
        exit(2, 2, 0, 4 * GIB),
    ]);
    assert_eq!(line, "2 of 2 files are already uploaded; nothing was sent");
}

#[test]
fn interruption_is_no_failure_and_names_the_command() {
    let interrupted = |item: usize, upload| Event::Failed {
        item,
        upload,
        path: format!("{item}.mov"),
        kind: "interrupted",
        message: "interrupted".into(),
        hint: Some("to continue: upload resume".into()),
    };
    let plans = [plan(0, "a.mov", GIB), plan(1, "b.mov", GIB)];
    let mut events = plans.to_vec();
    events.extend([interrupted(0, Some(id())), interrupted(1, Some(id()))]);
    events.push(exit(2, 0, 0, 0));
    let (_, err) = report(QUIET, Progress::Plain, &events);
    assert_eq!(
        err,
        "stopped: 2 of 2 files unfinished, 2.0 GiB of them stored; \
         to continue: upload --journal j.db resume\n"
    );
    let one = [
        plan(0, "a.mov", GIB),
        interrupted(0, Some(id())),
        exit(1, 0, 0, 0),
    ];
    assert_eq!(
        last_line(&one),
        format!(
            "stopped: a.mov is unfinished, 1.0 GiB of 2.0 GiB are stored; \
             to continue: upload --journal j.db resume {}",
            id()
        )
    );
    let before_begin = [interrupted(0, None), exit(1, 0, 0, 0)];
    assert_eq!(
        last_line(&before_begin),
        "stopped: 0.mov is unfinished; to continue, run the command again"
    );
}

#[test]
fn dry_run_summary_has_the_bytes_that_would_be_sent() {
    let events = [
        plan(0, "a.mov", 0).as_forecast(Forecast::WouldSend),
        plan(1, "b.mov", GIB).as_forecast(Forecast::WouldSend),
        plan(2, "c.mov", 2 * GIB).as_forecast(Forecast::AlreadyStored),
        dry_exit(3, 0),
    ];
    assert_eq!(
        last_line(&events),
        "would send 2 files, 3.0 GiB; 1 file is already uploaded"
    );
    let all_failed = last_line(&[dry_exit(3, 3)]);
    assert_eq!(all_failed, "would send nothing; 3 failed");
}

#[test]
fn many_files_have_lines_of_their_own_with_verbose_only() {
    let announced = Event::Sources {
        paths: vec!["a.mov".to_owned(); 300],
        bytes: 0,
    };
    let plans = (0..300).map(|item| plan(item, "a.mov", GIB));
    let mut events: Vec<Event> = [announced].into_iter().chain(plans).collect();
    events.extend((0..300).map(completed));
    events.push(exit(300, 300, 300 * GIB, 300 * GIB));
    let (out, err) = report(NORMAL, Progress::Plain, &events);
    assert_eq!(
        (out.lines().count(), err.lines().count()),
        (300, 1),
        "{err}"
    );
    let verbose = Verbosity {
        verbose: 1,
        ..NORMAL
    };
    let named = Verbosity {
        locations: Locations::Named,
        ..NORMAL
    };
    let (on_terminal, _) = report(named, Progress::Plain, &events);
    assert!(on_terminal.lines().all(|line| line.ends_with("  a.mov")));
    assert!(out.lines().all(|line| !line.contains("a.mov")));
    let (_, err) = report(verbose, Progress::Plain, &events);
    assert_eq!(err.lines().count(), 601);
}

#[test]
fn lost_connection_has_one_line_a_minute_and_one_at_its_end() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut plain = Plain::new(NORMAL, Progress::None, start);
    plain.on(&plan(0, "a.mov", 0), start);
    plain.on(&progress(0, 1 << 20), start);
    let mut lines = Vec::new();
    for second in 1..150 {
        let retry = Event::Retry {
            item: 0,
            source: Some(0),
            upload: None,
            path: None,
            number: None,
            attempt: 1,
            kind: "temporary",
            wait_ms: 5000,
            message: "could not send a part: Connection refused (os error 111)".into(),
            unreached: Some("store.example".into()),
        };
        for event in [retry, progress(0, 1 << 20)] {
            lines.extend(plain.on(&event, at(second)).messages);
        }
        lines.extend(plain.tick(at(second)).messages);
    }
    lines.extend(plain.on(&progress(0, 2 << 20), at(150)).messages);
    let line = |text: &str| Message::Notice(text.into());
    assert_eq!(
        lines,
        [
            line(
                "no connection to store.example for 3s; still trying (next attempt in 3s): Connection refused"
            ),
            line(
                "no connection to store.example for 1m 03s; still trying (next attempt in 1s): Connection refused"
            ),
            line(
                "no connection to store.example for 2m 03s; still trying (next attempt in 1s): Connection refused"
            ),
            line("connection restored after 2m 30s"),
        ]
    );
}

#[test]
fn attributes_that_the_store_did_not_keep_are_named_once() {
    let mut events = vec![selected(2, true)];
    for item in 0..2 {
        let mut end = completed(item);
        if let Event::Completed { receipt, .. } = &mut end {
            receipt.unproven = ["condition", "tag", "encryption"]
                .map(str::to_owned)
                .to_vec();
        }
        events.extend([plan(item, "f", 0), end]);
    }
    events.push(exit(2, 2, GIB, 0));
    let (_, err) = report(NORMAL, Progress::Plain, &events);
    let warnings: Vec<&str> = err
        .lines()
        .filter(|line| line.starts_with("warning"))
        .collect();
    let expected =
        "warning: the store did not keep: encryption, tag; the receipts have it in `unproven`";
    assert_eq!(warnings, [expected]);
}
