//! Every event, every verb and every exit code is in the man pages.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::event_lines::EVENTS;
use super::json_lines::RECEIPT;
use super::line_doc::FieldDoc;
use super::*;
use crate::cli::args::{self, EXIT_CODES};
use crate::event::{Event, OtherSources, Phase, to_json_line};
use upload_types::stream_waits::StreamWaits;
use upload_types::wire::{Proof, Receipt};
use upload_types::{Checksum, PartNumber, Sha256};

fn json(value: &impl Serialize) -> serde_json::Map<String, Value> {
    match serde_json::from_str(&to_json_line(value)).unwrap() {
        Value::Object(fields) => fields,
        other => panic!("not an object: {other}"),
    }
}

/// Whether a documented type (`string|null`) covers a value.
fn has_type(documented: &str, value: &Value) -> bool {
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    documented.split('|').any(|kind| kind == actual)
}

/// Asserts that a table has exactly these fields, with their types.
#[track_caller]
fn describes(table: &[FieldDoc], object: &serde_json::Map<String, Value>, name: &str) {
    let is_field = |field: &&String| !["v", "type"].contains(&field.as_str());
    let mut fields: Vec<&String> = object.keys().filter(is_field).collect();
    let mut documented: Vec<&str> = table.iter().map(|FieldDoc(name, ..)| *name).collect();
    fields.sort();
    documented.sort_unstable();
    assert_eq!(documented, fields, "{name}");
    for FieldDoc(field, kind, meaning) in table {
        assert!(has_type(kind, &object[*field]), "{field} of {name}: {kind}");
        assert!(!meaning.is_empty(), "{field} of {name}");
    }
}

fn receipt() -> Receipt {
    Receipt {
        id: Some("u".parse().unwrap()),
        backend: "embedded".into(),
        instance_id: "i".into(),
        name: "n".into(),
        bucket: None,
        key: "k".parse().unwrap(),
        version_id: None,
        location: Some("embedded:k".into()),
        size: 0,
        parts: 1,
        part_size: 1,
        double_after: Some(1000),
        etag: "e".parse().unwrap(),
        checksum: Some(Checksum::whole(&Sha256::of(b""))),
        proof: Proof::Sha256,
        unproven: vec!["composite".into()],
        sha256: None,
        started: jiff::Timestamp::UNIX_EPOCH,
        finished: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// One event of each type, with every optional field.
fn events() -> Vec<Event> {
    let mut events = events_of_progress();
    events.extend(events_of_the_source());
    events.extend(events_of_the_end());
    events
}

fn events_of_progress() -> Vec<Event> {
    let receipt = receipt();
    let (item, path, upload) = (0, String::new(), None);
    vec![
        Event::Selected {
            files: 0,
            bytes: 0,
            is_complete: true,
            set: None,
            destination: None,
            others: OtherSources::default(),
        },
        Event::Skipped {
            path: path.clone(),
            reason: "",
            rule: Some(String::new()),
        },
        Event::Unmatched {
            rule: String::new(),
        },
        Event::Plan {
            item,
            upload: upload.clone(),
            path: path.clone(),
            path_b64: Some(String::new()),
            size: 0,
            part_size: 0,
            parts: 0,
            resumed_bytes: 0,
            already_stored: false,
            from_journal: true,
            key: None,
            stream: true,
            forecast: None,
        },
        Event::Progress {
            item,
            upload: upload.clone(),
            path: path.clone(),
            hashed: 0,
            sent: 0,
            confirmed: 0,
            size: 0,
            rate: 0,
            waits: Some(StreamWaits {
                producer_waits_percent: 0,
                waits_for_producer_percent: 0,
                total: Duration::ZERO,
            }),
            phase: Phase::Sending,
        },
        Event::Part {
            item,
            upload: "u".parse().unwrap(),
            path,
            number: PartNumber::FIRST,
            size: 0,
            sha256: Sha256::of(b""),
            etag: receipt.etag,
            skipped: true,
            copied: true,
        },
        Event::Retry {
            item,
            source: None,
            upload,
            path: None,
            number: None,
            attempt: 1,
            kind: "",
            wait_ms: 0,
            message: String::new(),
            unreached: None,
        },
    ]
}

fn events_of_the_source() -> Vec<Event> {
    let (item, path, message, upload) = (0, String::new(), String::new(), None);
    vec![
        Event::Changed {
            item,
            upload: upload.clone(),
            path: path.clone(),
            message: message.clone(),
        },
        Event::Blocked {
            item,
            upload: upload.clone(),
            path: path.clone(),
            message: message.clone(),
            is_first: true,
        },
        Event::Restarted {
            item,
            upload: upload.clone(),
            path: path.clone(),
            message,
        },
        Event::Moved {
            item,
            upload: upload.clone(),
            old_path: path.clone(),
            path: path.clone(),
        },
        Event::Renamed {
            item,
            upload,
            old_path: path.clone(),
            old_name: path.clone(),
            name: path.clone(),
            path,
        },
    ]
}

fn events_of_the_end() -> Vec<Event> {
    let receipt = receipt();
    let id = || receipt.id.clone().unwrap();
    let (item, path, message, upload) = (0, String::new(), String::new(), None);
    vec![
        Event::Comparing {
            item,
            upload: id(),
            path: path.clone(),
            parts: 0,
        },
        Event::Waiting {
            item,
            upload: id(),
            path: path.clone(),
        },
        Event::Completed {
            item,
            upload: Some(id()),
            path: path.clone(),
            already_stored: false,
            from_journal: true,
            receipt: Box::new(receipt.clone()),
        },
        Event::Kept {
            item,
            path: path.clone(),
            reason: "exists",
            key: String::new(),
            location: String::new(),
            size: 0,
        },
        Event::Failed {
            item,
            upload,
            path,
            kind: "",
            message,
            hint: None,
        },
        Event::Exit {
            code: 0,
            uploads: 0,
            completed: 0,
            already_stored: 0,
            from_journal: 0,
            failed: 0,
            bytes_sent: 0,
            bytes_skipped: 0,
            bytes_copied: 0,
            skipped: BTreeMap::new(),
            resumable: false,
            resume_command: String::new(),
            is_dry_run: false,
        },
    ]
}

#[test]
fn tables_have_every_field_of_every_event_and_no_other() {
    describes(RECEIPT, &json(&receipt()), "the receipt");
    // Events of one type may have different fields: the table has all of them.
    let mut fields_of_types = BTreeMap::<String, serde_json::Map<String, Value>>::new();
    for event in &events() {
        let fields = json(event);
        let kind = fields["type"].as_str().unwrap().to_owned();
        fields_of_types.entry(kind).or_default().extend(fields);
    }
    assert_eq!(EVENTS.len(), fields_of_types.len());
    for (kind, fields) in &fields_of_types {
        let table = EVENTS.iter().find(|table| table.kind == kind);
        let table = table.unwrap_or_else(|| panic!("no table for {kind}"));
        describes(table.fields, fields, kind);
    }
}

#[test]
fn first_page_has_every_table_and_exit_code() {
    let pages = pages().unwrap();
    let page = &pages.first().unwrap().text;
    for table in EVENTS {
        let (_, section) = page.split_once(&format!("\n.SS {}\n", table.kind)).unwrap();
        let section = section.split(".TE").next().unwrap();
        for FieldDoc(name, ..) in table.fields {
            assert!(
                section.contains(&format!("\\fB{name}\\fR\t")),
                "{name} of {}",
                table.kind
            );
        }
    }
    for (code, _) in EXIT_CODES {
        assert!(page.contains(&format!("\\fB{code}\\fR\t")), "{code}");
    }
}

#[test]
fn every_verb_has_a_page_with_its_options() {
    let pages = pages().unwrap();
    let command = args::command();
    for verb in command.get_subcommands() {
        let name = format!("upload-{}", verb.get_name());
        let page = pages.iter().find(|page| page.name == name);
        let page = &page.unwrap_or_else(|| panic!("no {name}")).text;
        let first = &pages.first().unwrap().text;
        let shown = verb.get_arguments().filter(|arg| !arg.is_hide_set());
        for long in shown.filter_map(clap::Arg::get_long) {
            let long = format!("\\-\\-{}\\fR", long.replace('-', "\\-"));
            // A short flag may precede it.
            let is_described = |page: &str| {
                let mut options = page
                    .split(".TP\n")
                    .filter_map(|option| option.lines().next());
                options.any(|option| option.contains(&format!("\\fB{long}")))
            };
            assert!(
                is_described(page) != is_described(first),
                "{long} of {name}"
            );
        }
    }
    assert!(
        pages
            .iter()
            .any(|page| page.name == "upload-serve-token-add")
    );
}
